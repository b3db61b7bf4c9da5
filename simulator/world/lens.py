"""A pinhole camera on a pole: the world's metres to a picture's pixels. Pure.

World: metres, x to the right, y ahead, z up, the ground at z = 0. Pixels are continuous: pixel (0, 0) covers
[0, 1) x [0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEAR_M = 0.4
"""Nothing nearer to the lens than this is drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """Where the camera stands and looks.

    Attributes:
        position: metres, (3,).
        axes: rows are the camera's right, down and forward in the world, (3, 3).
        focal_px: focal length in pixels.
        centre: principal point in pixels, (2,).
        size_wh: pixels of the canvas.
    """

    position: Floats
    axes: Floats
    focal_px: float
    centre: Floats
    size_wh: tuple[int, int]

    def to_camera(self, points: Floats) -> Floats:
        """World points (n, 3) as right, down, forward metres (n, 3)."""
        return (points - self.position) @ self.axes.T

    def to_pixels(self, seen: Floats) -> Floats:
        """Camera points (n, 3) as pixels (n, 2); what is nearer than NEAR_M is drawn as if it were there."""
        depth = np.maximum(seen[:, 2:], NEAR_M)
        return seen[:, :2] * (self.focal_px / depth) + self.centre

    def project(self, points: Floats) -> Floats:
        """World points (n, 3) as pixels (n, 2)."""
        return self.to_pixels(self.to_camera(points))

    def rays(self, scale: int) -> Floats:
        """World directions (h / scale, w / scale, 3) through the middle of every `scale`-th pixel."""
        width, height = self.size_wh
        x = (np.arange(width // scale) + 0.5) * scale - self.centre[0]
        y = (np.arange(height // scale) + 0.5) * scale - self.centre[1]
        seen = np.empty((len(y), len(x), 3))
        seen[..., 0] = x[None, :] / self.focal_px
        seen[..., 1] = y[:, None] / self.focal_px
        seen[..., 2] = 1.0
        return seen @ self.axes


def aim(
    *, position: tuple[float, float, float], yaw_rad: float, pitch_rad: float, focal_px: float, size_wh: tuple[int, int]
) -> Lens:
    """A camera that looks `yaw_rad` to the right of +y and `pitch_rad` down from the horizon."""
    forward = (sin(yaw_rad) * cos(pitch_rad), cos(yaw_rad) * cos(pitch_rad), -sin(pitch_rad))
    right = (cos(yaw_rad), -sin(yaw_rad), 0.0)
    down = np.cross(forward, right)
    return Lens(np.array(position), np.array([right, down, forward]), focal_px, np.array(size_wh) / 2.0, size_wh)


def clip_near(seen: Floats) -> Floats:
    """The part of a convex polygon, camera points (n, 3), that lies beyond NEAR_M; empty where there is none."""
    return _clip(seen, np.array([0.0, 0.0, 1.0]), NEAR_M)


def clip_view(seen: Floats, spread: float = 3.0) -> Floats:
    """As clip_near, and within `spread` times the distance to each side: no pixel is absurdly far away."""
    for plane in ((1.0, 0.0, spread), (-1.0, 0.0, spread), (0.0, 1.0, spread), (0.0, -1.0, spread)):
        seen = _clip(seen, np.array(plane), 0.0)
    return clip_near(seen)


def _clip(polygon: Floats, normal: Floats, offset: float) -> Floats:
    """Sutherland and Hodgman 1974 for one plane: what has `point @ normal >= offset`."""
    if len(polygon) < 3:
        return np.empty((0, 3))
    height = polygon @ normal - offset
    if (height >= 0).all():
        return polygon
    kept: list[Floats] = []
    for index in range(len(polygon)):
        here, there = polygon[index - 1], polygon[index]
        if (height[index - 1] >= 0) != (height[index] >= 0):
            kept.append(here + (there - here) * (height[index - 1] / (height[index - 1] - height[index])))
        if height[index] >= 0:
            kept.append(there)
    return np.array(kept) if len(kept) > 2 else np.empty((0, 3))
