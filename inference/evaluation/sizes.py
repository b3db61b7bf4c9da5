"""Recall by the size of the objects: in the picture as COCO sorts them, and in the tile, where the detector sees them.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from inference.evaluation.precision import Judged


@dataclass(frozen=True, slots=True)
class SizeClass:
    """Objects whose side, the root of the box's area, is at least `least` pixels and below `below`."""

    name: str
    least: float
    below: float


PICTURE_SIZES: Final = (
    SizeClass("small", 0, 32),
    SizeClass("medium", 32, 96),
    SizeClass("large", 96, float("inf")),
)
"""COCO's (`Params.setDetParams` in cocoeval.py: areas of 32**2 and 96**2), by the box instead of the outline."""

TILE_SIZES: Final = (
    SizeClass("<12", 0, 12),
    SizeClass("12-24", 12, 24),
    SizeClass("24-48", 24, 48),
    SizeClass("48-96", 48, 96),
    SizeClass(">=96", 96, float("inf")),
)
"""By what the detector gets: 12 pixels is about the least that detectors of this kind find."""


@dataclass(frozen=True, slots=True)
class Recall:
    """How many objects of one size were found."""

    size: str
    found: int
    objects: int

    @property
    def ratio(self) -> float | None:
        """None where there are none."""
        return self.found / self.objects if self.objects else None


def recalls(
    judged: Sequence[Judged],
    scales: Sequence[tuple[float, float]],
    sizes: Sequence[SizeClass],
    score_threshold: float,
) -> tuple[Recall, ...]:
    """For each size how many objects were found by a detection of at least this score.

    `scales` has for each picture the factors (horizontal, vertical) by which its boxes are measured: (1, 1) in the
    picture itself, tile pixels by picture pixels in the tile.
    """
    sides = [np.zeros(0)]
    hits = [np.zeros(0, np.bool_)]
    for item, (horizontal, vertical) in zip(judged, scales, strict=True):
        counted = ~item.objects.ignored
        xyxy = item.objects.xyxy.astype(np.float64)
        width, height = (xyxy[:, 2] - xyxy[:, 0]) * horizontal, (xyxy[:, 3] - xyxy[:, 1]) * vertical
        sides.append(np.sqrt(np.maximum(width * height, 0))[counted])
        hits.append(_is_found(item, score_threshold)[counted])
    side, hit = np.concatenate(sides), np.concatenate(hits)
    result = []
    for size in sizes:
        mine = (side >= size.least) & (side < size.below)
        result.append(Recall(size.name, int(hit[mine].sum()), int(mine.sum())))
    return tuple(result)


def _is_found(item: Judged, score_threshold: float) -> npt.NDArray[np.bool_]:
    """(objects,): a threshold only takes the worst detections away, so it changes no other match."""
    found = np.zeros(len(item.objects), np.bool_)
    found[item.matches[(item.matches >= 0) & (item.found.scores >= score_threshold)]] = True
    return found
