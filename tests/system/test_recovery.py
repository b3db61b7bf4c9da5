"""The benchmark of recovery: what it makes of its times, and that it really kills and sees the worker come back."""

import pytest

from bench.recovery import Recoveries, figures, measure

pytestmark = pytest.mark.alone

COLD = Recoveries("cold", tuple(0.1 * n for n in range(30, 0, -1)), 0.98765)
TENSORFLOW = Recoveries("cold-tensorflow", (4.0, 2.0), 0.5)
SPARE = Recoveries("spare", (0.25,), 1.0)
OOM = Recoveries("oom-tensorflow", (5.0, 3.0), 0.96, throughout_ratio=0.99, host_oom_ratio=1.0)


@pytest.mark.parametrize(
    ("times_s", "q", "expected_s"),
    [
        ((2.0,), 0.5, 2.0),
        ((2.0,), 0.95, 2.0),
        ((4.0, 2.0), 0.5, 2.0),
        ((4.0, 2.0), 0.51, 4.0),
        (COLD.times_s, 0.5, 1.5),
        (COLD.times_s, 0.95, 2.9),
        (COLD.times_s, 1.0, 3.0),
    ],
)
def test_a_quantile_is_a_time_that_was_measured(times_s, q, expected_s):
    assert Recoveries("cold", times_s, 1.0).quantile_s(q) == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            (COLD, TENSORFLOW, SPARE),
            {
                "cold_p50_s": 1.5,
                "cold_p95_s": 2.9,
                "others_answered_ratio": 0.9877,
                "cold_tensorflow_p95_s": 4.0,
                "spare_p50_s": 0.25,
                "spare_p95_s": 0.25,
            },
        ),
        ((TENSORFLOW,), {"cold_tensorflow_p95_s": 4.0}),
        (
            (OOM,),
            {
                "oom_tensorflow_p50_s": 3.0,
                "oom_tensorflow_p95_s": 5.0,
                "oom_tensorflow_others_answered_ratio": 0.96,
                "oom_tensorflow_others_answered_throughout_ratio": 0.99,
                "oom_tensorflow_host_oom_ratio": 1.0,
            },
        ),
    ],
)
def test_only_what_was_measured_is_printed(found, expected):
    assert figures(found) == expected


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["cold", "spare", "oom"])
def test_a_killed_worker_is_seen_to_come_back(tmp_path, data, kind):
    killed = []
    found = measure(tmp_path, kind, kills=2, on_kill=lambda: killed.append(1))
    assert len(killed) == len(found.times_s) == 2
    assert min(found.times_s) > 0
    assert 0 <= found.others_answered_ratio <= 1
    assert found.host_oom_ratio == (kind == "oom")
