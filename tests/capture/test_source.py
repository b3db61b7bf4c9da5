"""A source: frames of real streams and files, every way of failing by its name, and a password that never shows."""

import contextlib
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import av
import pytest

from capture.decoder import Frame, Tally, read_frames
from capture.failures import SourceError
from capture.source import SourceOptions
from capture.words import Reason
from simulator.auth import AuthScheme
from simulator.camera import CameraSpec
from simulator.demux import load_footage
from simulator.faults import Close, Hang, Silent
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.clips import FPS, FRAMES, encode_clip, read_number, remux

USER, PASSWORD = "admin", "s3:cr@t/pass %41"
DEADLINE_S = 20.0
TIMEOUT_S = 0.5


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode_clip(tmp_path_factory.mktemp("source") / "numbers.mp4")


@pytest.fixture(scope="module")
def footage(clip: Path) -> Footage:
    return load_footage(clip)


@pytest.fixture(scope="module")
def server(footage: Footage) -> Iterator[ServerThread]:
    cameras = [CameraSpec("open", footage), CameraSpec("locked", footage, username=USER, password=PASSWORD)]
    with ServerThread(cameras) as running:
        yield running


@pytest.fixture
def faulty(footage: Footage) -> Iterator[ServerThread]:
    with ServerThread([CameraSpec("bad", footage, username=USER, password=PASSWORD)]) as running:
        yield running


def options(url: str, timeout_s: float = TIMEOUT_S, username: str = USER, password: str = PASSWORD) -> SourceOptions:
    return SourceOptions(url, username, password, open_timeout_s=timeout_s, read_timeout_s=timeout_s)


def number_of(frame: Frame) -> int:
    """The number that the clip's picture shows."""
    return read_number(frame.picture.to_ndarray(format="gray"))


def take(source: SourceOptions, count: int, tally: Tally | None = None) -> list[Frame]:
    """The first frames; then the source is stopped."""
    stop, frames = threading.Event(), []
    deadline_s = time.monotonic() + DEADLINE_S
    for frame in read_frames(source, tally or Tally(), stop):
        frames.append(frame)
        if len(frames) >= count:
            stop.set()
        assert time.monotonic() < deadline_s
    return frames[:count]


def failure(source: SourceOptions) -> tuple[SourceError, list[Frame]]:
    """Read until it fails; the error has been looked through for the password and the URL."""
    frames: list[Frame] = []
    with pytest.raises(SourceError) as caught:
        frames.extend(read_frames(source, Tally(), threading.Event()))
    assert_no_secret(caught.value, source)
    return caught.value, frames


def assert_no_secret(error: BaseException | None, source: SourceOptions) -> None:
    secrets = [PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD, safe="!$&'()*+,;="), quote(PASSWORD), "rtsp://"]
    shown = "".join(traceback.format_exception(error)) + repr(source) + str(source)
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        shown += f"{error} {error!r} {error.args!r} {vars(error)!r}"
        error = error.__cause__ or error.__context__
    assert not [secret for secret in secrets if secret in shown]
    assert len(seen) == 1, "FFmpeg's error, which holds the URL, is chained"


# --- streams that work -----------------------------------------------------------------------------------------------


def test_frames_come_in_order_with_their_times(server: ServerThread) -> None:
    tally = Tally()
    before = time.time(), time.monotonic()
    frames = take(options(server.url("open"), 5.0, "", ""), 30, tally)
    after = time.time(), time.monotonic()
    numbers = [number_of(frame) for frame in frames]
    assert numbers == [(numbers[0] + i) % FRAMES for i in range(30)]
    steps = [after.stamp.pts_s - before.stamp.pts_s for before, after in pairwise(frames)]
    assert steps == pytest.approx([1 / FPS] * 29, abs=1e-3)
    assert all(before[1] <= frame.stamp.captured_s <= after[1] for frame in frames)
    assert tally.frames >= 30
    assert tally.packets >= 30
    assert tally.bytes > 0
    assert tally.damaged <= 1  # where frames are reordered, the first of a connection has no pts


def test_pictures_keep_the_decoders_own_format(server: ServerThread) -> None:
    [frame] = take(options(server.url("open"), 5.0, "", ""), 1)
    assert (frame.picture.format.name, frame.picture.width, frame.picture.height) == ("yuv420p", 192, 64)


CREDENTIALS = {
    "plain": ("admin", "secret"),
    "every special character": ("ad@min/x?#[", "p@:/%?#[]&=;,+ 'x"),
    "percent signs": ("u%20", "100%25%"),
    "unicode": ("Jürgen", "пароль€"),
    "no password": ("admin", ""),
    "long": ("admin", "x" * 121),
}


