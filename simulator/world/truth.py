"""What a picture of the synthetic world is, and what is true of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LABELS = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
"""All labels of the world: COCO's words, in COCO's order."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One object on one picture.

    Attributes:
        label: one of LABELS.
        xyxy: the box of its whole silhouette, covered or not, clipped to the frame; pixels, half-open.
        visible_ratio: share (0, 1] of its own pixels that nothing else covers and that lie in the frame.
        track: the same number for the same object on all pictures of one round.
    """

    label: str
    xyxy: tuple[float, float, float, float]
    visible_ratio: float
    track: int


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame of the world.

    Attributes:
        rgb: uint8 (h, w, 3), the caller's own.
        truths: every object of which something is visible, the farthest first.
    """

    rgb: NDArray[np.uint8]
    truths: tuple[Truth, ...]
