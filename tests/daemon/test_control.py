"""The control socket with real sockets: one request, one reply, and nobody who connects can hold it up."""

import errno
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from capture.channel import Channel
from daemon.control import (
    CONNECTIONS,
    FILE_NAME,
    REQUEST_S,
    Asked,
    Control,
    ControlError,
    NotRunningError,
    TakenError,
    ask,
)
from daemon.orders import ListWorkers, NoSuchWorker, Refused, Reply, Request, RestartWorker, WorkerList

DEADLINE_S = 20.0
NOBODY = WorkerList(())


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def control(tmp_path: Path, clock: Clock) -> Iterator[Control]:
    control = Control(tmp_path, clock)
    yield control
    control.close()


def connect(folder: Path) -> socket.socket:
    """A connection that says nothing."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(str(folder / FILE_NAME))
    return connection


def take(control: Control, count: int = 1) -> list[Asked]:
    """Turn until so many requests have come."""
    end_s = time.monotonic() + DEADLINE_S
    asked: list[Asked] = []
    while len(asked) < count:
        assert time.monotonic() < end_s
        asked += control.take()
    return asked


@contextmanager
def asking(folder: Path, request: Request) -> Iterator[list[Reply | Exception]]:
    """Ask in a thread; what came of it is in the list afterwards."""
    came: list[Reply | Exception] = []

    def run() -> None:
        try:
            came.append(ask(folder, request, DEADLINE_S))
        except ControlError as error:
            came.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield came
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("request_", [ListWorkers(), RestartWorker("w1")])
def test_a_request_gets_its_reply(tmp_path: Path, control: Control, request_: Request) -> None:
    with asking(tmp_path, request_) as came:
        (asked,) = take(control)
        assert asked.request == request_
        asked.answer(NoSuchWorker("w1", ("w2",)))
    assert came == [NoSuchWorker("w1", ("w2",))]
    assert control.take() == []


def test_a_reply_may_come_later_while_others_are_answered(tmp_path: Path, control: Control, clock: Clock) -> None:
    with asking(tmp_path, RestartWorker("late")) as first:
        (slow,) = take(control)
        with asking(tmp_path, ListWorkers()) as second:
            take(control)[0].answer(NOBODY)
        clock.now_s += 100 * REQUEST_S
        assert control.take() == []
        slow.answer(Refused("no"))
    assert (first, second) == ([Refused("no")], [NOBODY])


def test_only_its_owner_may_open_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        control = Control(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    control.close()


def test_a_path_longer_than_an_address_will_do(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    control = Control(folder)
    with asking(folder, ListWorkers()) as came:
        take(control)[0].answer(NOBODY)
    control.close()
    assert came == [NOBODY]
    assert list(folder.iterdir()) == []


def test_a_socket_that_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
        left.bind(str(tmp_path / FILE_NAME))
    control = Control(tmp_path)
    with asking(tmp_path, ListWorkers()) as came:
        take(control)[0].answer(NOBODY)
    control.close()
    assert came == [NOBODY]


def test_two_daemons_do_not_share_a_folder(tmp_path: Path, control: Control) -> None:
    with pytest.raises(TakenError, match="another mosaicd runs with the state folder"):
        Control(tmp_path)
    with ExitStack() as stack:
        is_full = False
        while not is_full:  # until no more wait in the kernel
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            connection.setblocking(False)
            is_full = connection.connect_ex(str(tmp_path / FILE_NAME)) == errno.EAGAIN
        with pytest.raises(TakenError):
            Control(tmp_path)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_socket_is_not_removed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / FILE_NAME
    path.touch() if kind == "file" else path.mkdir()
    with pytest.raises(ControlError, match=FILE_NAME):
        Control(tmp_path)
    assert path.exists()


def test_without_a_folder_there_is_no_socket(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="cannot be made"):
        Control(tmp_path / "none")


def test_who_says_nothing_is_let_go_and_holds_nobody_up(tmp_path: Path, control: Control, clock: Clock) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(tmp_path)) for _ in range(CONNECTIONS)]
        assert control.take() == []
        with asking(tmp_path, ListWorkers()) as came:
            clock.now_s += REQUEST_S
            take(control)[0].answer(NOBODY)
        assert came == [NOBODY]
        for connection in silent:
            connection.settimeout(DEADLINE_S)
            assert connection.recv(10) == b""


@pytest.mark.parametrize("said", [b"garbage", b"\x81\xa4type\xa3Bad", b"x" * 100_000, b"\x91" * 5000])
def test_what_is_no_request_is_refused(tmp_path: Path, control: Control, said: bytes) -> None:
    with connect(tmp_path) as connection:
        connection.send(said)
        assert control.take() == []
        answer = Channel(connection, Reply).receive()
        assert answer is not None
        assert isinstance(answer.message, Refused)
        assert "another version" in answer.message.why


def test_a_name_without_an_end_is_refused(tmp_path: Path, control: Control) -> None:
    with asking(tmp_path, RestartWorker("w" * 101)) as came:
        while not came:
            assert control.take() == []
    assert isinstance(came[0], Refused)


def test_who_has_gone_before_the_answer_does_no_harm(tmp_path: Path, control: Control) -> None:
    with connect(tmp_path) as connection:
        Channel(connection, Reply).send(ListWorkers())
    take(control)[0].answer(NOBODY)


def test_descriptors_are_not_taken_and_none_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    control = Control(tmp_path)
    with connect(tmp_path) as connection:
        Channel(connection, Reply).send(ListWorkers(), (0, 1))
        asked = take(control)
        asked[0].answer(NOBODY)
    with connect(tmp_path):
        control.take()
        control.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_closed_one_leaves_no_file(tmp_path: Path) -> None:
    Control(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", ["nothing", "a socket", "no folder"])
def test_without_a_daemon_the_path_and_how_to_start_one_are_said(tmp_path: Path, left: str) -> None:
    folder = tmp_path / "none" if left == "no folder" else tmp_path
    if left == "a socket":
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
            dead.bind(str(folder / FILE_NAME))
    with pytest.raises(NotRunningError) as caught:
        ask(folder, ListWorkers())
    assert str(folder / FILE_NAME) in str(caught.value)
    assert "mosaicd run" in str(caught.value)


def test_a_daemon_that_does_not_answer_is_said(tmp_path: Path, control: Control) -> None:
    with pytest.raises(ControlError, match="did not answer within"):
        ask(tmp_path, ListWorkers(), within_s=0.05)


def test_a_daemon_that_hangs_up_is_said(tmp_path: Path, control: Control, clock: Clock) -> None:
    with asking(tmp_path, ListWorkers()) as came:
        take(control)[0].channel.close()
    assert isinstance(came[0], ControlError)
    assert "no valid answer" in str(came[0])
