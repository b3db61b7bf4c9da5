"""Which detections are right: one picture's detections against what is really in it.

The rules are COCO's (`COCOeval.evaluateImg` in cocoapi's cocoeval.py): detections choose, best score first, and each
takes the free object of its class that it overlaps most.
Pure.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from inference.engine import Detections

Boxes = npt.NDArray[np.float32]

MIN_IOU: Final = 0.5
"""The overlap from which on a detection is right: the ".5" of mAP@.5."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """What is in one picture."""

    xyxy: Boxes
    """(n, 4), pixels of the picture, half-open."""
    class_ids: npt.NDArray[np.int32]
    """(n,), indices of the detector's labels."""
    ignored: npt.NDArray[np.bool_]
    """(n,), objects that need not be found; finding them is no mistake either."""

    def __len__(self) -> int:
        return len(self.class_ids)


class Match(IntEnum):
    """What `match` says of a detection that took no object; what took one has the object's index instead."""

    WRONG = -1
    """It overlaps no free object of its class enough."""
    IGNORED = -2
    """It overlaps an object that does not count, and none that does."""


def iou_matrix(xyxy: Boxes, others: Boxes) -> npt.NDArray[np.float64]:
    """Intersection over union of each box with each other one: (n, 4) and (m, 4) to (n, m); 0 for empty boxes."""
    one, other = xyxy.astype(np.float64)[:, None], others.astype(np.float64)[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    overlap = np.clip(sides, 0, None).prod(axis=-1)
    union = _area(one) + _area(other) - overlap
    ratios: npt.NDArray[np.float64] = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return ratios


def match(found: Detections, objects: Objects, min_iou: float = MIN_IOU) -> npt.NDArray[np.intp]:
    """For each detection (n,) the index of the object that it takes, or a `Match`.

    Where scores are equal the detection that stands first chooses first.
    """
    overlaps = iou_matrix(found.xyxy, objects.xyxy)
    overlaps[found.class_ids[:, None] != objects.class_ids[None]] = 0
    result = np.full(len(found), Match.WRONG, np.intp)
    if not len(objects):
        return result
    free = ~objects.ignored
    for index in np.argsort(-found.scores, kind="stable"):
        row = overlaps[index]
        best = int(np.argmax(np.where(free, row, -1)))
        if free[best] and row[best] >= min_iou:
            free[best] = False
            result[index] = best
        elif (row[objects.ignored] >= min_iou).any():
            result[index] = Match.IGNORED
    return result


def _area(xyxy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    area: npt.NDArray[np.float64] = np.clip(xyxy[..., 2:] - xyxy[..., :2], 0, None).prod(axis=-1)
    return area
