"""How pictures reach the detector, and how its boxes come back: alone, as quadrants in a batch, or as one canvas.

In all three ways each picture is scaled to the same tile, so that what differs is the way alone. The geometry is the
product's (`capture.layout`), and boxes are credited as `inference.sightings` does it.
Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from capture.layout import GREY, TILES, Canvas, Rect, letterbox, to_source
from inference.engine import Detections
from inference.inputs import ModelInput
from inference.sightings import MIN_SIDE

Image = npt.NDArray[np.uint8]

SEAM_MARGIN: Final = 1.0
"""Pixels that a box may reach over a seam before it counts as crossing: a box that ends there ends nowhere sharply."""


class Input(StrEnum):
    """The ways."""

    SINGLE = "single"
    """A frame alone is the input."""
    TILES = "tiles"
    """The four quadrants of a mosaic are a batch of four."""
    MOSAIC = "mosaic"
    """The whole canvas is the input."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """One way at one tile size."""

    way: Input
    tile_wh: tuple[int, int]
    stretch: bool = False
    """Whether pictures fill the tile, their aspect ratio lost, instead of being letterboxed."""

    @property
    def canvas(self) -> Canvas:
        """Four tiles."""
        return Canvas(2 * self.tile_wh[0], 2 * self.tile_wh[1])

    @property
    def model_input(self) -> ModelInput:
        """How the canvas becomes images and their boxes boxes on the canvas: as a worker does it."""
        return ModelInput("mosaic" if self.way is Input.MOSAIC else "tiles", self.canvas)

    @property
    def batch(self) -> int:
        """How many images the engine gets at once."""
        return 1 if self.way is Input.SINGLE else self.model_input.images

    def place(self, source_wh: tuple[int, int]) -> Rect:
        """Where a picture of this size lies in its tile, in pixels of the tile."""
        return Rect(0, 0, *self.tile_wh) if self.stretch else letterbox(source_wh, self.tile_wh)

    def content(self, tile: int, source_wh: tuple[int, int]) -> Rect:
        """Where it lies on the canvas."""
        cell, place = self.canvas.cell(tile), self.place(source_wh)
        return Rect(cell.x + place.x, cell.y + place.y, place.w, place.h)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A picture, scaled to its place in a tile."""

    pixels: Image
    """uint8 RGB (h, w, 3), of the size of `Arrangement.place`."""
    source_wh: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Credited:
    """What was found in one picture."""

    found: Detections
    """In the picture's own pixels, clipped to it."""
    crosses: npt.NDArray[np.bool_]
    """(n,), whether the box reached over a side of its tile that is a seam in a mosaic."""


def mosaics_of(pictures: int) -> tuple[tuple[int, ...], ...]:
    """Which pictures share a mosaic, in the order of their tiles; the last mosaics may have only three.

    Those that follow each other are kept apart, since frames of one video are alike.
    """
    number = -(-pictures // TILES)
    return tuple(tuple(range(first, pictures, number)) for first in range(number))


def compose(placed: Sequence[Placed], arrangement: Arrangement) -> list[Image]:
    """What the engine gets for one mosaic's pictures, one array a call: uint8 (batch, h, w, 3)."""
    canvas = arrangement.canvas
    pixels = np.full((1, canvas.h, canvas.w, 3), GREY, np.uint8)
    for tile, item in enumerate(placed):
        pixels[0][arrangement.content(tile, item.source_wh).slices] = item.pixels
    images = arrangement.model_input.split(pixels)
    return [images[first : first + arrangement.batch] for first in range(0, len(images), arrangement.batch)]


def credit(found: Sequence[Detections], placed: Sequence[Placed], arrangement: Arrangement) -> list[Credited]:
    """What was found in each of one mosaic's pictures; `found` is what the engine said of each image, in order."""
    on_canvas = arrangement.model_input.place(found)
    seen = on_canvas.detections
    result = []
    for tile, item in enumerate(placed):
        mine = on_canvas.tiles == tile
        canvas_xyxy = seen.xyxy[mine]
        xyxy = to_source(canvas_xyxy, arrangement.content(tile, item.source_wh), item.source_wh)
        kept = ((xyxy[:, 2:] - xyxy[:, :2]) >= MIN_SIDE).all(axis=1)
        detections = Detections(xyxy[kept], seen.scores[mine][kept], seen.class_ids[mine][kept])
        result.append(Credited(detections, _crosses(canvas_xyxy[kept], tile, arrangement.canvas)))
    return result


def _crosses(canvas_xyxy: npt.NDArray[np.float32], tile: int, canvas: Canvas) -> npt.NDArray[np.bool_]:
    """Whether boxes of a tile, in canvas pixels, reach into another one."""
    w, h = canvas.tile_wh
    left, top, right, bottom = canvas_xyxy.T
    sideways = right > w + SEAM_MARGIN if tile % 2 == 0 else left < w - SEAM_MARGIN
    upright = bottom > h + SEAM_MARGIN if tile < 2 else top < h - SEAM_MARGIN
    result: npt.NDArray[np.bool_] = sideways | upright
    return result
