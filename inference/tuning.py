"""Measures how a model runs best on this machine: in which input, with how many threads a worker. Once: it is kept.

Starts measuring processes (`inference.evaluation.process`), so it takes seconds; the choices are pure functions below.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from capture.layout import Canvas
from inference.cache import digest_of, read_json, source_digest, write_json
from inference.engine import DeviceKind, ModelFiles, Precision
from inference.evaluation.messages import Load, Loaded, Reply, Time, Timed
from inference.evaluation.process import LOAD_WITHIN_S, Measurer
from inference.export import graph_name
from inference.inputs import InputKind, ModelInput

MAX_COPIES: Final = 4
"""So many processes, run at once, stand for all workers, however many there will be."""
ROUNDS: Final = 3
ROUND_S: Final = 0.4
MORE_THREADS_FROM: Final = 1.15
"""One thread a worker unless more do so many times the mosaics: several workers are steadier than one."""
TILES_FROM: Final = 0.9
"""Tiles where they do so large a part of the mosaics that whole canvases would: no box is cut by a seam."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out. One input or one number of threads is no question: it is taken as it is."""

    files: ModelFiles
    engine: str
    precision: Precision
    device: DeviceKind
    canvas_wh: tuple[int, int]
    cores: int
    memory_mib: int
    """Of the device; measuring takes at most half of it."""
    mosaics: int
    workers: int | None
    """How many there will be; None: one for each so many threads, and no more than mosaics."""
    inputs: tuple[InputKind, ...]
    threads: tuple[int, ...]
    """The one number, or the fewest and the most."""
    cache_dir: Path

    @property
    def is_open(self) -> bool:
        """Whether anything has to be measured."""
        return len(self.inputs) > 1 or len(self.threads) > 1

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """Those that are compared, rising: the powers of two between the fewest and the most as well."""
        fewest, most = self.threads[0], self.threads[-1]
        between = (1 << power for power in range(most.bit_length()))
        return tuple(sorted({fewest, most, *(count for count in between if fewest < count < most)}))

    def runners(self, threads: int) -> int:
        """How many workers of so many threads there would be."""
        return self.workers or max(1, min(self.mosaics, self.cores // threads))


@dataclass(frozen=True, slots=True)
class Tuned:
    """What is best, and what it was concluded from."""

    input: InputKind
    threads: int
    mosaics_per_s: dict[str, float]
    """Measured, of all workers together, by what was compared."""


def tune(question: Question, say: Callable[[str], None], start: Callable[[], Measurer] = Measurer) -> Tuned:
    """The answer: the kept one, or measured now, which `say` tells beforehand.

    Raises MeasurerError if it cannot be measured, ModelUnusable if the model's files cannot be read.
    """
    name = f"tuned-{_name(question)}"
    if kept := _kept(read_json(question.cache_dir, name), question):
        return kept
    say("measuring how the model runs best on this machine")
    rates: dict[str, float] = {}
    counts = question.thread_counts
    threads = counts[0]
    if len(counts) > 1:
        found = _rates(question, [(question.inputs[0], count) for count in counts], start)
        threads = choose_threads(dict(zip(counts, found, strict=True)))
        rates |= {f"threads={count}": rate for count, rate in zip(counts, found, strict=True)}
    kind = question.inputs[0]
    if len(question.inputs) > 1:
        found = _rates(question, [(each, threads) for each in question.inputs], start)
        kind = choose_input(dict(zip(question.inputs, found, strict=True)))
        rates |= {f"input={each}": rate for each, rate in zip(question.inputs, found, strict=True)}
    tuned = Tuned(kind, threads, rates)
    try:
        write_json(question.cache_dir, name, {"input": kind, "threads": threads, "mosaics_per_s": rates})
    except OSError as error:
        say(f"not kept, so it is measured again at the next start: {error}")
    return tuned


def choose_threads(rates: dict[int, float]) -> int:
    """The number of threads, from mosaics a second by threads."""
    fewest = min(rates)
    best = max(rates, key=lambda count: rates[count])
    return best if rates[best] >= MORE_THREADS_FROM * rates[fewest] else fewest


def choose_input(rates: dict[InputKind, float]) -> InputKind:
    """The input, from mosaics a second by input."""
    return "tiles" if rates["tiles"] >= TILES_FROM * rates["mosaic"] else "mosaic"


def _rates(
    question: Question, ways: Sequence[tuple[InputKind, int]], start: Callable[[], Measurer]
) -> tuple[float, ...]:
    """Mosaics a second of all workers together, for each (input, threads); in turns, so that noise hits all alike."""
    with ExitStack() as stack:
        groups: list[list[Measurer]] = []
        for kind, threads in ways:
            group: list[Measurer] = []
            copies = min(question.runners(threads), MAX_COPIES)
            while len(group) < copies:
                group.append(stack.enter_context(start()))
                group[-1].ask(_load(question, kind, threads), Loaded, LOAD_WITHIN_S)
                peak_mib = group[0].ask(Time(1), Timed).peak_mib
                copies = min(copies, max(1, int(question.memory_mib / 2 / len(ways) / peak_mib)))
            groups.append(group)
        calls = [_calls(group[0]) for group in groups]
        taken: list[list[float]] = [[] for _ in ways]
        for _ in range(ROUNDS):
            for group, count, each in zip(groups, calls, taken, strict=True):
                for measurer in group:
                    measurer.send(Time(count))
                for measurer in group:
                    each.extend(_whole_s(measurer.receive()))
        return tuple(question.runners(threads) / median(each) for (_, threads), each in zip(ways, taken, strict=True))


def _load(question: Question, kind: InputKind, threads: int) -> Load:
    given = ModelInput(kind, Canvas(*question.canvas_wh))
    return Load(
        engine=question.engine,
        cfg=str(question.files.cfg),
        weights=str(question.files.weights),
        names=str(question.files.names),
        input_wh=given.input_wh,
        batch=given.images,
        threads=threads,
        device=question.device,
        precision=question.precision,
        cache_dir=str(question.cache_dir),
    )


def _calls(measurer: Measurer) -> int:
    """How many calls take about ROUND_S."""
    return max(2, round(ROUND_S / median(_whole_s(measurer.ask(Time(3), Timed)))))


def _whole_s(timed: Reply) -> list[float]:
    assert isinstance(timed, Timed), "it was asked for nothing else"
    return [forward + rest for forward, rest in zip(timed.forward_s, timed.postprocess_s, strict=True)]


def _name(question: Question) -> str:
    """What the answer depends on; the machine, too, since a disk may move to another."""
    return digest_of(
        graph_name(question.engine, question.files, question.canvas_wh),
        question.precision,
        question.device,
        question.canvas_wh,
        question.cores,
        [question.runners(count) for count in question.thread_counts],
        question.inputs,
        question.thread_counts,
        _cpu_model(),
        source_digest([Path(__file__)]),
    )


def _cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    for line in cpuinfo.read_text().splitlines():
        if line.startswith("model name"):
            return line
    return ""


def _kept(value: object, question: Question) -> Tuned | None:
    match value:
        case {"input": str(kind), "threads": int(threads), "mosaics_per_s": dict(rates)}:
            if kind in question.inputs and threads in question.thread_counts:
                return Tuned(question.inputs[question.inputs.index(kind)], threads, rates)
    return None
