"""What ``mosaicd bench share`` measured on one device, as it is kept in a file: JSON, one object. Pure.

Written by that command, read by ``mosaicd plan``. Unknown keys are ignored, so that newer files can be read.
"""

import math

import msgspec

from daemon.planner import Kind, Point
from daemon.quota import DeviceMemory, MemoryMode


class MeasurementError(ValueError):
    """The text is no measurement; the message says why."""


class MeasuredDevice(msgspec.Struct, frozen=True):
    """The device, and the memory that is not for workers."""

    name: str
    """What it is, for a person; names the kind in plans."""
    total_mib: int
    overhead_mib: int
    """Taken by each worker beyond its limit."""
    reserve_mib: int
    foreign_mib: int = 0
    cores: int = 0
    """That workers could use; 0 for a GPU."""


class Row(msgspec.Struct, frozen=True):
    """So many equal workers, all measured at the same time over the same window."""

    mode: MemoryMode
    workers: int
    fraction: float | None = None
    """Of the device's total memory; None where the mode has none."""
    batch: int = 1
    """Mosaics a call."""
    threads: int = 0
    """CPU threads of each; 0 where that is not known."""
    limit_mib: int | None = None
    """Of each worker; None where it may grow."""
    frame_s: tuple[float, ...] = ()
    """Seconds a mosaic, of each worker."""
    peak_mib: tuple[float, ...] = ()
    """The most memory that each held: of the device on a GPU, of the host on a CPU."""
    problem: str = ""
    """Why it could not be measured; `frame_s` is empty then."""
    is_refused: bool = False
    """Whether that is because memory did not admit it, so that it was not started."""

    @property
    def mosaics_per_s(self) -> float:
        """Of all workers together; 0 where it could not be measured."""
        return sum(1 / seconds for seconds in self.frame_s)


class Measurement(msgspec.Struct, frozen=True):
    """All that was measured on one device."""

    device: MeasuredDevice
    rows: tuple[Row, ...]
    model: str = ""
    engine: str = ""
    precision: str = ""
    input: str = ""
    canvas_wh: tuple[int, int] = (0, 0)
    seconds: float = 0.0
    """How long each row was measured."""


def parse_measurement(text: bytes) -> Measurement:
    """Raises MeasurementError."""
    try:
        found = msgspec.json.decode(text, type=Measurement)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MeasurementError(f"no measurement of `mosaicd bench share --json`: {error}") from error
    device = found.device
    if device.total_mib < 1 or min(device.overhead_mib, device.reserve_mib, device.foreign_mib, device.cores) < 0:
        raise MeasurementError("device: total_mib must be over 0, the other numbers not below it")
    for number, row in enumerate(found.rows, 1):
        if min(row.workers, row.batch) < 1 or len(row.frame_s) != (0 if row.problem else row.workers):
            raise MeasurementError(
                f"row {number}: frame_s must have one number for each worker, none where there was a problem"
            )
        if not all(math.isfinite(seconds) and seconds > 0 for seconds in row.frame_s):
            raise MeasurementError(f"row {number}: each of frame_s must be over 0")
        if not all(math.isfinite(mib) and mib >= 0 for mib in row.peak_mib):
            raise MeasurementError(f"row {number}: none of peak_mib may be below 0")
        if row.fraction is not None and not 0 < row.fraction <= 1:
            raise MeasurementError(f"row {number}: fraction must be over 0 and at most 1, not {row.fraction:g}")
    return found


def kind_of(measurement: Measurement) -> Kind:
    """The device as plans know it. A batch is no point: how many mosaics wait together is chance."""
    device = measurement.device
    return Kind(
        name=device.name,
        memory=DeviceMemory(device.total_mib, device.foreign_mib, device.overhead_mib, device.reserve_mib),
        points=tuple(
            Point(row.mode, row.fraction, row.workers, row.mosaics_per_s, row.threads, max(row.peak_mib, default=0.0))
            for row in measurement.rows
            if row.batch == 1
        ),
        cores=device.cores,
    )
