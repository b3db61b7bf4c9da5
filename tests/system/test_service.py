"""What the daemon says to systemd."""

import socket

import pytest

from tests.system.stage import running, wait_until

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
        # As the end begins, not when all is over: ten seconds for each kind of child, and the rest.
        first, last = (index for index, line in enumerate(hear()) if line == "STOPPING=1")
        assert "EXTEND_TIMEOUT_USEC=46000000" in said[first:last]
    assert said.index("READY=1") < said.index("STOPPING=1")
