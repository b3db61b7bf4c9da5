"""Cameras that misbehave on demand."""

from collections.abc import Iterator

import pytest

from simulator.camera import CameraSpec
from simulator.faults import Close, Hang, Silent
from simulator.footage import Footage
from simulator.nal import Codec
from simulator.thread import ServerThread
from tests.simulator.clips import FPS
from tests.simulator.depacketize import depacketize
from tests.simulator.raw import RawClient


@pytest.fixture
def server(h264_footage: Footage) -> Iterator[ServerThread]:
    cameras = [CameraSpec("bad", h264_footage), CameraSpec("good", h264_footage)]
    with ServerThread(cameras) as running:
        yield running


def read_all(client: RawClient) -> int:
    """Reads frames until the server closes; says how many came."""
    frames = 0
    try:
        while True:
            client.read_frame()
            frames += 1
    except ConnectionError:
        return frames


def test_silent_camera_accepts_and_never_answers(server: ServerThread) -> None:
    server.set_fault("bad", Silent())
    with RawClient(server.port) as client, RawClient(server.port) as other:
        client.send("OPTIONS", "bad")
        client.send("DESCRIBE", "bad")
        other.play("good")
        for _ in range(5):
            other.read_frame()
        assert client.is_quiet(0.05)
        assert server.statistics().connections == 2


def test_silence_ends_with_the_fault(server: ServerThread) -> None:
    server.set_fault("bad", Silent())
    with RawClient(server.port) as client:
        client.send("DESCRIBE", "bad")
        assert client.is_quiet(0.05)
        server.set_fault("bad", None)
        assert client.ask("DESCRIBE", "bad").headers["cseq"] == "2"


def test_camera_that_hangs_stops_in_mid_stream_and_answers_nothing(h264_footage: Footage) -> None:
    camera = CameraSpec("bad", h264_footage, fault=Hang(after_s=0.2))
    with ServerThread([camera], session_timeout_s=0.3) as server, RawClient(server.port) as client:
        client.play("bad")
        for _ in range(FPS // 5 - 2):
            client.read_frame()
        while not client.is_quiet(0.1):
            client.read_frame()
        client.send("GET_PARAMETER", "bad")
        assert client.is_quiet(0.4)  # past the session's time-out: a camera that hangs closes nothing
        assert server.statistics().connections == 1
        assert FPS // 5 - 1 <= server.statistics().cameras["bad"].frames_sent <= FPS // 5 + 2


def test_running_session_hangs_and_goes_on_from_a_key_frame(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        client.play("bad")
        last = client.read_frame()
        server.set_fault("bad", Hang())
        while not client.is_quiet(0.1):
            last = client.read_frame()
        server.set_fault("bad", None)
        frame = client.read_frame()
        nals = depacketize(Codec.H264, [packet.payload for packet in frame])
        assert Codec.H264.nal_type(nals[0]) == 7
        assert frame[0].sequence != (last[-1].sequence + 1) % 65536
        assert client.ask("GET_PARAMETER", "bad").status == 200


def test_camera_that_closes_does_so_in_mid_stream_each_time(h264_footage: Footage) -> None:
    camera = CameraSpec("bad", h264_footage, fault=Close(after_s=0.2))
    with ServerThread([camera]) as server:
        for _ in range(2):
            with RawClient(server.port) as client:
                client.play("bad")
                assert read_all(client) in range(FPS // 5 - 1, FPS // 5 + 3)


def test_running_session_is_closed_and_others_are_not(server: ServerThread) -> None:
    with RawClient(server.port) as client, RawClient(server.port) as other:
        client.play("bad")
        other.play("good")
        client.read_frame()
        server.set_fault("bad", Close())
        read_all(client)
        other.read_frame()
        assert server.statistics().playing == 1


def test_fault_that_is_taken_back_in_time_does_nothing(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        client.play("bad")
        server.set_fault("bad", Close(after_s=0.1))
        server.set_fault("bad", None)
        for _ in range(FPS // 5):
            client.read_frame()


def test_unknown_camera(server: ServerThread) -> None:
    with pytest.raises(KeyError):
        server.set_fault("cam-99", None)
