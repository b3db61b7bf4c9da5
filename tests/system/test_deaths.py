"""Children really killed or really stopped: their own cameras come back, nobody else notices, nothing stays behind."""

import itertools
import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.system.colours import LABELS, Model
from tests.system.stage import Daemon, processes, running, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.slow]

HANG_S = 3.0
SEEN_S = 1.0
"""A frame's line may be written so much later than the frame was captured."""
START_S = 30.0
"""More than a start takes here, even on a busy machine."""


@pytest.fixture
def daemon(tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]) -> Iterator[Daemon]:
    """Twelve cameras, three mosaics, two capture processes, two workers."""
    names = {f"cam-{i:02}": LABELS[i % len(LABELS)] for i in range(12)}
    with ServerThread([CameraSpec(name, colour_footage[colour]) for name, colour in names.items()]) as server:
        cameras = {name: {"url": server.url(name)} for name in names}
        settings = {"capture": {"processes": 2}}
        with running(tmp_path, colour_model, cameras, settings=settings) as daemon:
            wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, lambda: f"two workers:\n{daemon.log[-3000:]}")
            daemon.wait_ready()
            wait_until(lambda: len(set(mosaics_of_workers(daemon).values())) == 2, "both workers answer")
            yield daemon


def answered_since(daemon: Daemon, before: dict[str, float]) -> set[str]:
    """Return the mosaics that were answered three more times since ``before``."""
    now = daemon.by("mosaic", "mosaicd_mosaic_answered_total")
    return {mosaic for mosaic in now if now[mosaic] >= before[mosaic] + 3}


def longest_gaps(daemon: Daemon, cameras: set[str], since: float) -> dict[str, float]:
    """Return for each camera the longest time between two captured and answered frames after ``since`` (wall clock)."""
    times: dict[str, list[float]] = {camera: [since] for camera in cameras}
    for line in daemon.lines():
        at = datetime.fromisoformat(line["captured_at"]).timestamp()
        if at > since and line["camera"] in cameras:
            times[line["camera"]].append(at)
    for at in times.values():
        at.append(time.time() - SEEN_S)
    return {camera: max((b - a for a, b in itertools.pairwise(at)), default=999.0) for camera, at in times.items()}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("victim", ["w1", "c1"])
def test_a_dead_or_stopped_child_comes_back_and_others_go_on(daemon: Daemon, victim: str, number: int):
    seated = mosaics_of_workers(daemon)
    everyone = set(daemon.by("mosaic", "mosaicd_mosaic_answered_total"))
    pid = daemon.children()[victim]
    # At a random moment of the mosaics' period and of the children's reports.
    moment_s = time.monotonic() + random.uniform(0.0, 2.0)
    wait_until(lambda: time.monotonic() >= moment_s, "the moment")
    began = time.time()
    before = daemon.by("mosaic", "mosaicd_mosaic_answered_total")
    os.kill(pid, number)

    wait_until(
        lambda: answered_since(daemon, before) == everyone,
        lambda: f"all mosaics answered again:\n{daemon.log[-3000:]}",
        HANG_S + START_S,
    )
    kind, label = ("worker", "worker") if victim == "w1" else ("capture", "process")
    cause = "crash" if number == signal.SIGKILL else "hang"
    wait_until(
        lambda: daemon.by("cause", f"mosaicd_{kind}_restarts_total", **{label: victim}).get(cause) == 1,
        lambda: f"one restart of {victim} for {cause}:\n{daemon.log[-3000:]}",
    )
    wait_until(lambda: daemon.total(f"mosaicd_{kind}_up") == 2, f"{victim} is up again")
    wait_until(lambda: mosaics_of_workers(daemon) == seated, "every mosaic is back at its worker")
    assert daemon.total(f"mosaicd_{kind}_restarts_total") == 1
    assert not Path(f"/proc/{pid}").exists()
    untouched = {
        camera
        for camera in daemon.by("camera", "mosaicd_camera_up")
        if camera not in touched_by(daemon, victim, seated)
    }
    assert untouched
    # A gap of a second or so may be the machine's; the victim's own would be the hang or the start of a process.
    assert max(longest_gaps(daemon, untouched, began).values()) < HANG_S


def test_a_worker_stopped_while_it_loads_is_replaced_as_soon_as_any_other(daemon: Daemon):
    first = daemon.children()["w1"]
    os.kill(first, signal.SIGKILL)
    loading = wait_until(lambda: daemon.children().get("w1", first) != first and daemon.children()["w1"], "its heir")
    os.kill(loading, signal.SIGSTOP)
    wait_until(
        lambda: daemon.by("cause", "mosaicd_worker_restarts_total", worker="w1")["hang"] == 1,
        lambda: f"its hang is seen:\n{daemon.log[-3000:]}",
        2 * HANG_S + 5.0,
    )
    wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, "two workers", HANG_S + START_S)


def mosaics_of_workers(daemon: Daemon) -> dict[str, str]:
    """Return which worker answered each mosaic last."""
    return {line["mosaic"]: line["worker"] for line in daemon.lines()}


def touched_by(daemon: Daemon, victim: str, seated: dict[str, str]) -> set[str]:
    """Return the cameras that depend on this child."""
    mosaics = {line["camera"]: line["mosaic"] for line in daemon.lines()}
    if victim == "w1":
        return {camera for camera, mosaic in mosaics.items() if seated[mosaic] == victim}
    # c1 captures the first and the third of three mosaics.
    return {camera for camera, mosaic in mosaics.items() if mosaic in ("m1", "m3")}


def test_a_killed_daemon_leaves_nothing_behind(daemon: Daemon):
    children = set(daemon.children().values())
    assert len(children) == 5
    shared = set(os.listdir("/dev/shm"))
    daemon.process.kill()
    daemon.process.wait(10)
    wait_until(lambda: not children & {pid for pid, _ in processes()}, "its children are gone", 5.0)
    assert set(os.listdir("/dev/shm")) <= shared


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_daemon_ends_in_order(daemon: Daemon, number: int):
    children = set(daemon.children().values())
    assert daemon.stop(number) == 0
    assert not children & {pid for pid, _ in processes()}
    log = daemon.log
    assert "child died" not in log
    assert "child pressed" not in log
    assert log.rindex("child=c") < log.rindex("child=w"), "capture stops before the workers"


def test_a_stopped_worker_does_not_keep_the_daemon_from_ending(daemon: Daemon):
    os.kill(daemon.children()["w1"], signal.SIGSTOP)
    assert daemon.stop(deadline_s=20.0) == 0
    assert not daemon.children()
