"""The last packets of one camera, kept as they came, for clips and pictures of what has just happened. Pure.

Kept by seconds, and by bytes at most. What is kept begins with a key frame, so that every moment of those seconds can
be decoded; only where the bytes do not suffice for one key frame interval is its beginning given up. Nothing is copied.

One thread appends; any may read meanwhile. Packets have running numbers, and whoever reads asks by number: a single
look into a dict, which needs no lock.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

GAP_S = 3.0
"""Packets that came so long before a moment are not of it: the camera was away in between."""


class Packet(Protocol):
    """What the ring asks of a packet; PyAV's has it."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def is_keyframe(self) -> bool:
        """Whether decoding can begin here."""

    @property
    def pts(self) -> int | None:
        """When it is shown, in ticks of its stream."""

    @property
    def dts(self) -> int | None:
        """When it is decoded, in the same."""

    @property
    def duration(self) -> int | None:
        """In the same."""


P = TypeVar("P", bound=Packet)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Kept(Generic[P, T]):
    """A packet with what has to be known of it. Others may be decoding it: read its payload, and change nothing."""

    packet: P = field(repr=False)
    track: T
    """What it is a packet of: one object a connection."""
    captured_s: float
    """Monotonic."""
    arrived_s: float
    """The same but for how long it has waited on its way."""
    is_key: bool


class Ring(Generic[P, T]):
    """The packets of the last ``keep_s`` seconds, from the key frame before on, in ``limit_bytes`` at most."""

    def __init__(self, keep_s: float, limit_bytes: int) -> None:
        self.first = 0
        """Number of the oldest packet that is kept."""
        self.end = 0
        """Number of the next one to come."""
        self.bytes = 0
        self.dropped = 0
        """Packets given up before their time, for want of room."""
        self.is_closed = False
        """Whether nothing comes any more; set by whoever owns it."""
        self._keep_s = keep_s
        self._limit_bytes = limit_bytes
        self._kept: dict[int, Kept[P, T]] = {}
        self._keys: deque[int] = deque()
        self._track: T | None = None

    def append(self, packet: P, track: T, captured_s: float, arrived_s: float) -> None:
        """Keep a packet; those before the first key frame of a track are of no use, and are not kept.

        Its seconds begin when it arrives: what comes all at once after a stall is not given up before it was seen.
        """
        is_key = packet.is_keyframe
        if track is not self._track:
            if not is_key:
                return
            self._track = track
        if is_key:
            self._keys.append(self.end)
        self._kept[self.end] = Kept(packet, track, captured_s, arrived_s, is_key)
        self.end += 1
        self.bytes += packet.size
        self._forget(arrived_s - self._keep_s)

    def get(self, number: int) -> Kept[P, T] | None:
        """Return a packet, if it is there still, or already."""
        return self._kept.get(number)

    def span_s(self) -> float:
        """Return from when until when something is kept, as seconds between; for any thread."""
        first, last = self._kept.get(self.first), self._kept.get(self.end - 1)
        return max(0.0, last.arrived_s - first.arrived_s) if first and last else 0.0

    def start(self, at_s: float) -> int | None:
        """Return the number of the key frame to begin with for this moment; None if there is none yet.

        That is the last before the moment or, where none that belongs to it is kept, the first after it.
        """
        found: int | None = None
        is_before = False
        for number in range(self.end - 1, self.first - 1, -1):
            kept = self._kept.get(number)
            if kept is None:
                break
            if not is_before and kept.captured_s <= at_s:
                is_before = True
                if at_s - kept.captured_s > GAP_S:
                    break
            if kept.is_key:
                found = number
                # Frames that come after a key frame, and are shown before it, refer to what came before that.
                if kept.captured_s <= at_s:
                    break
        return found

    def _forget(self, before_s: float) -> None:
        """Give up what is too old, whole key frame intervals at a time, and what there is no room for."""
        kept, keys = self._kept, self._keys
        while len(keys) > 1 and kept[keys[1]].arrived_s <= before_s:
            keys.popleft()
            self._forget_to(keys[0])
        # Nothing can begin before the first key frame; whoever has begun already may want it.
        begin = keys[0] if keys else self.end
        while self.first < begin and kept[self.first].arrived_s <= before_s:
            self._forget_to(self.first + 1)
        while self.bytes > self._limit_bytes:
            if keys and keys[0] == self.first:
                keys.popleft()
            self._forget_to(self.first + 1)
            self.dropped += 1

    def _forget_to(self, number: int) -> None:
        while self.first < number:
            self.bytes -= self._kept.pop(self.first).packet.size
            self.first += 1
