"""Which frames of a camera are analyzed. Pure.

Compositor and sampler share one raster of ticks (``phase_s + k * period_s``, monotonic). The sampler takes one frame
for each tick: the first that arrives after the tick's lead begins. With a lead of about one and a half frame intervals
the frame is fresh at the tick, and one that jitters across the border is replaced by its successor, not lost.
"""

from dataclasses import dataclass, field
from math import floor

LEAD_INTERVALS = 1.5
SMOOTHING = 0.1
"""Weight of the newest interval in the estimate of the camera's frame interval."""


@dataclass(slots=True)
class Sampler:
    """Says for each frame whether it is due. One thread uses it."""

    period_s: float
    phase_s: float = 0.0
    _interval_s: float = field(default=0.0, init=False)
    _last_s: float | None = field(default=None, init=False)
    _window: int = field(default=-1, init=False)

    @property
    def lead_s(self) -> float:
        """How long before its tick a frame may be taken."""
        return min(self.period_s, LEAD_INTERVALS * self._interval_s)

    def would_take(self, now_s: float) -> bool:
        """Whether a frame that came at ``now_s`` would be due."""
        return floor((now_s - self.phase_s + self.lead_s) / self.period_s) > self._window

    def is_due(self, now_s: float) -> bool:
        """Take note of a frame that arrives at ``now_s``, and say whether it is to be analyzed."""
        if self._last_s is not None:
            # A pause is no interval: clamp it, or one hiccup would stretch the lead for many frames.
            interval = min(now_s - self._last_s, self.period_s)
            self._interval_s += SMOOTHING * (interval - self._interval_s) if self._interval_s else interval
        self._last_s = now_s
        window = floor((now_s - self.phase_s + self.lead_s) / self.period_s)
        if window <= self._window:
            return False
        self._window = window
        return True
