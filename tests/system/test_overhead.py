"""What workers take beyond their limits, measured by a real daemon: said, acted upon, and remembered."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.system.colours import LABELS, Model
from tests.system.stage import Daemon, running, wait_until
from tests.system.test_quota import total_mib

pytestmark = pytest.mark.slow

LIMIT_MIB = 600
SPARE_MIB = 10
"""Left over by two workers without overhead; their libraries alone take more."""


def answering(daemon: Daemon) -> set[str]:
    """Return who has answered lately, one by one in the order of the lines."""
    return {line["worker"] for line in daemon.lines()[-8:]}


@pytest.mark.timeout(240)
def test_a_worker_without_room_is_retired_in_order_and_not_planned_again(
    tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]
):
    names = {f"cam-{i}": LABELS[i % len(LABELS)] for i in range(8)}
    memory = {
        "fraction": LIMIT_MIB / total_mib(),
        "reserve_mib": int(total_mib()) - 2 * LIMIT_MIB - SPARE_MIB,
    }
    settings = {
        "devices": {"cpu": {"workers": 2, "threads": 1, "memory": memory}},
        "supervision": {"hang_s": 15, "start_timeout_s": 60},
    }
    with ServerThread([CameraSpec(name, colour_footage[colour]) for name, colour in names.items()]) as server:
        cameras = {name: {"url": server.url(name), "frozen_s": 600} for name in names}
        with running(tmp_path, colour_model, cameras, settings=settings) as daemon:
            wait_until(
                lambda: daemon.by("state", "mosaicd_worker_state", worker="w2").get("given_up") == 1,
                lambda: f"w2 is retired:\n{daemon.log[-3000:]}",
            )
            wait_until(lambda: answering(daemon) == {"w1"}, lambda: f"w1 answers all:\n{daemon.log[-3000:]}")
            daemon.wait_ready()
            [notice] = json.loads(daemon.get("/readyz")[1])["notices"]
            assert "beyond its limit, not 0 as assumed, so that there is no room for w2" in notice
            assert daemon.total("mosaicd_notices") == 1
            assert daemon.total("mosaicd_worker_restarts_total") == 0, "it died of nothing"
            assert "child pressed" not in daemon.log
            overhead_mib = daemon.by("worker", "mosaicd_worker_overhead_bytes")["w1"] / 2**20
            assert 2 * overhead_mib > SPARE_MIB
            assert daemon.stop() == 0

        [kept] = json.loads((tmp_path / "state" / "overheads.json").read_text())
        assert kept["mib"] >= overhead_mib
        checked = subprocess.run(
            [sys.executable, "-m", "daemon.cli", "check", "--json", "--settings", str(tmp_path / "mosaicd.yaml")],
            capture_output=True,
            check=True,
            timeout=60,
        )
        [quota] = json.loads(checked.stdout)["quotas"]
        assert (quota["workers"], quota["overhead_mib"], quota["overhead_basis"]) == (1, kept["mib"], "measured")

        with running(tmp_path, colour_model, cameras, settings=settings) as daemon:
            daemon.wait_ready()
            assert "2 workers are wanted, but there is room for 1" in daemon.log
            assert set(daemon.children("inference.worker")) == {"w1"}
            assert daemon.stop() == 0
