"""Every fault by chance, many a second, on sessions that come and go: the simulator itself takes none amiss."""

import threading
from pathlib import Path

import pytest

from tests.simulator.raw import RawClient
from tests.simulator.test_control import Control, ports
from tests.simulator.test_run import Simulate, read_roster, simulate

__all__ = ["simulate"]

CAMERAS = 4


def watch_again_and_again(port: int, camera: str, stop: threading.Event) -> None:
    """Plays, over TCP and UDP in turn, whatever becomes of it."""
    turn = 0
    while not stop.is_set():
        turn += 1
        try:
            with RawClient(port) as client:
                client.socket.settimeout(0.3)
                client.setup(camera, "RTP/AVP;unicast;client_port=9998-9999" if turn % 2 else "RTP/AVP/TCP;unicast")
                client.play(camera)
                for _ in range(40):
                    client.read_interleaved()
        except (OSError, AssertionError):
            continue


@pytest.mark.slow
def test_random_faults(simulate: Simulate, h264_clip: Path, h265_clip: Path, tmp_path: Path) -> None:
    schedule = tmp_path / "faults.yaml"
    schedule.write_text(
        "- random: {seed: 3, rate_hz: 40, for_s: 0.3}\n- random: {seed: 4, rate_hz: 5, for_s: 0.1, kinds: [refuse]}\n"
    )
    videos = (h264_clip, h265_clip)
    process = simulate(cameras=CAMERAS, videos=videos, port=0, control=0, own_ports=True, faults=schedule)
    own = ports(read_roster(process, CAMERAS))
    control = Control(process)
    stop = threading.Event()
    watchers = [
        threading.Thread(target=watch_again_and_again, args=(port, f"cam-0{number}", stop))
        for number, port in enumerate(own, start=1)
    ]
    for watcher in watchers:
        watcher.start()
    seen: set[str] = set()
    try:
        while len(seen) < 21 or not all(camera["frames_sent"] > 200 for camera in control.ask("GET", "/cameras")[1]):
            seen |= {camera["fault"]["kind"] for camera in control.ask("GET", "/cameras")[1] if camera["fault"]}
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join(10)
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in err
