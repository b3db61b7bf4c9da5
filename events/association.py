"""Which seen box belongs to which track: what a pair costs, and the cheapest pairs. Pure."""

import lap
import numpy as np
import numpy.typing as npt

from events.motion import Corners, Floats

Rows = npt.NDArray[np.intp]


def overlaps(first: Corners, second: Corners) -> Floats:
    """Return (n, m): the intersection over union of each of the first with each of the second."""
    return _ratio(first[:, None], second[None])


def overlaps_of_pairs(first: Corners, second: Corners) -> Floats:
    """Return (n,): the intersection over union of each with its own partner."""
    return _ratio(first, second)


def buffered_overlaps(tracks: Corners, doubt_wh: Floats, seen: Corners) -> Floats:
    """Return (n, m): the overlap of boxes that were made larger by what is not known of where a track is.

    ``doubt_wh`` is (n, 2), pixels to the right and left, up and down. Buffering the boxes is C-BIoU's idea (Yang et al.
    2023, arXiv:2211.14317), whose buffer is a part of the box's size. A part of the track's uncertainty fits any rate
    of answers: a long step gives a wide buffer, a steady walk a narrow one. But it is no wider than the smaller of the
    two is large: a lorry that has left is none of those that are small in the distance, however long ago it was seen.
    """
    least = np.sqrt(np.minimum(_area(tracks)[:, None], _area(seen)))[..., None]
    buffers = np.minimum(doubt_wh[:, None], least)
    wide = np.concatenate([-buffers, buffers], axis=2)
    return _ratio(tracks[:, None] + wide, seen[None] + wide)


def assign(costs: Floats, limit: float) -> tuple[Rows, Rows]:
    """Return the rows and columns of those pairs that cost least together, none of them more than the limit."""
    if not costs.size:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    _, columns, _ = lap.lapjv(costs, extend_cost=True, cost_limit=limit)
    rows = np.flatnonzero(columns >= 0)
    return rows, columns[rows].astype(np.intp)


def _ratio(first: Corners, second: Corners) -> Floats:
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    sides = np.maximum(high - low, 0.0)
    inner = sides[..., 0] * sides[..., 1]
    union = _area(first) + _area(second) - inner
    ratio: Floats = inner / np.maximum(union, np.finfo(np.float64).tiny)
    return ratio


def _area(corners: Corners) -> Floats:
    area: Floats = (corners[..., 2] - corners[..., 0]) * (corners[..., 3] - corners[..., 1])
    return area
