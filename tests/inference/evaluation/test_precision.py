"""Average precision: by hand, against COCO's own code, and the weights that stand for resampled pictures."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from inference.evaluation.precision import (
    Judged,
    Ranked,
    average_precision,
    every_picture_once,
    judge,
    mean_average_precision,
    rank,
)
from tests.inference.evaluation.examples import Box, found, objects, random_picture

HERE: Box = (0, 0, 10, 10)
THERE: Box = (50, 50, 60, 60)
NOWHERE: Box = (90, 90, 99, 99)


def ranked(is_right: Sequence[bool], there: int) -> Ranked:
    """One picture's detections of one class, best first."""
    return Ranked(0, np.array(is_right, np.bool_), np.zeros(len(is_right), np.intp), np.array([there]))


@pytest.mark.parametrize(
    ("is_right", "there", "expected"),
    [
        ([], 1, 0.0),
        ([True], 1, 1.0),
        ([False], 1, 0.0),
        ([True, False, False], 1, 1.0),
        # Precision 1/2 wherever recall is reached.
        ([False, True], 1, 0.5),
        # Half of the objects, all detections right: recalls 0 to 0.50 are 51 of the 101.
        ([True], 2, 51 / 101),
        # Precisions 1, 1/2, 2/3 at recalls 0.5, 0.5, 1: made monotonic 1, 2/3, 2/3.
        ([True, False, True], 2, (51 + 50 * 2 / 3) / 101),
        # A third is reached at recalls 0 to 0.33: 34 of them.
        ([True], 3, 34 / 101),
        # 29 of 100: in floats 0.29 * 100 is 28.999999999999996; in whole numbers recall 0.29 is reached.
        ([True] * 29, 100, 30 / 101),
    ],
)
def test_average_precision_by_hand(is_right: list[bool], there: int, expected: float) -> None:
    assert average_precision(ranked(is_right, there), every_picture_once(1)) == pytest.approx([expected])


def test_mean_is_over_the_classes_that_have_objects() -> None:
    one = judge(found((HERE, 0.9, 0), (THERE, 0.8, 1), (NOWHERE, 0.7, 2)), objects((HERE, 0), (NOWHERE, 1)))
    classes = rank([one])
    assert [item.class_id for item in classes] == [0, 1]
    assert mean_average_precision(classes, every_picture_once(1)) == pytest.approx([0.5])


def test_no_object_anywhere_is_no_number() -> None:
    assert np.isnan(mean_average_precision(rank([judge(found((HERE, 0.9, 0)), objects())]), every_picture_once(1)))
    assert np.isnan(mean_average_precision(rank([]), np.ones((1, 0), np.int64))).all()


def test_ignored_objects_count_nowhere() -> None:
    plain = judge(found((HERE, 0.5, 0)), objects((HERE, 0)))
    with_ignored = judge(found((THERE, 0.9, 0), (HERE, 0.5, 0)), objects((HERE, 0), (THERE, 0), ignored=[1]))
    for picture in (plain, with_ignored):
        assert mean_average_precision(rank([picture]), every_picture_once(1)) == pytest.approx([1.0])
    wrong = judge(found((THERE, 0.9, 0), (HERE, 0.5, 0)), objects((HERE, 0)))
    assert mean_average_precision(rank([wrong]), every_picture_once(1)) == pytest.approx([0.5])


def test_detections_are_ranked_over_all_pictures() -> None:
    pictures = [judge(found((HERE, 0.3, 0)), objects((HERE, 0))), judge(found((NOWHERE, 0.6, 0)), objects())]
    assert mean_average_precision(rank(pictures), every_picture_once(2)) == pytest.approx([0.5])


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
@settings(deadline=None)
def test_a_weight_is_as_good_as_having_the_picture_so_often(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = [random_picture(rng) for _ in range(number)]
    weights = rng.integers(0, 4, (3, number))
    weighted = mean_average_precision(rank(pictures), weights)
    for row, value in zip(weights, weighted, strict=True):
        copies = [picture for picture, times in zip(pictures, row, strict=True) for _ in range(times)]
        [expected] = mean_average_precision(rank(copies), every_picture_once(len(copies)))
        assert value == pytest.approx(expected, nan_ok=True)


def test_many_resamples_in_parts_are_those_of_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    pictures = [random_picture(rng) for _ in range(8)]
    weights = rng.integers(0, 3, (50, 8))
    whole = mean_average_precision(rank(pictures), weights)
    monkeypatch.setattr("inference.evaluation.precision._MAX_CELLS", 100)
    np.testing.assert_array_equal(mean_average_precision(rank(pictures), weights), whole)


def coco_map(pictures: Sequence[Judged]) -> float:
    """mAP@.5 of the same pictures by COCO's own evaluation."""
    annotations, results = [], []
    for number, picture in enumerate(pictures, start=1):
        truth = zip(xywh(picture.objects.xyxy), picture.objects.class_ids.tolist(), strict=True)
        for box, class_id in truth:
            item = {"id": len(annotations) + 1, "image_id": number, "category_id": class_id + 1, "bbox": box}
            annotations.append({**item, "area": box[2] * box[3], "iscrowd": 0})
        seen = zip(xywh(picture.found.xyxy), picture.found.scores.tolist(), picture.found.class_ids, strict=True)
        for box, score, class_id in seen:
            results.append({"image_id": number, "category_id": int(class_id) + 1, "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth_set = COCO()
        truth_set.dataset = {
            "info": {},
            "images": [{"id": number} for number in range(1, len(pictures) + 1)],
            "annotations": annotations,
            "categories": [{"id": class_id + 1} for class_id in range(3)],
        }
        truth_set.createIndex()
        evaluation = COCOeval(truth_set, truth_set.loadRes(results), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.evaluate()
        evaluation.accumulate()
    # (thresholds, recalls, classes, area ranges, most detections): all areas, 100 detections; -1 where there is none.
    precision = evaluation.eval["precision"][0, :, :, 0, 2]
    return float(precision[precision > -1].mean())


def xywh(xyxy: np.ndarray) -> list[list[float]]:
    """COCO's way to write boxes."""
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1).astype(float).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_cocos_own_evaluation_agrees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = [random_picture(rng) for _ in range(25)]
    [ours] = mean_average_precision(rank(pictures), every_picture_once(len(pictures)))
    assert 0.1 < ours < 0.95
    # COCO compares recalls as floats, so one that is a hundredth exactly may be a step off.
    assert ours == pytest.approx(coco_map(pictures), abs=0.5 / 101)
