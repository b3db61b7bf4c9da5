"""Detections and objects for tests, written shortly."""

from collections.abc import Sequence

import numpy as np

from inference.engine import Detections
from inference.evaluation.matching import Objects
from inference.evaluation.precision import Judged, judge

Box = tuple[float, float, float, float]


def found(*items: tuple[Box, float, int]) -> Detections:
    """Detections of (box, score, class id)."""
    return Detections(
        np.array([item[0] for item in items], np.float32).reshape(-1, 4),
        np.array([item[1] for item in items], np.float32),
        np.array([item[2] for item in items], np.int32),
    )


def objects(*items: tuple[Box, int], ignored: Sequence[int] = ()) -> Objects:
    """Objects of (box, class id); `ignored` are positions."""
    flags = np.zeros(len(items), np.bool_)
    flags[list(ignored)] = True
    boxes = np.array([item[0] for item in items], np.float32).reshape(-1, 4)
    return Objects(boxes, np.array([item[1] for item in items], np.int32), flags)


def random_picture(rng: np.random.Generator, classes: int = 3, most: int = 6) -> Judged:
    """A picture with some objects, and detections some of which are near them."""
    number = int(rng.integers(0, most + 1))
    corner = rng.uniform(0, 80, (number, 2))
    truth = np.concatenate([corner, corner + rng.uniform(5, 40, (number, 2))], axis=1)
    class_ids = rng.integers(0, classes, number)
    near = np.repeat(np.arange(number), 2)
    stray = int(rng.integers(0, 4))
    start = rng.uniform(0, 80, (stray, 2))
    boxes = np.concatenate(
        [truth[near] + rng.normal(0, 3, (len(near), 4)), np.concatenate([start, start + 20], axis=1)]
    )
    boxes = np.concatenate([boxes[:, :2], np.maximum(boxes[:, 2:], boxes[:, :2] + 1)], axis=1)
    labels = np.concatenate([class_ids[near], rng.integers(0, classes, stray)])
    # All different: what comes first of two equal scores is anybody's choice.
    scores = rng.permutation(len(boxes) * 7)[: len(boxes)] / 1000 + rng.uniform(0, 1e-4, len(boxes))
    detections = Detections(boxes.astype(np.float32), scores.astype(np.float32), labels.astype(np.int32))
    return judge(detections, Objects(truth.astype(np.float32), class_ids.astype(np.int32), np.zeros(number, np.bool_)))