@pytest.mark.parametrize("scheme", AuthScheme)
@pytest.mark.parametrize(("username", "password"), CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_any_credentials(footage: Footage, username: str, password: str, scheme: AuthScheme) -> None:
    camera = CameraSpec("cam", footage, username=username, password=password, auth=scheme)
    with ServerThread([camera]) as server:
        assert take(options(server.url("cam"), 5.0, username, password), 1)


def test_credentials_that_ffmpeg_would_cut_off_are_not_tried() -> None:
    """It takes 127 characters; trying half a password again and again locks the account."""
    with Peer() as peer:
        error, _ = failure(options(peer.url, password="€" * 14))
        assert (error.reason, error.detail) == (
            Reason.UNAUTHORIZED,
            "user name and password take 132 characters in a URL, over 127",
        )
        assert peer.accepted == 0


# --- streams that do not ---------------------------------------------------------------------------------------------


class Peer:
    """A plain TCP server: each connection runs a function in the server's thread."""

    def __init__(self, serve: Callable[[socket.socket], None] = lambda _: None) -> None:
        self.accepted = 0
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.url = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/cam"

    def __enter__(self) -> "Peer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(DEADLINE_S)
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.accepted += 1
            connection.settimeout(DEADLINE_S)
            with connection, contextlib.suppress(OSError):
                self._serve(connection)


def until_closed(connection: socket.socket) -> None:
    """Read and say nothing."""
    while connection.recv(4096):
        pass


def say(*answers: bytes) -> Callable[[socket.socket], None]:
    """Answer each request with the next of these, then say no more."""

    def serve(connection: socket.socket) -> None:
        for answer in answers:
            connection.recv(4096)
            connection.sendall(answer)
        until_closed(connection)

    return serve


def say_and_close(answer: bytes) -> Callable[[socket.socket], None]:
    """Answer one request, as an HTTP server does that knows no RTSP."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    return serve


def drip(connection: socket.socket) -> None:
    """Send an answer that never ends, a byte now and then."""
    connection.recv(4096)
    for byte in b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nX: " + b"y" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)  # the server's pace, which nothing waits for


SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=%s\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
VIDEO = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:v\r\n"
AUDIO = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:a\r\n"


def rtsp(
    description: bytes, after_play: Callable[[socket.socket], None] = until_closed
) -> Callable[[socket.socket], None]:
    """Be an RTSP server with this session description."""

    def serve(connection: socket.socket) -> None:
        with connection.makefile("rb") as requests:
            while line := requests.readline():
                method = line.split()[0]
                cseq = b""
                while (header := requests.readline()).strip():
                    cseq = header if header.lower().startswith(b"cseq") else cseq
                body = description if method == b"DESCRIBE" else b""
                connection.sendall(
                    b"RTSP/1.0 200 OK\r\n"
                    + cseq
                    + b"Session: 1\r\nContent-Type: application/sdp\r\n"
                    + b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
                    + f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                if method == b"PLAY":
                    after_play(connection)
                    return

    return serve


def rtcp_only(connection: socket.socket) -> None:
    """A camera whose encoder hangs: sender reports every 50 ms, and no picture."""
    report = struct.pack(">BBHIQIII", 0x80, 200, 6, 1234, 1, 90000, 1, 100)
    while True:
        connection.sendall(b"$\x01" + struct.pack(">H", len(report)) + report)
        time.sleep(0.05)  # the server's pace, which nothing waits for


def test_wrong_password(server: ServerThread) -> None:
    for scheme_password in ("wrong", ""):
        error, _ = failure(options(server.url("locked"), 5.0, password=scheme_password))
        assert (error.reason, error.detail) == (Reason.UNAUTHORIZED, "user name or password refused")


def test_no_such_stream(server: ServerThread) -> None:
    error, _ = failure(options(server.url("open") + "/other"))
    assert error.reason is Reason.NOT_FOUND


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error, _ = failure(options(f"rtsp://127.0.0.1:{port}/cam"))
    assert error.reason is Reason.REFUSED


def test_unknown_host() -> None:
    error, _ = failure(options("rtsp://camera.invalid/cam"))
    assert error.reason is Reason.UNREACHABLE


@pytest.mark.parametrize("serve", [until_closed, drip, say(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n")])
def test_no_answer_in_time(serve: Callable[[socket.socket], None]) -> None:
    """Silence at once, a byte now and then, and silence after the first answer."""
    with Peer(serve) as peer:
        began = time.monotonic()
        error, _ = failure(options(peer.url))
        assert (error.reason, error.detail) == (Reason.TIMEOUT, "no answer within 0.5 s")
        assert TIMEOUT_S * 0.9 <= time.monotonic() - began < 3 * TIMEOUT_S


def test_a_silent_camera(faulty: ServerThread) -> None:
    faulty.set_fault("bad", Silent())
    error, _ = failure(options(faulty.url("bad")))
    assert error.reason is Reason.TIMEOUT


@pytest.mark.slow
def test_silence_in_mid_stream(faulty: ServerThread) -> None:
    faulty.set_fault("bad", Hang(after_s=0.4))
    error, frames = failure(options(faulty.url("bad")))
    ended = time.monotonic()
    assert (error.reason, error.detail) == (Reason.HANG, "no packet for 0.5 s")
    assert len(frames) > 5
    # The last frame is handed out late, when the silence ends FFmpeg's wait; the one before it came in time.
    assert ended - frames[-2].stamp.captured_s < 2 * TIMEOUT_S


@pytest.mark.slow
def test_reports_without_pictures_are_silence() -> None:
    """FFmpeg's own timeout does not see it: bytes do come."""
    with Peer(rtsp((SDP % "x" + VIDEO).encode(), rtcp_only)) as peer:
        began = time.monotonic()
        error, frames = failure(options(peer.url))
        assert error.reason is Reason.HANG
        assert frames == []
        assert time.monotonic() - began < 5 * TIMEOUT_S


def test_the_stream_is_closed(faulty: ServerThread) -> None:
    faulty.set_fault("bad", Close(after_s=0.4))
    error, frames = failure(options(faulty.url("bad"), 5.0))
    assert error.reason is Reason.ENDED
    assert len(frames) > 5


NO_VIDEO = {
    "HTTP": say_and_close(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "HTTP page": say_and_close(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>"),
    "garbage": say(bytes(range(256)) * 40),
    "audio only": rtsp((SDP % "x" + AUDIO).encode()),
    "nothing described": rtsp(b""),
    "no media": rtsp((SDP % "x").encode()),
    "unknown codec": rtsp((SDP % "x" + VIDEO.replace("H264", "FOO9")).encode()),
}


@pytest.mark.parametrize("serve", NO_VIDEO.values(), ids=NO_VIDEO.keys())
def test_what_answers_is_no_video(serve: Callable[[socket.socket], None]) -> None:
    with Peer(serve) as peer:
        error, _ = failure(options(peer.url))
        assert error.reason is Reason.NOT_VIDEO


@pytest.mark.slow
def test_a_title_that_is_no_utf8_harms_nobody() -> None:
    """Cameras send their names in Latin-1 or GBK; PyAV raised UnicodeDecodeError, which ended the process."""
    with Peer(rtsp((SDP % "Caméra").encode("latin-1") + VIDEO.encode())) as peer:
        error, _ = failure(options(peer.url))
        assert error.reason in (Reason.HANG, Reason.TIMEOUT)


@pytest.mark.parametrize("target", ["http", "https", "tcp", "udp", "file", "rtmp"])
def test_another_scheme_connects_nowhere(target: str) -> None:
    with Peer(until_closed) as peer:
        failure(options(peer.url.replace("rtsp", target, 1)))
        assert peer.accepted == (0 if target == "file" else peer.accepted)


def test_stop_ends_a_source_at_its_next_packet(server: ServerThread) -> None:
    stop = threading.Event()
    frames = read_frames(options(server.url("open"), 5.0, "", ""), Tally(), stop)
    next(frames)
    stop.set()
    assert len(list(frames)) <= 2


def test_a_source_that_is_dropped_closes_its_connection(server: ServerThread) -> None:
    frames = read_frames(options(server.url("open"), 5.0, "", ""), Tally(), threading.Event())
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    deadline_s = time.monotonic() + DEADLINE_S
    while server.statistics().connections:
        assert time.monotonic() < deadline_s


# --- files -----------------------------------------------------------------------------------------------------------


def file_options(path: Path, query: str = "") -> SourceOptions:
    return options(f"file:{quote(str(path))}{query}")


@pytest.mark.slow
def test_a_file_is_read_at_its_own_pace_to_its_end(clip: Path) -> None:
    began = time.monotonic()
    error, frames = failure(file_options(clip))
    assert (error.reason, len(frames)) == (Reason.ENDED, FRAMES)
    assert [number_of(frame) for frame in frames] == list(range(FRAMES))
    assert [frame.stamp.pts_s for frame in frames] == pytest.approx([i / FPS for i in range(FRAMES)], abs=1e-3)
    early = [began + frame.stamp.pts_s - frame.stamp.captured_s for frame in frames]
    assert max(early) < 2 / FPS  # it goes by the order of decoding: two frames are shown later than they are sent
    assert time.monotonic() - began > (FRAMES - 1) / FPS - 0.005


def test_a_looping_file_counts_on_over_the_seam(tmp_path: Path) -> None:
    short = encode_clip(tmp_path / "a %41 ü#short?.mp4", frames=5)
    frames = take(file_options(short, "?loop=1"), 13)
    assert [number_of(frame) for frame in frames] == [i % 5 for i in range(13)]
    assert [frame.stamp.pts_s for frame in frames] == pytest.approx([i / FPS for i in range(13)], abs=1e-3)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv", "mov"])
def test_kinds_of_files(clip: Path, tmp_path: Path, suffix: str) -> None:
    [first, second] = take(file_options(remux(clip, tmp_path / f"copy.{suffix}")), 2)
    assert (number_of(first), number_of(second)) == (0, 1)


def test_a_recording_that_begins_hours_after_its_clock_starts_at_once(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "late.ts"
    with av.open(str(clip)) as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None and packet.time_base:
                shift = int(36_000 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                container.mux(packet)
    began = time.monotonic()
    [first, second] = take(file_options(path), 2)
    assert time.monotonic() - began < 2.0
    assert first.stamp.pts_s >= 36_000, "the file's own pts"
    assert second.stamp.pts_s - first.stamp.pts_s == pytest.approx(1 / FPS, abs=1e-3)


@pytest.mark.parametrize("name", ["missing.mp4", ".", "numbers.mp4/x"])
def test_no_such_file(clip: Path, name: str) -> None:
    error, _ = failure(file_options(clip.parent / name))
    assert (error.reason, error.detail) == (Reason.NOT_FOUND, "no such stream")


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)) * 100])
def test_a_file_that_is_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cam.mp4"
    path.write_bytes(content)
    error, _ = failure(file_options(path, "?loop=1"))
    assert error.reason is Reason.NOT_VIDEO


def test_a_file_with_damage_in_the_middle_goes_on(clip: Path, tmp_path: Path) -> None:
    content = bytearray(remux(clip, tmp_path / "whole.ts").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    path = tmp_path / "damaged.ts"
    path.write_bytes(content)
    error, frames = failure(file_options(path))
    assert error.reason is Reason.ENDED
    assert FRAMES // 2 < len(frames) < FRAMES


def playlists(clip: Path, url: str) -> dict[str, str]:
    """Texts that make FFmpeg open what they name."""
    head, tail = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2,\n", "\n#EXT-X-ENDLIST\n"
    return {
        "hls-http.m3u8": f"{head}{url}/x.ts{tail}",
        "hls-key.m3u8": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{url}/key"\n#EXTINF:2,\n{url}/x.ts{tail}',
        "hls-file.m3u8": f"{head}{clip}{tail}",
        "hls-hostname.m3u8": f"{head}file:///etc/hostname{tail}",
        "hls.mp4": f"{head}{clip}{tail}",
        "concat.ffconcat": "ffconcat version 1.0\nfile numbers.mp4\n",
        "concat.mp4": "ffconcat version 1.0\nfile numbers.mp4\n",
        "concat-hostname.txt": "ffconcat version 1.0\nfile /etc/hostname\n",
        "concat-http.txt": f"ffconcat version 1.0\nfile {url}/x.mp4\n",
        "cam.sdp": SDP % "x" + VIDEO,
        "dash.mpd": f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>{url}/</BaseURL></Period></MPD>',
    }


@pytest.mark.parametrize("name", playlists(Path(), "").keys())
def test_a_playlist_opens_nothing_else(clip: Path, name: str) -> None:
    """Neither another host nor another file, though the files do exist."""
    with Peer(until_closed) as peer:
        path = clip.parent / name
        path.write_text(playlists(clip, peer.url.replace("rtsp", "http"))[name])
        error, _ = failure(file_options(path))
        assert error.reason in (Reason.NOT_VIDEO, Reason.NOT_FOUND)
        assert peer.accepted == 0


@pytest.mark.parametrize(
    "path", ["concat:/etc/hostname", "http://127.0.0.1:9/x", "subfile,,start,0,end,0,,:/x", "pipe:0"]
)
def test_a_path_that_is_a_protocol_opens_nothing_else(path: str) -> None:
    error, _ = failure(options(f"file:{path}"))
    assert error.reason in (Reason.NOT_VIDEO, Reason.NOT_FOUND)
