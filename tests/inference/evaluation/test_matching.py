"""Overlap and matching: tables, then properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.evaluation.matching import Match, iou_matrix, match
from tests.inference.evaluation.examples import Box, found, objects

WRONG, IGNORED = int(Match.WRONG), int(Match.IGNORED)
SQUARE: Box = (0, 0, 10, 10)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (SQUARE, SQUARE, 1.0),
        (SQUARE, (0, 0, 10, 5), 0.5),
        (SQUARE, (5, 0, 15, 10), 1 / 3),
        (SQUARE, (5, 5, 15, 15), 25 / 175),
        (SQUARE, (10, 0, 20, 10), 0.0),
        (SQUARE, (20, 20, 30, 30), 0.0),
        ((3, 3, 3, 3), (3, 3, 3, 3), 0.0),
        ((5, 5, 1, 1), SQUARE, 0.0),
    ],
)
def test_overlap(one: Box, other: Box, expected: float) -> None:
    assert iou_matrix(np.array([one], np.float32), np.array([other], np.float32))[0, 0] == pytest.approx(expected)


def test_overlap_of_many_is_that_of_each_pair() -> None:
    result = iou_matrix(np.array([SQUARE, (0, 0, 10, 5)], np.float32), np.array([SQUARE] * 3, np.float32))
    np.testing.assert_allclose(result, [[1, 1, 1], [0.5, 0.5, 0.5]])


@pytest.mark.parametrize(
    ("detections", "truth", "expected"),
    [
        pytest.param([], [], [], id="nothing"),
        pytest.param([(SQUARE, 0.9, 0)], [], [WRONG], id="no object"),
        pytest.param([(SQUARE, 0.9, 0)], [(SQUARE, 0)], [0], id="the one"),
        pytest.param([(SQUARE, 0.9, 0)], [(SQUARE, 1)], [WRONG], id="another class"),
        pytest.param([((0, 0, 10, 5), 0.9, 0)], [(SQUARE, 0)], [0], id="exactly half"),
        pytest.param([((0, 0, 10, 4.9), 0.9, 0)], [(SQUARE, 0)], [WRONG], id="less than half"),
        pytest.param([(SQUARE, 0.5, 0), (SQUARE, 0.9, 0)], [(SQUARE, 0)], [WRONG, 0], id="the better score first"),
        pytest.param([(SQUARE, 0.5, 0), (SQUARE, 0.5, 0)], [(SQUARE, 0)], [0, WRONG], id="equal scores, the first"),
        pytest.param([(SQUARE, 0.9, 0)], [((0, 0, 10, 6), 0), (SQUARE, 0)], [1], id="the object overlapped most"),
        pytest.param(
            # COCO's rule: the second takes what is left. VOC's would call it wrong, as its best object is taken.
            [(SQUARE, 0.9, 0), ((0, 0, 10, 9), 0.8, 0)],
            [(SQUARE, 0), ((0, 0, 10, 6), 0)],
            [0, 1],
            id="a taken object leaves the next best",
        ),
    ],
)
def test_matching(detections: list, truth: list, expected: list[int]) -> None:
    assert match(found(*detections), objects(*truth)).tolist() == expected


def test_an_ignored_object_excuses_every_detection_on_it() -> None:
    seen = found((SQUARE, 0.9, 0), ((0, 0, 10, 9), 0.8, 0), (SQUARE, 0.7, 1))
    assert match(seen, objects((SQUARE, 0), ignored=[0])).tolist() == [IGNORED, IGNORED, WRONG]


def test_an_object_that_counts_comes_before_an_ignored_one() -> None:
    truth = objects(((0, 0, 10, 6), 0), (SQUARE, 0), ignored=[1])
    assert match(found((SQUARE, 0.9, 0), (SQUARE, 0.8, 0)), truth).tolist() == [0, IGNORED]


boxes = st.tuples(*[st.floats(0, 50, width=32)] * 2, *[st.floats(0, 50, width=32)] * 2).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)
seen = st.lists(st.tuples(boxes, st.floats(0, 1, width=32), st.integers(0, 1)), max_size=8)
there = st.lists(st.tuples(boxes, st.integers(0, 1)), max_size=6)


@given(seen, there)
def test_each_object_is_taken_once_and_rightly(detections: list, truth: list) -> None:
    given_, wanted = found(*detections), objects(*truth)
    matches = match(given_, wanted)
    taken = matches[matches >= 0]
    assert len(set(taken.tolist())) == len(taken)
    overlaps = iou_matrix(given_.xyxy, wanted.xyxy)
    assert ((overlaps >= 0) & (overlaps <= 1 + 1e-9)).all()
    for detection, index in enumerate(matches):
        if index >= 0:
            assert overlaps[detection, index] >= 0.5
            assert given_.class_ids[detection] == wanted.class_ids[index]


@given(seen, there, st.floats(0, 1))
def test_a_threshold_changes_no_match_above_it(detections: list, truth: list, threshold: float) -> None:
    above = [item for item in detections if item[1] >= threshold]
    whole = match(found(*detections), objects(*truth))
    kept = [index for index, item in enumerate(detections) if item[1] >= threshold]
    assert match(found(*above), objects(*truth)).tolist() == whole[kept].tolist()
