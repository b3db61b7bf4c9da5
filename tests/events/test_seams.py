"""Objects at a mosaic's seams: a detector that sees the whole canvas, the crediting of boxes, an analyst a camera."""

from collections import Counter
from itertools import count

import numpy as np
import pytest

from capture.layout import Canvas, tile_of, to_source
from capture.messages import Sighting
from events.analyst import Analyst, CameraRules
from events.rules import Line
from events.words import Batch, Ending, Kind
from inference.sightings import MIN_SIDE

CANVAS = Canvas(832, 512)
SOURCE_WH = (640, 360)
RATE_HZ = 5.0
ACROSS = (
    Line("left", (0.1, 1.0), (0.1, 0.0), to_right="in", to_left="out"),
    Line("right", (0.9, 1.0), (0.9, 0.0), to_right="in", to_left="out"),
)
"""In each camera, close to its sides; right is where x is more."""


def told(walkers, seconds, rules, jitter_px=0.0):
    """What each of the four cameras tells of boxes (start, speed a second, on the canvas) that walk over all of it."""
    chance, ids = np.random.default_rng(1), count()
    analysts = [Analyst(f"cam-{tile}", rules, lambda: next(ids)) for tile in range(4)]
    batches = [Batch() for _ in analysts]
    for number in range(round(seconds * RATE_HZ)):
        at_s = number / RATE_HZ
        boxes = np.array(
            [[x + dx * at_s - 12, y + dy * at_s - 60, x + dx * at_s + 12, y + dy * at_s] for x, y, dx, dy in walkers]
        )
        boxes = (boxes + chance.normal(0.0, jitter_px or 1e-9, boxes.shape)).astype(np.float32)
        tiles = tile_of(boxes, CANVAS)
        for tile, analyst in enumerate(analysts):
            mine = to_source(boxes[tiles == tile], CANVAS.content(tile, SOURCE_WH), SOURCE_WH)
            seen = [
                Sighting("person", 0.9, tuple(box))
                for box in mine.tolist()
                if box[2] - box[0] >= MIN_SIDE and box[3] - box[1] >= MIN_SIDE
            ]
            batches[tile] += analyst.see(at_s, 1e9 + at_s, SOURCE_WH, seen)
    return [batch + analyst.close(Ending.STOPPED) for batch, analyst in zip(batches, analysts, strict=True)]


def events(batch):
    return [event for event in batch.events if event.kind is Kind.END]


@pytest.mark.parametrize("speed", [30.0, 60.0, 90.0])
def test_who_walks_over_a_seam_is_counted_once_on_either_side(speed):
    """Four, one behind the other, from the left upper camera through its right one, as if both showed one street."""
    walkers = [(-40.0 - 150.0 * turn, 150.0 + 20.0 * turn, speed, 0.0) for turn in range(4)]
    left, right, *below = told(walkers, 1500.0 / speed, CameraRules(lines=ACROSS), jitter_px=1.0)
    for batch in (left, right):
        counts = Counter((each.line, each.direction) for each in batch.counts)
        assert counts == {("left", "in"): 4, ("right", "in"): 4}
        assert len(events(batch)) == 4
    assert not any(below)


def test_who_walks_down_over_a_seam_is_one_event_in_either_camera():
    walkers = [(100.0 + 70.0 * turn, 60.0, 0.0, 40.0) for turn in range(4)]
    above, _, below, _ = told(walkers, 11.0, CameraRules(), jitter_px=1.0)
    assert [len(events(above)), len(events(below))] == [4, 4]


def test_who_stands_on_a_seam_is_no_crowd():
    """Its middle is now on this side, now on that: each camera tells of it once, and nobody counts it."""
    batches = told([(416.0, 150.0, 0.0, 0.0)], 60.0, CameraRules(), jitter_px=2.0)
    assert [len(events(batch)) for batch in batches] == [1, 1, 0, 0]
    counted = told([(416.0, 150.0, 0.0, 0.0)], 60.0, CameraRules(lines=ACROSS), jitter_px=2.0)
    assert not any(batch.counts for batch in counted)
