"""What stands still and is no truth: ground, buildings, trees, lamps, fences. Pure. Metres; colours 0 to 255."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from simulator.world.lens import Floats
from simulator.world.order import footprint

Rgb = tuple[float, float, float]

WALLS: tuple[Rgb, ...] = (
    (176, 120, 96), (198, 180, 150), (206, 200, 186), (150, 150, 148), (166, 96, 78), (186, 164, 130), (128, 136, 144),
    (214, 190, 150),
)  # fmt: skip
_PALE: Rgb = (222, 218, 208)
_SIGNS: tuple[Rgb, ...] = ((150, 40, 40), (40, 80, 120), (50, 100, 70), (70, 60, 80))
_PANE: Rgb = (52, 64, 78)
_LIT: tuple[Rgb, ...] = ((255, 214, 140), (255, 226, 170), (240, 232, 210))


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A flat polygon (n, 3), counter-clockwise from outside.

    Attributes:
        corners: metres.
        rgb: albedo.
        shines: whether it is lit from inside when it is dark.
        two_sided: seen from both sides.
    """

    corners: Floats
    rgb: Rgb
    shines: bool = False
    two_sided: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """A ball, such as a tuft of leaves."""

    centre: tuple[float, float, float]
    radius: float
    rgb: Rgb


@dataclass(frozen=True, slots=True, eq=False)
class Prop:
    """A thing that stands somewhere.

    Attributes:
        footprint: counter-clockwise (n, 2).
        parts: painted in this order.
        casts: hulls that throw shadows, (n, 3) each.
        hides: whether something may pass behind it.
    """

    footprint: Floats
    parts: tuple[Face | Blob, ...]
    casts: tuple[Floats, ...] = ()
    hides: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Paint:
    """A flat polygon on the ground (n, 2)."""

    corners: Floats
    rgb: Rgb


@dataclass(slots=True)
class Grounds:
    """The ground's own colour, what is painted on it in this order, and what stands on it; built up by a layout."""

    rgb: Rgb
    paints: list[Paint] = field(default_factory=list)
    props: list[Prop] = field(default_factory=list)
    lamps: list[tuple[float, float, float]] = field(default_factory=list)
    obstacles: list[tuple[float, float, float]] = field(default_factory=list)  # centre and radius; nobody goes there

    def plant(self, prop: Prop) -> None:
        """Puts something up that one walks around."""
        middle = prop.footprint.mean(axis=0)
        radius = float(np.hypot(*(prop.footprint - middle).T).max())
        self.props.append(prop)
        self.obstacles.append((float(middle[0]), float(middle[1]), radius * 0.85))

    def paint(self, x: tuple[float, float], y: tuple[float, float], rgb: Rgb) -> None:
        """An upright rectangle."""
        corners = np.array([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])])
        self.paints.append(Paint(corners, rgb))


def dashes(
    grounds: Grounds, x: float, y: tuple[float, float], *, width: float = 0.14, dash: float = 3.0, gap: float = 4.0
) -> None:
    """A broken line along y."""
    for start in np.arange(y[0], y[1] - dash, dash + gap).tolist():
        grounds.paint((x - width / 2, x + width / 2), (start, start + dash), (222, 222, 216))


def _quad(a: Floats, b: Floats, z0: float, z1: float) -> Floats:
    return np.array([(a[0], a[1], z0), (b[0], b[1], z0), (b[0], b[1], z1), (a[0], a[1], z1)])


def block(rng: np.random.Generator, x: tuple[float, float], y: tuple[float, float], *, floors: int, front: str) -> Prop:
    """A house with a shop on the ground, whose windows look to `front` (one of +x, -x, -y) and to its other sides.

    Its footprint is a strip behind its front, so that one who steps into the door is behind it.
    """
    tone = float(rng.uniform(0.85, 1.08))
    red, green, blue = WALLS[int(rng.integers(len(WALLS)))]
    wall = (red * tone, green * tone, blue * tone)
    height = 3.9 + 3.1 * (floors - 1) + 0.6
    corners = np.array([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])])
    parts: list[Face | Blob] = []
    roof: Rgb = (96, 92, 90)
    for index in range(4):
        a, b = corners[index], corners[(index + 1) % 4]
        parts += _facade(rng, a, b, wall, height=height, floors=floors)
    parts.append(Face(np.array([(px, py, height) for px, py in corners]), roof))
    depth = 0.4
    strips = {
        "+x": (x[1] - depth, x[1], y[0], y[1]),
        "-x": (x[0], x[0] + depth, y[0], y[1]),
        "-y": (x[0], x[1], y[0], y[0] + depth),
    }
    x0, x1, y0, y1 = strips[front]
    strip = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    solid = np.array([(px, py, z) for z in (0.0, height) for px, py in corners])
    return Prop(strip, tuple(parts), (solid,))


