"""Where a session's packets go: into its RTSP connection, or as datagrams. Shell.

A sink never waits and never queues without end: what does not fit is refused, and its caller drops the frame.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

from simulator.rtp import PacketizedFrame, address_frame, interleave, iter_datagrams
from simulator.tamper import Tampering

UNSENT_LIMIT_BYTES: Final = 256 * 1024
"""A TCP client for which this much is unsent gets no further frame until it has read some."""

_BURST_PACKETS = 32
_BURST_GAP_S = 0.002
"""A key frame at once would overflow the receiver's socket (208 KiB by Linux' default, with 2.3 KiB for a packet)."""

_UNSENT_LIMIT_PACKETS = 4096


class Sink(Protocol):
    """Takes one session's packets. Loop thread only."""

    def is_full(self) -> bool:
        """Whether a frame would only pile up."""

    def send_frame(self, frame: PacketizedFrame, sequence: int, timestamp: int, ssrc: int) -> None:
        """Sends one access unit."""

    def send_packets(self, packets: Sequence[bytes]) -> None:
        """Sends RTP packets as they are."""

    def send_report(self, packet: bytes) -> None:
        """Sends one RTCP packet."""

    def close(self) -> None:
        """Forgets what is unsent; the connection or socket stays its owner's."""


class InterleavedSink:
    """Two channels of an RTSP connection; one write a frame."""

    def __init__(self, connection: asyncio.Transport, rtp_channel: int, rtcp_channel: int) -> None:
        self._connection = connection
        self._rtp_channel = rtp_channel
        self._rtcp_channel = rtcp_channel

    def is_full(self) -> bool:
        """Whether the client has left too much unread."""
        return self._connection.get_write_buffer_size() > UNSENT_LIMIT_BYTES

    def send_frame(self, frame: PacketizedFrame, sequence: int, timestamp: int, ssrc: int) -> None:
        """Writes all packets of a frame at once."""
        self._connection.write(address_frame(frame, self._rtp_channel, sequence, timestamp, ssrc))

    def send_packets(self, packets: Sequence[bytes]) -> None:
        """Writes packets at once."""
        self._connection.write(b"".join(interleave(self._rtp_channel, packet) for packet in packets))

    def send_report(self, packet: bytes) -> None:
        """Writes an RTCP packet."""
        self._connection.write(interleave(self._rtcp_channel, packet))

    def close(self) -> None:
        """Nothing to forget: the connection has its own buffer."""


class DatagramSink:
    """Two ports of a client; large frames are spread over a few milliseconds. Owns its timer."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        rtp: tuple[socket.socket, Any],
        rtcp: tuple[socket.socket, Any],
    ) -> None:
        """Takes, for RTP and RTCP each, the server's non-blocking socket and the client's address."""
        self._loop = loop
        self._rtp_socket, self._rtp_address = rtp
        self._rtcp_socket, self._rtcp_address = rtcp
        self._unsent: deque[bytes | memoryview] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def is_full(self) -> bool:
        """Whether bursts wait for their turn already."""
        return len(self._unsent) > _UNSENT_LIMIT_PACKETS

    def send_frame(self, frame: PacketizedFrame, sequence: int, timestamp: int, ssrc: int) -> None:
        """Sends the first burst at once and the rest behind what waits already."""
        self._unsent.extend(iter_datagrams(frame, address_frame(frame, 0, sequence, timestamp, ssrc)))
        if self._timer is None:
            self._send_burst()

    def send_packets(self, packets: Sequence[bytes]) -> None:
        """Sends packets behind what waits already."""
        self._unsent.extend(packets)
        if self._timer is None:
            self._send_burst()

    def send_report(self, packet: bytes) -> None:
        """Sends an RTCP packet."""
        _send(self._rtcp_socket, packet, self._rtcp_address)

    def close(self) -> None:
        """Drops what waits, and the timer."""
        self._unsent.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_burst(self) -> None:
        self._timer = None
        for _ in range(min(_BURST_PACKETS, len(self._unsent))):
            _send(self._rtp_socket, self._unsent.popleft(), self._rtp_address)
        if self._unsent:
            self._timer = self._loop.call_later(_BURST_GAP_S, self._send_burst)


class TamperedSink:
    """A bad way before another sink, which stays its owner's."""

    def __init__(self, sink: Sink, tampering: Tampering) -> None:
        self._sink = sink
        self._tampering = tampering

    def is_full(self) -> bool:
        """As the sink behind it."""
        return self._sink.is_full()

    def send_frame(self, frame: PacketizedFrame, sequence: int, timestamp: int, ssrc: int) -> None:
        """Sends what is left of a frame."""
        addressed = address_frame(frame, 0, sequence, timestamp, ssrc)
        self.send_packets([bytes(packet) for packet in iter_datagrams(frame, addressed)])

    def send_packets(self, packets: Sequence[bytes]) -> None:
        """Sends what is left of packets."""
        self._sink.send_packets(self._tampering.pass_on(packets))

    def send_report(self, packet: bytes) -> None:
        """Sends an RTCP packet, which nothing happens to."""
        self._sink.send_report(packet)

    def close(self) -> None:
        """Nothing to forget."""


def _send(sender: socket.socket, packet: bytes | memoryview, address: Any) -> None:
    try:
        sender.sendto(packet, address)
    except OSError:
        # A datagram may be lost at any point of its way; this one is lost at the first (full buffer, no route).
        return
