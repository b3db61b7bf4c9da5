"""Real people: the truth of PETS 2009 S2L1, as an exact detector would see it, and a room as a real one sees it."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from capture.layout import GREY, letterbox, to_source
from capture.messages import Sighting
from events.analyst import Analyst, CameraRules
from events.tracker import Tracker
from events.words import Batch, Ending, Kind
from inference.engine import EngineOptions, ModelFiles
from inference.engines import installed_engines
from inference.loading import load_engine

DATA = Path(__file__).parents[2].parent / "shared" / "data"
TRUTH = DATA / "videos" / "pets09-s2l1.gt.txt"
ROOM = DATA / "videos" / "one-by-one-person-detection.mp4"
FPS = 10
ROOM_VISITS_S = ((6, 20), (23, 45), (50, 70), (74, 87), (92, 120), (123, 136))
"""When somebody is in the room, read off the pictures by eye: a woman in grey, a man in black, a woman with long hair,
a man with a cap, a woman in a speckled coat, a man in a light shirt. Nobody comes twice, no two are there at once."""
TILE_WH = (416, 256)
ROOM_STEP = 5
"""Two pictures a second: few enough for a test."""


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


def sightings(tmp_path: Path) -> Iterator[tuple[float, list[Sighting]]]:
    """What yolo-fastest sees of the room in a tile: time, sightings."""
    weights = DATA / "weights" / "yolo-fastest" / "yolo-fastest-1.1-xl.weights"
    files = ModelFiles(weights.with_suffix(".cfg"), weights, DATA / "cfg" / "coco.names")
    engine = load_engine(installed_engines()[0], files, EngineOptions(TILE_WH, cache_dir=tmp_path))
    names = files.names.read_text().split("\n")
    with av.open(str(ROOM)) as container:
        for number, frame in islice(enumerate(container.decode(video=0)), 0, None, ROOM_STEP):
            picture = frame.to_ndarray(format="rgb24")
            wh = (picture.shape[1], picture.shape[0])
            place = letterbox(wh, TILE_WH)
            tile = np.full((1, TILE_WH[1], TILE_WH[0], 3), GREY, np.uint8)
            tile[0][place.slices] = cv2.resize(picture, (place.w, place.h), interpolation=cv2.INTER_AREA)
            found = engine.detect(tile)[0]
            boxes = to_source(found.xyxy, place, wh).tolist()
            seen = zip(boxes, found.scores.tolist(), found.class_ids.tolist(), strict=True)
            yield number / FPS, [Sighting(names[label], score, tuple(box)) for box, score, label in seen]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not ROOM.is_file(), reason=f"{ROOM} is absent")
def test_each_who_walks_through_a_room_is_one_event(tmp_path):
    chance = count()
    analyst, kept = Analyst("room", CameraRules(), lambda: next(chance)), Batch()
    for at_s, seen in sightings(tmp_path):
        kept += analyst.see(at_s, 1e9 + at_s, (768, 432), [each for each in seen if each.label == "person"])
    kept += analyst.close(Ending.STOPPED)
    visits = [(event.started_at - 1e9, event.updated_at - 1e9) for event in kept.events if event.kind is Kind.END]
    assert len(visits) == len(ROOM_VISITS_S), visits
    for (began_s, ended_s), (came_s, left_s) in zip(visits, ROOM_VISITS_S, strict=True):
        assert began_s == pytest.approx(came_s, abs=2.0)
        assert ended_s == pytest.approx(left_s, abs=2.0)
