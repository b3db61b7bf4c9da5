"""Measures workers that share a device: several processes with an engine each, at work at the same time.

Shell. All are loaded before any is measured, one after the other as the daemon starts them, and all are counted over
the same window, in which each of them is at work from its first moment to its last.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from capture.layout import Canvas
from inference.engine import DeviceKind, MemoryMode, ModelFiles, Precision
from inference.evaluation.messages import Load, Loaded, Work, Worked
from inference.evaluation.process import ANSWER_WITHIN_S, LOAD_WITHIN_S, Measurer, MeasurerError
from inference.inputs import InputKind, ModelInput

LEAD_S: Final = 1.0
"""From the order to the window: every worker has begun by then."""
_SHOW_S: Final = 0.25

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class SharePlan:
    """What is the same for all that is measured."""

    files: ModelFiles
    engine: str
    precision: Precision
    way: InputKind
    canvas_wh: tuple[int, int]
    seconds: float
    """Length of the window."""
    device: DeviceKind = "cpu"
    cache_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Team:
    """Equal workers on one device."""

    workers: int
    batch: int = 1
    """Mosaics a call."""
    threads: int = 1
    memory_mode: MemoryMode = "growth"
    limit_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Together:
    """What a team did, each worker in turn."""

    frame_s: tuple[float, ...] = ()
    """Seconds a mosaic, the mean over the window."""
    peak_mib: tuple[float, ...] = ()
    """The most memory that it held: by the framework's count on a GPU, by the kernel's on a CPU."""
    problem: str = ""
    """Which worker failed, and how; then nothing else is known."""


Tell = Callable[[float], None]
"""Is told how many seconds of the window have passed."""


class _WorkerFailed(Exception):  # noqa: N818 - reads as what happened
    """Says which worker, and why."""


def measure(plan: SharePlan, team: Team, tell: Tell, start: Callable[[], Measurer] = Measurer) -> Together:
    """Measure one team; blocks for as long as its workers load, and the window."""
    with ExitStack() as stack:
        measurers = [stack.enter_context(start()) for _ in range(team.workers)]
        try:
            _each(measurers, lambda one: one.ask(_load(plan, team), Loaded, LOAD_WITHIN_S))
            from_s = time.monotonic() + LEAD_S
            order = Work(from_s, from_s + plan.seconds)
            _each(measurers, lambda one: one.send(order))
            while (left_s := order.until_s - time.monotonic()) > 0:
                tell(max(0.0, plan.seconds - left_s))
                time.sleep(min(left_s, _SHOW_S))
            worked = _each(measurers, _worked)
        except _WorkerFailed as failure:
            return Together(problem=str(failure))
    tell(plan.seconds)
    return Together(
        frame_s=tuple(sum(one.call_s) / len(one.call_s) / team.batch for one in worked),
        peak_mib=tuple(one.peak_mib if one.device_peak_mib is None else one.device_peak_mib for one in worked),
    )


def _load(plan: SharePlan, team: Team) -> Load:
    given = ModelInput(plan.way, Canvas(*plan.canvas_wh))
    return Load(
        engine=plan.engine,
        cfg=str(plan.files.cfg),
        weights=str(plan.files.weights),
        names=str(plan.files.names),
        input_wh=given.input_wh,
        batch=given.images * team.batch,
        threads=team.threads,
        device=plan.device,
        precision=plan.precision,
        cache_dir=str(plan.cache_dir) if plan.cache_dir else None,
        memory_mode=team.memory_mode,
        memory_limit_mib=team.limit_mib,
    )


def _worked(measurer: Measurer) -> Worked:
    """Raises MeasurerError, ValueError."""
    reply = measurer.receive(ANSWER_WITHIN_S)
    if not isinstance(reply, Worked):
        raise ValueError(f"answered with {type(reply).__name__}")
    if reply.is_late:
        raise ValueError("had not begun when the window did: the machine is too busy to measure")
    if not reply.call_s:
        raise ValueError("finished no call within the window: give more --seconds")
    return reply


def _each(measurers: Sequence[Measurer], ask: Callable[[Measurer], R]) -> list[R]:
    """What each answers, in turn. Raises _WorkerFailed."""
    answers = []
    for number, measurer in enumerate(measurers, 1):
        try:
            answers.append(ask(measurer))
        except (MeasurerError, ValueError) as error:
            raise _WorkerFailed(f"worker {number} of {len(measurers)}: {error}") from error
    return answers
