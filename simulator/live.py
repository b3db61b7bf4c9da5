"""What a server and its connections share: the cameras, and what a connection may ask of its server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from simulator.camera import CameraSpec
from simulator.door import Door
from simulator.faults import Fault, StreamFault
from simulator.footage import Footage
from simulator.playback import FrameCounts
from simulator.sinks import Sink
from simulator.timeline import Timeline
from simulator.transport import Transport

if TYPE_CHECKING:
    from simulator.connection import Connection


@dataclass(slots=True, eq=False)
class LiveCamera:
    """A camera in a running server. Changed in the loop's thread only.

    Attributes:
        spec: what it was made from.
        timeline: what sessions are set up with.
        footage: what it shows under its fault.
        counts: frames of all its sessions.
        fault: what is wrong with it.
        door: where clients get in.
    """

    spec: CameraSpec
    timeline: Timeline
    footage: Footage
    counts: FrameCounts
    door: Door
    fault: Fault | None = None

    @property
    def described(self) -> Footage:
        """What a new session sees first."""
        is_later = isinstance(self.fault, StreamFault) and self.fault.after_s > 0
        return self.spec.footage if is_later else self.footage


class Viewer(Protocol):
    """A client's connection, as the server of the cameras knows it, whatever it speaks."""

    @property
    def is_playing(self) -> bool:
        """Whether frames are going out."""

    def is_for(self, camera: LiveCamera) -> bool:
        """Whether the connection is that camera's, as far as is known."""

    def take_up_fault(self) -> None:
        """Takes up its camera's present fault, if it plays."""

    def expire(self, now: float) -> bool:
        """Ends the connection if its client was not heard for too long; says whether it did."""

    def close(self) -> None:
        """Ends the connection at once."""


class Host(Protocol):
    """What a connection needs of its server."""

    session_timeout_s: float

    def camera_at(self, target: str) -> LiveCamera | None:
        """The camera whose URL, or whose track's URL, this is."""

    def camera_named(self, name: str) -> LiveCamera | None:
        """The camera of this name."""

    def live_npt_s(self) -> float:
        """Where all cameras are now in their own time."""

    def wall_s(self) -> float:
        """Unix time."""

    def server_ports(self) -> tuple[int, int]:
        """UDP ports of RTP and RTCP."""

    def open_sink(self, connection: Connection, transport: Transport) -> Sink:
        """Makes the sink for a session."""

    def admit(self, connection: Viewer) -> None:
        """The connection is there."""

    def forget(self, connection: Viewer) -> None:
        """The connection is gone."""
