"""Recorded video, read as fast as the machine goes: what a file is, and those of its frames that are looked at.

Time in a file is seconds since its first picture, by its own pts. Frames are taken on a raster: of each window of
``1 / fps`` the first. A file can be read in parts, and they are the same frames: a part is so many windows. Nothing
here is shared between threads; a file belongs to the thread that reads it. Raises SourceError.
"""

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from math import floor, inf
from pathlib import Path

import av
import av.error

from capture.damage import DamageRule
from capture.failures import SourceError, because
from capture.lookmessages import Cut, Facts, SkipFrame
from capture.source import SourceOptions, open_file
from capture.words import Reason

PARTS = 64
"""Into about so many a file is cut, ..."""
PART_S = (10.0, 120.0)
"""... none shorter or longer than that but for the last one."""
TRIED_S = (1.5, 20.0)
"""So much of a file at least, and at most, is decoded to learn what may be skipped: two windows."""
TRIED_PACKETS = 600
NEAR_S = 0.005
"""Times that differ by less are the same: what is told of a moment is rounded."""
BACK_S = (0.0, 3.0, 15.0, inf)
"""So much earlier is looked for a picture of a moment, in turn."""
JUMP_S = 1.0
"""A clock that goes back by more begins anew: what follows comes after what was before."""


