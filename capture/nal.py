"""NAL units of H.264 and H.265: the parameter sets that a key frame carries. Pure.

Sources: ITU-T H.264 (7.3.1, table 7-1, annex B), ITU-T H.265 (7.3.1.2, table 7-1, annex B).
"""

from collections.abc import Iterator

_START = b"\x00\x00\x01"
SETS = {"h264": (7, 8), "hevc": (32, 33, 34)}
"""Types of the parameter sets that a decoder needs, by FFmpeg's name of the codec: (VPS,) SPS, PPS."""
_SLICES = {"h264": range(1, 6), "hevc": range(32)}


def nal_type(codec: str, nal: bytes) -> int:
    """Return ``nal_unit_type`` of a unit that has at least one byte."""
    return nal[0] & 0x1F if codec == "h264" else nal[0] >> 1 & 0x3F


def split(data: bytes) -> Iterator[bytes]:
    """Yield the units of a byte stream (Annex B), without start codes, and without zeros after them."""
    begin = data.find(_START)
    while begin >= 0:
        begin += len(_START)
        end = data.find(_START, begin)
        nal = data[begin : len(data) if end < 0 else end].rstrip(b"\x00")
        if nal:
            yield nal
        begin = end


def parameter_sets(codec: str, data: bytes) -> tuple[bytes, ...]:
    """Return the different parameter sets that stand before the first slice of a byte stream, in their order."""
    found: dict[bytes, None] = {}
    for nal in split(data):
        kind = nal_type(codec, nal)
        if kind in _SLICES[codec]:
            break
        if kind in SETS[codec]:
            found[nal] = None
    return tuple(found)


def is_complete(codec: str, sets: tuple[bytes, ...]) -> bool:
    """Whether a decoder can begin with these."""
    return {nal_type(codec, nal) for nal in sets} == set(SETS[codec])


def join(nals: tuple[bytes, ...]) -> bytes:
    """Return a byte stream of units."""
    return b"".join(b"\x00" + _START + nal for nal in nals)
