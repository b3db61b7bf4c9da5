"""How fast the engines are, as ratios that hold on any machine with the same kind of CPU.

    .venv/bin/python bench/infer.py [--rounds 15] [--json]

For YOLOv3 and YOLOv3-tiny at 416x416 (random weights: speed does not depend on them) three processes are loaded: a
plain loop of Keras's `model.predict`, the tensorflow engine and the openvino engine. They answer in turns, so that
whatever else the machine does hits all alike. All have all cores; the engines take the precision that `auto` would.
Figures are medians of the forward pass. Beside them stands the share of the arithmetic peak: what the fastest forward
pass computes a second, by what the fastest multiplication of large matrices does in the same precision, measured in
turns with them. The share of decoding and suppression is yolo-fastest-1.1's on real photos at
320x320, with one thread, as a worker runs it.
Needs ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from inference.darknet.cfg import read_cfg
from inference.darknet.layers import Network
from inference.darknet.network import resolve_network
from inference.darknet.weights import BatchNorm, ConvolutionWeights, write_weights
from inference.engine import ModelFiles, Precision
from inference.engines import choose_precision, cpu_flags, installed_engines
from inference.evaluation.arithmetic import multiply_adds
from inference.evaluation.messages import PREDICT, Load, Loaded, Multiplied, Multiply, Time, Timed
from inference.evaluation.process import LOAD_WITHIN_S, Measurer

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MODELS = {"yolov3_416": "yolov3.cfg", "yolov3_tiny_416": "yolov3-tiny.cfg"}
SIZE_WH = (416, 416)
SHARE_WH = (320, 320)
_TURN_S = 0.4
"""About how long one process runs before the next one does."""
THREADS = len(os.sched_getaffinity(0))


@dataclass(slots=True)
class Runner:
    """One loaded process and its times."""

    measurer: Measurer
    precision: Precision
    calls: int = 1
    """A turn."""
    forward_s: list[float] = field(default_factory=list)
    postprocess_s: list[float] = field(default_factory=list)
    last: Timed | None = None

    def turn(self, photos: tuple[str, ...] = ()) -> None:
        """Some calls, kept."""
        self.last = self.measurer.ask(Time(self.calls, photos), Timed)
        self.forward_s += self.last.forward_s
        self.postprocess_s += self.last.postprocess_s

    def size_up(self) -> None:
        """Choose how many calls a turn has."""
        timed = self.measurer.ask(Time(2), Timed)
        self.calls = max(1, round(_TURN_S / min(timed.forward_s)))

    def figures(self) -> dict[str, object]:
        """What is told of it in the details."""
        assert self.last is not None
        return {
            "precision": self.precision,
            "calls": len(self.forward_s),
            "forward_ms": round(1000 * median(self.forward_s), 2),
            "fastest_ms": round(1000 * min(self.forward_s), 2),
            "resident_mib": round(self.last.resident_mib),
        }


class Peaks:
    """The process that multiplies matrices, and the best that it has done in each precision."""

    def __init__(self, measurer: Measurer, precisions: Iterable[Precision]) -> None:
        self._measurer = measurer
        self.operations_per_s = dict.fromkeys(precisions, 0.0)

    def turn(self) -> None:
        """Some multiplications in each precision."""
        for precision, best in self.operations_per_s.items():
            order = Multiply(precision, THREADS, "cpu", _TURN_S)
            self.operations_per_s[precision] = max(best, self._measurer.ask(order, Multiplied).operations_per_s)

    def figures(self, runner: Runner, operations: int) -> dict[str, object]:
        """The runner's figures and its share of the peak, with so many operations a forward pass."""
        peak = self.operations_per_s[runner.precision]
        share = operations / min(runner.forward_s) / peak
        return {**runner.figures(), "peak_gflops": round(peak / 1e9), "peak_share": round(share, 3)}


def random_convolutions(network: Network) -> Iterator[ConvolutionWeights]:
    """Weights at which maps neither vanish nor explode from layer to layer: He et al. 2015, equation 14."""
    rng = np.random.default_rng(1)
    for layer in network.convolutions:
        filters, size = layer.shape.channels, layer.window.size
        channels = layer.source_shape.channels // layer.groups
        ones = np.ones(filters, np.float32)
        norm = BatchNorm(ones, 0 * ones, ones) if layer.batch_normalize else None
        kernel = rng.standard_normal((filters, channels, size, size), np.float32)
        kernel *= np.float32(np.sqrt(2 / (channels * size * size)))
        yield ConvolutionWeights(rng.uniform(-0.1, 0.1, filters).astype(np.float32), norm, kernel)


def load(
    measurer: Measurer, engine: str, files: ModelFiles, *, size_wh: tuple[int, int], threads: int, cache: Path
) -> Runner:
    """Loads a model into a process."""
    precision: Precision = "float32"
    if engine != PREDICT:
        precision = getattr(choose_precision("auto", engine, "cpu", cpu_flags(), ()), "value", precision)
    order = Load(
        engine=engine,
        cfg=str(files.cfg),
        weights=str(files.weights),
        names=str(files.names),
        input_wh=size_wh,
        threads=threads,
        precision=precision,
        cache_dir=str(cache),
    )
    measurer.ask(order, Loaded, LOAD_WITHIN_S)
    runner = Runner(measurer, precision)
    runner.size_up()
    return runner


