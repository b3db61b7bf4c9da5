"""Tallies: what falls where, and that a histogram taken is not changed by what comes later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.statistics import Histogram
from daemon.tally import Tally

BOUNDS = (0.5, 1.0, 2.0)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ((), (0, 0, 0)),
        ((0.0,), (1, 1, 1)),
        ((0.5,), (1, 1, 1)),
        ((0.51,), (0, 1, 1)),
        ((2.0,), (0, 0, 1)),
        ((2.1,), (0, 0, 0)),
        ((0.1, 0.7, 0.7, 9.0), (1, 3, 3)),
    ],
)
def test_a_bound_holds_what_is_no_more_than_it(values: tuple[float, ...], counts: tuple[int, ...]) -> None:
    tally = Tally(BOUNDS)
    for value in values:
        tally.observe(value)
    assert tally.histogram() == Histogram(BOUNDS, counts, len(values), pytest.approx(sum(values)))


def test_a_histogram_that_was_taken_stays() -> None:
    tally = Tally(BOUNDS)
    before = tally.histogram()
    tally.observe(1.0)
    assert before == Histogram(BOUNDS, (0, 0, 0), 0, 0.0)


def test_without_bounds_only_the_total_is_counted() -> None:
    tally = Tally(())
    tally.observe(3.0)
    assert tally.histogram() == Histogram((), (), 1, 3.0)


@given(st.lists(st.floats(0, 10)))
def test_each_bound_counts_what_is_no_more_than_it(values: list[float]) -> None:
    tally = Tally(BOUNDS)
    for value in values:
        tally.observe(value)
    assert tally.histogram().counts == tuple(sum(value <= bound for value in values) for bound in BOUNDS)
