import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from capture.layout import TILES, Canvas
from inference.engine import Detections
from inference.inputs import ModelInput, batches

CANVAS = Canvas(64, 32)
MOSAIC = ModelInput("mosaic", CANVAS)
TILED = ModelInput("tiles", CANVAS)


def detections(*boxes: tuple[float, float, float, float]) -> Detections:
    count = len(boxes)
    xyxy = np.array(boxes, np.float32).reshape(count, 4)
    return Detections(xyxy, np.linspace(0.9, 0.5, count, dtype=np.float32), np.arange(count, dtype=np.int32))


def test_a_canvas_is_one_image_or_four():
    assert (MOSAIC.input_wh, MOSAIC.images) == ((64, 32), 1)
    assert (TILED.input_wh, TILED.images) == ((32, 16), 4)


@given(arrays(np.uint8, (2, 32, 64, 3)))
def test_tiles_are_the_canvas_cells_in_reading_order(mosaics: np.ndarray):
    images = TILED.split(mosaics)
    assert images.shape == (8, 16, 32, 3)
    assert images.flags.c_contiguous
    for mosaic in range(2):
        for tile in range(TILES):
            rows, columns = CANVAS.cell(tile).slices
            assert (images[mosaic * TILES + tile] == mosaics[mosaic, rows, columns]).all()
    assert MOSAIC.split(mosaics) is mosaics
    few = TILED.split(mosaics, [(3,), (0, 2)])
    assert (few == images[[3, 4, 6]]).all()
    assert MOSAIC.split(mosaics, [(3,), (0, 2)]) is mosaics


def test_a_box_on_a_mosaic_belongs_to_the_tile_with_its_centre():
    placed = MOSAIC.place([detections((0, 0, 10, 10), (30, 0, 36, 4), (20, 20, 30, 30), (40, 10, 60, 30))])
    assert placed.tiles.tolist() == [0, 1, 2, 3]


def test_boxes_in_tiles_move_to_their_cells_and_stay_theirs():
    """The second one's centre lies in the neighbouring cell, as a network's may: it is not the neighbour's."""
    found = [detections((1, 2, 3, 4), (30, 1, 36, 5)), detections(), detections((1, 2, 3, 4)), detections((0, 0, 1, 1))]
    placed = TILED.place(found)
    assert placed.tiles.tolist() == [0, 0, 2, 3]
    assert placed.detections.xyxy.tolist() == [[1, 2, 3, 4], [30, 1, 36, 5], [1, 18, 3, 20], [32, 16, 33, 17]]
    assert placed.detections.xyxy.dtype == np.float32
    assert placed.detections.class_ids.tolist() == [0, 1, 0, 0]
    assert placed.detections.scores.tolist() == pytest.approx([0.9, 0.5, 0.9, 0.9])


def test_boxes_of_some_tiles_move_to_the_cells_of_those():
    placed = TILED.place([detections((1, 2, 3, 4)), detections((0, 0, 1, 1))], (1, 2))
    assert placed.tiles.tolist() == [1, 2]
    assert placed.detections.xyxy.tolist() == [[33, 2, 35, 4], [0, 16, 1, 17]]


@given(st.integers(0, 40), st.sets(st.integers(2, 16), max_size=3))
def test_images_are_cut_into_batches_of_the_compiled_sizes(images: int, sizes: set[int]):
    cut = list(batches(images, sorted({1, *sizes})))
    assert [index for part in cut for index in range(images)[part]] == list(range(images))
    lengths = [part.stop - part.start for part in cut]
    assert set(lengths) <= {1, *sizes}
    assert lengths == sorted(lengths, reverse=True)


@given(
    st.lists(st.tuples(*[st.floats(-8, 40, width=32)] * 4), max_size=5),
    st.integers(0, TILES - 1),
)
def test_a_tiles_box_is_never_credited_to_another_tile(boxes: list[tuple[float, ...]], tile: int):
    found = [detections(*boxes) if turn == tile else detections() for turn in range(TILES)]  # type: ignore[arg-type]
    placed = TILED.place(found)
    assert placed.tiles.tolist() == [tile] * len(boxes)
    cell = CANVAS.cell(tile)
    moved = placed.detections.xyxy - np.float32([cell.x, cell.y, cell.x, cell.y])
    np.testing.assert_allclose(moved, found[tile].xyxy, atol=1e-4)
