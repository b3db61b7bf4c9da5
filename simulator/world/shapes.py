"""Solid shapes, placed and seen: what a painter fills with colour. Pure.

Two kinds: a Mesh is a rigid body of flat faces (vehicles); a Limbs is a set of hulls around balls (people, tubes), with
rings for spoked wheels. Both become Patches: outlines on the picture in painting order.
Local coordinates: metres, x forward, y to the left, z up, origin on the ground below the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from simulator.world.lens import NEAR_M, Floats, Lens, clip_near
from simulator.world.light import Light

FIXED = 16
"""Outlines are in 1/16 pixels: OpenCV's `shift=4`."""

Outline = NDArray[np.int32]
_EDGE_PX = 0.8
"""OpenCV paints half-covered pixels about this far beyond an outline; boxes hold them."""

_CORNERS = 12
_CIRCLE = np.stack(
    [np.cos(np.arange(_CORNERS) * 2 * np.pi / _CORNERS), np.sin(np.arange(_CORNERS) * 2 * np.pi / _CORNERS)], 1
)
_CIRCLE /= np.cos(np.pi / _CORNERS) ** 0.5  # as large inside the true circle as outside


class Role(IntEnum):
    """What a face does besides reflecting light."""

    PLAIN = 0
    HEADLIGHT = 1
    TAILLIGHT = 2
    SHINES = 3


@dataclass(frozen=True, slots=True)
class Placing:
    """Where a shape stands. Metres; heading in radians from +x to +y."""

    x: float
    y: float
    heading_rad: float

    def to_world(self, points: Floats) -> Floats:
        """Local points (n, 3) in the world."""
        turned = points @ self._turn().T
        turned[:, 0] += self.x
        turned[:, 1] += self.y
        return turned

    def directions(self, vectors: Floats) -> Floats:
        """Local vectors (n, 3) in the world."""
        return vectors @ self._turn().T

    def to_local(self, point: Floats) -> Floats:
        """A world point (3,) in local coordinates."""
        moved = point - np.array([self.x, self.y, 0.0])
        local: Floats = moved @ self._turn()
        return local

    def _turn(self) -> Floats:
        c, s = np.cos(self.heading_rad), np.sin(self.heading_rad)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """One outline to fill.

    Attributes:
        outlines: one convex outline, or an outer and an inner one of a ring; int32 (n, 2) in 1/16 pixels, in OpenCV's
            convention (pixel centres are whole numbers).
        rgb: 0 to 255.
        owner: 0 the machine, 1 its rider; 0 for what has one owner.
    """

    outlines: tuple[Outline, ...]
    rgb: tuple[int, int, int]
    owner: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A rigid body.

    Attributes:
        vertices: (v, 3).
        faces: index ranges into vertices, each a convex polygon.
        normals: unit normals (f, 3); zeros for what is seen from both sides and drawn as its convex hull.
        rgb: albedo 0 to 255, (f, 3).
        roles: Role of each face, (f,).
        layers: painting order: 0 first, 1 the part before `split_x`, 2 the part behind it, 3 last, (f,).
        split_x: the plane between the two parts.
        bulk: corners whose shadow is the body's, one hull each.
    """

    vertices: Floats
    faces: tuple[slice, ...]
    normals: Floats
    rgb: Floats
    roles: NDArray[np.int64]
    layers: NDArray[np.int64]
    split_x: float
    bulk: tuple[Floats, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Hull:
    """The hull of some balls: (n, 4), centres and radii."""

    balls: Floats
    rgb: tuple[float, float, float]
    owner: int = 0
    role: Role = Role.PLAIN


@dataclass(frozen=True, slots=True, eq=False)
class Ring:
    """A flat ring in the plane y = 0: a tyre. Centre (x, z), outer and inner radius."""

    x: float
    z: float
    outer: float
    inner: float
    rgb: tuple[float, float, float]


Limbs = Sequence[Hull | Ring]


def _fixed(pixels: Floats) -> Outline:
    return np.round((pixels - 0.5) * FIXED).astype(np.int32)


def _colour(rgb: Floats) -> tuple[int, int, int]:
    red, green, blue = np.minimum(rgb, 255.0).astype(int).tolist()
    return red, green, blue


_SHINING = {
    Role.HEADLIGHT: np.array([255.0, 250.0, 225.0]),
    Role.TAILLIGHT: np.array([235.0, 25.0, 20.0]),
}


def _shining(role: Role, rgb: Floats, light: Light, *, brakes: bool) -> Floats | None:
    """The colour of a lamp that is on, None of one that is off."""
    if role == Role.TAILLIGHT and (brakes or light.is_dark):
        return _SHINING[role] * (1.0 if brakes else 0.75)
    if not light.is_dark or role not in (Role.HEADLIGHT, Role.SHINES):
        return None
    return _SHINING.get(role, rgb)


def see_mesh(mesh: Mesh, placing: Placing, lens: Lens, light: Light, *, brakes: bool, is_off: bool) -> list[Patch]:
    """A rigid body's visible faces in painting order."""
    points = placing.to_world(mesh.vertices)
    normals = placing.directions(mesh.normals)
    first = points[[face.start for face in mesh.faces]]
    is_hull = np.asarray(~mesh.normals.any(axis=1))
    faces_us = np.asarray(((lens.position - first) * normals).sum(axis=1) > 0)
    here = np.array([[placing.x, placing.y, 1.0]])
    from_above = light.from_lamps(here) * (0.4 + 0.35 * normals[:, 2:])
    colours = mesh.rgb * (light.on_faces(normals) + from_above)
    colours = light.hazed(colours, float(np.linalg.norm(here - lens.position)))
    seen = lens.to_camera(points)
    pixels = _fixed(lens.to_pixels(seen))
    near: NDArray[np.bool_] = np.asarray(seen[:, 2] < NEAR_M)
    any_near = bool(near.any())
    layers = mesh.layers
    if placing.to_local(lens.position)[0] > mesh.split_x:
        layers = np.array([0, 2, 1, 3])[layers]
    shades, roles = np.minimum(colours, 255.0).astype(int).tolist(), mesh.roles.tolist()
    patches: list[Patch] = []
    for index in np.argsort(layers, kind="stable").tolist():
        if not (faces_us[index] or is_hull[index]):
            continue
        face = mesh.faces[index]
        outline = pixels[face]
        if any_near and near[face].any():
            if is_hull[index]:
                continue
            outline = _fixed(lens.to_pixels(clip_near(seen[face])))
            if not len(outline):
                continue
        elif is_hull[index]:
            outline = cv2.convexHull(outline).reshape(-1, 2)
        colour = shades[index]
        rgb = (colour[0], colour[1], colour[2])
        if roles[index] and not is_off:
            shining = _shining(Role(roles[index]), mesh.rgb[index], light, brakes=brakes)
            rgb = rgb if shining is None else _colour(shining)
        patches.append(Patch((outline,), rgb))
    return patches


