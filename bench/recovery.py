"""How fast a killed worker is back at work, and what the others lose meanwhile, on this machine.

    python bench/recovery.py [--kills 30] [--engine openvino|tensorflow] [--json]

Simulated cameras of real footage, the daemon, two workers of one thread; 15 mosaics a second with openvino (less than
half of what bench/main_job.py sees answered), 10 with tensorflow. One worker is killed (SIGKILL) again and again, each
time a moment after it has come back; each time it starts cold, its model's graph in the cache. With --json:

- cold_p50_s, cold_p95_s: from the kill to the restarted worker's first answer, openvino
- cold_tensorflow_p95_s: likewise, tensorflow
- others_answered_ratio: frames answered, of those offered, on mosaics that are never the killed worker's (openvino);
  all that they lost in the whole time is held against the times between a kill and the answer

There is no warm spare yet, and so there are no figures of one (spare_p50_s, spare_p95_s). With --engine the other
engine's figures are left out.

The time is made of two: from the kill to the end of the process, by its pidfd, and from there to the answer, by the
daemon's own mosaicd_worker_recovery_seconds.
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
from math import ceil
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.main_job import DATA, descendants, scrape, total
from bench.simulated import run_daemon, simulated
from capture.child import wait_readable
from daemon.demo import Process, free_port
from daemon.demo_material import DemoError
from daemon.metrics import Sample
from inference.engines import ENGINES

VIDEO = DATA / "videos" / "pets09-s2l1.mp4"
MODEL = DATA / "weights" / "yolo-fastest" / "yolo-fastest-1.1-xl"
CAMERAS = {"openvino": 12, "tensorflow": 8}
"""Five mosaics a second for every four."""
HTTP_PORT = 9109
VICTIM = "w1"
START_S = 300.0
"""The first start builds the model's graph."""
BACK_S = 60.0
SETTLE_S = 2.0
"""Metrics are up to a second old, lines of sightings a quarter."""
PAUSES_S = (0.5, 1.5)
"""Between an answer and the next kill, by chance: at any moment of the mosaics' period."""


@dataclass(frozen=True, slots=True)
class Recoveries:
    """What was measured of one engine."""

    engine: str
    cold_s: tuple[float, ...]
    """From each kill to the first answer of the restarted worker."""
    others_answered_ratio: float

    def quantile_s(self, q: float) -> float:
        """Return the least time that this part of all recoveries, or more, did not exceed (nearest rank)."""
        return sorted(self.cold_s)[max(1, ceil(q * len(self.cold_s))) - 1]


@contextmanager
def staged(folder: Path, engine: str) -> Iterator[tuple[Process, int]]:
    """Run simulator and daemon in ``folder``; yield the daemon and its HTTP port."""
    port = free_port(HTTP_PORT)
    settings = {
        "state_dir": str(folder),
        "http": {"port": port},
        "model": {
            "cfg": f"{MODEL}.cfg",
            "weights": f"{MODEL}.weights",
            "names": str(DATA / "cfg" / "coco.names"),
            "engine": engine,
            "input": "mosaic",
        },
        "devices": {"cpu": {"workers": 2, "threads": 1}},
        # A worker that has answered is healthy: each kill is a first failure, and restarted at once.
        "supervision": {"stable_s": 0.1, "restart_window_s": 1.0, "max_restarts": 1000},
        "sinks": {"jsonl": {"empty": True}},
        "roster": "awake.yaml",
    }
    (folder / "mosaicd.yaml").write_text(json.dumps(settings))
    with simulated(folder, CAMERAS[engine], ["--video", str(VIDEO)]) as simulator:
        # Of a camera that sleeps there may be nothing to answer for a while.
        roster = (folder / "cameras.yaml").read_text()
        (folder / "awake.yaml").write_text(f"defaults: {{decode: all}}\n{roster}")
        with run_daemon(folder) as daemon:
            simulator.check()
            yield daemon, port


