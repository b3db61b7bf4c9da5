"""How mosaics become a model's images, and what it found on them boxes on the canvas, each with its tile.

Two ways: `mosaic`, the whole canvas is one image, and a box belongs to the tile that holds its centre; `tiles`, its
four cells are a batch of four, no box can cross a seam, and each belongs to the cell it was found in.
Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from capture.layout import TILES, Canvas, tile_of
from inference.engine import Detections

InputKind = Literal["mosaic", "tiles"]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """What was found on one mosaic."""

    detections: Detections
    """In canvas pixels."""
    tiles: npt.NDArray[np.intp]
    """(n,), the tile 0..3 of each box."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One of the two ways, for canvases of one size."""

    kind: InputKind
    canvas: Canvas

    @property
    def input_wh(self) -> tuple[int, int]:
        """Width and height of the model's images."""
        return (self.canvas.w, self.canvas.h) if self.kind == "mosaic" else self.canvas.tile_wh

    @property
    def images(self) -> int:
        """How many images one mosaic is."""
        return 1 if self.kind == "mosaic" else TILES

    def split(self, mosaics: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The images of uint8 (n, h, w, 3) canvases: uint8 (n * images, ...), a mosaic's four in reading order."""
        if self.kind == "mosaic":
            return mosaics
        w, h = self.canvas.tile_wh
        cells = mosaics.reshape(len(mosaics), 2, h, 2, w, 3).transpose(0, 1, 3, 2, 4, 5)
        return np.ascontiguousarray(cells).reshape(-1, h, w, 3)

    def place(self, found: Sequence[Detections]) -> Placed:
        """One mosaic's boxes on its canvas, from those in its images."""
        if self.kind == "mosaic":
            return Placed(found[0], tile_of(found[0].xyxy, self.canvas))
        cells = [self.canvas.cell(tile) for tile in range(TILES)]
        moved = [
            item.xyxy + np.array((at.x, at.y, at.x, at.y), np.float32) for item, at in zip(found, cells, strict=True)
        ]
        joined = Detections(
            np.concatenate(moved),
            np.concatenate([item.scores for item in found]),
            np.concatenate([item.class_ids for item in found]),
        )
        return Placed(joined, np.repeat(np.arange(TILES), [len(item) for item in found]))
