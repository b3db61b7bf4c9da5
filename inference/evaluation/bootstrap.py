"""How sure a difference of two mAPs is, when both were measured on the same pictures.

The paired bootstrap: pictures are drawn with replacement, both sides are measured on each draw, and the middle 95 % of
the differences is the interval (percentile method: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter
13; paired on test items: Koehn 2004, Statistical Significance Tests for Machine Translation Evaluation).
Pure: the seed is passed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from inference.evaluation.precision import Ranked, Weights, every_picture_once, mean_average_precision

RESAMPLES: Final = 1000
CONFIDENCE_RATIO: Final = 0.95
POINTS: Final = 100
"""mAP is told in points: hundredths."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better the one is than the other, in mAP points; below 0 it is worse."""

    points: float
    """As measured."""
    low: float
    """The interval's lower end."""
    high: float
    """Its upper end."""


def draw(units: npt.NDArray[np.intp], resamples: int = RESAMPLES, seed: int = 1) -> Weights:
    """Weights (resamples, pictures): of `n` units, `n` are drawn with replacement.

    `units` (pictures,) says to which unit each picture belongs, numbered from 0: photos are a unit each; the frames of
    one second are one, because they tell the same (block bootstrap: Künsch 1989).
    """
    number = int(units.max(initial=-1)) + 1
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / max(number, 1)), size=resamples)
    weights: Weights = drawn[:, units].astype(np.int64)
    return weights


def compare(one: Sequence[Ranked], other: Sequence[Ranked], weights: Weights) -> Difference:
    """mAP of `one` less that of `other`, on the same pictures in the same order; `weights` as `draw` gives them.

    All three numbers are not a number where no picture has an object.
    """
    once = every_picture_once(weights.shape[1])
    measured = mean_average_precision(one, once) - mean_average_precision(other, once)
    differences = mean_average_precision(one, weights) - mean_average_precision(other, weights)
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return Difference(float("nan"), float("nan"), float("nan"))
    tail = (1 - CONFIDENCE_RATIO) / 2
    low, high = np.quantile(differences, (tail, 1 - tail))
    return Difference(*(float(value) * POINTS for value in (measured[0], low, high)))
