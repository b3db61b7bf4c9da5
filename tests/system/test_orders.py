"""A worker that dies again and again: what the policy makes of it, and what a person can do then."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from daemon.control import FILE_NAME
from daemon.switches import FILE_NAME as SWITCHED_OFF
from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.system.colours import LABELS, Model
from tests.system.stage import Daemon, running, wait_until

pytestmark = pytest.mark.slow

MAX_RESTARTS = 3
MOSAICS = {"m1", "m2"}


@pytest.fixture
def daemon(tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]) -> Iterator[Daemon]:
    """Eight cameras, two mosaics, two workers that are up."""
    names = {f"cam-{i}": LABELS[i % len(LABELS)] for i in range(8)}
    with ServerThread([CameraSpec(name, colour_footage[colour]) for name, colour in names.items()]) as server:
        cameras = {name: {"url": server.url(name)} for name in names}
        settings = {"supervision": {"hang_s": 15, "start_timeout_s": 60, "max_restarts": MAX_RESTARTS}}
        with running(tmp_path, colour_model, cameras, settings=settings) as daemon:
            wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, lambda: f"two workers:\n{daemon.log[-3000:]}")
            daemon.wait_ready()
            yield daemon


def mosaicd(daemon: Daemon, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a person's against the daemon."""
    command = [sys.executable, "-m", "daemon.cli", *args, "--settings", str(daemon.folder / "mosaicd.yaml")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def answered_by(daemon: Daemon, since: float) -> dict[str, set[str]]:
    """Return by worker the mosaics whose frames, captured after ``since`` (wall clock), it answered."""
    found: dict[str, set[str]] = {}
    for line in daemon.lines():
        if datetime.fromisoformat(line["captured_at"]).timestamp() > since:
            found.setdefault(line["worker"], set()).add(line["mosaic"])
    return found


def kill_until_given_up(daemon: Daemon, worker: str) -> None:
    """Kill each of its generations as soon as it is there."""
    for _ in range(MAX_RESTARTS + 1):
        pid = wait_until(lambda: daemon.children().get(worker), lambda: f"{worker} starts:\n{daemon.log[-3000:]}")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: daemon.children().get(worker) != pid, "it is gone")
    wait_until(
        lambda: daemon.total("mosaicd_worker_state", worker=worker, state="given_up") == 1,
        lambda: f"{worker} is given up:\n{daemon.log[-3000:]}",
    )


def test_a_worker_that_keeps_dying_is_given_up_and_revived_by_a_person(daemon: Daemon) -> None:
    kill_until_given_up(daemon, "w1")
    delays_s = [float(found) for found in re.findall(r"child restarts child=w1 delay_s=(\S+)", daemon.log)]
    assert len(delays_s) == MAX_RESTARTS
    # At once, then 1 s and 2 s, up to a quarter less by chance; the log rounds to tenths.
    assert delays_s[0] == 0
    assert 0.7 <= delays_s[1] <= 1.0
    assert 1.5 <= delays_s[2] <= 2.0
    assert re.findall(r"child started child=w1 pid=\d+ generation=(\d+)", daemon.log) == ["1", "2", "3", "4"]
    assert daemon.total("mosaicd_worker_restarts_total", worker="w1") == MAX_RESTARTS + 1
    assert daemon.total("mosaicd_worker_restarts_total", worker="w2") == 0

    moved = time.time()
    wait_until(lambda: answered_by(daemon, moved).get("w2") == MOSAICS, "the other answers all mosaics")
    assert "w1" not in answered_by(daemon, moved)
    daemon.wait_ready()
    assert daemon.total("mosaicd_mosaic_recovery_seconds_count") >= 1
    assert daemon.total("mosaicd_worker_recovery_seconds_count", worker="w1") == 0

    listed = mosaicd(daemon, "worker", "list")
    assert [line.split()[:4] for line in listed.stdout.splitlines()[1:]] == [
        ["w1", "cpu", "given_up", "4"],
        ["w2", "cpu", "up", "1"],
    ]
    wrong = mosaicd(daemon, "worker", "restart", "w9")
    assert (wrong.returncode, wrong.stderr) == (1, "mosaicd worker: there is no worker 'w9', only w1, w2\n")

    revived = time.time()
    done = mosaicd(daemon, "worker", "restart", "w1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "had been given up" in done.stdout
    wait_until(
        lambda: answered_by(daemon, revived).get("w1"), lambda: f"w1 answers a mosaic again:\n{daemon.log[-3000:]}"
    )
    wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, "two workers are up")
    assert daemon.total("mosaicd_worker_state", worker="w1", state="given_up") == 0
    assert daemon.total("mosaicd_worker_restarts_total", worker="w1") == MAX_RESTARTS + 1
    daemon.wait_ready()

    os.kill(daemon.children()["w1"], signal.SIGKILL)
    wait_until(
        lambda: daemon.total("mosaicd_worker_recovery_seconds_count", worker="w1") == 1,
        lambda: f"its failures are forgotten, so it comes back by itself:\n{daemon.log[-3000:]}",
    )


