"""The main job, measured: 32 RTSP cameras of real footage -> mosaics -> workers -> sightings, on this machine.

    python bench/main_job.py [--scenario mixed|hd] [--seconds 60] [--json]

- mixed: four HEVC 1080p30 cameras, 28 of 480x360 to 768x432 at 10 to 12.5 frames a second, most of them in motion;
  yolo-fastest-1.1-xl
- hd: 32 cameras of 1080p25 (H.264, 3 Mbit/s), four of them in motion, the others still; yolo-fastest-1.1

Starts the simulator and the daemon in processes of their own, waits until every mosaic is answered, and measures for so
long. CPU and memory are the
children's own (/proc), rates are differences of /metrics, the latency's quantiles are interpolated in its histogram as
Prometheus does.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.clips import provide
from bench.simulated import START_S, run_daemon, simulated
from daemon.demo import Process, free_port
from daemon.demo_material import DemoError
from daemon.metrics import Sample, parse

DATA = Path(__file__).parents[1].parent / "shared" / "data"
MIXED = ("Retail02_short.mp4:4", "pets09-s2l1.mp4", "one-by-one-person-detection.mp4", "car-detection.mp4")
CAMERAS = 32
HD_MOVING = 4
HTTP_PORT = 9109
MEMORY_TURNS = 5
"""Memory is looked at each so many seconds: the kernel halts a process for milliseconds to count its pages."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is measured."""

    videos: tuple[str, ...]
    """Files, with their shares."""
    model: str


def scenario(name: str) -> Scenario:
    """Return a scenario by its name, its clips made."""
    if name == "mixed":
        return Scenario(tuple(str(DATA / "videos" / video) for video in MIXED), "yolo-fastest-1.1-xl")
    moving, still = provide(is_moving=True), provide(is_moving=False)
    return Scenario((f"{moving}:{HD_MOVING}", f"{still}:{CAMERAS - HD_MOVING}"), "yolo-fastest-1.1")


@dataclass(frozen=True, slots=True)
class MainJob:
    """What was measured."""

    cameras: int
    cameras_up: int
    mosaics: int
    mosaics_answered: int
    """Mosaics answered at least once a second on average."""
    up_after_s: float
    """From the daemon's start until all cameras were up and all mosaics answered."""
    seconds: float
    answered_hz: float
    """Mosaics answered a second, in all."""
    least_answered_hz: float
    """Of the mosaic that was answered least."""
    capture_cpu_s: float
    """CPU-seconds a camera-second, decoding included."""
    inference_cpu_s: float
    """CPU-seconds a camera-second."""
    supervisor_cpu_s: float
    """CPU-seconds a camera-second."""
    simulator_cpu_s: float
    """CPU-seconds a camera-second; not part of the product's cost."""
    inference_s: float
    """Seconds in the engine for one mosaic."""
    frames_hz: float
    analyzed_hz: float
    least_awake_hz: float
    """Frames analyzed a second, of the camera in motion (awake at the end) that was analyzed least."""
    least_asleep_hz: float
    """Likewise, of the others."""
    asleep: int
    """Cameras of which only key frames were decoded at the end."""
    worst_lag_s: float
    """How late the supervisor's loop was at most, by its own measure; nothing else waits longer for it."""
    slowest_scrape_s: float
    dropped_hz: dict[str, float]
    """By reason."""
    latency_p50_s: float
    latency_p99_s: float
    sightings: int
    restarts: int
    foreign_cores: float
    """Cores that were busy with something else, or taken away by the host."""
    memory_mib: tuple[float, ...]
    """Of the whole tree (PSS), over the time."""

    @property
    def memory_drift_ratio(self) -> float:
        """How much the last third of the samples is above the first third."""
        third = max(1, len(self.memory_mib) // 3)
        return sum(self.memory_mib[-third:]) / sum(self.memory_mib[:third]) - 1.0


def total(samples: Sequence[Sample], name: str, **labels: str) -> float:
    """Return the sum of a metric over all series that carry these labels."""
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def by(samples: Sequence[Sample], label: str, name: str) -> dict[str, float]:
    """Return a metric summed by one label."""
    values = {s.labels[label] for s in samples if s.name == name}
    return {value: total(samples, name, **{label: value}) for value in sorted(values)}


def quantile(before: Sequence[Sample], after: Sequence[Sample], q: float) -> float:
    """Return a quantile of what the latency histogram took in between, interpolated in its bucket."""
    name = "mosaicd_sighting_latency_seconds_bucket"
    first, last = by(before, "le", name), by(after, "le", name)
    buckets = sorted((float(le), last[le] - first.get(le, 0.0)) for le in last)
    rank = q * buckets[-1][1]
    low_s, below = 0.0, 0.0
    for bound_s, count in buckets:
        if count >= rank:
            share = (rank - below) / (count - below) if count > below else 0.0
            return low_s if bound_s == float("inf") else low_s + (bound_s - low_s) * share
        low_s, below = bound_s, count
    return low_s


def descendants(root: int) -> list[int]:
    """Return a process and all below it (proc(5), stat)."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += parents.get(found[-1], [])
    return found


def memory_mib(root: int) -> float:
    """Return the proportional set size of a process and all below it."""
    return sum(map(pss_mib, descendants(root)))


def pss_mib(pid: int) -> float:
    """Return the proportional set size of a process, 0 if it is gone (proc(5), smaps_rollup)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0) / 1024


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_s() -> float:
    """Return the CPU time that this machine has spent, or been robbed of, on all cores (proc(5), stat)."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


@contextmanager
def staged(folder: Path, job: Scenario, cameras: int) -> Iterator[tuple[Process, Process, int]]:
    """Run simulator and daemon in ``folder``; yield both and the daemon's HTTP port."""
    port = free_port(HTTP_PORT)
    model = DATA / "weights" / "yolo-fastest" / job.model
    settings = {
        "state_dir": str(folder),
        "http": {"port": port},
        "model": {"cfg": f"{model}.cfg", "weights": f"{model}.weights", "names": str(DATA / "cfg" / "coco.names")},
        "devices": {"cpu": {"workers": 2, "threads": 1}},
        "sinks": {"jsonl": {"empty": True}},
    }
    (folder / "mosaicd.yaml").write_text(json.dumps(settings))
    shares = [argument for video in job.videos for argument in ("--video", video)]
    with simulated(folder, cameras, shares) as simulator, run_daemon(folder) as daemon:
        yield simulator, daemon, port


