"""Average precision, for one set of pictures or for many resamples of it at once.

AP is COCO's: precision made monotonic, then the mean of it at the 101 recalls 0, 0.01 ... 1 (Lin et al. 2014;
`COCOeval.accumulate` in cocoapi's cocoeval.py). Here it is worked out in whole numbers, and with a weight for each
picture, so that a bootstrap needs no loop: a picture of weight 2 counts as if it were there twice.
Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from inference.engine import Detections
from inference.evaluation.matching import MIN_IOU, Match, Objects, match

Weights = npt.NDArray[np.int64]
"""(resamples, pictures), how often each picture is there."""

RECALLS: Final = 100
"""Steps of recall between 0 and 1; precision is read at both ends too."""
_MAX_CELLS: Final = 1 << 21
"""Numbers of one array at a time: some tens of megabytes for all of them together."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One picture, each detection of it judged."""

    found: Detections
    objects: Objects
    matches: npt.NDArray[np.intp]
    """(detections,), as `matching.match` gives them."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """All detections of one class over all pictures, best score first; ignored ones are left out."""

    class_id: int
    is_right: npt.NDArray[np.bool_]
    """(n,)"""
    pictures: npt.NDArray[np.intp]
    """(n,), the picture that each is of."""
    objects: npt.NDArray[np.int64]
    """(pictures,), how many objects of the class are in each."""


def judge(found: Detections, objects: Objects, min_iou: float = MIN_IOU) -> Judged:
    """The picture with its detections matched."""
    return Judged(found, objects, match(found, objects, min_iou))


def rank(judged: Sequence[Judged]) -> tuple[Ranked, ...]:
    """The detections by class, for the classes of which there are objects; rising class ids.

    Of equal scores the earlier picture's comes first.
    """
    counts = [np.unique(item.objects.class_ids[~item.objects.ignored], return_counts=True) for item in judged]
    objects: dict[int, npt.NDArray[np.int64]] = {}
    for picture, (class_ids, numbers) in enumerate(counts):
        for class_id, number in zip(class_ids.tolist(), numbers.tolist(), strict=True):
            objects.setdefault(class_id, np.zeros(len(judged), np.int64))[picture] = number
    if not judged:
        return ()
    scores = np.concatenate([item.found.scores for item in judged])
    class_of = np.concatenate([item.found.class_ids for item in judged])
    matches = np.concatenate([item.matches for item in judged])
    pictures = np.repeat(np.arange(len(judged)), [len(item.found) for item in judged])
    order = np.argsort(-scores, kind="stable")
    order = order[matches[order] != Match.IGNORED]
    ranked = []
    for class_id in sorted(objects):
        mine = order[class_of[order] == class_id]
        ranked.append(Ranked(class_id, matches[mine] >= 0, pictures[mine], objects[class_id]))
    return tuple(ranked)


def average_precision(ranked: Ranked, weights: Weights) -> npt.NDArray[np.float64]:
    """AP of one class in each resample (resamples,), 0 to 1; not a number where a resample has no object of it."""
    rows = max(1, _MAX_CELLS // max(1, len(ranked.is_right)))
    parts = [_average_precision(ranked, weights[start : start + rows]) for start in range(0, len(weights), rows)]
    return np.concatenate(parts) if parts else np.zeros(0)


def mean_average_precision(classes: Sequence[Ranked], weights: Weights) -> npt.NDArray[np.float64]:
    """Mean AP (resamples,) over the classes that have objects in the resample; not a number where none has."""
    values = np.stack([average_precision(ranked, weights) for ranked in classes]) if classes else np.zeros((0, 0))
    present = np.isfinite(values)
    counts = present.sum(axis=0) if classes else np.zeros(len(weights))
    sums = np.where(present, values, 0).sum(axis=0) if classes else np.zeros(len(weights))
    means: npt.NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(weights), np.nan), where=counts > 0)
    return means


def every_picture_once(pictures: int) -> Weights:
    """The weights (1, pictures) of the set itself."""
    return np.ones((1, pictures), np.int64)


def _average_precision(ranked: Ranked, weights: Weights) -> npt.NDArray[np.float64]:
    there = weights @ ranked.objects
    times = weights[:, ranked.pictures]
    right = np.cumsum(times * ranked.is_right, axis=1)
    found = np.cumsum(times, axis=1)
    precision = np.divide(right, found, out=np.zeros(found.shape), where=found > 0)
    # The best precision at this recall or a higher one.
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # How many of the 101 recalls have been reached: k / 100 <= right / there, in whole numbers.
    reached = right * RECALLS // np.maximum(there, 1)[:, None] + 1
    steps = np.diff(reached, axis=1, prepend=0)
    result: npt.NDArray[np.float64] = (precision * steps).sum(axis=1) / (RECALLS + 1)
    result[there == 0] = np.nan
    return result
