from dataclasses import replace
from pathlib import Path

import pytest

from inference.engine import EngineOptions, resident_mib

OPTIONS = EngineOptions((64, 64))


@pytest.mark.parametrize(
    "change",
    [
        {"input_wh": (0, 64)},
        {"batch": 0},
        {"threads": 0},
        {"device": "tpu"},
        {"memory_mode": "some"},
        {"memory_mode": "fraction", "memory_limit_mib": None},
        {"memory_mode": "fraction", "memory_limit_mib": 0},
        {"score_threshold": 0.0},
        {"score_threshold": 1.5},
        {"iou_threshold": 0.0},
        {"max_detections": 0},
    ],
)
def test_options_out_of_range_are_refused_by_name(change: dict[str, object]):
    with pytest.raises(ValueError, match=f"out of range: .*{next(reversed(change))}="):
        replace(OPTIONS, **change)  # type: ignore[arg-type]


def test_a_fraction_needs_its_limit():
    assert replace(OPTIONS, memory_mode="fraction", memory_limit_mib=512).memory_limit_mib == 512


def test_resident_memory_is_read_from_procfs(tmp_path: Path):
    (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t   2048 kB\n")
    assert resident_mib(tmp_path) == 2.0
    assert resident_mib() > 1
