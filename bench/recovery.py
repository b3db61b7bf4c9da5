"""How fast a killed worker is back at work, and what the others lose meanwhile, on this machine.

    python bench/recovery.py [--kills 30] [--kind cold|cold-tensorflow|spare|oom|oom-tensorflow] [--json]

Simulated cameras of real footage, the daemon, two workers of one thread; 15 mosaics a second with openvino (less than
half of what bench/main_job.py sees answered), 10 with tensorflow and with a spare. One worker is killed (SIGKILL) again
and again, each time a moment after it has come back. With --json:

- cold_p50_s, cold_p95_s: from the kill to the restarted worker's first answer, openvino; it starts cold, with its
  model's graph in the cache
- cold_tensorflow_p95_s: likewise, tensorflow
- spare_p50_s, spare_p95_s: from the kill to the next answer of the killed worker's mosaic, by a loaded spare (openvino)
- others_answered_ratio: frames answered, of those offered, on mosaics that are never the killed worker's (cold,
  openvino); all that they lost in the whole time is held against the times between a kill and the worker's return

- oom_p50_s, oom_p95_s, oom_others_answered_ratio (openvino), oom_tensorflow_...: the worker is not killed, but its
  quota is exhausted, through its own framework, in the ways of bench/exhaustion.py in turn; the time is that from its
  end, and what the others lose while its memory fills counts as well
- oom_others_answered_throughout_ratio: the same losses held against the whole time; oom_host_oom_ratio: how many of
  those ends were judged to be for memory

With --kind the figures of the others are left out.

The time is made of two: from the kill to the end of the process, by its pidfd, and from there to the answer, by the
daemon's own mosaicd_worker_recovery_seconds, or mosaicd_mosaic_recovery_seconds with a spare.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.exhaustion import Way, environ_of, order
from bench.main_job import DATA, descendants, scrape, total
from bench.simulated import run_daemon, simulated
from capture.child import wait_readable
from daemon.chaos.outcome import quantile
from daemon.demo import Process, free_port
from daemon.demo_material import DemoError
from daemon.devices import find_devices
from daemon.metrics import Sample

VIDEO = DATA / "videos" / "pets09-s2l1.mp4"
MODEL = DATA / "weights" / "yolo-fastest" / "yolo-fastest-1.1-xl"
HTTP_PORT = 9109
VICTIM = "w1"
FAULT = "fault"
"""Folder for orders to exhaust the victim's memory."""
START_S = 300.0
"""The first start builds the model's graph."""
BACK_S = 60.0
SETTLE_S = 2.0
"""Metrics are up to a second old, lines of sightings a quarter."""
PAUSES_S = (0.5, 1.5)
"""Between an answer and the next kill, by chance: at any moment of the mosaics' period."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured."""

    engine: str
    cameras: int
    """Five mosaics a second for every four."""
    has_spare: bool = False
    quota_mib: int | None = None
    """Of each worker, where that is to be exhausted."""


KINDS = {
    "cold": Kind("openvino", 12),
    "cold-tensorflow": Kind("tensorflow", 8),
    # One mosaic for each of the two: what is measured is that of the one that is killed.
    "spare": Kind("openvino", 8, has_spare=True),
    # What loading takes, and 500 MiB and more to be exhausted.
    "oom": Kind("openvino", 12, quota_mib=800),
    "oom-tensorflow": Kind("tensorflow", 8, quota_mib=1500),
}
WAYS: tuple[Way, ...] = ("slow", "rest", "fast")


@dataclass(frozen=True, slots=True)
class Recoveries:
    """What was measured of one kind."""

    kind: str
    times_s: tuple[float, ...]
    """From each kill to the answer."""
    others_answered_ratio: float
    throughout_ratio: float = 1.0
    """The same, over the whole time."""
    host_oom_ratio: float = 0.0
    """Ends that were judged to be for memory."""

    def quantile_s(self, q: float) -> float:
        """Return the least time that this part of all recoveries, or more, did not exceed (nearest rank)."""
        return quantile(self.times_s, q)