def measure(folder: Path, engine: str, kills: int, on_kill: Callable[[], None]) -> Recoveries:
    """Kill a worker so many times, telling each. Raises TimeoutError, DemoError."""
    chance = random.Random(0)
    with staged(folder, engine) as (daemon, port):

        def wait_for(condition: Callable[[Sequence[Sample]], bool], what: str, within_s: float) -> Sequence[Sample]:
            ends_s = time.monotonic() + within_s
            while not condition(samples := scrape(port)):
                daemon.check()
                if time.monotonic() > ends_s:
                    raise TimeoutError(f"{engine}: {what} took more than {within_s:g} s")
                time.sleep(0.1)
            return samples

        def look() -> Sequence[Sample]:
            return wait_for(bool, "an answer of /metrics", BACK_S)

        wait_for(lambda now: total(now, "mosaicd_worker_up") == 2 and is_ready(now), "the start", START_S)
        time.sleep(SETTLE_S)
        others = others_cameras(folder)
        before, began_s, cold_s = look(), time.monotonic(), []
        for _ in range(kills):
            time.sleep(chance.uniform(*PAUSES_S))
            count, sum_s = recovered(look())
            ended_s = kill(worker_pid(daemon.pid))
            after = wait_for(partial(has_recovered, count), "a recovery", BACK_S)
            cold_s.append(ended_s + recovered(after)[1] - sum_s)
            on_kill()
        time.sleep(SETTLE_S)
        after, took_s = look(), time.monotonic() - began_s
    names = ("mosaicd_camera_frames_analyzed_total", "mosaicd_camera_frames_dropped_total")
    answered = of(others, after, names[0]) - of(others, before, names[0])
    lost = of(others, after, names[1], reason="unread") - of(others, before, names[1], reason="unread")
    offered_meanwhile = (answered + lost) * sum(cold_s) / took_s
    return Recoveries(engine, tuple(cold_s), max(0.0, 1.0 - lost / offered_meanwhile))


def is_ready(samples: Sequence[Sample]) -> bool:
    """Return whether every mosaic is answered."""
    return total(samples, "mosaicd_ready") == 1


def recovered(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return how often the victim has come back so far, and how long that took in all."""
    name = "mosaicd_worker_recovery_seconds"
    return total(samples, f"{name}_count", worker=VICTIM), total(samples, f"{name}_sum", worker=VICTIM)


def has_recovered(before: float, samples: Sequence[Sample]) -> bool:
    """Return whether the victim has come back more often than it had ``before``."""
    return recovered(samples)[0] > before


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


def figures(found: Sequence[Recoveries]) -> dict[str, float]:
    """Return what --json prints."""
    shown: dict[str, float] = {}
    for each in found:
        if each.engine == "openvino":
            shown["cold_p50_s"] = round(each.quantile_s(0.5), 3)
            shown["cold_p95_s"] = round(each.quantile_s(0.95), 3)
            shown["others_answered_ratio"] = round(each.others_answered_ratio, 4)
        else:
            shown["cold_tensorflow_p95_s"] = round(each.quantile_s(0.95), 3)
    return shown


def show(found: Sequence[Recoveries], kills: int) -> Table:
    """Return the table that a person reads."""
    table = Table(title=f"a worker killed {kills} times: kill to its first new answer, cold", title_justify="left")
    for column in ("engine", "cameras", "p50, s", "p95, s", "worst, s", "others answered"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    for each in found:
        times = [f"{each.quantile_s(q):.2f}" for q in (0.5, 0.95, 1.0)]
        table.add_row(each.engine, str(CAMERAS[each.engine]), *times, f"{each.others_answered_ratio:.3f}")
    return table


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, metavar="N", help="kills of each engine's worker (30)")
    parser.add_argument("--engine", choices=ENGINES, help="only this one; both otherwise")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if not 1 <= arguments.kills <= 1000:
        parser.error("--kills: from 1 to 1000")
    if not DATA.is_dir():
        print(f"{DATA} is absent: this benchmark needs its footage and weights", file=sys.stderr)
        return 1
    engines = (arguments.engine,) if arguments.engine else tuple(ENGINES)
    found = []
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            for engine in engines:
                task = progress.add_task(engine, total=arguments.kills)
                with tempfile.TemporaryDirectory(prefix="mosaicd-bench-") as folder:
                    found.append(measure(Path(folder), engine, arguments.kills, partial(progress.advance, task)))
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
