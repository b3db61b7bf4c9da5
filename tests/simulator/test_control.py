"""`mosaicd simulate` with faults: by schedule and over HTTP, in a real process."""

import json
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.simulator.raw import RawClient
from tests.simulator.test_run import Simulate, read_roster, simulate

__all__ = ["simulate"]

pytestmark = pytest.mark.slow


class Control:
    """A client of the control."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        found = re.search(r"control on (http://127.0.0.1:\d+)/cameras", process.stderr.readline())
        assert found
        self.url = found[1]

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON, or text."""
        named = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        request = Request(self.url + path, body, named, method=method)
        try:
            with urlopen(request, timeout=10) as reply:
                return reply.status, json.load(reply)
        except HTTPError as error:
            with error:
                text = error.read().decode()
                return error.code, json.loads(text) if text.startswith("{") else text

    def camera(self, name: str) -> dict[str, Any]:
        """What is said of one camera."""
        return next(camera for camera in self.ask("GET", "/cameras")[1] if camera["name"] == name)


def ports(roster: str) -> list[int]:
    return [int(port) for port in re.findall(r":(\d+)/", roster)]


def test_faults_over_http(simulate: Simulate, h264_clip: Path) -> None:
    process = simulate(cameras=2, videos=(h264_clip,), port=0, control=0, own_ports=True)
    first, second = ports(read_roster(process, 2))
    assert first != second
    control = Control(process)
    with RawClient(first) as client:
        client.play("cam-01")
        client.read_frame()
        told = control.camera("cam-01")
        assert told["frames_sent"] > 0
        assert (told["fault"], told["sessions"], told["frames_dropped"]) == (None, 1, 0)
        assert told["url"].endswith(f":{first}/cam-01")
        status, reply = control.ask("POST", "/cameras/1/fault", b'{"kind": "hang", "for_s": 100}')
        hang = {"kind": "hang", "for_s": 100, "after_s": 0}
        assert (status, reply) == (200, {"name": "cam-01", "fault": hang})
        while not client.is_quiet(0.1):
            client.read_frame()
        assert control.camera("cam-01")["fault"] == hang
        assert control.ask("DELETE", "/cameras/cam-01/fault") == (200, {"name": "cam-01", "fault": None})
        client.read_frame()
    assert control.ask("POST", "/cameras/cam-02/fault", b'{"kind": "refuse"}')[0] == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", second), 5)
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert process.returncode == 0, err


def test_nonsense_over_http(simulate: Simulate, h264_clip: Path) -> None:
    process = simulate(cameras=2, videos=(h264_clip,), port=0, control=0)
    read_roster(process, 2)
    control = Control(process)
    for body, said in (
        (b"{", "no JSON"),
        (b"[" * 10_000, "no JSON"),
        (b"[]", "should be an object"),
        (b'{"kind": "hnag"}', "no kind 'hnag'; did you mean 'hang'?"),
        (b'{"kind": "loss", "ratio": 7}', "loss: ratio: Expected `float` <= 1.0"),
        (b'{"kind": "refuse"}', "cam-01 shares its port"),
        (b'{"kind": "switch", "to": "cam-2"}', "no camera 'cam-2'; did you mean 'cam-02'?"),
        (b" " * 20_000, "takes no 16384 bytes"),
    ):
        status, reply = control.ask("POST", "/cameras/cam-01/fault", body)
        assert status == 400
        assert said in reply["error"]
    for camera in ("0", "3", "cam-3", "%2e%2e"):
        status, reply = control.ask("POST", f"/cameras/{camera}/fault", b'{"kind": "hang"}')
        assert status == 404
        assert control.ask("DELETE", f"/cameras/{camera}/fault")[0] == 404
    assert control.ask("POST", "/cameras/1/fault", b'{"kind": "hang"}', Content_Type="text/plain")[0] == 400
    assert control.ask("GET", "/cameras", Host="attacker.example")[0] == 400
    assert control.camera("cam-01")["fault"] is None


def test_schedule_is_performed(simulate: Simulate, h264_clip: Path, tmp_path: Path) -> None:
    schedule = tmp_path / "faults.yaml"
    schedule.write_text("- {at_s: 0.1, every_s: 1000, camera: 2, kind: silent}\n- {camera: 1, kind: not_found}\n")
    process = simulate(cameras=2, videos=(h264_clip,), port=0, control=0, faults=schedule)
    (port, _) = ports(read_roster(process, 2))
    control = Control(process)
    deadline = time.monotonic() + 10
    while control.camera("cam-02")["fault"] is None:
        assert time.monotonic() < deadline
    with RawClient(port) as client:
        assert client.ask("DESCRIBE", "cam-01").status == 404
        client.send("DESCRIBE", "cam-02")
        assert client.is_quiet(0.1)
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert process.returncode == 0, err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("- {camera: 1, kind: hnag}", "entry 1: no kind 'hnag'; did you mean 'hang'?"),
        ("- {camera: all, kind: hang}\n- {camera: all, kind: refuse}", "entry 2: cam-01 shares its port with others"),
        ("- {camera: 1, kind: switch, to: cam-7}", "entry 1: no camera 'cam-7'; did you mean "),
    ],
)
def test_schedule_that_makes_no_sense(
    simulate: Simulate, h264_clip: Path, tmp_path: Path, text: str | None, said: str
) -> None:
    schedule = tmp_path / "faults.yaml"
    if text is not None:
        schedule.write_text(text)
    process = simulate(cameras=2, videos=(h264_clip,), port=0, faults=schedule)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"mosaicd simulate: {schedule}: ")
    assert said in err
    assert err.count("\n") == 1
