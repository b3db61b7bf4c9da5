"""Geometry of a mosaic: cells, letterboxes, and the way from a box on the canvas back to its camera. Pure.

All coordinates are pixels with the origin top left; rectangles and boxes are half-open. A canvas has 2x2 cells in
reading order (tile 0 top left, 3 bottom right). The content of a tile is its camera's picture, scaled to fit its cell
with the aspect ratio kept and centred; the rest of the cell is grey (letterbox, as Darknet trains with).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TILES = 4
GREY = 127
"""Value of a letterbox bar and of a blank tile: Darknet's 0.5."""

BoxArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of whole pixels: columns [x, x + w), rows [y, y + h)."""

    x: int
    y: int
    w: int
    h: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices that cut this rectangle out of an image (h, w, ...)."""
        return slice(self.y, self.y + self.h), slice(self.x, self.x + self.w)


@dataclass(frozen=True, slots=True)
class Canvas:
    """A mosaic's canvas of 2x2 equal cells. Width and height are even."""

    w: int
    h: int

    def __post_init__(self) -> None:
        if self.w < 2 or self.h < 2 or self.w % 2 or self.h % 2:
            raise ValueError(f"a canvas needs even sides, got {self.w}x{self.h}")

    @property
    def tile_wh(self) -> tuple[int, int]:
        """Width and height of one cell."""
        return self.w // 2, self.h // 2

    def cell(self, tile: int) -> Rect:
        """Return the cell of tile 0..3 in canvas pixels."""
        if not 0 <= tile < TILES:
            raise ValueError(f"a mosaic has tiles 0 to {TILES - 1}, not {tile}")
        w, h = self.tile_wh
        return Rect((tile % 2) * w, (tile // 2) * h, w, h)

    def content(self, tile: int, source_wh: tuple[int, int]) -> Rect:
        """Return where a camera's picture lies on the canvas: letterboxed into its cell, in canvas pixels."""
        cell = self.cell(tile)
        inner = letterbox(source_wh, self.tile_wh)
        return Rect(cell.x + inner.x, cell.y + inner.y, inner.w, inner.h)


def letterbox(source_wh: tuple[int, int], tile_wh: tuple[int, int]) -> Rect:
    """Return the largest centred rectangle in a tile that keeps the source's aspect ratio (at least 1x1 pixels)."""
    (sw, sh), (tw, th) = source_wh, tile_wh
    if min(sw, sh, tw, th) < 1:
        raise ValueError(f"sizes must be positive, got source {sw}x{sh} and tile {tw}x{th}")
    if sw * th >= sh * tw:
        w, h = tw, max(1, min(th, round(sh * tw / sw)))
    else:
        w, h = max(1, min(tw, round(sw * th / sh))), th
    return Rect((tw - w) // 2, (th - h) // 2, w, h)


def tile_of(xyxy: BoxArray, canvas: Canvas) -> npt.NDArray[np.intp]:
    """Return the tile (0..3) that holds each box's centre.

    ``xyxy`` is float32 (n, 4) in canvas pixels; a centre outside the canvas belongs to the nearest tile.
    """
    w, h = canvas.tile_wh
    # Halves first: the sum of two huge coordinates may overflow float32.
    x = xyxy[:, 0] / 2 + xyxy[:, 2] / 2
    y = xyxy[:, 1] / 2 + xyxy[:, 3] / 2
    return (x >= w).astype(np.intp) + 2 * (y >= h).astype(np.intp)


def to_source(xyxy: BoxArray, content: Rect, source_wh: tuple[int, int]) -> BoxArray:
    """Map boxes from canvas pixels to the camera's own pixels, clipped to its picture.

    ``xyxy`` is float32 (n, 4); so is the result, whose boxes may be empty where a box lay in the letterbox bars.
    """
    sx, sy = source_wh[0] / content.w, source_wh[1] / content.h
    out = np.empty_like(xyxy)
    out[:, 0::2] = np.clip((xyxy[:, 0::2] - content.x) * sx, 0, source_wh[0])
    out[:, 1::2] = np.clip((xyxy[:, 1::2] - content.y) * sy, 0, source_wh[1])
    return out


def to_canvas(xyxy: BoxArray, content: Rect, source_wh: tuple[int, int]) -> BoxArray:
    """Map boxes from the camera's own pixels to canvas pixels: the inverse of :func:`to_source` inside the picture."""
    sx, sy = content.w / source_wh[0], content.h / source_wh[1]
    out = np.empty_like(xyxy)
    out[:, 0::2] = xyxy[:, 0::2] * sx + content.x
    out[:, 1::2] = xyxy[:, 1::2] * sy + content.y
    return out
