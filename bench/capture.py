"""What capture costs, against other ways of reading a camera: CPU-seconds a camera-second, side by side in one run.

    python bench/capture.py [--seconds 12] [--rounds 3] [--json]

Each way reads the same RTSP stream (1080p25 H.264, 3 Mbit/s, key frames two seconds apart; `bench/clips.py`) from a
simulator in a process of its own, in turn, and over again for so many rounds; a figure is the median over the rounds.
Counted is user and system time of the way's processes (/proc), once it has run for three seconds, and its children's.

- ours: a capture process as the supervisor starts it, with the four cameras of a mosaic: five tiles a second of each on
  its canvas; a quarter of what it costs
- ffmpeg: `ffmpeg -threads 1 -f null`, which decodes and throws away; also with `-skip_frame nokey`
- pipe: ffmpeg decodes and scales to five tiles a second, raw RGB through a pipe to Python, as recorders do it;
  full pipe: all full pictures through the pipe, scaled in Python
- cv2: `cv2.VideoCapture` in one thread, read all, resize one in five by area, which is the same work as ours; and the
  loop as it is mostly written: read and resize each, by area or (the default) linearly
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.clips import FOOTAGE, provide
from bench.simulated import simulated
from capture.layout import TILES
from capture.messages import CameraSpec, CaptureSetup, OpenMosaic
from capture.words import DecodeMode
from daemon.child import Child, ChildSpec, tree_cpu_ticks
from daemon.job import ALLOCATOR
from daemon.lifecycle import Command

WARM_S = 3.0
TILE_WH, FPS = (416, 234), 5.0
CANVAS_WH = (832, 512)

_PIPE = """
import subprocess, sys, numpy as np
url, w, h, is_full = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "full"
scale = [] if is_full else ["-vf", f"fps=5,scale={w}:{h}:flags=area"]
ffmpeg = subprocess.Popen(["ffmpeg", "-v", "error", "-threads", "1", "-rtsp_transport", "tcp", "-i", url, "-an", *scale,
    "-pix_fmt", "bgr24" if is_full else "rgb24", "-f", "rawvideo", "-"], stdout=subprocess.PIPE)
size = 1920 * 1080 * 3 if is_full else w * h * 3
number = 0
if is_full:
    import cv2
    cv2.setNumThreads(1)
while len(data := ffmpeg.stdout.read(size)) == size:
    number += 1
    if is_full and number % 5 == 0:
        cv2.resize(np.frombuffer(data, np.uint8).reshape(1080, 1920, 3), (w, h), interpolation=cv2.INTER_AREA)
"""
_CV2 = """
import os, sys
url, w, h, every, interpolation = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp|threads;1"
import cv2
cv2.setNumThreads(1)
camera, number = cv2.VideoCapture(url, cv2.CAP_FFMPEG), 0
while True:
    is_read, picture = camera.read()
    if not is_read:
        break
    number += 1
    if number % every == 0:
        cv2.resize(picture, (w, h), interpolation=getattr(cv2, interpolation))
"""


@dataclass(frozen=True, slots=True)
class Ratios:
    """What the project is judged by."""

    decode_all_over_ffmpeg: float
    cv2_over_decode_all: float
    ffmpeg_pipe_over_decode_all: float
    cv2_over_still: float
    still_over_ffmpeg_keyframes: float


def tree_cpu_s(pid: int) -> float:
    """Return the CPU time of a process and of its living children."""
    return tree_cpu_ticks(pid) / os.sysconf("SC_CLK_TCK")


def measured(pid: int, seconds: float, turn: Callable[[], object] = lambda: None) -> float:
    """Return CPU-seconds a second of a process once it is warm; ``turn`` is called now and then."""

    def pass_time(duration_s: float) -> None:
        end_s = time.monotonic() + duration_s
        while (left_s := end_s - time.monotonic()) > 0:
            turn()
            time.sleep(min(0.2, left_s))

    pass_time(WARM_S)
    began_s, before_s = time.monotonic(), tree_cpu_s(pid)
    pass_time(seconds)
    return (tree_cpu_s(pid) - before_s) / (time.monotonic() - began_s)


def command_cost(command: Sequence[str], seconds: float) -> float:
    """Return what a command costs, CPU-seconds a second."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)
    try:
        cost = measured(process.pid, seconds)
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended by itself")
        return cost
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def our_cost(urls: Sequence[str], mode: DecodeMode, seconds: float) -> float:
    """Return what a capture process with the cameras of a mosaic costs, CPU-seconds a camera-second."""
    child = Child(ChildSpec("c1", "capture", "capture.process", {**os.environ, **ALLOCATOR}))
    child.spawn()

    def listen() -> None:
        for received in child.receive():
            for fd in received.fds:
                os.close(fd)

    try:
        child.send(CaptureSetup(CANVAS_WH, FPS, stale_s=2.0, open_timeout_s=5.0, read_timeout_s=5.0))
        cameras = [CameraSpec(f"cam-{number}", url, FPS, decode=mode) for number, url in enumerate(urls)]
        child.send(OpenMosaic("m1", tuple(cameras)))
        assert child.pid is not None
        return measured(child.pid, seconds, listen) / len(urls)
    finally:
        child.obey(Command.KILL)
        child.bury()


