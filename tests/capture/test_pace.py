"""Pace: what has waited on its way, whose clock was set, and whose runs wrong."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.pace import JUMP_S, RATIO_AFTER_S, WINDOW_S, Pace

STEP_S = 0.04
EPOCH_S = 5000.0
"""When the first packet comes, monotonic."""


def arrive(pace: Pace, arrivals: Iterable[tuple[float, float]]) -> list[float]:
    """Feed pairs of pts and arrival, both counted from the start."""
    return [pace.arrive(pts_s, EPOCH_S + at_s) for pts_s, at_s in arrivals]


def steady(seconds: float, from_s: float = 0.0, ratio: float = 1.0) -> list[tuple[float, float]]:
    """Packets without delay; the camera's clock runs ``ratio`` times as fast."""
    return [(ratio * at_s, at_s) for at_s in (from_s + i * STEP_S for i in range(round(seconds / STEP_S)))]


def test_what_comes_in_time_has_no_lag() -> None:
    pace = Pace()
    assert {round(lag_s, 9) for lag_s in arrive(pace, steady(60.0))} == {0.0}
    assert (pace.jumps, pace.is_clock_wrong) == (0, False)
    assert pace.clock_ratio == pytest.approx(1.0)


@pytest.mark.parametrize("pause_s", [0.5, 2.0, 30.0])
def test_after_a_standstill_each_packet_of_the_backlog_has_waited_less(pause_s: float) -> None:
    """Nothing is read for a while; then all comes at once."""
    pace = Pace()
    arrive(pace, steady(5.0))
    late = [(5.0 + i * STEP_S, 5.0 + pause_s) for i in range(round(pause_s / STEP_S) + 1)]
    lags = arrive(pace, late)
    assert lags == pytest.approx([pause_s - i * STEP_S for i in range(len(lags))], abs=1e-6)
    assert arrive(pace, steady(1.0, from_s=5.0 + pause_s + STEP_S))[0] == pytest.approx(0.0, abs=1e-6)
    assert pace.jumps == 0


def test_a_camera_that_sends_nothing_for_a_while_and_whose_clock_goes_on_has_no_lag() -> None:
    pace = Pace()
    arrive(pace, steady(5.0))
    assert arrive(pace, steady(5.0, from_s=65.0))[0] == pytest.approx(0.0, abs=1e-6)


def test_pauses_around_key_frames_are_lag_of_a_moment() -> None:
    """Each second the key frame takes half a second to encode, and what follows is sent in a burst."""
    pace = Pace()
    packets = [(pts_s, max(at_s, math.floor(at_s) + 0.5)) for pts_s, at_s in steady(60.0)]
    lags = arrive(pace, packets)
    assert max(lags) == pytest.approx(0.5, abs=STEP_S)
    assert lags[-1] == pytest.approx(0.0, abs=1e-6)
    assert (pace.jumps, pace.is_clock_wrong) == (0, False)


@pytest.mark.parametrize("by_s", [JUMP_S + 0.1, 3600.0, 47_721.858, -JUMP_S - 0.1, -3600.0, -47_721.858])
def test_a_clock_that_is_set_is_counted_and_lags_no_further(by_s: float) -> None:
    pace = Pace()
    arrive(pace, steady(60.0))
    lags = arrive(pace, [(pts_s + by_s, at_s) for pts_s, at_s in steady(60.0, from_s=60.0)])
    assert max(lags) == pytest.approx(0.0, abs=1e-6)
    assert pace.jumps == 1
    assert pace.clock_ratio == pytest.approx(1.0)


def test_a_jump_makes_nothing_of_what_was_known_of_the_clock() -> None:
    pace = Pace()
    arrive(pace, steady(60.0, ratio=1.25))
    assert pace.is_clock_wrong
    pace.arrive(1e6, EPOCH_S + 60.0)
    assert (pace.clock_ratio, pace.is_clock_wrong) == (None, False)


def test_a_small_step_back_is_lag_until_it_is_the_new_base() -> None:
    pace = Pace()
    arrive(pace, steady(30.0))
    lags = arrive(pace, [(pts_s - 2.0, at_s) for pts_s, at_s in steady(30.0, from_s=30.0)])
    assert lags[0] == pytest.approx(2.0)
    assert lags[-1] == pytest.approx(0.0, abs=1e-6)
    assert pace.jumps == 0


def test_frames_out_of_order_are_no_jump() -> None:
    """With B-frames pts go back and forth."""
    pace = Pace()
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8] * 60
    packets = [((i // 10 * 10 + shown) * STEP_S, i * STEP_S) for i, shown in enumerate(order)]
    assert max(arrive(pace, packets)) <= 4 * STEP_S
    assert (pace.jumps, pace.is_clock_wrong) == (0, False)


@pytest.mark.parametrize("ratio", [1.25, 1.1, 0.9, 0.8, 2.0])
def test_a_clock_that_runs_wrong_is_found_out_and_lags_nothing_from_then_on(ratio: float) -> None:
    pace = Pace()
    arrive(pace, steady(RATIO_AFTER_S, ratio=ratio))
    assert not pace.is_clock_wrong
    arrive(pace, steady(40.0 - RATIO_AFTER_S, from_s=RATIO_AFTER_S, ratio=ratio))
    assert pace.is_clock_wrong
    assert pace.clock_ratio == pytest.approx(ratio, rel=0.01)
    later = arrive(pace, steady(60.0, from_s=40.0, ratio=ratio))
    assert set(later) == {0.0}
    assert pace.jumps == 0


def test_a_clock_that_runs_right_again_is_believed_again() -> None:
    pace = Pace()
    arrive(pace, steady(60.0, ratio=1.25))
    arrive(pace, [(pts_s + 15.0, at_s) for pts_s, at_s in steady(100.0, from_s=60.0)])
    assert pace.clock_ratio == pytest.approx(1.0)


@pytest.mark.parametrize("pts_s", [None, math.nan, math.inf, -math.inf])
def test_a_packet_without_time_says_nothing(pts_s: float | None) -> None:
    pace = Pace()
    assert pace.arrive(pts_s, EPOCH_S) == 0.0
    arrive(pace, steady(1.0))
    assert pace.arrive(pts_s, EPOCH_S + 100.0) == 0.0
    assert arrive(pace, steady(1.0, from_s=1.0))[-1] == pytest.approx(0.0, abs=1e-6)


@given(
    delays_s=st.lists(st.floats(0.0, 0.5), min_size=50, max_size=50),
    drift=st.floats(-0.001, 0.001),
)
def test_honest_jitter_is_no_wrong_clock_and_no_lag_is_longer_than_the_wait(
    delays_s: list[float], drift: float
) -> None:
    """Each packet waits by chance; none overtakes another."""
    pace = Pace()
    came_s = 0.0
    for i, (pts_s, at_s) in enumerate(steady(80.0, ratio=1.0 + drift)):
        came_s = max(came_s, at_s + delays_s[(i * 7) % len(delays_s)])
        lag_s = pace.arrive(pts_s, EPOCH_S + came_s)
        assert -1e-9 <= lag_s <= max(delays_s) + 2 * WINDOW_S * abs(drift) + 1e-6
        assert not pace.is_clock_wrong
    assert pace.jumps == 0


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.0, 100.0)), max_size=50))
def test_no_lag_is_negative_whatever_comes(steps: list[tuple[float, float]]) -> None:
    pace, at_s = Pace(), 0.0
    for pts_s, step_s in steps:
        at_s += step_s
        assert pace.arrive(pts_s, EPOCH_S + at_s) >= 0.0