def scrape(port: int) -> tuple[Sample, ...]:
    """Return the daemon's metrics, or nothing while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return parse(answer.read().decode())
    except OSError:
        return ()


def measure(folder: Path, job: Scenario, seconds: float, settle_s: float = 5.0, *, is_quiet: bool = False) -> MainJob:
    """Run the main job in ``folder`` and measure it for so many seconds after it has settled."""
    with staged(folder, job, CAMERAS) as (simulator, daemon, port):
        began = time.monotonic()
        while True:
            daemon.check()
            samples = scrape(port)
            up, ready = total(samples, "mosaicd_camera_up"), total(samples, "mosaicd_ready")
            if (up == CAMERAS and ready) or time.monotonic() - began > START_S:
                break
            time.sleep(0.25)
        up_after_s = time.monotonic() - began
        wait_s = settle_s
        while total(scrape(port), "mosaicd_worker_up") < 2 and wait_s < START_S:
            time.sleep(1.0)
            wait_s += 1.0
        time.sleep(settle_s)
        busy_before_s = busy_s()
        before, cpus, start = scrape(port), (cpu_s(simulator.pid), cpu_s(daemon.pid)), time.monotonic()
        memory: list[float] = []
        lags_s: list[float] = []
        scrapes_s: list[float] = []
        for turn in track(
            range(int(seconds)), "measuring", transient=True, disable=is_quiet, console=Console(stderr=True)
        ):
            time.sleep(max(0.0, start + turn + 1 - time.monotonic()))
            if turn % MEMORY_TURNS == 0:
                memory.append(round(memory_mib(daemon.pid), 1))
            asked_s = time.monotonic()
            lags_s.append(total(scrape(port), "mosaicd_loop_lag_seconds"))
            scrapes_s.append(time.monotonic() - asked_s)
        after, spent, took_s = scrape(port), (cpu_s(simulator.pid), cpu_s(daemon.pid)), time.monotonic() - start
        all_busy_s = busy_s() - busy_before_s

    def rate(name: str, **labels: str) -> float:
        return (total(after, name, **labels) - total(before, name, **labels)) / took_s

    answered = by(before, "mosaic", "mosaicd_mosaic_answered_total")
    answers = {
        mosaic: (count - answered[mosaic]) / took_s
        for mosaic, count in by(after, "mosaic", "mosaicd_mosaic_answered_total").items()
    }
    analyzed = by(before, "camera", "mosaicd_camera_frames_analyzed_total")
    rates = {
        camera: (count - analyzed[camera]) / took_s
        for camera, count in by(after, "camera", "mosaicd_camera_frames_analyzed_total").items()
    }
    asleep = {camera for camera, value in by(after, "camera", "mosaicd_camera_asleep").items() if value}
    own_cores = rate("mosaicd_capture_cpu_seconds_total") + rate("mosaicd_worker_cpu_seconds_total")
    own_cores += (spent[0] + spent[1] - cpus[0] - cpus[1]) / took_s
    reasons = sorted({s.labels["reason"] for s in after if s.name == "mosaicd_camera_frames_dropped_total"})
    return MainJob(
        cameras=CAMERAS,
        cameras_up=int(total(after, "mosaicd_camera_up")),
        mosaics=len(answers),
        mosaics_answered=sum(hz >= 1.0 for hz in answers.values()),
        up_after_s=round(up_after_s, 1),
        seconds=round(took_s, 1),
        answered_hz=round(sum(answers.values()), 2),
        least_answered_hz=round(min(answers.values()), 2),
        capture_cpu_s=round(rate("mosaicd_capture_cpu_seconds_total") / CAMERAS, 5),
        inference_cpu_s=round(rate("mosaicd_worker_cpu_seconds_total") / CAMERAS, 5),
        supervisor_cpu_s=round((spent[1] - cpus[1]) / took_s / CAMERAS, 5),
        simulator_cpu_s=round((spent[0] - cpus[0]) / took_s / CAMERAS, 5),
        inference_s=round(
            rate("mosaicd_worker_inference_seconds_sum") / max(1e-9, rate("mosaicd_worker_answered_total")), 4
        ),
        frames_hz=round(rate("mosaicd_camera_frames_total"), 1),
        analyzed_hz=round(rate("mosaicd_camera_frames_analyzed_total"), 1),
        least_awake_hz=round(min((hz for c, hz in rates.items() if c not in asleep), default=0.0), 2),
        least_asleep_hz=round(min((hz for c, hz in rates.items() if c in asleep), default=0.0), 2),
        asleep=len(asleep),
        worst_lag_s=round(max(lags_s), 3),
        slowest_scrape_s=round(max(scrapes_s), 3),
        dropped_hz={r: round(rate("mosaicd_camera_frames_dropped_total", reason=r), 2) for r in reasons},
        latency_p50_s=round(quantile(before, after, 0.5), 3),
        latency_p99_s=round(quantile(before, after, 0.99), 3),
        sightings=int(rate("mosaicd_sightings_total") * took_s),
        restarts=int(total(after, "mosaicd_worker_restarts_total") + total(after, "mosaicd_capture_restarts_total")),
        foreign_cores=round(max(0.0, all_busy_s / took_s - own_cores), 2),
        memory_mib=tuple(memory),
    )


def show(job: MainJob) -> Table:
    """Return the table that a person reads."""
    table = Table("what", "measured", title="mosaicd: the main job", title_justify="left")
    rows = {
        "cameras up": f"{job.cameras_up} of {job.cameras}",
        "mosaics answered at least once a second": f"{job.mosaics_answered} of {job.mosaics}",
        "all up and answered after": f"{job.up_after_s} s",
        "measured for": f"{job.seconds} s",
        "mosaics answered": f"{job.answered_hz}/s (each at least {job.least_answered_hz}/s)",
        "one mosaic in the engine": f"{job.inference_s * 1000:.1f} ms",
        "capture, CPU-seconds a camera-second": f"{job.capture_cpu_s:.4f}",
        "inference, CPU-seconds a camera-second": f"{job.inference_cpu_s:.4f}",
        "supervisor, CPU-seconds a camera-second": f"{job.supervisor_cpu_s:.4f}",
        "(simulator, CPU-seconds a camera-second)": f"{job.simulator_cpu_s:.4f}",
        "frames decoded": f"{job.frames_hz}/s",
        "frames analyzed": f"{job.analyzed_hz}/s",
        "cameras asleep": f"{job.asleep} of {job.cameras}",
        "analyzed least, awake": f"{job.least_awake_hz}/s",
        "analyzed least, asleep": f"{job.least_asleep_hz}/s",
        "supervisor's loop late by, at most": f"{job.worst_lag_s * 1000:.0f} ms",
        "slowest scrape of the metrics": f"{job.slowest_scrape_s * 1000:.0f} ms",
        **{f"frames dropped: {reason}": f"{hz}/s" for reason, hz in job.dropped_hz.items()},
        "latency capture to sighting, p50": f"{job.latency_p50_s * 1000:.0f} ms",
        "latency capture to sighting, p99": f"{job.latency_p99_s * 1000:.0f} ms",
        "sightings": str(job.sightings),
        "children restarted": str(job.restarts),
        "(cores busy with something else)": f"{job.foreign_cores:.2f}",
        "memory of the tree (PSS)": f"{job.memory_mib[0]:.0f} -> {job.memory_mib[-1]:.0f} MiB",
    }
    for what, value in rows.items():
        table.add_row(what, value)
    return table


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", choices=("mixed", "hd"), default="mixed", help="which cameras (mixed)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure (60)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print(f"{DATA} is absent: this benchmark needs its footage and weights", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="mosaicd-bench-") as folder:
        try:
            job = measure(Path(folder), scenario(arguments.scenario), arguments.seconds)
        except (DemoError, TimeoutError) as error:
            print(f"main_job: {error}", file=sys.stderr)
            return 1
    if arguments.json:
        print(json.dumps(asdict(job) | {"memory_drift_ratio": round(job.memory_drift_ratio, 4)}, indent=2))
    else:
        Console().print(show(job))
    return 0


if __name__ == "__main__":
    sys.exit(main())
