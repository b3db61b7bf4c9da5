"""Numbers of the process of events that its supervisor adds up and shows: by figure and labels. Pure.

Most only grow while the process lives. What has changed is reported, not everything: a busy site has thousands of
series, few of which move in a second, and a message has room for only so many. What does not fit follows in the next.
"""

from bisect import bisect_left
from enum import StrEnum

import msgspec

from capture.words import Shortfall
from events.mediapaths import SUFFIXES
from events.retention import Cause
from events.words import Kind

MOST_BYTES = 100_000
"""Of series in one report: half of what a message may hold."""


class Figure(StrEnum):
    """What is counted. The labels of each are in :data:`LABELS`, in the order in which they stand in a series."""

    EVENTS = "events"
    """Changes of events."""
    CROSSINGS = "crossings"
    SPEEDS = "speeds"
    """A histogram: of events that have a speed, at their end."""
    HEADWAYS = "headways"
    """A histogram, likewise."""
    DISCARDED = "discarded"
    """Tracks that became no event."""
    CROWDED = "crowded"
    """Sightings of objects that were one too many."""
    LATE = "late"
    """Answers that came after a newer one."""
    LOST = "lost"
    """Changes of events that were never kept."""
    TOLD = "told"
    DROPPED = "dropped"
    """From an outbox that was full."""
    STALE = "stale"
    REFUSED = "refused"
    FAILURES = "failures"
    REMOVED = "removed"
    """Three numbers: files, their bytes, and events."""
    MADE = "made"
    """Pictures and clips."""
    SHORTFALLS = "shortfalls"
    """Of those: not there, or less than was asked for."""
    MEDIA_BYTES = "media_bytes"
    """Kept now."""


LABELS = {
    Figure.EVENTS: ("camera", "label", "kind"),
    Figure.CROSSINGS: ("camera", "line", "direction", "label"),
    Figure.SPEEDS: ("camera", "label"),
    Figure.HEADWAYS: ("camera", "label"),
    Figure.DISCARDED: ("camera", "reason"),
    Figure.CROWDED: ("camera",),
    Figure.LATE: ("camera",),
    Figure.LOST: (),
    Figure.TOLD: ("sink", "kind"),
    Figure.DROPPED: ("sink", "kind"),
    Figure.STALE: ("sink",),
    Figure.REFUSED: ("sink",),
    Figure.FAILURES: ("sink",),
    Figure.REMOVED: ("cause",),
    Figure.MADE: ("kind",),
    Figure.SHORTFALLS: ("kind", "reason"),
    Figure.MEDIA_BYTES: ("camera",),
}
DISCARDS = ("brief", "unwanted")
"""Why a track became no event."""
CLOSED: dict[Figure, dict[str, frozenset[str]]] = {
    Figure.EVENTS: {"kind": frozenset(Kind)},
    Figure.TOLD: {"kind": frozenset(Kind)},
    Figure.DROPPED: {"kind": frozenset(Kind)},
    Figure.DISCARDED: {"reason": frozenset(DISCARDS)},
    Figure.REMOVED: {"cause": frozenset(Cause)},
    Figure.MADE: {"kind": frozenset(SUFFIXES)},
    Figure.SHORTFALLS: {"kind": frozenset(SUFFIXES), "reason": frozenset(Shortfall)},
}
"""All values of a label, where they are known; others are names."""
BOUNDS = {
    # Limits that road signs show are bounds.
    Figure.SPEEDS: tuple(map(float, (5, *range(10, 141, 10), 160, 200))),
    # 0.9 s and 1.8 s: a quarter and a half of the speedometer's figure, as metres.
    Figure.HEADWAYS: (0.5, 0.9, 1.2, 1.8, 2.5, 4.0, 6.0, 10.0, 20.0, 60.0),
}
"""Of histograms, whose numbers are the observations between two bounds, those above the last, and the sum of all."""
GAUGES = frozenset({Figure.MEDIA_BYTES})
"""What may fall. All else only grows while the process lives."""


class Series(msgspec.Struct, frozen=True, array_like=True):
    """One figure of one set of labels, since the process started."""

    figure: Figure
    labels: tuple[str, ...]
    numbers: tuple[float, ...]

    def fits(self) -> bool:
        """Whether it has labels and numbers as its figure has."""
        names = LABELS[self.figure]
        if len(self.labels) != len(names) or len(self.numbers) != size(self.figure):
            return False
        return all(self.labels[names.index(name)] in values for name, values in CLOSED.get(self.figure, {}).items())


Key = tuple[Figure, tuple[str, ...]]


def size(figure: Figure) -> int:
    """Return how many numbers a series of this figure has."""
    return len(BOUNDS[figure]) + 2 if figure in BOUNDS else 3 if figure is Figure.REMOVED else 1


def observed(figure: Figure, labels: tuple[str, ...], value: float) -> Series:
    """Return a histogram of one observation."""
    bounds = BOUNDS[figure]
    place = bisect_left(bounds, value)
    return Series(figure, labels, (*(float(number == place) for number in range(len(bounds) + 1)), value))


def total(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, ...]:
    """Return two series' numbers, added."""
    return tuple(one + other for one, other in zip(first, second, strict=True))


class Tallies:
    """All series of a process, and which of them have changed since they were last reported. One thread uses it."""

    def __init__(self) -> None:
        self._now: dict[Key, Series] = {}
        self._changed: dict[Key, None] = {}
        """Who has waited longest comes first."""
        self._encoder = msgspec.msgpack.Encoder()

    def add(self, by: Series) -> None:
        """Let a series grow by this."""
        before = self._now.get((by.figure, by.labels))
        self.put(Series(by.figure, by.labels, total(before.numbers, by.numbers)) if before else by)

    def put(self, now: Series) -> None:
        """Let a series be this."""
        key = (now.figure, now.labels)
        if self._now.get(key) != now:
            self._now[key] = now
            self._changed[key] = None

    def forget(self, camera: str) -> None:
        """Forget all series of a camera."""
        for key in [key for key in self._now if "camera" in LABELS[key[0]] and key[1][0] == camera]:
            del self._now[key]
            self._changed.pop(key, None)

    def changed(self) -> tuple[Series, ...]:
        """Return what has changed, as much of it as there is room for."""
        found: list[Series] = []
        left = MOST_BYTES
        for key in self._changed:
            series = self._now[key]
            left -= len(self._encoder.encode(series))
            if left < 0:
                break
            found.append(series)
        return tuple(found)

    def reported(self, series: tuple[Series, ...]) -> None:
        """Take note that these have been reported as they are."""
        for each in series:
            self._changed.pop((each.figure, each.labels), None)
