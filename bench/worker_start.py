"""How long a worker takes from its start to its first answer, and what it holds then: `python bench/worker_start.py`.

A real worker, driven as the supervisor drives it: spawned, told to load, given one mosaic through a real slot. The
first start of each engine builds the model's graph and is told apart; the others take it from the cache.

Then teams of workers (`--team 4`), of which so many load at once (`--at-once 1,2`), as `start_concurrency` has it: when
the first of them is ready, when the last, and how long each takes by itself.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.table import Table

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from capture.channel import Received
from capture.layout import GREY, Canvas
from capture.messages import Answer, Assign, Load, Ready
from capture.slot import SlotWriter, TileHeader
from daemon.child import Child, ChildSpec
from inference.engines import ENGINES, Choice, choose_precision, cpu_flags

DATA = Path(__file__).parents[2] / "shared" / "data"
CANVAS = Canvas(832, 512)
SOURCE_WH = (1280, 720)
WITHIN_S = 120.0


def load_of(engine: str, model: Path, names: Path, cache_dir: Path) -> Load:
    """What a worker is told, with the precision that `auto` takes."""
    precision = choose_precision("auto", engine, "cpu", cpu_flags(), ())
    assert isinstance(precision, Choice)
    return Load(
        engine=engine,
        precision=precision.value,  # type: ignore[arg-type]
        input="mosaic",
        cfg=f"{model}.cfg",
        weights=f"{model}.weights",
        names=str(names),
        cache_dir=str(cache_dir),
        canvas_wh=(CANVAS.w, CANVAS.h),
        batch=1,
        threads=1,
        on_gpu=False,
        memory_mode="growth",
        memory_limit_mib=None,
        score=0.25,
        iou=0.45,
        stale_s=WITHIN_S,
    )


def start(load: Load) -> tuple[float, float, float]:
    """Seconds to Ready, seconds to the first answer, and the most memory held by then (MiB)."""
    slot = SlotWriter("m1", CANVAS)
    _, pixels = slot.begin()
    pixels[:] = GREY
    now_s = time.monotonic()
    tiles = [
        TileHeader(f"cam-{i}", 0, 1, 0.0, time.time(), now_s, SOURCE_WH, CANVAS.content(i, SOURCE_WH)) for i in range(4)
    ]
    slot.publish(tuple(tiles), now_s)
    child = Child(ChildSpec("w1", "worker", "inference.worker", {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}))
    began_s = time.monotonic()
    child.spawn()
    try:
        child.send(load)
        wait_for(child, Ready)
        ready_s = time.monotonic() - began_s
        child.send(Assign("m1", 1, {}, {}), (slot.fd, slot.wake_fd))
        wait_for(child, Answer)
        answered_s = time.monotonic() - began_s
        return ready_s, answered_s, peak_mib(child.pid or 0)
    finally:
        end(child)
        slot.close()


@dataclass(frozen=True, slots=True)
class Team:
    """How a team of workers started; medians over all tries."""

    first_s: float
    """From the begin to the first Ready."""
    last_s: float
    """... to the last."""
    each_s: float
    """From a worker's own start to its Ready."""


def start_team(load: Load, workers: int, at_once: int) -> Team:
    """Start so many workers, no more than so many of them loading at a time, as the supervisor does."""
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "1"}
    waiting = [Child(ChildSpec(f"w{n + 1}", "worker", "inference.worker", environ)) for n in range(workers)]
    loading: dict[Child, float] = {}
    ready: list[Child] = []
    ready_s: list[float] = []
    each_s: list[float] = []
    began_s = time.monotonic()
    try:
        while len(ready) < workers:
            while waiting and len(loading) < at_once:
                child = waiting.pop(0)
                loading[child] = time.monotonic()
                child.spawn()
                child.send(load)
            for child in tuple(loading):
                child.read_stderr()
                if any(isinstance(each.message, Ready) for each in child.receive()):
                    now_s = time.monotonic()
                    each_s.append(now_s - loading.pop(child))
                    ready_s.append(now_s - began_s)
                    ready.append(child)
            if time.monotonic() - began_s > workers * WITHIN_S:
                raise SystemExit(f"{workers} workers did not start within {workers * WITHIN_S:g} s")
            time.sleep(0.002)
    finally:
        for child in (*ready, *loading):
            end(child)
    return Team(min(ready_s), max(ready_s), median(each_s))


