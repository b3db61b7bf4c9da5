"""The decoder of one connection: gives it the packets that the policy wants decoded, and yields the frames that may be
used. Owned by the reader's thread.

What decides is pure: :mod:`capture.decodepolicy`, :mod:`capture.damage`, :mod:`capture.backlog`.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace

import av
import av.error

from capture.backlog import Backlog
from capture.damage import BarrenRule, DamageRule
from capture.decodepolicy import DecodePolicy, PolicyOptions, Verb
from capture.failures import SourceError
from capture.motion import SizeHint
from capture.source import Arrival, Source, SourceOptions, Stamp
from capture.words import DecodeMode

Pictures = list[av.VideoFrame]

HELD = 16
"""A decoder holds back no more pictures than this, to put them in order (H.264 A.3.1, H.265 A.4.2: the largest DPB)."""

TURN_S = 1.0
_RESTING = threading.BoundedSemaphore()
"""One at a time of a process's cameras that rest. Those that were switched on together send their key frames together,
which for a third of a second would keep the cores from cameras that move."""


@dataclass(slots=True)
class Tally:
    """Counters of a camera, kept over all its connections; only the reading thread writes."""

    connects: int = 0
    packets: int = 0
    bytes: int = 0
    frames: int = 0
    """Decoded, and of use."""
    damaged: int = 0
    undecoded: int = 0
    behind: int = 0
    jumps: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded frame, still in the decoder's own format."""

    picture: av.VideoFrame = field(repr=False)
    stamp: Stamp

    @property
    def is_key(self) -> bool:
        """Whether it was coded on its own."""
        return bool(self.picture.key_frame)


