"""The yard: a hall with docks, parking bays, a fence with a gate, and a street that passes behind it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.world.layouts import ASPHALT, GRASS, KERB, MARK, PAVING, Layout, Place, Way
from simulator.world.scenery import Face, Grounds, Paint, Prop, Rgb, block, fence, lamp_post, solid_box, tree


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where things lie, metres; the camera stands at the origin and looks along +y.

    Attributes:
        hall: on which side the hall is: 1 right, -1 left.
        wide: half the yard's width.
        deep: where the fence is.
        gate: middle of the gate.
    """

    hall: float
    wide: float
    deep: float
    gate: float

    @property
    def front_x(self) -> float:
        """The hall's front."""
        return self.hall * (self.wide - 6.0)

    @property
    def drive_x(self) -> float:
        """The middle of the drive before the parking bays."""
        return -self.hall * (self.wide - 12.0)

    @property
    def docks_y(self) -> list[float]:
        """Where each dock begins."""
        return [float(y) for y in np.arange(12.0, self.deep - 8, 6.5)]


def yard(rng: np.random.Generator) -> Layout:
    """Some yard."""
    wide, deep = float(rng.uniform(19.0, 24.0)), float(rng.uniform(40.0, 50.0))
    gate = float(rng.uniform(-5.0, 5.0))
    plan = _Plan(1.0 if rng.random() < 0.5 else -1.0, wide, deep, gate)
    floor = (118, 117, 114) if rng.random() < 0.5 else ASPHALT
    grounds = Grounds(GRASS)
    grounds.paint((-90.0, 90.0), (deep - 0.3, deep + 60), PAVING)
    grounds.paint((-90.0, 90.0), (deep + 3.3, deep + 11.7), KERB)
    grounds.paint((-90.0, 90.0), (deep + 3.5, deep + 11.5), ASPHALT)
    for x in np.arange(-88.0, 88.0, 7.0).tolist():
        grounds.paint((x, x + 3.0), (deep + 7.43, deep + 7.57), MARK)
    grounds.paint((-wide, wide), (-30.0, deep), floor)
    grounds.paint((gate - 4.2, gate + 4.2), (deep - 1, deep + 3.6), floor)
    _marks(grounds, rng, plan, floor)
    _hall(grounds, rng, plan)
    bays = _bays(grounds, plan)
    _fences(grounds, plan)
    _goods(grounds, rng, plan)
    _surroundings(grounds, rng, plan)
    people = [
        (plan.hall * float(rng.uniform(-6, wide - 9)), float(rng.uniform(10, deep - 6)), float(rng.uniform(-3, 3)))
        for _ in range(5)
    ]
    places = bays + tuple(Place(("person",), *spot) for spot in people)
    return Layout(grounds, _wheels(plan) + _walks(rng, plan), places, (0.0, 0.0), (-0.12, 0.12))


def _fences(grounds: Grounds, plan: _Plan) -> None:
    wide, deep, gate = plan.wide, plan.deep, plan.gate
    for x0, x1 in ((-wide - 26, gate - 4.6), (gate + 4.6, wide + 26)):
        grounds.props.extend(fence((x0, deep), (x1, deep)))
    side = -plan.hall * wide
    grounds.props.extend(fence((side, deep), (side, 1.0)) if side < 0 else fence((side, 1.0), (side, deep)))
    for x in (gate - 4.3, gate + 4.3):
        grounds.plant(solid_box((x - 0.25, x + 0.25), (deep - 0.25, deep + 0.25), (0.0, 2.3), (168, 120, 92)))


def _surroundings(grounds: Grounds, rng: np.random.Generator, plan: _Plan) -> None:
    """Trees and houses behind the fence, and all lamps."""
    wide, deep, hall = plan.wide, plan.deep, plan.hall
    for index in range(8):
        x = -40.0 + index * 11.0 + float(rng.uniform(-2, 2))
        if rng.random() < 0.7:
            y = deep + 2.2 if abs(x - plan.gate) > 7 else deep + 13.5
            grounds.plant(tree(rng, x, y, float(rng.uniform(5.5, 8.0))))
    x = -75.0
    while x < 75:
        length = float(rng.choice([12.0, 15.0, 18.0]))
        house = block(rng, (x, x + length), (deep + 16, deep + 28), floors=int(rng.integers(2, 5)), front="-y")
        grounds.props.append(house)
        x += length
    for y in (deep * 0.35, deep * 0.75):
        lamp_post(grounds, -hall * (wide - 0.6), y, hall, 7.5)
        lamp_post(grounds, hall * 2.0, y + 6, -hall, 7.5)
    for x in (-30.0, -10.0, 10.0, 30.0):
        lamp_post(grounds, x, deep + 12.2, 1.0)


