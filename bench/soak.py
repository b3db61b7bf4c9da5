"""A soak: the daemon with 32 cameras, one fault a second at random, for an hour or longer; does anything grow?

    python bench/soak.py [--minutes 60] [--out bench/results/soak.md] [--leak KIB_A_S]

Each five seconds it looks at the daemon and its children from outside (/proc): memory (PSS, so that what they share is
counted once), descriptors, threads; and at what the daemon says of itself (/metrics). After the first ten minutes,
which fill caches and pools, a line is fitted through what is left (Theil-Sen: the median of all slopes, which a few odd
samples do not move).

It passes if the memory of the tree grows by less than 0.5 % an hour, and neither descriptors nor threads grow by one an
hour; and if no child was restarted that was not killed. What passes must also be able to fail: `--leak` plants a leak
of so many KiB a second into each capture process, and the run must then be judged growing (exit code 1).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

from rich.console import Console
from rich.progress import track

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.main_job import descendants, pss_mib, scrape, total
from bench.simulated import START_S, run_daemon, simulated
from daemon.demo import Process, free_port

CAMERAS = 32
LOOK_S = 5.0
FILL_S = 600.0
"""What grows in this time is not judged."""
MEMORY_RATIO_AN_HOUR = 0.005
COUNT_AN_HOUR = 1.0

FAULTS = """\
- random:
    seed: {seed}
    rate_hz: 1
    for_s: 5
    kinds: [silent, hang, close, drip, loss, jitter, corrupt, freeze, black, blind, switch, jump, wrap, fast, pause,
      flood]
- {{at_s: 60, every_s: 300, camera: 32, kind: unauthorized, for_s: 20}}
- {{at_s: 120, every_s: 120, camera: 31, kind: not_found, for_s: 20}}
- {{at_s: 180, every_s: 120, camera: 30, kind: not_video, for_s: 20}}
"""
LEAK = """\
import sys, threading, time
def leak(kib_a_s=float({kib!r}), kept=[]):
    while True:
        kept.append(b"x" * int(1024 * kib_a_s))
        time.sleep(1)
if "capture.process" in " ".join(sys.orig_argv):
    threading.Thread(target=leak, daemon=True).start()
"""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the daemon and its children."""

    at_s: float
    memory_mib: float
    capture_mib: float
    inference_mib: float
    descriptors: int
    threads: int
    cameras_up: float
    failures: float
    analyzed: float
    restarts: float


def look(pid: int, port: int, at_s: float) -> Look:
    """Look at a daemon by its process id and its HTTP port."""
    family = descendants(pid)
    samples = scrape(port)
    memory_mib = {each: pss_mib(each) for each in family}
    return Look(
        at_s=at_s,
        memory_mib=sum(memory_mib.values()),
        capture_mib=sum(mib for each, mib in memory_mib.items() if runs(each, "capture.process")),
        inference_mib=sum(mib for each, mib in memory_mib.items() if runs(each, "inference.worker")),
        descriptors=sum(count(f"/proc/{each}/fd") for each in family),
        threads=sum(count(f"/proc/{each}/task") for each in family),
        cameras_up=total(samples, "mosaicd_camera_up"),
        failures=total(samples, "mosaicd_camera_failures_total"),
        analyzed=total(samples, "mosaicd_camera_frames_analyzed_total"),
        restarts=total(samples, "mosaicd_worker_restarts_total") + total(samples, "mosaicd_capture_restarts_total"),
    )


def runs(pid: int, module: str) -> bool:
    """Return whether a process runs that module."""
    try:
        return module in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return False


def count(folder: str) -> int:
    """Return how many entries a folder of /proc has, 0 if it is gone."""
    try:
        return len(os.listdir(folder))
    except OSError:
        return 0


