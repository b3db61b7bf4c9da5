"""Sightings: each box to the camera whose tile holds its centre, in that camera's pixels, and to no other."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.layout import TILES, Canvas, to_canvas
from capture.messages import Sighting, TileAnswer
from capture.slot import CanvasHeader, TileHeader
from inference.engine import Detections
from inference.inputs import ModelInput
from inference.sightings import MIN_SIDE, Wishes, answer_tiles

CANVAS = Canvas(832, 512)
NAMES = ("person", "car", "dog")
ALL = Wishes({}, {})
NOW_S, STALE_S = 1000.0, 2.0
FULL_HD = (1920, 1080)
SQUARE = (600, 600)


def tile(
    index: int, source_wh: tuple[int, int] = FULL_HD, canvas: Canvas = CANVAS, captured_s: float = NOW_S
) -> TileHeader:
    return TileHeader(
        f"cam-{index}", index + 10, index + 20, 1.25, 1.7e9, captured_s, source_wh, canvas.content(index, source_wh)
    )


FOUR = tuple(tile(i) for i in range(TILES))


def detections(*boxes: Sequence[float], scores: Sequence[float] = (), classes: Sequence[int] = ()) -> Detections:
    return Detections(
        xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores or [0.9] * len(boxes), np.float32),
        class_ids=np.array(classes or [0] * len(boxes), np.int32),
    )


def answer(
    found: Detections,
    tiles: tuple[TileHeader | None, ...] = FOUR,
    wishes: Wishes = ALL,
    canvas: Canvas = CANVAS,
    now_s: float = NOW_S,
) -> dict[str, TileAnswer]:
    header = CanvasHeader(5, NOW_S, tiles)
    placed = ModelInput("mosaic", canvas).place([found])
    answers = answer_tiles(header, placed, NAMES, wishes, now_s=now_s, stale_s=STALE_S)
    assert len({each.camera for each in answers}) == len(answers)
    return {each.camera: each for each in answers}


def seen(found: Detections, **arguments: object) -> dict[str, tuple[Sighting, ...]]:
    """Sightings of each camera that has any."""
    return {camera: each.sightings for camera, each in answer(found, **arguments).items() if each.sightings}  # type: ignore[arg-type]


def test_the_tile_travels_with_its_answer() -> None:
    assert answer(detections())["cam-2"] == TileAnswer("cam-2", 12, 22, 1.25, 1.7e9, NOW_S, FULL_HD, ())


@pytest.mark.parametrize("index", range(TILES))
def test_a_box_is_mapped_to_its_cameras_own_pixels(index: int) -> None:
    """1920x1080 lies at 416x234 in a cell of 416x256, with bars of 11 above and below."""
    x, y = (index % 2) * 416, (index // 2) * 256 + 11
    found = detections((x + 104, y + 58.5, x + 208, y + 117), classes=[1], scores=[0.75])
    assert seen(found) == {f"cam-{index}": (Sighting("car", 0.75, (480.0, 270.0, 960.0, 540.0)),)}


@pytest.mark.parametrize(
    ("box", "camera"),
    [
        ((400, 100, 430, 120), "cam-0"),
        ((402, 100, 432, 120), "cam-1"),
        ((300, 240, 320, 270), "cam-0"),
        ((300, 242, 320, 272), "cam-2"),
        ((404, 250, 430, 272), "cam-3"),
        ((0, 0, 832, 512), "cam-3"),
    ],
)
def test_a_box_over_a_seam_belongs_to_whom_its_centre_does_and_is_clipped(box: tuple[float, ...], camera: str) -> None:
    found = seen(detections(box))
    assert list(found) == [camera]
    x1, y1, x2, y2 = found[camera][0].box
    assert 0 <= x1 < x2 <= 1920
    assert 0 <= y1 < y2 <= 1080


def test_a_box_over_the_canvas_edge_is_clipped() -> None:
    found = seen(detections((-20, -30, 104, 128)))
    assert found == {"cam-0": (Sighting("person", pytest.approx(0.9), (0.0, 0.0, 480.0, 540.0)),)}


@pytest.mark.parametrize("box", [(100, 1, 140, 10), (100, 247, 140, 255), (500, 0.5, 520, 9), (500, 502, 530, 511)])
def test_a_box_in_the_bars_above_and_below_is_dropped(box: tuple[float, ...]) -> None:
    assert seen(detections(box)) == {}


def test_a_box_in_the_bars_at_the_sides_is_dropped() -> None:
    tiles = tuple(tile(i, SQUARE) for i in range(TILES))  # 256x256 in 416x256: bars of 80
    assert seen(detections((10, 100, 70, 200), (340, 100, 414, 200)), tiles=tiles) == {}
    assert list(seen(detections((10, 100, 180, 200)), tiles=tiles)) == ["cam-0"]


def test_a_box_that_leaves_less_than_a_pixel_is_dropped() -> None:
    assert MIN_SIDE == 1.0
    scale = 416 / 1920
    assert seen(detections((100, 100, 100 + 0.9 * scale, 120))) == {}
    assert list(seen(detections((100, 100, 100 + 1.1 * scale, 120)))) == ["cam-0"]


@pytest.mark.parametrize("box", [(np.nan,) * 4, (10, np.nan, 40, 50), (40, 50, 10, 20), (-np.inf, 9, -np.inf, 99)])
def test_a_box_that_is_none_is_dropped(box: tuple[float, ...]) -> None:
    assert seen(detections(box)) == {}


def test_a_camera_gets_the_labels_it_wants() -> None:
    wishes = Wishes({"cam-0": frozenset({"dog"}), "cam-1": frozenset()}, {})
    boxes = [(x + 100, 100, x + 150, 150) for x in (0, 416) for _ in NAMES]
    found = seen(detections(*boxes, classes=[0, 1, 2] * 2), wishes=wishes)
    assert {camera: [each.label for each in sightings] for camera, sightings in found.items()} == {"cam-0": ["dog"]}


def test_a_camera_that_is_not_named_wants_all_labels() -> None:
    wishes = Wishes({"cam-3": frozenset({"dog"})}, {})
    box = (100, 100, 150, 150)
    found = seen(detections(box, box, box, classes=[0, 1, 2]), wishes=wishes)
    assert [each.label for each in found["cam-0"]] == list(NAMES)


def test_a_camera_has_its_own_threshold() -> None:
    wishes = Wishes({}, {"cam-0": 0.5})
    boxes = [(100, 100, 150, 150)] * 3 + [(500, 100, 550, 150)]
    found = seen(detections(*boxes, scores=[0.75, 0.5, 0.49, 0.1]), wishes=wishes)
    assert [each.score for each in found["cam-0"]] == [0.75, 0.5]
    assert [each.score for each in found["cam-1"]] == [pytest.approx(0.1)]


def test_a_blank_tile_answers_nothing_and_its_boxes_go_to_nobody() -> None:
    tiles = (None, *FOUR[1:])
    found = answer(detections((100, 100, 150, 150)), tiles=tiles)
    assert list(found) == ["cam-1", "cam-2", "cam-3"]
    assert not any(each.sightings for each in found.values())


def test_a_stale_tile_answers_nothing_and_its_boxes_go_to_nobody() -> None:
    """Stale by now, though it was fresh when it was composed."""
    tiles = (tile(0, captured_s=NOW_S - STALE_S - 0.001), tile(1, captured_s=NOW_S - STALE_S), *FOUR[2:])
    found = answer(detections((100, 100, 150, 150)), tiles=tiles)
    assert list(found) == ["cam-1", "cam-2", "cam-3"]
    assert not any(each.sightings for each in found.values())


def test_an_answer_without_boxes_still_says_that_the_camera_was_looked_at() -> None:
    assert list(answer(detections())) == ["cam-0", "cam-1", "cam-2", "cam-3"]


SIDES = st.integers(1, 4096)
WH = st.tuples(SIDES, SIDES)
UNIT = st.floats(0, 1)


@given(
    st.integers(0, TILES - 1),
    st.tuples(st.integers(1, 1024), st.integers(1, 1024)),
    st.tuples(WH, WH, WH, WH),
    st.lists(st.tuples(UNIT, UNIT, UNIT, UNIT), min_size=1, max_size=8),
    st.sets(st.integers(0, TILES - 1)),
)
def test_a_box_on_a_cameras_picture_is_never_credited_to_another(
    index: int,
    half_wh: tuple[int, int],
    sources_wh: tuple[tuple[int, int], ...],
    corners: list[tuple[float, float, float, float]],
    blanks: set[int],
) -> None:
    canvas = Canvas(2 * half_wh[0], 2 * half_wh[1])
    tiles = tuple(None if i in blanks else tile(i, wh, canvas) for i, wh in enumerate(sources_wh))
    w, h = sources_wh[index]
    own = np.array([(min(a, c) * w, min(b, d) * h, max(a, c) * w, max(b, d) * h) for a, b, c, d in corners], np.float32)
    found = detections(*to_canvas(own, canvas.content(index, (w, h)), (w, h)).tolist())
    assert set(seen(found, tiles=tiles, canvas=canvas)) <= {f"cam-{index}"} - {f"cam-{i}" for i in blanks}


@given(st.integers(0, TILES - 1), WH, st.tuples(UNIT, UNIT), st.tuples(st.floats(0.05, 0.5), st.floats(0.05, 0.5)))
def test_a_box_comes_back_to_where_it_was(
    index: int, source_wh: tuple[int, int], at: tuple[float, float], size: tuple[float, float]
) -> None:
    """Through the canvas and back, to a hundredth of a canvas pixel."""
    w, h = source_wh
    x, y = at[0] * w * 0.5, at[1] * h * 0.5
    box = (x, y, x + size[0] * w, y + size[1] * h)
    content = CANVAS.content(index, source_wh)
    found = detections(*to_canvas(np.array([box], np.float32), content, source_wh).tolist())
    tiles = tuple(tile(i, source_wh) for i in range(TILES))
    credited = seen(found, tiles=tiles)
    if min(box[2] - box[0], box[3] - box[1]) < 1.01 * MIN_SIDE:
        return
    [sighting] = credited[f"cam-{index}"]
    tolerance = 0.01 * max(w / content.w, h / content.h)
    assert sighting.box == pytest.approx(box, abs=tolerance)
