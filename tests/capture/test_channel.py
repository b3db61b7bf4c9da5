"""The channel: typed messages and descriptors, no blocking, last words, and nothing that a hostile peer can break."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.channel import MAX_FDS, MAX_MESSAGE_BYTES, Channel, ChannelClosedError, ProtocolError
from capture.child import wait_readable
from capture.messages import (
    CameraSpec,
    CaptureReport,
    CaptureSetup,
    FromChild,
    FromSupervisor,
    LastWords,
    MosaicReport,
    OpenMosaic,
    Ready,
    SlotOpened,
    Stop,
    WorkerReport,
)

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    """The supervisor's end and the child's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channels = Channel(ours, FromChild), Channel(theirs, FromSupervisor)
    yield channels
    for channel in channels:
        channel.close()


@pytest.fixture
def raw() -> Iterator[tuple[Channel, socket.socket]]:
    """The supervisor's end, and a plain socket in the hands of a child that may be anything."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours, FromChild)
    with theirs:
        yield channel, theirs
    channel.close()


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def send_raw(sock: socket.socket, payload: bytes, fds: Sequence[int] = ()) -> None:
    sock.sendmsg([payload], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else [])


def test_messages_travel_whole_and_in_order(pair: tuple[Channel, Channel]) -> None:
    ours, theirs = pair
    spec = CameraSpec("cam-1", "rtsp://[::1]:554/x?y=1", 12.5, "ü:@/", "p%20#?", 2**60)
    sent = [CaptureSetup((832, 512), 5.0, 2.0, 5.0, 5.0), OpenMosaic("m1", (spec, None, None, None), 0.25), Stop()]
    for message in sent:
        assert ours.send(message)
    for message in sent:
        received = theirs.receive()
        assert received is not None
        assert received.message == message
        assert received.fds == ()
    assert theirs.receive() is None


def test_nothing_waiting_is_none_at_once(pair: tuple[Channel, Channel]) -> None:
    assert pair[0].receive() is None
    assert wait_readable([pair[0].fileno()], 0) == []


def test_a_message_wakes_whoever_waits(pair: tuple[Channel, Channel]) -> None:
    assert pair[1].send(Ready(1.0))
    assert wait_readable([pair[0].fileno()], 5) == [pair[0].fileno()]


def test_a_password_is_in_no_repr() -> None:
    spec = CameraSpec("cam-1", "rtsp://host/?pw=s3cret", 5.0, "admin", "s3cret")
    message = OpenMosaic("m1", (spec, None, None, None))
    assert "s3cret" not in f"{spec!r} {spec} {message!r} {message}"


def test_descriptors_travel_and_are_close_on_exec(pair: tuple[Channel, Channel]) -> None:
    ours, theirs = pair
    first, second = os.memfd_create("a", 0), os.eventfd(7)
    try:
        assert os.get_inheritable(first)
        assert theirs.send(SlotOpened("m1"), (first, second))
        assert theirs.send(Ready())
    finally:
        os.close(first)
        os.close(second)
    received = ours.receive()
    assert received is not None
    assert received.message == SlotOpened("m1")
    memory, wake = received.fds
    assert not os.get_inheritable(memory)
    assert not os.get_inheritable(wake)
    assert os.readlink(f"/proc/self/fd/{memory}").startswith("/memfd:a")
    assert os.eventfd_read(wake) == 7
    os.close(memory)
    os.close(wake)
    following = ours.receive()
    assert following is not None
    assert following.fds == ()


def test_a_receiver_that_does_not_read_gives_false_and_blocks_nobody(pair: tuple[Channel, Channel]) -> None:
    ours, theirs = pair
    sent = 0
    while ours.send(Stop()):
        sent += 1
        assert sent < 100_000
    assert sent > 100
    for _ in range(sent):
        received = theirs.receive()
        assert received is not None
    assert theirs.receive() is None
    assert ours.send(Stop())


def test_descriptors_of_a_message_that_could_not_be_sent_stay_with_the_sender(pair: tuple[Channel, Channel]) -> None:
    ours, _ = pair
    while ours.send(Stop()):
        pass
    before = open_fds()
    assert not ours.send(Stop(), (0, 1))
    assert open_fds() == before


def test_the_largest_message_fits_and_a_larger_one_is_refused(pair: tuple[Channel, Channel]) -> None:
    ours, theirs = pair
    frame = len(msgspec.msgpack.encode(LastWords(1, "x" * 100_000))) - 100_000
    words = LastWords(1, "x" * (MAX_MESSAGE_BYTES - frame))
    assert theirs.send(words)
    received = ours.receive()
    assert received is not None
    assert received.message == words
    with pytest.raises(ValueError, match="LastWords of 200001 bytes"):
        theirs.send(LastWords(1, words.message + "x"))


def test_the_end_is_told_after_all_that_was_said(pair: tuple[Channel, Channel]) -> None:
    ours, theirs = pair
    theirs.send(Ready(3.0))
    theirs.send(LastWords(71, "out of memory"))
    theirs.close()
    first, second = ours.receive(), ours.receive()
    assert first is not None and second is not None
    assert (first.message, second.message) == (Ready(3.0), LastWords(71, "out of memory"))
    for _ in range(2):
        with pytest.raises(ChannelClosedError):
            ours.receive()


def test_sending_to_one_who_is_gone_is_false(pair: tuple[Channel, Channel]) -> None:
    ours, theirs = pair
    theirs.close()
    assert not ours.send(Stop())
    ours.close()
    assert not ours.send(Stop())


LAST_WORDS = """
import os, signal, socket, sys
from capture.channel import Channel
from capture.messages import (FromSupervisor, LastWords, Ready)
channel = Channel(socket.socket(fileno=int(sys.argv[1])), FromSupervisor)
channel.send(Ready(1.0))
channel.send(LastWords(71, "no memory left"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_last_words_of_a_child_killed_with_unread_input_are_read() -> None:
    """recv raises ECONNRESET first, and hands out what was said only after."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel: Channel = Channel(ours, FromChild)
    try:
        with theirs:
            assert channel.send(Stop())
            assert channel.send(Stop())
            command = [sys.executable, "-c", LAST_WORDS, str(theirs.fileno())]
            child = subprocess.Popen(command, pass_fds=(theirs.fileno(),), cwd=ROOT)
        assert child.wait(DEADLINE_S) == -signal.SIGKILL
        said = []
        with contextlib.suppress(ChannelClosedError):
            while (received := channel.receive()) is not None:
                said.append(received.message)
        assert said == [Ready(1.0), LastWords(71, "no memory left")]
    finally:
        channel.close()


def encoded(**fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


def deep(levels: int) -> bytes:
    return b"\x91" * levels + b"\xc0"


def nested_unknown_field() -> bytes:
    """A field that nobody knows, nested too deep to skip, where unknown fields are skipped."""
    mosaic = {"mosaic": "m", "composed": 1, "skipped": 1, "live_tiles": 1, "zz": 77}
    report = {"type": "CaptureReport", "cameras": [], "mosaics": [mosaic], "steps": 1, "cpu_s": 0.0, "memory_mib": 0.0}
    return msgspec.msgpack.encode(report).replace(b"\xa2zz\x4d", b"\xa2zz" + deep(100_000))


HOSTILE = {
    "no msgpack": b"\xc1\xc1\xc1",
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "a NUL": b"\0",
    "no type": encoded(memory_mib=1.0),
    "unknown type": encoded(type="Reboot"),
    "a message of the other direction": msgspec.msgpack.encode(Stop()),
    "unknown field": encoded(type="Ready", memory_mib=1.0, detail="", more=1),
    "missing field": encoded(type="LastWords", exit_code=1),
    "wrong kind of value": encoded(type="Ready", memory_mib="much"),
    "cut off": msgspec.msgpack.encode(LastWords(1, "words"))[:-2],
    "two in one": msgspec.msgpack.encode(Ready()) * 2,
    "text that is no UTF-8": encoded(type="Ready", detail="xx").replace(b"\xa2xx", b"\xa2\xff\xfe"),
    "field name that is no UTF-8": b"\x82\xa4type\xa5Ready\xa2\xff\xfe\x01",
    "deep nesting": deep(150_000),
    "deep nesting in front": b"\x82\xa2zz" + deep(150_000) + b"\xa4type\xa5Ready",
    "deep nesting to be skipped": nested_unknown_field(),
    "array of 2^32 - 1": b"\x86\xa4type\xadCaptureReport\xa7cameras\xdd\xff\xff\xff\xff",
    "number over 64 bits": encoded(type="WorkerReport", answered=1.5e300, stale=0, torn=0, cpu_s=0, memory_mib=0),
    "too long": b"x" * (MAX_MESSAGE_BYTES + 2),
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_message_is_a_protocol_error_and_its_descriptors_are_closed(
    raw: tuple[Channel, socket.socket], payload: bytes
) -> None:
    channel, sock = raw
    before = open_fds()
    send_raw(sock, payload, (0, 1))
    with pytest.raises(ProtocolError):
        channel.receive()
    assert open_fds() == before
    send_raw(sock, msgspec.msgpack.encode(Ready(2.0)))
    received = channel.receive()
    assert received is not None
    assert received.message == Ready(2.0)


def test_more_descriptors_than_allowed_are_refused_and_closed(raw: tuple[Channel, socket.socket]) -> None:
    channel, sock = raw
    before = open_fds()
    send_raw(sock, msgspec.msgpack.encode(Ready()), (0,) * (MAX_FDS + 1))
    with pytest.raises(ProtocolError, match="truncated"):
        channel.receive()
    assert open_fds() == before


def test_an_empty_message_is_the_end_and_leaves_no_descriptor(raw: tuple[Channel, socket.socket]) -> None:
    """It cannot be told from the end; a child that sends one is as good as gone."""
    channel, sock = raw
    before = open_fds()
    send_raw(sock, b"", (0, 1))
    with pytest.raises(ChannelClosedError):
        channel.receive()
    assert open_fds() == before


def test_unknown_fields_of_nested_structs_are_let_through(raw: tuple[Channel, socket.socket]) -> None:
    channel, sock = raw
    report = CaptureReport((), (MosaicReport("m1", 1, 2, 3),), 1, 0.5, 10.0)
    send_raw(sock, msgspec.msgpack.encode(report))
    received = channel.receive()
    assert received is not None
    assert received.message == report


@given(st.binary(min_size=1, max_size=300))
def test_random_bytes_never_raise_anything_else(payload: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel: Channel = Channel(ours, FromChild)
    with theirs:
        theirs.send(payload)
        with contextlib.suppress(ProtocolError):
            channel.receive()
    channel.close()


@given(st.data())
def test_a_message_with_one_byte_changed_never_raises_anything_else(data: st.DataObject) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel: Channel = Channel(ours, FromChild)
    payload = bytearray(msgspec.msgpack.encode(WorkerReport(1, 2, 3, 4.5, 6.5)))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with theirs:
        theirs.send(payload)
        with contextlib.suppress(ProtocolError):
            channel.receive()
    channel.close()
