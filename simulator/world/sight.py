"""An actor as the camera sees it at one time: outlines, boxes, shadow, own pixels. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from simulator.world.cycles import Cycle, ride
from simulator.world.lens import NEAR_M, Floats, Lens
from simulator.world.light import Light
from simulator.world.motion import Actor, Moment
from simulator.world.order import Stand, footprint, stand_on
from simulator.world.people import walk
from simulator.world.shapes import FIXED, Hull, Limbs, Outline, Patch, extent, fill, see_limbs, see_mesh, thrown
from simulator.world.vehicles import Vehicle

Box = tuple[float, float, float, float]

_FAR_PX = 4000
_SEEN = 40
"""A pixel of 255 that is covered so far counts as part of the shape."""

_SIX_WAYS = np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)], float)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """An actor as the camera sees it.

    Attributes:
        actor: who.
        moment: where and how fast.
        stand: what it covers on the ground and on the canvas.
        patches: outlines in painting order.
        labels: one a part: the machine, then its rider.
        boxes: of each part's whole silhouette, canvas pixels.
        tracks: of each part.
        shadow: outlines of its shadow on the ground.
    """

    actor: Actor
    moment: Moment
    stand: Stand
    patches: tuple[Patch, ...]
    labels: tuple[str, ...]
    boxes: tuple[Box, ...]
    tracks: tuple[int, ...]
    shadow: tuple[Outline, ...]


def see_actor(actor: Actor, moment: Moment, number: int, lens: Lens, light: Light) -> Sight | None:
    """The sight of an actor, None where nothing of it can be on the canvas. `number`: the actor's own."""
    placing = moment.placing
    corners = footprint(placing.x, placing.y, placing.heading_rad, actor.ahead_m, actor.aside_m)
    if _is_outside(corners, actor.height_m, lens):
        return None
    figure = actor.figure
    limbs: Limbs = ()
    if isinstance(figure, Vehicle):
        patches = see_mesh(figure.mesh, placing, lens, light, brakes=moment.brakes, is_off=actor.is_parked)
        labels: tuple[str, ...] = (figure.label,)
    else:
        eye = placing.to_local(lens.position)
        is_still = moment.speed_mps < 0.15
        if isinstance(figure, Cycle):
            limbs = ride(figure, moment.travelled_m, eye, is_still=is_still)
            labels = (figure.label, "person") if figure.rider else (figure.label,)
        else:
            limbs = walk(figure, moment.travelled_m, eye, is_still=is_still)
            labels = ("person",)
        patches = see_limbs(limbs, placing, lens, light, brakes=moment.brakes, is_off=actor.is_parked)
    found = [extent([patch for patch in patches if patch.owner == owner]) for owner in range(len(labels))]
    boxes = [box for box in found if box is not None]
    if len(boxes) < len(labels):
        return None
    low, high = np.min(boxes, axis=0).tolist(), np.max(boxes, axis=0).tolist()
    distance = float(np.hypot(placing.x - lens.position[0], placing.y - lens.position[1]))
    return Sight(
        actor,
        moment,
        stand_on(corners, (low[0], low[1], high[2], high[3]), distance),
        tuple(patches),
        labels,
        tuple(boxes),
        (number * 64 + moment.track * 2, number * 64 + moment.track * 2 + 1),
        tuple(_shadow(actor, moment, limbs, lens, light)),
    )


def _is_outside(corners: Floats, height_m: float, lens: Lens) -> bool:
    """Whether the box over a footprint cannot be seen."""
    solid = np.empty((8, 3))
    solid[:4, :2] = solid[4:, :2] = corners
    solid[:4, 2], solid[4:, 2] = 0.0, height_m
    seen = lens.to_camera(solid)
    if (seen[:, 2] < NEAR_M).all():
        return True
    pixels = lens.to_pixels(seen)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    return bool((low > lens.size_wh).any() or (high < 0).any())


