"""Paints one frame of a scene, with what is true of it. Owns the backdrop, the sights of what stands, and the noise."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from simulator.world.backdrop import Backdrop, Bytes, Cover, render_backdrop
from simulator.world.order import painting_order
from simulator.world.scene import Scene
from simulator.world.shapes import FIXED, fill
from simulator.world.shine import Shine
from simulator.world.sight import Box, Sight, box_in_frame, see_actor, silhouette
from simulator.world.truth import Picture, Truth
from simulator.world.weather import make_weather

MARGIN = 8
"""Pixels around the frame that a shaking camera may show."""

Owners = NDArray[np.uint16]


class Painter:
    """Frames of one scene. One thread."""

    def __init__(self, scene: Scene, seed: int, duration_s: float) -> None:
        rng = np.random.default_rng([seed, 4])
        width, height = scene.lens.size_wh
        self._scene = scene
        self._duration_s = duration_s
        self._size_wh = (width - 2 * MARGIN, height - 2 * MARGIN)
        self._backdrop: Backdrop = render_backdrop(
            scene.layout.grounds, scene.lens, scene.light, rng, wet=scene.mood.rains
        )
        self._weather = make_weather(
            rng,
            self._size_wh,
            noise_rms=scene.noise_rms,
            rains=scene.mood.rains,
            shake_px=scene.shake_px,
            duration_s=duration_s,
        )
        self._shine = Shine(scene)
        self._parked: dict[int, Sight | None] = {}

    def paint(self, index: int, now_s: float) -> Picture:
        """Frame `index` of the round, `now_s` after its start."""
        sights = self._look(now_s)
        canvas = self._backdrop.lit.copy()
        self._throw_shadows(canvas, sights)
        if self._backdrop.beamed is not None:
            self._shine.throw_beams(canvas, self._backdrop.beamed, sights)
        owners = np.zeros(canvas.shape[:2], np.uint16)
        own = self._draw(canvas, owners, sights)
        if self._scene.light.is_dark:
            self._shine.add_glare(canvas, owners, sights)
        x, y = self._weather.offset_px(now_s / self._duration_s)
        width, height = self._size_wh
        if self._scene.shake_px:
            matrix = np.array([[1.0, 0.0, x - MARGIN], [0.0, 1.0, y - MARGIN]])
            rgb = np.asarray(cv2.warpAffine(canvas, matrix, self._size_wh, flags=cv2.INTER_LINEAR), np.uint8)
        else:
            x = y = 0.0
            rgb = np.ascontiguousarray(canvas[MARGIN : MARGIN + height, MARGIN : MARGIN + width])
        self._weather.fall_on(rgb, index)
        return Picture(rgb, self._truths(sights, owners, own, (x - MARGIN, y - MARGIN)))

    def _look(self, now_s: float) -> list[Sight]:
        """All sights, the farthest first."""
        found: list[Sight] = []
        for number, actor in enumerate(self._scene.actors):
            if actor.is_parked and number in self._parked:
                sights = [self._parked[number]]
            else:
                moments = actor.moments(now_s, self._duration_s)
                sights = [see_actor(actor, now, number, self._scene.lens, self._scene.light) for now in moments]
            if actor.is_parked:
                self._parked[number] = sights[0]
            found += [sight for sight in sights if sight is not None]
        return sorted(found, key=lambda sight: -sight.stand.distance_m)

    def _throw_shadows(self, canvas: Bytes, sights: Sequence[Sight]) -> None:
        width, height = self._scene.lens.size_wh
        has_sun = self._scene.light.has_sun
        mask = np.zeros(canvas.shape[:2], np.uint8)
        for sight in sights:
            for outline in sight.shadow:
                cv2.fillConvexPoly(mask, outline, (255,), cv2.LINE_AA, 4)
        for sight in sights:
            if not sight.shadow:
                continue
            x, y, w, h = cv2.boundingRect(np.concatenate(sight.shadow) // FIXED)
            x0, y0, x1, y1 = max(x - 6, 0), max(y - 6, 0), min(x + w + 6, width), min(y + h + 6, height)
            if x0 >= x1 or y0 >= y1:
                continue
            part = (slice(y0, y1), slice(x0, x1))
            soft = cv2.blur(mask[part], (3, 3) if has_sun else (9, 9)).astype(np.float32)
            soft *= np.float32((1.0 if has_sun else 0.6) / 255)
            lit = self._backdrop.lit[part]
            dark = self._backdrop.shaded[part] if has_sun else lit // 3
            canvas[part] = cv2.blendLinear(lit, dark, 1 - soft, soft)

    def _draw(self, canvas: Bytes, owners: Owners, sights: Sequence[Sight]) -> list[tuple[int, ...]]:
        """Paints all sights and what stands before them.

        `owners` gets twice the sight's index plus one, and plus one more for a rider. Returns how many pixels each part
        of each sight has, covered or not, in the frame or not.
        """
        covers = self._backdrop.covers
        stands = [sight.stand for sight in sights] + [cover.stand for cover in covers]
        own: list[tuple[int, ...]] = [() for _ in sights]
        painted: list[Box] = []
        for index in painting_order(stands, self._scene.lens.position[:2], moving=len(sights)):
            if index >= len(sights):
                _uncover(canvas, owners, self._backdrop.lit, covers[index - len(sights)], painted)
                continue
            sight = sights[index]
            for patch in sight.patches:
                fill(canvas, patch, patch.rgb, smooth=True)
                fill(owners, patch, 2 * index + patch.owner + 1, smooth=False)
            own[index] = _own_pixels(owners, sight, 2 * index + 1)
            painted.append(sight.stand.box)
        return own

    def _truths(
        self, sights: Sequence[Sight], owners: Owners, own: Sequence[tuple[int, ...]], offset: tuple[float, float]
    ) -> tuple[Truth, ...]:
        width, height = self._size_wh
        left, top = -round(offset[0]), -round(offset[1])
        shown = owners[top : top + height, left : left + width]
        truths: list[Truth] = []
        for index, sight in enumerate(sights):
            for part, label in enumerate(sight.labels):
                box = box_in_frame(sight, part, offset, self._size_wh)
                if box is None:
                    continue
                x0, y0, x1, y1 = (int(value) for value in box)
                area = shown[max(y0 - 2, 0) : y1 + 3, max(x0 - 2, 0) : x1 + 3]
                if seen := int(np.count_nonzero(area == 2 * index + part + 1)):
                    truths.append(Truth(label, box, min(1.0, seen / max(own[index][part], 1)), sight.tracks[part]))
        return tuple(truths)


def _own_pixels(owners: Owners, sight: Sight, value: int) -> tuple[int, ...]:
    """Pixels of each part of what was painted last, with `value` and one more for its rider."""
    height, width = owners.shape
    x0, y0, x1, y1 = sight.stand.box
    if len(sight.labels) == 1 and x0 >= 1 and y0 >= 1 and x1 <= width - 1 and y1 <= height - 1:
        return (int(np.count_nonzero(owners[int(y0) - 1 : int(y1) + 2, int(x0) - 1 : int(x1) + 2] == value)),)
    return tuple(cv2.countNonZero(silhouette(sight, part)[0]) for part in range(len(sight.labels)))


def _uncover(canvas: Bytes, owners: Owners, lit: Bytes, cover: Cover, painted: Sequence[Box]) -> None:
    """Paints something that stands still over what was painted before, where that was."""
    height, width = canvas.shape[:2]
    left, top, right, bottom = (int(value) for value in cover.stand.box)
    for box in painted:
        x0, y0 = max(int(box[0]) - 2, left, 0), max(int(box[1]) - 2, top, 0)
        x1, y1 = min(int(box[2]) + 3, right, width), min(int(box[3]) + 3, bottom, height)
        if x0 >= x1 or y0 >= y1:
            continue
        over = cover.opacity[y0 - top : y1 - top, x0 - left : x1 - left]
        if over.any():
            part = (slice(y0, y1), slice(x0, x1))
            canvas[part] = cv2.blendLinear(canvas[part], lit[part], 1 - over, over)
            owners[part][over > 0.5] = 0
