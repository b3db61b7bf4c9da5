"""Real people on real paths: the truth of PETS 2009 S2L1, as an exact detector would see it."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from events.tracker import Tracker

TRUTH = Path(__file__).parents[2].parent / "shared" / "data" / "videos" / "pets09-s2l1.gt.txt"
FPS = 10


@pytest.mark.data
@pytest.mark.skipif(not TRUTH.is_file(), reason=f"{TRUTH} is absent")
@pytest.mark.parametrize(("rate_hz", "most"), [(10, 0), (5, 0), (2, 8)])
def test_people_who_walk_among_each_other_keep_their_tracks(rate_hz, most):
    """At two answers a second three meet and stop from one to the next; by overlap alone there are 25 switches."""
    rows = np.loadtxt(TRUTH, delimiter=",", usecols=range(6))
    tracker = Tracker()
    ways: defaultdict[int, list[int]] = defaultdict(list)
    for frame in range(1, 401, FPS // rate_hz):
        _, people, x, y, w, h = rows[rows[:, 0] == frame].T
        boxes = np.stack([x, y, x + w, y + h], axis=1)
        update = tracker.update(frame / FPS, boxes, np.full(len(boxes), 0.9), ["person"] * len(boxes))
        for track in update.new + update.updated:
            person = int(people[np.abs(boxes - track.box).sum(axis=1).argmin()])
            if track.id not in ways[person][-1:]:
                ways[person].append(track.id)
    switches = sum(len(way) - 1 for way in ways.values())
    assert len(ways) == len(np.unique(rows[:, 1]))
    assert switches <= most, dict(ways)
