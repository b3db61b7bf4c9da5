"""What the server answers, seen on the wire."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.raw import RawClient

METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, TEARDOWN"
TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


@pytest.fixture
def server(h264_footage: Footage) -> Iterator[ServerThread]:
    cameras = [
        CameraSpec("cam-01", h264_footage),
        CameraSpec("cam-02", h264_footage, path="/cam/realmonitor?channel=1&subtype=0"),
        CameraSpec("locked", h264_footage, username="viewer", password="secret"),
    ]
    with ServerThread(cameras) as running:
        yield running


@pytest.fixture
def client(server: ServerThread) -> Iterator[RawClient]:
    with RawClient(server.port) as connected:
        yield connected


@pytest.mark.parametrize("target", ["*", "cam-01", "nowhere", "locked"])
def test_options_names_the_methods(client: RawClient, target: str) -> None:
    reply = client.ask("OPTIONS", target)
    assert (reply.status, reply.headers["public"], reply.headers["cseq"]) == (200, METHODS, "1")


def test_describe(client: RawClient) -> None:
    reply = client.ask("DESCRIBE", "cam-01", Accept="application/sdp")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/sdp"
    assert reply.headers["content-base"] == f"{client.url}/cam-01/"
    assert reply.body.startswith("v=0\r\n")


def test_describe_repeats_no_password(client: RawClient) -> None:
    reply = client.ask("DESCRIBE", client.url.replace("//", "//user:secret@") + "/cam-01")
    assert "secret" not in str(reply)


def test_path_with_query_is_a_camera(server: ServerThread, client: RawClient) -> None:
    assert server.url("cam-02").endswith("/cam/realmonitor?channel=1&subtype=0")
    assert client.ask("DESCRIBE", server.url("cam-02")).status == 200
    client.setup("cam/realmonitor?channel=1&subtype=0")


def test_setup_names_session_and_timeout(client: RawClient) -> None:
    reply = client.setup("cam-01")
    assert reply.headers["session"].endswith(";timeout=60")
    assert reply.headers["transport"].startswith("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=")


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("DESCRIBE", "nowhere", {}, 404),
        ("DESCRIBE", "cam-01/audio", {}, 404),
        ("DESCRIBE", "", {}, 404),
        ("DESCRIBE", "../etc/passwd", {}, 404),
        ("DESCRIBE", "cam-01", {"Accept": "text/html"}, 406),
        ("DESCRIBE", "locked", {}, 401),
        ("SETUP", "locked/video", {"Transport": TCP}, 401),
        ("SETUP", "cam-01/video", {"Transport": "RTP/AVP;multicast"}, 461),
        ("SETUP", "cam-01/video", {}, 461),
        ("SETUP", "cam-01/video", {"Transport": TCP, "Session": "nobody"}, 454),
        ("PLAY", "cam-01", {}, 454),
        ("PLAY", "cam-01", {"Session": "nobody"}, 454),
        ("PAUSE", "cam-01", {"Session": "nobody"}, 454),
        ("TEARDOWN", "cam-01", {}, 454),
        ("GET_PARAMETER", "cam-01", {"Session": "nobody"}, 454),
        ("GET_PARAMETER", "cam-01", {}, 200),
        ("RECORD", "cam-01", {}, 501),
        ("play", "cam-01", {}, 501),
        ("DESCRIBE", "cam-01", {"CSeq": "one"}, 400),
        ("DESCRIBE", "cam-01", {"Require": "implicit-play"}, 551),
    ],
)
def test_refusals_leave_the_connection_usable(
    client: RawClient, method: str, target: str, headers: dict[str, str], status: int
) -> None:
    assert client.ask(method, target, **headers).status == status
    assert client.ask("DESCRIBE", "cam-01").status == 200


@pytest.mark.parametrize("range_", ["npt=-5", "clock=19961108T142300Z-", "bytes=0-", "npt=9-3"])
def test_unusable_range(client: RawClient, range_: str) -> None:
    client.setup("cam-01")
    assert client.ask("PLAY", "cam-01", Range=range_).status == 457


def test_setup_while_playing(client: RawClient) -> None:
    client.play("cam-01")
    assert client.ask("SETUP", "cam-01/video", Transport=TCP).status == 455


def test_second_setup_replaces_the_first(client: RawClient) -> None:
    client.setup("cam-01", "RTP/AVP;unicast;client_port=9998-9999")
    before, client.session = client.session, ""
    client.setup("cam-01")
    assert client.ask("PLAY", "cam-01", Session=before).status == 454
    client.play("cam-01")
    assert client.read_packet().channel == 0


def test_session_may_be_named_with_its_timeout(client: RawClient) -> None:
    client.setup("cam-01")
    assert client.ask("GET_PARAMETER", "cam-01", Session=f"{client.session};timeout=60").status == 200


def test_teardown_ends_the_session_not_the_connection(server: ServerThread, client: RawClient) -> None:
    client.play("cam-01")
    assert server.statistics().playing == 1
    assert client.ask("TEARDOWN", "cam-01").status == 200
    assert server.statistics().playing == 0
    assert client.ask("PLAY", "cam-01").status == 454
    client.session = ""
    client.play("cam-01")


def test_other_version(client: RawClient) -> None:
    client.socket.sendall(b"OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n")
    assert client.reply().status == 505


@pytest.mark.parametrize("rubbish", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"x" * 20_000])
def test_what_is_no_rtsp_is_answered_400_and_closed(server: ServerThread, client: RawClient, rubbish: bytes) -> None:
    client.socket.sendall(rubbish)
    assert client.reply().status == 400
    client.wait_closed()
    with RawClient(server.port) as another:
        assert another.ask("DESCRIBE", "cam-01").status == 200


def test_client_that_asks_without_reading_is_disconnected(server: ServerThread) -> None:
    with RawClient(server.port, receive_buffer_bytes=4096) as client:
        request = b"DESCRIBE rtsp://h/cam-01 RTSP/1.0\r\nCSeq: 1\r\n\r\n" * 1000
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.socket.sendall(request * 1000)


def test_two_cameras_of_one_path_are_refused(h264_footage: Footage) -> None:
    camera = CameraSpec("cam-01", h264_footage)
    with pytest.raises(ValueError, match="share a name or a path"):
        ServerThread([camera, replace(camera, name="cam-02", path="cam-01/")])


def test_session_serves_its_own_camera_only(server: ServerThread, client: RawClient) -> None:
    client.setup("cam-01")
    assert client.ask("PLAY", server.url("cam-02")).status == 454
    assert client.ask("PLAY", "cam-01/video").status == 200
