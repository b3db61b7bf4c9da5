"""The main job on real footage: 32 cameras, 8 mosaics, two workers of one thread on this machine's CPU."""

import pytest

from bench.main_job import measure

pytestmark = [pytest.mark.slow, pytest.mark.data]


@pytest.mark.timeout(240)
def test_32_cameras_are_up_and_answered_and_nothing_grows(tmp_path, data):
    job = measure(tmp_path, seconds=30, is_quiet=True)
    assert job.cameras_up == 32
    assert job.up_after_s <= 60
    assert (job.mosaics, job.mosaics_answered) == (8, 8)
    assert job.restarts == 0
    assert job.sightings > 0
    # Real footage varies: a leak of a frame a second in any camera would be far above this in half a minute.
    assert abs(job.memory_drift_ratio) < 0.05
