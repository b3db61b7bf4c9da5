"""One camera's way from sightings to events: masks, tracks, rules, speeds, lives. Pure.

Belongs to one thread. What an object did is gathered here between the rules, which tell of changes, and its life, which
wants to know how things are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from capture.masks import Polygon
from capture.messages import Sighting
from events.life import LifePolicy, Lives, Look, Passage, Stay
from events.rules import Crossed, Entered, Happening, Left, Line, Loitered, Moved, Rules, Stopped, Zone, is_masked
from events.speed import Passed, SpeedMeter, Stretch
from events.tracker import Tracker
from events.tracks import Track, TrackUpdate
from events.words import Batch, Ending, Headway, Speed


@dataclass(frozen=True, slots=True)
class CameraRules:
    """What is wanted of one camera, in points 0..1 of its picture. Without zones, lines and stretches every object is
    an event."""

    masks: tuple[Polygon, ...] = ()
    """What stands there is not seen."""
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    still_s: float | None = 10.0
    """Who has not moved for so long is quiet until it moves; None: nobody is."""

    @property
    def wants_all(self) -> bool:
        """Whether every object is an event."""
        return not (self.zones or self.lines or self.stretches)


@dataclass(slots=True)
class _Doings:
    """What is so of a track, by what happened to it."""

    stays: dict[str, Stay] = field(default_factory=dict)
    """By zone."""
    passages: list[Passage] = field(default_factory=list)
    """Since it was last looked at."""
    speed: Speed | None = None
    headway: Headway | None = None
    is_stationary: bool = False
    is_wanted: bool = False


class Analyst:
    """The events of one camera. ``draw`` gives the chance in their ids; times ``at_s`` are monotonic seconds."""

    def __init__(
        self, camera: str, rules: CameraRules, draw: Callable[[], int], policy: LifePolicy | None = None
    ) -> None:
        self.rules = rules
        self.tracker = Tracker()
        self.seen: tuple[Track, ...] = ()
        """Those that the last frame showed."""
        self._judge = Rules(rules.zones, rules.lines, rules.still_s)
        self._meters: list[SpeedMeter] = []
        self._source_wh = (0, 0)
        self._doings: dict[int, _Doings] = {}
        self.lives = Lives(camera, draw, policy)

    def see(self, at_s: float, at: float, source_wh: tuple[int, int], sightings: Sequence[Sighting]) -> Batch:
        """Take in one answered frame, captured at ``at_s`` and, by the wall clock, ``at``; return what is to be kept.

        Raises ValueError for numbers that are not finite.
        """
        before = Batch()
        if source_wh != self._source_wh:
            before = self._live(TrackUpdate(ended=self.tracker.close()), at_s, at)
            self._resize(source_wh)
        seen = [each for each in sightings if not is_masked(self.rules.masks, each.box, source_wh)]
        update = self.tracker.update(
            at_s,
            np.array([each.box for each in seen], np.float64).reshape(-1, 4),
            np.array([each.score for each in seen], np.float64),
            [each.label for each in seen],
            wall_s=at,
            within_wh=source_wh,
        )
        self.seen = update.new + update.updated
        return before + self._live(update, at_s, at)

    def tick(self, at_s: float) -> Batch:
        """Let time pass: for when no frames come."""
        ended = self.tracker.expire(at_s)
        return self._live(TrackUpdate(ended=ended), at_s, 0.0) if ended else self.lives.tick(at_s)

    def close(self, ending: Ending) -> Batch:
        """End everything: the camera is down, or gone, or the process stops. What comes next is new."""
        for end in self.tracker.close():
            self._doings.pop(end.track.id, None)
        self._resize((0, 0))
        return self.lives.end_all(ending)

    def _resize(self, source_wh: tuple[int, int]) -> None:
        """The picture has another size: what was measured in its pixels begins anew."""
        self._source_wh = source_wh
        self._judge = Rules(self.rules.zones, self.rules.lines, self.rules.still_s)
        self._meters = [SpeedMeter(stretch, source_wh) for stretch in self.rules.stretches] if any(source_wh) else []

    def _live(self, update: TrackUpdate, at_s: float, at: float) -> Batch:
        for happening in self._judge.judge(update, self._source_wh):
            self._note(happening)
        gone = [end.track.id for end in update.ended]
        passed = [each for meter in self._meters for each in meter.judge(update)]
        for each in passed:
            self._note_passed(each)
        # Of some the speed is known only now that they are gone.
        late = [self._look(each.track) for each in passed if each.track.id in gone]
        batch = self.lives.learn(self._source_wh, late)
        looks = [self._look(track) for track in update.new + update.updated]
        batch += self.lives.see(at_s, at, self._source_wh, looks, gone)
        for track in gone:
            self._doings.pop(track, None)
        return batch

    def _note(self, happening: Happening) -> None:
        doings = self._doings.setdefault(happening.track.id, _Doings())
        match happening:
            case Entered():
                doings.stays[happening.zone] = Stay(happening.zone, happening.at_s)
                doings.is_wanted = True
            case Loitered():
                doings.stays[happening.zone] = replace(doings.stays[happening.zone], has_loitered=True)
            case Left():
                doings.stays[happening.zone] = replace(doings.stays[happening.zone], left_s=happening.at_s)
            case Crossed():
                doings.passages.append(Passage(happening.line, happening.direction, happening.at_s))
                doings.is_wanted = True
            case Stopped():
                doings.is_stationary = True
            case Moved():
                doings.is_stationary = False

    def _note_passed(self, passed: Passed) -> None:
        doings = self._doings.setdefault(passed.track.id, _Doings())
        speed = abs(passed.speed_kmh)
        doings.speed, doings.is_wanted = Speed(speed, speed), True
        if passed.headway_s is not None and passed.headway_m is not None:
            doings.headway = Headway(passed.headway_s, passed.headway_m)

    def _look(self, track: Track) -> Look:
        doings = self._doings.setdefault(track.id, _Doings())
        passages, doings.passages = tuple(doings.passages), []
        stays = tuple(doings.stays.values())
        doings.stays = {stay.zone: stay for stay in stays if stay.left_s is None}
        return Look(
            track=track.id,
            label=track.label,
            score=track.score,
            box=track.box,
            stays=stays,
            passages=passages,
            speed=doings.speed,
            headway=doings.headway,
            still_s=track.still_s,
            is_stationary=doings.is_stationary,
            is_wanted=doings.is_wanted or self.rules.wants_all,
        )
