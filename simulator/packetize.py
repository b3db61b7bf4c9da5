"""NAL units to RTP payloads: single units, aggregation and fragmentation. Pure.

H.264: RFC 6184, packetization mode 1: single NAL unit (5.6), STAP-A (5.7.1), FU-A (5.8).
H.265: RFC 7798 without decoding order numbers: single (4.4.1), AP (4.4.2), FU (4.4.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from simulator.nal import Codec

PAYLOAD_LIMIT_BYTES = 1400
"""Largest RTP payload: with RTP, UDP, IP and a VPN's headers it still fits an Ethernet frame."""

_STAP_A, _FU_A = 24, 28
_AP, _FU = 48, 49
_START, _END = 0x80, 0x40


def packetize(codec: Codec, nals: Iterable[bytes], limit_bytes: int = PAYLOAD_LIMIT_BYTES) -> list[bytes]:
    """RTP payloads of one access unit, in order, each of at most `limit_bytes`.

    Neighbours that fit together share an aggregation packet; a unit over the limit is fragmented.

    Raises:
        ValueError: a NAL unit is shorter than its header, or the limit leaves no room for a fragment.
    """
    if limit_bytes < codec.header_bytes + 2:
        raise ValueError(f"no fragment fits into {limit_bytes} bytes")
    payloads: list[bytes] = []
    batch: list[bytes] = []
    batch_bytes = codec.header_bytes
    for nal in nals:
        if len(nal) < codec.header_bytes:
            raise ValueError(f"a NAL unit of {len(nal)} bytes has no header")
        if batch and batch_bytes + 2 + len(nal) > limit_bytes:
            payloads.append(_aggregate(codec, batch))
            batch, batch_bytes = [], codec.header_bytes
        if len(nal) > limit_bytes:
            payloads.extend(_fragment(codec, nal, limit_bytes))
        else:
            batch.append(nal)
            batch_bytes += 2 + len(nal)
    if batch:
        payloads.append(_aggregate(codec, batch))
    return payloads


def _aggregate(codec: Codec, nals: list[bytes]) -> bytes:
    """One unit as it is; several as STAP-A or AP."""
    if len(nals) == 1:
        return nals[0]
    if codec is Codec.H264:
        # F is set if any is, NRI is the highest of all (RFC 6184, 5.7.1).
        forbidden = max(nal[0] & 0x80 for nal in nals)
        header = bytes([forbidden | max(nal[0] & 0x60 for nal in nals) | _STAP_A])
    else:
        # F as above, LayerId and TID are the lowest of all (RFC 7798, 4.4.2).
        forbidden = max(nal[0] & 0x80 for nal in nals)
        layer = min((nal[0] & 1) << 5 | nal[1] >> 3 for nal in nals)
        temporal = min(nal[1] & 7 for nal in nals)
        header = bytes([forbidden | _AP << 1 | layer >> 5, (layer & 0x1F) << 3 | temporal])
    return header + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def _fragment(codec: Codec, nal: bytes, limit_bytes: int) -> Iterator[bytes]:
    """FU-A or FU packets of one unit; its own header travels in theirs."""
    first = nal[0] & 0xE0 | _FU_A if codec is Codec.H264 else nal[0] & 0x81 | _FU << 1
    indicator = bytes([first]) + nal[1 : codec.header_bytes]
    room = limit_bytes - len(indicator) - 1
    for start in range(codec.header_bytes, len(nal), room):
        fragment = nal[start : start + room]
        flags = _START if start == codec.header_bytes else 0
        flags |= _END if start + room >= len(nal) else 0
        yield indicator + bytes([flags | codec.nal_type(nal)]) + fragment