def end(child: Child) -> None:
    """Kill a worker."""
    if child.pid is not None:
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        child.bury()


def wait_for(child: Child, kind: type) -> None:
    """Until the worker says that; SystemExit if it never does."""
    ends_s = time.monotonic() + WITHIN_S
    while time.monotonic() < ends_s:
        received: list[Received] = list(child.receive())
        if any(isinstance(each.message, kind) for each in received):
            return
        time.sleep(0.002)
    raise SystemExit(f"no {kind.__name__} within {WITHIN_S:g} s; its last lines: {child.read_stderr()}")


def peak_mib(pid: int) -> float:
    """The most resident memory that a process has had (proc(5), VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    default = DATA / "weights" / "yolo-fastest" / "yolo-fastest-1.1-xl"
    parser.add_argument("--model", type=Path, default=default, help="path of .cfg and .weights, without the ending")
    parser.add_argument("--names", type=Path, default=DATA / "cfg" / "coco.names")
    parser.add_argument("--starts", type=int, default=7, help="starts from the cache for each engine")
    parser.add_argument("--team", type=int, default=4, metavar="N", help="workers of a team; 0 leaves teams out (4)")
    parser.add_argument("--at-once", default="1,2", metavar="N,...", help="how many of them load at once (1,2)")
    parser.add_argument("--tries", type=int, default=3, metavar="N", help="starts of each team, medians of them (3)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.model.with_name(f"{options.model.name}.cfg").is_file():
        raise SystemExit(f"no such file: {options.model}.cfg (give a model with --model)")
    at_once = [int(each) for each in options.at_once.split(",")]
    found = {}
    teams: dict[str, dict[int, Team]] = {engine: {} for engine in ENGINES}
    with tempfile.TemporaryDirectory() as cache:
        for engine in ENGINES:
            load = load_of(engine, options.model, options.names, Path(cache))
            first_s = start(load)[1]
            runs = range(options.starts)
            starts = [start(load) for _ in track(runs, engine, console=Console(stderr=True), transient=True)]
            found[engine] = {
                "precision": load.precision,
                "first_start_s": first_s,
                "ready_s": median(each[0] for each in starts),
                "answer_s": median(each[1] for each in starts),
                "peak_mib": median(each[2] for each in starts),
            }
            for number in at_once if options.team else ():
                tries = [start_team(load, options.team, number) for _ in range(options.tries)]
                teams[engine][number] = Team(*(median(column) for column in zip(*map(astuple, tries), strict=True)))
    if options.json:
        shown = {
            engine: row | {"team": {number: asdict(team) for number, team in teams[engine].items()}}
            for engine, row in found.items()
        }
        json.dump(shown, sys.stdout, indent=2)
        print()
        return
    table = Table(title=f"a worker's start, {options.model.name} {CANVAS.w}x{CANVAS.h}, one thread, medians")
    for column in ("engine", "precision", "first start, s", "ready, s", "first answer, s", "peak memory, MiB"):
        table.add_column(column, justify="left" if column in ("engine", "precision") else "right")
    for engine, row in found.items():
        table.add_row(
            engine,
            str(row["precision"]),
            *(f"{row[key]:.2f}" for key in ("first_start_s", "ready_s", "answer_s")),
            f"{row['peak_mib']:.0f}",
        )
    Console().print(table)
    if options.team:
        Console().print(teams_table(teams, options.team))


def teams_table(teams: Mapping[str, Mapping[int, Team]], workers: int) -> Table:
    """What a person reads of teams; the gain is over one worker after the other."""
    table = Table(title=f"{workers} workers, so many of them loading at once, on {os.cpu_count()} cores, medians")
    for column in ("engine", "at once", "first ready, s", "all ready, s", "each, s", "gain"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    for engine, found in teams.items():
        for number, team in found.items():
            gain = f"{found[min(found)].last_s / team.last_s:.2f}"
            times = (f"{seconds:.2f}" for seconds in (team.first_s, team.last_s, team.each_s))
            table.add_row(engine, str(number), *times, gain)
    return table


if __name__ == "__main__":
    main()
