"""What the daemon says to systemd, and what it says to nobody."""

import os
import re
import socket
from pathlib import Path

import pytest

from simulator.camera import CameraSpec
from simulator.thread import ServerThread
from tests.system.stage import processes, running, wait_until

pytestmark = pytest.mark.slow


def test_systemd_is_told_ready_status_watchdog_and_stopping(tmp_path, colour_model, colour_clips):
    pytest.importorskip("systemd.daemon", reason="the extra systemd is not installed")
    cameras = {"yard": {"url": f"file:{colour_clips['red']}?loop=1"}}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        said: list[str] = []

        def hear() -> list[str]:
            try:
                while True:
                    said.extend(manager.recv(65536).decode().splitlines())
            except BlockingIOError:
                return said

        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
        with running(tmp_path, colour_model, cameras, environ=environ) as daemon:
            wait_until(lambda: "READY=1" in hear(), "READY=1")
            wait_until(
                lambda: "STATUS=1/1 cameras up, 1/1 mosaics answered, 2/2 workers up" in hear(), lambda: str(said)
            )
            fed = hear().count("WATCHDOG=1")
            wait_until(lambda: hear().count("WATCHDOG=1") >= fed + 3, "the watchdog is fed")
            assert daemon.stop() == 0
        assert "STOPPING=1" in hear()
    assert said.index("READY=1") < said.index("STOPPING=1")


def test_a_password_is_in_no_log_metric_answer_or_process_list(tmp_path, colour_model, colour_footage):
    """Cameras with a right and a wrong password, one of them from a credential, watched at the most talkative level."""
    planted = ("pl4nted:Right@1", "pl4nted/Wrong#2")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "YARD").write_text(planted[0] + "\n")
    specs = [
        CameraSpec(name, colour_footage["red"], username="admin", password=planted[0]) for name in ("right", "wrong")
    ]
    with ServerThread(specs) as server:
        cameras = {
            "right": {"url": server.url("right"), "username": "admin", "password": "${YARD}"},
            "wrong": {"url": server.url("wrong"), "username": "admin", "password": "${GATE_PASSWORD}"},
        }
        environ = {"CREDENTIALS_DIRECTORY": str(credentials), "GATE_PASSWORD": planted[1]}
        settings = {"logging": {"level": "debug"}}
        with running(tmp_path, colour_model, cameras, settings=settings, environ=environ) as daemon:
            wait_until(lambda: daemon.by("camera", "mosaicd_camera_up").get("right") == 1.0, lambda: daemon.log)
            wait_until(lambda: daemon.total("mosaicd_camera_failures_total", reason="unauthorized"), "refused")
            daemon.wait_ready()
            children = daemon.children()
            shown = [daemon.get(path)[1] for path in ("/", "/metrics", "/healthz", "/readyz")]
            shown += [" ".join(command) for _, command in processes()]
            shown += [Path(f"/proc/{pid}/environ").read_bytes().decode() for pid in children.values()]
            assert daemon.stop() == 0
            shown += [daemon.log, (tmp_path / "state" / "sightings.jsonl").read_text()]
    assert len(children) == 3
    leaks = [text for text in shown if re.search(r"pl4nted|Right%401|Wrong%232", text)]
    assert not leaks
    assert oct(os.stat(tmp_path / "state" / "last-good.json").st_mode & 0o777) == "0o600"
