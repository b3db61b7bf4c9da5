"""What counts as found, missed and false."""

import numpy as np
import pytest

from simulator.training.quality import Found, Judgement, Quality, Truths, balanced_threshold, judge, quality_at

CAR, BUS = 0, 1
BIG = (10, 10, 50, 40)


def truths(*items):
    """Items: box, class, visible ratio."""
    return Truths(
        np.array([item[0] for item in items], np.float32).reshape(-1, 4),
        np.array([item[1] for item in items], np.int64),
        np.array([item[2] for item in items], np.float32),
    )


def found(*items):
    """Items: box, score, class."""
    return Found(
        np.array([item[0] for item in items], np.float32).reshape(-1, 4),
        np.array([item[1] for item in items], np.float32),
        np.array([item[2] for item in items], np.int64),
    )


def sums(seen, there):
    quality = quality_at([judge(seen, there, 2)], 0.25)
    return quality.right, quality.false, quality.there


@pytest.mark.parametrize(
    ("seen", "there", "expected"),
    [
        pytest.param(found(), truths(), (0, 0, 0), id="nothing"),
        pytest.param(found((BIG, 0.9, CAR)), truths((BIG, CAR, 1.0)), (1, 0, 1), id="right"),
        pytest.param(found(), truths((BIG, CAR, 1.0)), (0, 0, 1), id="missed"),
        pytest.param(found((BIG, 0.9, CAR)), truths(), (0, 1, 0), id="false"),
        pytest.param(found((BIG, 0.2, CAR)), truths((BIG, CAR, 1.0)), (0, 0, 1), id="below the threshold"),
        pytest.param(found((BIG, 0.9, BUS)), truths((BIG, CAR, 1.0)), (0, 1, 1), id="wrong class"),
        pytest.param(
            found((BIG, 0.9, CAR), (BIG, 0.8, CAR)), truths((BIG, CAR, 1.0)), (1, 1, 1), id="one object found twice"
        ),
        pytest.param(
            found(((10, 10, 50, 70), 0.9, CAR)), truths((BIG, CAR, 1.0)), (1, 0, 1), id="overlap of just a half"
        ),
        pytest.param(found(((10, 10, 50, 71), 0.9, CAR)), truths((BIG, CAR, 1.0)), (0, 1, 1), id="overlap below"),
        pytest.param(found(), truths((BIG, CAR, 0.39)), (0, 0, 0), id="hidden and missed"),
        pytest.param(found((BIG, 0.9, BUS)), truths((BIG, CAR, 0.39)), (0, 0, 0), id="hidden and found as whatever"),
        pytest.param(found(), truths(((0, 0, 11, 13), CAR, 1.0)), (0, 0, 0), id="143 pixels are too small"),
        pytest.param(found(), truths(((0, 0, 9, 16), CAR, 1.0)), (0, 0, 1), id="144 pixels are not"),
        pytest.param(found(((0, 0, 11, 11), 0.9, CAR)), truths(), (0, 0, 0), id="too small to be judged false"),
        pytest.param(
            found(((0, 0, 11, 12), 0.9, CAR)), truths(((0, 0, 12, 12), CAR, 1.0)), (1, 0, 1), id="small but right"
        ),
    ],
)
def test_judge(seen, there, expected):
    assert sums(seen, there) == expected


def test_the_best_score_takes_the_object_and_the_best_overlap_is_taken():
    left, right = (0, 0, 40, 40), (20, 0, 60, 40)
    seen = found(((4, 0, 44, 40), 0.5, CAR), ((2, 0, 42, 40), 0.9, CAR), ((20, 0, 60, 40), 0.7, CAR))
    judgement = judge(seen, truths((left, CAR, 1.0), (right, CAR, 1.0)), 2)
    np.testing.assert_allclose(judgement.scores, [0.9, 0.7, 0.5])
    assert judgement.is_right.tolist() == [True, True, False]


def test_quality_by_class_and_in_sum():
    judgements = [
        judge(found((BIG, 0.9, CAR)), truths((BIG, CAR, 1.0), ((60, 60, 99, 99), BUS, 1.0)), 2),
        judge(found((BIG, 0.6, BUS)), truths(), 2),
    ]
    assert quality_at(judgements, 0.5) == Quality(right=1, false=1, there=2)
    assert quality_at(judgements, 0.7) == Quality(right=1, false=0, there=2)
    assert quality_at(judgements, 0.5, CAR) == Quality(right=1, false=0, there=1)
    assert quality_at(judgements, 0.5, BUS) == Quality(right=0, false=1, there=1)


def test_ratios():
    quality = Quality(right=8, false=2, there=16)
    assert (quality.recall, quality.precision) == (0.5, 0.8)
    assert (Quality(0, 0, 0).recall, Quality(0, 0, 0).precision) == (1.0, 1.0)


def test_balanced_threshold_separates_right_from_false_and_is_the_lowest_that_does():
    seen = found((BIG, 0.6, CAR), ((60, 60, 99, 99), 0.3, CAR))
    assert balanced_threshold([judge(seen, truths((BIG, CAR, 1.0)), 2)], (0.1, 0.2, 0.4, 0.5, 0.7)) == 0.4


def test_balanced_threshold_prefers_equal_shares_to_the_best_sum():
    """Recall and precision: 1 and 4/10 below, 3/4 and 3/5 at 0.5, 1/4 and 1 above."""
    flags = np.array([1, 1, 1, 0, 0, 1, 0, 0, 0, 0], bool)
    scores = np.array([0.9, 0.6, 0.6, 0.6, 0.6, 0.2, 0.2, 0.2, 0.2, 0.2], np.float32)
    judgement = Judgement(scores, np.zeros(10, np.int64), flags, np.array([4]))
    assert balanced_threshold([judgement], (0.1, 0.5, 0.8)) == 0.5
