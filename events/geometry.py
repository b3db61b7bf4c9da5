"""Points, lines and polygons of a picture, and the ground that it shows. Pure.

Points are ``(x, y)`` with y downwards. They may be pixels or 0..1; lengths are in the same unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Self

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]


def contains(corners: Sequence[Point], point: Point) -> bool:
    """Whether a polygon holds a point, by the even-odd rule (Shimrat 1962, algorithm 112); its edges are half-open."""
    x, y = point
    inside = False
    x0, y0 = corners[-1]
    for x1, y1 in corners:
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
            inside = not inside
        x0, y0 = x1, y1
    return inside


def distance_to_edge(corners: Sequence[Point], point: Point) -> float:
    """Return how far a point is from the nearest edge of a polygon, on either side of it."""
    return min(_distance(point, a, b) for a, b in zip(corners, (*corners[1:], corners[0]), strict=True))


def offset(a: Point, b: Point, point: Point) -> float:
    """Return how far a point is from the line through a and b: above 0 to the right of who looks from a to b."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    return (dx * (point[1] - a[1]) - dy * (point[0] - a[0])) / hypot(dx, dy)


def crossing(a: Point, b: Point, start: Point, end: Point) -> float | None:
    """Return where on the way from start to end, 0 to 1, the stretch from a to b is crossed; None where it is not."""
    before, after = offset(a, b, start), offset(a, b, end)
    if (before > 0) == (after > 0):
        return None
    part = before / (before - after)
    x, y = start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = (dx * (x - a[0]) + dy * (y - a[1])) / (dx * dx + dy * dy)
    return part if 0.0 <= along <= 1.0 else None


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """From a picture's points to metres on the ground, by a rectangle that lies there (a homography)."""

    matrix: npt.NDArray[np.float64]
    """3x3, of homogeneous coordinates."""

    @classmethod
    def of(cls, corners: Sequence[Point], width_m: float, length_m: float) -> Self:
        """Return the ground on which these four are a rectangle's corners, in turn: near left, near right, far right,
        far left. Its metres are ``(across, along)`` from the near left corner.

        The eight equations of Hartley and Zisserman 2004, Multiple View Geometry, 4.1. Raises ValueError where three of
        them lie on a line, or where they are not in turn.
        """
        if not is_convex(corners):
            raise ValueError("the four points are the corners of a rectangle, in turn, no three of them on a line")
        rows, targets = [], []
        for (x, y), (u, v) in zip(corners, ((0, 0), (width_m, 0), (width_m, length_m), (0, length_m)), strict=True):
            rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
            targets += [u, v]
        return cls(np.append(np.linalg.solve(np.array(rows), np.array(targets)), 1.0).reshape(3, 3))

    def metres(self, point: Point) -> Point:
        """Return where a point lies, across and along."""
        u, v, w = (self.matrix @ (*point, 1.0)).tolist()
        return u / w, v / w


def is_convex(corners: Sequence[Point]) -> bool:
    """Whether the corners are those of a convex polygon, in turn."""
    triples = zip(corners, (*corners[1:], corners[0]), (*corners[2:], *corners[:2]), strict=True)
    turns = [(b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0]) for a, b, c in triples]
    return all(turn > 0 for turn in turns) or all(turn < 0 for turn in turns)


def _distance(point: Point, a: Point, b: Point) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    square = dx * dx + dy * dy
    part = ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / square if square else 0.0
    part = min(1.0, max(0.0, part))
    return hypot(point[0] - a[0] - part * dx, point[1] - a[1] - part * dy)
