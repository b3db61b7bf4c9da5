"""What systemd would receive, on a real datagram socket."""

import logging
import os
import socket

import pytest

from daemon.notify import NotifyError, Silence, Systemd, open_notifier

PID = 4711


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """A socket to be notified on; systemd-python reads its address from the process's own environment."""
    pytest.importorskip("systemd.daemon", reason="needs systemd-python")
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.settimeout(5)
        server.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield server


def test_everything_arrives(systemd):
    notifier = open_notifier(os.environ, PID)
    notifier.starting("measuring", 900.0)
    notifier.ready("32 cameras")
    notifier.status("30 of 32 cameras up")
    notifier.reloading(12.5)
    notifier.watchdog()
    notifier.stopping(31.0)
    assert [systemd.recv(4096) for _ in range(6)] == [
        b"EXTEND_TIMEOUT_USEC=900000000\nSTATUS=measuring",
        b"READY=1\nSTATUS=32 cameras",
        b"STATUS=30 of 32 cameras up",
        b"RELOADING=1\nMONOTONIC_USEC=12500000",
        b"WATCHDOG=1",
        b"STOPPING=1\nEXTEND_TIMEOUT_USEC=31000000\nSTATUS=stopping",
    ]


def test_a_status_cannot_say_more_than_a_status(systemd):
    open_notifier(os.environ, PID).status("camera door\nMAINPID=1\0 Tür\udc80")
    assert systemd.recv(4096).decode() == "STATUS=camera door MAINPID=1  Tür "


def test_a_listener_that_went_away_costs_nothing(systemd, caplog):
    notifier = open_notifier(os.environ, PID)
    systemd.close()
    with caplog.at_level(logging.WARNING):
        notifier.watchdog()
        notifier.watchdog()
    assert [record.getMessage() for record in caplog.records] == ["cannot notify systemd"]


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": str(PID)}, 2.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({}, None),
    ],
)
def test_the_watchdog_counts_for_its_pid_only(environ, watchdog_s):
    # The library is not used: any module stands in for it.
    notifier = open_notifier({"NOTIFY_SOCKET": "/run/x", **environ}, PID, library="types")
    assert notifier.watchdog_s == watchdog_s


def test_a_watchdog_that_makes_no_sense_is_an_error():
    with pytest.raises(NotifyError, match="WATCHDOG_USEC"):
        open_notifier({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30s"}, PID, library="types")


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "30000000"}])
def test_without_systemd_all_is_silent(environ):
    notifier = open_notifier(environ, PID, library="no_such_package")
    assert isinstance(notifier, Silence)
    assert notifier.watchdog_s is None
    notifier.ready("")
    notifier.status("")
    notifier.watchdog()
    notifier.stopping(1.0)


@pytest.mark.parametrize("is_abstract", [False, True])
def test_without_the_library_the_same_arrives(tmp_path, is_abstract):
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.settimeout(5)
        server.bind(f"\0{name}" if is_abstract else name)
        environ = {"NOTIFY_SOCKET": f"@{name}" if is_abstract else name}
        open_notifier(environ, PID, library="no_such_package.daemon").ready("32 cameras")
        assert server.recv(4096) == b"READY=1\nSTATUS=32 cameras"


def test_without_the_library_a_listener_that_went_away_costs_nothing(tmp_path, caplog):
    notifier = open_notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}, PID, library="no_such_package.daemon")
    with caplog.at_level(logging.WARNING):
        notifier.watchdog()
        notifier.watchdog()
    assert [record.getMessage() for record in caplog.records] == ["cannot notify systemd"]


def test_with_systemd_the_notifier_speaks(systemd):
    assert isinstance(open_notifier(os.environ, PID), Systemd)