def test_without_a_control_socket_cameras_are_watched_and_orders_come_over_http(
    tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]
) -> None:
    (tmp_path / "state" / FILE_NAME).mkdir(parents=True)
    (tmp_path / "state" / SWITCHED_OFF).write_text('["off", "gone"]')
    with (
        ServerThread([CameraSpec("cam", colour_footage["red"])]) as server,
        running(tmp_path, colour_model, {name: {"url": server.url("cam")} for name in ("cam", "off")}) as daemon,
    ):
        daemon.wait_ready()
        (notice,) = json.loads(daemon.get("/readyz")[1])["notices"]
        assert notice.startswith("nothing can be ordered: ")
        assert mosaicd(daemon, "worker", "list").returncode == 1
        assert json.loads((tmp_path / "state" / SWITCHED_OFF).read_text()) == ["off"], "gone is not in the roster"
        assert daemon.by("camera", "mosaicd_camera_up") == {"cam": 1}
        assert json.loads(daemon.get("/api/v1/disabled")[1]) == [
            {"name": "off", "by_hand": True, "why": "switched off"}
        ]
        order = f"http://127.0.0.1:{daemon.port}/api/v1/cameras/off/enable"
        with urllib.request.urlopen(urllib.request.Request(order, method="POST"), timeout=20) as answer:
            assert json.load(answer)["has_changed"]
        wait_until(lambda: daemon.by("camera", "mosaicd_camera_up") == {"cam": 1, "off": 1}, lambda: daemon.log[-3000:])
        assert daemon.total("mosaicd_camera_connects_total", camera="cam") == 1


def test_a_restart_of_a_worker_that_is_up_is_no_death(daemon: Daemon) -> None:
    before = daemon.children()["w1"]
    assert mosaicd(daemon, "worker", "restart", "w1").returncode == 0
    wait_until(lambda: daemon.children().get("w1", before) != before, "another generation")
    wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, "two workers are up")
    assert daemon.total("mosaicd_worker_restarts_total") == 0
    assert "child died" not in daemon.log
    assert "child pressed" not in daemon.log

    off = mosaicd(daemon, "camera", "disable", "cam-1")
    assert (off.returncode, off.stdout) == (0, "cam-1: switched off\n"), off.stderr
    trial = mosaicd(daemon, "reload", "--dry-run")
    assert (trial.returncode, trial.stdout) == (0, "nothing would change\n"), trial.stderr

    second = mosaicd(daemon, "run")
    assert second.returncode == 1
    assert "another mosaicd runs with the state folder" in second.stderr
    assert daemon.stop() == 0
    assert not (daemon.folder / "state" / FILE_NAME).exists()
    gone = mosaicd(daemon, "worker", "list")
    assert gone.returncode == 1
    assert str(daemon.folder / "state" / FILE_NAME) in gone.stderr
