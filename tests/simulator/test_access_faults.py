"""Nobody gets at the stream."""

import socket
from collections.abc import Iterator

import pytest

from simulator.camera import CameraSpec
from simulator.faults import AccessFault, FaultError, NotFound, NotVideo, Redirect, Refuse, Switch, Unauthorized
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.raw import RawClient


@pytest.fixture
def server(h264_footage: Footage) -> Iterator[ServerThread]:
    cameras = [CameraSpec("bad", h264_footage, own_port=True), CameraSpec("good", h264_footage)]
    with ServerThread(cameras) as running:
        yield running


def port_of(server: ServerThread, name: str) -> int:
    return int(server.url(name).split(":")[2].partition("/")[0])


def test_camera_with_its_own_port_is_at_no_other(server: ServerThread) -> None:
    own = port_of(server, "bad")
    assert own != server.port == port_of(server, "good")
    for port, camera, status in ((own, "bad", 200), (own, "good", 404), (server.port, "bad", 404)):
        with RawClient(port) as client:
            assert client.ask("DESCRIBE", camera).status == status


def test_refusing_camera_closes_what_runs_and_comes_back_at_its_port(server: ServerThread) -> None:
    port = port_of(server, "bad")
    with RawClient(port) as client, RawClient(port) as idle, RawClient(server.port) as other:
        client.play("bad")
        other.play("good")
        client.read_frame()
        server.set_fault("bad", Refuse())
        client.wait_closed()
        idle.wait_closed()
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 1)
        other.read_frame()
        server.set_fault("bad", None)
        with RawClient(port) as again:
            again.play("bad")
            again.read_frame()


def test_camera_that_shares_its_port_cannot_refuse(server: ServerThread) -> None:
    with pytest.raises(FaultError, match="good shares its port"):
        server.set_fault("good", Refuse())
    with pytest.raises(FaultError, match="no camera 'bda'; did you mean 'bad'"):
        server.set_fault("good", Switch(to="bda"))
    assert server.statistics().cameras["good"].fault is None


def test_fault_that_a_camera_cannot_have_from_the_start(h264_footage: Footage) -> None:
    with pytest.raises(FaultError, match="shares its port"):
        ServerThread([CameraSpec("bad", h264_footage, fault=Refuse())]).start()


def test_refuses_from_the_start_for_a_while(h264_footage: Footage) -> None:
    with ServerThread([CameraSpec("bad", h264_footage, own_port=True, fault=Refuse(for_s=0.2))]) as server:
        port = port_of(server, "bad")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1)
        while server.statistics().cameras["bad"].fault is not None:
            pass
        with RawClient(port) as client:
            client.play("bad")
            client.read_frame()


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Unauthorized(), 401), (NotFound(), 404), (Redirect(location="rtsp://127.0.0.1:9/x"), 302)],
)
def test_running_session_ends_and_new_ones_are_refused(server: ServerThread, fault: AccessFault, status: int) -> None:
    port = port_of(server, "bad")
    with RawClient(port) as client:
        client.play("bad")
        client.read_frame()
        server.set_fault("bad", fault)
        client.wait_closed()
    with RawClient(port) as client:
        reply = client.ask("DESCRIBE", "bad")
        assert reply.status == status
        assert reply.headers.get("location") == (fault.location if isinstance(fault, Redirect) else None)
        assert ("www-authenticate" in reply.headers) == (status == 401)
    server.set_fault("bad", None)
    with RawClient(port) as client:
        client.play("bad")
        client.read_frame()


def test_sound_without_video(server: ServerThread) -> None:
    port = port_of(server, "bad")
    server.set_fault("bad", NotVideo())
    with RawClient(port) as client:
        body = client.ask("DESCRIBE", "bad").body
        assert "m=audio 0 RTP/AVP 96\r\n" in body
        assert "video 0" not in body
        client.play("bad")
        assert len(client.read_packet().payload) == 900
        server.set_fault("bad", None)
        client.wait_closed()
    with RawClient(port) as client:
        assert "m=video" in client.ask("DESCRIBE", "bad").body
