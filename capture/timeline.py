"""The times of a clip: a camera's own, made to begin at 0 and to go on without a step back. Pure.

A camera may set its clock, leave times out (FFmpeg knows none for the first packets of a connection where frames are
reordered), or be connected to anew in mid-clip. What the clock says is kept where it can be true; where not, the
moments at which packets were captured stand in for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

HZ = 90_000
"""Ticks a second of a clip: RTP's clock of video (RFC 3551)."""
JUMP = 2 * HZ
"""A clock that says so much more than has passed was set; so was one that goes back."""
HELD = 16
"""Packets whose times have to be known before the first can be given one: frames are reordered within no more."""
USUAL = HZ // 25
"""Ticks of a frame whose length nobody tells."""


@dataclass(frozen=True, slots=True)
class Times:
    """When a packet is decoded and shown, in ticks; None is not known."""

    pts: int | None
    dts: int | None
    duration: int
    captured_s: float


class Timed(Protocol):
    """What the times of a packet are read from."""

    @property
    def pts(self) -> int | None:
        """When it is shown."""

    @property
    def dts(self) -> int | None:
        """When it is decoded."""

    @property
    def duration(self) -> int | None:
        """None or 0 is not known."""


def times(packet: Timed, tick_s: Fraction, captured_s: float) -> Times:
    """Return the times of a packet of a stream with this tick."""
    # Whole numbers throughout: three products of fractions took as long as all the rest of a packet.
    above, below = tick_s.numerator * HZ, tick_s.denominator

    def ticks(value: int | None) -> int | None:
        return None if value is None else value * above // below

    return Times(ticks(packet.pts), ticks(packet.dts), ticks(packet.duration) or USUAL, captured_s)


P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Placed(Generic[P]):
    """A packet with its place in the clip, in ticks. ``pts`` is never before ``dts``, nor more than JUMP after it."""

    packet: P
    pts: int
    dts: int
    duration: int


class Timeline(Generic[P]):
    """Places the packets of one clip. The first one, and the first after :meth:`reconnect`, is a key frame."""

    def __init__(self) -> None:
        self._held: list[tuple[P, Times]] = []
        """The first of a connection, as long as no time of decoding is known."""
        self._is_begun = False
        self._offset = 0
        self._dts = 0
        """Of the clip: the last one given."""
        self._last: Times | None = None
        """As the camera told it, its dts filled in."""
        self._key_pts = 0
        """Of the key frame that the connection began with, as the camera told it."""
        self._since_key = 0

    def reconnect(self) -> Iterator[Placed[P]]:
        """Go on with another connection; yield what was held of this one."""
        yield from self.flush()
        self._is_begun = False

    def place(self, packet: P, told: Times) -> Iterator[Placed[P]]:
        """Take a packet, in order of decoding; yield those that can be placed now.

        Frames that are shown before the first key frame refer to what the clip does not have: they are left out.
        """
        if self._is_begun:
            yield from self._go_on(packet, told)
            return
        self._held.append((packet, told))
        if told.dts is not None or len(self._held) == HELD:
            yield from self.flush()

    def flush(self) -> Iterator[Placed[P]]:
        """Yield what is held, for nothing more will come."""
        held, self._held = self._held, []
        if not held:
            return
        for packet, told in zip([packet for packet, _ in held], _filled([told for _, told in held]), strict=True):
            if not self._is_begun:
                self._begin(told)
                yield self._placed(packet, told)
            else:
                yield from self._go_on(packet, told)

    def _begin(self, key: Times) -> None:
        """Let a connection begin, at 0 or as long after the last packet as it was captured."""
        assert key.pts is not None
        assert key.dts is not None
        if self._last is None:
            self._offset = -key.pts
            self._dts = key.dts - key.pts - 1
        else:
            elapsed = round((key.captured_s - self._last.captured_s) * HZ)
            self._offset = self._dts + max(elapsed, self._last.duration) - key.dts
        self._last, self._is_begun = key, True
        self._key_pts, self._since_key = key.pts, 0

    def _go_on(self, packet: P, told: Times) -> Iterator[Placed[P]]:
        last = self._last
        assert last is not None
        assert last.dts is not None
        elapsed = max(1, round((told.captured_s - last.captured_s) * HZ))
        dts = last.dts + elapsed if told.dts is None else told.dts
        step = dts - last.dts
        self._since_key += 1
        if not 0 < step < elapsed + JUMP:
            self._offset += elapsed - step
            self._since_key = HELD  # nothing is to be compared with the key frame any more
        self._last = replace(told, dts=dts)
        if self._since_key < HELD and told.pts is not None and self._key_pts - JUMP < told.pts < self._key_pts:
            return
        yield self._placed(packet, self._last)

    def _placed(self, packet: P, told: Times) -> Placed[P]:
        assert told.dts is not None
        dts = max(told.dts + self._offset, self._dts + 1)
        pts = dts if told.pts is None else min(max(told.pts + self._offset, dts), dts + JUMP)
        self._dts = dts
        return Placed(packet, pts, dts, told.duration)


def _filled(told: list[Times]) -> list[Times]:
    """Fill in what is not known of the first packets of a connection, from what comes after."""
    step = told[0].duration
    shown = [each.pts for each in told if each.pts is not None]
    place, dts = next(
        ((place, each.dts) for place, each in enumerate(told) if each.dts is not None),
        (len(told), min(shown, default=0)),
    )
    first_dts = dts - place * step
    key_pts = told[0].pts
    if key_pts is None:
        key_pts = max(min(shown) - step, first_dts) if shown else first_dts
    filled = [
        replace(each, dts=first_dts + number * step) if each.dts is None else each for number, each in enumerate(told)
    ]
    filled[0] = replace(filled[0], pts=key_pts, dts=min(key_pts, max(first_dts, key_pts - JUMP)))
    return filled
