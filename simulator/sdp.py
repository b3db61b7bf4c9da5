"""Session descriptions (SDP, RFC 4566) of a camera's one video track. Pure.

Format parameters: RFC 6184, 8.1 and 8.2.1 (H.264); RFC 7798, 7.1 and 7.2.1 (H.265). RTSP's attributes: RFC 2326, C.1.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

from simulator.footage import Footage
from simulator.jpeg import PAYLOAD_TYPE as JPEG_PAYLOAD_TYPE
from simulator.nal import H264_SPS, H265_PPS, H265_SPS, H265_VPS, Codec
from simulator.rtp import CLOCK_HZ, PAYLOAD_TYPE

TRACK = "video"
"""The track's control URL, relative to the camera's."""


def describe(name: str, footage: Footage, host: str) -> str:
    """The description of a camera: its video, endless, with the parameter sets.

    Args:
        name: session name, without line breaks.
        footage: what it shows.
        host: the server's IPv4 or IPv6 address.
    """
    payload_type = JPEG_PAYLOAD_TYPE if footage.codec is Codec.JPEG else PAYLOAD_TYPE
    family, any_address = ("IP6", "::") if ":" in host else ("IP4", "0.0.0.0")
    lines = (
        "v=0",
        f"o=- 1 1 IN {family} {host}",
        f"s={name}",
        f"c=IN {family} {any_address}",
        "t=0 0",
        "a=tool:mosaicd simulator",
        "a=control:*",
        "a=range:npt=0-",
        f"m={'audio' if footage.codec is Codec.PCMU else 'video'} 0 RTP/AVP {payload_type}",
        f"b=AS:{max(1, footage.bitrate_bps // 1000)}",
        f"a=rtpmap:{payload_type} {footage.codec.value}/{CLOCK_HZ}",
        *_picture_attributes(footage),
        f"a=control:{TRACK}",
        "",
    )
    return "\r\n".join(lines)


def _picture_attributes(footage: Footage) -> tuple[str, ...]:
    if footage.codec is Codec.PCMU:
        return ()
    if footage.codec is Codec.JPEG:
        return (f"a=framerate:{float(footage.fps):g}",)  # its packets say the rest
    return (
        f"a=fmtp:{PAYLOAD_TYPE} {_format_parameters(footage)}",
        f"a=framerate:{float(footage.fps):g}",
        f"a=framesize:{PAYLOAD_TYPE} {footage.size_wh[0]}-{footage.size_wh[1]}",
    )


def _format_parameters(footage: Footage) -> str:
    sets = footage.parameter_sets
    if footage.codec is Codec.H264:
        profile_level = next(nal for nal in sets if footage.codec.nal_type(nal) == H264_SPS)[1:4].hex()
        return f"packetization-mode=1;profile-level-id={profile_level.upper()};sprop-parameter-sets={_base64(sets)}"
    kinds = (("sprop-vps", H265_VPS), ("sprop-sps", H265_SPS), ("sprop-pps", H265_PPS))
    return ";".join(
        f"{name}={_base64(nal for nal in sets if footage.codec.nal_type(nal) == kind)}" for name, kind in kinds
    )


def _base64(nals: Iterable[bytes]) -> str:
    return ",".join(b64encode(nal).decode() for nal in nals)
