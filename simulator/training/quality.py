"""Precision and recall of boxes against the world's truth, and what is judged at all. Pure.

An object is judged if its box has at least the area of a square of `MIN_SIZE` pixels in the tile and at least
`MIN_VISIBLE` of it can be seen. What is smaller or more hidden is neither missed nor false: a detection that lies on
such an object, of whatever class, is dropped, and so is an unmatched detection that is itself too small to be judged
(COCO's rule for ranges of area). All other unmatched detections are false, also those of the right place and the wrong
class, and second ones of the same object.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.training.boxes import Floats, Integers, overlaps, sizes

MIN_SIZE: Final = 12.0
"""Pixels of the tile, the root of a box's area."""
MIN_VISIBLE: Final = 0.4
"""Of the object's own pixels; the rest is covered or outside of the picture."""
MIN_IOU: Final = 0.5

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Truths:
    """What is in a picture: xyxy (n, 4) in pixels of the tile, class ids (n,), the visible part (n,) from 0 to 1."""

    xyxy: Floats
    class_ids: Integers
    visible_ratio: Floats

    @property
    def is_judged(self) -> Flags:
        """Which of them count, (n,)."""
        judged: Flags = (sizes(self.xyxy) >= MIN_SIZE) & (self.visible_ratio >= MIN_VISIBLE)
        return judged


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a detector says: xyxy (m, 4) in pixels of the tile, scores (m,), class ids (m,)."""

    xyxy: Floats
    scores: Floats
    class_ids: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """One picture's verdict. For each detection that counts, its score, class and whether it is right."""

    scores: Floats
    class_ids: Integers
    is_right: Flags
    there: Integers
    """How many judged objects of each class there are, (classes,)."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Sums over pictures at one threshold."""

    right: int
    false: int
    there: int

    @property
    def recall(self) -> float:
        """Share of the judged objects that are found; 1 if there are none."""
        return self.right / self.there if self.there else 1.0

    @property
    def precision(self) -> float:
        """Share of the detections that are right; 1 if there are none."""
        return self.right / (self.right + self.false) if self.right + self.false else 1.0


def judge(found: Found, truths: Truths, classes: int) -> Judgement:
    """Match detections, best score first, each to the judged object of its class that it overlaps most."""
    judged = truths.is_judged
    order = np.argsort(-found.scores, kind="stable")
    overlap = overlaps(found.xyxy[order], truths.xyxy)
    own_sizes = sizes(found.xyxy[order])
    free = judged.copy()
    is_right = np.zeros(len(order), np.bool_)
    counts = np.ones(len(order), np.bool_)
    for index, item in enumerate(order):
        fits = np.where(free & (truths.class_ids == found.class_ids[item]), overlap[index], 0)
        if len(fits) and fits.max() >= MIN_IOU:
            is_right[index] = True
            free[np.argmax(fits)] = False
        elif own_sizes[index] < MIN_SIZE or (overlap[index][~judged] >= MIN_IOU).any():
            counts[index] = False
    there = np.bincount(truths.class_ids[judged], minlength=classes)
    return Judgement(found.scores[order][counts], found.class_ids[order][counts], is_right[counts], there)


def quality_at(judgements: Sequence[Judgement], threshold: float, class_id: int | None = None) -> Quality:
    """The sums of what has at least this score; of one class or of all.

    Exact, though each picture was judged at once for all thresholds: a detection is matched before all that score less.
    """
    right = false = there = 0
    for item in judgements:
        chosen = item.scores >= threshold
        if class_id is not None:
            chosen &= item.class_ids == class_id
        right += int(item.is_right[chosen].sum())
        false += int((~item.is_right[chosen]).sum())
        there += int(item.there.sum() if class_id is None else item.there[class_id])
    return Quality(right, false, there)


def balanced_threshold(judgements: Sequence[Judgement], thresholds: Iterable[float]) -> float:
    """The threshold at which the lesser of recall and precision is greatest; of equals the lowest."""

    def worth(threshold: float) -> tuple[float, float]:
        quality = quality_at(judgements, threshold)
        return min(quality.recall, quality.precision), -threshold

    return max(thresholds, key=worth)
