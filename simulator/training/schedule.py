"""How fast the network learns at each step, and how long it remembers. Pure."""

from dataclasses import dataclass
from math import cos, pi


@dataclass(frozen=True, slots=True)
class Schedule:
    """Linear warm-up, then half a cosine (Loshchilov & Hutter, arXiv:1608.03983) down to a share of the peak."""

    steps: int
    warm_up_steps: int
    peak: float
    final_ratio: float = 0.01

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warm_up_steps:
            return self.peak * (step + 1) / self.warm_up_steps
        done = (step - self.warm_up_steps) / max(self.steps - self.warm_up_steps, 1)
        return self.peak * (self.final_ratio + (1 - self.final_ratio) * (1 + cos(pi * min(done, 1.0))) / 2)


def memory(step: int, longest: float) -> float:
    """Share of the old in the running mean of the weights: short at first, so that the beginning is soon forgotten."""
    return min(longest, (1 + step) / (10 + step))
