"""Geometry of the mosaic, by tables and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.layout import TILES, Canvas, Rect, letterbox, tile_of, to_canvas, to_source

SIDES = st.integers(1, 8192)
SIZES = st.tuples(SIDES, SIDES)
CANVASES = st.builds(lambda w, h: Canvas(2 * w, 2 * h), st.integers(8, 2048), st.integers(8, 2048))


@pytest.mark.parametrize(
    ("source_wh", "tile_wh", "expected"),
    [
        ((1920, 1080), (416, 256), Rect(0, 11, 416, 234)),
        ((480, 360), (416, 256), Rect(37, 0, 341, 256)),
        ((416, 256), (416, 256), Rect(0, 0, 416, 256)),
        ((100, 100), (416, 416), Rect(0, 0, 416, 416)),
        ((8192, 1), (416, 256), Rect(0, 127, 416, 1)),
        ((1, 8192), (416, 256), Rect(207, 0, 1, 256)),
    ],
)
def test_letterbox_keeps_the_aspect_ratio_and_centres(source_wh, tile_wh, expected):
    assert letterbox(source_wh, tile_wh) == expected


@given(SIZES, SIZES)
def test_letterbox_fills_one_direction_and_stays_inside(source_wh, tile_wh):
    inner = letterbox(source_wh, tile_wh)
    assert inner.w == tile_wh[0] or inner.h == tile_wh[1]
    assert 0 <= inner.x <= inner.x + inner.w <= tile_wh[0]
    assert 0 <= inner.y <= inner.y + inner.h <= tile_wh[1]
    assert abs((tile_wh[0] - inner.w) - 2 * inner.x) <= 1
    assert abs((tile_wh[1] - inner.h) - 2 * inner.y) <= 1


@given(CANVASES)
def test_cells_cover_the_canvas_once(canvas):
    covered = np.zeros((canvas.h, canvas.w), np.uint8)
    for tile in range(TILES):
        covered[canvas.cell(tile).slices] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("size", [(0, 2), (2, 0), (3, 2), (2, 3), (-2, 2)])
def test_a_canvas_refuses_odd_and_empty_sides(size):
    with pytest.raises(ValueError, match="even sides"):
        Canvas(*size)


@pytest.mark.parametrize("tile", [-1, 4])
def test_there_are_four_tiles(tile):
    with pytest.raises(ValueError, match="tiles 0 to 3"):
        Canvas(832, 512).cell(tile)


@given(CANVASES, SIZES, st.integers(0, TILES - 1), st.data())
def test_a_box_of_a_camera_is_credited_to_its_tile_and_comes_back(canvas, source_wh, tile, data):
    """The property that must never fail: camera -> canvas -> camera, whatever the sizes."""
    w, h = source_wh
    x1, x2 = sorted((data.draw(st.floats(0, w, width=32)), data.draw(st.floats(0, w, width=32))))
    y1, y2 = sorted((data.draw(st.floats(0, h, width=32)), data.draw(st.floats(0, h, width=32))))
    box = np.array([[x1, y1, x2, y2]], np.float32)
    content = canvas.content(tile, source_wh)
    on_canvas = to_canvas(box, content, source_wh)
    cell = canvas.cell(tile)
    assert cell.x <= on_canvas[0, 0] + 1e-2
    assert on_canvas[0, 2] <= cell.x + cell.w + 1e-2
    centre = (on_canvas[0, 0] + on_canvas[0, 2]) / 2, (on_canvas[0, 1] + on_canvas[0, 3]) / 2
    if cell.x <= centre[0] < cell.x + cell.w and cell.y <= centre[1] < cell.y + cell.h:
        assert tile_of(on_canvas, canvas).tolist() == [tile]
    scale = max(w / content.w, h / content.h)
    np.testing.assert_allclose(to_source(on_canvas, content, source_wh), box, atol=1e-3 * scale + 1e-5 * max(w, h))


@given(
    CANVASES,
    st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 4), min_size=1, max_size=20),
    SIZES,
    st.integers(0, TILES - 1),
)
def test_whatever_the_box_it_ends_inside_its_camera(canvas, boxes, source_wh, tile):
    xyxy = np.array(boxes, np.float32)
    assert set(tile_of(xyxy, canvas).tolist()) <= set(range(TILES))
    mapped = to_source(xyxy, canvas.content(tile, source_wh), source_wh)
    assert (mapped >= 0).all()
    assert (mapped[:, 0::2] <= source_wh[0]).all()
    assert (mapped[:, 1::2] <= source_wh[1]).all()


@pytest.mark.parametrize(
    ("box", "tile"),
    [
        ((0, 0, 831, 511), 0),
        ((0, 0, 832, 510), 1),
        ((0, 0, 830, 512), 2),
        ((0, 0, 832, 512), 3),
        ((415, 255, 417, 257), 3),
        ((414, 254, 416, 256), 0),
    ],
)
def test_a_box_over_the_seam_belongs_to_the_tile_of_its_centre(box, tile):
    assert tile_of(np.array([box], np.float32), Canvas(832, 512)).tolist() == [tile]