def _shadow(actor: Actor, moment: Moment, limbs: Limbs, lens: Lens, light: Light) -> list[Outline]:
    placing, figure = moment.placing, actor.figure
    if not light.has_sun:  # what keeps the sky off is right above
        grow = 1.04 if isinstance(figure, Vehicle) else 0.9
        ahead, aside = actor.ahead_m * grow, actor.aside_m * grow
        corners = footprint(placing.x, placing.y, placing.heading_rad, ahead, aside)
        return ground_outlines([np.column_stack([corners, np.zeros(4)])], lens)
    if isinstance(figure, Vehicle):
        return ground_outlines([thrown(placing.to_world(bulk), light.to_sun) for bulk in figure.mesh.bulk], lens)
    balls = [limb.balls for limb in limbs if isinstance(limb, Hull)]
    every = np.concatenate(balls)
    surface = (every[:, None, :3] + every[:, None, 3:] * _SIX_WAYS).reshape(-1, 3)
    points = thrown(placing.to_world(surface), light.to_sun)
    ends = np.cumsum([len(_SIX_WAYS) * len(part) for part in balls])[:-1]
    return ground_outlines(np.split(points, ends), lens)


def ground_outlines(hulls: list[Floats], lens: Lens) -> list[Outline]:
    """The hulls of sets of world points (n, 3) on the canvas; sets that reach behind the lens are left out."""
    seen = lens.to_camera(np.concatenate(hulls))
    pixels = np.round((np.clip(lens.to_pixels(seen), -2 * _FAR_PX, 2 * _FAR_PX) - 0.5) * FIXED).astype(np.int32)
    near: NDArray[np.bool_] = np.asarray(seen[:, 2] < NEAR_M)
    any_near = bool(near.any())
    outlines: list[Outline] = []
    start = 0
    for hull in hulls:
        end = start + len(hull)
        if not (any_near and near[start:end].any()):
            outlines.append(np.asarray(cv2.convexHull(pixels[start:end]).reshape(-1, 2), np.int32))
        start = end
    return outlines


def silhouette(sight: Sight, part: int, *, smooth: bool = False) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The mask of one part of an actor, covered or not, and the canvas pixel of its left top corner.

    The mask is 0 or 255, with grey edges where `smooth`, as they are on the picture.
    """
    box = sight.boxes[part]
    left, top = int(max(box[0], -_FAR_PX)) - 3, int(max(box[1], -_FAR_PX)) - 3
    right, bottom = int(min(box[2], 2 * _FAR_PX)) + 3, int(min(box[3], 2 * _FAR_PX)) + 3
    mask = np.zeros((max(bottom - top, 1), max(right - left, 1)), np.uint8)
    move = np.array([left * FIXED, top * FIXED], np.int32)
    for patch in sight.patches:
        if patch.owner == part:
            fill(mask, Patch(tuple(outline - move for outline in patch.outlines), patch.rgb), 255, smooth=smooth)
    return mask, (left, top)


def box_in_frame(sight: Sight, part: int, offset: tuple[float, float], size_wh: tuple[int, int]) -> Box | None:
    """The box of one part in a frame that shows the canvas moved by `offset`; None where it is not in it.

    Where the frame cuts the silhouette the box comes from its pixels, since what is left may be narrower.
    """
    x0, y0, x1, y1 = sight.boxes[part]
    box = (x0 + offset[0], y0 + offset[1], x1 + offset[0], y1 + offset[1])
    width, height = size_wh
    if box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height:
        return box
    if box[0] >= width or box[1] >= height or box[2] <= 0 or box[3] <= 0:
        return None
    mask, (left, top) = silhouette(sight, part, smooth=True)
    dx, dy = left + round(offset[0]), top + round(offset[1])
    inside = mask[max(-dy, 0) : max(height - dy, 0), max(-dx, 0) : max(width - dx, 0)]
    if not inside.size:
        return None
    x, y, w, h = cv2.boundingRect((inside > _SEEN).astype(np.uint8))
    ox, oy = float(x + max(dx, 0)), float(y + max(dy, 0))
    cut = (max(ox, box[0]), max(oy, box[1]), min(ox + w, box[2]), min(oy + h, box[3]))
    return cut if cut[0] < cut[2] and cut[1] < cut[3] else None
