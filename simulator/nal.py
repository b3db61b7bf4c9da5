"""NAL units of H.264 and H.265: splitting a byte stream, and what a unit's type means. Pure.

Sources: ITU-T H.264 (table 7-1, annex B), ITU-T H.265 (table 7-1, annex B).
"""

from __future__ import annotations

from enum import Enum

_START_CODE = b"\x00\x00\x01"


class Codec(Enum):
    """A codec; the value is its RTP name (RFC 6184, RFC 7798, RFC 2435, RFC 3551). The first two have NAL units."""

    H264 = "H264"
    H265 = "H265"
    JPEG = "JPEG"
    PCMU = "PCMU"

    @property
    def header_bytes(self) -> int:
        """Length of a NAL unit's header: 1 in H.264, 2 in H.265."""
        return 1 if self is Codec.H264 else 2

    def nal_type(self, nal: bytes) -> int:
        """`nal_unit_type` of a unit that has at least its header."""
        return nal[0] & 0x1F if self is Codec.H264 else (nal[0] >> 1) & 0x3F


H264_SPS, H264_PPS = 7, 8
H265_VPS, H265_SPS, H265_PPS = 32, 33, 34

_PARAMETER_SETS = {
    Codec.H264: frozenset({H264_SPS, H264_PPS}),
    Codec.H265: frozenset({H265_VPS, H265_SPS, H265_PPS}),
}
# Access unit delimiters and filler: RTP's marker bit bounds access units, and filler is only weight.
_DISPENSABLE = {Codec.H264: frozenset({9, 12}), Codec.H265: frozenset({35, 38})}


def is_parameter_set(codec: Codec, nal: bytes) -> bool:
    """Whether the unit is an SPS or PPS (or VPS)."""
    return codec.nal_type(nal) in _PARAMETER_SETS[codec]


def is_dispensable(codec: Codec, nal: bytes) -> bool:
    """Whether a decoder behind RTP does without the unit."""
    return codec.nal_type(nal) in _DISPENSABLE[codec]


def has_all_parameter_sets(codec: Codec, nals: tuple[bytes, ...]) -> bool:
    """Whether the units hold every kind of parameter set that the codec's decoder needs."""
    return _PARAMETER_SETS[codec] <= {codec.nal_type(nal) for nal in nals}


def split_annexb(data: bytes) -> list[bytes]:
    """NAL units of an annex-B byte stream, without start codes and trailing zeros; empty ones are left out."""
    nals: list[bytes] = []
    start = data.find(_START_CODE)
    while start >= 0:
        start += len(_START_CODE)
        end = data.find(_START_CODE, start)
        # A NAL unit never ends in 0x00 (7.4.1), so zeros here belong to the next start code or are padding.
        nal = (data[start:] if end < 0 else data[start:end]).rstrip(b"\x00")
        if nal:
            nals.append(nal)
        start = end
    return nals
