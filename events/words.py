"""What an event is: frozen structs, their JSON form, their ids. Pure.

Boxes are xyxy pixels of the camera's own picture; points of a path are 0..1 across and down it. Times are wall clock,
seconds since 1970; within one event they follow the monotonic clock, so that a clock that is set cannot reverse them.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

ID_BITS = 30
"""Of chance in an id: two events of one camera that begin in the same millisecond."""
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no letter that could be taken for a digit."""

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2."""


class Kind(StrEnum):
    """Where in its life an event is: the closed set of the ``kind`` label."""

    NEW = "new"
    UPDATE = "update"
    END = "end"


class Ending(StrEnum):
    """Why an event ended."""

    GONE = "gone"
    """The object left, or was lost from sight."""
    CAMERA_DOWN = "camera_down"
    RESTART = "restart"
    """It was open when mosaicd died, and has been closed since: it ended at the time of its last change."""
    STOPPED = "stopped"
    """mosaicd was stopped, or the camera taken off the roster."""


class Visit(msgspec.Struct, frozen=True):
    """A stay in a zone."""

    zone: str
    entered_at: float
    left_at: float | None = None
    has_loitered: bool = False
    """Stayed for as long as the zone's rule calls loitering."""


class Crossing(msgspec.Struct, frozen=True):
    """A line crossed."""

    line: str
    direction: str
    """As the roster names it."""
    at: float


class Waypoint(msgspec.Struct, frozen=True, array_like=True):
    """Where the object stood: the middle of the lower edge of its box."""

    after_s: float
    """Since the event's ``started_at``."""
    x: float
    y: float


class Speed(msgspec.Struct, frozen=True):
    """Over the whole event."""

    median_kmh: float
    max_kmh: float


class Headway(msgspec.Struct, frozen=True):
    """To the vehicle ahead in the same lane."""

    seconds: float
    metres: float


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One visit of one object to one camera, as known at its last change.

    It is stored, and read by later versions: a new field has a default.
    """

    id: str
    """Unique for ever; sorts by time."""
    camera: str
    label: str
    kind: Kind
    revision: int
    """0 when new, one more with each change: with the id, how a receiver drops what it has got twice."""
    started_at: float
    updated_at: float
    """When the object was last seen."""
    ended_at: float | None = None
    ending: Ending | None = None
    best_score: float
    """Of the best moment, which the snapshot shows."""
    best_box: Box
    best_at: float
    frame_wh: tuple[int, int]
    """The camera's picture, in whose pixels the box is."""
    zones: tuple[Visit, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    path: tuple[Waypoint, ...] = ()
    speed: Speed | None = None
    headway: Headway | None = None
    is_stationary: bool = False
    has_snapshot: bool = False
    """A picture of it is there: of its best moment, or one that was the best until lately."""
    snapshot_box: Box | None = None
    """Where the object is in that picture; None if there is none, or it is of another moment."""
    has_clip: bool = False
    """A clip is being written, or is there: it can be played at any time, and is longer later."""


class TrackSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a track, whether or not an event came of it."""

    camera: str
    label: str
    started_at: float
    ended_at: float
    sightings: int
    best_score: float
    event_id: str | None = None
    speed: Speed | None = None


class Count(msgspec.Struct, frozen=True):
    """So many crossed a line in one direction."""

    camera: str
    line: str
    direction: str
    label: str
    at: float
    crossings: int = 1


class Moment(msgspec.Struct, frozen=True):
    """When an event's pictures are to be taken, by the monotonic clock: never kept."""

    event: str
    camera: str
    is_over: bool
    is_stationary: bool
    began_s: float
    best_s: float
    """Of its best moment so far."""
    best_box: Box
    seen_s: float
    """When the object was last seen."""


class Batch(msgspec.Struct, frozen=True):
    """What is kept together or not at all."""

    events: tuple[Event, ...] = ()
    tracks: tuple[TrackSummary, ...] = ()
    counts: tuple[Count, ...] = ()
    moments: tuple[Moment, ...] = ()
    """One for each of the events; not kept."""

    def __bool__(self) -> bool:
        return bool(self.events or self.tracks or self.counts)

    def __add__(self, other: "Batch") -> "Batch":
        return Batch(
            self.events + other.events,
            self.tracks + other.tracks,
            self.counts + other.counts,
            self.moments + other.moments,
        )


class Notice(msgspec.Struct, frozen=True):
    """One line for the log of whoever owns this process: a constant message plus fields, none of them secret."""

    message: str
    fields: dict[str, str | int | float] = {}
    is_bad: bool = True
    """A warning; else it is about something that has come right, or is in order."""


def event_id(camera: str, at: float, chance: int) -> str:
    """Return ``20261130T021305.123Z-yard-7k3f9a``; ``chance`` has ``ID_BITS`` bits."""
    digits = "".join(_DIGITS[(chance >> shift) & 31] for shift in range(ID_BITS - 5, -1, -5))
    return f"{id_stamp(at)}-{camera}-{digits}"


def id_stamp(at: float) -> str:
    """Return how ids begin of events that start at this time: of one length, so that they sort as times do.

    Raises ``ValueError`` for what is no time of the years 1 to 9999.
    """
    text = _datetime(at).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return text.replace("-", "").replace(":", "") + "Z"


def stamp(at: float) -> str:
    """Return ``2026-11-30T02:13:05.123Z``. Raises ``ValueError`` as :func:`id_stamp` does."""
    return _datetime(at).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def pack(event: Event) -> bytes:
    """Return the form that is stored: JSON, times as numbers."""
    return msgspec.json.encode(event)


def unpack(body: bytes) -> Event:
    """Return the event again. Raises ``msgspec.DecodeError``."""
    return _DECODER.decode(body)


def document(event: Event) -> dict[str, Any]:
    """Return the form that programs and people read: JSON's types, times as ``stamp`` writes them."""
    found: dict[str, Any] = _readable(msgspec.to_builtins(event))
    return found


def line(event: Event) -> bytes:
    """Return :func:`document` as one line of JSON, its end included."""
    return msgspec.json.encode(document(event)) + b"\n"


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _readable_field(key, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def _readable_field(key: str, value: Any) -> Any:
    is_time = (key == "at" or key.endswith("_at")) and isinstance(value, float)
    return stamp(value) if is_time else _readable(value)


def _datetime(at: float) -> datetime:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"no time: {at}") from error


_DECODER = msgspec.json.Decoder(Event)
