"""MJPEG over plain HTTP: one client's request and its endless answer. Shell: an asyncio protocol in the loop's thread.

GET /cam/NAME.mjpg is answered with pictures as parts of multipart/x-mixed-replace (RFC 2046, 5.1), each under its
boundary. Pace and faults are those of RTSP: the same playback feeds another sink.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import unquote

from simulator.auth import AuthScheme, Verdict, challenge, judge
from simulator.faults import Corrupt, Fault, Loss, NotFound, NotVideo, Redirect, Refuse, Reorder, Silent, Unauthorized
from simulator.live import Host, LiveCamera
from simulator.nal import Codec
from simulator.playback import Playback, StreamIdentity
from simulator.rtp import PacketizedFrame
from simulator.sinks import UNSENT_LIMIT_BYTES
from simulator.transport import TcpTransport
from simulator.trouble import Shown, Trouble

BOUNDARY: Final = "mosaicd-simulator"

_REALM = "mosaicd simulator"
_MAX_HEAD_BYTES = 16 * 1024
_REASONS = {302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}
_OF_PACKETS = (Loss, Reorder, Corrupt)  # there are none over HTTP


class MultipartSink:
    """Pictures as parts; what is only for RTP is left out. The connection stays its owner's."""

    def __init__(self, connection: asyncio.Transport) -> None:
        self._connection = connection

    def is_full(self) -> bool:
        """Whether the client has left too much unread."""
        return self._connection.get_write_buffer_size() > UNSENT_LIMIT_BYTES

    def send_frame(self, frame: PacketizedFrame, sequence: int, timestamp: int, ssrc: int) -> None:
        """Writes a picture, and the boundary that ends it: clients show it at once, not with the next."""
        picture = frame.picture
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
        self._connection.write(b"".join((head, picture, f"\r\n--{BOUNDARY}\r\n".encode())))

    def send_packets(self, packets: Sequence[bytes]) -> None:
        """Nothing: no packets over HTTP."""

    def send_report(self, packet: bytes) -> None:
        """Nothing: no RTCP over HTTP."""

    def close(self) -> None:
        """Nothing to forget."""


class MultipartConnection(asyncio.Protocol):
    """One client, for one request; the server of the cameras knows it as one of its viewers."""

    def __init__(self, host: Host, forget: Callable[[MultipartConnection], None]) -> None:
        """`forget` is told when the connection is gone."""
        self._host = host
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._camera: LiveCamera | None = None
        self._playback: Playback | None = None
        self._trouble: Trouble | None = None
        self.transport: asyncio.Transport  # set by connection_made, before anything else happens

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop once the client has connected."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop once the connection is gone, whoever ended it."""
        self._end()
        self._forget(self)

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what the client sent; behind the first request nothing is read."""
        if self._camera is not None or self.transport.is_closing():
            return
        self._received += data
        head, end, _ = self._received.partition(b"\r\n\r\n")
        if len(head) > _MAX_HEAD_BYTES:
            self._refuse(400)
        elif end:
            self._serve(head.decode("latin-1").split("\r\n"))

    # -- the server's side (live.Viewer) ------------------------------------------------------------------------

    @property
    def is_playing(self) -> bool:
        """Whether pictures are going out."""
        return self._playback is not None and self._playback.is_playing

    def is_for(self, camera: LiveCamera) -> bool:
        """Whether this connection is that camera's, as far as is known."""
        return camera is self._camera

    def expire(self, now: float) -> bool:
        """Never: a client of HTTP has nothing to say."""
        return False

    def close(self) -> None:
        """Ends the connection at once; what is unsent is lost."""
        self._end()
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def take_up_fault(self) -> None:
        """Takes up its camera's present fault."""
        if self._trouble is not None and self._camera is not None:
            self._trouble.take_up(self._fault(), self._camera.footage)

    # -- a fault's side (trouble.Troubled) ----------------------------------------------------------------------

    def set_hung(self, is_hung: bool) -> None:
        """Nothing more: there is nothing to answer in mid-stream."""

    def write(self, data: bytes) -> None:
        """Nothing: what faults write is RTCP."""

    # -- the request --------------------------------------------------------------------------------------------

    def _serve(self, lines: list[str]) -> None:
        words = lines[0].split(" ")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in lines[1:])
        }
        if len(words) != 3:
            self._refuse(400)
            return
        camera = self._host.camera_named(_name(words[1]))
        if camera is None or camera.spec.footage.codec is not Codec.JPEG:
            self._refuse(404)
            return
        self._camera = camera
        match camera.fault:
            case Refuse():
                self.close()
            case Silent():
                return
            case NotFound() | NotVideo():
                self._refuse(404)
            case Redirect(location=location):
                self._refuse(302, ("Location", location))
            case _ if words[0] != "GET":
                self._refuse(405)
            case _ if isinstance(camera.fault, Unauthorized) or not _may_watch(camera, headers):
                self._refuse(401, ("WWW-Authenticate", challenge(AuthScheme.BASIC, _REALM, "")))
            case _:
                self._play(camera)

    def _play(self, camera: LiveCamera) -> None:
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        self.transport.write(f"{head}--{BOUNDARY}\r\n".encode())
        identity = StreamIdentity(secrets.randbits(32), 0, 0)
        sink = MultipartSink(self.transport)
        self._playback = Playback(
            self._loop, camera.timeline, sink, identity, counts=camera.counts, wall_s=self._host.wall_s
        )
        self._trouble = Trouble(self._loop, self, Shown(self._playback, TcpTransport(0, 1), camera.timeline))
        self._playback.seek(camera.timeline.seek(self._host.live_npt_s()))
        self.take_up_fault()
        self._playback.play()

    def _fault(self) -> Fault | None:
        fault = self._camera.fault if self._camera is not None else None
        return None if isinstance(fault, _OF_PACKETS) else fault

    def _refuse(self, status: int, *headers: tuple[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {_REASONS[status]}", "Content-Length: 0", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.transport.write("\r\n".join((*lines, "", "")).encode())
        self.transport.close()

    def _end(self) -> None:
        if self._trouble is not None and self._playback is not None:
            self._trouble.drop()
            self._playback.close()
        self._trouble = self._playback = None


def _name(target: str) -> str:
    """The camera that `/cam/NAME.mjpg` names; nothing for other targets."""
    path = unquote(target.partition("?")[0])
    return path.removeprefix("/cam/").removesuffix(".mjpg") if path.startswith("/cam/") else ""


def _may_watch(camera: LiveCamera, headers: dict[str, str]) -> bool:
    credentials = camera.spec.credentials
    if credentials is None:
        return True
    given = headers.get("authorization", "")
    verdict = judge(AuthScheme.BASIC, credentials, given, method="GET", realm=_REALM, nonce="")
    return verdict is Verdict.ACCEPTED
