"""One session's share in its camera's fault. Shell: owns the timer of a fault that waits.

A connection owns it and tells it which fault there is; what the fault means for the stream is known here alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from simulator.altered import FastTimeline, FloodedTimeline, FrozenTimeline, HaltingTimeline, JitteryTimeline
from simulator.drip import Dripping
from simulator.faults import Close, Drip, Fast, Fault, Flood, Freeze, Hang, Jitter, Jump, Pause, StreamFault, Wrap
from simulator.footage import Footage
from simulator.playback import Playback
from simulator.rtp import CLOCK_HZ
from simulator.tamper import tampering_of
from simulator.timeline import Timeline
from simulator.transport import Transport

_TIMESTAMPS = 2**32


class Troubled(Protocol):
    """What a fault needs of the connection."""

    def set_hung(self, is_hung: bool) -> None:
        """Answers and sends nothing, or does so again."""

    def close(self) -> None:
        """Ends the connection at once."""

    def write(self, data: bytes) -> None:
        """Writes into the connection."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the session plays.

    Attributes:
        playback: the stream; a position is set.
        transport: how it goes.
        timeline: the camera's own.
    """

    playback: Playback
    transport: Transport
    timeline: Timeline


class Trouble:
    """What is wrong with a session now. All methods in the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Troubled, shown: Shown) -> None:
        self._loop = loop
        self._connection = connection
        self._shown = shown
        self._timer: asyncio.TimerHandle | None = None
        self._dripping: Dripping | None = None
        self._is_hung = False

    def take_up(self, fault: Fault | None, footage: Footage) -> None:
        """Ends the fault there was and begins another, or has it wait for its time.

        Args:
            fault: the camera's.
            footage: what the camera shows under it.
        """
        self.end()
        if isinstance(fault, StreamFault):
            if fault.after_s:
                self._timer = self._loop.call_later(fault.after_s, self._begin, fault, footage)
            else:
                self._begin(fault, footage)

    def end(self) -> None:
        """Mends all; the stream goes on where the camera is by then. Nothing to mend before a position is set."""
        if self._dripping is not None:
            self._dripping.complete()
        self.drop()
        playback = self._shown.playback
        if playback.next_npt_s is None:
            return
        playback.mute(False)
        playback.tamper(None)
        playback.show(self._shown.timeline)

    def drop(self) -> None:
        """Lets go of connection and timers, as the session has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._dripping is not None:
            self._dripping.close()
            self._dripping = None
        if self._is_hung:
            self._set_hung(False)

    def _begin(self, fault: StreamFault, footage: Footage) -> None:
        playback = self._shown.playback
        match fault:
            case Hang():
                self._set_hung(True)
                playback.mute(True)
            case Close():
                # In the loop's next round: a request for PLAY is answered first.
                self._timer = self._loop.call_later(0, self._connection.close)
            case Drip():
                playback.mute(True)
                self._dripping = Dripping(self._loop, fault, playback, self._shown.transport, self._connection.write)
                if self._dripping.is_bytewise:
                    self._set_hung(True)
            case Jump():
                playback.jump(round(fault.by_s * CLOCK_HZ))
            case Wrap():
                playback.jump((_TIMESTAMPS - round(fault.in_s * CLOCK_HZ) - playback.next_timestamp) % _TIMESTAMPS)
            case _:
                playback.tamper(tampering_of(fault))
                playback.show(self._timeline_under(fault, footage))

    def _timeline_under(self, fault: StreamFault, footage: Footage) -> Timeline:
        own, number = self._shown.timeline, self._shown.playback.next_number
        match fault:
            case Freeze():
                return FrozenTimeline(own, number)
            case Fast():
                return FastTimeline(own, fault, number)
            case Jitter():
                return JitteryTimeline(own, fault)
            case Pause():
                return HaltingTimeline(own, fault)
            case Flood():
                return FloodedTimeline(own, fault)
        return own if footage is own.footage else Timeline(footage)

    def _set_hung(self, is_hung: bool) -> None:
        self._is_hung = is_hung
        self._connection.set_hung(is_hung)
