"""The sampler: one frame for each tick, whatever the camera's rate and jitter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.sampler import Sampler


def taken(sampler, arrivals):
    return [at for at in arrivals if sampler.is_due(at)]


@pytest.mark.parametrize("camera_fps", [10.0, 12.5, 15.0, 25.0, 30.0])
def test_a_faster_camera_gives_one_frame_for_each_tick(camera_fps):
    arrivals = [100.0 + i / camera_fps for i in range(int(20 * camera_fps))]
    assert len(taken(Sampler(0.2), arrivals)) == pytest.approx(100, abs=1)


@given(st.lists(st.floats(-0.02, 0.02), min_size=300, max_size=300), st.floats(0, 0.2))
def test_jitter_costs_no_tick(jitters, phase):
    """25 frames a second, 20 ms early or late, five ticks a second: each tick still gets its frame."""
    arrivals = sorted(100.0 + i * 0.04 + jitter for i, jitter in enumerate(jitters))
    assert len(taken(Sampler(0.2, phase), arrivals)) >= 59


def test_a_slower_camera_loses_no_frame():
    arrivals = [100.0 + i * 0.5 for i in range(40)]
    assert taken(Sampler(0.2), arrivals) == arrivals


def test_the_frame_taken_is_fresh_at_its_tick():
    sampler = Sampler(0.2)
    times = taken(sampler, [100.0 + i * 0.04 + 0.013 for i in range(500)])
    ages = [-(at % 0.2) % 0.2 for at in times[10:]]
    assert max(ages) <= 0.06 + 1e-6


def test_a_pause_is_followed_by_the_next_frame_at_once():
    sampler = Sampler(0.2)
    taken(sampler, [100.0 + i * 0.04 for i in range(100)])
    assert sampler.is_due(160.0)
