"""RTSP messages on a connection: requests and interleaved packets in, responses out. Pure.

RFC 2326: 4 (messages), 6 (request), 7 (response), 10.12 (interleaved data). Sizes are bounded, since whoever connects
is not trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from simulator.status import Status

MAX_HEAD_BYTES = 16 * 1024
"""Largest request line and headers together."""

MAX_BODY_BYTES = 64 * 1024
"""Largest body of a request."""


class BadMessageError(ValueError):
    """What came is no RTSP; where the next message starts is unknown, so the connection must end."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: such as `DESCRIBE`, in the sender's case.
        target: the request URI.
        version: such as `RTSP/1.0`.
        headers: by name in lower case; of several with one name, the last.
        body: content.
    """

    method: str
    target: str
    version: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A packet that came over the RTSP connection."""

    channel: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """One response.

    Attributes:
        status: status code.
        headers: in the order they are sent; CSeq and Content-Length are added.
        body: content.
    """

    status: Status
    headers: tuple[tuple[str, str], ...] = field(default=())
    body: bytes = b""

    def encode(self, cseq: str | None) -> bytes:
        """The bytes to send; `cseq` is repeated from the request."""
        lines = [f"RTSP/1.0 {self.status.value} {self.status.phrase}"]
        if cseq is not None:
            lines.append(f"CSeq: {cseq}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join((*lines, "", "")).encode() + self.body


class MessageReader:
    """Cuts a connection's bytes into messages. Not thread-safe; one for each connection."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def feed(self, received: bytes) -> Iterator[Request | Interleaved]:
        """Yields the messages complete so far, in order.

        Raises:
            BadMessageError: after the last good one, at something that is no RTSP or is too large.
        """
        self._unread += received
        while self._unread:
            if self._unread.startswith(b"\r\n"):  # empty lines between messages are tolerated (RFC 2326, 4.1)
                del self._unread[:2]
                continue
            message = self._next_packet() if self._unread[0] == 0x24 else self._next_request()
            if message is None:
                return
            yield message

    def _next_packet(self) -> Interleaved | None:
        if len(self._unread) < 4:
            return None
        end = 4 + int.from_bytes(self._unread[2:4], "big")
        if len(self._unread) < end:
            return None
        packet = Interleaved(self._unread[1], bytes(self._unread[4:end]))
        del self._unread[:end]
        return packet

    def _next_request(self) -> Request | None:
        end = self._unread.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES + 4)
        if end < 0:
            if len(self._unread) > MAX_HEAD_BYTES:
                raise BadMessageError(f"headers of over {MAX_HEAD_BYTES} bytes")
            return None
        request = _parse_head(bytes(self._unread[:end]))
        body_end = end + 4 + _content_length(request.headers)
        if len(self._unread) < body_end:
            return None
        body = bytes(self._unread[end + 4 : body_end])
        del self._unread[:body_end]
        return Request(request.method, request.target, request.version, request.headers, body)


def _parse_head(head: bytes) -> Request:
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError as error:
        raise BadMessageError("headers are not UTF-8") from error
    words = lines[0].split(" ")
    if len(words) != 3 or not words[0].isascii() or not words[2].startswith("RTSP/"):
        raise BadMessageError("no RTSP request line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadMessageError("a header without a name")
        headers[name.lower()] = value.strip()
    return Request(words[0], words[1], words[2], headers)


def _content_length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > MAX_BODY_BYTES:
        raise BadMessageError("no usable Content-Length")
    return int(text)