def _marks(grounds: Grounds, rng: np.random.Generator, plan: _Plan, floor: Rgb) -> None:
    """Patches, joints of slabs, a yellow footway along the docks, arrows on the drive."""
    hall, wide, deep, gate = plan.hall, plan.wide, plan.deep, plan.gate
    for _ in range(7):
        x, y = float(rng.uniform(-wide, wide - 5)), float(rng.uniform(2, deep - 6))
        tone = float(rng.uniform(0.86, 1.1))
        red, green, blue = (value * tone for value in floor)
        grounds.paint((x, x + float(rng.uniform(1.5, 6))), (y, y + float(rng.uniform(1.2, 5))), (red, green, blue))
    if rng.random() < 0.6:
        for y in np.arange(-6.0, deep, 5.0).tolist():
            grounds.paint((-wide, wide), (y - 0.03, y + 0.03), (84, 84, 84))
        for x in np.arange(-wide, wide, 5.0).tolist():
            grounds.paint((x - 0.03, x + 0.03), (-6.0, deep), (84, 84, 84))
    yellow = (226, 186, 62)
    for at in (0.4, 1.9):
        x = plan.front_x - hall * at
        grounds.paint((x - 0.06, x + 0.06), (9.0, deep - 3), yellow)
    x = hall * (wide - 16.6)
    grounds.paint((x - 0.06, x + 0.06), (4.0, deep - 9), yellow)
    for lane, way in ((plan.drive_x + 1.8, -1.0), (plan.drive_x - 1.8, 1.0)):
        for y in np.arange(8.0, deep - 18, 11.0).tolist():
            grounds.paint((lane - 0.1, lane + 0.1), (y, y + 2.2), MARK)
            tip = y + 1.1 + way * 2.1
            base = y + 1.1 + way * 1.1
            head = np.array([(lane - 0.45, base), (lane + 0.45, base), (lane, tip)])
            grounds.paints.append(Paint(head, MARK))
    grounds.paint((gate - 4.0, gate + 4.0), (deep - 1.6, deep - 1.2), MARK)


def _goods(grounds: Grounds, rng: np.random.Generator, plan: _Plan) -> None:
    """A container, and pallets that stand about."""
    hall, wide, deep = plan.hall, plan.wide, plan.deep
    colours = ((44, 92, 134), (164, 66, 46), (60, 118, 80), (186, 148, 60), (130, 132, 134))
    side = hall * (wide - 2.6)
    rgb = colours[int(rng.integers(len(colours)))]
    x0, x1 = sorted((side - hall * 3.0, side))
    grounds.plant(solid_box((x0, x1), (1.6, 7.8), (0.0, 2.6), rgb))
    for _ in range(int(rng.integers(2, 5))):
        x, y = hall * float(rng.uniform(wide - 15.6, wide - 13.6)), float(rng.uniform(9, deep - 12))
        high = float(rng.choice([0.6, 1.1, 1.6]))
        pallet = solid_box((x, x + 1.2), (y, y + 1.0), (0.0, 0.14), (150, 116, 74))
        crate = solid_box((x + 0.06, x + 1.14), (y + 0.06, y + 0.94), (0.14, high), colours[int(rng.integers(5))])
        grounds.plant(Prop(pallet.footprint, pallet.parts + crate.parts, pallet.casts + crate.casts))


def _hall(grounds: Grounds, rng: np.random.Generator, plan: _Plan) -> None:
    """A flat hall along one side, with docks."""
    hall, deep, inner = plan.hall, plan.deep, plan.front_x
    outer = hall * (plan.wide + 14)
    x = (min(inner, outer), max(inner, outer))
    wall = ((186, 190, 194), (150, 164, 176), (190, 178, 158))[int(rng.integers(3))]
    base = solid_box(x, (9.0, deep - 3), (0.0, 6.2), wall)
    parts = list(base.parts)
    accent = ((40, 84, 130), (170, 52, 44), (60, 112, 76))[int(rng.integers(3))]

    def panel(y: tuple[float, float], z: tuple[float, float], rgb: Rgb, lift: float, *, shines: bool = False) -> None:
        at = inner - hall * lift
        low, high = y if hall < 0 else (y[1], y[0])
        corners = np.array([(at, low, z[0]), (at, high, z[0]), (at, high, z[1]), (at, low, z[1])])
        parts.append(Face(corners, rgb, shines))

    panel((9.0, deep - 3), (5.3, 6.2), accent, 0.02)
    panel((9.0, deep - 3), (0.0, 0.5), (120, 120, 120), 0.02)
    for y in plan.docks_y:
        panel((y, y + 3.6), (0.0, 4.0), (70, 72, 76), 0.02)
        panel((y + 0.2, y + 3.4), (0.0, 3.8), (204, 206, 206), 0.03)
        for z in (0.9, 1.8, 2.7):
            panel((y + 0.2, y + 3.4), (z, z + 0.06), (150, 152, 152), 0.04)
        panel((y + 4.4, y + 5.5), (0.0, 2.2), (64, 74, 86), 0.03)
        panel((y + 4.2, y + 5.8), (2.7, 3.3), (255, 240, 205), 0.03, shines=True)
    x0, x1 = sorted((inner, inner + hall * 0.4))  # its front only: one who steps into a door is behind it
    strip = np.array([(x0, 9.0), (x1, 9.0), (x1, deep - 3), (x0, deep - 3)])
    grounds.props.append(Prop(strip, tuple(parts), base.casts))


