"""Filler data: NAL units that weigh and say nothing (ITU-T H.264 7.3.2.7, H.265 7.3.2.8). Pure."""

from __future__ import annotations

from typing import Final

from simulator.nal import Codec
from simulator.packetize import PAYLOAD_LIMIT_BYTES
from simulator.rtp import PacketizedFrame, build_frame, payloads_of

_HEADERS: Final = {Codec.H264: bytes([12]), Codec.H265: bytes([38 << 1, 1])}
_STOP_BIT = b"\x80"


def filler_nal(codec: Codec, size_bytes: int) -> bytes:
    """A filler unit of that many bytes, header and stop bit included."""
    header = _HEADERS[codec]
    return header + b"\xff" * (size_bytes - len(header) - len(_STOP_BIT)) + _STOP_BIT


def pad_frame(codec: Codec, frame: PacketizedFrame, times: float) -> PacketizedFrame:
    """The frame with filler behind its picture, `times` as large, up to a packet's size."""
    if codec not in _HEADERS:
        return frame
    missing = int(frame.octets * (times - 1))
    filler = filler_nal(codec, PAYLOAD_LIMIT_BYTES)
    return build_frame([*payloads_of(frame), *[filler] * -(-missing // len(filler))])
