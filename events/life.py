"""From what tracks and rules say to the lives of events: new, update, end. Pure.

One :class:`Lives` a camera. An object becomes an event once it has been seen often enough for long enough and, where
the camera has rules, one of them wants it. Updates are few: at most one in ``update_every_s``, only when something
worth telling has changed, and none for an object that stands still. Each event is told once as new and once as ended.

What is kept of an object does not grow with the time it stays: its path is thinned as it becomes longer, and of its
visits and crossings the newest are kept.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import hypot

from events.boxes import foot, iou, worth
from events.path import Path
from events.words import (
    Batch,
    Box,
    Count,
    Crossing,
    Ending,
    Event,
    Headway,
    Kind,
    Moment,
    Speed,
    TrackSummary,
    Visit,
    event_id,
)

MAX_PARTS = 64
"""Visits, and crossings, that an event holds; counts of crossings are complete all the same."""
BETTER_RATIO = 1.1
"""A best moment is worth an update when it is better than the last one told by so much."""
MOVED = 0.05
"""So is a way of this part of the picture."""


@dataclass(frozen=True, slots=True)
class LifePolicy:
    """When an event begins, is told of, and ends."""

    min_sightings: int = 3
    min_age_s: float = 0.5
    update_every_s: float = 5.0
    end_after_s: float = 2.0
    """An object of which the tracker has let go is waited for so long: one that appears in its place is the same."""
    rejoin_iou: float = 0.3
    """In its place: boxes that overlap so much."""
    rejoin_still_s: float = 1.0
    """Only who had been in its place for so long: where something passed, the next that passes is another."""
    lost_after_s: float = 120.0
    """A track that is spoken of no more, without having ended, has ended."""
    max_objects: int = 256
    """That a camera is followed with at once. More are no events, but noise."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A line was crossed since the track was last spoken of."""

    line: str
    direction: str
    at_s: float
    """When, monotonic."""


@dataclass(frozen=True, slots=True)
class Stay:
    """The track is in a zone."""

    zone: str
    since_s: float
    """When it came, monotonic; perhaps long before it was clear that it stays."""
    has_loitered: bool = False
    left_s: float | None = None
    """When it left: said once."""


@dataclass(frozen=True, slots=True)
class Look:
    """One track as tracker and rules see it in one frame."""

    track: int
    """Never used again for another object of this camera."""
    label: str
    score: float
    box: Box
    """xyxy pixels of the camera's picture."""
    stays: tuple[Stay, ...] = ()
    """One for each zone in which it is."""
    passages: tuple[Passage, ...] = ()
    speed: Speed | None = None
    headway: Headway | None = None
    still_s: float = 0.0
    """How long it has been in its place."""
    is_stationary: bool = False
    is_wanted: bool = True
    """It satisfies one of the camera's rules, or the camera has none."""


@dataclass(frozen=True, slots=True)
class LifeCounts:
    """What became of objects that became no event, since the start."""

    brief: int = 0
    """Seen too seldom or too shortly."""
    unwanted: int = 0
    """Never satisfied a rule."""
    crowded: int = 0
    """Looks at objects that were one too many."""


@dataclass(slots=True)
class _Object:
    """All that is known of one object."""

    label: str
    first_s: float
    first_at: float
    last_s: float
    last: Look
    sightings: int = 0
    top_score: float = 0.0
    gone_s: float | None = None
    """The tracker has let go of it; it is waited for."""
    begun_at: float | None = None
    """When a rule first wanted it; what is below counts from then on."""
    frame_wh: tuple[int, int] = (1, 1)
    best_worth: float = -1.0
    best_score: float = 0.0
    best_box: Box = (0.0, 0.0, 0.0, 0.0)
    best_at: float = 0.0
    visits: list[Visit] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    path: Path = field(default_factory=Path)
    speed: Speed | None = None
    headway: Headway | None = None
    has_snapshot: bool = False
    snapshot_box: Box | None = None
    has_clip: bool = False
    # Of what was told:
    id: str = ""
    revision: int = -1
    told_s: float = 0.0
    told_worth: float = 0.0
    told_x: float = 0.0
    told_y: float = 0.0
    is_told_stationary: bool = False
    is_changed: bool = False

    def wall(self, at_s: float) -> float:
        """A moment's wall clock, as this object has it: a clock that is set meanwhile changes nothing."""
        return self.first_at + (at_s - self.first_s)

    def mono(self, at: float) -> float:
        """The other way round."""
        return self.first_s + (at - self.first_at)


