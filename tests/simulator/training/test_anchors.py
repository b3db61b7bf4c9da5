"""Anchors."""

import numpy as np
import pytest

from simulator.training.anchors import find_anchors, mean_overlap


def boxes_around(shapes, count=50):
    rng = np.random.default_rng(0)
    return np.concatenate([np.array(shape) * rng.uniform(0.9, 1.1, (count, 2)) for shape in shapes]).astype(np.float32)


def test_each_cluster_of_shapes_gets_its_anchor():
    shapes = [(10, 20), (40, 15), (100, 90)]
    anchors = find_anchors(boxes_around(shapes), 3, seed=1)
    np.testing.assert_allclose(anchors, shapes, rtol=0.06)


def test_anchors_are_sorted_by_area_and_reproducible():
    boxes = np.random.default_rng(3).uniform(5, 100, (400, 2)).astype(np.float32)
    anchors = find_anchors(boxes, 6, seed=1)
    assert (np.diff(anchors.prod(axis=1)) > 0).all()
    np.testing.assert_array_equal(anchors, find_anchors(boxes, 6, seed=1))


def test_a_frequent_shape_does_not_take_all_anchors():
    boxes = np.concatenate([boxes_around([(10, 20)], 2000), boxes_around([(120, 80)], 20)])
    anchors = find_anchors(boxes, 2, seed=1)
    np.testing.assert_allclose(anchors, [(10, 20), (120, 80)], rtol=0.1)


def test_more_anchors_fit_better():
    boxes = np.random.default_rng(3).uniform(5, 100, (400, 2)).astype(np.float32)
    fits = [mean_overlap(boxes, find_anchors(boxes, count, seed=1)) for count in (1, 3, 6)]
    assert fits[0] < fits[1] < fits[2]


def test_too_few_boxes_are_refused():
    with pytest.raises(ValueError, match="1 different boxes are not enough for 2 anchors"):
        find_anchors(np.ones((9, 2), np.float32), 2, seed=1)
