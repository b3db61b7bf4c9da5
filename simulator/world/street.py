"""The street: a road along +y with a crossing, shops on both sides and a cross street at its far end. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.world.layouts import ASPHALT, GRASS, KERB, MARK, PAVING, Layout, Place, Way
from simulator.world.scenery import Grounds, block, dashes, lamp_post, tree

_ENGINES = ("car", "truck", "bus", "motorcycle")


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where things lie across and along the street, metres.

    Attributes:
        half: width of a lane with traffic.
        bike: width of a cycle lane.
        park: width of the parking lane on the left, 0 for none.
        pavement: width of a pavement.
        far: where the cross street begins.
        zebra: where the crossing begins.
    """

    half: float
    bike: float
    park: float
    pavement: float
    far: float
    zebra: float

    @property
    def edges(self) -> tuple[float, float]:
        """The kerbs, left and right."""
        return -(self.half + self.bike + self.park), self.half + self.bike

    @property
    def fronts(self) -> tuple[float, float]:
        """The houses, left and right."""
        return self.edges[0] - self.pavement, self.edges[1] + self.pavement


def street(rng: np.random.Generator) -> Layout:
    """Some street."""
    pavement, has_park = float(rng.uniform(2.8, 4.0)), rng.random() < 0.6
    far, zebra = float(rng.uniform(62.0, 76.0)), float(rng.uniform(20.0, 30.0))
    plan = _Plan(3.6, 1.5, 2.3 if has_park else 0.0, pavement, far, zebra)
    grounds = Grounds(GRASS)
    _paint(grounds, rng, plan)
    _houses(grounds, rng, plan)
    waits = _trees(grounds, rng, plan)
    ways = _wheels(plan) + _walks(rng, plan)
    bays = tuple(
        Place(("car",), plan.edges[0] + plan.park / 2, y + 2.9, -np.pi / 2)
        for y in np.arange(-11.0, far - 12, 5.8).tolist()
        if has_park and not zebra - 7.5 < y < zebra + 6.5
    )
    places = bays + tuple(Place(("person",), *spot) for spot in waits)
    return Layout(grounds, ways, places, (plan.edges[1] + 0.3, 0.0), (-0.34, -0.08))


def _paint(grounds: Grounds, rng: np.random.Generator, plan: _Plan) -> None:
    half, bike, park, far, zebra = plan.half, plan.bike, plan.park, plan.far, plan.zebra
    (left_edge, right_edge), (left_front, right_front) = plan.edges, plan.fronts
    grounds.paint((left_front - 60, right_front + 60), (-40.0, far + 40), PAVING)
    grounds.paint((left_edge - 0.18, right_edge + 0.18), (-40.0, far + 8), KERB)
    grounds.paint((left_front - 60, right_front + 60), (far - 0.18, far + 8.18), KERB)
    grounds.paint((left_edge, right_edge), (-40.0, far + 8), ASPHALT)
    grounds.paint((left_front - 60, right_front + 60), (far, far + 8), ASPHALT)
    for x in (half, -half):
        grounds.paint((x - 0.06, x + 0.06), (-40.0, far), MARK)
    tint = (128, 84, 78) if rng.random() < 0.5 else (98, 99, 102)
    grounds.paint((half + 0.06, half + bike), (-40.0, far), tint)
    grounds.paint((-half - bike, -half - 0.06), (-40.0, far), tint)
    dashes(grounds, 0.0, (-30.0, far))
    if park:
        for y in np.arange(-11.0, far - 8, 5.8).tolist():
            grounds.paint((left_edge, left_edge + park), (y - 0.05, y + 0.05), MARK)
        grounds.paint((left_edge + park - 0.05, left_edge + park + 0.05), (-11.0, far - 8), MARK)
    grounds.paint((left_edge, right_edge), (zebra - 0.2, zebra + 4.2), ASPHALT)
    for x in np.arange(left_edge + park + 0.3, right_edge - 0.4, 1.0).tolist():
        grounds.paint((x, x + 0.5), (zebra, zebra + 4.0), MARK)
    grounds.paint((0.2, half - 0.2), (zebra - 1.6, zebra - 1.2), MARK)
    grounds.paint((-half + 0.2, -0.2), (zebra + 5.2, zebra + 5.6), MARK)


def _houses(grounds: Grounds, rng: np.random.Generator, plan: _Plan) -> None:
    far, (left_front, right_front) = plan.far, plan.fronts
    for front, face in zip(plan.fronts, ("+x", "-x"), strict=True):
        y = -16.0
        while y < far - 3:
            length = min(float(rng.choice([9.0, 12.0, 15.0, 18.0])), far - 2.5 - y)
            if length < 6:
                break
            sides = (front - 12, front) if face == "+x" else (front, front + 12)
            start = y if face == "+x" else max(y, 3.0)  # nothing stands beside or behind the camera
            if start < y + length:
                floors = int(rng.integers(2, 6))
                grounds.props.append(block(rng, sides, (start, y + length), floors=floors, front=face))
            y += length
    x = left_front - 45.0
    while x < right_front + 45:
        length = float(rng.choice([12.0, 15.0, 18.0, 21.0]))
        grounds.props.append(
            block(rng, (x, x + length), (far + 11, far + 23), floors=int(rng.integers(3, 7)), front="-y")
        )
        x += length


