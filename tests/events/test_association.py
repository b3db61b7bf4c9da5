"""Overlaps and assignment by value, and against every possible assignment."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from events.association import assign, buffered_overlaps, overlaps, overlaps_of_pairs

A = np.array([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0], [5.0, 5.0, 5.0, 5.0]])


def test_overlap_is_intersection_over_union():
    others = np.array([[0.0, 0.0, 10.0, 5.0], [25.0, 0.0, 35.0, 10.0]])
    assert overlaps(A, others) == pytest.approx(np.array([[0.5, 0.0], [0.0, 1 / 3], [0.0, 0.0]]))
    assert overlaps_of_pairs(A[:2], others) == pytest.approx([0.5, 1 / 3])
    assert overlaps(A, np.empty((0, 4))).shape == (3, 0)


def test_doubt_makes_boxes_meet_that_do_not_touch():
    """Ten pixels apart: both ten wider on each side, they share ten of their thirty."""
    beside = np.array([[20.0, 0.0, 30.0, 10.0]])
    assert buffered_overlaps(A[:1], np.array([[0.0, 0.0]]), beside) == 0.0
    assert buffered_overlaps(A[:1], np.array([[10.0, 0.0]]), beside) == pytest.approx(10 / 50)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 4)), elements=st.floats(0.0, 1.0)),
    st.floats(0.05, 0.95),
)
def test_assignment_is_the_cheapest_there_is(costs, limit):
    rows, columns = assign(costs, limit)
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(columns.tolist())) == len(columns)
    assert (costs[rows, columns] <= limit).all()
    # A pair that is not made costs the limit.
    shared = min(costs.shape)
    n, m = costs.shape
    tall = np.minimum(costs if n >= m else costs.T, limit)
    least = min(
        sum(tall[each, i] for i, each in enumerate(chosen)) for chosen in permutations(range(max(n, m)), shared)
    )
    assert costs[rows, columns].sum() + (shared - len(rows)) * limit == pytest.approx(least, abs=1e-9)