def _facade(rng: np.random.Generator, a: Floats, b: Floats, wall: Rgb, *, height: float, floors: int) -> list[Face]:
    """A wall from a to b with a plinth, a cornice, windows, and doors and shop windows on the ground."""
    length = float(np.hypot(*(b - a)))
    along = (b - a) / length
    out = np.array([along[1], -along[0]])
    parts = [Face(_quad(a, b, 0.0, height), wall)]

    def panel(x: tuple[float, float], z: tuple[float, float], rgb: Rgb, lift_m: float, *, shines: bool = False) -> None:
        start, end = (a + along * at + out * lift_m for at in x)
        parts.append(Face(_quad(start, end, *z), rgb, shines))

    def window(x: tuple[float, float], z: tuple[float, float], frame: Rgb, lit_share: float) -> None:
        panel((x[0] - 0.11, x[1] + 0.11), (z[0] - 0.11, z[1] + 0.11), frame, 0.02)
        panel(x, z, _PANE, 0.03)
        if rng.random() < lit_share:
            panel(x, z, _LIT[int(rng.integers(len(_LIT)))], 0.03, shines=True)

    panel((0.0, length), (0.0, 0.5), (wall[0] * 0.6, wall[1] * 0.6, wall[2] * 0.6), 0.01)
    panel((0.0, length), (height - 0.5, height), (wall[0] * 0.8, wall[1] * 0.8, wall[2] * 0.8), 0.02)
    panel((0.3, length - 0.3), (3.05, 3.6), _SIGNS[int(rng.integers(len(_SIGNS)))], 0.05)
    bays = max(1, int(length // 3.0))
    for bay in range(bays):
        middle = (bay + 0.5) * length / bays
        if bay % 4 == 1:
            panel((middle - 0.75, middle + 0.75), (0.0, 2.5), _PALE, 0.02)
            panel((middle - 0.6, middle + 0.6), (0.0, 2.35), (74, 58, 46), 0.03)
        else:
            window((middle - 1.15, middle + 1.15), (0.65, 2.8), (60, 60, 62), 0.7)
        for floor in range(1, floors):
            base = 3.9 + 3.1 * (floor - 1)
            window((middle - 0.6, middle + 0.6), (base + 0.97, base + 2.43), _PALE, 0.4)
    return parts


_BALL = np.array([(x, y, z) for x in (-0.6, 0.6) for y in (-0.6, 0.6) for z in (-0.6, 0.6)])
"""Corners in a ball, to throw its shadow."""


def tree(rng: np.random.Generator, x: float, y: float, height: float) -> Prop:
    """A broad-leaved tree."""
    trunk = height * 0.38
    thick = 0.028 * height
    parts: list[Face | Blob] = [
        Blob((x, y, z), thick * (1.15 - 0.4 * z / trunk), (92, 74, 58))
        for z in np.arange(0.1, trunk + 0.8, thick * 0.7).tolist()
    ]
    crown = np.array([x, y, height * 0.68])
    spread = height * 0.27
    green = np.array([(70, 106, 48), (86, 118, 54), (60, 94, 56), (112, 124, 50)][int(rng.integers(4))], float)
    tufts = 110
    spots = rng.normal(size=(tufts, 3))
    spots *= (rng.uniform(0.15, 1.0, tufts) ** 0.5 / np.linalg.norm(spots, axis=1))[:, None]
    casts = []
    for spot in spots[np.argsort(spots[:, 2] - spots[:, 1] * 0.6)]:
        centre = crown + spot * (spread, spread, spread * 1.05)
        shade = (0.74 + 0.26 * spot[2]) * rng.uniform(0.86, 1.12)
        red, tint, blue = (green * shade).tolist()
        radius = float(spread * rng.uniform(0.14, 0.26))
        parts.append(Blob((float(centre[0]), float(centre[1]), float(centre[2])), radius, (red, tint, blue)))
        casts.append(centre + _BALL * radius)
    stem = np.array(
        [
            (x + dx, y + dy, z)
            for z in (0.0, trunk + 0.5)
            for dx, dy in ((thick, 0), (-thick, 0), (0, thick), (0, -thick))
        ]
    )
    return Prop(footprint(x, y, 0.0, thick, thick), tuple(parts), (stem, *casts))


def lamp_post(grounds: Grounds, x: float, y: float, toward_x: float, height: float = 6.5) -> None:
    """A street lamp whose arm reaches toward +x (1) or -x (-1)."""
    thick, arm = 0.07, 1.4 * toward_x
    grey: Rgb = (92, 96, 100)

    def upright(a: float, b: float, z: tuple[float, float], rgb: Rgb, *, dy: float = 0.0, shines: bool = False) -> Face:
        corners = [(a, y + dy, z[0]), (b, y + dy, z[0]), (b, y + dy, z[1]), (a, y + dy, z[1])]
        return Face(np.array(corners), rgb, shines, two_sided=True)

    side = [(x, y - thick, 0.0), (x, y + thick, 0.0), (x, y + thick * 0.6, height), (x, y - thick * 0.6, height)]
    bar = [(x, y, height - 0.1), (x + arm, y, height + 0.1), (x + arm, y, height + 0.2), (x, y, height)]
    parts: list[Face | Blob] = [
        upright(x - thick, x + thick, (0.0, height), grey),
        Face(np.array(side), grey, two_sided=True),
        Face(np.array(bar), grey, two_sided=True),
        upright(x + arm - 0.35, x + arm + 0.35, (height + 0.08, height + 0.26), (70, 72, 76), dy=-0.12),
        upright(x + arm - 0.3, x + arm + 0.3, (height + 0.06, height + 0.16), (255, 236, 190), dy=-0.13, shines=True),
    ]
    post = np.array([(x + dx, y, z) for dx in (-thick, thick) for z in (0.0, height)])
    reach = np.array([(x, y, height), (x + arm, y, height + 0.1), (x + arm, y + 0.2, height + 0.2)])
    grounds.plant(Prop(footprint(x, y, 0.0, thick, thick), tuple(parts), (post, reach)))
    grounds.lamps.append((x + arm, y, height))


def fence(start: tuple[float, float], end: tuple[float, float], height: float = 1.9) -> list[Prop]:
    """Posts, rails and bars, in pieces of about 4 m."""
    a, b = np.array(start, float), np.array(end, float)
    pieces = max(1, round(float(np.hypot(*(b - a))) / 4.0))
    props: list[Prop] = []
    steel: Rgb = (96, 106, 100)
    for piece in range(pieces):
        p, q = a + (b - a) * piece / pieces, a + (b - a) * (piece + 1) / pieces
        along = (q - p) / np.hypot(*(q - p))
        bars = [p + (q - p) * share for share in np.linspace(0.0, 1.0, 17)[:-1]]
        parts: list[Face | Blob] = [
            Face(_quad(bar, bar + along * 0.035, 0.1, height - 0.1), steel, two_sided=True) for bar in bars
        ]
        parts += [Face(_quad(p, q, z, z + 0.06), steel, two_sided=True) for z in (0.2, height - 0.25)]
        parts.append(Face(_quad(p - along * 0.05, p + along * 0.05, 0.0, height), (74, 82, 78), two_sided=True))
        out = np.array([along[1], -along[0]]) * 0.05
        strip = np.array([p + out, q + out, q - out, p - out])
        casts = [np.array([(*p, 0.0), (*(p + along * 0.08), 0.0), (*(p + along * 0.08), height), (*p, height)])]
        casts += [_quad(p, q, z, z + 0.08) for z in (0.2, height - 0.25)]
        props.append(Prop(strip, tuple(parts), tuple(casts)))
    return props


def solid_box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], rgb: Rgb) -> Prop:
    """A plain box: a kerb stone, a bin, a wall."""
    corners = np.array([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])])
    parts: list[Face | Blob] = [Face(_quad(corners[i], corners[(i + 1) % 4], z[0], z[1]), rgb) for i in range(4)]
    parts.append(Face(np.array([(*corner, z[1]) for corner in corners]), rgb))
    hull = np.array([(*corner, level) for level in z for corner in corners])
    return Prop(corners, tuple(parts), (hull,))
