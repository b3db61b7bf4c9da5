"""One client's RTSP connection and its session. Shell: an asyncio protocol, all in the loop's thread.

A connection has at most one session with one track, and the session ends with it. The server owns connections; a
connection owns its playback and its share in its camera's fault.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from simulator.auth import Verdict, challenge, digest_uri, judge
from simulator.errors import RefusedError
from simulator.faults import NotFound, Redirect, Silent, Unauthorized
from simulator.live import Host, LiveCamera
from simulator.messages import BadMessageError, MessageReader, Request, Response
from simulator.playback import Playback, StreamIdentity
from simulator.ranges import NptRange, format_range, parse_range
from simulator.sdp import describe
from simulator.sinks import UNSENT_LIMIT_BYTES
from simulator.status import Status
from simulator.targets import base_url, strip_userinfo
from simulator.transport import choose_transport, format_transport
from simulator.trouble import Shown, Trouble

REALM = "mosaicd simulator"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Session:
    """What SETUP made."""

    identity: str
    camera: LiveCamera
    url: str
    playback: Playback
    trouble: Trouble


class Connection(asyncio.Protocol):
    """Reads requests, answers them, and plays."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop, only: LiveCamera | None = None) -> None:
        """`only`: the camera whose own port it is."""
        self._host = host
        self._loop = loop
        self._only = only
        self._reader = MessageReader()
        self._nonce = secrets.token_hex(16)
        self._session: Session | None = None
        self._camera: LiveCamera | None = only
        self._is_hung = False
        self._last_heard_s = loop.time()
        self.transport: asyncio.Transport  # set by connection_made, before anything else happens
        self.peer_ip = ""
        self._methods: dict[str, Callable[[Request], Response]] = {
            "OPTIONS": self._options,
            "DESCRIBE": self._describe,
            "SETUP": self._setup,
            "PLAY": self._play,
            "PAUSE": self._pause,
            "GET_PARAMETER": self._get_parameter,
            "TEARDOWN": self._teardown,
        }

    # -- asyncio's side -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop once the client has connected, and shaken hands."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.peer_ip = transport.get_extra_info("peername")[0]
        self._host.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop once the connection is gone, whoever ended it."""
        self._end_session()
        self._host.forget(self)

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what the client sent."""
        self.touch()
        try:
            for message in self._reader.feed(data):
                if self.transport.is_closing():
                    return
                # What a client interleaves is RTCP: it says that the client lives, and no more.
                if isinstance(message, Request):
                    self._serve(message)
        except BadMessageError as error:
            _log.info("bad message", extra={"fields": {"peer": self.peer_ip, "reason": str(error)}})
            if not self._is_mute():
                self.transport.write(Response(Status.BAD_REQUEST).encode(None))
            self.transport.close()

    # -- the server's side --------------------------------------------------------------------------------------

    @property
    def is_playing(self) -> bool:
        """Whether frames are going out."""
        return self._session is not None and self._session.playback.is_playing

    def touch(self) -> None:
        """Notes that the client lives."""
        self._last_heard_s = self._loop.time()

    def expire(self, now: float) -> bool:
        """Ends the connection if its client was not heard for the session timeout; says whether it did."""
        is_over = now - self._last_heard_s > self._host.session_timeout_s and not self._is_mute()
        if is_over:
            self.close()
        return is_over

    def close(self) -> None:
        """Ends the connection at once; what is unsent is lost."""
        self._end_session()
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def is_for(self, camera: LiveCamera) -> bool:
        """Whether this connection is that camera's, as far as is known."""
        return camera is self._camera

    def take_up_fault(self) -> None:
        """Takes up its camera's present fault, if it plays; else PLAY will."""
        if self._session is not None and self.is_playing:
            camera = self._session.camera
            self._session.trouble.take_up(camera.fault, camera.footage)

    # -- a fault's side (trouble.Troubled) ----------------------------------------------------------------------

    def set_hung(self, is_hung: bool) -> None:
        """Answers nothing, or does so again."""
        self._is_hung = is_hung

    def write(self, data: bytes) -> None:
        """Writes what is no answer."""
        self.transport.write(data)

    # -- requests -----------------------------------------------------------------------------------------------

    def _serve(self, request: Request) -> None:
        if self._session is None:
            self._camera = self._camera_at(request.target) or self._camera
        if self._is_mute():
            return
        cseq = request.headers.get("cseq")
        try:
            response = self._respond(request)
        except RefusedError as refusal:
            response = Response(refusal.status, refusal.headers)
        self.transport.write(response.encode(cseq))
        if self.transport.get_write_buffer_size() > 2 * UNSENT_LIMIT_BYTES:
            self.close()  # asks and asks, and reads no answer

    def _respond(self, request: Request) -> Response:
        if request.version != "RTSP/1.0":
            raise RefusedError(Status.RTSP_VERSION_NOT_SUPPORTED)
        if not request.headers.get("cseq", "").isdigit():
            raise RefusedError(Status.BAD_REQUEST)
        if "require" in request.headers:
            raise RefusedError(Status.OPTION_NOT_SUPPORTED, (("Unsupported", request.headers["require"]),))
        method = self._methods.get(request.method)
        if method is None:
            raise RefusedError(Status.NOT_IMPLEMENTED, (self._public(),))
        return method(request)

    def _options(self, request: Request) -> Response:
        return Response(Status.OK, (self._public(), *self._session_header()))

    def _describe(self, request: Request) -> Response:
        camera = self._authorized_camera(request)
        if "application/sdp" not in request.headers.get("accept", "application/sdp"):
            raise RefusedError(Status.NOT_ACCEPTABLE)
        host = self.transport.get_extra_info("sockname")[0]
        body = describe(camera.spec.name, camera.described, host).encode()
        headers = (("Content-Base", base_url(request.target) + "/"), ("Content-Type", "application/sdp"))
        return Response(Status.OK, headers, body)

    def _setup(self, request: Request) -> Response:
        camera = self._authorized_camera(request)
        if "session" in request.headers:
            self._checked_session(request)
        if self.is_playing:
            raise RefusedError(Status.METHOD_NOT_VALID_IN_THIS_STATE)
        transport = choose_transport(request.headers.get("transport", ""))
        if transport is None:
            raise RefusedError(Status.UNSUPPORTED_TRANSPORT)
        self._end_session()
        stream = StreamIdentity(secrets.randbits(32), secrets.randbits(16), secrets.randbits(32))
        sink = self._host.open_sink(self, transport)
        playback = Playback(self._loop, camera.timeline, sink, stream, counts=camera.counts, wall_s=self._host.wall_s)
        trouble = Trouble(self._loop, self, Shown(playback, transport, camera.timeline))
        self._camera = camera
        self._session = Session(secrets.token_hex(8), camera, strip_userinfo(request.target), playback, trouble)
        answer = format_transport(transport, self._host.server_ports(), stream.ssrc)
        return Response(Status.OK, (("Transport", answer), *self._session_header()))

    def _play(self, request: Request) -> Response:
        session = self._checked_session(request, self._authorized_camera(request))
        playback = session.playback
        wanted = NptRange(None)
        if "range" in request.headers:
            parsed = parse_range(request.headers["range"])
            if parsed is None:
                raise RefusedError(Status.INVALID_RANGE)
            wanted = parsed
        if "range" in request.headers or playback.next_npt_s is None:
            session.trouble.end()
            start_s = self._host.live_npt_s() if wanted.start_s is None else wanted.start_s
            playback.seek(session.camera.timeline.seek(start_s), wanted.end_s)
        elif playback.is_playing:
            return Response(Status.OK, self._session_header())
        session.trouble.take_up(session.camera.fault, session.camera.footage)
        info = f"url={session.url};seq={playback.next_sequence};rtptime={playback.next_timestamp}"
        range_ = format_range(playback.next_npt_s or 0.0, wanted.end_s)
        playback.play()
        return Response(Status.OK, (*self._session_header(), ("Range", range_), ("RTP-Info", info)))

    def _pause(self, request: Request) -> Response:
        session = self._checked_session(request, self._authorized_camera(request))
        session.playback.pause()
        headers = self._session_header()
        if session.playback.next_npt_s is not None:
            headers += (("Range", format_range(session.playback.next_npt_s)),)
        return Response(Status.OK, headers)

    def _get_parameter(self, request: Request) -> Response:
        """Keeps alive; there are no parameters to get."""
        if "session" in request.headers:
            self._checked_session(request)
        return Response(Status.OK, self._session_header())

    def _teardown(self, request: Request) -> Response:
        self._checked_session(request, self._authorized_camera(request))
        self._end_session()
        return Response(Status.OK)

    # -- what requests share ------------------------------------------------------------------------------------

    def _authorized_camera(self, request: Request) -> LiveCamera:
        """The camera that a request is for, if its sender may have it."""
        camera = self._camera_at(request.target)
        if camera is None or isinstance(camera.fault, NotFound):
            raise RefusedError(Status.NOT_FOUND)
        if isinstance(camera.fault, Redirect):
            raise RefusedError(Status.MOVED_TEMPORARILY, (("Location", camera.fault.location),))
        if isinstance(camera.fault, Unauthorized):
            raise RefusedError(Status.UNAUTHORIZED, (self._challenge(camera),))
        credentials = camera.spec.credentials
        if credentials is None:
            return camera
        verdict = Verdict.REFUSED
        authorization = request.headers.get("authorization")
        if authorization is not None:
            verdict = judge(
                camera.spec.auth, credentials, authorization, method=request.method, realm=REALM, nonce=self._nonce
            )
            signed = digest_uri(authorization)
            if signed is not None and self._camera_at(signed) is not camera:
                verdict = Verdict.REFUSED
        if verdict is not Verdict.ACCEPTED:
            raise RefusedError(Status.UNAUTHORIZED, (self._challenge(camera, verdict is Verdict.STALE),))
        return camera

    def _camera_at(self, target: str) -> LiveCamera | None:
        """The camera that a URL names, if it is behind this connection's port."""
        camera = self._host.camera_at(target)
        if camera is None or (camera if camera.spec.own_port else None) is not self._only:
            return None
        return camera

    def _challenge(self, camera: LiveCamera, is_stale: bool = False) -> tuple[str, str]:
        return ("WWW-Authenticate", challenge(camera.spec.auth, REALM, self._nonce, is_stale=is_stale))

    def _checked_session(self, request: Request, camera: LiveCamera | None = None) -> Session:
        """The session, if the request names it and is for its camera (or for no certain one)."""
        identity = request.headers.get("session", "").partition(";")[0].strip()
        session = self._session
        if session is None or identity != session.identity or camera not in {None, session.camera}:
            raise RefusedError(Status.SESSION_NOT_FOUND)
        return session

    def _session_header(self) -> tuple[tuple[str, str], ...]:
        if self._session is None:
            return ()
        timeout_s = max(1, round(self._host.session_timeout_s))
        return (("Session", f"{self._session.identity};timeout={timeout_s}"),)

    def _public(self) -> tuple[str, str]:
        return ("Public", ", ".join(self._methods))

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.trouble.drop()
            self._session.playback.close()
            self._session = None

    def _is_mute(self) -> bool:
        return self._is_hung or (self._camera is not None and isinstance(self._camera.fault, Silent))
