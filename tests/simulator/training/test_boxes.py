"""Boxes, and the tile that the detector is trained for."""

import numpy as np

from capture.layout import GREY, Canvas, letterbox
from daemon.fieldtypes import DEFAULT_CANVAS
from simulator.training import boxes


def test_tile_and_bars_are_those_of_the_product():
    assert DEFAULT_CANVAS.tile_wh == boxes.TILE_WH
    place = letterbox((1280, 720), boxes.TILE_WH)
    assert (place.w, place.h) == boxes.CONTENT_WH
    assert (place.x, place.y) == (0, boxes.CONTENT_TOP)
    assert boxes.GREY == GREY
    assert Canvas(832, 512).tile_wh == boxes.TILE_WH


def test_overlaps_by_value():
    first = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    second = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(boxes.overlaps(first, second), [[1, 1 / 3, 0], [0, 0, 0]], atol=1e-6)


def test_shape_overlaps_ignore_place():
    fits = boxes.shape_overlaps(np.array([[10, 20]], np.float32), np.array([[10, 20], [20, 10]], np.float32))
    np.testing.assert_allclose(fits, [[1, 100 / 300]], rtol=1e-6)


def test_sizes_are_roots_of_areas():
    np.testing.assert_allclose(boxes.sizes(np.array([[0, 0, 9, 16], [5, 5, 4, 9]], np.float32)), [12, 0])


def test_clipped_to_the_picture():
    box = np.array([[-5, -5, 500, 20]], np.float32)
    np.testing.assert_array_equal(boxes.clipped(box, (416, 256)), [[0, 0, 416, 20]])
