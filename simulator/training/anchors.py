"""Anchors from the training boxes: k-means by overlap of shapes (YOLO9000, arXiv:1612.08242, section 2). Pure."""

from typing import Final

import numpy as np

from simulator.training.boxes import Floats, shape_overlaps

ROUNDS: Final = 100
"""More than it takes; it stops as soon as no box changes its anchor."""


def find_anchors(wh: Floats, count: int, seed: int) -> Floats:
    """`count` anchors for boxes of the sizes `wh` (n, 2), by area, smallest first: float32 (count, 2) pixels.

    Raises ValueError where there are fewer different sizes than anchors.
    """
    different = np.unique(wh, axis=0)
    if len(different) < count:
        raise ValueError(f"{len(different)} different boxes are not enough for {count} anchors")
    # Starting from areas evenly apart rather than from chance, which would give frequent boxes nearly all anchors.
    by_area = different[np.argsort(np.prod(different, axis=1), kind="stable")]
    areas = np.log(np.prod(by_area, axis=1))
    wanted = areas[0] + (np.arange(count) + 0.5) / count * (areas[-1] - areas[0])
    anchors = by_area[np.abs(areas[:, None] - wanted).argmin(axis=0)].astype(np.float32)
    nearest = np.full(len(wh), -1)
    rng = np.random.default_rng(seed)
    for _ in range(ROUNDS):
        now = np.argmax(shape_overlaps(wh, anchors), axis=1)
        if np.array_equal(now, nearest):
            break
        nearest = now
        for index in range(count):
            mine = wh[nearest == index]
            # The median is not drawn by the few boxes that fill the picture. An anchor nobody took starts afresh.
            anchors[index] = np.median(mine, axis=0) if len(mine) else different[rng.integers(len(different))]
    out: Floats = anchors[np.argsort(np.prod(anchors, axis=1), kind="stable")]
    return out


def mean_overlap(wh: Floats, anchors: Floats) -> float:
    """How well the anchors fit: mean overlap of each box with its best one, 0 to 1."""
    return float(shape_overlaps(wh, anchors).max(axis=1).mean())