class Decoder:
    """Decodes what the policy wants. ``is_due`` says whether a frame that came now would be analyzed."""

    def __init__(
        self, stream: av.VideoStream, policy: DecodePolicy, tally: Tally, is_due: Callable[[float], bool]
    ) -> None:
        self.policy = policy
        self.backlog = Backlog()
        self.barren = BarrenRule()
        self._context = stream.codec_context
        self._context.copy_opaque = True  # each picture tells which packet it is of
        if policy.options.mode is DecodeMode.NO_NONREF:
            self._context.skip_frame = "NONREF"
        self._tally = tally
        self._is_due = is_due
        self._damage = DamageRule()
        self._hint = SizeHint()
        self.is_quiet = True
        """Whether nothing moved when the motion gate last looked; set by the reader."""
        self._kept: list[Arrival] = []
        """Packets since the last one decoded, in case they are wanted after all."""
        self._given: deque[Stamp] = deque()
        """Packets that the decoder has been given, and whose pictures have not come out."""
        self._is_whole = False
        """Whether the decoder has been given all packets from a key frame on, but for those kept."""
        self._shown: Stamp | None = None
        """The key frame that was forced out of a decoder which had to forget it for that, and will see it again."""

    def feed(self, arrival: Arrival) -> Iterator[Frame]:
        """Take a packet; yield what of it, and of those kept, can be used."""
        packet, stamp, tally = arrival.packet, arrival.stamp, self._tally
        is_key, now_s = packet.is_keyframe, stamp.arrived_s
        tally.packets += 1
        tally.bytes += packet.size
        if self._damage.packet(stamp.pts_s, is_key, now_s):
            self._lose()
        if self.backlog.is_behind(stamp.lag_s, now_s):
            tally.behind += 1
            self._forget_kept()
            self._lose()
            self._damage.lose(now_s)
            return
        if (waited_s := self.backlog.waited_s(stamp.lag_s)) != stamp.lag_s:
            # A way that has become longer is no age of the picture: it would be stale for as long as the way is judged.
            stamp = replace(stamp, lag_s=waited_s)
            arrival = replace(arrival, stamp=stamp)
        if not is_key and self.policy.is_adaptive and self._hint.observe(packet.size, is_quiet=self.is_quiet):
            self.policy.note_motion(now_s)
        verb = self.policy.packet(is_key, self._is_due(now_s), now_s)
        if verb is Verb.KEEP:
            self._kept.append(arrival)
            return
        if verb is Verb.DROP:
            self._forget_kept()
            self._is_whole = False
            self._leave_out(1)
            return
        if is_key:
            yield from self._begin()
        wanted, self._kept = [*self._kept, arrival], []
        for each in wanted:
            yield from self._decode(each)

    def close(self) -> Iterator[Frame]:
        """Count what was kept, for the stream has ended; yield the frames that the decoder still held."""
        self._forget_kept()
        yield from self._empty()

    def _begin(self) -> Iterator[Frame]:
        """Prepare for a key frame. Where packets before it were left out, the decoder is to think of none of them.

        Else it would fill the gap, and show what refers to it (in an open GOP) as if nothing were wrong.
        """
        if self._kept or not self._is_whole:
            self._forget_kept()
            yield from self._empty()
        self._is_whole = True

    def _lose(self) -> None:
        self.policy.lose()
        self._is_whole = False

    def _forget_kept(self) -> None:
        self._tally.undecoded += sum(each.stamp is not self._shown for each in self._kept)
        self._kept = []

    def _leave_out(self, packets: int) -> None:
        """Count packets of which there is no picture."""
        if self._damage.is_damaged:
            self._tally.damaged += packets
        else:
            self._tally.undecoded += packets

    def _forget_given(self, held: int) -> None:
        """Count what the decoder has left out: what nothing refers to, if so told, or what refers to nothing it has."""
        while len(self._given) > held:
            self._given.popleft()
            self._leave_out(1)

    def _decode(self, arrival: Arrival) -> Iterator[Frame]:
        packet, stamp = arrival.packet, arrival.stamp
        is_again, is_forced = stamp is self._shown, False
        packet.opaque = stamp
        if not is_again:
            self._given.append(stamp)
        try:
            with _turn() if self.policy.is_resting else nullcontext():
                pictures = self._context.decode(packet)
        except av.error.FFmpegError:
            # Usual after joining in mid-GOP, until the first key frame.
            self.barren.decoded(False, stamp.arrived_s)
            self._damage.frame(True, False, stamp.arrived_s)
            if not is_again:
                self._given.pop()
                self._tally.damaged += 1
            return
        if packet.is_keyframe and self.policy.is_resting and not _show(pictures, stamp):
            # It waits for packets that it shall not get. To be forced it has to forget, the key frame too.
            pictures += self._drain()
            is_forced = True
        self.barren.decoded(bool(pictures), stamp.arrived_s)
        for picture in pictures:
            yield from self._use(picture, picture.opaque if isinstance(picture.opaque, Stamp) else stamp)
        if is_forced:
            self._kept = [arrival]
            if stamp in self._given:
                self._given.remove(stamp)  # not even so
            else:
                self._shown = stamp
        self._forget_given(0 if is_forced else HELD)

    def _drain(self) -> Pictures:
        """Return what the decoder holds; it forgets everything, and takes packets again."""
        pictures: Pictures = []
        with suppress(av.error.FFmpegError):
            pictures = self._context.decode(None)
        self._context.flush_buffers()
        return pictures

    def _empty(self) -> Iterator[Frame]:
        """Use what the decoder holds, and let it forget everything."""
        if self._given:
            for picture in self._drain():
                yield from self._use(picture, picture.opaque)
            self._forget_given(0)

    def _use(self, picture: av.VideoFrame, stamp: object) -> Iterator[Frame]:
        if not isinstance(stamp, Stamp) or stamp not in self._given:
            return  # it has come out before
        if picture.key_frame:
            # What was given before it comes out before it, or not at all.
            self._forget_given(len(self._given) - self._given.index(stamp))
        self._given.remove(stamp)
        if self._damage.frame(picture.is_corrupt, bool(picture.key_frame), stamp.arrived_s):
            self._tally.frames += 1
            yield Frame(picture, stamp)
        else:
            self._tally.damaged += 1


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until no other camera that rests is being decoded, but not for ever: its decoder may hang."""
    is_mine = _RESTING.acquire(timeout=TURN_S)
    try:
        yield
    finally:
        if is_mine:
            _RESTING.release()


def _show(pictures: Pictures, stamp: Stamp) -> bool:
    return any(picture.opaque is stamp for picture in pictures)


def read_frames(options: SourceOptions, tally: Tally, stop: threading.Event) -> Iterator[Frame]:
    """Connect, and yield every frame. Returns when ``stop`` is set, else ends with SourceError."""
    with Source(options) as source:
        decoder = Decoder(source.stream, DecodePolicy(PolicyOptions()), tally, lambda _: True)
        try:
            for arrival in source.arrivals(stop):
                yield from decoder.feed(arrival)
        except SourceError:
            yield from decoder.close()
            raise
