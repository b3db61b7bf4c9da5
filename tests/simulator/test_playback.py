"""Pace, numbers and drops, in a loop whose clock the test turns."""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from simulator.footage import AccessUnit, build_footage
from simulator.nal import Codec
from simulator.playback import REPORT_PERIOD_S, FrameCounts, Playback, StreamIdentity
from simulator.rtp import PacketizedFrame
from simulator.timeline import Timeline

FPS = 30
GOP = 10
TICK_S = 0.005


@dataclass
class FakeLoop:
    """Timers that go off when the test moves the clock."""

    now: float = 1000.0
    timers: list[tuple[float, int, asyncio.TimerHandle]] = field(default_factory=list)
    made: int = 0

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, _timer: asyncio.TimerHandle) -> None:
        pass

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        self.made += 1
        handle = asyncio.TimerHandle(when, callback, args, self)  # type: ignore[arg-type]
        heapq.heappush(self.timers, (when, self.made, handle))
        return handle

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self.timers and self.timers[0][0] <= until:
            when, _, handle = heapq.heappop(self.timers)
            self.now = max(self.now, when)
            if not handle.cancelled():
                handle._callback(*handle._args)
        self.now = until


@dataclass
class FakeSink:
    """Remembers what it was given."""

    loop: FakeLoop
    full: bool = False
    frames: list[tuple[float, int, int, int]] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)

    def is_full(self) -> bool:
        return self.full

    def send_frame(self, frame: PacketizedFrame, sequence: int, timestamp: int, ssrc: int) -> None:
        self.frames.append((self.loop.now, sequence & 0xFFFF, timestamp, len(frame.starts)))

    def send_report(self, packet: bytes) -> None:
        self.reports.append(self.loop.now)

    def close(self) -> None:
        pass


@dataclass
class Stage:
    loop: FakeLoop
    sink: FakeSink
    playback: Playback
    counts: FrameCounts
    timeline: Timeline


def stage(first_sequence: int = 100, first_timestamp: int = 5000) -> Stage:
    units = [AccessUnit(n * 90_000 // FPS, n % GOP == 0, (b"\x65" + bytes(2000),)) for n in range(3 * GOP)]
    sets = (b"\x67sps", b"\x68pps")
    footage = build_footage("t", Codec.H264, (16, 16), units, last_frame_ticks=90_000 // FPS, extra_parameter_sets=sets)
    loop, counts, timeline = FakeLoop(), FrameCounts(), Timeline(footage)
    sink = FakeSink(loop)
    identity = StreamIdentity(7, first_sequence, first_timestamp)
    playback = Playback(loop, timeline, sink, identity, counts=counts, wall_s=lambda: 0.0)  # type: ignore[arg-type]
    playback.seek(0)
    return Stage(loop, sink, playback, counts, timeline)


def test_frames_never_drift() -> None:
    it = stage()
    it.playback.play()
    it.loop.advance(3600)
    sent = it.sink.frames
    assert len(sent) == pytest.approx(3600 * FPS, abs=1)
    assert all(-1e-6 <= when - 1000 - n / FPS <= TICK_S + 1e-6 for n, (when, *_) in enumerate(sent))


def test_numbers_and_timestamps_wrap() -> None:
    it = stage(first_sequence=0xFFFE, first_timestamp=2**32 - 3000)
    it.playback.play()
    it.loop.advance(0.05)
    assert [(sequence, timestamp) for _, sequence, timestamp, _ in it.sink.frames] == [(0xFFFE, 2**32 - 3000), (1, 0)]


def test_standstill_is_not_caught_up() -> None:
    it = stage()
    it.playback.play()
    it.loop.advance(1)
    before = len(it.sink.frames)
    it.loop.now += 60
    it.loop.advance(1)
    assert len(it.sink.frames) - before == pytest.approx(FPS, abs=2)


def test_short_lateness_is_caught_up_at_once() -> None:
    it = stage()
    it.playback.play()
    it.loop.advance(1)
    it.loop.now += 1
    it.loop.advance(1)
    assert len(it.sink.frames) == pytest.approx(3 * FPS, abs=1)


def test_full_sink_loses_whole_frames_up_to_the_next_key_frame() -> None:
    it = stage()
    it.playback.play()
    it.loop.advance(3.2 / FPS)  # frames 0 to 3
    it.sink.full = True
    it.loop.advance(2 / FPS)  # 4 and 5 are lost
    it.sink.full = False
    it.loop.advance(10 / FPS)  # 6 to 9 as well; 10 is a key frame
    assert it.counts == FrameCounts(sent=4 + 6, dropped=6)
    lost_before = it.sink.frames[4][1] - it.sink.frames[3][1] - it.sink.frames[3][3]
    assert lost_before == 6 * 2, "lost packets are counted, so that a client sees the loss"
    assert it.sink.frames[4][2] == 5000 + 10 * 3000


def test_mute_lets_time_go_on() -> None:
    it = stage()
    it.playback.play()
    it.loop.advance(0.1)
    it.playback.mute(True)
    before = len(it.sink.frames)
    it.loop.advance(2.95)
    assert len(it.sink.frames) == before
    it.playback.mute(False)
    it.loop.advance(1)
    assert it.sink.frames[before][2] == 5000 + 100 * 3000


def test_pause_holds_the_place() -> None:
    it = stage()
    it.playback.play()
    it.loop.advance(0.5 + TICK_S)
    it.playback.pause()
    place = it.playback.next_npt_s
    before = len(it.sink.frames)
    it.loop.advance(100)
    assert len(it.sink.frames) == before
    assert not it.playback.is_playing
    it.playback.play()
    it.loop.advance(0)
    assert it.playback.next_npt_s == pytest.approx(place + 1 / FPS)
    assert it.sink.frames[before][2] == it.sink.frames[before - 1][2] + 3000


def test_reports_go_out_with_the_first_frame_and_each_period() -> None:
    it = stage()
    it.playback.play()
    it.loop.advance(12)
    starts = [when - 1000 for when in it.sink.reports]
    assert starts == pytest.approx([0, REPORT_PERIOD_S, 2 * REPORT_PERIOD_S], abs=2 / FPS)


def test_end_stops_before_it() -> None:
    it = stage()
    it.playback.seek(0, end_s=0.5)
    it.playback.play()
    it.loop.advance(5)
    assert len(it.sink.frames) == FPS // 2
    assert not it.playback.is_playing
