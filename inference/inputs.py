"""How mosaics become a model's images, and what it found on them boxes on the canvas, each with its tile.

Two ways: `mosaic`, the whole canvas is one image, and a box belongs to the tile that holds its centre; `tiles`, its
four cells are images of their own, no box can cross a seam, and each belongs to the cell it was found in. So tiles that
show nothing new can be left out, and what a mosaic costs follows what moves in it.
Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from capture.layout import TILES, Canvas, tile_of
from inference.engine import Detections

InputKind = Literal["mosaic", "tiles"]
ALL_TILES = tuple(range(TILES))


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
        """How many images one mosaic is at most."""
        return self.images_of(ALL_TILES)

    def images_of(self, tiles: Sequence[int]) -> int:
        """How many images a mosaic is of which these tiles are wanted."""
        return 1 if self.kind == "mosaic" else len(tiles)

    def split(
        self, mosaics: npt.NDArray[np.uint8], wanted: Sequence[Sequence[int]] | None = None
    ) -> npt.NDArray[np.uint8]:
        """The images of uint8 (n, h, w, 3) canvases: uint8 (images, ...), a mosaic's in the order of its tiles.

        `wanted` are the tiles of each mosaic, at least one in all; None is all of all.
        """
        if self.kind == "mosaic":
            return mosaics
        places = [self.canvas.cell(tile).slices for tile in ALL_TILES]
        wanted = wanted or [ALL_TILES] * len(mosaics)
        return np.stack([mosaic[places[tile]] for mosaic, tiles in zip(mosaics, wanted, strict=True) for tile in tiles])

    def place(self, found: Sequence[Detections], tiles: Sequence[int] = ALL_TILES) -> Placed:
        """One mosaic's boxes on its canvas, from those in its images, which are of these tiles, at least one."""
        if self.kind == "mosaic":
            return Placed(found[0], tile_of(found[0].xyxy, self.canvas))
        cells = [self.canvas.cell(tile) for tile in tiles]
        moved = [
            item.xyxy + np.array((at.x, at.y, at.x, at.y), np.float32) for item, at in zip(found, cells, strict=True)
        ]
        joined = Detections(
            np.concatenate(moved),
            np.concatenate([item.scores for item in found]),
            np.concatenate([item.class_ids for item in found]),
        )
        return Placed(joined, np.repeat(np.asarray(tiles, np.intp), [len(item) for item in found]))


def batches(images: int, sizes: Sequence[int]) -> Iterator[slice]:
    """Cut so many images into batches of these sizes (1 among them), the largest first: no other shape is compiled."""
    start = 0
    while start < images:
        size = max(size for size in sizes if size <= images - start)
        yield slice(start, start + size)
        start += size
