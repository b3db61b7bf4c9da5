"""Clamped exponential backoff with jitter. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays of ``first_s``, doubled with each further failure, never more than ``limit_s``."""

    first_s: float
    limit_s: float
    jitter_ratio: float = 0.25
    """A delay is shortened by up to this part of it, so that many who failed together do not return together."""

    def delay_s(self, failures: int, chance: float) -> float:
        """Return the delay after the given number of failures in a row (1 is the first); ``chance`` is in [0, 1)."""
        # The exponent is bounded because 2.0 ** 1024 overflows after a day of failures.
        full = min(self.limit_s, self.first_s * 2.0 ** min(max(failures, 1) - 1, 62))
        return full * (1.0 - self.jitter_ratio * chance)
