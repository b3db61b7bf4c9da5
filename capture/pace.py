"""How a camera's own clock and its arrivals fit together: lag, jumps, a clock that runs wrong. Pure.

A packet's pts is the camera's clock, its arrival ours. The least difference of the two seen lately is the way without
waiting (RFC 6817 calls it the base delay); what an arrival is later than that, it has waited somewhere: in the network,
or in a socket that we were too slow to read.
"""

from collections import deque
from dataclasses import dataclass, field
from math import isfinite

WINDOW_S = 10.0
"""The base delay is the least of the last two windows."""
JUMP_S = 3.0
"""Clock and arrivals that part by more than this at once have not drifted: somebody has set the clock."""
RATIO_AFTER_S = 20.0
"""A clock's rate is judged over at least so long: by then half a second of jitter is 2.5 %."""
RATIO_TOLERANCE = 0.05
"""A clock that is off by more runs wrong. Real ones are off by 0.0001."""


@dataclass(slots=True)
class Pace:
    """Compares pts and arrivals of one connection. One thread uses it."""

    clock_ratio: float | None = field(default=None, init=False)
    """Seconds of the camera's clock in one of ours; None while it is not known."""
    jumps: int = field(default=0, init=False)
    """How often the camera's clock was set, or wrapped."""
    _last: tuple[float, float] | None = field(default=None, init=False)
    """Newest pts and its arrival."""
    _window_began_s: float = field(default=0.0, init=False)
    _least_s: float = field(default=0.0, init=False)
    _least_before_s: float | None = field(default=None, init=False)
    _marks: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=8), init=False)
    """Window starts and the least difference in each, to measure the clock's rate by."""

    @property
    def is_clock_wrong(self) -> bool:
        """Whether the camera's clock runs fast or slow."""
        return self.clock_ratio is not None and abs(self.clock_ratio - 1.0) > RATIO_TOLERANCE

    @property
    def _base_s(self) -> float:
        return self._least_s if self._least_before_s is None else min(self._least_s, self._least_before_s)

    def arrive(self, pts_s: float | None, arrived_s: float) -> float:
        """Take note of a packet; ``pts_s`` in seconds, ``arrived_s`` monotonic. Return how long it has waited, seconds.

        That is 0 where the camera's clock is not to be trusted.
        """
        if pts_s is None or not isfinite(pts_s):
            return 0.0
        difference_s = arrived_s - pts_s
        last, self._last = self._last, (pts_s, arrived_s)
        if last is None:
            self._restart(difference_s, arrived_s)
            return 0.0
        step_s, waited_s = pts_s - last[0], arrived_s - last[1]
        # A late arrival whose pts goes on is a pause; a clock that was set steps without one. The packet before may
        # have been late itself: FFmpeg's parser holds one back until the next has come.
        if step_s < -JUMP_S or min(step_s - waited_s, self._base_s - difference_s) > JUMP_S:
            self.jumps += 1
            self._restart(difference_s, arrived_s)
            return 0.0
        if arrived_s - self._window_began_s >= WINDOW_S:
            self._turn_window(arrived_s, difference_s)
        self._least_s = min(self._least_s, difference_s)
        return 0.0 if self.is_clock_wrong else difference_s - self._base_s

    def _restart(self, difference_s: float, arrived_s: float) -> None:
        self._window_began_s, self._least_s, self._least_before_s = arrived_s, difference_s, None
        self._marks.clear()
        self.clock_ratio = None

    def _turn_window(self, arrived_s: float, difference_s: float) -> None:
        self._marks.append((self._window_began_s, self._least_s))
        first_s, least_s = self._marks[0]
        span_s = self._window_began_s - first_s
        if span_s >= RATIO_AFTER_S:
            self.clock_ratio = 1.0 - (self._least_s - least_s) / span_s
        self._window_began_s, self._least_before_s, self._least_s = arrived_s, self._least_s, difference_s