def see_limbs(limbs: Limbs, placing: Placing, lens: Lens, light: Light, *, brakes: bool, is_off: bool) -> list[Patch]:
    """Hulls and rings, in the order given. What is partly nearer than the lens is left out."""
    here = np.array([[placing.x, placing.y, 1.0]])
    distance = float(np.linalg.norm(here - lens.position))
    strength = light.sky * 0.9 + light.sun * 0.6 + light.from_lamps(here)[0] * 0.6
    hulls = [limb.balls for limb in limbs if isinstance(limb, Hull)]
    balls = np.concatenate(hulls)
    seen = lens.to_camera(placing.to_world(balls[:, :3]))
    radii = balls[:, 3] * lens.focal_px / np.maximum(seen[:, 2], NEAR_M)
    centres = lens.to_pixels(seen)
    circles = _fixed(centres[:, None, :] + radii[:, None, None] * _CIRCLE)
    near: NDArray[np.bool_] = np.asarray(seen[:, 2] < NEAR_M)
    any_near = bool(near.any())
    colours = light.hazed(np.array([limb.rgb for limb in limbs]) * strength, distance)
    patches: list[Patch] = []
    start = 0
    for limb, colour in zip(limbs, np.minimum(colours, 255.0).astype(int).tolist(), strict=True):
        rgb = (colour[0], colour[1], colour[2])
        if isinstance(limb, Ring):
            patches.extend(_see_ring(limb, placing, lens, rgb))
            continue
        end = start + len(limb.balls)
        if not (any_near and near[start:end].any()):
            if limb.role != Role.PLAIN and not is_off:
                shining = _shining(limb.role, np.asarray(limb.rgb), light, brakes=brakes)
                rgb = rgb if shining is None else _colour(shining)
            points = circles[start:end].reshape(-1, 2)
            outline = points if end == start + 1 else cv2.convexHull(points).reshape(-1, 2)
            patches.append(Patch((outline,), rgb, limb.owner))
        start = end
    return patches


def _see_ring(ring: Ring, placing: Placing, lens: Lens, rgb: tuple[int, int, int]) -> list[Patch]:
    corners = 20
    angle = np.arange(corners) * 2 * np.pi / corners
    flat = np.stack([np.cos(angle), np.zeros(corners), np.sin(angle)], 1)
    middle = np.array([ring.x, 0.0, ring.z])
    both = np.concatenate([middle + ring.outer * flat, middle + ring.inner * flat])
    seen = lens.to_camera(placing.to_world(both))
    if (seen[:, 2] < NEAR_M).any():
        return []
    pixels = _fixed(lens.to_pixels(seen))
    return [Patch((pixels[:corners], pixels[corners:]), rgb)]


def thrown(points: Floats, to_sun: Floats) -> Floats:
    """Where the shadows of points (n, 3) lie on the ground, (n, 3)."""
    flat = points - to_sun * (points[:, 2:] / max(float(to_sun[2]), 0.08))
    flat[:, 2] = 0.0
    return flat


def fill(
    image: NDArray[np.uint8] | NDArray[np.uint16], patch: Patch, value: tuple[int, int, int] | int, *, smooth: bool
) -> None:
    """Paints one patch into an image, with anti-aliased edges or with whole pixels."""
    line = cv2.LINE_AA if smooth else cv2.LINE_8
    colour = (value,) if isinstance(value, int) else value
    if len(patch.outlines) == 1:
        cv2.fillConvexPoly(image, patch.outlines[0], colour, line, 4)
    else:
        cv2.fillPoly(image, patch.outlines, colour, line, 4)


def extent(patches: Sequence[Patch]) -> tuple[float, float, float, float] | None:
    """The box around all patches in continuous pixels, None for none."""
    if not patches:
        return None
    points = np.concatenate([patch.outlines[0] for patch in patches])
    low, high = points.min(axis=0), points.max(axis=0)
    x0, y0, x1, y1 = (np.concatenate([low, high]) / FIXED + 0.5).tolist()
    return x0 - _EDGE_PX, y0 - _EDGE_PX, x1 + _EDGE_PX, y1 + _EDGE_PX
