import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.darknet.layers import Head, Shape
from inference.decode import MAX_CANDIDATES, Suppression, decode_head, decode_image, suppress
from inference.engine import Detections
from tests.inference.darknet_examples import iou

ANCHORS_WH = ((10.0, 14.0), (23.0, 27.0))
KEEP_ALL = Suppression(score_threshold=0.01, iou_threshold=1.0, max_detections=10_000)


def head_of(width: int, height: int, classes: int = 3, scale_x_y: float = 1.0) -> Head:
    shape = Shape(height, width, len(ANCHORS_WH) * (5 + classes))
    return Head(1, 1, 0, shape, ANCHORS_WH, classes, scale_x_y)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def darknet_boxes(raw: np.ndarray, head: Head, input_wh: tuple[int, int], threshold: float) -> list[tuple[float, ...]]:
    """Darknet's get_yolo_box, one number at a time: (score, class, x0, y0, x1, y1), sorted."""
    boxes = []
    for row in range(head.shape.height):
        for column in range(head.shape.width):
            for number, (anchor_w, anchor_h) in enumerate(head.anchors_wh):
                item = raw[row, column, number * (5 + head.classes) :][: 5 + head.classes].astype(np.float64)
                probabilities = [sigmoid(item[4]) * sigmoid(value) for value in item[5:]]
                score = max(probabilities)
                if score < threshold:
                    continue
                shift = (head.scale_x_y - 1) / 2
                x = (column + sigmoid(item[0]) * head.scale_x_y - shift) / head.shape.width * input_wh[0]
                y = (row + sigmoid(item[1]) * head.scale_x_y - shift) / head.shape.height * input_wh[1]
                w, h = anchor_w * math.exp(item[2]), anchor_h * math.exp(item[3])
                box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                boxes.append((score, probabilities.index(score), *box))
    return sorted(boxes)


@pytest.mark.parametrize("scale_x_y", [1.0, 1.05, 2.0])
@pytest.mark.parametrize(("width", "height"), [(5, 3), (1, 1), (4, 6)])
def test_boxes_are_darknets(scale_x_y: float, width: int, height: int):
    head = head_of(width, height, scale_x_y=scale_x_y)
    raw = np.random.default_rng(7).normal(0, 1.5, (height, width, head.shape.channels)).astype(np.float32)
    found = decode_head(raw, head, (160, 96), 0.3)
    expected = darknet_boxes(raw, head, (160, 96), 0.3)
    actual = sorted(
        (float(score), int(label), *map(float, box))
        for score, label, box in zip(found.scores, found.class_ids, found.xyxy, strict=True)
    )
    assert len(actual) == len(expected)
    if expected:
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-3)
    assert (found.xyxy.dtype, found.scores.dtype, found.class_ids.dtype) == (np.float32, np.float32, np.int32)


def one_box(objectness: float, classes: tuple[float, ...], size: float = 0.0) -> np.ndarray:
    """A 1x1 map whose first anchor holds a box; the second holds none."""
    empty = [0.0, 0.0, 0.0, 0.0, -50.0, *([0.0] * len(classes))]
    return np.array([0.0, 0.0, size, size, objectness, *classes, *empty], np.float32).reshape(1, 1, -1)


@pytest.mark.parametrize(
    ("objectness", "threshold", "found"),
    [(0.0, 0.49, 1), (0.0, 0.5, 0), (2.0, 0.878, 1), (2.0, 0.879, 0), (80.0, 1.0, 0), (-90.0, 0.01, 0)],
)
def test_the_threshold_is_on_objectness_times_class(objectness: float, threshold: float, found: int):
    # sigmoid(2) * sigmoid(6) is 0.8786.
    raw = one_box(objectness, (-3.0, 6.0, -3.0))
    assert len(decode_head(raw, head_of(1, 1), (32, 32), threshold)) == found


def test_a_box_counts_for_its_best_class_only():
    found = decode_head(one_box(9.0, (2.0, 3.0, 1.0)), head_of(1, 1), (32, 32), 0.25)
    assert found.class_ids.tolist() == [1]
    np.testing.assert_allclose(found.scores, [sigmoid(9) * sigmoid(3)], rtol=1e-6)
    np.testing.assert_allclose(found.xyxy, [[11, 9, 21, 23]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30])
