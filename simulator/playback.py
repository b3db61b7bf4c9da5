"""Playing a camera's timeline into a sink, at the pace of the footage. Shell: owns one timer of the loop.

Frames are due at absolute times, so lateness of one never adds up. It knows nothing of RTSP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from simulator.rtcp import sender_report
from simulator.sinks import Sink, TamperedSink
from simulator.tamper import Tampering
from simulator.timeline import Timeline

REPORT_PERIOD_S = 5.0
"""Between RTCP sender reports (RFC 3550, 6.2)."""

# Frames go out at whole multiples of this, at most that late: sessions then share the loop's wake-ups, which cost more
# than a frame does. It is well below the jitter of any real camera.
_TICK_S = 0.005
_EARLY_S = 1e-6  # rounding to ticks may wake it that early
_MAX_LATENESS_S = 2.0  # after a longer standstill of the process the time is given up, not caught up
_CNAME = "mosaicd-simulator"


@dataclass(slots=True)
class FrameCounts:
    """Frames of one camera, over all its sessions. Changed in the loop's thread only."""

    sent: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """What RTP wants random: the source, and where its numbers start (RFC 3550, 5.1)."""

    ssrc: int
    first_sequence: int
    first_timestamp: int


class Playback:
    """One session's stream. All methods in the loop's thread; its session closes it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeline: Timeline,
        sink: Sink,
        identity: StreamIdentity,
        *,
        counts: FrameCounts,
        wall_s: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._timeline = timeline
        self._way = sink  # to the client
        self._sink = sink  # the way, or what tampers with packets before it
        self._ssrc = identity.ssrc
        self._counts = counts
        self._wall_s = wall_s
        self._timer: asyncio.TimerHandle | None = None
        self._sequence = identity.first_sequence
        self._timestamp_base = identity.first_timestamp  # timestamp of npt 0
        self._newest_ticks: int | None = None  # npt of the newest frame sent
        self._number: int | None = None  # of the next frame
        self._end_s: float | None = None
        self._anchor_s = 0.0  # loop time of npt 0
        self._delay_s = 0.0  # from a frame's decoding time to its due time: reordering at the start
        self._is_muted = False
        self._waits_for_key = False
        self._next_report_s = 0.0
        self._packets = 0
        self._octets = 0

    @property
    def is_playing(self) -> bool:
        """Whether frames are going out (or dropped)."""
        return self._timer is not None

    @property
    def next_npt_s(self) -> float | None:
        """Time of the next frame; None before the first `seek`."""
        return None if self._number is None else self._timeline.npt_s(self._number)

    @property
    def next_number(self) -> int:
        """Number of the next frame; a position is set."""
        assert self._number is not None
        return self._number

    @property
    def next_sequence(self) -> int:
        """Sequence number of the next packet."""
        return self._sequence & 0xFFFF

    @property
    def next_timestamp(self) -> int:
        """RTP timestamp of the next frame; a position is set."""
        assert self._number is not None
        return self._timestamp(self._number)

    def seek(self, number: int, end_s: float | None = None) -> None:
        """Goes to a key frame, and stops before `end_s`; timestamps go on without a jump (RFC 2326, B)."""
        if self._newest_ticks is not None:
            target = self._newest_ticks + self._timeline.step_ticks
            self._timestamp_base += target - self._timeline.npt_ticks(number)
            self._newest_ticks = None
        self._number = number
        self._end_s = end_s
        self._delay_s = self._timeline.npt_s(number) - self._timeline.dts_s(number)
        self._waits_for_key = False

    def play(self) -> None:
        """Sends from the next frame on, the first one in the loop's next round; a position is set."""
        assert self._number is not None
        self._next_report_s = self._loop.time()
        self._go_on(restarts=True)

    def pause(self) -> None:
        """Stops sending; the next frame stays the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def mute(self, is_muted: bool) -> None:
        """Lets time go on without sending, or sends again from the next key frame on."""
        self._is_muted = is_muted

    def show(self, timeline: Timeline) -> None:
        """Goes over to another timeline; a position is set. Timestamps, numbers and pace go on without a jump.

        At the next frame if its pictures are the same, else at its key frame at or before the present time.
        """
        before, number = self._timeline, self.next_number
        if timeline is before:
            return
        self._timeline = timeline
        if timeline.pictures is before.pictures:
            shift_ticks = before.npt_ticks(number) - timeline.npt_ticks(number)
            self._timestamp_base += shift_ticks
            if self._newest_ticks is not None:
                self._newest_ticks -= shift_ticks
            self._anchor_s += before.dts_s(number) - timeline.dts_s(number)
        else:
            next_ticks = before.npt_ticks(number)
            if self._newest_ticks is not None:
                next_ticks = self._newest_ticks + before.step_ticks
                self._newest_ticks = None
            self._number = timeline.seek(before.npt_s(number))
            self._timestamp_base += next_ticks - timeline.npt_ticks(self._number)
            self._delay_s = timeline.npt_s(self._number) - timeline.dts_s(self._number)
            self._waits_for_key = False
        if self.is_playing:
            self._go_on(restarts=timeline.pictures is not before.pictures)

    def jump(self, ticks: int) -> None:
        """Lets timestamps jump, by so many 1/90000 s."""
        self._timestamp_base += ticks

    def tamper(self, tampering: Tampering | None) -> None:
        """Lets packets go a bad way, or the good one again."""
        self._sink = self._way if tampering is None else TamperedSink(self._way, tampering)

    def close(self) -> None:
        """Stops for good."""
        self.pause()
        self._way.close()

    def report(self) -> bytes:
        """An RTCP sender report of this moment."""
        timestamp = self._timestamp_base + self._timeline.ticks_at(self._loop.time() - self._anchor_s)
        return sender_report(
            self._ssrc, self._wall_s(), timestamp, packets=self._packets, octets=self._octets, cname=_CNAME
        )

    def send_report(self) -> None:
        """Sends an RTCP sender report, in turn or not."""
        self._way.send_report(self.report())

    def _go_on(self, *, restarts: bool) -> None:
        """Steps in the loop's next round; the next frame is due then, or when it was due anyway."""
        assert self._number is not None
        self.pause()
        now = self._loop.time()
        if restarts:
            self._anchor_s = now - self._timeline.dts_s(self._number) - self._delay_s
        self._timer = self._loop.call_at(now, self._step)

    def _step(self) -> None:
        assert self._number is not None
        now = self._loop.time()
        while True:
            due_s = self._timeline.due_s(self._number)
            if self._end_s is not None and due_s >= self._end_s:
                self._timer = None
                return
            wait_s = self._anchor_s + due_s + self._delay_s - now
            if wait_s > _EARLY_S:
                break
            if wait_s < -_MAX_LATENESS_S:
                self._anchor_s -= wait_s
            self._emit(self._number, now)
            self._number += 1
        self._timer = self._loop.call_at(ceil((now + wait_s) / _TICK_S) * _TICK_S, self._step)

    def _emit(self, number: int, now: float) -> None:
        """Sends a frame, or drops it whole; after a drop nothing goes out before the next key frame.

        The packets of a dropped frame are counted, so that a client sees that it lost something.
        """
        frame = self._timeline.frame(number)
        packets = frame.packets
        if self._is_muted or (self._waits_for_key and not frame.is_key) or self._sink.is_full():
            self._waits_for_key = True
            self._counts.dropped += 1
        else:
            self._waits_for_key = False
            if now >= self._next_report_s:
                self._next_report_s = now + REPORT_PERIOD_S
                self.send_report()
            ticks = self._timeline.npt_ticks(number)
            timestamp = (self._timestamp_base + ticks) & 0xFFFFFFFF
            self._sink.send_frame(packets, self._sequence, timestamp, self._ssrc)
            if self._newest_ticks is None or ticks > self._newest_ticks:
                self._newest_ticks = ticks
            self._packets += len(packets.starts)
            self._octets += packets.octets
            self._counts.sent += 1
        self._sequence += len(packets.starts)

    def _timestamp(self, number: int) -> int:
        return (self._timestamp_base + self._timeline.npt_ticks(number)) & 0xFFFFFFFF
