"""How fast a sink may tell: a token bucket. Pure."""


class Pace:
    """``rate_hz`` on average and ``burst`` at once; times are monotonic seconds."""

    def __init__(self, rate_hz: float, burst: int) -> None:
        self._rate_hz = rate_hz
        self._burst = float(burst)
        self._left = float(burst)
        self._at_s = 0.0

    def delay_s(self, now_s: float) -> float:
        """Return how long to wait before the next may be told; 0 if it may, which then counts as done."""
        if now_s > self._at_s:
            self._left = min(self._burst, self._left + (now_s - self._at_s) * self._rate_hz)
            self._at_s = now_s
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / self._rate_hz
