"""Timelines of cameras whose pictures or clocks are wrong. Pure.

Each is a camera's timeline with one thing changed. Where only the clock is wrong the frames' numbers stay, so a session
goes over at any frame; other pictures begin with a key frame.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from simulator.faults import Fast, Flood, Jitter, Pause
from simulator.filler import pad_frame
from simulator.footage import FootageFrame
from simulator.rtp import CLOCK_HZ
from simulator.timeline import Timeline


class FrozenTimeline(Timeline):
    """One key frame at every frame's turn; shown in the order sent, since nothing is reordered any more."""

    def __init__(self, plain: Timeline, number: int) -> None:
        """Freezes at the key frame at or before a frame."""
        super().__init__(plain.footage, plain.origin_s)
        self.pictures = self
        self._still = self.footage.frames[plain.key_number(number) % len(self.footage.frames)]

    def frame(self, number: int) -> FootageFrame:
        """The still picture."""
        return self._still

    def npt_ticks(self, number: int) -> int:
        """Sorted as the frames are sent."""
        return round(self.dts_s(number) * CLOCK_HZ)


class FastTimeline(Timeline):
    """Its clock, and perhaps its pace, is a multiple of the wall's from one frame on."""

    def __init__(self, plain: Timeline, fault: Fast, number: int) -> None:
        """Clock and pace are right at the frame `number`."""
        super().__init__(plain.footage, plain.origin_s)
        self._clock_ratio = 1.0 if fault.frames_too else fault.ratio
        self._pace_ratio = fault.ratio if fault.frames_too else 1.0
        self._pivot_ticks = plain.npt_ticks(number)
        self._pivot_s = plain.dts_s(number)

    def npt_ticks(self, number: int) -> int:
        """What the camera's clock says."""
        return self._stretched_ticks(super().npt_ticks(number))

    def dts_s(self, number: int) -> float:
        """When a frame is decoded by the wall's clock."""
        return self._pivot_s + (super().dts_s(number) - self._pivot_s) / self._pace_ratio

    due_s = dts_s

    def ticks_at(self, npt_s: float) -> int:
        """What the camera's clock shows after so much of the wall's time."""
        unpaced_s = self._pivot_s + (npt_s - self._pivot_s) * self._pace_ratio
        return self._stretched_ticks(super().ticks_at(unpaced_s))

    def _stretched_ticks(self, ticks: int) -> int:
        return self._pivot_ticks + round((ticks - self._pivot_ticks) * self._clock_ratio)


class JitteryTimeline(Timeline):
    """Frames are due late by chance, each by the same at every look."""

    def __init__(self, plain: Timeline, fault: Jitter) -> None:
        super().__init__(plain.footage, plain.origin_s)
        self._up_to_s = fault.up_to_ms / 1000
        self._seed = fault.seed

    def due_s(self, number: int) -> float:
        """Its decoding time and a delay; whoever sends in order lets a late frame hold up the next."""
        return self.dts_s(number) + Random(self._seed << 40 | number).random() * self._up_to_s


class HaltingTimeline(Timeline):
    """Nothing is sent for a while before each key frame, then all that was due."""

    def __init__(self, plain: Timeline, fault: Pause) -> None:
        super().__init__(plain.footage, plain.origin_s)
        self._pause_s = fault.ms / 1000

    def due_s(self, number: int) -> float:
        """Its decoding time, or the pause's end."""
        return max(self.dts_s(number), self.dts_s(self.key_number(number)) + self._pause_s)


class FloodedTimeline(Timeline):
    """Frames with filler data in them."""

    def __init__(self, plain: Timeline, fault: Flood) -> None:
        super().__init__(plain.footage, plain.origin_s)
        self._times = fault.times

    def frame(self, number: int) -> FootageFrame:
        """The frame, padded anew each time: padded footage would take as many times the memory."""
        frame = super().frame(number)
        return replace(frame, packets=pad_frame(self.footage.codec, frame.packets, self._times))
