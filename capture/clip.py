"""A clip: packets from a camera's ring, and those that come afterwards, as fragmented MP4. Nothing is decoded.

Each second is a fragment of its own, so what is written stays readable whatever ends the process; a clip that ends in
good order gets its index then (FFmpeg's ``hybrid_fragmented``), and is an MP4 like any other. Video only: sound is
not read from cameras. Owned by the recorder's thread.
"""

from collections.abc import Iterator
from fractions import Fraction

import av
import av.error

from capture.boxfile import BoxFile
from capture.mediamessages import Record, Recorded
from capture.ring import GAP_S
from capture.timeline import HZ, Placed, Timeline, times
from capture.track import CLIP_CODECS, KeptPacket, PacketRing, Track
from capture.words import MAX_CLIP_S, Shortfall

PATIENCE_S = 2.0
"""A packet may come so long after it was captured."""
FRAGMENT_S = 1.0

_OPTIONS = {
    "movflags": "hybrid_fragmented+frag_keyframe+delay_moov+default_base_moof",
    "frag_duration": str(int(FRAGMENT_S * 1e6)),
}


class _Mp4:
    """The file of one clip."""

    def __init__(self, file: BoxFile, track: Track, sets: tuple[bytes, ...], picture_wh: tuple[int, int]) -> None:
        self._file = file
        self._container = av.open(file, "w", format="mp4", options=_OPTIONS)
        self._stream = self._container.add_stream_from_template(track.template, opaque=True)
        context = self._stream.codec_context
        context.extradata = track.header(sets)
        if all(picture_wh):
            context.width, context.height = picture_wh
        if track.codec == "hevc":
            context.codec_tag = "hvc1"  # the other one, hev1, is not played by Safari
        self._stream.time_base = Fraction(1, HZ)

    def write(self, placed: Placed[KeptPacket]) -> None:
        """Write one packet. Raises OSError, FFmpegError."""
        # The payload is not copied: the new packet holds the old one. PyAV takes whatever has a buffer.
        packet = av.Packet(placed.packet.packet)  # type: ignore[arg-type]
        packet.stream = self._stream
        packet.time_base = Fraction(1, HZ)
        packet.pts, packet.dts, packet.duration = placed.pts, placed.dts, placed.duration
        packet.is_keyframe = placed.packet.is_key
        self._container.mux_one(packet)
        self._file.commit()

    def close(self) -> None:
        """Write the index. Raises OSError, FFmpegError."""
        self._container.close()
        self._file.commit()


class Clip:
    """One clip that is being written. Owns the descriptor."""

    def __init__(self, order: Record, ring: PacketRing, fd: int, picture_wh: tuple[int, int]) -> None:
        self.order = order
        self._ring = ring
        self._until_s = order.from_mono_s
        self.prolong(order.until_mono_s)
        self._file = BoxFile(fd)
        self._picture_wh = picture_wh
        self._next: int | None = None
        """Number of the ring's packet to be written next."""
        self._mp4: _Mp4 | None = None
        self._timeline: Timeline[KeptPacket] = Timeline()
        self._first: KeptPacket | None = None
        self._last: KeptPacket | None = None
        self._sets: frozenset[bytes] = frozenset()
        self._first_dts: int | None = None
        self._ticks = 0
        """Its length so far."""
        self._reason: Shortfall | None = None

    def prolong(self, until_s: float) -> None:
        """Go on until then, if that is later than before."""
        self._until_s = min(max(self._until_s, until_s), self.order.from_mono_s + MAX_CLIP_S)

    def step(self, now_s: float) -> Recorded | None:
        """Write what has come since; return the reply when the clip has ended."""
        try:
            if not self._advance(now_s):
                return None
        except (OSError, av.error.FFmpegError):
            self._reason = Shortfall.UNWRITABLE
        return self.end(self._reason)

    def end(self, reason: Shortfall | None) -> Recorded:
        """Close the file with what it has; return the reply."""
        try:
            if self._mp4 and reason is not Shortfall.UNWRITABLE:
                self._place(self._timeline.flush())
            if self._mp4:
                self._mp4.close()
        except (OSError, av.error.FFmpegError):
            reason = Shortfall.UNWRITABLE
        size = self._file.size()
        try:
            self._file.close()
        except OSError:
            reason = Shortfall.UNWRITABLE
        first = self._first
        pts = first.packet.pts if first else None
        return Recorded(
            self.order.camera,
            self.order.epoch,
            self.order.event_id,
            duration_s=self._ticks / HZ,
            size_bytes=size,
            began_mono_s=first.captured_s if first else 0.0,
            first_pts_s=None if first is None or pts is None else float(pts * first.track.tick_s),
            reason=reason,
        )

    def _advance(self, now_s: float) -> bool:
        """Write what has come; return whether that was all."""
        ring = self._ring
        if self._next is None:
            self._next = ring.start(self.order.from_mono_s)
        while self._next is not None and self._next < ring.end:
            kept = ring.get(self._next)
            if kept is None:
                self._reason = Shortfall.SLOW
                return True
            if kept.captured_s > self._until_s:
                if self._first is None:
                    self._reason = Shortfall.DOWN
                return True
            if reason := self._refusal(kept):
                self._reason = reason
                return True
            self._write(kept)
            self._next += 1
        if ring.is_closed:
            self._reason = Shortfall.REPLACED
            return True
        if now_s <= self._until_s + PATIENCE_S:
            return False
        if self._last is None or self._last.captured_s < self._until_s - GAP_S:
            self._reason = Shortfall.DOWN
        return True

    def _refusal(self, kept: KeptPacket) -> Shortfall | None:
        """Return why this packet cannot be of this clip."""
        track, first = kept.track, self._first
        if first is None:
            if track.codec not in CLIP_CODECS:
                return Shortfall.CODEC
            return None if track.can_begin(track.sets(kept)) else Shortfall.SPOILED
        if not kept.is_key:
            return None
        is_alike = track.codec == first.track.codec and track.is_byte_stream == first.track.is_byte_stream
        return None if is_alike and self._sets.issuperset(track.sets(kept)) else Shortfall.CHANGED

    def _write(self, kept: KeptPacket) -> None:
        if self._first is None or self._last is None:
            sets = kept.track.sets(kept)
            self._first, self._sets = kept, frozenset(sets)
            self._mp4 = _Mp4(self._file, kept.track, sets, self._picture_wh)
        elif kept.track is not self._last.track:
            self._place(self._timeline.reconnect())
        self._last = kept
        self._place(self._timeline.place(kept, times(kept.packet, kept.track.tick_s, kept.captured_s)))

    def _place(self, ready: Iterator[Placed[KeptPacket]]) -> None:
        assert self._mp4
        for placed in ready:
            if self._first_dts is None:
                self._first_dts = placed.dts
            self._mp4.write(placed)
            self._ticks = placed.dts + placed.duration - self._first_dts
