"""What is read of a measurement, and that what is none is told."""

from pathlib import Path

import msgspec
import pytest

from daemon.measurement import MeasuredDevice, Measurement, MeasurementError, Row, kind_of, parse_measurement
from daemon.planner import Point
from daemon.quota import DeviceMemory, MemoryMode

CPU = MeasuredDevice("cpu of 2 cores", 8000, 0, 512, 100, 2)
ROWS = (
    Row(MemoryMode.FRACTION, 2, 0.4, threads=1, limit_mib=3200, frame_s=(0.1, 0.2), peak_mib=(90.0, 91.0)),
    Row(MemoryMode.GROWTH, 3, problem="worker 2: no memory"),
    Row(MemoryMode.ALL, 1, batch=4, frame_s=(0.05,)),
)


def test_what_was_measured_is_read_again() -> None:
    measured = Measurement(CPU, ROWS, "demo", "openvino", "float32", "tiles", (832, 512), 5.0)
    assert parse_measurement(msgspec.json.encode(measured)) == measured


def test_a_failure_is_a_point_without_a_rate_and_a_batch_is_none() -> None:
    kind = kind_of(Measurement(CPU, ROWS))
    assert (kind.name, kind.memory, kind.cores) == ("cpu of 2 cores", DeviceMemory(8000, 100, 0, 512), 2)
    assert kind.points == (
        Point(MemoryMode.FRACTION, 0.4, 2, pytest.approx(15.0), 1, 91.0),
        Point(MemoryMode.GROWTH, None, 3, 0.0),
    )


def test_the_measurement_of_2019_is_one() -> None:
    measured = parse_measurement((Path(__file__).parent / "data" / "gtx1080.json").read_bytes())
    alone, _, three = measured.rows[:3]
    assert three.mosaics_per_s / alone.mosaics_per_s == pytest.approx(3 * 0.5728, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no measurement of `mosaicd bench share --json`"),
        (b"\xff", "no measurement"),
        (b'{"rows": []}', "missing required field `device`"),
        (b'{"device": {"name": "a", "total_mib": 0, "overhead_mib": 0, "reserve_mib": 0}, "rows": []}', "over 0"),
        (b'{"device": {"name": "a", "total_mib": 1, "overhead_mib": -1, "reserve_mib": 0}, "rows": []}', "not below"),
    ],
)
def test_what_is_no_measurement_is_told(text: bytes, words: str) -> None:
    with pytest.raises(MeasurementError, match=words):
        parse_measurement(text)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"workers": 2, "frame_s": [0.1]}, "row 1: frame_s must have one number for each worker"),
        ({"workers": 0}, "row 1: frame_s must have"),
        ({"workers": 1, "frame_s": [0.1], "problem": "died"}, "row 1: frame_s must have"),
        ({"workers": 1, "frame_s": [0]}, "row 1: each of frame_s must be over 0"),
        ({"workers": 1, "frame_s": [0.1], "peak_mib": [-1]}, "row 1: none of peak_mib may be below 0"),
        ({"workers": 1, "frame_s": [0.1], "fraction": 1.5}, "row 1: fraction must be over 0 and at most 1, not 1.5"),
        ({"workers": 1, "frame_s": [0.1], "mode": "some"}, "Invalid enum value 'some'"),
    ],
)
def test_a_row_that_makes_no_sense_is_told(row: dict[str, object], words: str) -> None:
    text = msgspec.json.encode({"device": msgspec.to_builtins(CPU), "rows": [{"mode": "fraction", **row}]})
    with pytest.raises(MeasurementError, match=words):
        parse_measurement(text)