@pytest.mark.parametrize("position", range(8))
def test_wild_values_make_no_wild_box(value: float, position: int):
    raw = one_box(9.0, (9.0, 2.0, 1.0))
    raw[0, 0, position] = value
    found = decode_image([raw], [head_of(1, 1)], (32, 32), KEEP_ALL)
    assert np.isfinite(found.xyxy).all()
    assert np.isfinite(found.scores).all()
    assert (found.xyxy[:, 2:] >= found.xyxy[:, :2]).all()


def detections(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """Rows of x0, y0, x1, y1, score, class."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int32))


def scores_of(found: Detections) -> list[float]:
    return [round(float(score), 3) for score in found.scores]


def test_overlapping_boxes_of_one_class_leave_the_best():
    found = detections((0, 0, 10, 10, 0.6, 0), (1, 0, 11, 10, 0.9, 0), (40, 0, 50, 10, 0.7, 0), (1, 0, 11, 10, 0.8, 1))
    kept = suppress(found, Suppression(0.25, 0.45, 100))
    assert scores_of(kept) == [0.9, 0.8, 0.7]
    assert kept.class_ids.tolist() == [0, 1, 0]
    assert kept.xyxy[1].tolist() == [1, 0, 11, 10]


@pytest.mark.parametrize(("iou_threshold", "left"), [(0.3, 1), (0.34, 2)])
def test_suppression_is_by_intersection_over_union(iou_threshold: float, left: int):
    # Half of each box is shared: 50 / 150.
    found = detections((0, 0, 10, 10, 0.9, 0), (5, 0, 15, 10, 0.8, 0))
    assert len(suppress(found, Suppression(0.25, iou_threshold, 100))) == left


def test_boxes_over_the_edge_do_not_suppress_another_class():
    # A class is moved aside by the largest coordinate: a box far to the left would land on its neighbour class.
    found = detections((90, 90, 100, 100, 0.9, 0), (-11, -11, -1, -1, 0.8, 1))
    assert scores_of(suppress(found, Suppression(0.25, 0.45, 100))) == [0.9, 0.8]


def test_only_the_best_detections_are_kept():
    found = detections(*((20.0 * n, 0, 20.0 * n + 10, 10, 0.3 + n / 100, 0) for n in range(50)))
    assert scores_of(suppress(found, Suppression(0.25, 0.45, 3))) == [0.79, 0.78, 0.77]


def test_suppression_is_bounded():
    count = MAX_CANDIDATES + 500
    found = detections(*((20.0 * n, 0, 20.0 * n + 10, 10, 0.5, 0) for n in range(count)))
    assert len(suppress(found, Suppression(0.25, 0.45, 10_000))) == MAX_CANDIDATES


def test_nothing_found_is_nothing_kept():
    assert len(suppress(detections(), KEEP_ALL)) == 0
    empty = decode_image([np.full((2, 2, 16), -9, np.float32)], [head_of(2, 2)], (64, 64), KEEP_ALL)
    assert empty.xyxy.shape == (0, 4)


BOX = st.tuples(
    st.integers(-20, 60),
    st.integers(-20, 60),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(26, 99),
    st.integers(0, 2),
)


@settings(deadline=None)
@given(st.lists(BOX, max_size=25))
def test_suppression_is_greedy_within_each_class(drawn: list[tuple[int, ...]]):
    found = detections(*((x, y, x + w, y + h, score / 100, label) for x, y, w, h, score, label in drawn))
    expected: list[int] = []
    for item in np.argsort(-found.scores, kind="stable"):
        rivals = [rival for rival in expected if found.class_ids[rival] == found.class_ids[item]]
        # 0.4567 is no ratio of these small integers, so rounding decides nothing.
        if all(iou(found.xyxy[item], found.xyxy[rival]) <= 0.4567 for rival in rivals):
            expected.append(int(item))
    kept = suppress(found, Suppression(0.25, 0.4567, 1000))
    assert kept.xyxy.tolist() == found.xyxy[expected].tolist()
    assert kept.class_ids.tolist() == found.class_ids[expected].tolist()
