"""Five cameras that misbehave among seven that do not: each has its own reason, and nobody else is slowed."""

import re
import socket
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from simulator.camera import CameraSpec
from simulator.faults import Hang
from simulator.thread import ServerThread
from tests.system.colours import LABELS
from tests.system.stage import Daemon, running, wait_until

pytestmark = pytest.mark.slow

RATE = 5.0
REASONS = {
    "mute": "timeout",
    "hanging": "hang",
    "refusing": "refused",
    "locked": "unauthorized",
    "website": "not_video",
}


@pytest.fixture
def mute_url():
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture
def refusing_url():
    """A port on which nobody listens: bound, so that nobody else gets it."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        yield f"rtsp://127.0.0.1:{unheard.getsockname()[1]}/"


@pytest.fixture
def website_url():
    """A web server where a camera is expected."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"rtsp://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join(5)


def analyzed(daemon: Daemon, cameras: list[str]) -> dict[str, float]:
    frames = daemon.by("camera", "mosaicd_camera_frames_analyzed_total")
    return {camera: frames[camera] for camera in cameras}


def test_five_faults_have_their_reasons_and_slow_nobody(
    tmp_path, colour_model, colour_footage, mute_url, refusing_url, website_url
):
    good = [f"good-{i}" for i in range(7)]
    specs = [CameraSpec(name, colour_footage[LABELS[i % len(LABELS)]]) for i, name in enumerate(good)]
    specs += [
        CameraSpec("hanging", colour_footage["red"], fault=Hang(after_s=1.5)),
        CameraSpec("locked", colour_footage["red"], username="admin", password="right"),
    ]
    with ServerThread(specs) as server:
        # Interleaved, so that every mosaic holds both kinds.
        cameras = {
            "good-0": {"url": server.url("good-0")},
            "mute": {"url": mute_url},
            "hanging": {"url": server.url("hanging")},
            "good-1": {"url": server.url("good-1")},
            "refusing": {"url": refusing_url},
            "good-2": {"url": server.url("good-2")},
            "locked": {"url": server.url("locked"), "username": "admin", "password": "wrong-hunter2"},
            "good-3": {"url": server.url("good-3")},
            "website": {"url": website_url},
            "good-4": {"url": server.url("good-4")},
            "good-5": {"url": server.url("good-5")},
            "good-6": {"url": server.url("good-6")},
        }
        settings = {"capture": {"processes": 2, "open_timeout_s": 2, "read_timeout_s": 2}}
        with running(tmp_path, colour_model, cameras, settings=settings) as daemon:
            daemon.wait_ready()
            wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, "two workers")

            busy_before_s = daemon.total("mosaicd_worker_inference_seconds_total")
            before, began = analyzed(daemon, good), time.monotonic()
            wait_until(
                lambda: all(
                    daemon.total("mosaicd_camera_failures_total", camera=camera, reason=reason)
                    >= (1 if reason in ("unauthorized", "hang", "not_video") else 3)
                    for camera, reason in REASONS.items()
                ),
                lambda: f"every fault has its reason:\n{daemon.get('/metrics')[1]}",
            )
            wait_until(lambda: time.monotonic() - began > 15, "15 seconds of measuring")
            # The snapshot is up to a second old at both ends; that is no frame lost.
            after, due = analyzed(daemon, good), RATE * (time.monotonic() - began - 1.0)
            ratios = {camera: (after[camera] - before[camera]) / due for camera in good}
            failures = {
                (s.labels["camera"], s.labels["reason"])
                for s in daemon.metrics()
                if s.name == "mosaicd_camera_failures_total" and s.value
            }
            busy_s = daemon.total("mosaicd_worker_inference_seconds_total") - busy_before_s
            busy_ratio = busy_s / (time.monotonic() - began) / 2
            up = daemon.by("camera", "mosaicd_camera_up")
            metrics = daemon.get("/metrics")[1]
            assert daemon.stop() == 0
            log = daemon.log

    assert busy_ratio <= 0.5, "the load is at most half of what these workers can do, by their own measure"
    assert min(ratios.values()) >= 0.95, ratios
    assert failures == set(REASONS.items())
    assert all(up[camera] for camera in good)
    assert not any(up[camera] for camera in REASONS if camera != "hanging")
    told = Counter(re.findall(r"camera down camera=(\S+) reason=(\S+)", log))
    assert set(told) == set(REASONS.items())
    assert all(told[fault] == 1 for fault in REASONS.items() if fault[0] != "hanging"), told
    assert "hunter2" not in log
    assert "hunter2" not in metrics
