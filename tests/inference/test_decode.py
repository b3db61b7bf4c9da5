import math
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.darknet.build import build_model
from inference.darknet.cfg import read_cfg
from inference.darknet.layers import Head, HeadForm, Shape
from inference.darknet.network import resolve_network
from inference.darknet.weights import read_weights
from inference.decode import BLOCK, MAX_CANDIDATES, Suppression, decode_image, decode_maps, suppress
from inference.engine import Detections
from tests.inference.darknet_examples import DATA, YOLO_FASTEST, iou, needs_data

ANCHORS_WH = ((10.0, 14.0), (23.0, 27.0))
KEEP_ALL = Suppression(score_threshold=0.01, iou_threshold=1.0, max_detections=10_000)


def head_of(width: int, height: int, classes: int = 3, scale_x_y: float = 1.0, form: HeadForm = "yolo") -> Head:
    shape = Shape(height, width, len(ANCHORS_WH) * (5 + classes))
    return Head(1, 1, 0, shape, ANCHORS_WH, classes, scale_x_y, form)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def darknet_box(item: np.ndarray, head: Head) -> tuple[list[float], list[float]]:
    """One place's numbers: x and y within its cell, factors of the anchor's size; a probability for each class.

    Darknet's get_yolo_box with and without new coordinates, and get_region_box.
    """
    shift = (head.scale_x_y - 1) / 2
    if head.form == "new_coords":
        x, y = (value * head.scale_x_y - shift for value in item[:2])
        return [x, y, *(value * value * 4 for value in item[2:4])], [item[4] * value for value in item[5:]]
    x, y = (sigmoid(value) * head.scale_x_y - shift for value in item[:2])
    box = [x, y, *(math.exp(value) for value in item[2:4])]
    if head.form == "region":
        powers = [math.exp(value) for value in item[5:]]
        return box, [sigmoid(item[4]) * power / sum(powers) for power in powers]
    return box, [sigmoid(item[4]) * sigmoid(value) for value in item[5:]]


