"""The RTSP server: listens, owns connections and UDP sockets. Shell, in one asyncio loop.

server = RtspServer([CameraSpec("cam-01", footage)])
await server.start()
...
await server.stop()
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from simulator.camera import CameraSpec
from simulator.connection import Connection
from simulator.door import Door
from simulator.errors import ListenError
from simulator.faults import AccessFault, Fault, FaultError, NotVideo, Refuse
from simulator.live import LiveCamera, Viewer
from simulator.playback import FrameCounts
from simulator.shown import footage_under
from simulator.sinks import DatagramSink, InterleavedSink, Sink
from simulator.sockets import bind_pair, explain
from simulator.targets import camera_path
from simulator.timeline import Timeline
from simulator.transport import TcpTransport, Transport

SESSION_TIMEOUT_S = 60.0
"""RTSP's default (RFC 2326, 12.37)."""

_STOP_DEADLINE_S = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CameraStatistics:
    """One camera.

    Attributes:
        frames_sent: since start, over all its sessions.
        frames_dropped: likewise.
        sessions: that get its frames now.
        fault: what is wrong with it now.
    """

    frames_sent: int
    frames_dropped: int
    sessions: int = 0
    fault: Fault | None = None


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
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepares; nothing listens yet.

        Args:
            cameras: what to serve.
            host: address to listen on.
            port: TCP port; 0 takes any free one.
            session_timeout_s: a client not heard that long is disconnected.
            tls: certificate and key for rtsps://; None for plain RTSP.

        Raises:
            ValueError: two cameras share a name or a path.
        """
        self.host = host
        self.port = port
        self.session_timeout_s = session_timeout_s
        specs = list(cameras)
        self._tls = tls
        self._door = Door(self._connect, tls)
        self._cameras = {spec.name: self._live(spec) for spec in specs}
        self._by_path = {camera_path(live.spec.url_path): live for live in self._cameras.values()}
        if not len(specs) == len(self._cameras) == len(self._by_path):
            raise ValueError("two cameras share a name or a path")
        self._footages = {spec.name: spec.footage for spec in specs}
        self._connections: set[Viewer] = set()
        self._rtcp_peers: dict[tuple[str, int], Connection] = {}
        self._udp: tuple[socket.socket, socket.socket] | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._mending: dict[str, asyncio.TimerHandle] = {}  # timers of faults that end by themselves
        self._started_s = 0.0
        self._expired = 0

    # -- whoever owns it ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listens; `port` then is the port.

        Raises:
            ListenError: the address cannot be had.
            FaultError: a camera cannot have the fault it is to start with.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            family, address = found[0][0], found[0][4]
            self._door.open(family, address)
            self._udp = bind_pair(family, str(address[0]))
            for camera in self._cameras.values():
                if camera.spec.own_port:
                    camera.door.open(family, (address[0], 0))
        except OSError as error:
            self._close_sockets()
            raise ListenError(self.host, self.port, explain(error, self.port)) from error
        self.port = self._door.port
        for endpoint in self._udp:
            loop.add_reader(endpoint, self._read_datagrams, endpoint)
        self._started_s = loop.time()
        self._sweep_timer = loop.call_later(self._sweep_period_s, self._sweep)
        try:
            for name, camera in self._cameras.items():
                if camera.spec.fault is not None:
                    self.set_fault(name, camera.spec.fault)
        except FaultError:
            await self.stop()
            raise
        fields = {"host": self.host, "port": self.port, "cameras": len(self._cameras)}
        _log.info("rtsp server listens", extra={"fields": fields})

    async def stop(self) -> None:
        """Closes all sockets; waits at most a second for the loop to see them closed."""
        if self._udp is None:
            return
        for timer in (self._sweep_timer, *self._mending.values()):
            if timer is not None:
                timer.cancel()
        for connection in tuple(self._connections):
            connection.close()
        self._close_sockets()
        deadline_s = asyncio.get_running_loop().time() + _STOP_DEADLINE_S
        while self._connections and asyncio.get_running_loop().time() < deadline_s:
            await asyncio.sleep(0)  # a closed transport tells its connection in the loop's next round

    @property
    def camera_names(self) -> tuple[str, ...]:
        """In the order they were given."""
        return tuple(self._cameras)

    def prepare(self, name: str, fault: Fault | None) -> None:
        """Does beforehand what takes `set_fault` time (encoding a blank picture). Any thread.

        Raises:
            KeyError: no such camera.
            FaultError: this camera cannot have it.
        """
        camera = self._cameras[name]
        if isinstance(fault, Refuse) and not camera.spec.own_port:
            raise FaultError(f"{name} shares its port with others, so it cannot refuse; give it one of its own")
        footage_under(fault, camera.spec.footage, self._footages)

    def set_fault(self, name: str, fault: Fault | None) -> None:
        """Gives a camera a fault, or none, in sessions that run and in those to come.

        Raises:
            KeyError: no such camera.
            FaultError: this camera cannot have it.
        """
        self.prepare(name, fault)
        camera = self._cameras[name]
        before, camera.fault = camera.fault, fault
        camera.footage = footage_under(fault, camera.spec.footage, self._footages)
        if isinstance(before, NotVideo) or isinstance(fault, NotVideo):
            camera.timeline = Timeline(camera.footage, camera.spec.start_offset_s)
        if isinstance(before, Refuse) != isinstance(fault, Refuse):
            (camera.door.refuse if isinstance(fault, Refuse) else camera.door.admit)()
        self._mend_later(name, fault)
        for connection in [each for each in self._connections if each.is_for(camera)]:
            if isinstance(fault, AccessFault) or isinstance(before, AccessFault):
                connection.close()
            else:
                connection.take_up_fault()

    def url(self, name: str, host: str | None = None) -> str:
        """A camera's URL, without credentials; `host` is how clients name this machine, if not by `self.host`.

        Raises:
            KeyError: no such camera.
        """
        camera = self._cameras[name]
        named = host or self.host
        authority = f"[{named}]" if ":" in named else named
        scheme = "rtsp" if self._tls is None else "rtsps"
        port = camera.door.port if camera.spec.own_port else self.port
        return f"{scheme}://{authority}:{port}/{camera.spec.url_path}"

    def statistics(self) -> ServerStatistics:
        """A snapshot."""
        return ServerStatistics(
            connections=len(self._connections),
            playing=sum(connection.is_playing for connection in self._connections),
            expired=self._expired,
            cameras={
                name: CameraStatistics(
                    camera.counts.sent,
                    camera.counts.dropped,
                    sum(each.is_playing and each.is_for(camera) for each in self._connections),
                    camera.fault,
                )
                for name, camera in self._cameras.items()
            },
        )

    # -- its connections (live.Host) ----------------------------------------------------------------------

    def camera_at(self, target: str) -> LiveCamera | None:
        """The camera whose URL, or whose track's URL, this is."""
        return self._by_path.get(camera_path(target))

    def camera_named(self, name: str) -> LiveCamera | None:
        """The camera of this name."""
        return self._cameras.get(name)

    def admit(self, connection: Viewer) -> None:
        """The connection is there; it may have come another way."""
        self._connections.add(connection)

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

    def forget(self, connection: Viewer) -> None:
        """The connection is gone."""
        self._connections.discard(connection)
        self._rtcp_peers = {peer: each for peer, each in self._rtcp_peers.items() if each is not connection}

    # -- the loop's callbacks -----------------------------------------------------------------------------------

    def _connect(self, only: LiveCamera | None = None) -> Connection:
        return Connection(self, asyncio.get_running_loop(), only)

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

    def _live(self, spec: CameraSpec) -> LiveCamera:
        timeline = Timeline(spec.footage, spec.start_offset_s)
        camera = LiveCamera(spec, timeline, spec.footage, FrameCounts(), self._door)
        if spec.own_port:
            camera.door = Door(partial(self._connect, camera), self._tls)
        return camera

    def _mend_later(self, name: str, fault: Fault | None) -> None:
        if timer := self._mending.pop(name, None):
            timer.cancel()
        if fault is not None and fault.for_s is not None:
            loop = asyncio.get_running_loop()
            self._mending[name] = loop.call_later(fault.for_s, self.set_fault, name, None)

    def _close_sockets(self) -> None:
        for door in {self._door, *(camera.door for camera in self._cameras.values())}:
            door.close()
        for endpoint in self._udp or ():
            asyncio.get_running_loop().remove_reader(endpoint)
            endpoint.close()
        self._udp = None
