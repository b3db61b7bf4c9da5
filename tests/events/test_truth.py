"""Scenes of the simulator, seen by the model in the box and told as events, beside what truly happens on them.

`bench/events_truth.py` asks the same of more and longer scenes, and through the whole chain.
"""

import cv2
import numpy as np
import pytest

from bench.events_truth import followed
from bench.mosaics import FILES
from bench.sites import FPS, SIZE_WH, Actual, Site, actuals, site_of
from bench.tracked import TILE_WH
from bench.visits import judge
from capture.layout import GREY, letterbox, to_source
from capture.messages import Sighting
from events.words import Event
from inference.engine import Engine, EngineOptions
from inference.engines import installed_engines
from inference.loading import load_engine
from simulator.world.world import World

ROUND_S = 20.0
STEP = 2


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load_engine(
        installed_engines()[0], FILES, EngineOptions(TILE_WH, cache_dir=tmp_path_factory.mktemp("graph"))
    )


def watched(seed: int, engine: Engine) -> tuple[Site, list[Actual], list[Event]]:
    """Five pictures a second, painted, seen in a tile, followed by an analyst; and what is true of them."""
    site, world = site_of(seed, ROUND_S), World(seed, SIZE_WH, FPS, ROUND_S)
    place, names = letterbox(SIZE_WH, TILE_WH), FILES.names.read_text().split("\n")
    truths, seen = [], []
    for index in range(0, world.frames, STEP):
        picture = world.picture(index)
        tile = np.full((1, TILE_WH[1], TILE_WH[0], 3), GREY, np.uint8)
        tile[0][place.slices] = cv2.resize(picture.rgb, (place.w, place.h), interpolation=cv2.INTER_AREA)
        found = engine.detect(tile)[0]
        boxes = to_source(found.xyxy, place, SIZE_WH).tolist()
        sightings = tuple(
            Sighting(names[label], score, tuple(box))
            for box, score, label in zip(boxes, found.scores.tolist(), found.class_ids.tolist(), strict=True)
        )
        truths += [picture.truths] * STEP
        seen += [sightings] * STEP
    return site, actuals(site, truths, len(truths)), followed(site, seen, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "crossings", "stays", "passages"), [(1_000_012, 7, 0, 3), (1_000_005, 4, 4, 0)])
def test_what_happens_is_told_once(engine: Engine, seed: int, crossings: int, stays: int, passages: int) -> None:
    """A street by night and a yard by day: every crossing, every stay, one event for each who did something."""
    site, there, events = watched(seed, engine)
    tally = judge(site, there, events, (0.0, ROUND_S))
    said = "\n".join(tally.notes)
    assert (tally.crossings, tally.stays, tally.passages) == (crossings, stays, passages), said
    assert (tally.counted, tally.missed_crossings, tally.false_crossings) == (crossings, 0, 0), said
    assert (tally.missed_stays, tally.false_stays) == (0, 0), said
    assert set(tally.events_of_visits) == {1}, said
    assert len(tally.speed_errors) == passages, said
    assert max(map(abs, tally.speed_errors), default=0.0) <= 0.08, said
    nothing = judge(site, there, [], (0.0, ROUND_S))
    assert (nothing.missed_crossings, nothing.missed_stays) == (crossings, stays), "what is not told is missed"
