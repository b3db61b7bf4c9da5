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
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from bench.main_job import busy_s, cpu_s
from daemon.metrics import Sample, parse
from simulator.colours import write_moving_clip
from simulator.demux import load_footage
from simulator.footage import Footage
from tests.system.colours import Model

SMALL_BOX = (32, 32, 128, 96)
CAMERA_LINE = re.compile(r"(\S+) [A-Z]+ camera ([a-z ]+) camera=(\S+)(.*)")
FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S*)')

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


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the log about a camera."""

    at: float
    """Wall clock."""
    words: str
    """``up``, ``down``, ``flaw``, ``flaw over``, ``notice``."""
    camera: str
    fields: Mapping[str, str]


class Daemon:
    """One ``mosaicd run`` and the folder that it works in."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process
        self.token = ""
        """What its HTTP asks for, if anything."""
        self._port = 0

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def told(self) -> list[Told]:
        """Return what the log has said of cameras so far."""
        found = filter(None, map(CAMERA_LINE.fullmatch, self.log.splitlines()))
        return [
            Told(
                datetime.fromisoformat(line[1]).timestamp(),
                line[2],
                line[3],
                {name: text.strip('"') for name, text in FIELD.findall(line[4])},
            )
            for line in found
        ]

    @property
    def port(self) -> int:
        if not self._port:
            found = wait_until(
                lambda: re.search(r'\bhttp(?:=|": ")http://127\.0\.0\.1:(\d+)', self.log), "its HTTP port"
            )
            self._port = int(found[1])
        return self._port

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a GET."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
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


class Watch:
    """What a daemon shows, over time: its metrics twice a second, and in the end its log and its sightings."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._scrapes: list[tuple[float, dict[str, list[Sample]]]] = []
        """By camera."""
        self._told: list[Told] = []
        self._lines: list[tuple[float, dict[str, Any]]] = []
        self._cpu_s = self._own_cpu_s()
        self._busy_s, self._began_s = busy_s(), time.monotonic()
        self.foreign_cores = 0.0
        """Cores that were busy with something else than this process and the daemon."""
        self.look()

    def look(self) -> None:
        """Take the metrics of this moment."""
        by_camera: dict[str, list[Sample]] = {}
        for sample in self._daemon.metrics():
            by_camera.setdefault(sample.labels.get("camera", ""), []).append(sample)
        self._scrapes.append((time.time(), by_camera))

    def until(self, moment: float) -> None:
        """Look until a moment of the wall clock."""
        while time.time() < moment:
            self.look()
            due = min(moment, self._scrapes[-1][0] + 0.5)
            wait_until(lambda due=due: time.time() >= due, "half a second")

    def end(self) -> None:
        """Look a last time, and read what was written. The daemon still runs."""
        self.look()
        took_s, busy = time.monotonic() - self._began_s, busy_s() - self._busy_s
        self.foreign_cores = max(0.0, (busy - self._own_cpu_s() + self._cpu_s) / took_s)
        self._told = self._daemon.told()
        self._lines = [(datetime.fromisoformat(line["captured_at"]).timestamp(), line) for line in self._daemon.lines()]

    @property
    def seconds(self) -> float:
        """Return how long it was watched, by what metrics know: those of its begin may have been a second old."""
        return self._scrapes[-1][0] - self._scrapes[0][0] - 1.0

    def values(self, name: str, camera: str = "", **labels: str) -> list[tuple[float, float]]:
        """Return a metric over time, summed over the labels that are not given."""
        return [
            (at, sum(s.value for s in found.get(camera, ()) if s.name == name and labels.items() <= s.labels.items()))
            for at, found in self._scrapes
        ]

    def last(self, name: str, camera: str = "", **labels: str) -> float:
        """Return a metric's last value."""
        return self.values(name, camera, **labels)[-1][1]

    def grown(self, name: str, camera: str = "", **labels: str) -> float:
        """Return by how much a counter has grown."""
        values = self.values(name, camera, **labels)
        return values[-1][1] - values[0][1]

    def told(self, camera: str, words: str = "") -> list[Told]:
        """Return what the log has said of a camera, or what of it is of these words."""
        return [told for told in self._told if told.camera == camera and words in ("", told.words)]

    def lines(self, camera: str, since: float = 0.0, until: float = float("inf")) -> list[tuple[float, dict[str, Any]]]:
        """Return a camera's lines of sightings, by when their frames were captured."""
        return [(at, line) for at, line in self._lines if line["camera"] == camera and since <= at < until]

    def _own_cpu_s(self) -> float:
        pids = [self._daemon.process.pid, *self._daemon.children().values()]
        return time.process_time() + sum(map(cpu_s, pids))


def moving_clip(path: Path, colour: str, box: tuple[int, int, int, int] = SMALL_BOX, **clip: Any) -> Footage:
    """Write ten seconds of a square of one colour, and of a speckled shadow that walks beneath it, and load them."""
    write_moving_clip(path, colour, box, **clip)
    return load_footage(path)


def small_settings(model: Model, **capture: Any) -> dict[str, Any]:
    """Return settings for many cameras on a small machine: small mosaics, and nothing to be measured first."""
    files = {"cfg": str(model.cfg), "weights": str(model.weights), "names": str(model.names)}
    return {
        "mosaic": {"canvas": "448x256"},
        "model": files | {"input": "mosaic"},
        "devices": {"cpu": {"workers": 2, "threads": 1}},
        "capture": {"processes": 2, "open_timeout_s": 2, "read_timeout_s": 4} | capture,
        "supervision": {"hang_s": 15, "start_timeout_s": 60},
    }


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
