"""Signs of life without video. Shell: owns one timer of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from simulator.faults import Drip
from simulator.playback import Playback
from simulator.rtp import interleave
from simulator.transport import TcpTransport, Transport


class Dripping:
    """RTCP for one session, whole or byte by byte. All in the loop's thread; whoever makes it closes it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fault: Drip,
        playback: Playback,
        transport: Transport,
        write: Callable[[bytes], None],
    ) -> None:
        """Begins; `write` writes into the RTSP connection."""
        self._loop = loop
        self._every_s = fault.every_s
        self._playback = playback
        self._channel = transport.rtcp_channel if isinstance(transport, TcpTransport) and fault.bytewise else None
        self._write = write
        self._unsent = b""
        self._timer = loop.call_later(self._every_s, self._drip)

    @property
    def is_bytewise(self) -> bool:
        """Whether packets are cut up, so that nothing else may be written in between."""
        return self._channel is not None

    def complete(self) -> None:
        """Sends the rest of the packet that is on its way, for a connection that goes on."""
        if self._unsent:
            self._write(self._unsent)
            self._unsent = b""

    def close(self) -> None:
        """Drips no more."""
        self._timer.cancel()

    def _drip(self) -> None:
        self._timer = self._loop.call_later(self._every_s, self._drip)
        if self._channel is None:
            self._playback.send_report()
            return
        packet = self._unsent or interleave(self._channel, self._playback.report())
        self._write(packet[:1])
        self._unsent = packet[1:]
