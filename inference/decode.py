"""From a detector's raw maps to boxes: decoding, threshold, suppression.

Numpy over values; the cost must stay far below the forward pass's, so nearly all boxes are dropped by their objectness
alone before any other number of theirs is looked at.
Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

from inference.darknet.layers import Head, HeadForm
from inference.engine import Detections

Floats = npt.NDArray[np.float32]

MAX_CANDIDATES: Final = 1000
"""Only the best so many of an image's boxes go into suppression, whose time grows with their square."""
BLOCK: Final = 64
"""So many boxes are compared with all others at a time."""
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

    `maps` are the raw maps, one for each head, float32 (height, width, anchors * (5 + classes)). A value that is not
    finite makes no box.
    """
    return suppress(decode_maps(maps, heads, input_wh, suppression.score_threshold), suppression)


def decode_maps(
    maps: Sequence[Floats], heads: Sequence[Head], input_wh: tuple[int, int], score_threshold: float
) -> Detections:
    """The boxes of all heads whose score reaches the threshold, in no order, not suppressed.

    Darknet's get_yolo_box, get_yolo_detections (yolo_layer.c) and get_region_box (region_layer.c): centre = (cell +
    inside * scale_x_y - (scale_x_y - 1) / 2) / cells, size = anchor * growth, score = objectness * class probability,
    with inside = sigmoid(t) and growth = exp(t), or with new coordinates inside = t and growth = (2 * t)**2. Unlike
    Darknet, which reports a box once for every class over the threshold, a box counts for its best class only: one
    thing is one detection.
    """
    # Small arrays cost numpy's overhead only, so heads that are read alike, mostly all, are read together.
    found: list[Detections] = []
    for (form, _), group in groupby(zip(maps, heads, strict=True), lambda pair: (pair[1].form, pair[1].classes)):
        candidates = [_candidates(raw, head, input_wh, score_threshold) for raw, head in group]
        values, places = (np.concatenate(parts) for parts in zip(*candidates, strict=True))
        found.append(_boxes(values, places, form, score_threshold))
    if len(found) == 1:
        return found[0]
    return Detections(
        np.concatenate([item.xyxy for item in found]),
        np.concatenate([item.scores for item in found]),
        np.concatenate([item.class_ids for item in found]),
    )


def _candidates(raw: Floats, head: Head, input_wh: tuple[int, int], score_threshold: float) -> tuple[Floats, Floats]:
    """What a head says about the places whose objectness reaches the threshold: (n, 5 + classes), as it came; and where
    they are, pixels: (n, 6) of the centre's least x and y, its range in x and y, the anchor's width and height.
    """
    height, width = raw.shape[:2]
    values = raw.reshape(-1, 5 + head.classes)
    # A class probability is at most 1, so the objectness must reach the threshold as well; compared before the sigmoid.
    least = score_threshold if head.form == "new_coords" else _logit(score_threshold)
    chosen = np.flatnonzero(values[:, 4] >= least)
    cells, anchors = np.divmod(chosen, len(head.anchors_wh))
    rows, columns = np.divmod(cells, width)
    cell_wh = input_wh[0] / width, input_wh[1] / height
    shift = (head.scale_x_y - 1) / 2
    places = np.empty((len(chosen), 6), np.float32)
    places[:, 0] = (columns - shift) * cell_wh[0]
    places[:, 1] = (rows - shift) * cell_wh[1]
    places[:, 2:4] = cell_wh
    places[:, 2:4] *= head.scale_x_y
    places[:, 4:] = np.array(head.anchors_wh, np.float32)[anchors]
    return values[chosen], places


def _boxes(values: Floats, places: Floats, form: HeadForm, score_threshold: float) -> Detections:
    """The boxes of candidates whose score reaches the threshold."""
    if not np.isfinite(values).all():
        finite = np.isfinite(values).all(axis=1)
        values, places = values[finite], places[finite]
    classes = values[:, 5:]
    class_ids = classes.argmax(axis=1)
    best = classes[np.arange(len(classes)), class_ids]
    # x and y in the cell, objectness, best class: all are logits but for new coordinates.
    shares = np.concatenate([values[:, [0, 1, 4]], best[:, None]], axis=1)
    shares = np.minimum(np.maximum(shares, 0), 1) if form == "new_coords" else _sigmoid(shares)
    if form == "region":
        # The best class over all; a difference too large for float32 leaves as little as any below -80.
        with np.errstate(over="ignore"):
            shares[:, 3] = 1 / np.exp(np.maximum(classes - best[:, None], -80)).sum(axis=1)
    scores = shares[:, 2] * shares[:, 3]
    kept = np.flatnonzero(scores >= score_threshold)
    places, sizes = places[kept], values[kept, 2:4]
    centres = places[:, :2] + shares[kept, :2] * places[:, 2:4]
    growth = np.square(2 * np.clip(sizes, 0, 1)) if form == "new_coords" else np.exp(np.minimum(sizes, MAX_EXPONENT))
    half = places[:, 4:] * growth / 2
    xyxy = np.concatenate([centres - half, centres + half], axis=1)
    return Detections(xyxy, scores[kept], class_ids[kept].astype(np.int32))


def suppress(found: Detections, suppression: Suppression) -> Detections:
    """What stays of overlapping boxes of one class, best first; different classes never suppress each other.

    Greedy, in blocks: within a block box by box, then all that its survivors suppress are dropped at once.
    """
    order = np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES]
    corners = np.ascontiguousarray(found.xyxy[order].T)
    class_ids = found.class_ids[order]
    kept: list[npt.NDArray[np.intp]] = []
    found_so_far = 0
    while len(order) and found_so_far < suppression.max_detections:
        size = min(len(order), BLOCK)
        over = _overlaps(corners[:, :size], corners, suppression.iou_threshold)
        over &= class_ids[:size, None] == class_ids
        stays = np.ones(size, np.bool_)
        inner = over[:, :size]
        for item in np.flatnonzero(inner.sum(axis=1) > inner.diagonal()):
            if stays[item]:
                stays[item + 1 :] &= ~inner[item, item + 1 :]
        kept.append(order[:size][stays])
        found_so_far += len(kept[-1])
        left = size + np.flatnonzero(~over[stays, size:].any(axis=0))
        order, corners, class_ids = order[left], corners[:, left], class_ids[left]
    best = np.concatenate(kept)[: suppression.max_detections] if kept else order
    return Detections(found.xyxy[best], found.scores[best], found.class_ids[best])


def _overlaps(ones: Floats, others: Floats, iou_threshold: float) -> npt.NDArray[np.bool_]:
    """Which of `ones` (4, n) overlap which of `others` (4, m) by more than the threshold: (n, m)."""
    left, top, right, bottom = ones[:, :, None]
    widths = np.minimum(right, others[2])
    widths -= np.maximum(left, others[0])
    heights = np.minimum(bottom, others[3])
    heights -= np.maximum(top, others[1])
    shared = np.maximum(widths, 0, out=widths)
    shared *= np.maximum(heights, 0, out=heights)
    union = (right - left) * (bottom - top) + (others[2] - others[0]) * (others[3] - others[1])
    union -= shared
    union *= np.float32(iou_threshold)
    over: npt.NDArray[np.bool_] = shared > union
    return over


def _sigmoid(values: Floats) -> Floats:
    # The bound keeps exp finite and changes no float32 result that matters: sigmoid(-80) is 1.8e-35.
    probabilities: Floats = np.reciprocal(1 + np.exp(np.minimum(np.maximum(-values, -80), 80)))
    return probabilities


def _logit(probability: float) -> float:
    return math.inf if probability >= 1 else math.log(probability / (1 - probability))
