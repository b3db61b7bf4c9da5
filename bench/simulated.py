"""Simulated cameras for a benchmark: `mosaicd simulate` in a process of its own, and the roster that it writes."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from daemon.demo import Process

PROGRAM = (sys.executable, "-m", "daemon.cli")
START_S = 60.0


@contextmanager
def simulated(folder: Path, cameras: int, arguments: Sequence[str], within_s: float = START_S) -> Iterator[Process]:
    """Run so many cameras on a free port; their roster is ``folder/cameras.yaml``. Raises TimeoutError, DemoError."""
    roster = folder / "cameras.yaml"
    rtsp = ["--cameras", str(cameras), "--port", "0", "--roster", str(roster)]
    simulator = Process("simulate", [*PROGRAM, "simulate", *rtsp, *arguments], folder)
    try:
        end_s = time.monotonic() + within_s
        while not roster.exists():
            simulator.check()
            if time.monotonic() > end_s:
                raise TimeoutError("the simulator did not start")
            time.sleep(0.1)
        yield simulator
    finally:
        simulator.stop(5.0)


@contextmanager
def run_daemon(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Process]:
    """Run the daemon on ``folder/mosaicd.yaml``; ``environ`` is what its environment has besides this process's."""
    added = [f"{name}={value}" for name, value in (environ or {}).items()]
    run = [*PROGRAM, "run", "--settings", str(folder / "mosaicd.yaml")]
    daemon = Process("run", ["env", *added, *run], folder)
    try:
        yield daemon
    finally:
        daemon.stop(20.0)