class Lives:
    """The objects of one camera. ``draw`` gives :data:`events.words.ID_BITS` bits of chance.

    Times ``at_s`` are monotonic seconds; one that lies before an earlier one counts as that.
    """

    def __init__(self, camera: str, draw: Callable[[], int], policy: LifePolicy | None = None) -> None:
        self._camera = camera
        self._draw = draw
        self._policy = policy or LifePolicy()
        self._objects: dict[int, _Object] = {}
        """By track; one that is waited for stands under its last track."""
        self._now_s = 0.0
        self._brief = self._unwanted = self._crowded = 0

    def see(
        self, at_s: float, at: float, frame_wh: tuple[int, int], looks: Iterable[Look], gone: Iterable[int] = ()
    ) -> Batch:
        """Take in one frame, captured at ``at_s`` and, by the wall clock, ``at``; ``gone`` are tracks that ended.

        Returns what is to be kept and told. Raises ``ValueError`` for an ``at`` that is no time.
        """
        self._now_s = max(at_s, self._now_s)
        batch = self._let_go(gone)
        for look in looks:
            batch += self._look(look, at, frame_wh)
        return batch + self.tick(self._now_s)

    def learn(self, frame_wh: tuple[int, int], looks: Iterable[Look]) -> Batch:
        """Take in what became clear only now of objects that are seen no more, as of when they were seen last."""
        found = [(self._objects.get(look.track), look) for look in looks]
        return sum((self._know(known, look, frame_wh) for known, look in found if known), Batch())

    def tick(self, at_s: float) -> Batch:
        """End who has been waited for long enough, and tell what has waited to be told. For when no frames come."""
        self._now_s = max(at_s, self._now_s)
        batch = Batch()
        for track, known in list(self._objects.items()):
            waited_s = self._now_s - (known.last_s if known.gone_s is None else known.gone_s)
            if waited_s >= (self._policy.lost_after_s if known.gone_s is None else self._policy.end_after_s):
                batch += self._end(track, Ending.GONE)
            elif known.is_changed and known.id and self._now_s - known.told_s >= self._policy.update_every_s:
                batch += self._tell(known, Kind.UPDATE)
        return batch

    def end_all(self, ending: Ending) -> Batch:
        """End everything: the camera is down or gone, or the process stops."""
        batch = Batch()
        for track in list(self._objects):
            batch += self._end(track, ending)
        return batch

    def note_snapshot(self, event: str, box: Box | None) -> None:
        """Say that there is a picture of an event: the first is worth an update. Of a past event nothing is told."""
        for known in self._objects.values():
            if known.id == event:
                known.is_changed |= not known.has_snapshot
                known.has_snapshot, known.snapshot_box = True, box

    def note_clip(self, event: str) -> None:
        """Say that there is a clip of an event, likewise."""
        for known in self._objects.values():
            if known.id == event:
                known.is_changed |= not known.has_clip
                known.has_clip = True

    def open(self) -> tuple[Moment, ...]:
        """Return the events that have begun and not ended, as they are now."""
        return tuple(self._moment(known, is_over=False) for known in self._objects.values() if known.id)

    def counts(self) -> LifeCounts:
        """Return what became of the others."""
        return LifeCounts(self._brief, self._unwanted, self._crowded)

    def _look(self, look: Look, at: float, frame_wh: tuple[int, int]) -> Batch:
        known = self._objects.get(look.track) or self._rejoined(look)
        if known is None:
            if len(self._objects) >= self._policy.max_objects:
                self._crowded += 1
                return Batch()
            known = self._objects[look.track] = _Object(look.label, self._now_s, at, self._now_s, look)
        known.gone_s, known.last_s = None, self._now_s
        known.sightings += 1
        known.top_score = max(known.top_score, look.score)
        return self._know(known, look, frame_wh)

    def _know(self, known: _Object, look: Look, frame_wh: tuple[int, int]) -> Batch:
        known.last, when = look, known.wall(known.last_s)
        crossings = [Crossing(each.line, each.direction, min(known.wall(each.at_s), when)) for each in look.passages]
        if known.begun_at is None and look.is_wanted:
            since = [*(known.wall(stay.since_s) for stay in look.stays), *(each.at for each in crossings)]
            known.begun_at = min([when, *since])
        batch = Batch(counts=tuple(_count(self._camera, known.label, crossing) for crossing in crossings))
        if known.begun_at is None:
            return batch
        _take_in(known, look, when, frame_wh)
        known.crossings = [*known.crossings, *crossings][-MAX_PARTS:]
        known.path.add(when - known.begun_at, *foot(look.box, frame_wh))
        is_old = self._now_s - known.first_s >= self._policy.min_age_s
        if not known.id and is_old and known.sightings >= self._policy.min_sightings:
            known.id = event_id(self._camera, known.begun_at, self._draw())
            batch += self._tell(known, Kind.NEW)
        return batch

    def _rejoined(self, look: Look) -> _Object | None:
        """The object that was waited for, if this new track is it."""
        for track, known in self._objects.items():
            if known.gone_s is None or known.label != look.label or known.last.still_s < self._policy.rejoin_still_s:
                continue
            if iou(known.last.box, look.box) >= self._policy.rejoin_iou:
                self._objects[look.track] = self._objects.pop(track)
                return known
        return None

    def _let_go(self, gone: Iterable[int]) -> Batch:
        batch = Batch()
        for track in gone:
            known = self._objects.get(track)
            if known is not None and known.id:
                known.gone_s = self._now_s
            elif known is not None:
                batch += self._end(track, Ending.GONE)
        return batch

    def _end(self, track: int, ending: Ending) -> Batch:
        known = self._objects.pop(track)
        told = self._tell(known, Kind.END, ending) if known.id else Batch()
        is_brief = known.sightings < self._policy.min_sightings
        if not known.id:
            self._brief += is_brief or known.begun_at is not None
            self._unwanted += not is_brief and known.begun_at is None
        if is_brief:
            return told
        summary = TrackSummary(
            camera=self._camera,
            label=known.label,
            started_at=known.first_at,
            ended_at=known.wall(known.last_s),
            sightings=known.sightings,
            best_score=known.top_score,
            event_id=known.id or None,
            speed=known.speed,
        )
        return told + Batch(tracks=(summary,))

    def _moment(self, known: _Object, *, is_over: bool) -> Moment:
        began_at = known.first_at if known.begun_at is None else known.begun_at
        return Moment(
            known.id,
            self._camera,
            is_over,
            known.last.is_stationary,
            known.mono(began_at),
            known.mono(known.best_at),
            known.best_box,
            known.last_s,
        )

    def _tell(self, known: _Object, kind: Kind, ending: Ending | None = None) -> Batch:
        known.revision += 1
        known.told_s, known.told_worth, known.is_changed = self._now_s, known.best_worth, False
        known.told_x, known.told_y = foot(known.last.box, known.frame_wh)
        known.is_told_stationary = known.last.is_stationary
        seen_at = known.wall(known.last_s)
        is_over = kind is Kind.END
        visits = [_continued(visit, None, seen_at) if is_over else visit for visit in known.visits]
        event = Event(
            id=known.id,
            camera=self._camera,
            label=known.label,
            kind=kind,
            revision=known.revision,
            started_at=known.first_at if known.begun_at is None else known.begun_at,
            updated_at=seen_at,
            ended_at=seen_at if is_over else None,
            ending=ending,
            best_score=known.best_score,
            best_box=known.best_box,
            best_at=known.best_at,
            frame_wh=known.frame_wh,
            zones=tuple(visits),
            crossings=tuple(known.crossings),
            path=known.path.points(),
            speed=known.speed,
            headway=known.headway,
            is_stationary=known.last.is_stationary,
            has_snapshot=known.has_snapshot,
            snapshot_box=known.snapshot_box,
            has_clip=known.has_clip,
        )
        return Batch(events=(event,), moments=(self._moment(known, is_over=is_over),))


