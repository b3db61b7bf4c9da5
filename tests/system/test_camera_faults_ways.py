"""Every way to a camera's stream, cameras that sleep, and a process that falls behind: one daemon for all of these."""

import os
import signal
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import pytest
import trustme

from simulator.camera import CameraSpec
from simulator.colours import SMALL_WH
from simulator.faults import Switch
from simulator.thread import ServerThread
from tests.system.colours import Model
from tests.system.stage import Daemon, moving_clip, running, small_settings, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.slow]

WAYS = ("rtsps", "http-mjpeg", "rtsp-mjpeg", "sub-stream", "password")
PLAIN = ("plain-1", "plain-2")
"""One in each capture process."""
PASSWORD = 'p@ss:w/ö?r d&%#$"+=\\;'
QUIET_S = 2.0
METRICS_S = 2.0
SLACK_S = 2.0
"""What a busy machine may add to anything."""
STOPPED_S = 3.0


@dataclass(frozen=True, slots=True)
class Stage:
    """The daemon, and the cameras that it reads."""

    daemon: Daemon
    server: ServerThread


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, colour_model: Model) -> Iterator[Stage]:
    """Eight cameras in two mosaics of two capture processes; all are up and answered."""
    folder = tmp_path_factory.mktemp("ways")
    moving = moving_clip(folder / "moving.mp4", "red")
    jpeg = moving_clip(folder / "jpeg.mkv", "red", codec="mjpeg")
    still = moving_clip(folder / "still.mp4", "red", is_moving=False)
    large = moving_clip(folder / "large.mp4", "blue", (448, 224, 576, 320), wh=(640, 384))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    specs = [
        *(CameraSpec(name, moving) for name in (*PLAIN, "sub-stream")),
        *(CameraSpec(name, jpeg) for name in ("http-mjpeg", "rtsp-mjpeg")),
        CameraSpec("main-stream", large),
        CameraSpec("password", moving, username="o'neil @ work", password=PASSWORD),
        CameraSpec("adaptive", still),
    ]
    with ServerThread(specs) as server, ServerThread([CameraSpec("rtsps", moving)], tls=context) as secure:
        cameras = {
            "rtsps": {"url": secure.url("rtsps")},
            "http-mjpeg": {"url": server.mjpeg_url("http-mjpeg")},
            "rtsp-mjpeg": {"url": server.url("rtsp-mjpeg")},
            "plain-1": {"url": server.url("plain-1")},
            "sub-stream": {"url": server.url("main-stream"), "detect_url": server.url("sub-stream")},
            "password": {"url": server.url("password"), "username": "o'neil @ work", "password": PASSWORD},
            "plain-2": {"url": server.url("plain-2")},
            # Real noise tells a still picture from a frozen one; this one has none.
            "adaptive": {"url": server.url("adaptive"), "decode": "adaptive", "quiet_s": QUIET_S, "frozen_s": 600},
        }
        with running(folder, colour_model, cameras, settings=small_settings(colour_model)) as daemon:
            daemon.wait_ready()
            wait_until(lambda: daemon.total("mosaicd_camera_up") == len(cameras), lambda: daemon.log[-3000:])
            yield Stage(daemon, server)
            assert daemon.stop() == 0
            assert PASSWORD not in daemon.log
            assert "child died" not in daemon.log


def lines_of(daemon: Daemon, camera: str, since: float) -> list[float]:
    """Return when the frames that were answered since then were captured (wall clock)."""
    times = (
        datetime.fromisoformat(line["captured_at"]).timestamp() for line in daemon.lines() if line["camera"] == camera
    )
    return [at for at in times if at >= since]


@pytest.mark.parametrize("camera", WAYS)
def test_it_is_analyzed_whichever_way_it_comes(stage: Stage, camera: str) -> None:
    def analyzed() -> float:
        return stage.daemon.total("mosaicd_camera_frames_analyzed_total", camera=camera)

    before = analyzed()
    wait_until(lambda: analyzed() >= before + 5, lambda: stage.daemon.log[-3000:], 10.0)
    line = [line for line in stage.daemon.lines() if line["camera"] == camera][-1]
    assert [sighting["label"] for sighting in line["sightings"]].count("red") >= 1
    assert tuple(line["frame_wh"]) == SMALL_WH
    assert stage.daemon.total("mosaicd_camera_failures_total", camera=camera) == 0


def test_beside_a_sub_stream_the_main_one_is_left_alone(stage: Stage) -> None:
    assert stage.server.statistics().cameras["main-stream"].frames_sent == 0


def test_a_still_camera_sleeps_until_something_moves(stage: Stage) -> None:
    daemon, name = stage.daemon, "adaptive"

    def is_asleep() -> bool:
        return daemon.total("mosaicd_camera_asleep", camera=name) == 1

    def undecoded() -> float:
        return daemon.total("mosaicd_camera_frames_dropped_total", camera=name, reason="undecoded")

    wait_until(is_asleep, "it sleeps", 15.0)
    before = undecoded()
    wait_until(lambda: undecoded() >= before + 10, "what is not decoded is counted", 10.0)
    moved = time.time()
    stage.server.set_fault(name, Switch(to="plain-1"))
    wait_until(lambda: not is_asleep(), "it wakes at its next key frame", 1.0 + METRICS_S + SLACK_S)
    wait_until(lambda: time.time() >= moved + 5.0, "five seconds of motion")
    assert len(lines_of(daemon, name, moved + 2.0)) >= 9, "it is analyzed as often as it is due, not with key frames"
    before = undecoded()
    wait_until(lambda: time.time() >= moved + 7.0, "two more")
    assert undecoded() == before
    stage.server.set_fault(name, None)
    wait_until(is_asleep, "it sleeps again", 15.0)
    assert daemon.total("mosaicd_camera_up", camera=name) == 1
    assert daemon.total("mosaicd_camera_connects_total", camera=name) == 1
    assert [told.words for told in daemon.told() if told.camera == name and told.words in ("up", "down")] == ["up"]


def test_a_process_that_stood_still_drops_to_the_newest(stage: Stage) -> None:
    daemon = stage.daemon
    mosaics = {line["camera"]: line["mosaic"] for line in daemon.lines()}
    late, untouched = PLAIN
    assert mosaics[late] == "m1", "c1 captures the first of two mosaics"
    stopped = time.time()
    pid = daemon.children("capture")["c1"]
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: time.time() >= stopped + STOPPED_S, "three seconds")
    finally:
        os.kill(pid, signal.SIGCONT)
    went_on = time.time()

    for camera in ("rtsps", "rtsp-mjpeg", late):
        wait_until(
            lambda camera=camera: daemon.total("mosaicd_camera_frames_dropped_total", camera=camera, reason="behind"),
            f"{camera} has dropped what was out of date",
            METRICS_S + SLACK_S,
        )
    wait_until(
        lambda: time.time() - max(lines_of(daemon, late, went_on), default=0.0) < 1.0,
        "what is answered is new again",
        1.0 + SLACK_S,
    )
    # The key frame after what was dropped is at most a second off, and nothing older is shown.
    assert not [at for at in lines_of(daemon, late, stopped + 0.5) if at < went_on - 1.0]
    assert daemon.total("mosaicd_camera_connects_total", camera=late) == 1
    assert daemon.total("mosaicd_camera_frames_dropped_total", camera=untouched, reason="behind") == 0
    gaps = [after - before for before, after in pairwise(lines_of(daemon, untouched, stopped))]
    assert max(gaps) < STOPPED_S / 2
    assert daemon.total("mosaicd_capture_restarts_total") == 0
