"""Boxes, and the one tile that the detector is trained for. Pure.

Boxes are float32 xyxy (n, 4), pixels, half-open.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]

TILE_WH: Final = (416, 256)
"""One camera's part of the default canvas, 832x512."""
CONTENT_WH: Final = (416, 234)
"""A 16:9 picture, letterboxed into the tile."""
CONTENT_TOP: Final = 11
"""Rows of the bar above it."""
GREY: Final = 127
"""What the bars are filled with; as the compositor does."""


def sizes(xyxy: Floats) -> Floats:
    """The side of the square of the same area, (n,) pixels: what "an object of 12 pixels" is measured by."""
    wh = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 0)
    out: Floats = np.sqrt(wh[:, 0] * wh[:, 1])
    return out


def clipped(xyxy: Floats, wh: tuple[int, int]) -> Floats:
    """The part of each box that lies in a picture of this size; may be empty."""
    limits = np.array([*wh, *wh], np.float32)
    return np.clip(xyxy, 0, limits)


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of all pairs, (n, m), 0 to 1."""
    upper = np.maximum(first[:, None, :2], second[None, :, :2])
    lower = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(lower - upper, 0), axis=2)
    areas = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    out: Floats = (shared / np.maximum(union, 1e-9)).astype(np.float32)
    return out


def shape_overlaps(first_wh: Floats, second_wh: Floats) -> Floats:
    """Intersection over union of all pairs of shapes (n, 2) and (m, 2), laid on one centre: (n, m), 0 to 1."""
    shared = np.prod(np.minimum(first_wh[:, None], second_wh[None]), axis=2)
    union = np.prod(first_wh, axis=1)[:, None] + np.prod(second_wh, axis=1)[None] - shared
    out: Floats = (shared / np.maximum(union, 1e-9)).astype(np.float32)
    return out
