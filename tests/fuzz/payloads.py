"""Mutated pictures, and the RTP packets that carry them, mutated too. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from simulator.jpeg import packetize_jpeg
from simulator.nal import Codec
from simulator.packetize import packetize
from tests.fuzz.bases import Base, Unit, bases
from tests.fuzz.bits import mutate_header
from tests.fuzz.mutations import mutate_bytes, mutate_order

RTP_LIMIT_BYTES = 65_535
_FU = {Codec.H264: 28, Codec.H265: 49}


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet, before it is written."""

    sequence: int
    timestamp: int
    payload: bytes
    marker: bool = False
    payload_type: int = 96
    first_byte: int = 0x80
    """Version, padding, extension, count of sources."""
    ssrc: int = 0x5EED
    extra: bytes = field(default=b"", repr=False)
    """Between header and payload."""

    def encode(self) -> bytes:
        second = (0x80 if self.marker else 0) | (self.payload_type & 0x7F)
        numbers = (self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc & 0xFFFFFFFF)
        header = struct.pack(">BBHII", self.first_byte & 0xFF, second, *numbers)
        return (header + self.extra + self.payload)[:RTP_LIMIT_BYTES]


# --- pictures --------------------------------------------------------------------------------------------------------


def mutate_units(base: Base, units: Sequence[Unit], rng: Random) -> list[Unit]:
    """Damage one picture: its headers' fields, its bytes, its units' order, or what is mixed into it."""
    changed = list(units)
    at = rng.randrange(min(len(changed), rng.choice((1, 3, len(changed))))) if changed else 0
    if not changed:
        return changed
    unit = changed[at]
    parts = list(unit.parts)
    part = rng.randrange(len(parts)) if parts else 0
    choice = rng.random()
    if not parts:
        return changed
    if base.codec is not Codec.JPEG and choice < 0.55:
        parts[part] = mutate_header(base.codec, parts[part], rng)
    elif choice < 0.8:
        parts[part] = mutate_bytes(parts[part], rng)
    elif choice < 0.88:
        parts = mutate_order(parts, rng)
    elif choice < 0.94:
        parts[part] = bytes([rng.randrange(256)]) + parts[part][1:]  # of another type
    else:
        # What belongs to another stream: its parameter sets, its pictures.
        others = [other for other in bases() if other.codec is base.codec and other is not base]
        parts[part:part] = rng.choice(rng.choice(others).units).parts
    changed[at] = replace(unit, parts=tuple(parts))
    if rng.random() < 0.3:  # in every picture alike, so that a decoder does not recover at the next
        changed = [
            replace(each, parts=tuple(parts)) if index % 8 == at % 8 else each for index, each in enumerate(changed)
        ]
    return changed


# --- packets ---------------------------------------------------------------------------------------------------------


def packets_of(base: Base, units: Sequence[Unit], rng: Random) -> list[RtpPacket]:
    """Put pictures into packets as a camera does; small ones, that there are many."""
    limit_bytes = rng.choice((100, 300, 1400))
    sequence, origin = rng.choice((0, 1, 65_530)), rng.choice((0, 4_294_960_000))
    packets: list[RtpPacket] = []
    for unit in units:
        for number, payload in enumerate(payloads := _payloads(base, unit, limit_bytes)):
            packets.append(
                RtpPacket(
                    sequence + len(packets),
                    origin + unit.pts_ticks,
                    payload,
                    number == len(payloads) - 1,
                    base.payload_type,
                )
            )
    return packets


def _payloads(base: Base, unit: Unit, limit_bytes: int) -> list[bytes]:
    if base.codec is not Codec.JPEG:
        return packetize(base.codec, [nal for nal in unit.parts if len(nal) >= base.codec.header_bytes], limit_bytes)
    payloads: list[bytes] = []
    for jpeg in unit.parts:
        try:
            payloads += packetize_jpeg(jpeg, max(limit_bytes, 300))
        except (ValueError, IndexError, KeyError):
            payloads.append(b"\0\0\0\0\1\xff\x08\x06" + jpeg)  # nothing that RTP could say; it is said anyway
    return payloads


