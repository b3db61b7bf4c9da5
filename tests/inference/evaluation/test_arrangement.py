"""Pictures on tiles and boxes back: the product's geometry, whatever the input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.layout import GREY, to_canvas
from inference.engine import Detections
from inference.evaluation.arrangement import Arrangement, Input, Placed, compose, credit, mosaics_of
from tests.inference.evaluation.examples import found

TILE_WH = (64, 32)
WAYS = list(Input)


def placed(arrangement: Arrangement, source_wh: tuple[int, int], value: int) -> Placed:
    place = arrangement.place(source_wh)
    return Placed(np.full((place.h, place.w, 3), value, np.uint8), source_wh)


@given(st.integers(0, 200))
def test_every_picture_is_on_one_tile(pictures: int) -> None:
    mosaics = mosaics_of(pictures)
    assert sorted(picture for mosaic in mosaics for picture in mosaic) == list(range(pictures))
    assert all(1 <= len(mosaic) <= 4 for mosaic in mosaics)
    assert len(mosaics) == -(-pictures // 4)


def test_pictures_that_follow_each_other_share_no_mosaic() -> None:
    assert mosaics_of(8) == ((0, 2, 4, 6), (1, 3, 5, 7))


@pytest.mark.parametrize(
    ("way", "shapes"),
    [
        (Input.SINGLE, [(1, 32, 64, 3)] * 4),
        (Input.TILES, [(4, 32, 64, 3)]),
        (Input.MOSAIC, [(1, 64, 128, 3)]),
    ],
)
def test_what_the_engine_gets(way: Input, shapes: list[tuple[int, ...]]) -> None:
    arrangement = Arrangement(way, TILE_WH)
    together = [placed(arrangement, (32, 32), value) for value in (10, 20, 30)]
    images = compose(together, arrangement)
    assert [item.shape for item in images] == shapes
    if way is Input.MOSAIC:
        [[canvas]] = images
        tiles = [canvas[:32, :64], canvas[:32, 64:], canvas[32:, :64], canvas[32:, 64:]]
    else:
        tiles = list(np.concatenate(images))
    for tile, value in zip(tiles, (10, 20, 30, GREY), strict=True):
        # A square picture lies in the middle of a tile twice as wide; the rest is bars.
        assert (tile[:, 16:48] == value).all()
        assert (tile[:, :16] == GREY).all()
        assert (tile[:, 48:] == GREY).all()


def test_a_stretched_picture_fills_its_tile() -> None:
    arrangement = Arrangement(Input.SINGLE, TILE_WH, stretch=True)
    assert all((image == 9).all() for image in compose([placed(arrangement, (32, 32), 9)] * 4, arrangement))


def seen_by_engine(arrangement: Arrangement, boxes: list[tuple[float, float, float, float]]) -> list[Detections]:
    """What an engine says that sees one box, in canvas pixels, in each of the four tiles."""
    if arrangement.way is Input.MOSAIC:
        return [found(*((box, 0.5, tile) for tile, box in enumerate(boxes)))]
    result = []
    for tile, box in enumerate(boxes):
        cell = arrangement.canvas.cell(tile)
        moved = (box[0] - cell.x, box[1] - cell.y, box[2] - cell.x, box[3] - cell.y)
        result.append(found((moved, 0.5, tile)))
    return result


sizes = st.tuples(st.integers(20, 300), st.integers(20, 300))


@given(st.sampled_from(WAYS), st.booleans(), st.lists(sizes, min_size=4, max_size=4), st.data())
def test_a_box_comes_back_to_its_own_picture(
    way: Input, stretch: bool, sources: list[tuple[int, int]], data: st.DataObject
) -> None:
    arrangement = Arrangement(way, TILE_WH, stretch)
    expected, on_canvas = [], []
    for tile, (w, h) in enumerate(sources):
        x, y = data.draw(st.floats(0, w - 10)), data.draw(st.floats(0, h - 10))
        box = np.array([[x, y, data.draw(st.floats(x + 5, w)), data.draw(st.floats(y + 5, h))]], np.float32)
        expected.append(box[0])
        on_canvas.append(tuple(to_canvas(box, arrangement.content(tile, (w, h)), (w, h))[0].tolist()))
    together = [placed(arrangement, source_wh, 1) for source_wh in sources]
    credited = credit(seen_by_engine(arrangement, on_canvas), together, arrangement)
    for tile, (item, box) in enumerate(zip(credited, expected, strict=True)):
        assert item.found.class_ids.tolist() == [tile]
        np.testing.assert_allclose(item.found.xyxy[0], box, atol=0.02)
        assert not item.crosses.any()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("box", "crosses"),
    [
        ((70.0, 4.0, 100.0, 30.0), False),
        ((65.5, 4.0, 100.0, 30.0), False),
        ((62.5, 4.0, 100.0, 30.0), True),
        ((63.5, 4.0, 100.0, 30.0), False),  # by less than a pixel
        ((70.0, 4.0, 100.0, 34.0), True),
        ((70.0, -9.0, 140.0, 30.0), False),  # over the mosaic's own edge there is nothing
    ],
)
def test_boxes_that_cross_a_seam_are_known(way: Input, box: tuple[float, ...], crosses: bool) -> None:
    """Tile 1 is at the top right: its seams are on its left and below."""
    arrangement = Arrangement(way, TILE_WH)
    together = [placed(arrangement, TILE_WH, 1)] * 4
    inside = [(2.0, 2.0, 30.0, 30.0), box, (2.0, 34.0, 30.0, 60.0), (70.0, 34.0, 99.0, 60.0)]
    credited = credit(seen_by_engine(arrangement, inside), together, arrangement)
    assert [item.crosses.tolist() for item in credited] == [[False], [crosses], [False], [False]]
    assert (credited[1].found.xyxy >= 0).all()
    assert (credited[1].found.xyxy <= 64).all()


def test_a_box_in_the_bars_is_none() -> None:
    arrangement = Arrangement(Input.TILES, TILE_WH)
    together = [placed(arrangement, (32, 32), 1)] * 4
    bars = found(((2, 2, 14, 30), 0.9, 0), ((20, 4, 40, 30), 0.8, 1))
    credited = credit([bars, found(), found(), found()], together, arrangement)
    assert [item.found.class_ids.tolist() for item in credited] == [[1], [], [], []]


def test_tiles_of_a_last_mosaic_that_show_nothing_are_left_out() -> None:
    arrangement = Arrangement(Input.MOSAIC, TILE_WH)
    together = [placed(arrangement, TILE_WH, 1)] * 2
    credited = credit([found(((70, 40, 90, 60), 0.9, 0))], together, arrangement)
    assert [len(item.found) for item in credited] == [0, 0]
