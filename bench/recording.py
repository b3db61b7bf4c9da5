"""What keeping every camera's last packets costs, and what clips and pictures cost: one capture process, in one run.

    python bench/recording.py [--cameras 32] [--seconds 15] [--rounds 2] [--json]

The cameras stand still (1080p25 H.264, 3 Mbit/s, key frames two seconds apart; `bench/clips.py`), so that little else
than receiving is done; a simulator in a process of its own serves them. The same capture process runs without rings,
with rings of ten seconds, and with a clip of every fourth camera being written all the while, in turn, and over again;
figures are medians over the rounds. Counted is user and system time of the process (/proc), once its rings are full,
and its resident memory at the end. Then pictures are ordered one after the other, each of the newest second.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.capture import tree_cpu_s
from bench.clips import FOOTAGE, provide
from bench.simulated import simulated
from capture.layout import TILES
from capture.mediamessages import MediaMessage, Record, Recorded, Snapped, Snapshot
from capture.messages import CameraSpec, CaptureReport, CaptureSetup, OpenMosaic
from capture.words import DecodeMode
from daemon.child import Child, ChildSpec
from daemon.job import ALLOCATOR
from daemon.lifecycle import Command

RING_S = 10.0
WARM_S = RING_S + 8.0
CANVAS_WH, FPS = (832, 512), 5.0
CLIP_EVERY = 4
PICTURES = 20
DEADLINE_S = 60.0


@dataclass(slots=True)
class Run:
    """What one capture process cost."""

    cpu_ratio: float = 0.0
    """CPU-seconds a second."""
    memory_mib: float = 0.0
    ring_mib: float = 0.0
    packets: int = 0
    """Received a second, of all cameras together."""
    clips: list[Recorded] = field(default_factory=list)
    pictures_s: list[float] = field(default_factory=list)
    """From each order to its reply."""
    picture_cpu_s: float = 0.0


class Process:
    """A capture process as the supervisor starts it, and what it has said."""

    def __init__(self, urls: Sequence[str], ring_s: float) -> None:
        self.report: CaptureReport | None = None
        self.replies: list[Recorded | Snapped] = []
        self.names = [f"cam-{number}" for number in range(len(urls))]
        self._child = Child(ChildSpec("c1", "capture", "capture.process", {**os.environ, **ALLOCATOR}))
        self._child.spawn()
        self._child.send(CaptureSetup(CANVAS_WH, FPS, stale_s=2.0, open_timeout_s=5.0, read_timeout_s=5.0))
        cameras = [
            CameraSpec(name, url, FPS, decode=DecodeMode.ADAPTIVE, ring_s=ring_s)
            for name, url in zip(self.names, urls, strict=True)
        ]
        for first in range(0, len(cameras), TILES):
            four = (*cameras[first : first + TILES], *[None] * TILES)[:TILES]
            self._child.send(OpenMosaic(f"m{first}", four))

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._child.pid is not None
        return self._child.pid

    def listen(self, until: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
        """Hear what it says until this holds. Raises TimeoutError."""
        end_s = time.monotonic() + deadline_s
        while not until():
            for received in self._child.receive():
                for fd in received.fds:
                    os.close(fd)
                if isinstance(received.message, CaptureReport):
                    self.report = received.message
                elif isinstance(received.message, Recorded | Snapped):
                    self.replies.append(received.message)
            if time.monotonic() > end_s:
                raise TimeoutError("the capture process did not do it in time")
            time.sleep(0.01)

    def listen_for(self, seconds: float) -> None:
        """Hear what it says for so long."""
        end_s = time.monotonic() + seconds
        self.listen(lambda: time.monotonic() >= end_s)

    def order(self, order: MediaMessage, path: Path) -> None:
        """Order something that is written there."""
        fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
        self._child.send(order, (fd,))
        os.close(fd)

    def is_up(self) -> bool:
        """Whether frames of all cameras have come."""
        return self.report is not None and all(camera.last_frame_at > 0 for camera in self.report.cameras)

    def packets(self) -> int:
        """Received so far."""
        return sum(camera.counts.packets for camera in self.report.cameras) if self.report else 0

    def end(self) -> None:
        """Kill it."""
        self._child.obey(Command.KILL)
        self._child.bury()


def run(urls: Sequence[str], seconds: float, folder: Path, *, ring_s: float, has_clips: bool = False) -> Run:
    """Run a capture process and return what it cost."""
    process = Process(urls, ring_s)
    found = Run()
    try:
        process.listen(process.is_up)
        process.listen_for(WARM_S)
        if has_clips:
            now_s = time.monotonic()
            for name in process.names[::CLIP_EVERY]:
                process.order(Record(name, 0, name, now_s - 5.0, now_s + seconds), folder / f"{name}.mp4")
        began_s, before_s, before = time.monotonic(), tree_cpu_s(process.pid), process.packets()
        process.listen_for(seconds)
        took_s = time.monotonic() - began_s
        found.cpu_ratio = (tree_cpu_s(process.pid) - before_s) / took_s
        found.packets = round((process.packets() - before) / took_s)
        assert process.report is not None
        found.memory_mib = process.report.memory_mib
        found.ring_mib = sum(camera.ring_bytes for camera in process.report.cameras) / 2**20
        if has_clips:
            process.listen(lambda: len(process.replies) == len(process.names[::CLIP_EVERY]))
            found.clips = [each for each in process.replies if isinstance(each, Recorded)]
            _take_pictures(process, folder, found)
    finally:
        process.end()
    return found


def _take_pictures(process: Process, folder: Path, found: Run) -> None:
    rest_s, before_s = time.monotonic(), tree_cpu_s(process.pid)
    process.listen_for(5.0)
    idle_ratio = (tree_cpu_s(process.pid) - before_s) / (time.monotonic() - rest_s)
    began_s, before_s = time.monotonic(), tree_cpu_s(process.pid)
    for number in range(PICTURES):
        process.replies.clear()
        ordered_s = time.monotonic()
        name = process.names[number % len(process.names)]
        process.order(Snapshot(name, 0, name, ordered_s - 0.5), folder / "picture.jpg")
        process.listen(lambda: process.replies)
        [reply] = process.replies
        if not isinstance(reply, Snapped) or reply.reason is not None:
            raise RuntimeError(f"no picture: {reply}")
        found.pictures_s.append(time.monotonic() - ordered_s)
    cpu_s = tree_cpu_s(process.pid) - before_s - idle_ratio * (time.monotonic() - began_s)
    found.picture_cpu_s = cpu_s / PICTURES


def median(runs: Sequence[Run], of: Callable[[Run], float]) -> float:
    """Return the median of a figure."""
    return statistics.median(of(each) for each in runs)


def show(runs: dict[str, list[Run]], cameras: int) -> None:
    """Print what a person reads."""
    console = Console()
    off = runs["off"]
    table = Table(
        "",
        "% of a core",
        "over off",
        "memory, MiB",
        "over off",
        "in rings, MiB",
        title=f"{cameras} cameras, one process",
    )
    for name, each in runs.items():
        cpu, memory = median(each, lambda one: one.cpu_ratio), median(each, lambda one: one.memory_mib)
        cpu_off, memory_off = median(off, lambda one: one.cpu_ratio), median(off, lambda one: one.memory_mib)
        rings = median(each, lambda one: one.ring_mib)
        values = (f"{100 * cpu:.1f}", f"{cpu / cpu_off:.3f}", f"{memory:.0f}", f"{memory - memory_off:+.0f}")
        table.add_row(name, *values, f"{rings:.0f}")
    console.print(table)
    last = runs["clips"][-1]
    console.print(f"packets a second: {last.packets}; clips at once: {len(last.clips)}, ", end="")
    lengths = [clip.duration_s for clip in last.clips]
    console.print(
        f"of {min(lengths):.2f} to {max(lengths):.2f} s, cut short: {sum(bool(c.reason) for c in last.clips)}"
    )
    pictures = sorted(second for each in runs["clips"] for second in each.pictures_s)
    cpu_ms = 1000 * median(runs["clips"], lambda one: one.picture_cpu_s)
    console.print(
        f"a picture: {1000 * statistics.median(pictures):.0f} ms from order to reply (at most "
        f"{1000 * pictures[-1]:.0f}), {cpu_ms:.0f} ms of CPU"
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=32, help="so many (32)")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each way is measured (15)")
    parser.add_argument("--rounds", type=int, default=2, help="how often (2)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if not FOOTAGE.exists():
        print(f"{FOOTAGE} is absent: this benchmark needs it", file=sys.stderr)
        return 1
    runs: dict[str, list[Run]] = {"off": [], "rings": [], "clips": []}
    with tempfile.TemporaryDirectory(prefix="mosaicd-bench-") as name:
        folder = Path(name)
        with simulated(folder, arguments.cameras, ["--video", str(provide(is_moving=False))]):
            lines = (folder / "cameras.yaml").read_text().splitlines()
            urls = [line.split('"')[1] for line in lines if "rtsp://" in line]
            for _ in range(arguments.rounds):
                runs["off"].append(run(urls, arguments.seconds, folder, ring_s=0.0))
                runs["rings"].append(run(urls, arguments.seconds, folder, ring_s=RING_S))
                runs["clips"].append(run(urls, arguments.seconds, folder, ring_s=RING_S, has_clips=True))
    if arguments.json:
        plain = {name: [asdict(each) | {"clips": len(each.clips)} for each in found] for name, found in runs.items()}
        print(json.dumps(plain, indent=2))
    else:
        show(runs, arguments.cameras)
    return 0


if __name__ == "__main__":
    sys.exit(main())
