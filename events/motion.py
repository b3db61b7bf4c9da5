"""Where boxes are and how they move: one Kalman filter for many boxes, in real time. Pure.

SORT's model (Bewley et al. 2016, arXiv:1602.00763) as ByteTrack uses it: each box moves and grows at a constant rate.
Two things differ. Time is in seconds, since answers come at any rate and with gaps: what is not known of the
acceleration is white noise, so that two short steps say the same as a long one (Bar-Shalom, Li, Kirubarajan 2001,
Estimation with Applications to Tracking and Navigation, 6.2.2). And each of a box's four numbers is filtered by
itself, with a covariance of 2x2: nothing in the full model's noise ties them together, so no matrix algebra is needed.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Middles = Floats
"""(n, 4): middle x, middle y, width, height; pixels."""
Corners = Floats
"""(n, 4): left, top, right, bottom; pixels."""

SEEN_RATIO = 0.12
"""How far off a seen box is (standard deviation), by its size. ByteTrack's 1/20 of the height is too little for small
detectors: with half of this, IDF1 on PETS at 2 answers a second was 63 and not 66."""
SEEN_PX = 1.0
"""... and at least: boxes are rounded to the pixels of a tile."""
START_RATIO = np.array([3.0, 1.5, 0.3, 0.3])
"""Sizes a second (standard deviation): how fast something may be that was seen once. A person walks two of its widths a
second, a car goes several of its lengths; more moves along the picture than down it, and things grow slowly."""
DRIFT_RATIO = np.array([1.0, 0.6, 0.3, 0.3])
"""Sizes a second (standard deviation): how much a rate changes within a second."""


def sizes(boxes: Middles) -> Floats:
    """Return (n, 1): the square root of each box's area, at least a pixel."""
    return np.sqrt(np.maximum(boxes[:, 2:3] * boxes[:, 3:4], 1.0))


def to_middles(corners: Corners) -> Middles:
    """Return middles and sizes of boxes given by their corners."""
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def to_corners(boxes: Middles) -> Corners:
    """Return the corners of boxes given by middle and size: the inverse of `to_middles`."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


@dataclass(slots=True, eq=False)
class Motion:
    """What is known of n boxes: each array is (n, 4), one row a box."""

    at: Middles
    rate: Floats
    """Pixels a second."""
    var: Floats
    """Variance of ``at``."""
    covar: Floats
    """... and its covariance with the rate."""
    var_rate: Floats

    @classmethod
    def of(cls, seen: Middles) -> Self:
        """Return what is known of boxes that were seen once."""
        size, zero = sizes(seen), np.zeros_like(seen)
        return cls(seen.copy(), zero, _seen_variance(size) + zero, zero.copy(), np.square(START_RATIO * size))

    def __len__(self) -> int:
        return len(self.at)

    def advance(self, step_s: float) -> None:
        """Let time pass."""
        drift = np.square(DRIFT_RATIO * sizes(self.at))
        self.at = self.at + step_s * self.rate
        # However long it has shrunk, no box is turned inside out.
        np.maximum(self.at[:, 2:], 1.0, out=self.at[:, 2:])
        self.var = self.var + step_s * (2 * self.covar + step_s * self.var_rate) + drift * (step_s**3 / 3)
        self.covar = self.covar + step_s * self.var_rate + drift * (step_s**2 / 2)
        self.var_rate = self.var_rate + drift * step_s

    def see(self, rows: npt.NDArray[np.intp], seen: Middles) -> None:
        """Take in where the boxes of these rows were seen."""
        var, covar = self.var[rows], self.covar[rows]
        total = var + _seen_variance(sizes(seen))
        off, gain, rate_gain = seen - self.at[rows], var / total, covar / total
        self.at[rows] += gain * off
        self.rate[rows] += rate_gain * off
        self.var[rows] = var * (1 - gain)
        self.covar[rows] = covar * (1 - gain)
        self.var_rate[rows] -= rate_gain * covar

    def keep(self, rows: npt.NDArray[np.bool_]) -> None:
        """Forget all other boxes."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[rows])

    def append(self, others: "Motion") -> None:
        """Put others behind these."""
        for field in fields(self):
            setattr(self, field.name, np.concatenate([getattr(self, field.name), getattr(others, field.name)]))


def _seen_variance(size: Floats) -> Floats:
    return np.square(SEEN_RATIO * size) + SEEN_PX**2
