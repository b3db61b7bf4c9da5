"""What shines in the dark: beams on the road, glare around lamps. One thread."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from simulator.world.backdrop import Bytes
from simulator.world.cycles import Cycle
from simulator.world.lens import Floats
from simulator.world.scene import Scene
from simulator.world.sight import Sight, ground_outlines
from simulator.world.vehicles import Vehicle

_BEAMS = ((13.0, 2.1, 60), (9.0, 1.3, 110), (5.0, 0.6, 170))
"""How far a beam reaches and how much it widens, in metres, and how bright it is there, to 255."""

_CYCLE_LAMPS = np.array([(0.5, 0.0, 0.9), (-0.6, 0.0, 0.8)])

Rgb = tuple[int, int, int]


class Shine:
    """The lights of one scene. Owns a cache of soft discs."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._strength = 1.0 if scene.mood.time == "night" else 0.55
        self._discs: dict[tuple[int, Rgb], Bytes] = {}

    def throw_beams(self, canvas: Bytes, beamed: Bytes, sights: Sequence[Sight]) -> None:
        """The light of head lights on the road before their vehicles, in place. `beamed`: the place in full beam."""
        mask = np.zeros((canvas.shape[0] // 2, canvas.shape[1] // 2), np.uint8)
        for sight in sights:
            if sight.actor.is_parked or not isinstance(sight.actor.figure, Vehicle | Cycle):
                continue
            shapes = [sight.moment.placing.to_world(shape) for shape in _beam_shapes(sight)]
            for outline, (_, _, value) in zip(ground_outlines(shapes, self._scene.lens), _BEAMS, strict=False):
                cv2.fillConvexPoly(mask, outline // 2, (value,), cv2.LINE_AA, 4)
        x, y, w, h = cv2.boundingRect(mask)
        if not w:
            return
        x, y = max(x - 8, 0), max(y - 8, 0)
        w, h = min(w + 16, mask.shape[1] - x), min(h + 16, mask.shape[0] - y)
        soft = cv2.resize(cv2.GaussianBlur(mask[y : y + h, x : x + w], (0, 0), 2.5), (w * 2, h * 2))
        share = soft.astype(np.float32) * np.float32(1 / 255)
        part = (slice(y * 2, (y + h) * 2), slice(x * 2, (x + w) * 2))
        canvas[part] = cv2.blendLinear(canvas[part], beamed[part], 1 - share, share)

    def add_glare(self, canvas: Bytes, owners: NDArray[np.uint16], sights: Sequence[Sight]) -> None:
        """Light around street lamps and around vehicle lights that face the camera uncovered, in place.

        `owners` holds twice the sight's index plus 1 or 2 where it is uncovered.
        """
        self._glare_of_lamps(canvas)
        for index, sight in enumerate(sights):
            figure = sight.actor.figure
            if sight.actor.is_parked or not isinstance(figure, Vehicle | Cycle):
                continue
            lamps = figure.lamps if isinstance(figure, Vehicle) else _CYCLE_LAMPS
            self._glare_of_vehicle(canvas, owners, sight, index, lamps)

    def _glare_of_lamps(self, canvas: Bytes) -> None:
        lens, light = self._scene.lens, self._scene.light
        if not len(light.lamps):
            return
        seen = lens.to_camera(light.lamps)
        tint = light.lamp / light.lamp.max() * 125 * self._strength
        colour = (int(tint[0]), int(tint[1]), int(tint[2]))
        for spot, depth in zip(lens.to_pixels(seen), seen[:, 2], strict=True):
            if depth > 2:
                self._add(canvas, spot, float(np.clip(lens.focal_px * 0.9 / depth, 4, 90)), colour)

    def _glare_of_vehicle(
        self, canvas: Bytes, owners: NDArray[np.uint16], sight: Sight, index: int, lamps: Floats
    ) -> None:
        lens, placing = self._scene.lens, sight.moment.placing
        eye = placing.to_local(lens.position)
        facing = float(eye[0] / np.hypot(eye[0], eye[1]))
        seen = lens.to_camera(placing.to_world(lamps))
        figure = sight.actor.figure
        small = 0.5 if isinstance(figure, Cycle) and figure.label == "bicycle" else 1.0
        for turn, (spot, depth) in enumerate(zip(lens.to_pixels(seen), seen[:, 2], strict=True)):
            ahead = turn < len(lamps) // 2
            turned = facing if ahead else -facing
            if depth < 2 or turned < 0.1 or not _is_uncovered(owners, spot, index):
                continue
            reach = 0.75 if ahead else 0.6 if sight.moment.brakes else 0.42
            size = lens.focal_px / depth * reach * small
            base = (190, 182, 150) if ahead else (150, 20, 16)
            weight = self._strength * (0.35 + 0.65 * turned)
            self._add(canvas, spot, size, _steps(base, weight))
            if self._scene.mood.rains:  # the wet road mirrors it
                mirrored = lens.project(placing.to_world(lamps[turn : turn + 1] * (1.0, 1.0, -1.0)))[0]
                self._add(canvas, mirrored, size * 1.3, _steps(base, weight / 3))

    def _add(self, canvas: Bytes, centre: Floats, radius: float, colour: Rgb) -> None:
        """Adds a soft disc of light, in place."""
        reach = int(np.clip(round(radius), 2, 160))
        disc = self._discs.get((reach, colour))
        if disc is None:
            y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] / reach
            soft = np.clip(1 - np.hypot(x, y), 0, 1) ** 2.4
            disc = self._discs[reach, colour] = (soft[..., None] * colour).astype(np.uint8)
        left, top = round(float(centre[0])) - reach, round(float(centre[1])) - reach
        height, width = canvas.shape[:2]
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + 2 * reach + 1, width), min(top + 2 * reach + 1, height)
        if x0 < x1 and y0 < y1:
            part = canvas[y0:y1, x0:x1]
            cv2.add(part, disc[y0 - top : y1 - top, x0 - left : x1 - left], part)


def _beam_shapes(sight: Sight) -> list[Floats]:
    """Outlines of the beam on the ground, local metres, from the widest and weakest on."""
    is_cycle = isinstance(sight.actor.figure, Cycle)
    front, half, scale = sight.actor.ahead_m, 0.2 if is_cycle else sight.actor.aside_m * 0.8, 0.6 if is_cycle else 1.0
    shapes: list[Floats] = []
    for reach, spread, _ in _BEAMS:
        side = [
            (front + 0.4, half),
            (front + reach * 0.75 * scale, half + spread * scale),
            (front + reach * scale, half * 0.4),
        ]
        shapes.append(np.array([(x, y * sign, 0.0) for sign in (-1.0, 1.0) for x, y in side]))
    return shapes


def _steps(base: Rgb, weight: float) -> Rgb:
    """A colour in steps of 8, so that few discs are made."""
    red, green, blue = (int(value * weight) // 8 * 8 for value in base)
    return red, green, blue


def _is_uncovered(owners: NDArray[np.uint16], spot: Floats, index: int) -> bool:
    x, y = int(spot[0]), int(spot[1])
    height, width = owners.shape
    return 0 <= x < width and 0 <= y < height and int(owners[y, x]) in (2 * index + 1, 2 * index + 2)