def _bays(grounds: Grounds, plan: _Plan) -> tuple[Place, ...]:
    """Parking bays along the side without the hall, and places at the docks."""
    hall, wide = plan.hall, plan.wide
    x0, x1 = sorted((-hall * (wide - 1.2), -hall * (wide - 6.2)))
    heading = float(np.pi) if hall > 0 else 0.0
    spots: list[Place] = []
    for y in np.arange(8.0, plan.deep - 6, 2.75).tolist():
        grounds.paint((x0, x1), (y - 0.05, y + 0.05), MARK)
        spots.append(Place(("car",), (x0 + x1) / 2, y + 1.37, heading))
    spots += [Place(("truck",), plan.front_x - hall * 5.2, y + 1.8, heading) for y in plan.docks_y]
    return tuple(spots)


def _wheels(plan: _Plan) -> tuple[Way, ...]:
    """Along the street behind the fence, and in and out through the gate."""
    deep, gate, drive, hall = plan.deep, plan.gate, plan.drive_x, plan.hall
    near, far = deep + 5.5, deep + 9.5
    street: tuple[str, ...] = ("bus", "car", "truck", "motorcycle")
    guests: tuple[str, ...] = ("car", "truck", "motorcycle", "bicycle")
    enter = ((-60.0, near), (gate + 1.6, near), (gate + 1.6, deep - 8), (drive + 1.8, deep - 18), (drive + 1.8, -18.0))
    leave = ((drive - 1.8, -18.0), (drive - 1.8, deep - 20), (gate - 1.6, deep - 8), (gate - 1.6, far), (-60.0, far))
    across = ((hall * 5.0, -16.0), (hall * 2.0, deep * 0.5), (gate, deep - 9), (gate, near), (60.0, near))
    return (
        Way(street, ((-85.0, near), (85.0, near)), weight=1.5),
        Way(street, ((85.0, far), (-85.0, far)), weight=1.5),
        Way(("bicycle",), ((-85.0, deep + 4.1), (85.0, deep + 4.1))),
        Way(("bicycle",), ((85.0, deep + 10.9), (-85.0, deep + 10.9))),
        Way(guests, enter, corner_m=4.0, weight=1.5),
        Way(guests, leave, corner_m=4.0, weight=1.5),
        Way(("motorcycle", "bicycle"), across, corner_m=4.0, weight=3.0),
    )


def _walks(rng: np.random.Generator, plan: _Plan) -> tuple[Way, ...]:
    """Along the street, and from door to door across the yard."""
    deep, hall = plan.deep, plan.hall
    ways = [
        Way(("person",), ((-60.0, deep + 1.0), (60.0, deep + 1.0))),
        Way(("person",), ((60.0, deep + 13.0), (-60.0, deep + 13.0))),
    ]
    door = plan.front_x + hall * 0.1
    doors_y = [y + 4.95 for y in plan.docks_y]
    for _ in range(8):
        start, end = (doors_y[int(rng.integers(len(doors_y)))] for _ in range(2))
        out = hall * float(rng.uniform(-9.0, plan.wide - 12.5))
        first = (out, start + float(rng.uniform(-6, 6)))
        second = (out - hall * 3, end + float(rng.uniform(-5, 5)))
        ways.append(Way(("person",), ((door, start), first, second, (door, end + 0.2)), corner_m=0.9))
    for _ in range(4):
        x, y = float(rng.uniform(-8, 8)), doors_y[int(rng.integers(len(doors_y)))]
        walk = ((x, -10.0), (x + float(rng.uniform(-3, 3)), y * 0.6), (hall * 3.0, y), (door, y))
        ways.append(Way(("person",), walk if rng.random() < 0.5 else walk[::-1], corner_m=0.9))
    return tuple(ways)
