"""Persons as hulls of balls, and persons on foot. Pure. Lengths in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.world.lens import Floats
from simulator.world.shapes import Hull, Role

Rgb = tuple[float, float, float]
Point = tuple[float, float, float]

STRIDE_OF_HEIGHT = 0.83
"""Two steps of a walking adult are about 0.83 of his height (gait tables give 0.41 a step)."""

_SKINS: tuple[Rgb, ...] = ((236, 196, 168), (214, 166, 132), (176, 124, 88), (122, 82, 58), (84, 56, 42))
_HAIRS: tuple[Rgb, ...] = ((34, 26, 22), (62, 42, 28), (112, 80, 46), (178, 146, 92), (150, 150, 150), (20, 20, 22))
_TOPS: tuple[Rgb, ...] = (
    (176, 38, 40), (40, 74, 140), (54, 110, 70), (222, 222, 218), (38, 40, 46), (206, 160, 52), (120, 62, 120),
    (96, 132, 168), (196, 108, 60), (126, 128, 130), (226, 178, 186), (70, 148, 150),
)  # fmt: skip
_LEGS: tuple[Rgb, ...] = ((42, 50, 74), (34, 35, 40), (88, 90, 96), (150, 134, 106), (66, 92, 134), (86, 66, 50))
_SHOES: tuple[Rgb, ...] = ((30, 28, 28), (200, 200, 200), (96, 64, 44))
_HELMETS: tuple[Rgb, ...] = ((224, 224, 224), (190, 36, 36), (30, 30, 34), (236, 180, 40), (50, 90, 160))


@dataclass(frozen=True, slots=True)
class Dress:
    """How a person looks.

    Attributes:
        height: metres.
        build: width of trunk and limbs, 1 for a slim adult.
        skin, hair, top, legs, shoes: colours, 0 to 255.
        skirt: a skirt or a coat to the knee.
        bag: its colour; a rucksack.
        vest: wears a yellow reflecting vest.
        helmet: its colour; None for a bare head.
    """

    height: float
    build: float
    skin: Rgb
    hair: Rgb
    top: Rgb
    legs: Rgb
    shoes: Rgb
    skirt: bool = False
    bag: Rgb | None = None
    vest: bool = False
    helmet: Rgb | None = None


def pick_dress(rng: np.random.Generator, *, vest: bool = False, helmet: bool = False) -> Dress:
    """Some person."""

    def one(colours: tuple[Rgb, ...]) -> Rgb:
        red, green, blue = (np.array(colours[int(rng.integers(len(colours)))]) * rng.uniform(0.85, 1.1)).tolist()
        return red, green, blue

    child = not vest and not helmet and rng.random() < 0.1
    return Dress(
        height=float(rng.uniform(1.2, 1.4) if child else np.clip(rng.normal(1.73, 0.07), 1.56, 1.9)),
        build=float(rng.uniform(0.95, 1.25)),
        skin=one(_SKINS),
        hair=one(_HAIRS),
        top=one(_TOPS),
        legs=one(_LEGS),
        shoes=one(_SHOES),
        skirt=bool(not vest and not helmet and rng.random() < 0.22),
        bag=one(_TOPS) if rng.random() < 0.25 and not vest else None,
        vest=vest,
        helmet=one(_HELMETS) if helmet or (vest and rng.random() < 0.7) else None,
    )


def hull(rgb: Rgb, *balls: tuple[Point, float], owner: int = 0, role: Role = Role.PLAIN) -> Hull:
    return Hull(np.array([(*centre, radius) for centre, radius in balls]), rgb, owner, role)


def darker(rgb: Rgb, share: float) -> Rgb:
    return rgb[0] * share, rgb[1] * share, rgb[2] * share


def head_of(dress: Dress, at: Point, scale: float, *, ahead: bool, owner: int) -> list[Hull]:
    x, y, z = at
    radius = 0.098 * scale
    skull: tuple[Point, float] = ((x, y, z), radius)
    chin: tuple[Point, float] = ((x + 0.02 * scale, y, z - 0.07 * scale), radius * 0.75)
    face = hull(dress.skin, skull, chin, owner=owner)
    if dress.helmet is not None:
        shell = hull(dress.helmet, ((x - 0.015, y, z + 0.035 * scale), radius * 1.32), owner=owner)
        return [face, shell] if not ahead else [
            hull(dress.helmet, ((x - 0.02, y, z + 0.045 * scale), radius * 1.32), owner=owner),
            hull(dress.skin, ((x + 0.06 * scale, y, z - 0.045 * scale), radius * 0.74), owner=owner),
        ]  # fmt: skip
    hair = hull(dress.hair, ((x - 0.025 * scale, y, z + 0.028 * scale), radius * 1.08), owner=owner)
    if ahead:
        front = hull(dress.skin, ((x + 0.045 * scale, y, z - 0.03 * scale), radius * 0.86), owner=owner)
        return [face, hair, front]
    return [face, hair]


def joint(start: Point, end: Point, bones: tuple[float, float], *, bend: int) -> Point:
    """The joint between two bones from `start` to `end`, in the plane y = const; `bend` 1: forward, -1: backward."""
    first, second = bones
    a, b = np.array([start[0], start[2]]), np.array([end[0], end[2]])
    span = float(np.linalg.norm(b - a))
    reach = min(span, first + second - 1e-3)
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    off = np.sqrt(max(first**2 - along**2, 0.0))
    unit = (b - a) / span
    joint = a + unit * along + np.array([-unit[1], unit[0]]) * off * bend
    return float(joint[0]), (start[1] + end[1]) / 2, float(joint[1])


def walk(dress: Dress, travelled_m: float, camera: Floats, *, is_still: bool) -> list[Hull]:
    """A person on foot; one stride every STRIDE_OF_HEIGHT of his height. `camera` is in his local coordinates (3,)."""
    size = dress.height / 1.75
    wide = dress.build * size
    phase = 2 * np.pi * travelled_m / (STRIDE_OF_HEIGHT * dress.height)
    swing = 0.0 if is_still else 0.46
    near = 1.0 if camera[1] > 0 else -1.0
    thigh, shin = 0.44 * size, 0.45 * size
    legs: dict[float, tuple[Point, Point, Point]] = {}
    for side in (1.0, -1.0):
        turn = phase if side > 0 else phase + np.pi
        angle = swing * np.sin(turn) + (0.0 if is_still else 0.06)
        flex = 0.06 + (0.0 if is_still else 0.85 * max(0.0, np.cos(turn)))
        y = side * 0.09 * wide
        knee = (thigh * np.sin(angle), y, -thigh * np.cos(angle))
        ankle = (knee[0] + shin * np.sin(angle - flex), y, knee[2] - shin * np.cos(angle - flex))
        legs[side] = ((0.0, y, 0.0), knee, ankle)
    hip = 0.06 * size - min(ankle[2] for _, _, ankle in legs.values())
    top = (236.0, 226.0, 52.0) if dress.vest else dress.top

    def up(point: Point) -> Point:
        return point[0], point[1], point[2] + hip

    def leg(side: float) -> list[Hull]:
        start, knee, ankle = (up(point) for point in legs[side])
        rgb = dress.legs if side == near else darker(dress.legs, 0.8)
        foot = (ankle[0] + 0.14 * size, ankle[1], max(ankle[2] - 0.02, 0.045))
        heel = (ankle[0] - 0.02, ankle[1], ankle[2] - 0.015)
        return [
            hull(dress.shoes, (heel, 0.05 * size), (foot, 0.042 * size)),
            hull(rgb, (knee, 0.068 * wide), (ankle, 0.05 * wide)),
            hull(rgb, (start, 0.095 * wide), (knee, 0.07 * wide)),
        ]

    shoulder_z = hip + 0.52 * size

    def arm(side: float) -> list[Hull]:
        turn = phase + np.pi if side > 0 else phase
        angle = 0.75 * swing * np.sin(turn)
        y = side * 0.215 * wide
        elbow = (0.29 * size * np.sin(angle), y * 1.06, shoulder_z - 0.29 * size * np.cos(angle))
        fore = angle + (0.1 if is_still else 0.45)
        hand = (elbow[0] + 0.25 * size * np.sin(fore), y * 1.04, elbow[2] - 0.25 * size * np.cos(fore))
        rgb = darker(dress.top, 0.9 if side == near else 0.74)
        return [
            hull(rgb, (elbow, 0.045 * wide), (hand, 0.038 * wide)),
            hull(dress.skin, (hand, 0.045 * size)),
            hull(rgb, ((0.0, y, shoulder_z - 0.02), 0.055 * wide), (elbow, 0.046 * wide)),
        ]

    chest: list[tuple[Point, float]] = [
        ((0.0, 0.15 * wide, shoulder_z - 0.02 * size), 0.085 * wide),
        ((0.0, -0.15 * wide, shoulder_z - 0.02 * size), 0.085 * wide),
        ((0.0, 0.075 * wide, hip + 0.02 * size), 0.105 * wide),
        ((0.0, -0.075 * wide, hip + 0.02 * size), 0.105 * wide),
    ]
    trunk = [hull(top, *chest)]
    if dress.skirt:
        hem = hip - 0.36 * size
        low: list[tuple[Point, float]] = [((x, y, hem), 0.07 * wide) for x in (-0.1, 0.1) for y in (-0.12, 0.12)]
        trunk = [hull(darker(dress.top, 0.85), *chest[2:], *low), *trunk]
    if dress.vest:
        bands = [hull((228, 228, 220), *(((0.0, y, hip + z), 0.108 * wide) for y in (-0.08, 0.08))) for z in (0.16,)]
        trunk += [
            *bands,
            hull(top, *(((0.0, y, hip + 0.12 * size), 0.108 * wide) for y in (-0.08, 0.08))),
        ]
    bag: list[Hull] = []
    if dress.bag is not None:
        spots = [((-0.16 * size, y, hip + z * size), 0.085 * size) for y in (-0.07, 0.07) for z in (0.2, 0.42)]
        bag = [hull(dress.bag, *spots)]
    neck = hull(darker(dress.skin, 0.85), ((0.0, 0.0, shoulder_z + 0.08 * size), 0.055 * size))
    head = head_of(dress, (0.02 * size, 0.0, shoulder_z + 0.23 * size), size, ahead=camera[0] > 0, owner=0)
    behind, before = (bag, []) if camera[0] > 0 else ([], bag)
    return [*arm(-near), *leg(-near), *leg(near), *behind, neck, *trunk, *before, *head, *arm(near)]
