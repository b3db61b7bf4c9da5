"""The paired bootstrap: what it is sure of, and what not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.evaluation.bootstrap import compare, draw
from inference.evaluation.precision import Judged, judge, rank
from tests.inference.evaluation.examples import found, objects, random_picture


def pictures(number: int, seed: int = 1) -> list[Judged]:
    rng = np.random.default_rng(seed)
    return [random_picture(rng) for _ in range(number)]


def without_every(pictures: list[Judged], nth: int) -> list[Judged]:
    """The same, every nth picture's detections lost."""
    return [judge(found(), item.objects) if index % nth == 0 else item for index, item in enumerate(pictures)]


def test_a_detector_does_not_differ_from_itself() -> None:
    ranked = rank(pictures(20))
    difference = compare(ranked, ranked, draw(np.arange(20)))
    assert (difference.points, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_a_large_loss_is_sure() -> None:
    whole = pictures(64)
    difference = compare(rank(without_every(whole, 2)), rank(whole), draw(np.arange(64)))
    assert difference.low < difference.points < difference.high < -5


def test_better_and_worse_are_told_apart() -> None:
    whole = pictures(40)
    one, other = rank(without_every(whole, 4)), rank(whole)
    weights = draw(np.arange(40))
    worse, better = compare(one, other, weights), compare(other, one, weights)
    assert (better.points, better.low, better.high) == pytest.approx((-worse.points, -worse.high, -worse.low))


def test_fewer_pictures_are_less_sure() -> None:
    widths = []
    for number in (12, 96):
        whole = pictures(number)
        difference = compare(rank(without_every(whole, 6)), rank(whole), draw(np.arange(number)))
        widths.append(difference.high - difference.low)
    assert widths[0] > 1.5 * widths[1]


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two equally good detectors on many small sets: nearly all intervals hold 0."""
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth = [objects(((10, 10, 40, 40), 0)) for _ in range(40)]
        sides = []
        for _ in range(2):
            hits = rng.random(40) < 0.7
            boxes = [(10.0, 10.0, 40.0, 40.0) if hit else (60.0, 60.0, 90.0, 90.0) for hit in hits]
            sides.append(
                rank([judge(found((box, float(rng.random()), 0)), one) for box, one in zip(boxes, truth, strict=True)])
            )
        difference = compare(sides[0], sides[1], draw(np.arange(40), resamples=200))
        covered += difference.low <= 0 <= difference.high
    assert 52 <= covered <= 60


def test_the_seed_makes_it_repeatable() -> None:
    assert (draw(np.arange(9), 50, seed=3) == draw(np.arange(9), 50, seed=3)).all()
    assert (draw(np.arange(9), 50, seed=3) != draw(np.arange(9), 50, seed=4)).any()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_pictures_of_one_unit_are_drawn_together(groups: list[int]) -> None:
    units = np.unique(groups, return_inverse=True)[1]
    weights = draw(units, 20)
    number = units.max() + 1
    firsts = weights[:, [int(np.flatnonzero(units == unit)[0]) for unit in range(number)]]
    assert (firsts.sum(axis=1) == number).all()
    assert (weights == firsts[:, units]).all()


def test_no_objects_make_no_number() -> None:
    empty = rank([judge(found(), objects())] * 3)
    difference = compare(empty, empty, draw(np.arange(3)))
    assert np.isnan([difference.points, difference.low, difference.high]).all()
