"""What happens to packets on a bad way: given a frame's packets, those that arrive, and as what. Pure.

A `Tampering` is made for one session and keeps its own chance, so the same seed gives the same packets the same fate.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, Protocol

from simulator.faults import Corrupt, Fault, Loss, Reorder

HEADER_BYTES: Final = 12
"""Of an RTP packet (RFC 3550, 5.1), which is never corrupted: the way's checksums hold it together."""


class Tampering(Protocol):
    """Decides over the packets of one session, frame by frame."""

    def pass_on(self, packets: Sequence[bytes]) -> list[bytes]:
        """What goes out in their place; may be packets of earlier calls."""


class PacketLoss:
    """Drops packets."""

    def __init__(self, fault: Loss) -> None:
        self._ratio = fault.ratio
        self._random = Random(fault.seed)

    def pass_on(self, packets: Sequence[bytes]) -> list[bytes]:
        """Those that are not lost."""
        return [packet for packet in packets if self._random.random() >= self._ratio]


class PacketReorder:
    """Holds packets back until some others have overtaken them."""

    def __init__(self, fault: Reorder) -> None:
        self._ratio = fault.ratio
        self._by = fault.by
        self._random = Random(fault.seed)
        self._passed = 0
        self._late: list[tuple[int, bytes]] = []  # when `passed` is that high, the packet goes out

    def pass_on(self, packets: Sequence[bytes]) -> list[bytes]:
        """All but the late ones, with those that were late enough in between."""
        out: list[bytes] = []
        for packet in packets:
            if self._random.random() < self._ratio:
                self._late.append((self._passed + self._random.randint(1, self._by), packet))
                continue
            out.append(packet)
            self._passed += 1
            out += [late for until, late in self._late if until <= self._passed]
            self._late = [(until, late) for until, late in self._late if until > self._passed]
        return out


class BitFlips:
    """Flips one bit in some packets' payloads."""

    def __init__(self, fault: Corrupt) -> None:
        self._ratio = fault.ratio
        self._random = Random(fault.seed)

    def pass_on(self, packets: Sequence[bytes]) -> list[bytes]:
        """All packets, some of them with a flipped bit."""
        return [self._flipped(packet) if self._random.random() < self._ratio else packet for packet in packets]

    def _flipped(self, packet: bytes) -> bytes:
        bit = self._random.randrange(HEADER_BYTES * 8, len(packet) * 8)
        flipped = bytearray(packet)
        flipped[bit // 8] ^= 1 << bit % 8
        return bytes(flipped)


def tampering_of(fault: Fault) -> Tampering | None:
    """What a fault does to packets; None if it leaves them alone."""
    match fault:
        case Loss():
            return PacketLoss(fault)
        case Reorder():
            return PacketReorder(fault)
        case Corrupt():
            return BitFlips(fault)
    return None
