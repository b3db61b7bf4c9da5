"""RTCP sender reports (RFC 3550, 6.4.1 and 6.5). Pure."""

from __future__ import annotations

import struct

_NTP_EPOCH_OFFSET_S = 2_208_988_800  # from 1900 to 1970
_SR, _SDES = 200, 202
_CNAME = 1


def sender_report(ssrc: int, wall_s: float, timestamp: int, *, packets: int, octets: int, cname: str) -> bytes:
    """A compound packet: sender report and CNAME.

    Args:
        ssrc: the stream's source.
        wall_s: Unix time of this moment.
        timestamp: the stream's RTP timestamp of the same moment.
        packets: packets sent so far.
        octets: payload bytes sent so far.
        cname: canonical name of the sender, at most 255 bytes in UTF-8.
    """
    whole = int(wall_s)
    fraction = int((wall_s - whole) * 2**32)
    report = struct.pack(
        ">BBHIIIIII",
        0x80,
        _SR,
        6,
        ssrc,
        (whole + _NTP_EPOCH_OFFSET_S) & 0xFFFFFFFF,
        fraction,
        timestamp & 0xFFFFFFFF,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    name = cname.encode()
    item = struct.pack(">IBB", ssrc, _CNAME, len(name)) + name
    item += bytes(4 - len(item) % 4)  # the list of items ends with at least one zero, padded to 32 bits
    return report + struct.pack(">BBH", 0x81, _SDES, len(item) // 4) + item