def race(cfg: Path, rounds: int, folder: Path, progress: Progress) -> dict[str, dict[str, object]]:
    """The figures of all engines for one network, measured in turns."""
    files = ModelFiles(cfg, folder / f"{cfg.stem}.weights", DATA / "cfg" / "coco.names")
    network = resolve_network(read_cfg(cfg), SIZE_WH)
    write_weights(files.weights, network, list(random_convolutions(network)))
    engines = (PREDICT, *sorted(installed_engines(), reverse=True))
    task = progress.add_task(f"{cfg.stem} {SIZE_WH[0]}x{SIZE_WH[1]}", total=len(engines) + rounds)
    with ExitStack() as stack:
        runners: dict[str, Runner] = {}
        for engine in engines:
            runners[engine] = load(
                stack.enter_context(Measurer()),
                engine,
                files,
                size_wh=SIZE_WH,
                threads=THREADS,
                cache=folder,
            )
            progress.advance(task)
        peaks = Peaks(stack.enter_context(Measurer()), {runner.precision for runner in runners.values()})
        for _ in range(rounds):
            for runner in runners.values():
                runner.turn()
            peaks.turn()
            progress.advance(task)
        operations = 2 * multiply_adds(network)
        return {engine: peaks.figures(runner, operations) for engine, runner in runners.items()}


def share(rounds: int, folder: Path, progress: Progress) -> dict[str, object]:
    """Decoding and suppression by forward pass, on real photos."""
    weights = DATA / "weights" / "yolo-fastest"
    name = "yolo-fastest-1.1"
    files = ModelFiles(weights / f"{name}.cfg", weights / f"{name}.weights", weights / "coco.names")
    photos = tuple(str(path) for path in sorted((DATA / "images" / "coco64" / "images").glob("*.jpg")))
    engine = installed_engines()[0]
    task = progress.add_task(f"{name} {SHARE_WH[0]}x{SHARE_WH[1]}", total=rounds)
    with Measurer() as measurer:
        runner = load(measurer, engine, files, size_wh=SHARE_WH, threads=1, cache=folder)
        runner.calls = len(photos)
        for _ in range(rounds):
            runner.turn(photos)
            progress.advance(task)
        return {
            "engine": engine,
            **runner.figures(),
            "postprocess_ms": round(1000 * median(runner.postprocess_s), 3),
            "share": round(median(runner.postprocess_s) / median(runner.forward_s), 4),
        }


def ratio(figures: Mapping[str, Mapping[str, object]], slow: str, fast: str) -> float | None:
    """How many times longer the one takes; None where one of them is not installed."""
    if slow not in figures or fast not in figures:
        return None
    return round(float(str(figures[slow]["forward_ms"])) / float(str(figures[fast]["forward_ms"])), 2)


def print_tables(result: Mapping[str, object], details: Mapping[str, object]) -> None:
    """The same for a person."""
    console = Console()
    for name in MODELS:
        table = Table(title=name, title_justify="left")
        for column in ("engine", "precision", "forward ms", "fastest ms", "MiB", "peak GFLOP/s", "share of peak"):
            table.add_column(column, justify="left" if column in ("engine", "precision") else "right")
        for engine, figures in details[name].items():  # type: ignore[attr-defined]
            cells = (
                engine,
                figures["precision"],
                figures["forward_ms"],
                figures["fastest_ms"],
                figures["resident_mib"],
                figures["peak_gflops"],
                f"{figures['peak_share']:.0%}",
            )
            table.add_row(*map(str, cells))
        console.print(table, result[name])
    console.print(f"postprocess share: {result['postprocess_share']}", details["postprocess_share"])


def main() -> int:
    """Prints tables, or JSON."""
    parser = argparse.ArgumentParser(description="speed of the engines, as ratios")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each process")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print(f"{DATA} is absent: the networks and photos are there", file=sys.stderr)
        return 1
    result: dict[str, object] = {}
    details: dict[str, object] = {"threads": THREADS}
    with (
        tempfile.TemporaryDirectory(prefix="mosaicd-bench-") as place,
        Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress,
    ):
        for name, cfg in MODELS.items():
            figures = race(DATA / "cfg" / "pjreddie" / cfg, arguments.rounds, Path(place), progress)
            result[name] = {
                "predict_over_tensorflow": ratio(figures, PREDICT, "tensorflow"),
                "tensorflow_over_openvino": ratio(figures, "tensorflow", "openvino"),
            }
            details[name] = figures
        details["postprocess_share"] = (shared := share(arguments.rounds, Path(place), progress))
        result["postprocess_share"] = shared["share"]
    if arguments.json:
        print(json.dumps({**result, "details": details}, indent=2))
    else:
        print_tables(result, details)
    return 0


if __name__ == "__main__":
    sys.exit(main())
