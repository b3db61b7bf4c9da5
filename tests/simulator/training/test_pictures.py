"""Pictures of the world as a tile shows them."""

import numpy as np
import pytest

from simulator.training.boxes import CONTENT_WH
from simulator.training.pictures import Order, render, render_order, through_h264, truths_of
from simulator.world import LABELS, Truth


def test_truths_are_scaled_to_the_content():
    truths = (Truth("car", (0, 0, 1280, 720), 0.5, 1), Truth("person", (640, 360, 660, 400), 1.0, 2))
    there = truths_of(truths, (1280, 720))
    np.testing.assert_allclose(there.xyxy, [[0, 0, 416, 234], [208, 117, 214.5, 130]])
    assert [LABELS[class_id] for class_id in there.class_ids] == ["car", "person"]
    np.testing.assert_allclose(there.visible_ratio, [0.5, 1.0])


def test_no_truth_is_no_box():
    assert truths_of((), (1280, 720)).xyxy.shape == (0, 4)


def test_h264_keeps_order_and_place_and_loses_detail():
    rows, columns = np.mgrid[0:360, 0:640]
    pictures = [
        np.stack([columns / 640 * 200, rows / 360 * 200, rows * 0 + 60 * n], 2).astype(np.uint8) for n in range(4)
    ]
    noisy = [np.clip(p + np.random.default_rng(0).normal(0, 12, p.shape), 0, 255).astype(np.uint8) for p in pictures]
    streamed = through_h264(noisy, 32)
    assert [picture.shape for picture in streamed] == [(CONTENT_WH[1], CONTENT_WH[0], 3)] * 4
    for number, picture in enumerate(streamed):
        assert picture.dtype == np.uint8
        assert picture[..., 2].mean() == pytest.approx(60 * number, abs=6)
        assert picture[5, 400, 0] > 150 > picture[5, 10, 0]
        assert picture[228, 10, 1] > 150 > picture[5, 10, 1]


@pytest.mark.slow
def test_orders_are_reproducible_and_come_in_order():
    orders = [Order(3, 2), Order(4, 3)]
    scenes = list(render(orders, 2))
    assert [len(some) for some in scenes] == [2, 3]
    again = render_order(orders[1])
    for one, two in zip(scenes[1], again, strict=True):
        np.testing.assert_array_equal(one.content, two.content)
        np.testing.assert_array_equal(one.truths.xyxy, two.truths.xyxy)
    assert not np.array_equal(scenes[0][0].content, scenes[0][1].content)
    assert scenes[0][0].content.shape == (CONTENT_WH[1], CONTENT_WH[0], 3)
