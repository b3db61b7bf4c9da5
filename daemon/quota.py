"""How much of a device's memory each worker may use, and whether the workers fit. Pure.

Knows numbers only: where they come from is :mod:`daemon.devices`, who applies the limit is :mod:`inference`.

A framework's own limit is not all that a process takes: CUDA context, cuDNN and cuBLAS lie outside it (tensorflow
#22158, #53822). Four workers at a quarter each run out of memory for that reason (tensorflow #47863). So workers are
admitted only when ``sum(limit + overhead) + reserve <= total - foreign``.
"""

from dataclasses import dataclass
from enum import StrEnum

RESERVE_MIB = 512
"""Left alone on every device."""
GPU_OVERHEAD_MIB = 600
"""What a process takes on a GPU beyond its limit, until it has been measured."""
CPU_OVERHEAD_MIB = 0
"""The same on the CPU, where the limit counts all of a worker's data; what comes on top is shared between workers."""


class MemoryMode(StrEnum):
    """How workers share a device's memory."""

    FRACTION = "fraction"
    """Each has a fixed fraction of the device's total."""
    GROWTH = "growth"
    """Each takes what it wants: fast for one, but several starve each other."""
    ALL = "all"
    """One worker has the device, less reserve and overhead."""


class Basis(StrEnum):
    """Where a worker's overhead is known from."""

    ASSUMED = "assumed"
    MEASURED = "measured"
    SET = "set"


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """The memory of one device, as far as it is decided before a worker starts."""

    total_mib: int
    foreign_mib: int = 0
    """Held by processes that are not ours."""
    overhead_mib: int = GPU_OVERHEAD_MIB
    """Taken by each worker beyond its limit."""
    reserve_mib: int = RESERVE_MIB

    @property
    def free_mib(self) -> int:
        """What our workers and the reserve have to share."""
        return max(0, self.total_mib - self.foreign_mib)

    def room_mib(self, workers: int) -> int:
        """The largest limit that each of so many workers can have; negative when not even their overhead fits."""
        return (self.free_mib - self.reserve_mib) // workers - self.overhead_mib


@dataclass(frozen=True, slots=True)
class Granted:
    """The workers fit."""

    workers: int
    limit_mib: int | None
    """For each worker; None where it may grow without limit."""
    needed_mib: int
    """All workers with their overhead, and the reserve."""
    free_mib: int
    warning: str = ""
    """What a person should know all the same; empty where there is nothing."""

    def __str__(self) -> str:
        each = "without limit" if self.limit_mib is None else f"of {self.limit_mib} MiB"
        return (
            f"{_workers(self.workers)} {each}: {self.needed_mib} of {self.free_mib} MiB taken with overhead and reserve"
        )


@dataclass(frozen=True, slots=True)
class Denied:
    """The workers do not fit."""

    workers: int
    mode: MemoryMode
    fraction: float
    limit_mib: int
    """What each would get; 0 for a mode that sets no limit."""
    needed_mib: int
    free_mib: int
    largest_fraction: float
    """Which as many workers could have, rounded down to two decimals; 0 where none fits."""
    memory: DeviceMemory

    def __str__(self) -> str:
        total = self.memory.total_mib
        what = f"{_workers(self.workers)} of {self.fraction:.2f} of {total} MiB"
        if self.mode is not MemoryMode.FRACTION:
            what = f"{_workers(self.workers)} with memory mode {self.mode} on {total} MiB"
        advice = "no fraction fits so many"
        if self.largest_fraction:
            advice = f"the largest fraction that fits is {self.largest_fraction:.2f}"
        return (
            f"{what} need {self.needed_mib} MiB (each {self.limit_mib} + {self.memory.overhead_mib} overhead, "
            f"reserve {self.memory.reserve_mib}), but {self.free_mib} MiB are free "
            f"(foreign processes hold {self.memory.foreign_mib}); {advice}"
        )


@dataclass(frozen=True, slots=True)
class Quota:
    """What was decided for so many equal workers on one device."""

    device: str
    mode: MemoryMode
    memory: DeviceMemory
    decision: Granted | Denied
    basis: Basis = Basis.ASSUMED
    """Of the overhead."""


def largest_fraction(memory: DeviceMemory, workers: int) -> float:
    """The largest fraction, in steps of 0.01, that :func:`admit` grants to so many workers; 0 where none does."""
    room_mib = memory.room_mib(workers)
    if room_mib < 1 or memory.total_mib < 1:
        return 0.0
    # floor(p * total / 100) <= room, in whole numbers: p * total < 100 * (room + 1)
    percent = (100 * (room_mib + 1) - 1) // memory.total_mib
    return min(100, percent) / 100


def admit(memory: DeviceMemory, mode: MemoryMode, workers: int, fraction: float | None = None) -> Granted | Denied:
    """Decide the limit of each of so many equal workers, and whether they fit on the device.

    ``fraction`` is of the device's total memory, over 0 and at most 1, and counts in mode ``fraction`` only; without
    one each worker gets an equal share of what is left after overhead and reserve.

    Raises ``ValueError`` for fewer than one worker or a fraction outside its range.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if fraction is not None and not 0 < fraction <= 1:
        raise ValueError(f"fraction must be over 0 and at most 1, not {fraction}")
    room_mib = memory.room_mib(workers)
    limit_mib = 0
    if mode is MemoryMode.ALL:
        limit_mib = max(1, memory.room_mib(1))
    elif mode is MemoryMode.FRACTION:
        # The summand keeps 0.29 * 100 from becoming 28.
        limit_mib = max(1, room_mib if fraction is None else int(fraction * memory.total_mib + 1e-6))
    needed_mib = workers * (limit_mib + memory.overhead_mib) + memory.reserve_mib
    if limit_mib > room_mib:
        share = limit_mib / memory.total_mib if fraction is None and memory.total_mib else fraction or 0.0
        return Denied(
            workers,
            mode,
            share,
            limit_mib,
            needed_mib,
            memory.free_mib,
            largest_fraction(memory, workers),
            memory,
        )
    warning = ""
    if mode is MemoryMode.GROWTH and workers > 1:
        warning = f"{workers} workers share the memory without a limit, so one can starve the others; set a fraction"
    limit = None if mode is MemoryMode.GROWTH else limit_mib
    return Granted(workers, limit, needed_mib, memory.free_mib, warning)


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