@contextmanager
def staged(folder: Path, kind: Kind) -> Iterator[tuple[Process, int]]:
    """Run simulator and daemon in ``folder``; yield the daemon and its HTTP port."""
    port = free_port(HTTP_PORT)
    settings = {
        "state_dir": str(folder),
        "http": {"port": port},
        "model": {
            "cfg": f"{MODEL}.cfg",
            "weights": f"{MODEL}.weights",
            "names": str(DATA / "cfg" / "coco.names"),
            "engine": kind.engine,
            "input": "mosaic",
        },
        "devices": {
            "cpu": {
                "workers": 2,
                "threads": 1,
                "spare": kind.has_spare,
                "memory": {"fraction": kind.quota_mib / total_mib() if kind.quota_mib else None},
            }
        },
        # A worker that has answered is healthy: each kill is a first failure, and restarted at once.
        "supervision": {"stable_s": 0.1, "restart_window_s": 1.0, "max_restarts": 1000},
        "sinks": {"jsonl": {"empty": True}},
        "roster": "awake.yaml",
    }
    (folder / "mosaicd.yaml").write_text(json.dumps(settings))
    with simulated(folder, kind.cameras, ["--video", str(VIDEO)]) as simulator:
        # Of a camera that sleeps there may be nothing to answer for a while.
        roster = (folder / "cameras.yaml").read_text()
        (folder / "awake.yaml").write_text(f"defaults: {{decode: all}}\n{roster}")
        (folder / FAULT).mkdir()
        with run_daemon(folder, environ_of(folder / FAULT) if kind.quota_mib else {}) as daemon:
            simulator.check()
            yield daemon, port


def measure(folder: Path, name: str, kills: int, on_kill: Callable[[], None]) -> Recoveries:
    """Kill a worker so many times, telling each. Raises TimeoutError, DemoError."""
    chance, kind = random.Random(0), KINDS[name]
    workers, recovery_s = (3, mosaic_recovery_s) if kind.has_spare else (2, worker_recovery_s)
    with staged(folder, kind) as (daemon, port):

        def wait_for(condition: Callable[[Sequence[Sample]], bool], what: str, within_s: float) -> Sequence[Sample]:
            ends_s = time.monotonic() + within_s
            while not condition(samples := scrape(port)):
                daemon.check()
                if time.monotonic() > ends_s:
                    raise TimeoutError(f"{name}: {what} took more than {within_s:g} s")
                time.sleep(0.1)
            return samples

        def look() -> Sequence[Sample]:
            return wait_for(bool, "an answer of /metrics", BACK_S)

        wait_for(lambda now: total(now, "mosaicd_worker_up") == workers and is_ready(now), "the start", START_S)
        time.sleep(SETTLE_S)
        others = others_cameras(folder)
        before, began_s, times_s = look(), time.monotonic(), []
        for number in range(kills):
            time.sleep(chance.uniform(*PAUSES_S))
            alive, pid = look(), worker_pid(daemon.pid)
            if kind.quota_mib:
                exhaust(folder / FAULT, pid, WAYS[number % len(WAYS)])
                ended_s = 0.0
            else:
                ended_s = kill(pid)
            # Even where a spare has long taken over: the next to be killed is its successor.
            back = wait_for(partial(has_recovered, alive), "a recovery", BACK_S)
            times_s.append(ended_s + recovery_s(back) - recovery_s(alive))
            on_kill()
        time.sleep(SETTLE_S)
        after, took_s = look(), time.monotonic() - began_s
    names = ("mosaicd_camera_frames_analyzed_total", "mosaicd_camera_frames_dropped_total")
    answered = of(others, after, names[0]) - of(others, before, names[0])
    lost = of(others, after, names[1], reason="unread") - of(others, before, names[1], reason="unread")
    away_s = worker_recovery_s(after) - worker_recovery_s(before)
    offered_meanwhile = (answered + lost) * away_s / took_s
    return Recoveries(
        name,
        tuple(times_s),
        max(0.0, 1.0 - lost / offered_meanwhile),
        throughout_ratio=answered / (answered + lost),
        host_oom_ratio=total(after, "mosaicd_worker_restarts_total", worker=VICTIM, cause="host_oom") / kills,
    )


def total_mib() -> int:
    """Return the memory of which a worker on the CPU has its fraction."""
    return find_devices(lambda: b"{}").devices[-1].total_mib


def is_ready(samples: Sequence[Sample]) -> bool:
    """Return whether every mosaic is answered."""
    return total(samples, "mosaicd_ready") == 1


def has_recovered(before: Sequence[Sample], now: Sequence[Sample]) -> bool:
    """Return whether the victim has come back since ``before``."""
    name = "mosaicd_worker_recovery_seconds_count"
    return total(now, name, worker=VICTIM) > total(before, name, worker=VICTIM)


def worker_recovery_s(samples: Sequence[Sample]) -> float:
    """Return how long the victim has been away in all so far."""
    return total(samples, "mosaicd_worker_recovery_seconds_sum", worker=VICTIM)


