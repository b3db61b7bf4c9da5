"""An object's way as few points, however long it is. Pure."""

from math import hypot

from events.words import Waypoint

MAX_POINTS = 64
"""When there are as many, every second one goes, and from then on they are twice as far apart."""
_STEP = 0.01
"""Of the picture: nearer points are one, to begin with."""


class Path:
    """Takes in points in the order of their times; coordinates are 0..1."""

    def __init__(self) -> None:
        self._kept: list[Waypoint] = []
        self._last: Waypoint | None = None
        self._step = _STEP

    def add(self, after_s: float, x: float, y: float) -> None:
        """Go on to a point."""
        self._last = Waypoint(round(after_s, 3), round(x, 4), round(y, 4))
        if self._kept and hypot(x - self._kept[-1].x, y - self._kept[-1].y) < self._step:
            return
        self._kept.append(self._last)
        if len(self._kept) == MAX_POINTS:
            del self._kept[1::2]
            self._step *= 2

    def points(self) -> tuple[Waypoint, ...]:
        """Return at most ``MAX_POINTS``, the first and the last that were taken in among them."""
        ends_at_last = self._last is None or self._last is self._kept[-1]
        return (*self._kept, *(() if ends_at_last or self._last is None else (self._last,)))
