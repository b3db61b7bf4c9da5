"""Devices really taken away from a running daemon, and a mosaic that really kills whoever answers it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.system.colours import LABELS, Model
from tests.system.stage import Daemon, running, wait_until

pytestmark = pytest.mark.slow

AT_ONCE_S = 5.0
"""A loss is noticed within a tenth of a second; the machine may be busy."""

POISON = """
import os, signal, sys
from pathlib import Path

if "inference.worker" in sys.orig_argv:
    import capture.slot, inference.inputs
    poisoned, read, split = [], capture.slot.SlotReader.read, inference.inputs.ModelInput.split

    def reading(self, pixels):
        header = read(self, pixels)
        if header is not None and any(tile is not None and tile.camera == "cam-0" for tile in header.tiles):
            poisoned.append(Path(__file__).with_name("poison").exists())
        return header

    def splitting(self, *what):
        if any(poisoned):
            os.kill(os.getpid(), signal.SIGSEGV)
        return split(self, *what)

    capture.slot.SlotReader.read, inference.inputs.ModelInput.split = reading, splitting
"""


@contextmanager
def daemon_of(
    folder: Path,
    model: Model,
    footage: Mapping[str, Footage],
    settings: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:
    """Run twelve cameras on three mosaics and two workers, both of which are up."""
    names = {f"cam-{i}": LABELS[i % len(LABELS)] for i in range(12)}
    with ServerThread([CameraSpec(name, footage[colour]) for name, colour in names.items()]) as server:
        cameras = {name: {"url": server.url(name)} for name in names}
        with running(folder, model, cameras, settings=settings, environ=environ) as daemon:
            wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, lambda: f"two workers:\n{daemon.log[-3000:]}")
            daemon.wait_ready()
            yield daemon


def worker_of(daemon: Daemon) -> dict[str, str]:
    """Return who answered each mosaic last."""
    return {line["mosaic"]: line["worker"] for line in daemon.lines()}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="of one core no part can be taken away")
def test_a_device_that_is_taken_away_leaves_its_mosaics_to_the_other_and_has_them_back_once(
    tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]
) -> None:
    settings = {"devices": {"cpu:0": {"workers": 1}, "cpu:1": {"workers": 1}}}
    with daemon_of(tmp_path, colour_model, colour_footage, settings) as daemon:
        wait_until(lambda: set(worker_of(daemon).values()) == {"w1", "w2"}, "both workers answer")
        before, whole = worker_of(daemon), os.sched_getaffinity(0)
        moved = daemon.log.count("mosaic moved")
        core = os.sched_getaffinity(daemon.children()["w2"])
        # The mask of its main thread, which is the loop's: what a cpuset or a core that is unplugged does, too.
        os.sched_setaffinity(daemon.process.pid, whole - core)
        wait_until(
            lambda: set(worker_of(daemon).values()) == {"w1"}, lambda: f"w1 has all:\n{daemon.log[-3000:]}", AT_ONCE_S
        )
        wait_until(lambda: daemon.by("device", "mosaicd_device_up") == {"cpu:0": 1, "cpu:1": 0}, "it is shown", 5.0)
        wait_until(lambda: "w2" not in daemon.children(), "its worker has ended", 15.0)
        assert daemon.get("/readyz")[0] == 200
        os.sched_setaffinity(daemon.process.pid, whole)
        wait_until(lambda: worker_of(daemon) == before, lambda: f"they are back:\n{daemon.log[-3000:]}")
        assert os.sched_getaffinity(daemon.children()["w2"]) == core
        assert daemon.total("mosaicd_worker_restarts_total") == 0, "nobody has failed"
        moves = daemon.log.count("mosaic moved") - moved
        assert moves == 2 * sum(worker == "w2" for worker in before.values()), daemon.log[-3000:]


def test_a_mosaic_that_kills_its_workers_is_kept_from_the_others(
    tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(POISON)
    with daemon_of(tmp_path, colour_model, colour_footage, {}, {"PYTHONPATH": str(tmp_path)}) as daemon:
        (tmp_path / "poison").touch()
        wait_until(
            lambda: daemon.by("how", "mosaicd_mosaic_apart", mosaic="m1").get("held"),
            lambda: f"m1 is held:\n{daemon.log[-5000:]}",
        )
        assert daemon.log.count("mosaic isolated mosaic=m1") == 1
        assert daemon.total("mosaicd_worker_restarts_total", cause="crash") == 4
        wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, "both workers are up")
        wait_until(lambda: '"reason":"held"' in daemon.get("/readyz")[1], "a person is told", 15.0)
        answered = daemon.by("mosaic", "mosaicd_mosaic_answered_total")
        wait_until(
            lambda: all(
                count >= answered[mosaic] + 20
                for mosaic, count in daemon.by("mosaic", "mosaicd_mosaic_answered_total").items()
                if mosaic != "m1"
            ),
            "the others go on",
        )
        assert daemon.by("mosaic", "mosaicd_mosaic_answered_total")["m1"] == answered["m1"]
        assert daemon.total("mosaicd_worker_restarts_total", cause="crash") == 4, "nobody has died of them"
