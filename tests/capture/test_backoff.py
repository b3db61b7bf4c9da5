"""Backoff, by table and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.backoff import Backoff


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (6, 10), (10**6, 10)])
def test_delays_double_up_to_the_limit(failures, delay_s):
    assert Backoff(1.0, 10.0).delay_s(failures, chance=0.0) == delay_s


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_jitter_only_shortens_and_by_no_more_than_said(failures, chance):
    backoff = Backoff(1.0, 60.0, jitter_ratio=0.25)
    full = backoff.delay_s(failures, 0.0)
    assert 0.75 * full <= backoff.delay_s(failures, chance) <= full <= 60.0
