"""What each slot of the heads should say of a picture: the assignment of boxes to slots. Pure.

A slot is one anchor in one cell of one head. A box is wanted from every anchor that is about as large as it, in the
cell that holds its centre and in the two neighbours that are nearest to it (the scheme of YOLOv5, by hand; scale_x_y=2
lets a cell reach half a cell beyond itself). Two things about each other's size at about one place, such as a rider and
his bicycle, would take the same slots, so each box first gets the best slot that is free, then all get what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.training.boxes import Floats, Integers, shape_overlaps

NEGATIVE: Final = 0.0
POSITIVE: Final = 1.0
IGNORED: Final = -1.0

SHAPE_LIMIT: Final = 2.5
"""An anchor is wanted for a box if neither side is larger or smaller than the box's by more than this factor."""


@dataclass(frozen=True, slots=True)
class Grid:
    """One head at the size it is trained at: cells of `stride` pixels, and its anchors in pixels."""

    rows: int
    columns: int
    stride: int
    anchors_wh: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """The things in a picture: boxes xyxy (n, 4), class ids (n,), and whether each is to be learned or left alone."""

    xyxy: Floats
    class_ids: Integers
    is_learned: "np.ndarray[tuple[int], np.dtype[np.bool_]]"


@dataclass(frozen=True, slots=True)
class _Claim:
    """A box wants a slot. `fit` is the overlap of shapes, and 1 more in the cell that holds the box's centre."""

    fit: float
    box: int
    slot: tuple[int, int, int, int]


def assign(things: Labelled, grids: Sequence[Grid]) -> list[Floats]:
    """The targets of one picture, one array a grid: float32 (rows, columns, anchors, 6).

    The six are the box's xyxy in pixels, the class id, and POSITIVE, NEGATIVE, or IGNORED (no answer is wrong there).
    """
    out = [np.zeros((grid.rows, grid.columns, len(grid.anchors_wh), 6), np.float32) for grid in grids]
    claims = [
        claim
        for box in range(len(things.xyxy))
        for claim in _claims(box, things.xyxy[box], grids, is_wide=not things.is_learned[box])
    ]
    wanted = sorted((claim for claim in claims if things.is_learned[claim.box]), key=lambda claim: -claim.fit)
    taken: set[tuple[int, int, int, int]] = set()
    served: set[int] = set()
    for round_one in (True, False):
        for claim in wanted:
            if claim.slot in taken or (round_one and claim.box in served):
                continue
            taken.add(claim.slot)
            served.add(claim.box)
            head, row, column, anchor = claim.slot
            out[head][row, column, anchor] = (*things.xyxy[claim.box], things.class_ids[claim.box], POSITIVE)
    for claim in claims:
        if not things.is_learned[claim.box] and claim.slot not in taken:
            head, row, column, anchor = claim.slot
            out[head][row, column, anchor, 5] = IGNORED
    return out


def _claims(box: int, xyxy: Floats, grids: Sequence[Grid], *, is_wide: bool) -> list[_Claim]:
    """All that a box wants; where `is_wide`, from all cells around its own."""
    wh = np.maximum(xyxy[2:] - xyxy[:2], 1e-3)
    x, y = (xyxy[:2] + xyxy[2:]) / 2
    anchors = np.concatenate([np.array(grid.anchors_wh, np.float32) for grid in grids])
    fits = shape_overlaps(wh[None], anchors)[0]
    ratios = np.maximum(anchors / wh, wh / anchors).max(axis=1)
    is_wanted = ratios < SHAPE_LIMIT
    is_wanted[int(np.argmax(fits))] = True
    claims: list[_Claim] = []
    first = 0
    for head, grid in enumerate(grids):
        column, row = x / grid.stride, y / grid.stride
        home = (min(max(int(row), 0), grid.rows - 1), min(max(int(column), 0), grid.columns - 1))
        cells = _around(home) if is_wide else _nearest(home, float(row), float(column))
        inside = [cell for cell in cells if 0 <= cell[0] < grid.rows and 0 <= cell[1] < grid.columns]
        for anchor in range(len(grid.anchors_wh)):
            if is_wanted[first + anchor]:
                fit = float(fits[first + anchor])
                claims += [_Claim(fit + (cell == home), box, (head, *cell, anchor)) for cell in inside]
        first += len(grid.anchors_wh)
    return claims


def _nearest(home: tuple[int, int], row: float, column: float) -> list[tuple[int, int]]:
    beside = (home[0], home[1] + (1 if column - home[1] >= 0.5 else -1))
    above = (home[0] + (1 if row - home[0] >= 0.5 else -1), home[1])
    return [home, beside, above]


def _around(home: tuple[int, int]) -> list[tuple[int, int]]:
    return [(home[0] + down, home[1] + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