@dataclass(frozen=True, slots=True)
class Raster:
    """Which window a moment lies in. Pure."""

    fps: float
    """Windows a second."""
    shift_s: float = 0.0
    """Windows begin so much earlier than at whole ones: a picture that is due at an edge may be stamped beside it."""

    @classmethod
    def of(cls, fps: float, rate_hz: float) -> "Raster":
        """Return the raster for a file with so many pictures a second; each is in a window of its own at the same."""
        return cls(fps, 0.5 / max(fps, rate_hz))

    def window(self, at_s: float) -> int:
        """Return the window of a moment."""
        return floor((at_s + self.shift_s) * self.fps)


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A frame that is looked at."""

    picture: av.VideoFrame = field(repr=False)
    at_s: float


@dataclass(slots=True)
class Losses:
    """What could not be used of what was read."""

    frames: int = 0
    first_s: float | None = None
    """Where the first one was."""

    def add(self, at_s: float) -> None:
        """Count one."""
        self.frames += 1
        self.first_s = at_s if self.first_s is None else self.first_s


class FootageFile:
    """An open file. Use with `closing`."""

    def __init__(self, path: Path) -> None:
        self._options = SourceOptions(path.absolute().as_uri())
        self._container, self._stream = open_file(self._options)
        self._tick_s = float(self._stream.time_base or 0)
        self._origin_s = (self._stream.start_time or 0) * self._tick_s

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def facts(self, fps: float) -> Facts:
        """Return what is to be known before it is looked at ``fps`` times a second; decodes the beginning."""
        rate_hz = float(self._stream.average_rate or self._stream.guessed_rate or 25)
        duration_s = self._duration_s(rate_hz)
        skip = self._skippable(fps)
        self._rewind()
        context = self._stream.codec_context
        return Facts(
            fps=fps,
            codec=context.name,
            size_wh=(context.width, context.height),
            rate_hz=rate_hz,
            duration_s=duration_s,
            created_at=_created_at(self._container.metadata | self._stream.metadata),
            skip=skip,
            cuts=tuple(self._cuts(duration_s, Raster.of(fps, rate_hz))),
        )

    def take(
        self, raster: Raster, cut: Cut | None, until: int | None, skip: SkipFrame, losses: Losses
    ) -> Iterator[Taken]:
        """Yield the frames from a cut (None: the beginning) up to this window (None: the end).

        Frames that are damaged, or refer to one that is, are left out and counted. Raises SourceError where the file
        cannot be read on.
        """
        self._stream.codec_context.skip_frame = skip
        first = -1 if cut is None else cut.window
        if cut is not None:
            self._seek(cut.seek_s)
        last = first - 1
        damage = DamageRule()
        for picture, at_s in self._in_order(self._pictures(losses)):
            if not damage.frame(picture.is_corrupt, bool(picture.key_frame), at_s):
                losses.add(at_s)
                continue
            window = raster.window(at_s)
            if until is not None and window >= until:
                return
            if window > last:
                last = window
                yield Taken(picture, max(0.0, at_s))

    def at(self, at_s: float) -> av.VideoFrame | None:
        """Return the clean picture of a moment, or the last before it; None if there is none."""
        found: av.VideoFrame | None = None
        for back_s in BACK_S:
            self._rewind()
            if at_s > back_s:
                self._seek(at_s - back_s)
            for picture, seen_s in self._in_order(self._pictures(Losses())):
                if seen_s > at_s + NEAR_S:
                    break
                if not picture.is_corrupt:
                    found = picture
            if found is not None:
                break  # else it has come in behind the key frame, where a file has no index
        return found

    def _in_order(self, pictures: Iterator[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, float]]:
        """Yield pictures with their time, which never goes back."""
        ahead_s, last_s = 0.0, None
        step_s = float(1 / self._stream.average_rate) if self._stream.average_rate else 0.04
        for picture in pictures:
            stamp = picture.pts if picture.pts is not None else picture.dts
            at_s = last_s + step_s if stamp is None and last_s is not None else self._time_s(stamp or 0) + ahead_s
            if last_s is not None and at_s < last_s - JUMP_S:
                ahead_s += last_s + step_s - at_s
                at_s = last_s + step_s
            last_s = at_s if last_s is None else max(at_s, last_s)
            yield picture, at_s

    def _pictures(self, losses: Losses) -> Iterator[av.VideoFrame]:
        """Yield all that can be decoded."""
        at_s = 0.0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                raise because(Reason.BROKEN) from None
            if packet is None:
                return
            if packet.pts is not None:
                at_s = self._time_s(packet.pts)
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                losses.add(at_s)

    def _skippable(self, fps: float) -> SkipFrame:
        """Return what need not be decoded: enough pictures are left without it. Raises SourceError."""
        sparing: tuple[SkipFrame, ...] = ("NONKEY", "NONREF")
        for skip in sparing:
            found = self._times(skip, min(max(TRIED_S[0], 2.0 / fps), TRIED_S[1]))
            if found and max(later - before for before, later in pairwise(found)) <= 0.5 / fps:
                return skip
        if not self._times("DEFAULT", 0.0, least=1):
            raise SourceError(Reason.NOT_VIDEO, "no picture of it can be decoded")
        return "DEFAULT"

    def _times(self, skip: SkipFrame, until_s: float, least: int = 3) -> list[float]:
        """Return the times of the first pictures, up to about there; none if there are fewer than so many."""
        self._rewind()
        self._stream.codec_context.skip_frame = skip
        found: list[float] = []
        with suppress(av.error.FFmpegError, SourceError):
            for picture, at_s in self._in_order(self._first_pictures(until_s, least)):
                if not picture.is_corrupt:
                    found.append(at_s)
        return found if len(found) >= least else []

    def _first_pictures(self, until_s: float, least: int) -> Iterator[av.VideoFrame]:
        came = 0
        for number, packet in enumerate(self._container.demux(self._stream)):
            with suppress(av.error.FFmpegError):
                for picture in packet.decode():
                    came += 1
                    yield picture
            is_far = packet.dts is not None and self._time_s(packet.dts) > until_s
            if number >= TRIED_PACKETS or (is_far and came >= least):
                return

    def _cuts(self, duration_s: float, raster: Raster) -> Iterator[Cut]:
        """Yield where it can be cut: behind key frames that are found by seeking."""
        step_s = min(max(duration_s / PARTS, PART_S[0]), PART_S[1])
        last = 0
        for number in range(1, int(duration_s / step_s)):
            seek_s = number * step_s
            try:
                self._seek(seek_s)
                packet = next(self._container.demux(self._stream), None)
            except (av.error.FFmpegError, OSError, SourceError):
                return
            if packet is None or not packet.is_keyframe or packet.pts is None:
                continue
            window = raster.window(self._time_s(packet.pts)) + 1
            if window > last and self._time_s(packet.pts) <= seek_s:
                last = window
                yield Cut(seek_s, window)

    def _rewind(self) -> None:
        """Begin anew: not every file can be sought to its beginning."""
        self._container.close()
        self._container, self._stream = open_file(self._options)

    def _seek(self, at_s: float) -> None:
        if self._tick_s:
            offset = round((at_s + self._origin_s) / self._tick_s)
            self._container.seek(offset, stream=self._stream, backward=True)

    def _time_s(self, stamp: int) -> float:
        return stamp * self._tick_s - self._origin_s

    def _duration_s(self, rate_hz: float) -> float:
        if self._stream.duration:
            return float(self._stream.duration * self._tick_s)
        if self._container.duration:
            return self._container.duration / av.time_base
        return self._measured_s(rate_hz)

    def _measured_s(self, rate_hz: float) -> float:
        """Return how long it is, by reading all of it: it was never closed, perhaps."""
        ends_s = [0.0]
        with suppress(av.error.FFmpegError, OSError):
            self._rewind()
            for packet in self._container.demux(self._stream):
                if packet.pts is not None:
                    ends_s.append(self._time_s(packet.pts) + 1.0 / rate_hz)
        return max(ends_s)


def facts_of(path: Path, fps: float) -> Facts:
    """Return what is to be known of a file. Raises SourceError."""
    with closing(FootageFile(path)) as file:
        return file.facts(fps)


def _created_at(metadata: dict[str, str]) -> float | None:
    """Return when it was made, wall clock, as it says itself."""
    with suppress(ValueError):
        made = datetime.fromisoformat(metadata.get("creation_time", ""))
        # Without a zone it is UTC (FFmpeg writes so); zero is a clock that nobody has set: 1904 or 1970.
        at = (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()
        return at if made.year > 1980 else None
    return None