def mosaic_recovery_s(samples: Sequence[Sample]) -> float:
    """Return how long the victim's mosaic has been without an answer in all so far."""
    return total(samples, "mosaicd_mosaic_recovery_seconds_sum")


def of(cameras: set[str], samples: Sequence[Sample], name: str, **labels: str) -> float:
    """Return a metric's sum over these cameras."""
    return sum(total(samples, name, camera=camera, **labels) for camera in cameras)


def others_cameras(folder: Path) -> set[str]:
    """Return the cameras whose mosaics were last answered by another worker than the victim."""
    seats: dict[str, str] = {}
    whole = (folder / "sightings.jsonl").read_text().rpartition("\n")[0]
    for line in map(json.loads, whole.splitlines()):
        seats[line["camera"]] = line["worker"]
    return {camera for camera, worker in seats.items() if worker != VICTIM}


def worker_pid(daemon: int) -> int:
    """Return the victim's process id. Raises TimeoutError if it has none."""
    for pid in descendants(daemon):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        if words[3:5] == ["inference.worker", VICTIM]:
            return pid
    raise TimeoutError(f"{VICTIM} is not there")


def kill(pid: int) -> float:
    """Kill a process; return the seconds until it had ended."""
    pidfd = os.pidfd_open(pid)
    try:
        began_s = time.monotonic()
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        wait_readable([pidfd], BACK_S)
        return time.monotonic() - began_s
    finally:
        os.close(pidfd)


def exhaust(fault: Path, pid: int, way: Way) -> None:
    """Have the victim's memory taken, and wait for its end. Raises TimeoutError."""
    pidfd = os.pidfd_open(pid)
    try:
        order(fault, VICTIM, way)
        if not wait_readable([pidfd], BACK_S):
            raise TimeoutError(f"{VICTIM} lives on {BACK_S:g} s after its memory was taken ({way})")
    finally:
        os.close(pidfd)


def figures(found: Sequence[Recoveries]) -> dict[str, float]:
    """Return what --json prints."""
    shown: dict[str, float] = {}
    for each in found:
        name = each.kind.replace("-", "_")
        if each.kind != "cold-tensorflow":
            shown[f"{name}_p50_s"] = round(each.quantile_s(0.5), 3)
        shown[f"{name}_p95_s"] = round(each.quantile_s(0.95), 3)
        if each.kind == "cold":
            shown["others_answered_ratio"] = round(each.others_answered_ratio, 4)
        if KINDS[each.kind].quota_mib:
            shown[f"{name}_others_answered_ratio"] = round(each.others_answered_ratio, 4)
            shown[f"{name}_others_answered_throughout_ratio"] = round(each.throughout_ratio, 4)
            shown[f"{name}_host_oom_ratio"] = round(each.host_oom_ratio, 4)
    return shown


def show(found: Sequence[Recoveries], kills: int) -> Table:
    """Return the table that a person reads."""
    title = f"a worker killed, or its quota exhausted, {kills} times: from its end to the answer"
    table = Table(title=title, title_justify="left")
    for column in ("kind", "engine", "cameras", "p50, s", "p95, s", "worst, s", "others answered"):
        table.add_column(column, justify="left" if column in ("kind", "engine") else "right")
    for each in found:
        kind = KINDS[each.kind]
        times = [f"{each.quantile_s(q):.2f}" for q in (0.5, 0.95, 1.0)]
        table.add_row(each.kind, kind.engine, str(kind.cameras), *times, f"{each.others_answered_ratio:.3f}")
    return table


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, metavar="N", help="kills of each kind (30)")
    parser.add_argument("--kind", choices=KINDS, help="only this one; all otherwise")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if not 1 <= arguments.kills <= 1000:
        parser.error("--kills: from 1 to 1000")
    if not DATA.is_dir():
        print(f"{DATA} is absent: this benchmark needs its footage and weights", file=sys.stderr)
        return 1
    kinds = (arguments.kind,) if arguments.kind else tuple(KINDS)
    found = []
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            for kind in kinds:
                task = progress.add_task(kind, total=arguments.kills)
                with tempfile.TemporaryDirectory(prefix="mosaicd-bench-") as folder:
                    found.append(measure(Path(folder), kind, arguments.kills, partial(progress.advance, task)))
    except (DemoError, TimeoutError) as error:
        print(f"recovery: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(figures(found), indent=2))
    else:
        Console().print(show(found, arguments.kills))
    return 0


if __name__ == "__main__":
    sys.exit(main())
