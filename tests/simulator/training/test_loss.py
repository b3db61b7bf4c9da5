"""The loss, by value."""

import math

import numpy as np
import pytest

from inference.darknet.layers import Head, Shape
from inference.decode import decode_maps
from simulator.training.loss import BOX_WEIGHT, complete_iou, decode, detection_loss
from simulator.training.targets import IGNORED, NEGATIVE, POSITIVE, Grid

pytestmark = pytest.mark.slow

GRID = Grid(rows=2, columns=3, stride=8, anchors_wh=((10.0, 20.0), (16.0, 8.0)))
CLASSES = 2
LOW = -30.0
"""A logit that says no without doubt."""


def quiet_maps():
    maps = np.zeros((1, 2, 3, 2, 5 + CLASSES), np.float32)
    maps[..., 4:] = LOW
    return maps


def loss_of(maps, targets):
    parts = detection_loss([maps.reshape(1, 2, 3, -1)], [targets], (GRID,), (2.0,), CLASSES)
    return [float(part) for part in (parts.total, parts.box, parts.objectness, parts.classes)]


def no_targets():
    return np.zeros((1, 2, 3, 2, 6), np.float32)


def test_iou_and_ciou_by_value():
    first = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 20, 10]], np.float32)
    second = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10], [5, -5, 15, 15]], np.float32)
    ciou, iou = (values.numpy() for values in complete_iou(first, second))
    np.testing.assert_allclose(iou, [1, 1 / 3, 0, 100 / 300], atol=1e-5)
    shape = 4 / math.pi**2 * (math.atan(2) - math.atan(0.5)) ** 2
    weight = shape / (1 - 1 / 3 + shape)
    np.testing.assert_allclose(ciou, [1, 1 / 3 - 25 / 325, -400 / 1000, 1 / 3 - weight * shape], atol=1e-5)


def test_boxes_are_those_that_the_product_decodes():
    maps = np.random.default_rng(2).normal(0, 1, (1, 2, 3, 2, 5 + CLASSES)).astype(np.float32)
    head = Head(
        index=0, line=1, source=0, shape=Shape(2, 3, 14), anchors_wh=GRID.anchors_wh, classes=CLASSES, scale_x_y=2.0
    )
    found = decode_maps([maps.reshape(2, 3, -1)], [head], (24, 16), 1e-9)
    ours = decode(maps, GRID, 2.0).numpy().reshape(-1, 4)
    assert len(found.xyxy) == len(ours) == 12
    np.testing.assert_allclose(np.sort(ours, axis=0), np.sort(found.xyxy, axis=0), rtol=1e-4, atol=1e-4)


def test_nothing_there_and_nothing_said_costs_nothing():
    assert loss_of(quiet_maps(), no_targets()) == pytest.approx([0, 0, 0, 0], abs=1e-6)


def test_a_perfect_answer_costs_nothing():
    maps, targets = quiet_maps(), no_targets()
    maps[0, 1, 2, 0] = [0, 0, 0, 0, -LOW, LOW, -LOW]
    targets[0, 1, 2, 0] = [20 - 5, 12 - 10, 20 + 5, 12 + 10, 1, POSITIVE]
    assert loss_of(maps, targets) == pytest.approx([0, 0, 0, 0], abs=1e-4)


def test_each_part_is_a_mean_over_positive_slots():
    maps, targets = quiet_maps(), no_targets()
    box = [20 - 5, 12 - 10, 20 + 5, 12 + 10]
    maps[0, 1, 2, 0] = [0, 0, 0, 0, 0, LOW, -LOW]  # right, but undecided: objectness costs log(2)
    targets[0, 1, 2, 0] = [*box, 1, POSITIVE]
    maps[0, 1, 1, 0] = [0, 0, 0, 0, LOW, 0, LOW]  # 8 to the left, and of no class
    targets[0, 1, 1, 0] = [*box, 1, POSITIVE]
    iou = 2 * 20 / (18 * 20)
    ciou = iou - 64 / (18**2 + 20**2)
    total, lost, objectness, classes = loss_of(maps, targets)
    assert lost == pytest.approx((1 - ciou) / 2, rel=1e-4)
    assert objectness == pytest.approx((math.log(2) + iou * -LOW) / 2, rel=1e-3)
    assert classes == pytest.approx((math.log(2) - LOW) / 2, rel=1e-4)
    assert total == pytest.approx(BOX_WEIGHT * lost + objectness + classes, rel=1e-5)


def test_false_alarm_costs_and_an_ignored_one_does_not():
    maps, targets = quiet_maps(), no_targets()
    maps[0, 0, 0, 1, 4] = 3.0
    assert targets[0, 0, 0, 1, 5] == NEGATIVE
    assert loss_of(maps, targets)[2] == pytest.approx(math.log1p(math.exp(3.0)), rel=1e-4)
    targets[0, 0, 0, 1, 5] = IGNORED
    assert loss_of(maps, targets)[2] == pytest.approx(0, abs=1e-6)
