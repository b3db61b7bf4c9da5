"""RTSP over TLS, as FFmpeg plays it."""

import socket
import ssl
from collections.abc import Iterator

import av
import av.error
import pytest
import trustme

from simulator.camera import CameraSpec
from simulator.faults import Hang
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.clips import FPS
from tests.simulator.test_client_pyav import options, watch


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA, h264_footage: Footage) -> Iterator[ServerThread]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    cameras = [
        CameraSpec("cam-01", h264_footage),
        CameraSpec("locked", h264_footage, username="viewer", password="secret", own_port=True),
    ]
    with ServerThread(cameras, tls=context) as running:
        yield running


@pytest.mark.slow
def test_ffmpeg_plays_it(server: ServerThread) -> None:
    assert server.url("cam-01") == f"rtsps://127.0.0.1:{server.port}/cam-01"
    seen = watch(server.url("cam-01"), 30)
    assert [time_s for time_s, _ in seen[1:]] == pytest.approx([step / FPS for step in range(1, 30)])


@pytest.mark.slow
def test_password_and_own_port(server: ServerThread) -> None:
    assert len(watch(server.url("locked").replace("//", "//viewer:secret@"), 3)) == 3
    with pytest.raises(av.error.HTTPUnauthorizedError):
        watch(server.url("locked"), 1)


@pytest.mark.slow
def test_camera_hangs(server: ServerThread) -> None:
    with av.open(server.url("cam-01"), options=options(timeout_s=0.5)) as container:
        frames = container.decode(video=0)
        next(frames)
        server.set_fault("cam-01", Hang())
        with pytest.raises(av.error.FFmpegError):
            for _ in frames:
                pass


def test_certificate_is_the_one_given(server: ServerThread, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with (
        socket.create_connection(("127.0.0.1", server.port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(f"DESCRIBE {server.url('cam-01')} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"RTSP/1.0 200 OK\r\n")


def test_client_without_tls_is_let_go(server: ServerThread) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 5) as client:
        client.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        while client.recv(4096):
            pass
    assert server.statistics().connections == 0


def test_stop_does_not_wait_for_a_handshake(server: ServerThread) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 5) as client:
        server.statistics()
        server.stop()
        client.settimeout(5)
        assert client.recv(1) == b""
