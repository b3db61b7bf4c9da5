"""From a detector's raw maps to boxes: decoding, threshold, suppression.

Numpy over values; the cost must stay far below the forward pass's, so nearly all boxes are dropped by their objectness
alone before any other number of theirs is looked at.
Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from inference.darknet.layers import Head
from inference.engine import Detections

Floats = npt.NDArray[np.float32]

MAX_CANDIDATES: Final = 1000
"""Only the best so many of an image's boxes go into suppression, whose time grows with their square."""
MAX_EXPONENT: Final = 10.0
"""Of a box's size over its anchor's: e^10 is 22026 times. A bound, so that a broken model gives no infinite box."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """What is reported of all that a detector puts out."""

    score_threshold: float
    """Above 0: of the best class of a box."""
    iou_threshold: float
    """Of two boxes of one class that overlap by more, the better one stays."""
    max_detections: int
    """At most so many boxes an image."""


def decode_image(
    maps: Sequence[Floats], heads: Sequence[Head], input_wh: tuple[int, int], suppression: Suppression
) -> Detections:
    """The boxes in one image, best first.

    `maps` are the raw maps, one for each head, float32 (height, width, anchors * (5 + classes)). A value that is not a
    number makes no box.
    """
    found = [
        decode_head(raw, head, input_wh, suppression.score_threshold) for raw, head in zip(maps, heads, strict=True)
    ]
    joined = Detections(
        np.concatenate([item.xyxy for item in found]),
        np.concatenate([item.scores for item in found]),
        np.concatenate([item.class_ids for item in found]),
    )
    return suppress(joined, suppression)


def decode_head(raw: Floats, head: Head, input_wh: tuple[int, int], score_threshold: float) -> Detections:
    """The boxes of one head whose score reaches the threshold, in no order, not suppressed.

    Darknet's get_yolo_box and get_yolo_detections (yolo_layer.c): centre = (cell + sigmoid(t) * scale_x_y -
    (scale_x_y - 1) / 2) / cells, size = anchor * exp(t), score = objectness * class probability. Unlike Darknet, which
    reports a box once for every class over the threshold, a box counts for its best class only: one thing is one
    detection.
    """
    height, width = raw.shape[:2]
    values = raw.reshape(height, width, len(head.anchors_wh), 5 + head.classes)
    # A class probability is at most 1, so the objectness must reach the threshold as well; compared before the sigmoid.
    least = _logit(score_threshold)
    rows, columns, anchors = np.nonzero(values[..., 4] >= least)
    chosen = values[rows, columns, anchors]
    class_ids = np.argmax(chosen[:, 5:], axis=1)
    best = chosen[np.arange(len(chosen)), 5 + class_ids]
    scores = _sigmoid(chosen[:, 4]) * _sigmoid(best)
    kept = np.isfinite(chosen[:, :5]).all(axis=1) & (scores >= score_threshold)
    chosen, scores, class_ids = chosen[kept], scores[kept], class_ids[kept]

    cells = np.stack([columns[kept], rows[kept]], axis=1)
    pixels_a_cell = np.array(input_wh, np.float32) / np.array((width, height), np.float32)
    inside = _sigmoid(chosen[:, :2]) * head.scale_x_y - (head.scale_x_y - 1) / 2
    centres = (cells + inside) * pixels_a_cell
    anchor_wh = np.array(head.anchors_wh, np.float32)[anchors[kept]]
    half = anchor_wh * np.exp(np.minimum(chosen[:, 2:4], MAX_EXPONENT)) / 2
    xyxy = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
    return Detections(xyxy, scores.astype(np.float32), class_ids.astype(np.int32))


def suppress(found: Detections, suppression: Suppression) -> Detections:
    """What stays of overlapping boxes of one class, best first; different classes never suppress each other."""
    order = np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES]
    if not len(order):
        return found
    xyxy, scores, class_ids = found.xyxy[order], found.scores[order], found.class_ids[order]
    # OpenCV keeps classes apart by shifting each by class_id * (largest coordinate + 1): right from 0 upwards only.
    xywh = np.concatenate([xyxy[:, :2] - xyxy[:, :2].min(axis=0), xyxy[:, 2:] - xyxy[:, :2]], axis=1)
    # Its stubs ask for sequences; arrays are what it is quick with.
    batched: Any = cv2.dnn.NMSBoxesBatched
    kept = batched(xywh, scores, class_ids, suppression.score_threshold, suppression.iou_threshold)
    # In rising order, which is falling scores: so ties are broken the same way each time.
    best = np.sort(np.asarray(kept, np.intp).reshape(-1))[: suppression.max_detections]
    return Detections(xyxy[best], scores[best], class_ids[best])


def _sigmoid(values: Floats) -> Floats:
    # The bound keeps exp finite and changes no float32 result that matters: sigmoid(-80) is 1.8e-35.
    probabilities: Floats = np.reciprocal(1 + np.exp(-np.clip(values, -80, 80)))
    return probabilities


def _logit(probability: float) -> float:
    return math.inf if probability >= 1 else math.log(probability / (1 - probability))
