"""Observations counted into a histogram. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from daemon.statistics import Histogram


class Tally:
    """Counts what it is shown by bounds that were fixed in advance. One thread uses it."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds`` ascend; what is above the last counts in the total alone."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one finite value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def histogram(self) -> Histogram:
        """Return what was counted so far."""
        *counts, total = accumulate(self._counts)
        return Histogram(self._bounds, tuple(counts), total, self._sum)
