"""Workers that really exhaust their quota: real allocations in the real framework, beside its calls and within one.

The fault is loaded into the children from outside (`bench.exhaustion`). How much is answered of what is offered
meanwhile is measured by `bench/recovery.py --kind oom`: here the machine may be busy with other things.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from bench.exhaustion import Way, environ_of, order
from capture.exits import ExitCode
from daemon.devices import find_devices
from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.system.colours import LABELS, Model
from tests.system.stage import Daemon, running, wait_until
from tests.system.test_deaths import longest_gaps, mosaics_of_workers

pytestmark = [pytest.mark.alone, pytest.mark.slow]

COLOURS = {f"cam-{i:02}": LABELS[i % len(LABELS)] for i in range(12)}
OWN = {"m1": "w1", "m2": "w2", "m3": "w1"}
"""Which worker has which mosaic where both are up."""
GAP_S = 2.0
"""More than a busy machine's hiccup; TensorFlow, that waits 10 s for memory, and a worker's start take longer."""
DEATH_S = 60.0

QUOTA_MIB = {"tensorflow": 1000, "openvino": 500}


def total_mib() -> float:
    """Return the memory of which a worker on the CPU has its fraction."""
    found = find_devices(lambda: b"{}")
    return float(found.devices[-1].total_mib)


@contextmanager
def staged(folder: Path, model: Model, footage: dict[str, Footage], engine: str) -> Iterator[Daemon]:
    """Run twelve cameras in three mosaics and two workers of so small a quota; ``folder/fault`` is for orders."""
    fault = folder / "fault"
    fault.mkdir()
    settings = {
        "model": {
            "cfg": str(model.cfg),
            "weights": str(model.weights),
            "names": str(model.names),
            "engine": engine,
            "input": "mosaic",
        },
        "devices": {"cpu": {"workers": 2, "threads": 1, "memory": {"fraction": QUOTA_MIB[engine] / total_mib()}}},
        # Whoever is back has mended: each death is a first failure, and followed by a start at once.
        "supervision": {"hang_s": 20, "start_timeout_s": 60, "stable_s": 0.1, "restart_window_s": 1.0},
    }
    with ServerThread([CameraSpec(name, footage[colour]) for name, colour in COLOURS.items()]) as server:
        cameras = {name: {"url": server.url(name), "frozen_s": 600} for name in COLOURS}  # they do not move
        with running(folder, model, cameras, settings=settings, environ=environ_of(fault)) as daemon:
            wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, lambda: f"two workers:\n{daemon.log[-3000:]}")
            wait_until(lambda: set(seats(daemon)) == set(COLOURS), lambda: f"all cameras:\n{daemon.log[-3000:]}")
            wait_until(lambda: mosaics_of_workers(daemon) == OWN, lambda: f"seats:\n{daemon.log[-3000:]}")
            yield daemon


def answered_by(daemon: Daemon, worker: str, since: float) -> set[str]:
    """Return the mosaics of which this worker has answered frames that were captured after that (wall clock)."""
    return {
        line["mosaic"]
        for line in daemon.lines()
        if line["worker"] == worker and datetime.fromisoformat(line["captured_at"]).timestamp() > since
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_whoever_exhausts_its_quota_is_replaced_and_nobody_else_notices(
    tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage], engine: str
):
    """In good order where memory goes slowly; else as the framework ends at the wall, which is judged all the same."""
    ways: tuple[Way, ...] = ("slow", "fast", "rest")
    with staged(tmp_path, colour_model, colour_footage, engine) as daemon:
        others = {camera for camera, mosaic in seats(daemon).items() if OWN[mosaic] == "w2"}
        assert len(others) == 4
        steady = {name: pid for name, pid in daemon.children().items() if name != "w1"}
        for deaths, way in enumerate(ways, start=1):
            began, told = time.time(), len(daemon.log)
            order(tmp_path / "fault", "w1", way)
            wait_until(
                lambda deaths=deaths: daemon.total("mosaicd_worker_restarts_total", worker="w1") == deaths,
                lambda way=way: f"w1 dies ({way}):\n{daemon.log[-3000:]}",
                DEATH_S,
            )
            assert daemon.by("cause", "mosaicd_worker_restarts_total", worker="w1")["host_oom"] == deaths, daemon.log
            said = daemon.log[told:]
            assert "mosaic moved mosaic=m1 worker=w2 was=w1" in said
            assert "mosaic moved mosaic=m3 worker=w2 was=w1" in said
            # One that is back within a period of its mosaics may have left the other nothing to answer.
            if engine == "tensorflow":
                wait_until(
                    lambda began=began: answered_by(daemon, "w2", began) == set(OWN),
                    lambda way=way: f"w2 answers all ({way}):\n{daemon.log[-3000:]}",
                )
            wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, lambda: f"w1 is back:\n{daemon.log[-3000:]}")
            back = time.time()
            wait_until(
                lambda back=back: answered_by(daemon, "w1", back) == {"m1", "m3"},
                lambda way=way: f"w1 has its mosaics again ({way}):\n{daemon.log[-3000:]}",
            )
            if way == "slow":
                assert f"returncode={ExitCode.QUOTA:d}" in said
                assert re.search(r'words="left before the quota was exhausted: \d+ of \d+ MiB are taken', said)
            assert max(longest_gaps(daemon, others, began).values()) < GAP_S, daemon.log[told:]
        assert {name: pid for name, pid in daemon.children().items() if name != "w1"} == steady
        assert daemon.total("mosaicd_worker_restarts_total") == len(ways)
        assert daemon.total("mosaicd_capture_restarts_total") == 0
        # Nothing that was seen is lost on the way, or credited to somebody else.
        analyzed = daemon.by("camera", "mosaicd_camera_frames_analyzed_total")
        wait_until(
            lambda: all(count(daemon)[camera] >= analyzed[camera] for camera in COLOURS),
            lambda: f"all that was answered is written: {analyzed}, {count(daemon)}",
        )
        assert daemon.total("mosaicd_sink_lines_dropped_total") == 0
        for line in daemon.lines():
            assert {sighting["label"] for sighting in line["sightings"]} == {COLOURS[line["camera"]]}


def seats(daemon: Daemon) -> dict[str, str]:
    """Return each camera's mosaic."""
    return {line["camera"]: line["mosaic"] for line in daemon.lines()}


def count(daemon: Daemon) -> dict[str, int]:
    """Return how many frames of each camera have been written."""
    found = dict.fromkeys(COLOURS, 0)
    for line in daemon.lines():
        found[line["camera"]] += 1
    return found
