"""A camera's time: footage unrolled into an endless line of frames. Pure.

Frames are numbered along the unrolled line: number `round * len(frames) + index`. The camera's own time, RTSP's normal
play time (npt), is zero at the key frame at or before its start offset, so number and npt of a frame never go back.
"""

from __future__ import annotations

from bisect import bisect_right

from simulator.footage import Footage, FootageFrame
from simulator.rtp import CLOCK_HZ

# FFmpeg cuts npt to whole milliseconds: the key frame it means may lie that much later than it says.
_SEEK_TOLERANCE_TICKS = CLOCK_HZ // 1000


class Timeline:
    """The unrolled line of one camera. Immutable, safe from any thread."""

    def __init__(self, footage: Footage, start_offset_s: float = 0.0) -> None:
        """Puts npt 0 at the key frame at or before `start_offset_s`, which is taken modulo the duration."""
        self.footage = footage
        self.pictures: object = footage
        """What its numbers number: timelines with the same pictures go over into each other at any frame."""
        self._frames = footage.frames
        self._duration_ticks = footage.duration_ticks
        self._keys = [index for index, frame in enumerate(footage.frames) if frame.is_key]
        self._key_ticks = [footage.frames[index].pts_ticks for index in self._keys]
        self._origin_ticks = 0
        self._origin_ticks = self._unrolled_ticks(
            self._key_at_or_before(round(start_offset_s * CLOCK_HZ) % footage.duration_ticks)
        )

    @property
    def origin_s(self) -> float:
        """Where in the footage npt 0 lies, in seconds."""
        return self._origin_ticks / CLOCK_HZ

    def seek(self, npt_s: float) -> int:
        """Number of the key frame at or before a time (negative counts as zero)."""
        ticks = max(0, round(npt_s * CLOCK_HZ)) + _SEEK_TOLERANCE_TICKS
        return self._key_at_or_before(self._origin_ticks + ticks)

    def frame(self, number: int) -> FootageFrame:
        """The frame with this number."""
        return self._frames[number % len(self._frames)]

    def npt_ticks(self, number: int) -> int:
        """When a frame is shown, in 1/90000 s of the camera's time."""
        return self._unrolled_ticks(number) - self._origin_ticks

    def npt_s(self, number: int) -> float:
        """When a frame is shown, in seconds of the camera's time."""
        return self.npt_ticks(number) / CLOCK_HZ

    def dts_s(self, number: int) -> float:
        """When a frame is decoded, in seconds of the camera's time: at most when it is shown."""
        rounds, index = divmod(number, len(self._frames))
        return (rounds * self._duration_ticks + self._frames[index].dts_ticks - self._origin_ticks) / CLOCK_HZ

    due_s = dts_s
    """When a frame is sent, in seconds of the camera's time: not before it is decoded."""

    def ticks_at(self, npt_s: float) -> int:
        """What the clock of `npt_ticks` shows at a time."""
        return round(npt_s * CLOCK_HZ)

    @property
    def step_ticks(self) -> int:
        """Ticks from one frame to the next, on average."""
        return max(1, self._duration_ticks // len(self._frames))

    def key_number(self, number: int) -> int:
        """Number of the key frame at or before a frame, in decoding order."""
        rounds, index = divmod(number, len(self._frames))
        return rounds * len(self._frames) + self._keys[bisect_right(self._keys, index) - 1]

    def _unrolled_ticks(self, number: int) -> int:
        rounds, index = divmod(number, len(self._frames))
        return rounds * self._duration_ticks + self._frames[index].pts_ticks

    def _key_at_or_before(self, unrolled_ticks: int) -> int:
        rounds, ticks = divmod(unrolled_ticks, self._duration_ticks)
        return rounds * len(self._frames) + self._keys[bisect_right(self._key_ticks, ticks) - 1]
