"""The RTSP server: listens, owns connections and UDP sockets. Shell, in one asyncio loop.

server = RtspServer([CameraSpec("cam-01", footage)])
await server.start()
...
await server.stop()
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator.camera import CameraSpec, Fault
from simulator.connection import Connection
from simulator.errors import ListenError
from simulator.live import LiveCamera
from simulator.playback import FrameCounts
from simulator.sinks import DatagramSink, InterleavedSink, Sink
from simulator.targets import camera_path
from simulator.timeline import Timeline
from simulator.transport import TcpTransport, Transport

SESSION_TIMEOUT_S = 60.0
"""RTSP's default (RFC 2326, 12.37)."""

_STOP_DEADLINE_S = 1.0
_SEND_BUFFER_BYTES = 256 * 1024  # the kernel's own would grow to megabytes of late video for a client that stalls
_PORT_PAIR_TRIES = 50

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CameraStatistics:
    """Frames of one camera since start, over all its sessions."""

    frames_sent: int
    frames_dropped: int


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """What the server is doing.

    Attributes:
        connections: open now.
        playing: sessions that get frames now.
        expired: connections ended since start because their client was not heard.
        cameras: by name.
    """

    connections: int
    playing: int
    expired: int
    cameras: dict[str, CameraStatistics]


