"""Pictures of cameras that see nothing, encoded in any camera's codec, size and rate. Shell: encodes through PyAV."""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from functools import cache
from itertools import chain
from typing import Any, Final

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext

from simulator.footage import AccessUnit, Footage, build_footage
from simulator.jpeg import build_jpeg_footage
from simulator.nal import Codec, split_annexb
from simulator.rtp import CLOCK_HZ

LOOP_FRAMES: Final = 12
"""Frames of a loop, one of them a key frame."""

_GREY, _NOISE = 112, 2.0  # mean and standard deviation of the blind picture, of 255
_GRAIN = 8  # pixels: finer noise would take seconds to encode, and more bits than a good picture
_BLACK_LUMA, _NO_CHROMA = 16, 128  # in video range (ITU-R BT.601)
_ENCODERS: Final[dict[Codec, tuple[str, dict[str, str]]]] = {
    Codec.H264: (
        "libx264",
        {"preset": "ultrafast", "tune": "zerolatency", "crf": "20", "x264-params": f"keyint={LOOP_FRAMES}"},
    ),
    Codec.H265: (
        "libx265",
        {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": "20",
            "x265-params": f"log-level=none:keyint={LOOP_FRAMES}:pools=none:frame-threads=1",
        },
    ),
    Codec.JPEG: ("mjpeg", {"huffman": "default"}),
}


class Blank(Enum):
    """What there is to see."""

    BLACK = "black"
    BLIND = "blind"


@cache
def blank_footage(blank: Blank, codec: Codec, size_wh: tuple[int, int], fps: Fraction) -> Footage:
    """A loop of a blank picture. Encoded at the first call for such a camera (some 100 ms), then kept; any thread."""
    step = CLOCK_HZ / fps
    if codec is Codec.JPEG:
        jpegs = [(round(number * step), packet) for number, (_, packet) in enumerate(_encoded(blank, codec, size_wh))]
        return build_jpeg_footage(blank.value, jpegs, last_frame_ticks=round(step))
    units = [
        AccessUnit(round(number * step), is_key, tuple(split_annexb(packet)))
        for number, (is_key, packet) in enumerate(_encoded(blank, codec, size_wh))
    ]
    return build_footage(blank.value, codec, size_wh, units, last_frame_ticks=round(step))


def _encoded(blank: Blank, codec: Codec, size_wh: tuple[int, int]) -> list[tuple[bool, bytes]]:
    """For each frame whether it is a key frame, and its packet."""
    name, options = _ENCODERS[codec]
    encoder: Any = CodecContext.create(name, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height = (side // 2 * 2 for side in size_wh)
    encoder.pix_fmt = _pixel_format(codec)
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = options
    encoder.thread_count = 1
    pictures = (_picture(blank, codec, (encoder.width, encoder.height), number) for number in range(LOOP_FRAMES))
    packets = [*chain.from_iterable(map(encoder.encode, pictures)), *encoder.encode(None)]
    return [(packet.is_keyframe, bytes(packet)) for packet in packets]


def _pixel_format(codec: Codec) -> str:
    return "yuvj420p" if codec is Codec.JPEG else "yuv420p"


def _picture(blank: Blank, codec: Codec, size_wh: tuple[int, int], number: int) -> av.VideoFrame:
    width, height = size_wh
    planes = np.full((height * 3 // 2, width), _NO_CHROMA, np.uint8)
    if blank is Blank.BLACK:
        planes[:height] = _BLACK_LUMA
    else:
        coarse_hw = (-(-height // _GRAIN), -(-width // _GRAIN))
        noise = np.random.default_rng(number).normal(_GREY, _NOISE, coarse_hw).round().clip(0, 255).astype(np.uint8)
        planes[:height] = noise.repeat(_GRAIN, 0).repeat(_GRAIN, 1)[:height, :width]
    picture = av.VideoFrame.from_ndarray(planes, format=_pixel_format(codec))
    picture.pts, picture.time_base = number, Fraction(1, 25)
    return picture
