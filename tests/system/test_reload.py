"""The roster edited while the daemon runs, saved in every way that editors and file systems have."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.system.colours import LABELS, Model
from tests.system.stage import Daemon, running, wait_until

pytestmark = pytest.mark.slow

NAMES = tuple(f"cam-{n:02}" for n in range(34))
SOON_S = 10.0
"""A saved file is left alone for half a second, then applied at the next turn; the machine may be busy."""
PERIODS_S = 3.0
"""So long is watched what others answer; their mosaics are composed five times a second."""

Roster = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Site:
    """A daemon, and cameras that may be in its roster."""

    daemon: Daemon
    cameras: Roster

    @property
    def path(self) -> Path:
        return self.daemon.folder / "cameras.yaml"

    @property
    def included(self) -> Path:
        return self.daemon.folder / "cameras.d" / "more.yaml"

    def text(self, cameras: Roster, **others: Any) -> str:
        return json.dumps({"defaults": {"decode": "all"}, "cameras": cameras, **others})

    def some(self, count: int, **changed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The first cameras, some with other keys; a name's - is written _ here."""
        keys = {name.replace("_", "-"): body for name, body in changed.items()}
        return {name: {**self.cameras[name], **keys.get(name, {})} for name in NAMES[:count]}

    def save(self, cameras: Roster) -> None:
        """As a careful editor does: through a rename."""
        new = self.path.with_name(".cameras.yaml.swp")
        new.write_text(self.text(cameras))
        new.replace(self.path)

    def reload(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        settings = str(self.daemon.folder / "mosaicd.yaml")
        command = [sys.executable, "-m", "daemon.cli", "reload", "--settings", settings, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def connects(self) -> dict[str, float]:
        return self.daemon.by("camera", "mosaicd_camera_connects_total")

    def until_cameras(self, names: set[str]) -> None:
        wait_until(
            lambda: {name for name, is_up in self.daemon.by("camera", "mosaicd_camera_up").items() if is_up} == names,
            lambda: f"{len(names)} cameras up:\n{self.daemon.log[-3000:]}",
        )

    def result(self) -> tuple[float, float, float]:
        """Return how many were applied and refused so far, and whether the last one was applied."""
        found = self.daemon.by("result", "mosaicd_config_reloads_total")
        return found["applied"], found["refused"], self.daemon.total("mosaicd_config_last_reload_successful")


@pytest.fixture
def make(tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]) -> Iterator[Callable[[int], Site]]:
    """Return a function that runs a daemon with so many of the cameras in its roster, all of them up."""
    colours = {name: LABELS[n % len(LABELS)] for n, name in enumerate(NAMES)}
    specs = [CameraSpec(name, colour_footage[colour]) for name, colour in colours.items()]
    with ServerThread(specs) as server:
        cameras = {name: {"url": server.url(name)} for name in NAMES}
        files = {"cfg": str(colour_model.cfg), "weights": str(colour_model.weights), "names": str(colour_model.names)}
        settings = {"model": files | {"input": "mosaic"}, "mosaic": {"canvas": "448x256", "fps": 2.5}}
        started: list[Any] = []

        def start(count: int) -> Site:
            context = running(tmp_path, colour_model, {n: cameras[n] for n in NAMES[:count]}, settings=settings)
            started.append(context)
            site = Site(context.__enter__(), cameras)
            site.daemon.wait_ready()
            site.until_cameras(set(NAMES[:count]))
            return site

        yield start
        for context in started:
            context.__exit__(None, None, None)


def test_of_32_cameras_one_added_and_one_changed_cost_the_others_nothing(make):
    site = make(32)
    wait_until(lambda: site.daemon.total("mosaicd_worker_up") == 2, "workers")
    time.sleep(1.5)
    before = site.daemon.metrics()
    site.save(site.some(33, cam_01={"fps": 1}))
    began = time.monotonic()
    wait_until(lambda: "roster applied" in site.daemon.log, lambda: site.daemon.log[-2000:], SOON_S)
    took_s = time.monotonic() - began
    site.until_cameras(set(NAMES[:33]))
    end_s = time.monotonic() + PERIODS_S
    wait_until(lambda: time.monotonic() > end_s, "a while")
    after = site.daemon.metrics()

    def grown(name: str, camera: str, **labels: str) -> float:
        return sum(
            sign * s.value
            for sign, found in ((1, after), (-1, before))
            for s in found
            if s.name == name and s.labels.get("camera") == camera and labels.items() <= s.labels.items()
        )

    others = [name for name in NAMES[:32] if name != "cam-01"]
    assert {grown("mosaicd_camera_connects_total", name) for name in others} == {0.0}
    assert {grown("mosaicd_camera_failures_total", name) for name in others} == {0.0}
    analyzed = {name: grown("mosaicd_camera_frames_analyzed_total", name) for name in others}
    # Frames of any that are fewer than others' by more than a moment's busyness were lost to the reload.
    assert min(analyzed.values()) >= 0.8 * max(analyzed.values()), analyzed
    assert grown("mosaicd_camera_connects_total", "cam-01") == 1.0
    assert re.search(r"roster applied added=cam-32 changed=cam-01 opened=m9", site.daemon.log)
    assert site.result() == (1, 0, 1)
    print(f"seen {took_s:.2f} s after it was saved")


def test_a_roster_that_is_not_valid_changes_nothing_and_says_where(make):
    site = make(4)
    site.path.write_text(site.text(site.some(4)) + "\n: [")
    wait_until(lambda: site.result() == (0, 1, 0), lambda: f"refused:\n{site.daemon.log[-2000:]}", SOON_S)
    told = site.reload()
    assert told.returncode == 1
    assert re.search(r"cameras\.yaml:\d+:\d+: ", told.stderr), told.stderr
    assert "nothing was changed" in told.stderr
    assert site.connects() == dict.fromkeys(NAMES[:4], 1.0)
    # ... nor does a file that it includes, which was good when it came.
    site.path.write_text(site.text(site.some(4), include="cameras.d/*.yaml"))
    wait_until(lambda: site.result() == (1, 2, 1), lambda: f"applied:\n{site.daemon.log[-2000:]}", SOON_S)
    site.included.parent.mkdir()
    site.included.write_text(json.dumps({"cameras": {"cam-04": site.cameras["cam-04"]}}))
    site.until_cameras(set(NAMES[:5]))
    site.included.write_text("cameras:\n  cam-04: {ulr: a}\n")
    wait_until(lambda: site.result() == (2, 3, 0), lambda: f"refused:\n{site.daemon.log[-2000:]}", SOON_S)
    assert "cameras.d/more.yaml:2:12: cameras.cam-04.ulr: unknown key 'ulr', did you mean 'url'?" in site.daemon.log
    assert site.connects() == dict.fromkeys(NAMES[:5], 1.0)
    # ... and a restart on it still runs what was last applied.
    assert site.daemon.stop() == 0
    folder, settings = site.daemon.folder, str(site.daemon.folder / "mosaicd.yaml")
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "daemon.cli", "run", "--settings", settings]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    again = Site(Daemon(folder, process), site.cameras)
    try:
        again.until_cameras(set(NAMES[:5]))
        assert "last valid" in again.daemon.get("/readyz")[1]
        again.included.unlink()
        again.until_cameras(set(NAMES[:4]))
        wait_until(lambda: '"notices":[]' in again.daemon.get("/readyz")[1], "the notice is gone", SOON_S)
        assert again.daemon.stop() == 0
    finally:
        process.kill()
        process.wait(10)


