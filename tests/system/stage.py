"""A real daemon on a stage: started as a user starts it, watched through what it shows, ended and looked after."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from daemon.metrics import Sample, parse
from tests.system.colours import Model

DEADLINE_S = 60.0
"""Generous: the machine may be busy with other things."""


def wait_until(condition: Callable[[], Any], what: str | Callable[[], str], deadline_s: float = DEADLINE_S) -> Any:
    """Return the condition's first true value; fail after the deadline, saying what was waited for."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {deadline_s:g} s: {what if isinstance(what, str) else what()}")


class Daemon:
    """One ``mosaicd run`` and the folder that it works in."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process
        self._port = 0

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def port(self) -> int:
        if not self._port:
            found = wait_until(lambda: re.search(r"http=http://127\.0\.0\.1:(\d+)", self.log), "its HTTP port")
            self._port = int(found[1])
        return self._port

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a GET."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self) -> tuple[Sample, ...]:
        return parse(self.get("/metrics")[1])

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all series that carry these labels."""
        return sum(s.value for s in self.metrics() if s.name == name and labels.items() <= s.labels.items())

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Return a metric's series by one of their labels."""
        return {
            s.labels[label]: s.value for s in self.metrics() if s.name == name and labels.items() <= s.labels.items()
        }

    def lines(self) -> list[dict[str, Any]]:
        """Return all lines of sightings.jsonl so far."""
        path = self.folder / "state" / "sightings.jsonl"
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def children(self, module: str = "") -> dict[str, int]:
        """Return process ids of its children by their names (c1, w1, ...)."""
        found = {}
        for pid, command in processes():
            if len(command) > 6 and command[-1] == str(self.process.pid) and module in command[3]:
                found[command[4]] = pid
        return found

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def wait_ready(self, deadline_s: float = DEADLINE_S) -> None:
        wait_until(self.is_ready, lambda: f"ready; its log:\n{self.log[-3000:]}", deadline_s)

    def stop(self, number: int = signal.SIGTERM, deadline_s: float = 30.0) -> int:
        """End it and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(deadline_s)


def processes() -> Iterator[tuple[int, list[str]]]:
    """Yield process ids and command lines of all processes of this machine that are not zombies."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if command:
                yield int(entry.name), command


@cache
def _cache() -> tempfile.TemporaryDirectory[str]:
    """Models are built and measured once for all tests of this process; deleted at its end."""
    return tempfile.TemporaryDirectory(prefix="mosaicd-tests-")


def settings_text(folder: Path, model: Model, extra: Mapping[str, Any]) -> str:
    """Return settings; YAML is a superset of JSON."""
    settings: dict[str, Any] = {
        "state_dir": str(folder / "state"),
        "cache_dir": _cache().name,
        "http": {"port": 0},
        "model": {"cfg": str(model.cfg), "weights": str(model.weights), "names": str(model.names)},
        "devices": {"cpu": {"workers": 2}},
        "sinks": {"jsonl": {"empty": True}},
        "supervision": {"hang_s": 3, "start_timeout_s": 60},
    }
    return json.dumps(settings | dict(extra))


@contextmanager
def running(
    folder: Path,
    model: Model,
    cameras: Mapping[str, Mapping[str, Any]],
    *,
    settings: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> Iterator[Daemon]:
    """Run a daemon; it is killed at the end if it was not stopped."""
    (folder / "state").mkdir(parents=True, exist_ok=True)
    (folder / "mosaicd.yaml").write_text(settings_text(folder, model, settings or {}))
    # The stage's footage does not move; only tests of the decode policy let it sleep.
    roster = {"defaults": {"decode": "all"}, "cameras": cameras}
    (folder / "cameras.yaml").write_text(json.dumps(roster))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon.cli", "run", "--settings", str(folder / "mosaicd.yaml"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(environ or {})},
        )
    daemon = Daemon(folder, process)
    try:
        yield daemon
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
