"""Renders several clips at once, each in a process of its own, and says how far it is. Shell.

Owns the processes it starts: each is a run of this file that renders one clip and writes the number of finished frames
to its stdout. One whose reader is gone ends by itself and leaves nothing.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import cv2
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from simulator.world.clip import ClipError, ClipSpec, render_clip, truths_beside

_REPORT_EVERY_FRAMES = 5
_ENDS_WITHIN_S = 5.0


def provide_clips(
    specs: Sequence[ClipSpec], folder: Path, *, processes: int = 0, out: TextIO | None = None
) -> list[Path]:
    """The clips of all specs, in their order; renders those that the folder does not have yet.

    Args:
        specs: which.
        folder: where they are kept.
        processes: at most so many at a time; 0 for one a core that this process may use.
        out: where progress goes, a bar on a terminal and lines elsewhere; stderr otherwise.

    Raises:
        ClipError: one cannot be rendered; no process is left then.
    """
    clips = [folder / spec.file_name for spec in specs]
    missing = [
        spec
        for spec, clip in dict(zip(specs, clips, strict=True)).items()
        if not (clip.is_file() and truths_beside(clip).is_file())
    ]
    if missing:
        _Studio(missing, folder, processes or len(os.sched_getaffinity(0)), out or sys.stderr).run()
    return clips


class _Studio:
    """One rendering of some clips. One thread."""

    def __init__(self, specs: Sequence[ClipSpec], folder: Path, processes: int, out: TextIO) -> None:
        self._waiting = list(specs)
        self._folder = folder
        self._processes = processes
        self._out = out
        self._running: dict[subprocess.Popen[str], ClipSpec] = {}
        self._done: dict[ClipSpec, int] = {}
        self._frames = {spec: round(spec.fps * spec.duration_s) for spec in specs}

    def run(self) -> None:
        """Renders all; ends every process that it started, whatever happens."""
        started_s = time.monotonic()
        count = len(self._waiting)
        with selectors.DefaultSelector() as selector, self._shown() as progress:
            try:
                while self._waiting or self._running:
                    while self._waiting and len(self._running) < self._processes:
                        self._start(self._waiting.pop(0), selector)
                    for key, _ in selector.select():
                        self._hear(key.data, selector)
                    if progress is not None:
                        progress.update(progress.task_ids[0], completed=sum(self._done.values()))
            finally:
                self._stop()
        scenes = "1 scene" if count == 1 else f"{count} scenes"
        self._say(f"rendered {scenes} in {time.monotonic() - started_s:.1f} s, kept in {self._folder}")

    def _start(self, spec: ClipSpec, selector: selectors.BaseSelector) -> None:
        width, height = spec.size_wh
        values = (spec.seed, width, height, spec.fps, spec.duration_s)
        command = [sys.executable, "-P", "-m", "simulator.world.studio", *map(str, values), str(self._folder)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        self._running[process] = spec
        selector.register(process.stdout, selectors.EVENT_READ, process)
        if not self._out.isatty():
            self._say(f"rendering scene {spec.seed} ({spec.title})")

    def _hear(self, process: subprocess.Popen[str], selector: selectors.BaseSelector) -> None:
        assert process.stdout is not None
        spec = self._running[process]
        if line := process.stdout.readline():
            self._done[spec] = int(line)
            return
        selector.unregister(process.stdout)
        assert process.stderr is not None
        said = process.stderr.read()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        del self._running[process]
        if process.returncode:
            last = (said.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise ClipError(f"scene {spec.seed}: {last}")
        self._done[spec] = self._frames[spec]

    def _stop(self) -> None:
        """Ends what still runs: who finds nobody listening clears up after itself."""
        for process in self._running:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            process.stderr.close()
        for process in self._running:
            try:
                process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def _shown(self) -> Iterator[Progress | None]:
        if not self._out.isatty():
            yield None
            return
        columns = (TextColumn("rendering scenes"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        with Progress(*columns, TimeRemainingColumn(), console=Console(file=self._out), transient=True) as progress:
            progress.add_task("scenes", total=sum(self._frames.values()))
            yield progress

    def _say(self, text: str) -> None:
        print(f"mosaicd simulate: {text}", file=self._out, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Renders one clip: seed, width, height, frames a second, seconds, folder."""
    seed, width, height, fps, duration_s, folder = arguments
    cv2.setNumThreads(1)  # there is a process for each core
    spec = ClipSpec(int(seed), (int(width), int(height)), int(fps), float(duration_s))

    def report(done: int) -> None:
        if done % _REPORT_EVERY_FRAMES == 0:
            print(done, flush=True)

    try:
        render_clip(spec, Path(folder), report)
    except ClipError as error:
        print(error, file=sys.stderr)
        return 1
    except (BrokenPipeError, KeyboardInterrupt):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing to flush to at exit
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