def slope_an_hour(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of a line through (seconds, value), a value an hour (Theil 1950, Sen 1968)."""
    # Not all of them: the pairs of 300 points are 45,000.
    thinned = points[:: max(1, len(points) // 300)]
    slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in combinations(thinned, 2) if x1 > x0]
    return 3600.0 * statistics.median(slopes) if slopes else 0.0


def judge(looks: Sequence[Look]) -> dict[str, tuple[float, bool]]:
    """Return the growth an hour of each thing that must not grow, and whether it is little enough."""
    late = [each for each in looks if each.at_s - looks[0].at_s >= FILL_S] or looks
    memory = slope_an_hour([(each.at_s, each.memory_mib) for each in late])
    ratio = memory / statistics.median(each.memory_mib for each in late)
    growth = {"memory, of it": (ratio, ratio < MEMORY_RATIO_AN_HOUR)}
    for name in ("descriptors", "threads"):
        slope = slope_an_hour([(each.at_s, float(getattr(each, name))) for each in late])
        growth[name] = (slope, slope < COUNT_AN_HOUR)
    return growth


@contextmanager
def staged(folder: Path, seed: int, leak_kib_s: float) -> Iterator[tuple[Process, int]]:
    """Run the simulator with its faults, and the daemon; yield the daemon and its HTTP port."""
    roster, faults, port = folder / "cameras.yaml", folder / "faults.yaml", free_port(9109)
    faults.write_text(FAULTS.format(seed=seed))
    settings = {"state_dir": str(folder), "http": {"port": port}, "model": {"name": "demo"}}
    (folder / "mosaicd.yaml").write_text(json.dumps(settings))
    if leak_kib_s:
        (folder / "sitecustomize.py").write_text(LEAK.format(kib=leak_kib_s))
        os.environ["PYTHONPATH"] = str(folder)
    # Scenes are rendered the first time.
    with simulated(folder, CAMERAS, ["--faults", str(faults)], within_s=10 * START_S):
        # The picture must be able to freeze within a fault's five seconds.
        roster.write_text("defaults: {frozen_s: 3}\n" + roster.read_text())
        with run_daemon(folder) as daemon:
            yield daemon, port


def table(looks: Sequence[Look], growth: dict[str, tuple[float, bool]], command: str) -> str:
    """Return what is kept, as Markdown."""
    names = [field.name for field in fields(Look)]
    step = max(1, len(looks) // 24)
    rows = [*looks[::step], *([] if (len(looks) - 1) % step == 0 else [looks[-1]])]
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    lines = [
        f"`{command}`, ended {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, "
        f"revision {revision.stdout.strip()}",
        "",
        "| minute | memory, MiB | of capture | of inference | descriptors | threads | cameras up | failures "
        "| frames analyzed | restarts |",
        "|" + "---|" * len(names),
    ]
    for each in rows:
        minute = (each.at_s - looks[0].at_s) / 60
        lines.append(
            f"| {minute:.0f} | {each.memory_mib:.1f} | {each.capture_mib:.1f} | {each.inference_mib:.1f} "
            f"| {each.descriptors} | {each.threads} | {each.cameras_up:.0f} "
            f"| {each.failures:.0f} | {each.analyzed:.0f} | {each.restarts:.0f} |"
        )
    lines += ["", "| growth an hour, after ten minutes | measured | allowed | |", "|---|---|---|---|"]
    for name, (value, is_little) in growth.items():
        shown, most = (f"{value:+.2%}", f"{MEMORY_RATIO_AN_HOUR:.1%}") if "memory" in name else (f"{value:+.2f}", "1")
        lines.append(f"| {name} | {shown} | {most} | {'flat' if is_little else '**grows**'} |")
    return "\n".join((*lines, ""))


def main() -> int:
    """Soak, print, and say by the exit code whether all is flat."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long, after all cameras came up (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (1)")
    parser.add_argument("--leak", type=float, default=0.0, metavar="KIB_A_S", help="plant a leak in capture processes")
    parser.add_argument("--out", type=Path, help="append the table to this file")
    arguments = parser.parse_args()
    looks: list[Look] = []
    with (
        tempfile.TemporaryDirectory(prefix="mosaicd-soak-") as folder,
        staged(Path(folder), arguments.seed, arguments.leak) as (daemon, port),
    ):
        end_s = time.monotonic() + 2 * START_S
        while total(scrape(port), "mosaicd_camera_up") < CAMERAS / 2 and time.monotonic() < end_s:
            daemon.check()
            time.sleep(1.0)
        start_s = time.monotonic()
        for number in track(range(int(arguments.minutes * 60 / LOOK_S)), "soaking", console=Console(stderr=True)):
            time.sleep(max(0.0, start_s + number * LOOK_S - time.monotonic()))
            daemon.check()
            looks.append(look(daemon.pid, port, time.monotonic()))
    growth = judge(looks)
    text = table(looks, growth, "python " + " ".join(["bench/soak.py", *sys.argv[1:]]))
    print(text)
    if arguments.out:
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(f"\n{text}")
    return 0 if all(is_little for _, is_little in growth.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
