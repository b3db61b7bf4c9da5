"""A look ahead, without credentials: does the camera answer for itself, or send us elsewhere?

FFmpeg follows a redirect to wherever it points, and takes the password along: in clear text under Basic. So before it
is let near a camera, one DESCRIBE (RTSP, RFC 2326 10.2) or GET (HTTP) without credentials goes ahead, and whoever
answers 3xx is refused. What remains: a camera that redirects only those who have shown a password.

Called by a reader's thread; blocks for ``timeout_s`` at most, but for the resolver, which knows no limit.
"""

import re
import socket
import ssl
import time
from urllib.parse import SplitResult, urlsplit

from capture.failures import SourceError, because
from capture.words import PORTS, Reason

ANSWER_BYTES = 8192
_LENGTH = re.compile(rb"\r\nContent-Length:[ \t]*([0-9]{1,6})[ \t]*\r\n", re.IGNORECASE)
_STATUS_LINE = re.compile(rb"(?:RTSP|HTTP)/\S+[ \t]+([0-9]{3})(?:\s|$)")
_REDIRECTIONS = range(300, 400)
_NOT_FOUND = 404
_OK = 200
_UNAUTHORIZED = (401, 403)


def look_ahead(url: str, timeout_s: float, *, has_credentials: bool) -> None:
    """Ask what is at ``url``, which holds no credentials. Raises SourceError where it is of no use to ask on.

    Says nothing about an answer that it does not understand: FFmpeg may.
    """
    parts = urlsplit(url)
    deadline_s = time.monotonic() + timeout_s
    failure: SourceError | None = None
    answer = b""
    try:
        with _connect(parts, deadline_s) as peer:
            peer.sendall(_request(url, parts))
            answer = _read_head(peer, deadline_s)
    except ConnectionRefusedError:
        failure = because(Reason.REFUSED)
    except TimeoutError:
        failure = because(Reason.TIMEOUT, timeout_s)
    except ssl.SSLError:
        failure = SourceError(Reason.NOT_VIDEO, "what answers does not speak TLS")
    except (socket.gaierror, UnicodeError):
        failure = because(Reason.UNREACHABLE)
    except ConnectionError:
        failure = because(Reason.ENDED)
    except OSError:
        failure = because(Reason.UNREACHABLE)
    # Outside of ``except``: it must not keep an error that might hold the URL.
    if failure is None:
        failure = _judge(answer, has_credentials)
    try:
        if failure is not None:
            raise failure
    finally:
        del failure


def _judge(answer: bytes, has_credentials: bool) -> SourceError | None:
    if not answer:
        return because(Reason.ENDED)
    line = _STATUS_LINE.match(answer)
    if line is None:
        return None
    status = int(line[1])
    if status in _REDIRECTIONS:
        return because(Reason.REDIRECTED)
    if status == _NOT_FOUND:
        return because(Reason.NOT_FOUND)
    if status in _UNAUTHORIZED and not has_credentials:
        return SourceError(Reason.UNAUTHORIZED, "it wants a user name and a password")
    is_vain = status == _OK and _is_without_video(answer)
    return SourceError(Reason.NOT_VIDEO, "there is sound, or something else, but no video") if is_vain else None


def _is_without_video(answer: bytes) -> bool:
    """Whether this is a whole description (SDP, RFC 4566 5.14), and of no video: FFmpeg would play nothing of it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    is_whole = length is not None and b"application/sdp" in head.lower() and len(body) >= int(length[1])
    return is_whole and b"\nm=" in body and b"\nm=video " not in body


def _connect(parts: SplitResult, deadline_s: float) -> socket.socket:
    address = (parts.hostname or "", parts.port or PORTS[parts.scheme])
    peer = socket.create_connection(address, _left_s(deadline_s))
    if parts.scheme not in ("rtsps", "https"):
        return peer
    try:
        # Cameras sign their own certificates, so none is checked, here as in FFmpeg: TLS keeps listeners out, no more.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        peer.settimeout(_left_s(deadline_s))
        return context.wrap_socket(peer, server_hostname=parts.hostname)
    except BaseException:
        peer.close()
        raise


def _request(url: str, parts: SplitResult) -> bytes:
    if parts.scheme in ("rtsp", "rtsps"):
        return f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\nUser-Agent: mosaicd\r\n\r\n".encode()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: mosaicd\r\nConnection: close\r\n\r\n".encode()


def _read_head(peer: socket.socket, deadline_s: float) -> bytes:
    """Read to the end of the first line at least; who drips is not waited for beyond the deadline."""
    head = b""
    while b"\r\n" not in head and len(head) < ANSWER_BYTES:
        peer.settimeout(_left_s(deadline_s))
        received = peer.recv(4096)
        if not received:
            break
        head += received
    return head


def _left_s(deadline_s: float) -> float:
    """Return how long there is still to wait. Raises TimeoutError when it is over."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