def _take_in(known: _Object, look: Look, at: float, frame_wh: tuple[int, int]) -> None:
    """Remember what a look adds, and whether that is worth telling."""
    if look.is_stationary != known.is_told_stationary:
        known.is_changed = True
    known.frame_wh = frame_wh
    _move_between_zones(known, look.stays, at)
    known.is_changed |= bool(look.passages)
    now_worth = worth(look.score, look.box, frame_wh)
    if now_worth > known.best_worth:
        known.best_worth, known.best_score, known.best_box, known.best_at = now_worth, look.score, look.box, at
    known.is_changed |= look.headway is not None and known.headway is None
    known.speed, known.headway = look.speed or known.speed, look.headway or known.headway
    if not look.is_stationary:
        x, y = foot(look.box, frame_wh)
        known.is_changed |= hypot(x - known.told_x, y - known.told_y) >= MOVED
        known.is_changed |= known.best_worth >= known.told_worth * BETTER_RATIO


def _move_between_zones(known: _Object, stays: Sequence[Stay], at: float) -> None:
    inside = {stay.zone: stay for stay in stays if stay.left_s is None}
    left = {stay.zone: min(known.wall(stay.left_s), at) for stay in stays if stay.left_s is not None}
    visits = [_continued(visit, inside.get(visit.zone), left.get(visit.zone, at)) for visit in known.visits]
    entered = inside.keys() - {visit.zone for visit in visits if visit.left_at is None}
    for zone in sorted(entered):
        entered_at = min(known.wall(inside[zone].since_s), at)
        visits.append(Visit(zone, entered_at, None, inside[zone].has_loitered))
    if visits != known.visits:
        known.is_changed = True
        known.visits = visits[-MAX_PARTS:]


def _continued(visit: Visit, stay: Stay | None, at: float) -> Visit:
    if visit.left_at is not None:
        return visit
    if stay is None:
        return Visit(visit.zone, visit.entered_at, at, visit.has_loitered)
    return Visit(visit.zone, visit.entered_at, None, visit.has_loitered or stay.has_loitered)


def _count(camera: str, label: str, crossing: Crossing) -> Count:
    return Count(camera, crossing.line, crossing.direction, label, crossing.at)
