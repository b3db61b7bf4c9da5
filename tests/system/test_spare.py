"""A spare worker: loaded and idle, it takes over what a dead one had, gives it back, and nobody else is asked."""

import os
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
from tests.system.stage import Daemon, running, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.slow]


@pytest.fixture
def daemon(tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]) -> Iterator[Daemon]:
    """Twelve cameras, three mosaics, two workers and a spare, all up."""
    names = {f"cam-{i:02}": LABELS[i % len(LABELS)] for i in range(12)}
    with ServerThread([CameraSpec(name, colour_footage[colour]) for name, colour in names.items()]) as server:
        cameras = {name: {"url": server.url(name)} for name in names}
        settings = {
            "devices": {"cpu": {"workers": 2, "threads": 1, "spare": True}},
            "supervision": {"hang_s": 15, "start_timeout_s": 60},
        }
        with running(tmp_path, colour_model, cameras, settings=settings) as daemon:
            wait_until(lambda: daemon.total("mosaicd_worker_up") == 3, lambda: f"three workers:\n{daemon.log[-3000:]}")
            daemon.wait_ready()
            yield daemon


def answered_by(daemon: Daemon, since: float) -> dict[str, set[str]]:
    """Return by worker the mosaics whose frames, captured after ``since`` (wall clock), it answered."""
    found: dict[str, set[str]] = {}
    for line in daemon.lines():
        if datetime.fromisoformat(line["captured_at"]).timestamp() > since:
            found.setdefault(line["worker"], set()).add(line["mosaic"])
    return found


def test_a_spare_stands_in_for_a_dead_worker_and_is_free_again(daemon: Daemon) -> None:
    began = time.time()
    own = {"w1": {"m1", "m3"}, "w2": {"m2"}}
    wait_until(lambda: answered_by(daemon, began) == own, lambda: f"the workers answer:\n{daemon.log[-3000:]}")

    killed = time.time()
    os.kill(daemon.children()["w1"], signal.SIGKILL)
    wait_until(lambda: "w3" in answered_by(daemon, killed), lambda: f"the spare answers:\n{daemon.log[-3000:]}")
    wait_until(
        lambda: answered_by(daemon, killed).get("w1") == own["w1"],
        lambda: f"the dead one's successor has its mosaics:\n{daemon.log[-3000:]}",
    )
    found = answered_by(daemon, killed)
    assert found["w3"] <= own["w1"]
    assert found["w2"] == own["w2"], "the other has no more to do than before"
    assert "mosaic=m1 worker=w3 was=w1" in daemon.log
    assert "mosaic=m3 worker=w3 was=w1" in daemon.log

    back = time.time()
    wait_until(lambda: answered_by(daemon, back) == own, lambda: f"the spare is free again:\n{daemon.log[-3000:]}")


def test_a_spare_that_dies_costs_nobody_anything(daemon: Daemon) -> None:
    moves = daemon.log.count("mosaic moved")
    os.kill(daemon.children()["w3"], signal.SIGKILL)
    wait_until(lambda: daemon.total("mosaicd_worker_restarts_total", worker="w3") == 1, "its death is seen")
    wait_until(lambda: daemon.total("mosaicd_worker_up") == 3, lambda: f"it is back:\n{daemon.log[-3000:]}")
    assert daemon.log.count("mosaic moved") == moves
    assert daemon.total("mosaicd_mosaic_recovery_seconds_count") == 0
    assert daemon.total("mosaicd_worker_recovery_seconds_count") == 0, "nobody missed it"
