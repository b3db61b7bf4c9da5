"""Headers of H.264 and H.265 as fields, so that a mutation changes what a decoder reads and not where it reads. Pure.

Only the beginning of each header is taken apart (ITU-T H.264, 7.3.2.1, 7.3.2.2, 7.3.3; ITU-T H.265, 7.3.2, 7.3.6); what
follows is carried along as bits. A header that ends early, or is of a kind not known here, has the fields read so far.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

from simulator.nal import Codec

HEAD_BYTES = 96
"""So much of a unit is taken apart at most; the rest follows as it is."""
GOLOMB_LIMIT = 2**32 - 2

_HIGH_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128}


@dataclass(frozen=True, slots=True)
class Field:
    """A number in a header. ``width`` is 0 for those in Exp-Golomb code, signed or not."""

    value: int
    width: int = 0

    def bits(self) -> str:
        """As it is written."""
        if self.width:
            return format(self.value % (1 << self.width), f"0{self.width}b")
        code = format(self.value + 1, "b")
        return "0" * (len(code) - 1) + code

    def mutated(self, rng: Random) -> Field:
        """With another value; what a size or an index must not be is as likely as what it may be."""
        if self.width:
            flipped = self.value ^ (1 << rng.randrange(self.width))
            return replace(self, value=rng.choice((0, (1 << self.width) - 1, flipped, rng.getrandbits(self.width))))
        power = 1 << rng.randrange(33)
        choices = (0, self.value + 1, abs(self.value - 1), 2 * self.value + 1, power - 1, power, rng.randrange(70))
        return replace(self, value=min(rng.choice(choices), GOLOMB_LIMIT))


class _Walk:
    """Reads fields in order. Raises IndexError at the end."""

    def __init__(self, bits: str) -> None:
        self.bits = bits
        self.at = 0
        self.fields: list[Field] = []

    def u(self, width: int) -> int:
        if self.at + width > len(self.bits):
            raise IndexError
        value = int(self.bits[self.at : self.at + width], 2)
        self.at += width
        self.fields.append(Field(value, width))
        return value

    def ue(self) -> int:
        one = self.bits.find("1", self.at)
        zeros = one - self.at
        if one < 0 or zeros > 32 or one + zeros + 1 > len(self.bits):
            raise IndexError
        value = int(self.bits[one : one + zeros + 1], 2) - 1
        self.at = one + zeros + 1
        self.fields.append(Field(value))
        return value

    def each_u(self, *widths: int) -> None:
        for width in widths:
            self.u(width)

    def each_ue(self, count: int) -> None:
        for _ in range(count):
            self.ue()


def _h264(walk: _Walk, nal_type: int) -> None:
    match nal_type:
        case 7:
            profile = walk.u(8)
            walk.each_u(8, 8)
            walk.ue()
            if profile in _HIGH_PROFILES:
                if walk.ue() == 3:  # chroma_format_idc
                    walk.u(1)
                walk.each_ue(2)  # bit depths
                walk.each_u(1, 1)
            walk.ue()
            if walk.ue() == 0:  # pic_order_cnt_type
                walk.ue()
            walk.ue()
            walk.u(1)
            walk.each_ue(2)  # width and height in macroblocks
            if not walk.u(1):  # frame_mbs_only
                walk.u(1)
            walk.u(1)
            if walk.u(1):
                walk.each_ue(4)  # cropping
            if walk.u(1):  # VUI: aspect, overscan, signal type, chroma, timing
                walk.each_u(1, 1, 1, 1, 1, 32)
        case 8:
            walk.each_ue(2)
            walk.each_u(1, 1)
            walk.each_ue(3)  # slice groups, references
            walk.each_u(1, 2)
            walk.each_ue(3)  # quantizers; signed, but coded alike
            walk.each_u(1, 1, 1)
        case 1 | 2 | 5:
            walk.each_ue(3)  # first macroblock, type, PPS
            walk.each_u(4, 4, 4)  # frame number and what follows it
            walk.each_ue(3)
        case 6:
            walk.each_u(8, 8, 8, 8)


def _h265(walk: _Walk, nal_type: int) -> None:
    match nal_type:
        case 32:
            walk.each_u(4, 2, 6, 3, 1, 16, 2, 1, 5, 32, 24, 24, 8, 1)
            walk.each_ue(3)
            walk.u(6)
            walk.ue()
        case 33:
            walk.u(4)
            sub_layers = walk.u(3)
            walk.each_u(1, 2, 1, 5, 32, 24, 24, 8)  # profile, tier, level
            if sub_layers:
                return
            walk.ue()
            if walk.ue() == 3:  # chroma_format_idc
                walk.u(1)
            walk.each_ue(2)  # width and height
            if walk.u(1):
                walk.each_ue(4)  # conformance window
            walk.each_ue(3)  # bit depths, picture order count
            walk.u(1)
            walk.each_ue(9)  # buffering, block sizes, transform depth
            if walk.u(1):  # scaling lists
                return
            walk.each_u(1, 1)
            if walk.u(1):  # PCM
                walk.each_u(4, 4)
                walk.each_ue(2)
                walk.u(1)
            walk.ue()  # short-term reference sets
            walk.each_ue(4)
        case 34:
            walk.each_ue(2)
            walk.each_u(1, 1, 3, 1, 1)
            walk.each_ue(3)
            walk.each_u(1, 1)
            if walk.u(1):
                walk.ue()
            walk.each_ue(2)
            walk.each_u(1, 1, 1, 1)
            if walk.u(1):  # tiles
                walk.u(1)
                walk.each_ue(2)
        case _ if nal_type < 32:
            walk.u(1)
            if 16 <= nal_type <= 23:
                walk.u(1)
            walk.ue()
            walk.each_u(4, 4, 4, 4)
            walk.each_ue(3)
        case 39 | 40:
            walk.each_u(8, 8, 8, 8)


def mutate_header(codec: Codec, nal: bytes, rng: Random) -> bytes:
    """Change one to three fields of a unit's header."""

    def change(fields: list[Field]) -> None:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            index = rng.randrange(len(fields))
            fields[index] = fields[index].mutated(rng)

    return rewrite_header(codec, nal, change)


def rewrite_header(codec: Codec, nal: bytes, change: Callable[[list[Field]], None]) -> bytes:
    """Take a header apart, let its fields be changed in place, and write it again."""
    head = nal[codec.header_bytes : codec.header_bytes + HEAD_BYTES]
    if not head:
        return nal
    rbsp = _unescape(head)
    walk = _Walk(format(int.from_bytes(rbsp, "big"), f"0{8 * len(rbsp)}b"))
    with suppress(IndexError):  # where it ends, what was read can be changed
        (_h264 if codec is Codec.H264 else _h265)(walk, codec.nal_type(nal))
    if not walk.fields:
        return nal
    change(walk.fields)
    bits = "".join(field.bits() for field in walk.fields) + walk.bits[walk.at :]
    bits += "0" * (-len(bits) % 8)
    written = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return nal[: codec.header_bytes] + _escape(written) + nal[codec.header_bytes + HEAD_BYTES :]


def _unescape(data: bytes) -> bytes:
    """Take the emulation prevention bytes out (7.4.1)."""
    return data.replace(b"\0\0\3", b"\0\0")


def _escape(data: bytes) -> bytes:
    """Put them in."""
    written = bytearray()
    for byte in data:
        if byte <= 3 and written.endswith(b"\0\0"):
            written.append(3)
        written.append(byte)
    return bytes(written)
