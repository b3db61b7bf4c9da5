"""Who stands before whom: painting order of things on the ground. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.world.lens import Floats

_FOLLOWING = {count: np.roll(np.arange(count), -1) for count in range(3, 9)}


@dataclass(frozen=True, slots=True, eq=False)
class Stand:
    """What a thing covers.

    Attributes:
        footprint: corners of a convex shape on the ground, counter-clockwise, metres (n, 2).
        normals: outward normals of its edges (n, 2).
        offsets: where its edges lie along them (n,).
        box: where it appears on the picture, xyxy.
        distance_m: from the camera's foot to its middle.
    """

    footprint: Floats
    normals: Floats
    offsets: Floats
    box: tuple[float, float, float, float]
    distance_m: float


def stand_on(corners: Floats, box: tuple[float, float, float, float], distance_m: float) -> Stand:
    """What a thing covers that stands on `corners` (n, 2), counter-clockwise."""
    edges = corners[_FOLLOWING[len(corners)]] - corners
    normals = np.empty_like(edges)
    normals[:, 0], normals[:, 1] = edges[:, 1], -edges[:, 0]
    return Stand(corners, normals, (normals * corners).sum(axis=1), box, distance_m)


def footprint(x: float, y: float, heading_rad: float, ahead_m: float, aside_m: float) -> Floats:
    """A turned rectangle, counter-clockwise (4, 2)."""
    c, s = np.cos(heading_rad), np.sin(heading_rad)
    corners = np.array([(-ahead_m, -aside_m), (ahead_m, -aside_m), (ahead_m, aside_m), (-ahead_m, aside_m)])
    turned: Floats = corners @ np.array([[c, s], [-s, c]])
    turned += np.array([x, y])
    return turned


def is_behind(one: Stand, other: Stand, eye: Floats) -> bool:
    """Whether `one` is to be painted before `other`, as seen from above `eye` (2,).

    Where a line along an edge separates the two, the one on the eye's side is in front; else the nearer one.
    """
    if (verdict := _parted(one, other, eye)) is not None:
        return verdict
    if (verdict := _parted(other, one, eye)) is not None:
        return not verdict
    return one.distance_m > other.distance_m


def _parted(inner: Stand, outer: Stand, eye: Floats) -> bool | None:
    """Whether an edge of `inner` that has `outer` beyond it has the eye beyond it, too; None: no edge parts them."""
    beyond = (inner.normals @ outer.footprint.T).min(axis=1) >= inner.offsets - 1e-6
    if not beyond.any():
        return None
    return bool((inner.normals @ eye > inner.offsets)[beyond].any())


def painting_order(stands: Sequence[Stand], eye: Floats, moving: int | None = None) -> list[int]:
    """Indices from the back to the front; only things whose boxes overlap are compared.

    Of the stands from `moving` on, if it is given, the order among themselves does not matter.
    """
    far_first = sorted(range(len(stands)), key=lambda index: -stands[index].distance_m)
    before: dict[int, set[int]] = {index: set() for index in far_first}
    boxes = np.array([stand.box for stand in stands]).reshape(-1, 4)
    for place, index in enumerate(far_first):
        rest = far_first[place + 1 :]
        mine, theirs = boxes[index], boxes[rest]
        if moving is not None and index >= moving:
            rest = [other for other in rest if other < moving]
            theirs = boxes[rest]
        meets = (
            (theirs[:, 0] < mine[2]) & (theirs[:, 2] > mine[0]) & (theirs[:, 1] < mine[3]) & (theirs[:, 3] > mine[1])
        )
        for other in (rest[k] for k in np.nonzero(meets)[0].tolist()):
            if is_behind(stands[index], stands[other], eye):
                before[other].add(index)
            else:
                before[index].add(other)
    done: list[int] = []
    waiting = list(far_first)
    while waiting:
        ready = next((index for index in waiting if not before[index]), waiting[0])  # a circle: the farthest goes first
        waiting.remove(ready)
        done.append(ready)
        for index in waiting:
            before[index].discard(ready)
    return done
