"""A camera whose decoder crashes its process: who did it is told from the crash report, and who does it again is held.

FFmpeg does not crash on demand, so the camera's own thread is sent the signal that a decoder would die of.
"""

import ctypes
import platform
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.system.colours import LABELS, Model
from tests.system.stage import Daemon, running, wait_until
from tests.system.test_deaths import answered_since, longest_gaps

pytestmark = [pytest.mark.alone, pytest.mark.slow]

SYS_TGKILL = {"x86_64": 234, "aarch64": 131}
"""asm/unistd_64.h, asm-generic/unistd.h."""

VICTIM = "cam-1"
CAMERAS = {f"cam-{i}": LABELS[i % len(LABELS)] for i in range(8)}
NEIGHBOURS = ("cam-0", "cam-2", "cam-3")
"""In the victim's mosaic, and so in its process."""
OTHERS = ("cam-4", "cam-5", "cam-6", "cam-7")
QUARANTINE_S = (45, 60)
"""One minute, less a quarter of jitter at most (daemon/blame.py)."""
GAP_S = 2.0
"""More than a busy machine's hiccup, less than a process's start and its cameras' reconnection."""
BACK_S = 30.0

NAMING = '''"""Lets the kernel know threads by their names, so that a test finds them in /proc."""
import threading

run = threading.Thread.run


def named_run(self):
    with open("/proc/thread-self/comm", "w") as comm:
        comm.write(self.name[:15])
    run(self)


threading.Thread.run = named_run
'''


@pytest.fixture
def daemon(tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]) -> Iterator[Daemon]:
    """Eight cameras, two mosaics, a capture process for each, two workers."""
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(NAMING)
    with ServerThread([CameraSpec(name, colour_footage[colour]) for name, colour in CAMERAS.items()]) as server:
        cameras = {name: {"url": server.url(name)} for name in CAMERAS}
        settings = {"capture": {"processes": 2}}
        environ = {"PYTHONPATH": str(hook)}
        with running(tmp_path, colour_model, cameras, settings=settings, environ=environ) as daemon:
            daemon.wait_ready()
            everyone = set(daemon.by("mosaic", "mosaicd_mosaic_answered_total"))
            before = dict.fromkeys(everyone, 0.0)
            wait_until(lambda: answered_since(daemon, before) == everyone, lambda: f"answers:\n{daemon.log[-3000:]}")
            yield daemon


def crash(daemon: Daemon, camera: str) -> int:
    """Send the thread that decodes a camera what a wild pointer does; return the process that it was in."""
    for pid in daemon.children("capture.process").values():
        for task in Path(f"/proc/{pid}/task").iterdir():
            if (task / "comm").read_text().strip() == f"reader {camera}":
                number = SYS_TGKILL[platform.machine()]
                assert ctypes.CDLL(None).syscall(number, pid, int(task.name), signal.SIGSEGV) == 0
                return pid
    raise AssertionError(f"no thread reads {camera}")


def crashes(daemon: Daemon) -> dict[str, float]:
    """Return which cameras have crashed their process, and how often."""
    return {camera: n for camera, n in daemon.by("camera", "mosaicd_camera_crashes_total").items() if n}


def streams_in(daemon: Daemon, pid: int) -> bool:
    """Whether the victim is read in a newer process than this one."""
    is_up = daemon.by("camera", "mosaicd_camera_up")[VICTIM] == 1
    return is_up and pid not in daemon.children("capture.process").values()


def holds(daemon: Daemon) -> list[int]:
    """Return for how long the victim was held after each crash, as the log has it."""
    return [int(s) for s in re.findall(rf"camera crashed its process.*camera={VICTIM}.*hold_s=(\d+)", daemon.log)]


def analyzed(daemon: Daemon) -> dict[str, float]:
    return daemon.by("camera", "mosaicd_camera_frames_analyzed_total")


def test_a_camera_that_crashes_its_process_twice_is_held_and_nobody_else(daemon: Daemon):
    wait_until(lambda: min(analyzed(daemon).values()) > 0, "all cameras are up (not all are asked at once)", BACK_S)
    # Frames are counted as they are answered, connects as they are reported, once a second.
    wait_until(lambda: min(daemon.by("camera", "mosaicd_camera_connects_total").values()) > 0, "all have reported")
    children = daemon.children()
    began = time.time()
    connects = daemon.by("camera", "mosaicd_camera_connects_total")

    # The first time may have been bad luck: it comes back with its neighbours.
    first = crash(daemon, VICTIM)
    [process] = [name for name, pid in children.items() if pid == first]
    wait_until(lambda: crashes(daemon) == {VICTIM: 1}, lambda: f"the crash is told:\n{daemon.log[-3000:]}", BACK_S)
    assert holds(daemon) == [0]
    wait_until(lambda: streams_in(daemon, first), lambda: f"{VICTIM} is back:\n{daemon.log[-3000:]}", BACK_S)

    # The second time it is kept away.
    before = analyzed(daemon)
    second = crash(daemon, VICTIM)
    wait_until(
        lambda: crashes(daemon) == {VICTIM: 2}, lambda: f"the second crash is told:\n{daemon.log[-3000:]}", BACK_S
    )
    [*_, hold_s] = holds(daemon)
    assert QUARANTINE_S[0] <= hold_s <= QUARANTINE_S[1]
    wait_until(
        lambda: all(analyzed(daemon)[camera] > before[camera] + 3 for camera in NEIGHBOURS),
        lambda: f"its neighbours are back:\n{daemon.log[-3000:]}",
        BACK_S,
    )
    states = daemon.by("state", "mosaicd_camera_state", camera=VICTIM)
    assert [state for state, value in states.items() if value] == ["backoff"]
    assert re.search(rf"camera down.*camera={VICTIM}.*reason=crashed", daemon.log)
    assert {camera for camera, is_up in daemon.by("camera", "mosaicd_camera_up").items() if not is_up} == {VICTIM}

    # Only that process ended, twice, and of what a crash is.
    assert second not in daemon.children().values()
    assert {name: pid for name, pid in daemon.children().items() if name != process} == {
        name: pid for name, pid in children.items() if name != process
    }
    assert daemon.by("cause", "mosaicd_capture_restarts_total", process=process)["crash"] == 2
    assert daemon.total("mosaicd_capture_restarts_total") == 2
    assert daemon.total("mosaicd_worker_restarts_total") == 0

    # The other process's cameras have noticed nothing.
    assert max(longest_gaps(daemon, set(OTHERS), began).values()) < GAP_S
    now = daemon.by("camera", "mosaicd_camera_connects_total")
    assert {camera: now[camera] - connects[camera] for camera in OTHERS} == dict.fromkeys(OTHERS, 0)
    damaged = daemon.by("camera", "mosaicd_camera_frames_dropped_total", reason="damaged")
    assert {camera: damaged[camera] for camera in OTHERS} == dict.fromkeys(OTHERS, 0)
