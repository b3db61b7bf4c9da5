"""Recall by size."""

from itertools import pairwise

import pytest

from inference.evaluation.precision import judge
from inference.evaluation.sizes import PICTURE_SIZES, TILE_SIZES, Recall, recalls
from tests.inference.evaluation.examples import found, objects


@pytest.mark.parametrize(
    ("side", "size"), [(31.9, "small"), (32, "medium"), (95.9, "medium"), (96, "large"), (500, "large")]
)
def test_classes_of_coco(side: float, size: str) -> None:
    picture = judge(found(), objects(((0, 0, side, side), 0)))
    counted = recalls([picture], [(1, 1)], PICTURE_SIZES, 0.25)
    assert [item.size for item in counted if item.objects] == [size]


def test_what_counts_is_the_area() -> None:
    picture = judge(found(), objects(((0, 0, 16, 81), 0)))  # the root of 1296 is 36
    assert [item.size for item in recalls([picture], [(1, 1)], PICTURE_SIZES, 0.25) if item.objects] == ["medium"]


def test_found_and_missed_are_counted_by_size() -> None:
    small, large = (0.0, 0.0, 20.0, 20.0), (100.0, 100.0, 300.0, 300.0)
    one = judge(found((small, 0.9, 0), (large, 0.2, 0)), objects((small, 0), (large, 0)))
    other = judge(found((large, 0.8, 0)), objects((large, 0), (small, 0), ignored=[1]))
    counted = recalls([one, other], [(1, 1)] * 2, PICTURE_SIZES, 0.25)
    assert counted == (Recall("small", 1, 1), Recall("medium", 0, 0), Recall("large", 1, 2))
    assert [item.ratio for item in counted] == [1.0, None, 0.5]


def test_in_the_tile_the_size_is_what_the_detector_sees() -> None:
    picture = judge(found(), objects(((0, 0, 40, 40), 0)))
    # 40x40 scaled to 20 by 10: the root of 200 is 14.
    counted = recalls([picture], [(0.5, 0.25)], TILE_SIZES, 0.25)
    assert [item.size for item in counted if item.objects] == ["12-24"]


def test_every_object_is_in_one_class() -> None:
    for sizes in (PICTURE_SIZES, TILE_SIZES):
        assert sizes[0].least == 0
        assert sizes[-1].below == float("inf")
        assert all(one.below == other.least for one, other in pairwise(sizes))