def mutate_packets(base: Base, packets: Sequence[RtpPacket], rng: Random) -> list[RtpPacket]:
    """Damage one packet: its header, its framing of NAL units, its payload, its place."""
    if not packets:
        return []
    changed = list(packets)
    at = rng.randrange(min(len(changed), rng.choice((2, 8, len(changed)))))
    packet = changed[at]
    match rng.randrange(16):
        case 0:
            changed[at] = replace(packet, first_byte=rng.choice((0, 0x90, 0xA0, 0xB0, 0x8F, 0xBF, 0xFF)))
        case 1:
            length = rng.choice((0, 1, 4, 255, 16_383, 65_535))
            extra = rng.randbytes(2) + length.to_bytes(2, "big") + rng.randbytes(rng.choice((0, 4, 4 * length % 512)))
            changed[at] = replace(packet, first_byte=0x90, extra=extra)
        case 2:
            padded = packet.payload + rng.choice((b"\0", b"\1", b"\xff", bytes([len(packet.payload) % 256])))
            changed[at] = replace(packet, first_byte=0xA0, payload=padded)
        case 3:
            changed[at] = replace(packet, marker=not packet.marker)
        case 4:
            changed[at] = replace(packet, payload_type=rng.choice((0, 14, 26, 32, 33, 72, 95, 97, 127)))
        case 5:
            jump = rng.choice((-1, 1, 2, 100, 3000, 32_767, 32_768, -100))
            changed[at:] = [replace(each, sequence=each.sequence + jump) for each in changed[at:]]
        case 6:
            jump = rng.choice((1, -1, 3000, 90_000 * 3600, 2**31, -(2**31), 2**32 - 1, -90_000))
            until = rng.choice((at + 1, len(changed)))
            changed[at:until] = [replace(each, timestamp=each.timestamp + jump) for each in changed[at:until]]
        case 7:
            changed[at:] = [replace(each, ssrc=rng.choice((0, each.ssrc ^ 1, 2**32 - 1))) for each in changed[at:]]
        case 8:
            del changed[at]
        case 9:
            changed[at:at] = [packet] * rng.choice((1, 2, 40))
        case 10:
            other = rng.randrange(len(changed))
            changed[at], changed[other] = changed[other], changed[at]
        case 11 | 12 if base.codec is not Codec.JPEG:
            changed[at] = replace(packet, payload=_misframed(base.codec, packet.payload, rng))
        case 11 | 12:
            changed[at] = replace(packet, payload=_bad_jpeg_header(packet.payload, rng))
        case 13:
            changed[at] = replace(packet, payload=packet.payload[: rng.choice((0, 1, 2, 3, 5, 9))])
        case _:
            changed[at] = replace(packet, payload=mutate_bytes(packet.payload, rng))
    return changed


def _misframed(codec: Codec, payload: bytes, rng: Random) -> bytes:  # noqa: PLR0911 - a table
    """Fragments without beginning or end, aggregates whose lengths lie, packets of kinds that nobody uses."""
    head, body = payload[: codec.header_bytes], payload[codec.header_bytes :]
    if not body:
        return payload
    aggregate = 24 if codec is Codec.H264 else 48
    match rng.randrange(6):
        case 0:  # as a fragment, whatever it was
            return _header(codec, head, _FU[codec]) + bytes([rng.choice((0, 0x40, 0x80, 0xC0)) | body[0] & 0x3F]) + body
        case 1:  # its flags or its type
            return head + bytes([body[0] ^ rng.choice((0x40, 0x80, 0xC0, 1 << rng.randrange(6))), *body[1:]])
        case 2:  # units of these lengths, they say
            sizes = [rng.choice((0, 1, 2, len(payload), 255, 65_535)) for _ in range(rng.choice((1, 2, 5)))]
            units = b"".join(size.to_bytes(2, "big") + payload[: min(size, 400)] for size in sizes)
            return _header(codec, head, aggregate) + units
        case 3:
            return (
                _header(codec, head, aggregate) + b"\0\0" * rng.choice((1, 100, 600)) + rng.randbytes(rng.randrange(3))
            )
        case 4:  # reserved, or never implemented
            kinds = (0, 25, 26, 27, 29, 30, 31) if codec is Codec.H264 else (50, 51, 55, 63, 41, 47)
            return _header(codec, head, rng.choice(kinds)) + body
        case _:
            return head + mutate_bytes(body[:6], rng, 64) + body[6:]


def _header(codec: Codec, head: bytes, nal_type: int) -> bytes:
    if codec is Codec.H264:
        return bytes([head[0] & 0xE0 | nal_type])
    return bytes([head[0] & 0x81 | nal_type << 1, head[1]])


def _bad_jpeg_header(payload: bytes, rng: Random) -> bytes:
    """RFC 2435's header: offset, type, Q, size; behind it restart marker and quantization headers."""
    changed = bytearray(payload)
    at = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11))
    if at < len(changed):
        changed[at] = rng.choice((0, 1, 63, 64, 65, 127, 128, 200, 254, 255, rng.randrange(256)))
    return bytes(changed)


# --- RTCP ------------------------------------------------------------------------------------------------------------


def rtcp(timestamp: int, rng: Random) -> bytes:  # noqa: PLR0911 - a table
    """A sender report, or what is none."""
    ntp = rng.choice((0, 2**63, 2**64 - 1, 3_900_000_000 << 32, rng.getrandbits(64)))
    rtp_time = rng.choice((timestamp, 0, timestamp + 2**31, rng.getrandbits(32))) & 0xFFFFFFFF
    report = struct.pack(">BBHIQIII", 0x80, 200, 6, 0x5EED, ntp, rtp_time, 1, 1)
    match rng.randrange(7):
        case 0:
            return report
        case 1:
            return report[: rng.randrange(len(report))]
        case 2:
            return struct.pack(">BBH", 0x80 | rng.randrange(32), rng.randrange(192, 224), rng.choice((0, 1, 65_535)))
        case 3:
            return report + struct.pack(">BBHI", 0x81, 203, rng.choice((1, 0, 65_535)), 0x5EED)  # BYE
        case 4:
            return struct.pack(">BBHI", 0x81, 202, rng.choice((2, 65_535)), 0x5EED) + bytes([1, 255]) + rng.randbytes(9)
        case 5:
            return mutate_bytes(report * rng.choice((1, 3)), rng, 4000)
        case _:
            return rng.randbytes(rng.choice((1, 3, 8, 1200)))
