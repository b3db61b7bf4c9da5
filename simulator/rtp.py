"""RTP packets of a frame: built once as a template, patched for each receiver. Pure.

A template is the frame as it goes over RTSP's own TCP connection (RFC 2326, 10.12): for each packet `$`, channel,
length, the 12 bytes of an RTP header (RFC 3550, 5.1), payload. UDP sends slices of the same bytes. What differs
between receivers (channel, sequence number, timestamp, SSRC) is written into a copy.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CLOCK_HZ = 90_000
"""Rate of video timestamps (RFC 6184, 8.2.1)."""

PAYLOAD_TYPE = 96
"""The first dynamic payload type."""

FRAMING_BYTES = 4
"""`$`, channel and length before a packet on TCP."""

_HEADER = struct.Struct(">BBHBBHII")
_PATCHED = struct.Struct(">HII")
_PATCHED_OFFSET = FRAMING_BYTES + 2


@dataclass(frozen=True, slots=True)
class PacketizedFrame:
    """The packets of one access unit, shared by all receivers.

    Attributes:
        template: interleaved packets whose channel, sequence number, timestamp and SSRC are zero.
        starts: where in `template` each packet's `$` is.
        octets: payload bytes, as RTCP counts them.
        picture: the picture as it is in a file, of codecs that are sent without RTP as well (JPEG).
    """

    template: bytes
    starts: tuple[int, ...]
    octets: int
    picture: bytes = b""


def build_frame(payloads: Sequence[bytes], payload_type: int = PAYLOAD_TYPE) -> PacketizedFrame:
    """Template of an access unit's payloads; the last packet has the marker bit."""
    parts: list[bytes] = []
    starts: list[int] = []
    position = 0
    for index, payload in enumerate(payloads):
        marker = 0x80 if index == len(payloads) - 1 else 0
        parts += (_HEADER.pack(0x24, 0, 12 + len(payload), 0x80, marker | payload_type, 0, 0, 0), payload)
        starts.append(position)
        position += _HEADER.size + len(payload)
    return PacketizedFrame(b"".join(parts), tuple(starts), sum(map(len, payloads)))


def payloads_of(frame: PacketizedFrame) -> list[bytes]:
    """What `build_frame` was given."""
    ends = (*frame.starts[1:], len(frame.template))
    return [frame.template[start + _HEADER.size : end] for start, end in zip(frame.starts, ends, strict=True)]


def address_frame(frame: PacketizedFrame, channel: int, sequence: int, timestamp: int, ssrc: int) -> bytearray:
    """A copy of the template for one receiver; packets are numbered from `sequence`, modulo 2**16."""
    packets = bytearray(frame.template)
    patch = _PATCHED.pack_into
    for start in frame.starts:
        patch(packets, start + _PATCHED_OFFSET, sequence & 0xFFFF, timestamp, ssrc)
        sequence += 1
    if channel:
        for start in frame.starts:
            packets[start + 1] = channel
    return packets


def iter_datagrams(frame: PacketizedFrame, packets: bytearray) -> Iterator[memoryview]:
    """The packets of an addressed frame, each as one UDP datagram."""
    view = memoryview(packets)
    for start, end in zip(frame.starts, (*frame.starts[1:], len(packets)), strict=True):
        yield view[start + FRAMING_BYTES : end]


def interleave(channel: int, packet: bytes | memoryview) -> bytes:
    """One packet framed for RTSP's TCP connection (RFC 2326, 10.12)."""
    return struct.pack(">BBH", 0x24, channel, len(packet)) + bytes(packet)
