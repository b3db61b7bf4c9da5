"""Rate and memory over the steps of a run, and shorter plans."""

import pytest

from simulator.training.plan import FULL, FULL_MINUTES, QUICK, shortened
from simulator.training.schedule import Schedule, memory


def test_rate_warms_up_and_falls_to_its_end():
    schedule = Schedule(steps=100, warm_up_steps=10, peak=1.0, final_ratio=0.01)
    assert schedule.rate(0) == pytest.approx(0.1)
    assert schedule.rate(9) == pytest.approx(1.0)
    assert schedule.rate(10) == pytest.approx(1.0)
    assert schedule.rate(55) == pytest.approx(0.505)
    assert schedule.rate(100) == pytest.approx(0.01)
    rates = [schedule.rate(step) for step in range(10, 101)]
    assert rates == sorted(rates, reverse=True)


def test_memory_grows_to_its_longest():
    assert memory(0, 0.998) == pytest.approx(0.1)
    assert memory(90, 0.998) == pytest.approx(0.91)
    assert memory(100_000, 0.998) == 0.998


def test_shorter_plan_is_smaller_in_proportion():
    half = shortened(FULL, FULL_MINUTES / 2)
    assert (half.worlds, half.steps) == (FULL.worlds // 2, FULL.steps // 2)
    assert shortened(FULL, 10 * FULL_MINUTES) == FULL


def test_shortest_plan_is_the_quick_one_s_size():
    least = shortened(FULL, 0.01)
    assert (least.worlds, least.validation_worlds, least.steps) == (QUICK.worlds, QUICK.validation_worlds, QUICK.steps)
