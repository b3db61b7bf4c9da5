"""A camera's picture as a grid of cells, and the masks over it. Pure.

A mask says where a camera's motion does not count: a road behind the fence, a tree, the clock in the corner.
"""

from collections.abc import Iterable
from math import ceil, isfinite, sqrt

import numpy as np
import numpy.typing as npt

Polygon = tuple[tuple[float, float], ...]
"""At least three corners ``(x, y)``; 0..1 across and down the picture, origin top left. The last joins the first."""

CELLS = 14_400
"""160x90, about: an object of 12x24 pixels on a tile 416 wide covers 4x9 cells."""
SAMPLED_ROWS = 2
"""Rows of pixels read of each row of cells. All of them would cost 0.5 ms at 1080p, three 0.11, two 0.07."""

Luma = npt.NDArray[np.uint8]
"""uint8 (h, w): a picture's luma plane, a view of the decoder's memory. Do not write."""
Sums = npt.NDArray[np.unsignedinteger]
"""(rows, columns): for each cell the sum of its sampled pixels."""
Plane = npt.NDArray[np.float32]
"""float32 (rows, columns), one value a cell."""
Cells = npt.NDArray[np.bool_]


def problem(polygon: Polygon) -> str | None:
    """Return what is wrong with a polygon, or None."""
    if len(polygon) < 3:
        return f"a polygon needs three corners, not {len(polygon)}"
    for x, y in polygon:
        if not (isfinite(x) and isfinite(y) and 0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
            return f"a corner lies from 0,0 (top left) to 1,1 (bottom right), not at {x:g},{y:g}"
    return None


def covered(polygons: Iterable[Polygon], xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]) -> Cells:
    """Return bool ``(len(ys), len(xs))``: which points of the grid lie in any of the polygons.

    ``xs`` and ``ys`` are the coordinates of the grid's columns and rows, 0..1. A polygon that crosses itself covers
    what a ray to the left crosses an odd number of times (the even-odd rule; Shimrat 1962, algorithm 112). Raises
    ValueError for a polygon that has a :func:`problem`.
    """
    result = np.zeros((len(ys), len(xs)), bool)
    for polygon in polygons:
        if wrong := problem(polygon):
            raise ValueError(wrong)
        inside = np.zeros_like(result)
        for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
            if y0 == y1:
                continue  # no ray crosses it
            # Half-open, so that a ray through a corner crosses one of its two edges.
            rows = np.flatnonzero((y0 <= ys) != (y1 <= ys))
            crossing = x0 + (ys[rows] - y0) * ((x1 - x0) / (y1 - y0))
            inside[rows] = inside[rows] ^ (crossing[:, None] <= xs)
        result |= inside
    return result


class Grid:
    """How pictures of one size are shrunk, and which cells count."""

    def __init__(self, shape: tuple[int, ...], masks: tuple[Polygon, ...]) -> None:
        h, w = shape
        block = min(max(1, ceil(sqrt(w * h / CELLS))), w, h)
        self.block = block
        self.shape = h // block, w // block
        samples = min(block, SAMPLED_ROWS)
        self._rows = [(2 * i + 1) * block // (2 * samples) for i in range(samples)]
        self.weight = np.float32(1.0 / (samples * block))
        # uint16 is faster, and holds the sum of two rows of up to 128 pixels.
        self._dtype = np.uint16 if samples * block * 255 < 2**16 else np.uint32
        ys, xs = ((np.arange(n) + 0.5) * block / side for n, side in zip(self.shape, shape, strict=True))
        self.counts = ~covered(masks, xs, ys)
        self.unmasked = int(self.counts.sum())
        seen = self.counts if self.unmasked else np.ones_like(self.counts)
        self.share: npt.NDArray[np.float32] = (seen / seen.sum()).astype(np.float32)
        """Weight of each cell in mean and contrast."""
        thin = np.zeros_like(seen)
        thin[1::3, 1::3] = True
        self.fitted = np.flatnonzero(seen & thin if (seen & thin).any() else seen)
        """Cells from which light and noise are estimated."""

    def shrink(self, luma: Luma) -> Sums:
        """Return the sum of the sampled pixels of each cell."""
        rows, columns = self.shape
        block, (first, *others) = self.block, self._rows
        tall = luma[: rows * block, : columns * block]
        total = tall[first::block].astype(self._dtype)
        for row in others:
            np.add(total, tall[row::block], out=total)
        # Six times as fast as sum(axis=2), which has little to do in its inner loop.
        sums: Sums = np.einsum("ijk->ij", total.reshape(rows, columns, block))  # type: ignore[arg-type]
        return sums
