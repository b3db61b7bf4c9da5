"""Cars, buses and trucks as meshes. Pure. Sizes are those of common models, in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.world.lens import Floats
from simulator.world.shapes import Mesh, Role

Rgb = tuple[float, float, float]

_GLASS: Rgb = (38, 48, 58)
_RUBBER: Rgb = (24, 24, 26)
_RIM: Rgb = (150, 152, 156)
_TRIM: Rgb = (30, 31, 34)
_LAMP: Rgb = (215, 218, 215)
_REAR_LAMP: Rgb = (150, 22, 20)
_PLATE: Rgb = (225, 225, 215)

CAR_PAINTS: tuple[Rgb, ...] = (
    (215, 217, 220), (190, 193, 197), (120, 124, 130), (62, 66, 72), (28, 29, 33), (150, 24, 30), (28, 58, 122),
    (36, 92, 150), (52, 84, 66), (196, 176, 138), (214, 120, 30), (232, 190, 40), (235, 236, 232), (90, 30, 44),
)  # fmt: skip
BUS_PAINTS: tuple[Rgb, ...] = ((196, 40, 36), (236, 190, 50), (40, 110, 170), (52, 140, 84), (226, 228, 226))
CARGO_PAINTS: tuple[Rgb, ...] = (
    (226, 226, 222),
    (178, 182, 186),
    (60, 96, 150),
    (184, 60, 46),
    (74, 128, 84),
    (214, 160, 60),
)


@dataclass(frozen=True, slots=True, eq=False)
class Hexahedron:
    """A box with eight free corners. `low` and `high` are (4, 3): rear right, front right, front left, rear left."""

    low: Floats
    high: Floats

    def face(self, name: str) -> Floats:
        """Four corners, counter-clockwise from outside, starting bottom left as one looks at the face."""
        a, b, c, d = self.low
        e, f, g, h = self.high
        return np.array(
            {
                "front": (b, c, g, f),
                "rear": (d, a, e, h),
                "right": (a, b, f, e),
                "left": (c, d, h, g),
                "top": (e, f, g, h),
            }[name]
        )

    @property
    def corners(self) -> Floats:
        """All eight, (8, 3)."""
        return np.concatenate([self.low, self.high])


def box(x: tuple[float, float], width: float, z: tuple[float, float], *, inset: float = 0.0) -> Hexahedron:
    """A straight box around y = 0; its top is `inset` smaller on each side."""
    half = width / 2
    return prism((x[0], x[1]), (x[0] + inset, x[1] - inset), (half, half - inset), (z[0], z[0]), (z[1], z[1]))


def prism(
    low_x: tuple[float, float],
    high_x: tuple[float, float],
    half_widths: tuple[float, float],
    low_z: tuple[float, float],
    high_z: tuple[float, float],
) -> Hexahedron:
    """A box whose bottom and top have their own lengths, widths and (rear, front) heights."""
    corners = ((0, -1), (1, -1), (1, 1), (0, 1))
    low = [(low_x[i], side * half_widths[0], low_z[i]) for i, side in corners]
    high = [(high_x[i], side * half_widths[1], high_z[i]) for i, side in corners]
    return Hexahedron(np.array(low, float), np.array(high, float))


def on_face(face: Floats, u: tuple[float, float], v: tuple[float, float], *, lift_m: float = 0.004) -> Floats:
    """A part of a face (4, 3): u from its left to its right, v from its bottom to its top, each 0 to 1."""
    a, b, c, d = face
    spots = [(u[0], v[0]), (u[1], v[0]), (u[1], v[1]), (u[0], v[1])]
    normal = np.cross(b - a, d - a)
    lift = normal / (np.linalg.norm(normal) or 1.0) * lift_m
    return np.array([(a * (1 - p) + b * p) * (1 - q) + (d * (1 - p) + c * p) * q + lift for p, q in spots])


class MeshBuilder:
    """Collects faces in painting order."""

    def __init__(self) -> None:
        self._vertices: list[Floats] = []
        self._faces: list[slice] = []
        self._normals: list[Floats] = []
        self._rgb: list[Rgb] = []
        self._roles: list[Role] = []
        self._layers: list[int] = []
        self._bulk: list[Floats] = []

    def add(self, corners: Floats, rgb: Rgb, *, layer: int = 1, role: Role = Role.PLAIN, hull: bool = False) -> None:
        """A convex face, counter-clockwise from outside; `hull`: any points, drawn as their hull from every side."""
        normal = np.zeros(3)
        if not hull:
            normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
            normal = normal / np.linalg.norm(normal)
        start = sum(len(part) for part in self._vertices)
        self._vertices.append(corners)
        self._faces.append(slice(start, start + len(corners)))
        self._normals.append(normal)
        self._rgb.append(rgb)
        self._roles.append(role)
        self._layers.append(layer)

    def add_box(self, solid: Hexahedron, rgb: Rgb, *, layer: int = 1, top: Rgb | None = None) -> None:
        """All faces but the bottom; it throws a shadow."""
        for name in ("front", "rear", "right", "left"):
            self.add(solid.face(name), rgb, layer=layer)
        self.add(solid.face("top"), top or rgb, layer=layer)
        self._bulk.append(solid.corners)

    def add_wheels(self, axles: tuple[float, ...], width: float, radius: float) -> None:
        """A pair at each axle: the tyres below everything, what is seen from the side above everything."""
        angle = np.arange(14) * 2 * np.pi / 14
        for x in axles:
            for side in (-1.0, 1.0):
                rim = np.stack([x + radius * np.cos(angle), np.zeros(14), radius + radius * np.sin(angle)], 1)
                outside = rim + np.array([0, side * (width / 2 + 0.005), 0])
                inside = rim + np.array([0, side * (width / 2 - 0.24), 0])
                self.add(np.concatenate([outside, inside]), _RUBBER, layer=0, hull=True)
                order = slice(None, None, -1) if side > 0 else slice(None)  # counter-clockwise from outside
                centre = np.array([x, side * (width / 2 + 0.012), radius])
                self.add(outside[order], _RUBBER, layer=3)
                self.add((centre + (outside - centre) * (0.6, 1, 0.6))[order] + (0, side * 0.006, 0), _RIM, layer=3)
                self.add((centre + (outside - centre) * (0.2, 1, 0.2))[order] + (0, side * 0.009, 0), _TRIM, layer=3)

    def add_arches(self, axles: tuple[float, ...], width: float, radius: float, clear: float) -> None:
        """Dark wheel houses on both sides of a body that ends `clear` above the ground."""
        angle = np.linspace(0.0, np.pi, 9)
        for x in axles:
            for side in (-1.0, 1.0):
                y = side * (width / 2 + 0.003)
                arc = [(x + radius * 1.22 * np.cos(a), y, max(radius * (1 + 1.22 * np.sin(a)), clear)) for a in angle]
                ring = np.array([*arc, (x - radius * 1.22, y, clear), (x + radius * 1.22, y, clear)])
                self.add(ring if side < 0 else ring[::-1], _TRIM)

    def build(self, split_x: float = 0.0) -> Mesh:
        """The finished mesh."""
        return Mesh(
            vertices=np.concatenate(self._vertices),
            faces=tuple(self._faces),
            normals=np.array(self._normals),
            rgb=np.array(self._rgb, float),
            roles=np.array(self._roles, np.int64),
            layers=np.array(self._layers, np.int64),
            split_x=split_x,
            bulk=tuple(self._bulk),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Vehicle:
    """A vehicle's mesh and size.

    Attributes:
        label: car, bus or truck.
        mesh: its faces.
        size: length, width and height in metres.
        lamps: local places of the two head lights and of the two tail lights, (4, 3).
    """

    label: str
    mesh: Mesh
    size: tuple[float, float, float]
    lamps: Floats


def _lamps(length: float, width: float, front_z: float, rear_z: float) -> Floats:
    x, y = length / 2, width / 2 - 0.22
    return np.array([(x, -y, front_z), (x, y, front_z), (-x, -y, rear_z), (-x, y, rear_z)])


def build_car(rng: np.random.Generator) -> Vehicle:
    """A hatchback, a saloon, an estate or an SUV, in a colour of its own."""
    form = int(rng.integers(4))
    paint = CAR_PAINTS[int(rng.integers(len(CAR_PAINTS)))]
    scale = float(rng.uniform(0.96, 1.06))
    length, width, height = (
        np.array([(3.95, 1.74, 1.47), (4.65, 1.82, 1.44), (4.6, 1.82, 1.5), (4.55, 1.88, 1.7)][form]) * scale
    ).tolist()
    half, belt, clear = length / 2, height * 0.58, 0.24 if form < 3 else 0.32
    make = MeshBuilder()
    body = prism(
        (-half * 0.98, half * 0.98),
        (-half * 0.95, half * 0.93),
        (width / 2, width / 2 - 0.05),
        (clear, clear),
        (belt + 0.03, belt - 0.09),
    )
    rear = (-half * 0.93, -half * 0.62, -half * 0.94, -half * 0.93)[form]
    roof_rear = (-half * 0.72, -half * 0.36, -half * 0.84, -half * 0.8)[form]
    cabin = prism(
        (rear, half * 0.42),
        (roof_rear, half * 0.04),
        (width / 2 - 0.07, width / 2 - 0.24),
        (belt + 0.02, belt - 0.05),
        (height - 0.02, height),
    )
    axles, radius = (half * 0.62, -half * 0.6), 0.32 if form < 3 else 0.36
    make.add_wheels(axles, width, radius)
    make.add_box(body, paint)
    front, back = body.face("front"), body.face("rear")
    make.add(on_face(front, (0.04, 0.96), (0.02, 0.2)), _TRIM)
    make.add(on_face(front, (0.3, 0.7), (0.45, 0.72)), _TRIM)
    make.add(on_face(front, (0.4, 0.6), (0.24, 0.38)), _PLATE)
    make.add(on_face(back, (0.04, 0.96), (0.02, 0.16)), _TRIM)
    make.add(on_face(back, (0.38, 0.62), (0.4, 0.56)), _PLATE)
    for u in ((0.03, 0.27), (0.73, 0.97)):
        make.add(on_face(front, u, (0.55, 0.82)), _LAMP, role=Role.HEADLIGHT)
        make.add(on_face(back, (u[0], u[1] - 0.04), (0.62, 0.88)), _REAR_LAMP, role=Role.TAILLIGHT)
    for name in ("right", "left"):
        side = body.face(name)
        make.add(on_face(side, (0.0, 1.0), (0.0, 0.14)), _TRIM)
        make.add(on_face(side, (0.496, 0.504), (0.15, 0.97)), _TRIM)
    make.add_arches(axles, width, radius, clear)
    for out in (-1.0, 1.0):
        mirror = box((half * 0.26, half * 0.32), 0.16, (belt - 0.02, belt + 0.13)).corners
        mirror[:, 1] += out * (width / 2 + 0.04)
        make.add(mirror, paint, hull=True)
    make.add_box(cabin, paint)
    make.add(on_face(cabin.face("front"), (0.05, 0.95), (0.06, 0.93)), _GLASS)
    make.add(on_face(cabin.face("rear"), (0.08, 0.92), (0.12, 0.9)), _GLASS)
    for name in ("right", "left"):
        side = cabin.face(name)
        for u in ((0.07, 0.5), (0.53, 0.93)):
            make.add(on_face(side, u, (0.08, 0.88)), _GLASS)
    return Vehicle("car", make.build(-9.0), (length, width, height), _lamps(length, width, belt * 0.8, belt * 0.9))


def build_bus(rng: np.random.Generator) -> Vehicle:
    """A town bus: a band of windows, doors on the right, a lit destination."""
    paint = BUS_PAINTS[int(rng.integers(len(BUS_PAINTS)))]
    skirt = paint if rng.random() < 0.5 else (222.0, 224.0, 224.0)
    length, width, height = float(rng.uniform(10.2, 12.0)), 2.5, 3.05
    half = length / 2
    make = MeshBuilder()
    axles = (half * 0.56, -half * 0.5)
    make.add_wheels(axles, width, 0.48)
    body = box((-half, half), width, (0.34, height), inset=0.05)
    make.add_box(body, paint, top=(205, 207, 208))
    for name in ("right", "left"):
        side = body.face(name)
        make.add(on_face(side, (0.0, 1.0), (0.0, 0.24)), skirt)
        make.add(on_face(side, (0.02, 0.985), (0.42, 0.82)), _GLASS)
        for post in np.linspace(0.16, 0.86, 6):
            make.add(on_face(side, (post - 0.005, post + 0.005), (0.42, 0.82), lift_m=0.008), paint)
        if name == "right":
            for at in (0.9, 0.5):
                make.add(on_face(side, (at - 0.05, at + 0.05), (0.02, 0.8), lift_m=0.012), _TRIM)
                make.add(on_face(side, (at - 0.045, at - 0.003), (0.06, 0.77), lift_m=0.016), _GLASS)
                make.add(on_face(side, (at + 0.003, at + 0.045), (0.06, 0.77), lift_m=0.016), _GLASS)
    make.add_arches(axles, width, 0.48, 0.34)
    front, back = body.face("front"), body.face("rear")
    make.add(on_face(front, (0.04, 0.96), (0.32, 0.82)), _GLASS)
    make.add(on_face(front, (0.15, 0.85), (0.85, 0.96)), _TRIM)
    make.add(on_face(front, (0.22, 0.78), (0.87, 0.94), lift_m=0.008), (255, 176, 60), role=Role.SHINES)
    make.add(on_face(front, (0.38, 0.62), (0.08, 0.14)), _PLATE)
    make.add(on_face(back, (0.1, 0.9), (0.55, 0.82)), _GLASS)
    make.add(on_face(back, (0.2, 0.8), (0.1, 0.36)), _TRIM)
    for u in ((0.05, 0.2), (0.8, 0.95)):
        make.add(on_face(front, u, (0.12, 0.2)), _LAMP, role=Role.HEADLIGHT)
        make.add(on_face(back, u, (0.14, 0.3)), _REAR_LAMP, role=Role.TAILLIGHT)
    make.add_box(box((-half * 0.6, -half * 0.1), 1.7, (height, height + 0.22), inset=0.08), (190, 192, 194))
    return Vehicle("bus", make.build(-99.0), (length, width, height), _lamps(length, width, 0.75, 0.9))


def build_truck(rng: np.random.Generator) -> Vehicle:
    """A lorry with a closed box, or one with an open tipping body."""
    paint = CAR_PAINTS[int(rng.integers(len(CAR_PAINTS)))]
    cargo_paint = CARGO_PAINTS[int(rng.integers(len(CARGO_PAINTS)))]
    tips = rng.random() < 0.3
    length, width = float(rng.uniform(6.8, 8.8)), 2.45
    height = 2.5 if tips else float(rng.uniform(3.2, 3.6))
    half, cab_height, cab_length = length / 2, 2.65, 1.9
    behind = half - cab_length - 0.15
    make = MeshBuilder()
    make.add_wheels((half - 1.15, -half + 1.4, *((-half + 2.45,) if length > 7.8 else ())), width, 0.48)
    make.add_box(box((-half, half - 0.1), width * 0.7, (0.55, 0.95)), _TRIM, layer=0)
    cab = prism(
        (half - cab_length, half), (half - cab_length, half - 0.16), (width / 2 - 0.05, width / 2 - 0.1),
        (0.5, 0.5), (cab_height, cab_height - 0.06),
    )  # fmt: skip
    make.add_box(cab, paint, layer=1)
    front = cab.face("front")
    make.add(on_face(front, (0.05, 0.95), (0.48, 0.86)), _GLASS, layer=1)
    make.add(on_face(front, (0.12, 0.88), (0.2, 0.4)), _TRIM, layer=1)
    make.add(on_face(front, (0.0, 1.0), (0.0, 0.07)), _TRIM, layer=1)
    make.add(on_face(front, (0.39, 0.61), (0.09, 0.16)), _PLATE, layer=1)
    for u in ((0.03, 0.2), (0.8, 0.97)):
        make.add(on_face(front, u, (0.08, 0.18), lift_m=0.01), _LAMP, layer=1, role=Role.HEADLIGHT)
    for name, u in (("right", (0.42, 0.92)), ("left", (0.08, 0.58))):
        make.add(on_face(cab.face(name), u, (0.5, 0.84)), _GLASS, layer=1)
    cargo = box((-half, behind), width, (0.95, height), inset=0.0)
    make.add_box(cargo, cargo_paint, layer=2, top=(96, 84, 70) if tips else None)
    band = CARGO_PAINTS[int(rng.integers(len(CARGO_PAINTS)))]
    for name in ("right", "left"):
        side = cargo.face(name)
        if tips:
            for post in np.linspace(0.04, 0.96, 7):
                make.add(on_face(side, (post - 0.012, post + 0.012), (0.0, 1.0)), _TRIM, layer=2)
        elif rng.random() < 0.8:
            make.add(on_face(side, (0.08, 0.92), (0.35, 0.65)), band, layer=2)
        make.add(on_face(side, (0.0, 1.0), (0.0, 0.05), lift_m=0.008), _TRIM, layer=2)
    back = cargo.face("rear")
    make.add(on_face(back, (0.495, 0.505), (0.04, 0.97)), _TRIM, layer=2)
    make.add(on_face(back, (0.0, 1.0), (0.0, 0.08)), _TRIM, layer=2)
    for u in ((0.02, 0.2), (0.8, 0.98)):
        make.add(on_face(back, u, (0.0, 0.09), lift_m=0.01), _REAR_LAMP, layer=2, role=Role.TAILLIGHT)
    lamps = _lamps(length, width, 0.8, 1.0)
    return Vehicle("truck", make.build(half - cab_length - 0.07), (length, width, max(height, cab_height)), lamps)
