"""All cameras of a site cut at once, and back: everyone returns soon, not in one moment, and the log stays short."""

import time
from collections import Counter
from pathlib import Path

import pytest

from capture.backoff import Backoff
from simulator.camera import CameraSpec
from simulator.thread import ServerThread
from tests.system.colours import Model
from tests.system.stage import Watch, moving_clip, running, small_settings, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.slow]

CAMERAS = tuple(f"cam-{i:02}" for i in range(32))
OUTAGE_S = 10.0
"""In CI. 30 s have been tried by hand: the longest wait between two tries is reached by then."""
BACK_S = 15.0
NETWORK = Backoff(1.0, 10.0)
MOMENT_S = 0.2
IN_A_MOMENT = 8
"""So many of 32 may begin to play within a moment: measured, 5. Those that failed together have waited for jittered
delays since, which spreads them over three seconds after 10 s of outage, and over ten after 30 s."""


def tries(seconds: float, chance: float) -> int:
    """Return how often a camera can fail in so long an outage, whose first failure is its begin."""
    failures, at_s = 1, NETWORK.delay_s(1, chance)
    while at_s < seconds:
        failures += 1
        at_s += NETWORK.delay_s(failures, chance)
    return failures


def watch_return(server: ServerThread) -> list[float]:
    """Return when each camera began to be played, until all are."""
    began: list[float] = []

    def are_all_back() -> bool:
        playing = server.statistics().playing
        began.extend([time.monotonic()] * (playing - len(began)))
        return playing >= len(CAMERAS)

    wait_until(are_all_back, lambda: f"{len(began)} of {len(CAMERAS)} are back", BACK_S)
    return began


def test_all_cameras_come_back_and_not_in_one_moment(tmp_path: Path, colour_model: Model) -> None:
    clip = moving_clip(tmp_path / "clip.mp4", "red")
    specs = [CameraSpec(name, clip) for name in CAMERAS]
    first = ServerThread(specs)
    with first:
        cameras = {name: {"url": first.url(name)} for name in CAMERAS}
        daemon_running = running(tmp_path, colour_model, cameras, settings=small_settings(colour_model))
        with daemon_running as daemon:
            daemon.wait_ready()
            wait_until(lambda: daemon.total("mosaicd_camera_up") == len(CAMERAS), lambda: daemon.log[-3000:])
            watch = Watch(daemon)
            cut = time.time()
            first.stop()
            wait_until(lambda: daemon.total("mosaicd_camera_up") == 0, "all are seen to be gone", 5.0)
            watch.until(cut + OUTAGE_S)
            failed = {name: watch.last("mosaicd_camera_failures_total", name) for name in CAMERAS}
            outage_s = time.time() - cut
            with ServerThread(specs, port=first.port) as second:
                back = time.time()
                began = watch_return(second)
                wait_until(
                    lambda: daemon.total("mosaicd_camera_up") == len(CAMERAS),
                    lambda: f"all are up again:\n{daemon.log[-3000:]}",
                    back + BACK_S - time.time(),
                )
                watch.until(time.time() + 3.0)
                watch.end()
                assert daemon.stop() == 0
            log = daemon.log

    moments = [sum(at <= other < at + MOMENT_S for other in began) for at in began]
    assert max(moments) <= IN_A_MOMENT, Counter(round(at - began[0], 1) for at in began)
    most, least = tries(outage_s, 1.0), tries(OUTAGE_S - 2.0, 0.0) - 1
    assert all(least <= count <= most for count in failed.values()), (least, most, failed)
    for name in CAMERAS:
        downs = [told.fields["reason"] for told in watch.told(name, "down")]
        assert downs == ["ended", "refused"], "a line for each reason, not for each try"
        ups = [told.at for told in watch.told(name, "up")]
        assert len(ups) == 2
        assert ups[1] - back <= BACK_S
        assert watch.last("mosaicd_camera_connects_total", name) == 2
        assert watch.lines(name, since=ups[1]), "it is analyzed again"
    assert len([line for line in log.splitlines() if " camera " in line]) <= 4 * len(CAMERAS)
    assert "child died" not in log
