"""Runs cases against the real pipeline: ``python -m tests.fuzz.run --cases 20000``, or ``--seed N`` for one alone.

The hostile server runs here, the pipeline in child processes that may hang, swell or crash: a case whose child did so
is run again, alone in a child of its own, and counts as a failure if it does it again, or if the crash report names it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import resource
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import av
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.fuzz.case import Case
from tests.fuzz.child import MEMORY, MEMORY_LIMIT_MIB, Child, Event
from tests.fuzz.pipeline import ERROR, OVERDUE, PLANTS
from tests.fuzz.server import HostileServer

THREADS = 10
MOST_FAILURES = 100
"""A run with so many failures has shown what it can show."""
MEMORY_WINDOW = 200
ADDRESS_SPACE_GIB = 2


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that did what none may."""

    seed: int
    kind: str
    """``overdue``, ``memory``, ``error``, or how its process ended."""
    detail: str = ""


@dataclass(slots=True)
class Summary:
    """What a run has shown."""

    cases: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    """By reason."""
    with_frames: int = 0
    packets: int = 0
    frames: int = 0
    damaged: int = 0
    failures: list[Failure] = field(default_factory=list)
    unconfirmed: list[Failure] = field(default_factory=list)
    """Late or large among others, but not alone: the machine was busy, or several were large at once."""
    children: int = 0
    peak_mib: float = 0.0
    peak_alone_mib: float = 0.0
    """Most that a case took in a child of its own."""
    growth_mib: float = 0.0
    """Median memory of the last reports of the child that lived longest, over that of its first ones when warm."""
    grown_over_cases: int = 0
    slowest_s: float = 0.0
    took_s: float = 0.0
    bugs: list[str] = field(default_factory=list)
    """In the server."""

    @property
    def is_good(self) -> bool:
        return not self.failures and not self.bugs

    def note(self, event: Event) -> None:
        """Take note of a case that has ended."""
        self.cases += 1
        self._count(event["outcome"])
        self.packets += event["packets"]
        self.frames += event["frames"]
        self.with_frames += event["frames"] > 0
        self.damaged += event["damaged"]
        self.slowest_s = max(self.slowest_s, event["took_s"])
        if event["outcome"] == ERROR:
            self.failures.append(Failure(event["seed"], ERROR, event["detail"]))

    def note_failure(self, failure: Failure) -> None:
        """Take note of a case that never ended."""
        self.cases += 1
        self._count(failure.kind)
        self.failures.append(failure)

    def _count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def note_memory(self, memories_mib: Sequence[float]) -> None:
        """Take note of what a child's memory was after each of its cases."""
        warm = memories_mib[MEMORY_WINDOW:]
        if len(warm) > max(2 * MEMORY_WINDOW, self.grown_over_cases):
            first, last = sorted(warm[:MEMORY_WINDOW]), sorted(warm[-MEMORY_WINDOW:])
            self.growth_mib = round(last[MEMORY_WINDOW // 2] - first[MEMORY_WINDOW // 2], 1)
            self.grown_over_cases = len(warm)


class Run:
    """One run: children that take seeds from one queue."""

    def __init__(self, seeds: Sequence[int], jobs: int, plant: str, on_progress: Callable[[Summary], None]) -> None:
        self.summary = Summary()
        self._todo = deque(seeds)
        self._suspects: deque[tuple[int, str, str]] = deque()
        self._jobs, self._plant, self._on_progress = jobs, plant, on_progress

    async def go(self) -> Summary:
        """Run all cases."""
        began_s = time.monotonic()
        async with HostileServer() as server:
            # Enough for every failure that ends a process, and one; a bound, should they all fail.
            for _ in range(MOST_FAILURES):
                await asyncio.gather(*(self._work(server.port) for _ in range(self._jobs)))
                while self._suspects:
                    await self._alone(server.port, *self._suspects.popleft())
                if not self._todo or len(self.summary.failures) >= MOST_FAILURES:
                    break
            self.summary.bugs += server.bugs
        self.summary.took_s = round(time.monotonic() - began_s, 1)
        return self.summary

    async def _work(self, port: int) -> None:
        while self._todo and len(self.summary.failures) + len(self._suspects) < MOST_FAILURES:
            child = await self._child(port, THREADS, lambda: self._todo.popleft() if self._todo else None)
            self._todo.extend(child.unfinished)
            self.summary.note_memory(child.memories_mib)
            self.summary.peak_mib = max(self.summary.peak_mib, child.peak_mib)
            report = "\n".join(child.stderr)
            if len(child.suspects) == 1 and "signal" in (kind := next(iter(child.suspects.values()))):
                # Named by the crash report: that it does not do it again, alone, does not clear it.
                [seed] = child.suspects
                self._fail(Failure(seed, kind, report))
            else:
                self._suspects += ((seed, kind, report) for seed, kind in child.suspects.items())

    async def _alone(self, port: int, seed: int, kind: str, report: str) -> None:
        """Run a suspect in a child of its own."""
        only = iter([seed])
        child = await self._child(port, 1, lambda: next(only, None))
        self.summary.peak_alone_mib = max(self.summary.peak_alone_mib, child.peak_mib)
        if child.suspects:
            self._fail(Failure(seed, child.suspects[seed], "\n".join(child.stderr) or report))
        else:
            self.summary.unconfirmed.append(Failure(seed, kind, f"alone: {child.peak_mib:.0f} MiB"))

    def _fail(self, failure: Failure) -> None:
        self.summary.note_failure(failure)

    async def _child(self, port: int, threads: int, take: Callable[[], int | None]) -> Child:
        child = Child(port, threads, self._plant, on_end=self._note)
        self.summary.children += 1
        await child.run(take)
        return child

    def _note(self, event: Event) -> None:
        self.summary.note(event)
        self._on_progress(self.summary)


def run_cases(
    seeds: Sequence[int], jobs: int = 2, plant: str = "", on_progress: Callable[[Summary], None] = lambda _: None
) -> Summary:
    """Run these cases to their end; blocks."""
    return asyncio.run(Run(seeds, jobs, plant, on_progress).go())


def _table(summary: Summary) -> Table:
    table = Table("what", "how many", title="fuzzing the capture pipeline")
    for column in table.columns[1:]:
        column.justify = "right"
    rate = summary.cases / summary.took_s if summary.took_s else 0.0
    rows: list[tuple[str, object]] = [
        ("cases", f"{summary.cases:,}"),
        *((f"  {outcome}", f"{count:,}") for outcome, count in Counter(summary.outcomes).most_common()),
        ("cases with frames", f"{summary.with_frames:,}"),
        ("packets", f"{summary.packets:,}"),
        ("frames decoded and used", f"{summary.frames:,}"),
        ("frames left out as damaged", f"{summary.damaged:,}"),
        ("crashes", sum(failure.kind.startswith(("signal", "exit")) for failure in summary.failures)),
        ("hangs", sum(failure.kind == OVERDUE for failure in summary.failures)),
        (f"over {MEMORY_LIMIT_MIB:.0f} MiB", sum(failure.kind == MEMORY for failure in summary.failures)),
        ("other exceptions", sum(failure.kind == ERROR for failure in summary.failures)),
        ("suspected, not confirmed alone", len(summary.unconfirmed)),
        ("processes", summary.children),
        (f"peak memory, {THREADS} cases at once (MiB)", f"{summary.peak_mib:.0f}"),
        (f"growth over {summary.grown_over_cases:,} cases of one process (MiB)", f"{summary.growth_mib:+.1f}"),
        ("slowest case (s)", f"{summary.slowest_s:.1f}"),
        ("seconds", f"{summary.took_s:.0f}"),
        ("cases/s", f"{rate:.1f}"),
    ]
    for what, how_many in rows:
        table.add_row(what, str(how_many))
    return table


def _describe(seed: int) -> str:
    case = Case(seed)
    layers = ", ".join(sorted(layer.value for layer in case.layers)) or "none: valid"
    return (
        f"{case.base.name} over {case.transport}, decode: {case.mode}, wrong in: {layers}; ends by {case.ending.value}"
    )


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed0", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this case alone")
    parser.add_argument("--jobs", type=int, default=2, help=f"child processes, each with {THREADS} cases at once")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--plant", default="", help=f"KIND:SEED, a fault that must be found: {', '.join(PLANTS)}")
    arguments = parser.parse_args()
    # Should the server take too much, it shall be what ends, and not another's process.
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_GIB << 30, resource.RLIM_INFINITY))
    seeds = range(arguments.seed0, arguments.seed0 + arguments.cases)
    if arguments.seed is not None:
        seeds = range(arguments.seed, arguments.seed + 1)
    console = Console(stderr=arguments.json)
    columns = (TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failures]} failures"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("cases", total=len(seeds), failures=0)

        def show(summary: Summary) -> None:
            progress.update(bar, completed=summary.cases, failures=len(summary.failures))

        summary = run_cases(seeds, arguments.jobs, arguments.plant, show)
    for title, failures in (("failed", summary.failures), ("suspected", summary.unconfirmed)):
        for failure in failures:
            console.print(f"[bold]{title}[/]: seed {failure.seed}: {failure.kind}: {_describe(failure.seed)}")
            if failure.detail:
                console.print(failure.detail, markup=False, highlight=False)
    for bug in summary.bugs:
        console.print(f"in the server: {bug}", markup=False)
    if arguments.json:
        print(json.dumps(asdict(summary)))
    else:
        console.print(_table(summary))
        console.print(f"Python {platform.python_version()}, PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}")
    return 0 if summary.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
