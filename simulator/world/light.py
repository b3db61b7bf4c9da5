"""How a scene is lit: sky, sun, street lamps, haze. Pure. Light is RGB factors around 1; `rgb255` is 0 to 255."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.world.lens import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """All light of a scene.

    Attributes:
        sky: light from everywhere, (3,).
        sun: direct light, (3,); zeros where the sky is covered or it is night.
        to_sun: unit vector, (3,).
        lamps: heads of the street lamps in metres, (n, 3).
        lamp: light right below a lamp, (3,).
        haze_rgb255: what distance fades into, (3,).
        haze_m: distance at which 63 % have faded.
        is_dark: lamps, head lights and windows are on.
    """

    sky: Floats
    sun: Floats
    to_sun: Floats
    lamps: Floats
    lamp: Floats
    haze_rgb255: Floats
    haze_m: float
    is_dark: bool

    @property
    def has_sun(self) -> bool:
        """Whether things throw hard shadows."""
        return bool(self.sun.max() > 0.05)

    def on_faces(self, normals: Floats) -> Floats:
        """Light (n, 3) on faces with unit normals (n, 3), without lamps; the sky lights what faces up the most."""
        sky = self.sky * (0.72 + 0.28 * normals[:, 2:])
        return sky + self.sun * np.maximum(normals @ self.to_sun, 0.0)[:, None]

    def from_lamps(self, points: Floats) -> Floats:
        """Light (n, 3) of the lamps at points (n, 3): cosine and square of the distance, 1 below the lamp."""
        if not self.is_dark or not len(self.lamps):
            return np.zeros((len(points), 3))
        drop = np.maximum(self.lamps[None, :, 2] - points[:, None, 2], 0.5)
        away = ((points[:, None, :2] - self.lamps[None, :, :2]) ** 2).sum(axis=2)
        height = self.lamps[None, :, 2]
        share = (drop * height**2 / (drop**2 + away) ** 1.5).clip(0, 1.6).sum(axis=1)
        total: Floats = share[:, None] * self.lamp
        return total

    def hazed(self, rgb255: Floats, distance_m: Floats | float) -> Floats:
        """Colours (n, 3) as they look from a distance."""
        clear = np.exp(-np.asarray(distance_m, dtype=float) / self.haze_m)
        clear = clear[..., None] if clear.ndim else clear
        return rgb255 * clear + self.haze_rgb255 * (1.0 - clear)


def toward(azimuth_rad: float, elevation_rad: float) -> Floats:
    """Unit vector to the sky; azimuth from +x to +y."""
    flat = np.cos(elevation_rad)
    return np.array([flat * np.cos(azimuth_rad), flat * np.sin(azimuth_rad), np.sin(elevation_rad)])