def _trees(grounds: Grounds, rng: np.random.Generator, plan: _Plan) -> list[tuple[float, float, float]]:
    """Trees and lamps along the kerbs; places and headings of people who wait between them."""
    leafy = rng.random() < 0.7
    waits: list[tuple[float, float, float]] = []
    for edge, out in zip(plan.edges, (-1.0, 1.0), strict=True):
        for turn, y in enumerate(np.arange(14.0 if out > 0 else 9.0, plan.far - 4, 9.5).tolist()):
            if abs(y - plan.zebra - 2) < 4:
                continue
            if turn % 2 == 0:
                lamp_post(grounds, edge + out * 0.5, y, -out)
            elif leafy:
                grounds.paint((edge + out * 0.8 - 0.6, edge + out * 0.8 + 0.6), (y - 0.6, y + 0.6), (92, 80, 66))
                grounds.plant(tree(rng, edge + out * 0.8, y, float(rng.uniform(4.8, 6.8))))
            waits.append((edge + out * 1.6, y + 2.0, float(rng.uniform(-np.pi, np.pi))))
    return waits


def _wheels(plan: _Plan) -> tuple[Way, ...]:
    """For all that has wheels; the right-hand lane may have to wait before the crossing."""
    far, lane, cycle = plan.far, plan.half / 2, plan.half + plan.bike / 2
    left, right = plan.fronts[0] - 34.0, plan.fronts[1] + 34.0
    line_m = plan.zebra - 4.4 + 22.0
    return (
        Way(_ENGINES, ((lane, -22.0), (lane, far + 2), (right, far + 2.2)), corner_m=5.0, stop_m=line_m, weight=2.0),
        Way(_ENGINES, ((lane, -22.0), (lane, far + 6), (left, far + 6)), corner_m=6.0),
        Way(_ENGINES, ((right, far + 6), (-lane, far + 6), (-lane, -24.0)), corner_m=6.0, weight=1.5),
        Way(_ENGINES, ((left, far + 2), (-lane, far + 2), (-lane, -24.0)), corner_m=5.0, weight=1.5),
        Way(_ENGINES, ((left, far + 2), (right, far + 2))),
        Way(_ENGINES, ((right, far + 6), (left, far + 6))),
        Way(("bicycle",), ((cycle, -22.0), (cycle, far + 1.2), (right, far + 1.2))),
        Way(("bicycle",), ((left, far + 1.0), (-cycle, far + 1.0), (-cycle, -22.0))),
    )


def _walks(rng: np.random.Generator, plan: _Plan) -> tuple[Way, ...]:
    """From door to door, along the pavements and over the crossing."""
    far = plan.far
    ways: list[Way] = []
    for edge, front, out in zip(plan.edges, plan.fronts, (-1.0, 1.0), strict=True):
        door = front + out * 0.25
        for _ in range(5):
            x = edge + out * float(rng.uniform(1.5, abs(front - edge) - 0.5))
            y0, y1 = float(rng.uniform(6, far * 0.45)), float(rng.uniform(far * 0.5, far - 6))
            walk = ((door, y0), (x, y0 + 1.2), (x, y1), (door, y1 + 1.2))
            ways.append(Way(("person",), walk if rng.random() < 0.5 else walk[::-1], corner_m=0.8))
        x = edge + out * float(rng.uniform(1.5, abs(front - edge) - 0.6))
        ways.append(Way(("person",), ((x, -14.0), (x, far * 0.5), (door, far * 0.5 + 2)), corner_m=0.8))
        x += out * 0.4
        ways.append(Way(("person",), ((door, far * 0.4), (x, far * 0.4 - 2), (x, -14.0)), corner_m=0.8))
    (left, right), (left_front, right_front) = plan.edges, plan.fronts
    for _ in range(4):
        y = plan.zebra + float(rng.uniform(0.5, 3.5))
        start = (left_front - 0.25, y + float(rng.uniform(-9, 9)))
        end = (right_front + 0.25, y + float(rng.uniform(-9, 9)))
        over = (start, (left - 1.4, start[1]), (left - 0.7, y), (right + 0.7, y), (right + 1.4, end[1]), end)
        ways.append(Way(("person",), over if rng.random() < 0.5 else over[::-1], corner_m=0.7, weight=2.0))
    return tuple(ways)
