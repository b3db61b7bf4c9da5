"""The look ahead against real sockets: what it refuses and lets pass, how long it waits, and what it never says."""

import socket
import ssl
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from capture.failures import SourceError
from capture.preflight import ANSWER_BYTES, look_ahead
from capture.words import Reason
from tests.capture.test_source import Peer, drip, say, say_and_close, until_closed

TIMEOUT_S = 0.4
SECRET_PATH = "/cam?token=geheim"


class Ear:
    """Keeps the request of a connection, then serves it."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.heard = b""
        self._serve = serve

    def __call__(self, connection: socket.socket) -> None:
        self.heard = connection.recv(4096, socket.MSG_PEEK)
        self._serve(connection)


def url_of(peer: Peer, scheme: str) -> str:
    return peer.url.replace("rtsp", scheme, 1).replace("/cam", SECRET_PATH)


def look(url: str, has_credentials: bool = False) -> tuple[Reason, str] | None:
    """What a look ahead says; its error has been looked through for the URL."""
    failure: SourceError | None = None
    began_s = time.monotonic()
    try:
        look_ahead(url, TIMEOUT_S, has_credentials=has_credentials)
    except SourceError as error:
        failure = error
    assert time.monotonic() - began_s < 3 * TIMEOUT_S
    if failure is None:
        return None
    assert (failure.__cause__, failure.__context__) == (None, None), "an error that may hold the URL is chained"
    shown = f"{failure} {failure!r} {failure.args!r} {vars(failure)!r}" + "".join(traceback.format_exception(failure))
    assert not [secret for secret in ("geheim", "://", "127.0.0.1") if secret in shown]
    return failure.reason, failure.detail


def answer(status: str, scheme: str = "rtsp", headers: str = "") -> bytes:
    protocol = "HTTP/1.1" if scheme.startswith("http") else "RTSP/1.0"
    return f"{protocol} {status}\r\nCSeq: 1\r\n{headers}\r\n".encode()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize("status", ["300 Choose", "301 Moved", "302 Found", "305 Use Proxy", "307 x", "399"])
@pytest.mark.parametrize("has_credentials", [False, True])
def test_who_sends_us_elsewhere_is_refused(scheme: str, status: str, has_credentials: bool) -> None:
    with Peer(say(answer(status, scheme, "Location: rtsp://thief/\r\n"))) as peer:
        found = look(url_of(peer, scheme), has_credentials)
    assert found is not None
    assert found[0] is Reason.REDIRECTED
    assert "thief" not in found[1]


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize(
    ("status", "without", "with_credentials"),
    [
        ("200 OK", None, None),
        ("400 Bad Request", None, None),
        ("404 Not Found", Reason.NOT_FOUND, Reason.NOT_FOUND),
        ("401 Unauthorized", Reason.UNAUTHORIZED, None),
        ("403 Forbidden", Reason.UNAUTHORIZED, None),
        ("454 Session Not Found", None, None),
        ("500 Internal", None, None),
    ],
)
def test_what_an_answer_means(
    scheme: str, status: str, without: Reason | None, with_credentials: Reason | None
) -> None:
    with Peer(say(answer(status, scheme))) as peer:
        for has_credentials, reason in ((False, without), (True, with_credentials)):
            found = look(url_of(peer, scheme), has_credentials)
            assert (found and found[0]) == reason


def test_who_wants_a_password_and_has_none_in_the_roster_is_told_so() -> None:
    with Peer(say(answer("401 Unauthorized"))) as peer:
        assert look(peer.url) == (Reason.UNAUTHORIZED, "it wants a user name and a password")


@pytest.mark.parametrize(
    ("scheme", "request_line"),
    [("rtsp", "DESCRIBE {url} RTSP/1.0"), ("http", f"GET {SECRET_PATH} HTTP/1.1")],
)
def test_what_is_asked(scheme: str, request_line: str) -> None:
    ear = Ear(say(answer("200 OK", scheme)))
    with Peer(ear) as peer:
        url = url_of(peer, scheme)
        assert look(url, has_credentials=True) is None
    head = ear.heard.decode()
    assert head.startswith(request_line.format(url=url) + "\r\n")
    assert head.endswith("\r\n\r\n")
    assert "authorization" not in head.lower()
    assert (f"\r\nHost: {url.split('/')[2]}\r\n" in head) is (scheme == "http")


UNINTELLIGIBLE = {
    "binary": bytes(range(256)) * 40,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "no status": b"RTSP/1.0\r\n\r\n",
    "a word for a status": b"RTSP/1.0 OK 200\r\n\r\n",
    "a negative status": b"RTSP/1.0 -302 Found\r\n\r\n",
    "a line without end": b"RTSP/1.0 " + b"3" * (2 * ANSWER_BYTES),
    "blank lines": b"\r\n\r\n\r\n",
}


@pytest.mark.parametrize("nonsense", UNINTELLIGIBLE.values(), ids=UNINTELLIGIBLE.keys())
def test_what_is_not_understood_is_left_to_ffmpeg(nonsense: bytes) -> None:
    with Peer(say(nonsense)) as peer:
        assert look(peer.url) is None


def test_a_status_line_in_pieces_is_put_together() -> None:
    def piecemeal(connection: socket.socket) -> None:
        connection.recv(4096)
        for piece in (b"RT", b"SP/1.0 3", b"02 Found", b"\r", b"\n"):
            connection.sendall(piece)
        until_closed(connection)

    with Peer(piecemeal) as peer:
        assert (look(peer.url) or [None])[0] is Reason.REDIRECTED


def test_a_status_line_that_breaks_off_counts_as_it_is() -> None:
    with Peer(say_and_close(b"RTSP/1.0 302 Fo")) as peer:
        assert (look(peer.url) or [None])[0] is Reason.REDIRECTED


def close_at_once(connection: socket.socket) -> None:
    """Take the request and close, without a word."""
    connection.recv(4096)


def reset(connection: socket.socket) -> None:
    """Close while the request is unread, which resets the connection."""
    connection.recv(1)


@pytest.mark.parametrize("serve", [close_at_once, reset])
def test_who_closes_without_a_word(serve: Callable[[socket.socket], None]) -> None:
    with Peer(serve) as peer:
        assert look(peer.url) == (Reason.ENDED, "the stream ended")


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtsps", "https"])
def test_silence_is_waited_for_until_the_timeout(scheme: str) -> None:
    with Peer(until_closed) as peer:
        began_s = time.monotonic()
        assert look(url_of(peer, scheme)) == (Reason.TIMEOUT, "no answer within 0.4 s")
        assert time.monotonic() - began_s >= 0.9 * TIMEOUT_S


def test_who_drips_is_not_waited_for_longer() -> None:
    def slowly(connection: socket.socket) -> None:
        connection.recv(4096)
        with suppress(OSError):
            while True:
                connection.sendall(b"x")
                time.sleep(0.02)  # the server's pace, which nothing waits for

    with Peer(slowly) as peer:
        assert look(peer.url) == (Reason.TIMEOUT, "no answer within 0.4 s")


def test_who_drips_after_its_first_line_has_answered() -> None:
    with Peer(drip) as peer:
        began_s = time.monotonic()
        look_ahead(peer.url, 5.0, has_credentials=False)
        assert time.monotonic() - began_s < 4.0


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert look(f"rtsp://127.0.0.1:{port}{SECRET_PATH}") == (
        Reason.REFUSED,
        "connection refused: nobody listens there",
    )


@pytest.mark.parametrize("host", ["camera.invalid", "x" * 70, "a..b"])
def test_a_host_that_is_not_found(host: str) -> None:
    """The second and third are no names at all, which Python says by UnicodeError."""
    found = look(f"rtsp://{host}/cam")
    assert found is not None
    assert found[0] is Reason.UNREACHABLE
    assert host not in found[1]


@pytest.mark.parametrize("scheme", ["rtsps", "https"])
@pytest.mark.parametrize("serve", [say(answer("200 OK")), say(bytes(range(256)))])
def test_tls_to_a_plain_port(scheme: str, serve: Callable[[socket.socket], None]) -> None:
    with Peer(serve) as peer:
        assert look(url_of(peer, scheme)) == (Reason.NOT_VIDEO, "what answers does not speak TLS")


@pytest.fixture(scope="module")
def context() -> ssl.SSLContext:
    """A camera's, with a certificate of nobody that we know."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("camera.local").configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("scheme", "status", "reason"),
    [("rtsps", "302 Found", Reason.REDIRECTED), ("https", "404 Not Found", Reason.NOT_FOUND), ("rtsps", "200", None)],
)
def test_over_tls_with_any_certificate(
    context: ssl.SSLContext, scheme: str, status: str, reason: Reason | None
) -> None:
    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            say(answer(status, scheme))(secured)

    with Peer(serve) as peer:
        found = look(url_of(peer, scheme))
        assert (found and found[0]) == reason


@pytest.mark.slow
def test_no_socket_is_left_open() -> None:
    """Whatever happens: a camera is looked at again and again."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for serve in (until_closed, close_at_once, say(answer("302 Found"))):
        with Peer(serve) as peer:
            for scheme in ("rtsp", "rtsps"):
                look(url_of(peer, scheme))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
