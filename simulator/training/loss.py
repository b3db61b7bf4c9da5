"""What is wrong with the raw maps, as one number: boxes by CIoU, objectness and classes by binary cross-entropy.

Shell only because it imports tensorflow; it keeps nothing. CIoU: Zheng et al., arXiv:1911.08287. The objectness to be
learned is the overlap of the box that the slot reports now, so that the best of several boxes of one thing scores best.
"""

from dataclasses import dataclass
from math import pi
from typing import Any, Final

import tensorflow as tf

from simulator.training.targets import IGNORED, POSITIVE, Grid

BOX_WEIGHT: Final = 5.0
"""Against 1 for objectness and for classes, all a positive slot (YOLOX, arXiv:2107.08430)."""
MAX_EXPONENT: Final = 4.0
"""Of a box's size over its anchor's in training: 55 times; keeps the first steps finite."""
_TINY: Final = 1e-7

Tensor = Any
"""tf.Tensor; tensorflow has no types to check against."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The loss, and what it is made of; scalars."""

    total: Tensor
    box: Tensor
    objectness: Tensor
    classes: Tensor


def decode(raw: Tensor, grid: Grid, scale_x_y: float) -> Tensor:
    """Boxes xyxy in pixels, (batch, rows, columns, anchors, 4), of raw maps (..., anchors, 5 + classes).

    As `inference.decode` does it.
    """
    columns, rows = tf.meshgrid(tf.range(grid.columns, dtype=tf.float32), tf.range(grid.rows, dtype=tf.float32))
    cells = tf.stack([columns, rows], axis=-1)[None, :, :, None]
    centres = (cells + tf.sigmoid(raw[..., :2]) * scale_x_y - (scale_x_y - 1) / 2) * grid.stride
    anchors = tf.constant(grid.anchors_wh, tf.float32)
    half = anchors * tf.exp(tf.clip_by_value(raw[..., 2:4], -MAX_EXPONENT, MAX_EXPONENT)) / 2
    return tf.concat([centres - half, centres + half], axis=-1)


def complete_iou(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """CIoU (-1.5 to 1) and IoU (0 to 1) of pairs of boxes (..., 4)."""
    upper, lower = tf.maximum(first[..., :2], second[..., :2]), tf.minimum(first[..., 2:], second[..., 2:])
    shared = tf.reduce_prod(tf.maximum(lower - upper, 0), axis=-1)
    first_wh, second_wh = first[..., 2:] - first[..., :2], second[..., 2:] - second[..., :2]
    union = tf.reduce_prod(first_wh, axis=-1) + tf.reduce_prod(second_wh, axis=-1) - shared
    iou = shared / (union + _TINY)
    hull = tf.maximum(first[..., 2:], second[..., 2:]) - tf.minimum(first[..., :2], second[..., :2])
    between = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    distance = tf.reduce_sum(between**2, axis=-1) / (tf.reduce_sum(hull**2, axis=-1) + _TINY)
    angles = [tf.atan(wh[..., 0] / (wh[..., 1] + _TINY)) for wh in (first_wh, second_wh)]
    shape = 4 / pi**2 * (angles[0] - angles[1]) ** 2
    weight = tf.stop_gradient(shape / (1 - iou + shape + _TINY))
    return iou - distance - weight * shape, iou


def detection_loss(
    maps: list[Tensor], targets: list[Tensor], grids: tuple[Grid, ...], scales_x_y: tuple[float, ...], classes: int
) -> Parts:
    """The loss of a batch: raw maps float32 (batch, rows, columns, anchors * (5 + classes)) against `targets.assign`'s.

    Each part is a sum over slots, divided by the number of positive slots in all heads.
    """
    sums = [tf.constant(0.0)] * 4
    for raw, target, grid, scale_x_y in zip(maps, targets, grids, scales_x_y, strict=True):
        shape = (-1, grid.rows, grid.columns, len(grid.anchors_wh), 5 + classes)
        parts = _head_sums(tf.reshape(raw, shape), target, grid, scale_x_y, classes)
        sums = [total + part for total, part in zip(sums, parts, strict=True)]
    count = tf.maximum(sums[3], 1.0)
    box, objectness, kinds = (total / count for total in sums[:3])
    return Parts(BOX_WEIGHT * box + objectness + kinds, box, objectness, kinds)


def _head_sums(raw: Tensor, target: Tensor, grid: Grid, scale_x_y: float, classes: int) -> list[Tensor]:
    """Sums of box loss, objectness loss and class loss, and the number of positive slots."""
    is_positive = tf.equal(target[..., 5], POSITIVE)
    positive = tf.cast(is_positive, tf.float32)
    ciou, iou = complete_iou(decode(raw, grid, scale_x_y), target[..., :4])
    # A slot without a target is compared with an empty box; what comes of it must not reach the sums, even as 0 * NaN.
    box = tf.reduce_sum(tf.where(is_positive, 1 - ciou, 0.0))
    wanted = tf.stop_gradient(tf.where(is_positive, tf.clip_by_value(iou, 0.0, 1.0), 0.0))
    judged = 1 - tf.cast(tf.equal(target[..., 5], IGNORED), tf.float32)
    objectness = tf.reduce_sum(judged * tf.nn.sigmoid_cross_entropy_with_logits(labels=wanted, logits=raw[..., 4]))
    one_hot = tf.one_hot(tf.cast(target[..., 4], tf.int32), classes)
    kinds = tf.nn.sigmoid_cross_entropy_with_logits(labels=one_hot, logits=raw[..., 5:])
    return [box, objectness, tf.reduce_sum(positive * tf.reduce_sum(kinds, axis=-1)), tf.reduce_sum(positive)]
