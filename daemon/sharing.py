"""The experiment of 2019 as data: which teams of workers are measured, and what their figures say. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.measurement import Row
from daemon.quota import Denied, DeviceMemory, Granted, MemoryMode, admit, largest_fraction


@dataclass(frozen=True, slots=True)
class Way:
    """One way of sharing a device's memory."""

    mode: MemoryMode
    fraction: float | None = None
    """In mode fraction, of each worker; None: the largest that fits so many."""

    def __str__(self) -> str:
        return self.mode.value if self.fraction is None else f"{self.mode.value} {self.fraction:g}"


@dataclass(frozen=True, slots=True)
class Trial:
    """A team to measure, if it is admitted."""

    way: Way
    workers: int
    fraction: float | None
    """What the way means for so many workers."""
    batch: int
    threads: int
    decision: Granted | Denied

    def __str__(self) -> str:
        batch = f", batch {self.batch}" if self.batch > 1 else ""
        return f"{self.way}, {self.workers} worker{'s' if self.workers > 1 else ''}{batch}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a row says beside one worker alone."""

    frame_s: float
    """Seconds a mosaic of one worker, the mean of all."""
    each_ratio: float
    """The speed of each worker by that of one alone: what is left of it."""
    gain: float
    """All workers' mosaics a second by what one does that takes their work one after the other."""


def trials(
    memory: DeviceMemory, ways: Sequence[Way], workers: Sequence[int], cores: int, threads: int = 0
) -> tuple[Trial, ...]:
    """Each way with each number of workers, then one worker with a batch of as many mosaics.

    ``all`` is for one worker only. ``threads`` of each worker; 0 shares ``cores`` between them.
    """
    teams = [(way, number, 1) for way in ways for number in workers if number == 1 or way.mode is not MemoryMode.ALL]
    teams += [(Way(MemoryMode.ALL), 1, batch) for batch in workers if batch > 1]
    return tuple(_trial(memory, *team, threads or max(1, cores // team[1])) for team in teams)


def figures(row: Row, rows: Sequence[Row]) -> Figures | None:
    """The row beside one worker alone, in the same way if that was measured; None where there is nothing to compare."""
    alone = [one for one in rows if one.frame_s and (one.workers, one.batch) == (1, 1)]
    if not alone or not row.frame_s:
        return None
    nearest = max(alone, key=lambda one: (one.mode is row.mode, one.fraction == row.fraction))
    gain = row.mosaics_per_s / nearest.mosaics_per_s
    return Figures(sum(row.frame_s) / len(row.frame_s), gain / row.workers, gain)


def row_of(trial: Trial, frame_s: Sequence[float], peak_mib: Sequence[float], problem: str) -> Row:
    """What came of a trial, as it is kept."""
    return Row(
        mode=trial.way.mode,
        workers=trial.workers,
        fraction=trial.fraction,
        batch=trial.batch,
        threads=trial.threads,
        limit_mib=trial.decision.limit_mib or None,
        frame_s=tuple(frame_s),
        peak_mib=tuple(peak_mib),
        problem=problem,
        is_refused=isinstance(trial.decision, Denied),
    )


def _trial(memory: DeviceMemory, way: Way, workers: int, batch: int, threads: int) -> Trial:
    fraction = way.fraction
    if way.mode is MemoryMode.FRACTION and fraction is None:
        # Where none fits, the smallest is refused with the numbers.
        fraction = largest_fraction(memory, workers) or 0.01
    return Trial(way, workers, fraction, batch, threads, admit(memory, way.mode, workers, fraction))
