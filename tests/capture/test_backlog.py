"""Backlog: who falls behind drops to the newest, and a way that is merely long is no backlog."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.backlog import BEHIND_S, FRESH_S, OFTEN_S, PATIENCE_S, Backlog


@pytest.mark.parametrize("lag_s", [0.0, 0.5, BEHIND_S])
def test_a_little_lag_is_decoded(lag_s: float) -> None:
    backlog = Backlog()
    assert not any(backlog.is_behind(lag_s, i * 0.04) for i in range(1000))
    assert backlog.drops == 0


def test_who_is_behind_drops_to_the_newest_and_goes_on() -> None:
    backlog = Backlog()
    lags_s = [0.0, 1.1, 1.0, 0.6, FRESH_S, 0.2, 0.0, 0.9, 0.0]
    dropped = [backlog.is_behind(lag_s, 10.0 + i * 0.01) for i, lag_s in enumerate(lags_s)]
    assert dropped == [False, True, True, True, True, False, False, False, False]
    assert backlog.drops == 1


def test_a_lag_that_hurry_does_not_shorten_is_accepted() -> None:
    backlog = Backlog()
    dropped = [backlog.is_behind(1.5, i * 0.1) for i in range(100)]
    assert sum(dropped) == round(PATIENCE_S / 0.1) + 1
    assert not any(dropped[round(PATIENCE_S / 0.1) + 2 :])
    assert not backlog.is_behind(1.5 + BEHIND_S, 11.0)
    assert backlog.is_behind(1.6 + BEHIND_S, 11.1), "behind what was accepted"


def test_an_accepted_lag_that_goes_is_not_granted_again() -> None:
    backlog = Backlog()
    for i in range(40):
        backlog.is_behind(3.0, i * 0.1)
    assert not backlog.is_behind(0.1, 5.0)
    assert backlog.is_behind(1.2, 5.1)


def test_falling_behind_again_soon_is_often() -> None:
    backlog = Backlog()
    for at_s in (0.0, OFTEN_S + 1, 2 * OFTEN_S):
        assert not backlog.is_behind_often(at_s)
        assert backlog.is_behind(1.2, at_s)
        assert not backlog.is_behind(0.0, at_s + 0.1)
    assert backlog.is_behind_often(2 * OFTEN_S)
    assert backlog.is_behind_often(3 * OFTEN_S - 0.1)
    assert not backlog.is_behind_often(3 * OFTEN_S), "it has recovered"
    assert backlog.drops == 3


@given(st.lists(st.tuples(st.floats(0.0, 60.0), st.floats(0.0, 1.0)), max_size=100))
def test_nobody_drops_for_longer_than_patience_without_one_packet_used(arrivals) -> None:
    backlog, now_s, dropping_s = Backlog(), 0.0, None
    for lag_s, step_s in arrivals:
        now_s += step_s
        if not backlog.is_behind(lag_s, now_s):
            dropping_s = None
            continue
        dropping_s = now_s if dropping_s is None else dropping_s
        assert now_s - dropping_s <= PATIENCE_S
