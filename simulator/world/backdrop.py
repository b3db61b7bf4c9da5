"""A scene without actors, made once: lit, in shadow and in head lights, with what can hide actors. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from simulator.world.lens import NEAR_M, Floats, Lens, clip_view
from simulator.world.light import Light
from simulator.world.order import Stand, painting_order, stand_on
from simulator.world.scenery import Blob, Face, Grounds, Prop
from simulator.world.shapes import FIXED, thrown

Bytes = NDArray[np.uint8]
_COARSE = 4
_UP = np.array([[0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """Something that stands still and hides what passes behind it.

    Attributes:
        stand: where.
        opacity: how much of what is behind it hides, float32 (h, w), 0 to 1; where its stand's box is.
    """

    stand: Stand
    opacity: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """A scene without actors.

    Attributes:
        lit: as it is, uint8 (h, w, 3).
        shaded: where actors keep the sun off.
        beamed: where head lights shine, None by day.
        covers: what can hide actors.
    """

    lit: Bytes
    shaded: Bytes
    beamed: Bytes | None
    covers: tuple[Cover, ...]


class _Canvas:
    """What is drawn into while the backdrop is made."""

    def __init__(self, lens: Lens, light: Light) -> None:
        width, height = lens.size_wh
        self.lens = lens
        self.light = light
        self.albedo = np.zeros((height, width, 3), np.uint8)
        self.lit = np.zeros((height, width, 3), np.uint8)
        self.upright = np.zeros((height, width), np.uint8)  # 255 where a prop stands before the ground
        self.rays = lens.rays(_COARSE)
        self.places = np.full(self.rays.shape, np.nan)  # what lies behind each coarse pixel, metres
        self.normals = np.zeros(self.rays.shape)

    def outline(self, corners: Floats) -> NDArray[np.int32] | None:
        """A world polygon on the picture; None where nothing of it is before the lens."""
        seen = clip_view(self.lens.to_camera(corners))
        if not len(seen):
            return None
        return np.round((self.lens.to_pixels(seen) - 0.5) * FIXED).astype(np.int32)


def render_backdrop(grounds: Grounds, lens: Lens, light: Light, rng: np.random.Generator, *, wet: bool) -> Backdrop:
    """Draws ground, sky and props."""
    canvas = _Canvas(lens, light)
    _paint_ground(canvas, grounds)
    ground_albedo = _textured(canvas, rng, wet=wet)
    distance = _distances(canvas)
    fade = np.exp(-distance / light.haze_m)[..., None].astype(np.float32)
    haze = light.haze_rgb255.astype(np.float32)
    sky_only = light.on_faces(_UP)[0] - light.sun * light.to_sun[2]
    shaded = (ground_albedo * sky_only.astype(np.float32)) * fade + haze * (1 - fade)
    sunny = (ground_albedo * light.on_faces(_UP)[0].astype(np.float32)) * fade + haze * (1 - fade)
    shadow = _shadow_mask(canvas, grounds.props)[..., None]
    lit = sunny * (1 - shadow) + shaded * shadow
    above = np.isnan(distance)
    sky = _sky(canvas)
    lit[above] = sky[above]
    shaded[above] = sky[above]
    canvas.albedo[:] = np.clip(ground_albedo, 0, 255)
    canvas.albedo[above] = 0
    canvas.lit[:] = np.clip(lit, 0, 255)
    covers = _draw_props(canvas, grounds.props)
    upright = (canvas.upright.astype(np.float32) / 255)[..., None]
    shaded = np.clip(shaded, 0, 255) * (1 - upright) + canvas.lit * upright
    lit = canvas.lit.astype(np.float32)
    beamed = None
    if light.is_dark:
        glow = _lamp_light(canvas) * canvas.albedo
        lit += glow
        shaded += glow * 0.8
        beamed = np.clip(lit + canvas.albedo * np.array([0.62, 0.6, 0.5], np.float32) * (1 - upright), 0, 255)
    return Backdrop(
        np.clip(lit, 0, 255).astype(np.uint8),
        np.clip(shaded, 0, 255).astype(np.uint8),
        None if beamed is None else beamed.astype(np.uint8),
        tuple(covers),
    )


def _paint_ground(canvas: _Canvas, grounds: Grounds) -> None:
    canvas.albedo[:] = np.array(grounds.rgb, np.uint8)
    for paint in grounds.paints:
        outline = canvas.outline(np.column_stack([paint.corners, np.zeros(len(paint.corners))]))
        if outline is not None:
            cv2.fillConvexPoly(canvas.albedo, outline, paint.rgb, cv2.LINE_AA, 4)
    down = canvas.rays[..., 2] < -1e-4
    reach = np.where(down, canvas.lens.position[2] / -np.where(down, canvas.rays[..., 2], -1.0), np.nan)
    canvas.places[:] = canvas.lens.position + canvas.rays * reach[..., None]
    canvas.normals[:] = _UP[0]


def _textured(canvas: _Canvas, rng: np.random.Generator, *, wet: bool) -> NDArray[np.float32]:
    """The ground's albedo with grain and stains that lie on the ground, (h, w, 3) float32."""
    tile = rng.normal(0.0, 1.0, (256, 256)).astype(np.float32)
    wrapped = np.pad(tile, 64, mode="wrap")
    fine = cv2.GaussianBlur(wrapped, (0, 0), 1.0)[64:-64, 64:-64] * 3.0
    broad = cv2.GaussianBlur(wrapped, (0, 0), 9.0)[64:-64, 64:-64] * 28.0
    height, width = canvas.albedo.shape[:2]
    places = canvas.places[..., :2].astype(np.float32)
    x, y = (cv2.resize(np.nan_to_num(places[..., axis], nan=9e3), (width, height)) for axis in (0, 1))
    distance = np.hypot(x - np.float32(canvas.lens.position[0]), y - np.float32(canvas.lens.position[1]))
    near = np.clip(1.3 - distance / 45.0, 0.0, 1.0)
    fine_on = cv2.remap(fine, (x * 17) % 256, (y * 17) % 256, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    broad_on = cv2.remap(broad, (x * 7) % 256, (y * 4) % 256, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    grain = 1.0 + 0.04 * fine_on * near + 0.032 * broad_on * np.clip(1.6 - distance / 60.0, 0.15, 1.0)
    if wet:
        grain = grain * 0.72
    textured: NDArray[np.float32] = canvas.albedo.astype(np.float32) * grain[..., None].astype(np.float32)
    return textured


def _distances(canvas: _Canvas) -> NDArray[np.float32]:
    """From the lens to the ground behind each pixel, metres (h, w); NaN in the sky."""
    width, height = canvas.lens.size_wh
    full = canvas.lens.rays(1)
    length = np.linalg.norm(full, axis=2)
    down = full[..., 2] < -2e-4
    reach = np.where(down, canvas.lens.position[2] * length / -np.where(down, full[..., 2], -1.0), np.nan)
    return reach.astype(np.float32).reshape(height, width)


def _sky(canvas: _Canvas) -> NDArray[np.float32]:
    """Hazy at the horizon, its own colour above."""
    up = np.clip(canvas.rays[..., 2] / np.linalg.norm(canvas.rays, axis=2), 0.0, 1.0)[..., None]
    light = canvas.light
    zenith = (
        np.clip(light.sky / light.sky.max(), 0, 1) * np.array([96, 150, 226]) * min(1.0, float(light.sky.max()) * 1.5)
    )
    share = np.clip(up * 4.0, 0.0, 1.0) ** 0.6
    if light.haze_m < 200:
        share = share * 0.25
    sky = light.haze_rgb255 * (1 - share) + zenith * share
    return np.asarray(cv2.resize(sky.astype(np.float32), canvas.lens.size_wh), np.float32)


def _shadow_mask(canvas: _Canvas, props: list[Prop]) -> NDArray[np.float32]:
    """How much of the sun the props keep off each pixel of the ground, (h, w) 0 to 1."""
    mask = np.zeros(canvas.upright.shape, np.uint8)
    if canvas.light.has_sun:
        for prop in props:
            for cast in prop.casts:
                outline = canvas.outline(thrown(cast, canvas.light.to_sun))
                if outline is not None:
                    cv2.fillConvexPoly(mask, cv2.convexHull(outline), 255, cv2.LINE_AA, 4)
    soft: NDArray[np.float32] = cv2.GaussianBlur(mask, (5, 5), 0).astype(np.float32) / 255
    return soft


def _draw_props(canvas: _Canvas, props: list[Prop]) -> list[Cover]:
    eye = canvas.lens.position[:2]
    stands = [_stand(canvas, prop) for prop in props]
    covers: list[Cover] = []
    for index in painting_order(stands, eye):
        prop, stand = props[index], stands[index]
        mask = np.zeros(canvas.upright.shape, np.uint8)
        for part in prop.parts:
            if isinstance(part, Face):
                _draw_face(canvas, part, mask)
            else:
                _draw_blob(canvas, part, mask)
        x, y, w, h = cv2.boundingRect(mask)
        if not w:
            continue
        cut = mask[y : y + h, x : x + w]
        np.maximum(canvas.upright[y : y + h, x : x + w], cut, out=canvas.upright[y : y + h, x : x + w])
        if prop.hides:
            box = (float(x), float(y), float(x + w), float(y + h))
            placed = stand_on(stand.footprint, box, stand.distance_m)
            covers.append(Cover(placed, (cut / np.float32(255)).astype(np.float32)))
    return covers


def _stand(canvas: _Canvas, prop: Prop) -> Stand:
    middle = prop.footprint.mean(axis=0)
    distance = float(np.linalg.norm(middle - canvas.lens.position[:2]))
    points = [part.corners if isinstance(part, Face) else np.array([part.centre]) for part in prop.parts]
    seen = canvas.lens.to_pixels(canvas.lens.to_camera(np.concatenate(points)))
    low, high = seen.min(axis=0) - 40, seen.max(axis=0) + 40
    return stand_on(prop.footprint, (float(low[0]), float(low[1]), float(high[0]), float(high[1])), distance)


def _draw_face(canvas: _Canvas, face: Face, mask: Bytes) -> None:
    lens, light = canvas.lens, canvas.light
    corners = face.corners
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    size = np.linalg.norm(normal)
    if not size:
        return
    normal = normal / size
    if float((lens.position - corners[0]) @ normal) <= 0:
        if not face.two_sided:
            return
        normal = -normal
    outline = canvas.outline(corners)
    if outline is None:
        return
    if face.shines and not light.is_dark:
        if face.two_sided:  # a lamp that is off
            cv2.fillConvexPoly(canvas.lit, outline, (150, 150, 145), cv2.LINE_AA, 4)
        return
    distance = float(np.linalg.norm(corners.mean(axis=0) - lens.position))
    albedo = np.array(face.rgb, float)
    rgb = albedo if face.shines else light.on_faces(normal[None])[0] * albedo
    colour = np.clip(light.hazed(rgb[None], distance)[0], 0, 255).tolist()
    cv2.fillConvexPoly(canvas.lit, outline, colour, cv2.LINE_AA, 4)
    cv2.fillConvexPoly(canvas.albedo, outline, (0, 0, 0) if face.shines else face.rgb, cv2.LINE_AA, 4)
    cv2.fillConvexPoly(mask, outline, 255, cv2.LINE_AA, 4)
    if light.is_dark and size > 1.5:
        _place_face(canvas, outline, corners, normal)


def _place_face(canvas: _Canvas, outline: NDArray[np.int32], corners: Floats, normal: Floats) -> None:
    """Notes for the lamps where in the world the pixels of a large face are."""
    coarse = np.zeros(canvas.places.shape[:2], np.uint8)
    cv2.fillConvexPoly(coarse, outline // _COARSE, 1, cv2.LINE_8, 4)
    there = coarse.astype(bool)
    rays = canvas.rays[there]
    lens = canvas.lens
    slope = rays @ normal
    reach = ((corners[0] - lens.position) @ normal) / np.where(np.abs(slope) < 1e-6, -1e-6, slope)
    canvas.places[there] = lens.position + rays * reach[:, None]
    canvas.normals[there] = normal


def _draw_blob(canvas: _Canvas, blob: Blob, mask: Bytes) -> None:
    lens, light = canvas.lens, canvas.light
    seen = lens.to_camera(np.array([blob.centre]))
    if seen[0, 2] < NEAR_M:
        return
    centre = np.round((lens.to_pixels(seen)[0] - 0.5) * FIXED).astype(int).tolist()
    radius = max(int(blob.radius * lens.focal_px / seen[0, 2] * FIXED), 8)
    rgb = np.array(blob.rgb) * (light.sky * 0.85 + light.sun * 0.55)
    colour = np.clip(light.hazed(rgb[None], float(seen[0, 2]))[0], 0, 255).tolist()
    cv2.circle(canvas.lit, centre, radius, colour, -1, cv2.LINE_AA, 4)
    cv2.circle(
        canvas.albedo, centre, radius, (blob.rgb[0] * 0.6, blob.rgb[1] * 0.6, blob.rgb[2] * 0.6), -1, cv2.LINE_AA, 4
    )
    cv2.circle(mask, centre, radius, 255, -1, cv2.LINE_AA, 4)


def _lamp_light(canvas: _Canvas) -> NDArray[np.float32]:
    """The lamps' light on everything, (h, w, 3), factors around 1."""
    places = np.nan_to_num(canvas.places.reshape(-1, 3), nan=1e4)
    light = canvas.light
    total = np.zeros((len(places), 3))
    for lamp in light.lamps:
        toward = lamp - places
        away2 = (toward**2).sum(axis=1)
        facing = (toward * canvas.normals.reshape(-1, 3)).sum(axis=1).clip(min=0)
        below = np.clip(toward[:, 2] / np.sqrt(away2), 0, 1) ** 0.5  # the housing throws no light upward
        total += (facing * below * lamp[2] ** 2 / np.maximum(away2, 2.0) ** 1.5)[:, None] * light.lamp
    fade = np.exp(-np.linalg.norm(places - canvas.lens.position, axis=1) / light.haze_m)
    shape = (*canvas.places.shape[:2], 3)
    coarse = (np.minimum(total, 1.6) * fade[:, None]).reshape(shape).astype(np.float32)
    smooth: NDArray[np.float32] = cv2.resize(coarse, canvas.lens.size_wh)
    return smooth
