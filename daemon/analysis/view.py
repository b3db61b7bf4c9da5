"""What a person sees of an analysis: progress while it runs, a table at its end."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from daemon.analysis.follower import ClipResult

LINE_S: Final = 10.0
"""Where nobody looks at a bar there is a line so often."""
Advance = Callable[[float, int], None]
"""Is told how many seconds of footage are done, and how many frames were looked at."""


@contextmanager
def progress(total_s: float) -> Iterator[Advance]:
    """Show how it goes on stderr: a bar on a terminal, lines elsewhere."""
    began_s = time.monotonic()

    def said(done_s: float, frames: int) -> str:
        took_s = max(time.monotonic() - began_s, 1e-3)
        factor = done_s / took_s
        left = f", {clock((total_s - done_s) / factor)} left" if factor > 0.0 else ""
        return f"{clock(done_s)} of {clock(total_s)}, {factor:.1f}x real time, {frames / took_s:.0f} frames/s{left}"

    if not sys.stderr.isatty():
        told_s = began_s

        def line(done_s: float, frames: int) -> None:
            nonlocal told_s
            if time.monotonic() - told_s >= LINE_S:
                told_s = time.monotonic()
                typer.echo(said(done_s, frames), err=True)

        yield line
        return
    columns = (BarColumn(), TextColumn("{task.percentage:.0f} %"), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total_s, said="")

        def move(done_s: float, frames: int) -> None:
            bar.update(task, completed=min(done_s, total_s), said=said(done_s, frames))

        yield move


def table(results: Sequence[ClipResult]) -> Table:
    """Return the table of files."""
    found = Table("camera", "file", "begins", "from", "length", "frames", "events", "notes")
    for each in results:
        found.add_row(
            each.clip.camera,
            str(each.clip.path),
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.clip.starts_at)),
            each.clip.origin,
            clock(each.clip.facts.duration_s),
            str(each.frames),
            counted(each.events),
            "; ".join(notes(each)),
        )
    return found


def notes(result: ClipResult) -> list[str]:
    """Return what a person should know of a file."""
    said = []
    if not result.is_whole:
        said.append(f"only up to {clock(result.until_s)}")
    if result.lost_frames:
        at = "" if result.lost_at_s is None else f", from {clock(result.lost_at_s)} on"
        said.append(f"{result.lost_frames} damaged frames left out{at}")
    if result.error:
        said.append(result.error)
    return said


def counted(events: Counter[str]) -> str:
    """Return how many of each label, the most first."""
    return ", ".join(f"{count} {label}" for label, count in events.most_common()) or "none"


def summary(results: Sequence[ClipResult], took_s: float, **more: Any) -> dict[str, Any]:
    """Return all of it for programs."""
    footage_s = sum(each.analysed_s for each in results)
    return {
        "is_finished": all(each.is_whole for each in results),
        "seconds": round(took_s, 3),
        "footage_s": round(footage_s, 3),
        "real_time_factor": round(footage_s / took_s, 2) if took_s else 0.0,
        **more,
        "files": [
            {
                "file": str(each.clip.path),
                "camera": each.clip.camera,
                "starts_at": each.clip.starts_at,
                "start_is": each.clip.origin,
                "duration_s": round(each.clip.facts.duration_s, 3),
                "analysed_s": round(each.analysed_s, 3),
                "frames": each.frames,
                "events": dict(each.events),
                "damaged_frames": each.lost_frames,
                "damaged_at_s": each.lost_at_s,
                "error": each.error or None,
            }
            for each in results
        ],
    }


def clock(seconds: float) -> str:
    """Return ``1:02:03`` or ``2:03``."""
    whole = round(max(0.0, seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