class RtspServer:
    """Serves cameras until stopped. All methods in the loop's thread; whoever starts it stops it."""

    def __init__(
        self,
        cameras: Iterable[CameraSpec],
        host: str = "127.0.0.1",
        port: int = 0,
        session_timeout_s: float = SESSION_TIMEOUT_S,
    ) -> None:
        """Prepares; nothing listens yet.

        Args:
            cameras: what to serve.
            host: address to listen on.
            port: TCP port; 0 takes any free one.
            session_timeout_s: a client not heard that long is disconnected.

        Raises:
            ValueError: two cameras share a name or a path.
        """
        self.host = host
        self.port = port
        self.session_timeout_s = session_timeout_s
        specs = list(cameras)
        self._cameras = {
            spec.name: LiveCamera(spec, Timeline(spec.footage, spec.start_offset_s), spec.fault, FrameCounts())
            for spec in specs
        }
        self._by_path = {camera_path(live.spec.url_path): live for live in self._cameras.values()}
        if not len(specs) == len(self._cameras) == len(self._by_path):
            raise ValueError("two cameras share a name or a path")
        self._connections: set[Connection] = set()
        self._rtcp_peers: dict[tuple[str, int], Connection] = {}
        self._listener: asyncio.Server | None = None
        self._udp: tuple[socket.socket, socket.socket] | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._started_s = 0.0
        self._expired = 0

    # -- whoever owns it ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listens; `port` then is the port.

        Raises:
            ListenError: the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            family, address = found[0][0], found[0][4]
            listening = _bound(family, socket.SOCK_STREAM, address)
            try:
                self._udp = _bind_pair(family, str(address[0]))
                self._listener = await loop.create_server(lambda: self._connect(loop), sock=listening, backlog=128)
            except BaseException:
                listening.close()
                raise
        except OSError as error:
            self._close_udp()
            raise ListenError(self.host, self.port, _explain(error, self.port)) from error
        self.port = listening.getsockname()[1]
        for endpoint in self._udp:
            loop.add_reader(endpoint, self._read_datagrams, endpoint)
        self._started_s = loop.time()
        self._sweep_timer = loop.call_later(self._sweep_period_s, self._sweep)
        fields = {"host": self.host, "port": self.port, "cameras": len(self._cameras)}
        _log.info("rtsp server listens", extra={"fields": fields})

    async def stop(self) -> None:
        """Closes all sockets; waits at most a second for the loop to see them closed."""
        if self._listener is None:
            return
        self._listener.close()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for connection in tuple(self._connections):
            connection.close()
        self._close_udp()
        deadline_s = asyncio.get_running_loop().time() + _STOP_DEADLINE_S
        while self._connections and asyncio.get_running_loop().time() < deadline_s:
            await asyncio.sleep(0)  # a closed transport tells its connection in the loop's next round
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._listener.wait_closed(), _STOP_DEADLINE_S)
        self._listener = None

    def set_fault(self, name: str, fault: Fault | None) -> None:
        """Gives a camera a fault, or none, in sessions that run and in those to come.

        Raises:
            KeyError: no such camera.
        """
        camera = self._cameras[name]
        camera.fault = fault
        for connection in tuple(self._connections):
            connection.apply_fault(camera)

    def url(self, name: str, host: str | None = None) -> str:
        """A camera's URL, without credentials; `host` is how clients name this machine, if not by `self.host`.

        Raises:
            KeyError: no such camera.
        """
        named = host or self.host
        authority = f"[{named}]" if ":" in named else named
        return f"rtsp://{authority}:{self.port}/{self._cameras[name].spec.url_path}"

    def statistics(self) -> ServerStatistics:
        """A snapshot."""
        return ServerStatistics(
            connections=len(self._connections),
            playing=sum(connection.is_playing for connection in self._connections),
            expired=self._expired,
            cameras={
                name: CameraStatistics(camera.counts.sent, camera.counts.dropped)
                for name, camera in self._cameras.items()
            },
        )

    # -- its connections (live.Host) ----------------------------------------------------------------------

    def camera_at(self, target: str) -> LiveCamera | None:
        """The camera whose URL, or whose track's URL, this is."""
        return self._by_path.get(camera_path(target))

    def live_npt_s(self) -> float:
        """Where all cameras are now in their own time: each was at zero when the server started."""
        return asyncio.get_running_loop().time() - self._started_s

    def wall_s(self) -> float:
        """Unix time, for sender reports."""
        return time.time()

    def server_ports(self) -> tuple[int, int]:
        """UDP ports of RTP and RTCP, shared by all sessions."""
        assert self._udp is not None
        return (self._udp[0].getsockname()[1], self._udp[1].getsockname()[1])

    def open_sink(self, connection: Connection, transport: Transport) -> Sink:
        """Makes the sink for a session."""
        if isinstance(transport, TcpTransport):
            return InterleavedSink(connection.transport, transport.rtp_channel, transport.rtcp_channel)
        assert self._udp is not None
        self._rtcp_peers[connection.peer_ip, transport.rtcp_port] = connection
        return DatagramSink(
            asyncio.get_running_loop(),
            (self._udp[0], (connection.peer_ip, transport.rtp_port)),
            (self._udp[1], (connection.peer_ip, transport.rtcp_port)),
        )

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        self._connections.discard(connection)
        self._rtcp_peers = {peer: each for peer, each in self._rtcp_peers.items() if each is not connection}

    # -- the loop's callbacks -----------------------------------------------------------------------------------

    def _connect(self, loop: asyncio.AbstractEventLoop) -> Connection:
        connection = Connection(self, loop)
        self._connections.add(connection)
        return connection

    def _read_datagrams(self, endpoint: socket.socket) -> None:
        """Takes clients' RTCP reports as signs of life; what comes for RTP only opens firewalls."""
        for _ in range(100):
            try:
                _, peer = endpoint.recvfrom(2048)
            except OSError:
                return
            connection = self._rtcp_peers.get((peer[0], peer[1]))
            if connection is not None:
                connection.touch()

    @property
    def _sweep_period_s(self) -> float:
        return min(1.0, self.session_timeout_s / 4)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._expired += sum(connection.expire(loop.time()) for connection in tuple(self._connections))
        self._sweep_timer = loop.call_later(self._sweep_period_s, self._sweep)

    def _close_udp(self) -> None:
        for endpoint in self._udp or ():
            asyncio.get_running_loop().remove_reader(endpoint)
            endpoint.close()
        self._udp = None


def _bound(family: int, kind: int, address: Any) -> socket.socket:
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)  # inherited by accept
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def _bind_pair(family: int, host: str) -> tuple[socket.socket, socket.socket]:
    """An even UDP port for RTP and the odd one above it for RTCP (RFC 3550, 11)."""
    for _ in range(_PORT_PAIR_TRIES):
        rtp = _bound(family, socket.SOCK_DGRAM, (host, 0))
        port = rtp.getsockname()[1]
        if port % 2 == 0:
            with contextlib.suppress(OSError):
                return rtp, _bound(family, socket.SOCK_DGRAM, (host, port + 1))
        rtp.close()
    raise OSError(errno.EADDRINUSE, "no two neighbouring UDP ports are free")


def _explain(error: OSError, port: int) -> str:
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}; give an address of this machine, such as 127.0.0.1"
    if error.errno == errno.EADDRINUSE:
        return f"in use; see who has it with: ss -ltnp 'sport = :{port}', or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "not an address of this machine; 127.0.0.1 is"
    if error.errno == errno.EACCES:
        return "not permitted; choose a port above 1023"
    return str(error.strerror or error)
