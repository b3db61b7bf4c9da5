"""A picture of a moment, out of a camera's ring: decoded from the key frame before, as JPEG, as large as it was sent.

The decoder is one of its own, in one thread; the encoder is FFmpeg's (:data:`QUALITY` says how it compares).
"""

import time
from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from capture.decoder import HELD
from capture.slot import Pixels
from capture.source import MAX_PIXELS
from capture.track import KeptPacket, PacketRing

QUALITY = 3
"""Quantizer of FFmpeg's encoder. 1080p footage: 438 KiB and 38.4 dB; libjpeg-turbo takes 485 KiB for 37.7 dB at
quality 85, and 650 for 40.8 at 92."""
_BT709 = 1
"""AVCOL_SPC_BT709."""
NEAR_S = 1.0
"""A frame that is further from the moment is not of it."""
DECODE_S = 5.0
"""So long at most, and then the best of what has come."""


def wanted(ring: PacketRing, at_s: float) -> list[KeptPacket]:
    """Return the packets that have to be decoded for a moment; none if it is not kept. References only."""
    start = ring.start(at_s)
    if start is None:
        return []
    found: list[KeptPacket] = []
    later = 0
    for number in range(start, ring.end):
        kept = ring.get(number)
        if kept is None:  # its beginning has just left
            return []
        if found and kept.track is not found[-1].track:
            break
        found.append(kept)
        later += kept.captured_s > at_s
        if later > HELD:
            break
    return found if min(abs(each.captured_s - at_s) for each in found) <= NEAR_S else []


def decode(packets: Sequence[KeptPacket], at_s: float) -> tuple[av.VideoFrame, float] | None:
    """Return the clean frame nearest to a moment, and when it was captured; None if there is none.

    Raises FFmpegError.
    """
    track = packets[0].track
    context = av.CodecContext.create(track.codec, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.extradata = track.extradata or None
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS)}
    best: tuple[av.VideoFrame, float] | None = None
    end_s = time.monotonic() + DECODE_S
    for number, kept in enumerate([*packets, None]):
        packet = None
        if kept:
            packet = cast("av.Packet[av.VideoStream]", av.Packet(cast(bytes, kept.packet)))  # whatever has a buffer
            packet.pts = number
            packet.is_keyframe = kept.is_key
        for picture in context.decode(packet):
            if picture.pts is None or picture.is_corrupt:
                continue
            captured_s = packets[picture.pts].captured_s
            if best is None or abs(captured_s - at_s) < abs(best[1] - at_s):
                best = picture, captured_s
            if captured_s >= at_s:
                return best  # they come in the order in which they were captured
        if time.monotonic() > end_s:
            break
    return best


def picture_of(pixels: Pixels) -> av.VideoFrame:
    """Return uint8 RGB (h, w, 3) as a frame."""
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")


def jpeg(picture: av.VideoFrame) -> bytes:
    """Return a picture as JPEG: 4:2:0, by ITU-R BT.601 and in full range, as JFIF has it. Raises FFmpegError."""
    # What is not even would lose its last row or column of colours.
    w, h = picture.width - picture.width % 2 or 1, picture.height - picture.height % 2 or 1
    shown = VideoReformatter().reformat(
        picture,
        w,
        h,
        format="yuvj420p",
        src_colorspace=Colorspace.ITU709 if picture.colorspace == _BT709 else Colorspace.DEFAULT,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC,
        threads=1,
    )
    shown.pts, shown.time_base = 0, Fraction(1)
    shown.pict_type = 0
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = w, h, "yuvj420p"
    encoder.time_base = Fraction(1)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = QUALITY
    return b"".join(bytes(packet) for packet in (*encoder.encode(shown), *encoder.encode(None)))
