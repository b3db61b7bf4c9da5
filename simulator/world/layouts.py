"""What a layout is: a place, the ways through it, and where one stands. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.world.scenery import Grounds, Rgb

ASPHALT: Rgb = (92, 93, 96)
PAVING: Rgb = (150, 146, 140)
KERB: Rgb = (178, 176, 172)
MARK: Rgb = (226, 226, 220)
GRASS: Rgb = (92, 116, 66)

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Way:
    """A route that some may take.

    Attributes:
        labels: who.
        points: corners, metres.
        corner_m: how wide its turns are.
        stop_m: metres from the start where one may have to wait; None for nowhere.
        weight: how often it is chosen.
    """

    labels: tuple[str, ...]
    points: Points
    corner_m: float = 3.0
    stop_m: float | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody may stand still: a parking bay, a spot at the wall."""

    labels: tuple[str, ...]
    x: float
    y: float
    heading_rad: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A place: what it looks like, the ways through it and where one stands.

    Attributes:
        grounds: ground and props.
        ways: routes.
        places: spots to stand.
        foot: where the camera's pole stands, metres.
        yaws_rad: between which directions it may look, 0 is +y.
    """

    grounds: Grounds
    ways: tuple[Way, ...]
    places: tuple[Place, ...]
    foot: tuple[float, float]
    yaws_rad: tuple[float, float]