def rewritten(site: Site, text: str) -> None:
    site.path.write_text(text)


def half_written(site: Site, text: str) -> None:
    with site.path.open("w") as stream:
        stream.write(text[: len(text) // 2])
        stream.flush()
        time.sleep(0.15)
        stream.write(text[len(text) // 2 :])


def vanished_for_a_moment(site: Site, text: str) -> None:
    site.path.unlink()
    time.sleep(0.5)
    site.path.write_text(text)


def through_links(site: Site, text: str) -> None:
    """As Kubernetes mounts a ConfigMap: the folder that a link names is replaced."""
    folder = site.path.parent
    for number, content in enumerate((site.path.read_text(), text)):
        (folder / f"..{number}").mkdir()
        (folder / f"..{number}" / site.path.name).write_text(content)
    os.symlink("..0", folder / "..data")
    os.symlink(f"..data/{site.path.name}", folder / "new")
    (folder / "new").replace(site.path)
    time.sleep(2.0)
    os.symlink("..1", folder / "..new")
    (folder / "..new").replace(folder / "..data")


@pytest.mark.parametrize("save", [rewritten, half_written, vanished_for_a_moment, through_links])
def test_however_it_is_saved_it_is_applied_once(make, save: Callable[[Site, str], None]):
    site = make(2)
    save(site, site.text(site.some(3)))
    wait_until(lambda: site.result() == (1, 0, 1), lambda: f"applied:\n{site.daemon.log[-2000:]}", SOON_S)
    site.until_cameras(set(NAMES[:3]))
    site.path.touch()
    time.sleep(1.5)
    assert site.result() == (1, 0, 1), "a text that is the same is not read again"
    assert site.connects() == dict.fromkeys(NAMES[:3], 1.0)


def test_what_a_person_orders(make):
    site = make(4)
    site.save(site.some(3, cam_00={"labels": ["red"]}))
    wait_until(lambda: site.result() == (1, 0, 1), "it is applied", SOON_S)
    told = site.reload("--dry-run")
    assert (told.returncode, told.stdout) == (0, "nothing would change\n")
    os.kill(site.daemon.process.pid, signal.SIGHUP)
    wait_until(lambda: site.result() == (2, 0, 1), "SIGHUP reads it again", SOON_S)
    told = site.reload("--json")
    kinds = ("added", "removed", "changed", "moved", "opened", "closed", "judged", "followed")
    assert json.loads(told.stdout) == {"is_trial": False} | {kind: [] for kind in kinds}
    assert site.connects() == dict.fromkeys(NAMES[:3], 1.0)
    assert "cam-03" not in {s.labels.get("camera") for s in site.daemon.metrics()}, "a removed camera's series are gone"


def test_from_no_camera_to_some_and_back(make):
    site = make(1)
    site.save({"cam-00": {**site.cameras["cam-00"], "enabled": False}})
    wait_until(lambda: site.daemon.by("camera", "mosaicd_camera_up") == {}, "none is left", SOON_S)
    site.save(site.some(9))
    site.until_cameras(set(NAMES[:9]))
    wait_until(lambda: site.daemon.get("/readyz")[0] == 200, "all are answered")
    assert site.daemon.total("mosaicd_worker_restarts_total") == 0
    assert site.daemon.total("mosaicd_capture_restarts_total") == 0
