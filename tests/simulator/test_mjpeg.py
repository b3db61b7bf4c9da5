"""MJPEG over plain HTTP, byte by byte and through FFmpeg."""

import base64
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import av
import av.error
import pytest

from simulator.camera import CameraSpec
from simulator.faults import (
    Close,
    Fault,
    Freeze,
    Hang,
    Loss,
    NotFound,
    NotVideo,
    Redirect,
    Refuse,
    Silent,
    Unauthorized,
)
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.clips import read_number


@pytest.fixture
def server(jpeg_footage: Footage, h264_footage: Footage) -> Iterator[ServerThread]:
    cameras = [
        CameraSpec("cam-01", jpeg_footage),
        CameraSpec("locked", jpeg_footage, username="viewer", password="se:cret"),
        CameraSpec("own", jpeg_footage, own_port=True),
        CameraSpec("h264", h264_footage),
    ]
    with ServerThread(cameras) as running:
        yield running


class Client:
    """One request, and the parts of its answer."""

    def __init__(self, url: str, method: str = "GET", **headers: str) -> None:
        parts = urlsplit(url)
        assert parts.port
        self.socket = socket.create_connection(("127.0.0.1", parts.port), 5)
        lines = [f"{method} {parts.path} HTTP/1.1", "Host: x", *(f"{name}: {text}" for name, text in headers.items())]
        self.socket.sendall("\r\n".join((*lines, "", "")).encode())
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def status(self) -> int:
        """Of the answer; its headers are read."""
        line = self.file.readline()
        self.headers = self.read_headers()
        return int(line.split()[1])

    def read_headers(self) -> dict[str, str]:
        """Up to the empty line."""
        lines = iter(lambda: self.file.readline().decode().rstrip("\r\n"), "")
        return {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}

    def picture(self) -> bytes:
        """The next part."""
        assert self.file.readline() == b"--mosaicd-simulator\r\n"
        headers = self.read_headers()
        assert headers["content-type"] == "image/jpeg"
        picture = self.file.read(int(headers["content-length"]))
        assert self.file.readline() == b"\r\n"
        return picture

    def is_at_end(self) -> bool:
        """Whether the server closes; reads all until then."""
        while self.file.read1(65536):
            pass
        return True


def test_pictures_come_whole_and_at_their_pace(server: ServerThread, jpeg_footage: Footage) -> None:
    known = [frame.packets.picture for frame in jpeg_footage.frames]
    with Client(server.mjpeg_url("cam-01")) as client:
        assert client.status() == 200
        assert client.headers["content-type"] == "multipart/x-mixed-replace; boundary=mosaicd-simulator"
        first = known.index(client.picture())
        started = time.monotonic()
        numbers = [known.index(client.picture()) for _ in range(30)]
        assert time.monotonic() - started > 0.4
        assert numbers == [(first + step) % 50 for step in range(1, 31)]
        statistics = server.statistics()
        assert statistics.playing == statistics.cameras["cam-01"].sessions == 1
        assert statistics.cameras["cam-01"].frames_sent > 30


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("cam-02", "GET", 404), ("h264", "GET", 404), ("", "GET", 404), ("cam-01", "POST", 405), ("cam-01", "G T", 400)],
)
def test_refusals(server: ServerThread, path: str, method: str, status: int) -> None:
    with Client(server.mjpeg_url(path), method) as client:
        assert client.status() == status
        assert client.is_at_end()


def test_rubbish_is_refused(server: ServerThread) -> None:
    with Client(server.mjpeg_url("cam-01"), Rubbish="x" * 20_000) as client:
        assert client.status() == 400


@pytest.mark.parametrize(("password", "status"), [("se:cret", 200), ("wrong", 401), (None, 401)])
def test_password(server: ServerThread, password: str | None, status: int) -> None:
    headers = {}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"viewer:{password}".encode()).decode()
    with Client(server.mjpeg_url("locked"), **headers) as client:
        assert client.status() == status
        assert client.headers.get("www-authenticate") == (None if status == 200 else 'Basic realm="mosaicd simulator"')


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Unauthorized(), 401), (NotFound(), 404), (NotVideo(), 404), (Redirect(location="http://127.0.0.1:9/"), 302)],
)
def test_nobody_gets_at_the_stream(server: ServerThread, fault: Fault, status: int) -> None:
    with Client(server.mjpeg_url("cam-01")) as client:
        client.status()
        client.picture()
        server.set_fault("cam-01", fault)
        assert client.is_at_end()
    with Client(server.mjpeg_url("cam-01")) as client:
        assert client.status() == status
        assert client.headers.get("location") == (fault.location if isinstance(fault, Redirect) else None)


def test_refusing_camera_closes(server: ServerThread) -> None:
    server.set_fault("own", Refuse())
    with Client(server.mjpeg_url("own")) as client:
        assert client.is_at_end()


def test_silent_camera(server: ServerThread) -> None:
    server.set_fault("cam-01", Silent())
    with Client(server.mjpeg_url("cam-01")) as client:
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.file.readline()


def test_close_in_mid_stream(server: ServerThread) -> None:
    with Client(server.mjpeg_url("cam-01")) as client:
        client.status()
        client.picture()
        server.set_fault("cam-01", Close())
        assert client.is_at_end()


def test_frozen_picture_and_lost_packets_that_are_none(server: ServerThread) -> None:
    with Client(server.mjpeg_url("cam-01")) as client:
        client.status()
        server.set_fault("cam-01", Freeze())
        assert len({client.picture() for _ in range(20)}) < 10
        server.set_fault("cam-01", Loss(ratio=1))
        assert len({client.picture() for _ in range(40)}) > 10


@pytest.mark.slow
def test_ffmpeg_plays_it_and_times_out_when_it_hangs(server: ServerThread) -> None:
    options = {"timeout": "500000"}
    with av.open(server.mjpeg_url("cam-01"), format="mpjpeg", options=options) as container:
        frames = container.decode(video=0)
        numbers = [read_number(next(frames).to_ndarray(format="gray")) for _ in range(60)]
        assert numbers == [(numbers[0] + step) % 50 for step in range(60)]
        server.set_fault("cam-01", Hang())
        with pytest.raises(av.error.FFmpegError):
            for _ in frames:
                pass
    url = server.mjpeg_url("locked")
    with pytest.raises(av.error.HTTPUnauthorizedError):
        av.open(url, format="mpjpeg", options=options)
    with av.open(url.replace("//", "//viewer:se%3Acret@"), format="mpjpeg", options=options) as container:
        next(container.decode(video=0))