def darknet_boxes(raw: np.ndarray, head: Head, input_wh: tuple[int, int], threshold: float) -> list[tuple[float, ...]]:
    """The boxes of a map, one number at a time: (score, class, x0, y0, x1, y1), sorted."""
    boxes = []
    for row in range(head.shape.height):
        for column in range(head.shape.width):
            for number, (anchor_w, anchor_h) in enumerate(head.anchors_wh):
                item = raw[row, column, number * (5 + head.classes) :][: 5 + head.classes].astype(np.float64)
                (x, y, w, h), probabilities = darknet_box(item, head)
                score = max(probabilities)
                if score < threshold:
                    continue
                x, y = (column + x) / head.shape.width * input_wh[0], (row + y) / head.shape.height * input_wh[1]
                w, h = anchor_w * w, anchor_h * h
                boxes.append((score, probabilities.index(score), x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    return sorted(boxes)


def rows_of(found: Detections) -> list[tuple[float, ...]]:
    return sorted(
        (float(score), int(label), *map(float, box))
        for score, label, box in zip(found.scores, found.class_ids, found.xyxy, strict=True)
    )


def random_map(head: Head, seed: int = 7) -> np.ndarray:
    raw = np.random.default_rng(seed).normal(0, 1.5, (head.shape.height, head.shape.width, head.shape.channels))
    return (1 / (1 + np.exp(-raw)) if head.form == "new_coords" else raw).astype(np.float32)


@pytest.mark.parametrize("form", ["yolo", "new_coords", "region"])
@pytest.mark.parametrize("scale_x_y", [1.0, 1.05, 2.0])
@pytest.mark.parametrize(("width", "height"), [(5, 3), (1, 1), (4, 6)])
def test_boxes_are_darknets(form: HeadForm, scale_x_y: float, width: int, height: int):
    head = head_of(width, height, scale_x_y=scale_x_y, form=form)
    raw = random_map(head)
    found = decode_maps([raw], [head], (160, 96), 0.2)
    expected = darknet_boxes(raw, head, (160, 96), 0.2)
    actual = rows_of(found)
    assert len(actual) == len(expected) > 0
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-3)
    assert (found.xyxy.dtype, found.scores.dtype, found.class_ids.dtype) == (np.float32, np.float32, np.int32)


def test_heads_of_all_forms_are_read_together():
    heads = [
        head_of(4, 6),
        head_of(2, 3, scale_x_y=1.1),
        head_of(4, 6, form="new_coords", scale_x_y=2.0),
        head_of(2, 3, classes=5),
        head_of(4, 6, form="region"),
    ]
    maps = [random_map(head, seed) for seed, head in enumerate(heads)]
    expected = [darknet_boxes(raw, head, (64, 96), 0.3) for raw, head in zip(maps, heads, strict=True)]
    assert all(expected)
    found = decode_maps(maps, heads, (64, 96), 0.3)
    np.testing.assert_allclose(rows_of(found), sorted(box for boxes in expected for box in boxes), rtol=1e-5, atol=1e-3)


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
    assert len(decode_maps([raw], [head_of(1, 1)], (32, 32), threshold)) == found


def test_a_box_counts_for_its_best_class_only():
    found = decode_maps([one_box(9.0, (2.0, 3.0, 1.0))], [head_of(1, 1)], (32, 32), 0.25)
    assert found.class_ids.tolist() == [1]
    np.testing.assert_allclose(found.scores, [sigmoid(9) * sigmoid(3)], rtol=1e-6)
    np.testing.assert_allclose(found.xyxy, [[11, 9, 21, 23]])


@pytest.mark.parametrize("form", ["yolo", "new_coords", "region"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("position", range(8))
def test_wild_values_make_no_wild_box(form: HeadForm, value: float, position: int):
    raw = one_box(9.0, (9.0, 2.0, -3e38))
    raw[0, 0, position] = value
    found = decode_image([raw], [head_of(1, 1, form=form)], (32, 32), KEEP_ALL)
    assert len(found) == 0 or np.isfinite(value)
    assert (found.scores <= 1).all()
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


def opencv_suppress(found: Detections, suppression: Suppression) -> Detections:
    """OpenCV's own, which wants boxes from 0 upwards: it keeps classes apart by shifting them."""
    if not len(found):
        return found
    order = np.argsort(-found.scores, kind="stable")
    xyxy, scores, class_ids = found.xyxy[order], found.scores[order], found.class_ids[order]
    xywh = np.concatenate([xyxy[:, :2] - xyxy[:, :2].min(axis=0), xyxy[:, 2:] - xyxy[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(xywh, scores, class_ids, suppression.score_threshold, suppression.iou_threshold)
    best = np.sort(np.asarray(kept, np.intp).reshape(-1))[: suppression.max_detections]
    return Detections(xyxy[best], scores[best], class_ids[best])


@pytest.mark.parametrize("iou_threshold", [0.3, 0.45, 0.6])
@pytest.mark.parametrize("count", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 300, MAX_CANDIDATES])
@pytest.mark.parametrize("classes", [1, 5])
def test_suppression_is_opencvs(iou_threshold: float, count: int, classes: int):
    rng = np.random.default_rng(count)
    for spread in (60, 200, 1000):
        centres, sizes = rng.uniform(0, spread, (count, 2)), rng.uniform(10, 120, (count, 2))
        xyxy = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1).astype(np.float32)
        scores = rng.uniform(0.3, 1, count).astype(np.float32)
        found = Detections(xyxy, scores, rng.integers(0, classes, count).astype(np.int32))
        for most in (300, 5):
            suppression = Suppression(0.25, iou_threshold, most)
            ours, theirs = suppress(found, suppression), opencv_suppress(found, suppression)
            assert rows_of(ours) == rows_of(theirs)
            assert ours.scores.tolist() == sorted(ours.scores.tolist(), reverse=True)


def opencv_detections(cfg: Path, photo: Path, input_wh: tuple[int, int], suppression: Suppression) -> Detections:
    """OpenCV's network, decoding and suppression: its outputs have a row for each place."""
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(cfg.with_suffix(".weights")))
    net.setInput(cv2.dnn.blobFromImage(cv2.imread(str(photo)), 1 / 255, input_wh, swapRB=True))
    rows = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
    scores = rows[:, 5:].max(axis=1)  # already times the objectness, 0 where below 0.2
    rows, scores = rows[scores > suppression.score_threshold], scores[scores > suppression.score_threshold]
    centres, half = rows[:, :2] * input_wh, rows[:, 2:4] * input_wh / 2
    xyxy = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
    return opencv_suppress(Detections(xyxy, scores, rows[:, 5:].argmax(axis=1).astype(np.int32)), suppression)


@needs_data
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolo-fastest-1.1-xl", "yolo-fastest-1.1", "yolo-fastest-1.1_body"])
def test_boxes_on_photos_are_opencvs(name: str):
    cfg, suppression, input_wh = YOLO_FASTEST / f"{name}.cfg", Suppression(0.25, 0.45, 300), (320, 320)
    network = resolve_network(read_cfg(cfg), input_wh)
    model = build_model(network, read_weights(cfg.with_suffix(".weights"), network), batch=1)
    photos, boxes = sorted((DATA / "images/photos").glob("*.jpg")), 0
    assert len(photos) == 7
    for photo in photos:
        theirs = opencv_detections(cfg, photo, input_wh, suppression)
        blob = cv2.dnn.blobFromImage(cv2.imread(str(photo)), 1 / 255, input_wh, swapRB=True)
        maps = [np.asarray(raw)[0] for raw in keras.tree.flatten(model(blob.transpose(0, 2, 3, 1)))]
        ours = decode_image(maps, network.heads, input_wh, suppression)
        assert ours.class_ids.tolist() == theirs.class_ids.tolist(), photo.name
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-3)
        np.testing.assert_allclose(ours.xyxy, theirs.xyxy, rtol=1e-3, atol=0.05)
        boxes += len(ours)
    assert boxes > 5


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