@contextmanager
def streams(folder: Path) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Run a simulator; yield the urls of the moving and of the still cameras, a mosaic of each."""
    shares = [f"{provide(is_moving=is_moving)}:{TILES}" for is_moving in (True, False)]
    videos = [argument for share in shares for argument in ("--video", share)]
    with simulated(folder, 2 * TILES, videos):
        lines = (folder / "cameras.yaml").read_text().splitlines()
        urls = [line.split('"')[1] for line in lines if "rtsp://" in line]
        yield urls[::2], urls[1::2]  # equal shares take turns


def ways(moving: Sequence[str], still: Sequence[str], seconds: float) -> dict[str, Callable[[], float]]:
    """Return the ways by name."""
    ffmpeg = ["ffmpeg", "-v", "error", "-threads", "1"]
    null = ["-an", "-f", "null", "-"]
    size = [str(side) for side in TILE_WH]

    def ours(urls: Sequence[str], mode: DecodeMode) -> Callable[[], float]:
        return lambda: our_cost(urls, mode, seconds)

    def theirs(*command: str) -> Callable[[], float]:
        return lambda: command_cost(command, seconds)

    return {
        "ours, decode: all": ours(moving, DecodeMode.ALL),
        "ours, adaptive, moving": ours(moving, DecodeMode.ADAPTIVE),
        "ffmpeg, null": theirs(*ffmpeg, "-rtsp_transport", "tcp", "-i", moving[0], *null),
        "ffmpeg, scaled pipe": theirs(sys.executable, "-c", _PIPE, moving[0], *size, "scaled"),
        "ffmpeg, full pipe": theirs(sys.executable, "-c", _PIPE, moving[0], *size, "full"),
        "cv2": theirs(sys.executable, "-c", _CV2, moving[0], *size, "5", "INTER_AREA"),
        "cv2, resize each by area": theirs(sys.executable, "-c", _CV2, moving[0], *size, "1", "INTER_AREA"),
        "cv2, resize each linearly": theirs(sys.executable, "-c", _CV2, moving[0], *size, "1", "INTER_LINEAR"),
        "ours, adaptive, still": ours(still, DecodeMode.ADAPTIVE),
        "ffmpeg, key frames, still": theirs(
            *ffmpeg, "-skip_frame", "nokey", "-rtsp_transport", "tcp", "-i", still[0], *null
        ),
        "cv2, still": theirs(sys.executable, "-c", _CV2, still[0], *size, "5", "INTER_AREA"),
    }


def ratios(costs: dict[str, float]) -> Ratios:
    """Return the ratios of the median costs."""
    ours, still = costs["ours, decode: all"], costs["ours, adaptive, still"]
    return Ratios(
        decode_all_over_ffmpeg=round(ours / costs["ffmpeg, null"], 3),
        cv2_over_decode_all=round(costs["cv2"] / ours, 3),
        ffmpeg_pipe_over_decode_all=round(costs["ffmpeg, scaled pipe"] / ours, 3),
        cv2_over_still=round(costs["cv2, still"] / still, 3),
        still_over_ffmpeg_keyframes=round(still / costs["ffmpeg, key frames, still"], 3),
    )


def show(costs: dict[str, list[float]], found: Ratios) -> None:
    """Print what a person reads."""
    console = Console()
    table = Table("way", "ms of CPU a camera-second", "least to most", title="capture: 1080p25, 3 Mbit/s")
    for name, values in costs.items():
        middle, least, most = statistics.median(values), min(values), max(values)
        table.add_row(name, f"{1000 * middle:.1f}", f"{1000 * least:.1f} to {1000 * most:.1f}")
    console.print(table)
    medians = {name: statistics.median(values) for name, values in costs.items()}
    carried = Table(
        "motion", "cameras a core, ours", "cameras a core, cv2", title="what a core carries (capture alone)"
    )
    for motion in (0.0, 0.1, 1.0):
        ours = motion * medians["ours, adaptive, moving"] + (1 - motion) * medians["ours, adaptive, still"]
        cv2 = motion * medians["cv2"] + (1 - motion) * medians["cv2, still"]
        carried.add_row(f"{motion:.0%}", f"{1 / ours:.0f}", f"{1 / cv2:.1f}")
    console.print(carried)
    for name, value in asdict(found).items():
        console.print(f"{name}: {value:g}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12.0, help="how long each way is measured (12)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    if not FOOTAGE.exists():
        print(f"{FOOTAGE} is absent: this benchmark needs it", file=sys.stderr)
        return 1
    if shutil.which("ffmpeg") is None:
        print("ffmpeg is absent: `make clients` installs it", file=sys.stderr)
        return 1
    costs: dict[str, list[float]] = {}
    progress = Progress(console=Console(stderr=True), transient=True)
    with tempfile.TemporaryDirectory(prefix="mosaicd-bench-") as folder, streams(Path(folder)) as (moving, still):
        todo = ways(moving, still, arguments.seconds)
        with progress:
            task = progress.add_task("measuring", total=arguments.rounds * len(todo))
            for _ in range(arguments.rounds):
                for name, cost in todo.items():
                    progress.update(task, description=name)
                    costs.setdefault(name, []).append(cost())
                    progress.advance(task)
    found = ratios({name: statistics.median(values) for name, values in costs.items()})
    if arguments.json:
        values = {name: [round(value, 5) for value in each] for name, each in costs.items()}
        print(json.dumps(asdict(found) | {"cpu_s_a_camera_second": values}, indent=2))
    else:
        show(costs, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
