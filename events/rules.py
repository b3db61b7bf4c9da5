"""What a person wants to know of a camera's tracks: zones, lines, and what stands. Pure.

Everything is judged by a track's foot, the point where it touches the ground. Who stands on an edge, and is seen now on
this side and now on that, neither leaves and enters nor crosses over and over: what was so is so until the foot is
clearly elsewhere, by a part of the object's own size.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from math import sqrt

from capture.masks import Polygon
from events.geometry import Point, contains, crossing, distance_to_edge, offset
from events.tracks import Track, TrackUpdate

CLEARLY = 0.12
"""By so much of its own size (the square root of its box's area) a foot must be beyond an edge."""

LEAVE_S = 1.0
"""Who is clearly outside of a zone for so long has left it: feet that a car hides for a moment have not walked out."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the picture."""

    name: str
    corners: Polygon
    labels: frozenset[str] = frozenset()
    """None: all."""
    min_score: float = 0.0
    """Sightings below do not enter."""
    dwell_s: float = 0.0
    """Who is in it for a shorter time has not entered."""
    loiter_s: float | None = None
    """Who stays in it for so long loiters."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line on the ground from one point to another, 0..1 of the picture."""

    name: str
    start: Point
    end: Point
    to_right: str = "right"
    """The direction's name for who crosses from the left to the right of it, looking from start to end."""
    to_left: str = "left"
    labels: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raises ValueError for a line without a length."""
        if self.start == self.end:
            raise ValueError(f"line {self.name} begins where it ends")


@dataclass(frozen=True, slots=True)
class Entered:
    """A track has come into a zone, and has stayed for its ``dwell_s``."""

    zone: str
    track: Track
    at_s: float
    """When it came, monotonic."""


@dataclass(frozen=True, slots=True)
class Loitered:
    """A track has been in a zone for its ``loiter_s``."""

    zone: str
    track: Track
    at_s: float


@dataclass(frozen=True, slots=True)
class Left:
    """A track that had entered has left the zone, or has ended in it."""

    zone: str
    track: Track
    at_s: float
    """When it was outside first."""
    inside_s: float


@dataclass(frozen=True, slots=True)
class Crossed:
    """A track has crossed a line."""

    line: str
    direction: str
    track: Track
    at_s: float
    """When, between two sightings."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A track has not moved for ``still_s``: quiet from now on."""

    track: Track
    at_s: float
    """When it came to stand."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A track that had stopped moves again."""

    track: Track
    at_s: float


Happening = Entered | Loitered | Left | Crossed | Stopped | Moved


@dataclass(slots=True)
class _Stay:
    """A track in a zone."""

    since_s: float
    has_entered: bool = False
    has_loitered: bool = False
    out_s: float | None = None
    """Since when it has been outside, if it is."""

    def left(self, zone: str, track: Track) -> Left:
        at_s = track.seen_s if self.out_s is None else self.out_s
        return Left(zone, track, at_s, at_s - self.since_s)


@dataclass(slots=True)
class _Past:
    """What is remembered of a track until it ends."""

    stays: dict[str, _Stay] = field(default_factory=dict)
    sides: dict[str, tuple[float, Point]] = field(default_factory=dict)
    """For each line: when and where it was clearly on one side of it."""
    seen: tuple[float, Point] | None = None
    """When and where it was seen last."""
    crossed_s: dict[str, float] = field(default_factory=dict)
    """For each line: when it came from one side of it to the other last, clearly or not."""
    is_still: bool = False


class Rules:
    """One camera's rules and what its tracks have done by them. Belongs to one thread; times come with the tracks."""

    def __init__(self, zones: Iterable[Zone] = (), lines: Iterable[Line] = (), still_s: float | None = None) -> None:
        self._zones = tuple(zones)
        self._lines = tuple(lines)
        self._still_s = still_s
        self._pasts: dict[int, _Past] = {}

    def __len__(self) -> int:
        """How many tracks are remembered."""
        return len(self._pasts)

    def judge(self, update: TrackUpdate, source_wh: tuple[int, int]) -> list[Happening]:
        """Return what happened by an update of the camera's tracks, whose picture has ``source_wh`` pixels."""
        happened: list[Happening] = []
        for end in update.ended:
            happened += self._end(end.track)
        for track in update.new + update.updated:
            past = self._pasts.setdefault(track.id, _Past())
            for zone in self._zones:
                happened += _judge_zone(zone, past, track, source_wh)
            for line in self._lines:
                happened += _judge_line(line, past, track, source_wh)
            past.seen = (track.seen_s, track.foot)
            happened += self._judge_still(past, track)
        return happened

    def _judge_still(self, past: _Past, track: Track) -> Iterable[Happening]:
        is_still = self._still_s is not None and track.still_s >= self._still_s
        was_still, past.is_still = past.is_still, is_still
        if is_still and not was_still:
            yield Stopped(track, track.seen_s - track.still_s)
        elif was_still and not is_still:
            yield Moved(track, track.seen_s)

    def _end(self, track: Track) -> Iterable[Happening]:
        past = self._pasts.pop(track.id, _Past())
        for name, stay in past.stays.items():
            if stay.has_entered:
                yield stay.left(name, track)


def is_masked(masks: Collection[Polygon], box: tuple[float, float, float, float], source_wh: tuple[int, int]) -> bool:
    """Whether a box in pixels stands in one of the masks: nothing from there is to become a track."""
    foot = ((box[0] + box[2]) / 2 / source_wh[0], box[3] / source_wh[1])
    return any(contains(mask, foot) for mask in masks)


def _judge_zone(zone: Zone, past: _Past, track: Track, source_wh: tuple[int, int]) -> Iterable[Happening]:
    corners = [_pixels(corner, source_wh) for corner in zone.corners]
    is_inside = contains(corners, track.foot)
    stay = past.stays.get(zone.name)
    if stay is None:
        if not is_inside or track.score < zone.min_score or not _is_meant(zone.labels, track):
            return
        stay = past.stays[zone.name] = _Stay(track.seen_s)
    elif not is_inside:
        if not stay.has_entered:
            del past.stays[zone.name]
        elif distance_to_edge(corners, track.foot) >= _clearly_px(track):
            stay.out_s = track.seen_s if stay.out_s is None else stay.out_s
            if track.seen_s - stay.out_s >= LEAVE_S:
                yield past.stays.pop(zone.name).left(zone.name, track)
        return
    stay.out_s = None
    inside_s = track.seen_s - stay.since_s
    if not stay.has_entered and inside_s >= zone.dwell_s:
        stay.has_entered = True
        yield Entered(zone.name, track, stay.since_s)
    if stay.has_entered and not stay.has_loitered and zone.loiter_s is not None and inside_s >= zone.loiter_s:
        stay.has_loitered = True
        yield Loitered(zone.name, track, track.seen_s)


def _judge_line(line: Line, past: _Past, track: Track, source_wh: tuple[int, int]) -> Iterable[Happening]:
    start, end = _pixels(line.start, source_wh), _pixels(line.end, source_wh)
    clearly_px = _clearly_px(track)
    if line.name not in past.sides and abs(offset(start, end, track.origin)) >= clearly_px:
        past.sides[line.name] = (track.began_s, track.origin)
    seen_s, seen = past.seen or (track.began_s, track.origin)
    before_px, now_px = offset(start, end, seen), offset(start, end, track.foot)
    if (before_px > 0) != (now_px > 0):
        past.crossed_s[line.name] = seen_s + before_px / (before_px - now_px) * (track.seen_s - seen_s)
    if abs(now_px) < clearly_px:
        return
    _, before = past.sides.get(line.name, (track.seen_s, track.foot))
    past.sides[line.name] = (track.seen_s, track.foot)
    if crossing(start, end, before, track.foot) is not None and _is_meant(line.labels, track):
        direction = line.to_right if now_px > 0 else line.to_left
        yield Crossed(line.name, direction, track, past.crossed_s[line.name])


def _is_meant(labels: frozenset[str], track: Track) -> bool:
    return not labels or track.label in labels


def _pixels(point: Point, source_wh: tuple[int, int]) -> Point:
    return point[0] * source_wh[0], point[1] * source_wh[1]


def _clearly_px(track: Track) -> float:
    x1, y1, x2, y2 = track.box
    return CLEARLY * sqrt(max(0.0, (x2 - x1) * (y2 - y1)))
