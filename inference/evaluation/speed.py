"""Measures speed: each engine, precision, input and batch in a process of its own, one after the other.

Shell. What the machine could do at best is measured beside each, in the same minute: on a shared machine neither figure
means much alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from capture.layout import Canvas
from inference.engine import DeviceKind, EngineError, ModelFiles, Precision
from inference.engines import ENGINES
from inference.evaluation.arithmetic import multiply_adds
from inference.evaluation.messages import Load, Loaded, Multiplied, Multiply, Time, Timed
from inference.evaluation.process import LOAD_WITHIN_S, Measurer, MeasurerError
from inference.inputs import InputKind, ModelInput
from inference.model import inspect_model

PEAK_S: Final = 0.3
"""How long matrices are multiplied before and after each combination."""
_TURN_S: Final = 0.25
"""About how long one order to the measuring process takes: so often progress is shown."""
_FIRST_CALLS: Final = 3


@dataclass(frozen=True, slots=True)
class SpeedCombination:
    """One way to run a model."""

    engine: str
    precision: Precision
    way: InputKind
    batch: int
    """Mosaics a call; with tiles there are four times as many images."""


@dataclass(frozen=True, slots=True)
class SpeedPlan:
    """What is to be measured."""

    files: ModelFiles
    combinations: tuple[SpeedCombination, ...]
    canvas_wh: tuple[int, int]
    seconds: float
    """For each combination."""
    threads: int = 1
    device: DeviceKind = "cpu"
    cache_dir: Path | None = None
    photos: tuple[Path, ...] = ()
    """What to detect in; noise where there are none, in which hardly anything is found."""


@dataclass(frozen=True, slots=True)
class SpeedRow:
    """One combination's figures; None where they could not be had."""

    engine: str
    precision: Precision
    way: InputKind
    batch: int
    calls: int = 0
    median_s: float | None = None
    """Of a call, images to boxes."""
    p99_s: float | None = None
    images_per_s: float | None = None
    mosaics_per_s: float | None = None
    postprocess_ratio: float | None = None
    """Decoding and suppression by forward pass, of the medians."""
    peak_ratio: float | None = None
    """The forward pass's arithmetic by what matrix multiplication does with the same precision and threads."""
    load_s: float | None = None
    resident_mib: float | None = None
    peak_mib: float | None = None
    device_mib: float | None = None
    device_peak_mib: float | None = None
    problem: str = ""
    """Why it could not be measured."""


Tell = Callable[[SpeedCombination, float], None]
"""Is told for how many seconds a combination has been measured."""


def combinations(
    engines: Sequence[str],
    precisions: Sequence[Precision],
    inputs: Sequence[InputKind],
    batches: Sequence[int],
    device: DeviceKind = "cpu",
) -> tuple[SpeedCombination, ...]:
    """All of them that the engines can do."""
    return tuple(
        SpeedCombination(*item)
        for item in product(engines, precisions, inputs, batches)
        if item[1] in ENGINES[item[0]].precisions[device]
    )


def measure(plan: SpeedPlan, tell: Tell, start: Callable[[], Measurer] = Measurer) -> Iterator[SpeedRow]:
    """One row a combination, one after the other; what fails has its problem in it, and the others go on."""
    with ExitStack() as stack:
        peak = _Peak(plan, stack.enter_context(start()))
        for one in plan.combinations:
            try:
                yield _measured(plan, one, tell, start, peak)
            except (MeasurerError, EngineError) as error:
                yield SpeedRow(one.engine, one.precision, one.way, one.batch, problem=str(error))


class _Peak:
    """The process that multiplies matrices; without one (no TensorFlow) the peak is unknown."""

    def __init__(self, plan: SpeedPlan, measurer: Measurer) -> None:
        self._plan = plan
        self._measurer: Measurer | None = measurer

    def operations_per_s(self, precision: Precision) -> float:
        """0 where it is unknown."""
        if self._measurer is None:
            return 0.0
        order = Multiply(precision, self._plan.threads, self._plan.device, PEAK_S)
        try:
            return self._measurer.ask(order, Multiplied).operations_per_s
        except MeasurerError:
            self._measurer = None
            return 0.0


def _measured(
    plan: SpeedPlan, one: SpeedCombination, tell: Tell, start: Callable[[], Measurer], peak: _Peak
) -> SpeedRow:
    given = ModelInput(one.way, Canvas(*plan.canvas_wh))
    images = given.images * one.batch
    network, _ = inspect_model(plan.files, given.input_wh)
    load = Load(
        engine=one.engine,
        cfg=str(plan.files.cfg),
        weights=str(plan.files.weights),
        names=str(plan.files.names),
        input_wh=given.input_wh,
        batch=images,
        threads=plan.threads,
        device=plan.device,
        precision=one.precision,
        cache_dir=str(plan.cache_dir) if plan.cache_dir else None,
    )
    tell(one, 0.0)
    with start() as measurer:
        load_s = measurer.ask(load, Loaded, LOAD_WITHIN_S).load_s
        # When it is loaded, so that the two are measured at the same time.
        best = peak.operations_per_s(one.precision)
        turns = list(_turns(measurer, tuple(map(str, plan.photos)), plan.seconds, lambda spent_s: tell(one, spent_s)))
    best = max(best, peak.operations_per_s(one.precision))
    forward_s = np.concatenate([turn.forward_s for turn in turns])
    postprocess_s = np.concatenate([turn.postprocess_s for turn in turns])
    median_s, p99_s = np.quantile(forward_s + postprocess_s, (0.5, 0.99))
    median_forward_s = float(np.median(forward_s))
    last = turns[-1]
    return SpeedRow(
        engine=one.engine,
        precision=one.precision,
        way=one.way,
        batch=one.batch,
        calls=len(forward_s),
        median_s=float(median_s),
        p99_s=float(p99_s),
        images_per_s=images / float(median_s),
        mosaics_per_s=one.batch / float(median_s),
        postprocess_ratio=float(np.median(postprocess_s)) / median_forward_s,
        # A multiply-add is two operations.
        peak_ratio=2 * multiply_adds(network) * images / median_forward_s / best if best else None,
        load_s=load_s,
        resident_mib=last.resident_mib,
        peak_mib=last.peak_mib,
        device_mib=last.device_mib,
        device_peak_mib=last.device_peak_mib,
    )


def _turns(
    measurer: Measurer, photos: tuple[str, ...], seconds: float, tell: Callable[[float], None]
) -> Iterator[Timed]:
    """Orders of about a quarter of a second each, until the seconds are spent."""
    spent_s, calls = 0.0, _FIRST_CALLS
    while spent_s < seconds:
        timed = measurer.ask(Time(calls, photos), Timed)
        yield timed
        took_s = sum(timed.forward_s) + sum(timed.postprocess_s)
        spent_s += took_s
        calls = max(1, round(_TURN_S / (took_s / calls)))
        tell(spent_s)
