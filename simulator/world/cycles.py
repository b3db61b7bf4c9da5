"""Bicycles and motorcycles with those who ride them. Pure. Lengths in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.world.lens import Floats
from simulator.world.people import Dress, Point, Rgb, darker, head_of, hull, joint, pick_dress
from simulator.world.shapes import Hull, Limbs, Ring, Role

_PAINTS: tuple[Rgb, ...] = ((186, 34, 38), (34, 34, 40), (40, 96, 160), (66, 140, 88), (214, 214, 214), (226, 140, 40))
_RUBBER: Rgb = (26, 26, 28)
_STEEL: Rgb = (150, 152, 156)
_ENGINE: Rgb = (52, 52, 56)


@dataclass(frozen=True, slots=True)
class Cycle:
    """A bicycle or motorcycle with its rider.

    Attributes:
        label: bicycle or motorcycle.
        rider: who sits on it; None for a parked one.
        rgb: colour of frame or tank.
    """

    label: str
    rider: Dress | None
    rgb: Rgb


@dataclass(frozen=True, slots=True)
class _Seat:
    """How one sits: hip, shoulder and hand (x and z, and half their distance as y), feet left and right."""

    hip: Point
    shoulder: Point
    hand: Point
    feet: tuple[Point, Point]


def pick_cycle(rng: np.random.Generator, label: str, *, is_ridden: bool = True) -> Cycle:
    """Some bicycle or motorcycle."""
    helmet = label == "motorcycle" or rng.random() < 0.55
    rider = pick_dress(rng, helmet=bool(helmet)) if is_ridden else None
    return Cycle(label, rider, _PAINTS[int(rng.integers(len(_PAINTS)))])


def ride(cycle: Cycle, travelled_m: float, camera: Floats, *, is_still: bool) -> Limbs:
    """The machine (owner 0) and its rider (owner 1) in painting order. `camera` in local coordinates (3,)."""
    if cycle.label == "bicycle":
        machine, seat = _bicycle(cycle, camera), _bicycle_seat(cycle, travelled_m)
    else:
        machine, seat = _motorcycle(cycle), _motorcycle_seat(cycle, is_still=is_still)
    if cycle.rider is None:
        return machine
    far, near = _rider(cycle.rider, seat, camera)
    return [*far, *machine, *near]


def _rider(dress: Dress, seat: _Seat, camera: Floats) -> tuple[list[Hull], list[Hull]]:
    """A rider: what lies behind his machine, and what lies before it."""
    size = dress.height / 1.75
    wide = dress.build * size
    near = 1.0 if camera[1] > 0 else -1.0
    hip, shoulder = seat.hip, seat.shoulder

    def leg(side: float) -> list[Hull]:
        foot = seat.feet[0 if side > 0 else 1]
        end = (foot[0], side * 0.11, foot[2] + 0.06)
        start = (hip[0], side * 0.1, hip[2])
        knee = joint(start, end, (0.44 * size, 0.45 * size), bend=1)
        rgb = dress.legs if side == near else darker(dress.legs, 0.8)
        heel, toe = (foot[0] - 0.04, end[1], foot[2] + 0.04), (foot[0] + 0.12, end[1], foot[2] + 0.03)
        return [
            hull(dress.shoes, (heel, 0.045), (toe, 0.04), owner=1),
            hull(rgb, (knee, 0.066 * wide), (end, 0.048 * wide), owner=1),
            hull(rgb, (start, 0.095 * wide), (knee, 0.07 * wide), owner=1),
        ]

    def arm(side: float) -> list[Hull]:
        start = (shoulder[0], side * 0.2 * wide, shoulder[2] - 0.03)
        hand = (seat.hand[0], side * seat.hand[1], seat.hand[2])
        elbow = joint(start, hand, (0.29 * size, 0.3 * size), bend=-1)
        rgb = darker(dress.top, 0.9 if side == near else 0.74)
        return [
            hull(rgb, (elbow, 0.045 * wide), (hand, 0.038 * wide), owner=1),
            hull(rgb, (start, 0.056 * wide), (elbow, 0.047 * wide), owner=1),
        ]

    trunk = hull(
        dress.top,
        *(((shoulder[0], y, shoulder[2]), 0.09 * wide) for y in (0.14, -0.14)),
        *(((hip[0], y, hip[2] + 0.03), 0.11 * wide) for y in (0.08, -0.08)),
        owner=1,
    )
    lean = (shoulder[0] - hip[0]) * 0.2
    at = (shoulder[0] + 0.06 + lean, 0.0, shoulder[2] + 0.24 * size)
    head = head_of(dress, at, size, ahead=bool(camera[0] > 0), owner=1)
    return leg(-near), [*arm(-near), trunk, *leg(near), *head, *arm(near)]


def _bicycle(cycle: Cycle, camera: Floats) -> list[Hull | Ring]:
    radius, base = 0.345, 0.53
    crank, seat, head, fork = (-0.04, 0.0, 0.29), (-0.2, 0.0, 0.92), (0.4, 0.0, 0.86), (0.42, 0.0, 0.74)
    rear, front, bar, post = (-base, 0.0, radius), (base, 0.0, radius), (0.33, 0.0, 1.02), (-0.17, 0.0, 0.8)
    tubes = ((crank, seat), (crank, fork), (post, head), (rear, crank), (rear, post), (fork, front), (head, bar))
    is_edge_on = abs(camera[1]) < 0.2 * float(np.hypot(camera[0], camera[1]))  # a ring alone would vanish
    tread = [hull(_RUBBER, ((x, 0.0, 0.03), 0.026), ((x, 0.0, 2 * radius - 0.03), 0.026)) for x in (-base, base)]
    return [
        *(tread if is_edge_on else ()),
        Ring(-base, radius, radius, radius - 0.05, _RUBBER),
        Ring(base, radius, radius, radius - 0.05, _RUBBER),
        hull(_STEEL, (rear, 0.05)),
        hull(_STEEL, (front, 0.05)),
        *(hull(cycle.rgb, (a, 0.022), (b, 0.022)) for a, b in tubes),
        hull(_RUBBER, ((-0.3, 0.0, 0.95), 0.055), ((-0.1, 0.0, 0.95), 0.03)),
        hull(_RUBBER, ((0.3, 0.27, 1.04), 0.02), ((0.36, 0.0, 1.02), 0.02), ((0.3, -0.27, 1.04), 0.02)),
        hull((230, 230, 225), ((0.46, 0.0, 0.92), 0.035), role=Role.HEADLIGHT),
        hull((170, 30, 30), ((-0.42, 0.0, 0.78), 0.035), role=Role.TAILLIGHT),
    ]


def _bicycle_seat(cycle: Cycle, travelled_m: float) -> _Seat:
    turn = travelled_m / 0.8  # 5 m a turn of the cranks
    size = cycle.rider.height / 1.75 if cycle.rider else 1.0
    feet = [
        (-0.04 + sign * 0.17 * float(np.cos(turn)), 0.0, 0.29 - sign * 0.17 * float(np.sin(turn))) for sign in (1, -1)
    ]
    return _Seat((-0.2, 0.0, 1.0), (0.08, 0.0, 0.98 + 0.48 * size), (0.31, 0.26, 1.06), (feet[0], feet[1]))


def _motorcycle(cycle: Cycle) -> list[Hull | Ring]:
    radius, base = 0.31, 0.7
    paint = cycle.rgb
    spots = [(0.25 * float(np.cos(a)), 0.25 * float(np.sin(a))) for a in np.arange(8) * np.pi / 4]
    tyres = [
        hull(_RUBBER, *(((x + dx, y, radius + dz), 0.06) for dx, dz in spots for y in (-0.03, 0.03)))
        for x in (-base, base)
    ]
    return [
        *tyres,
        hull(_STEEL, ((-base, 0.0, radius), 0.17)),
        hull(_STEEL, ((base, 0.0, radius), 0.17)),
        hull(_ENGINE, ((-0.2, 0.0, 0.42), 0.17), ((0.18, 0.0, 0.45), 0.17)),
        hull(_STEEL, ((base, 0.06, radius), 0.04), ((0.42, 0.06, 0.95), 0.045)),
        hull(_STEEL, ((-0.75, -0.16, 0.36), 0.06), ((0.0, -0.14, 0.3), 0.045)),
        hull(paint, ((-base, 0.0, 2 * radius + 0.1), 0.07), ((-0.35, 0.0, 0.72), 0.1), ((-0.6, 0.0, 0.8), 0.08)),
        hull(paint, ((-0.05, 0.0, 0.74), 0.13), ((0.32, 0.0, 0.82), 0.15), ((0.1, 0.0, 0.62), 0.12)),
        hull(_RUBBER, ((-0.62, 0.0, 0.82), 0.085), ((-0.08, 0.0, 0.8), 0.09)),
        hull(paint, ((base - 0.1, 0.0, 2 * radius + 0.06), 0.06), ((base + 0.12, 0.0, 2 * radius), 0.05)),
        hull(_ENGINE, ((0.34, 0.34, 1.03), 0.03), ((0.42, 0.0, 1.0), 0.035), ((0.34, -0.34, 1.03), 0.03)),
        hull(paint, ((0.5, 0.0, 0.92), 0.13), ((0.44, 0.0, 1.05), 0.09)),
        hull((225, 225, 220), ((0.58, 0.0, 0.9), 0.085), role=Role.HEADLIGHT),
        hull((160, 26, 24), ((-0.8, 0.0, 0.82), 0.055), role=Role.TAILLIGHT),
    ]


def _motorcycle_seat(cycle: Cycle, *, is_still: bool) -> _Seat:
    """Feet on the pegs, or on the ground."""
    size = cycle.rider.height / 1.75 if cycle.rider else 1.0
    foot = (0.1, 0.0, 0.02) if is_still else (0.05, 0.0, 0.34)
    return _Seat((-0.28, 0.0, 0.9), (0.02, 0.0, 0.92 + 0.46 * size), (0.32, 0.33, 1.05), (foot, foot))
