"""Tiny valid footage, made anew by each process: what mutations start from."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np

from simulator.nal import Codec, is_parameter_set, split_annexb

FPS = 25
FRAMES = 16
GOP = 8
TICKS = 90_000 // FPS

_X265 = f"log-level=none:keyint={GOP}:min-keyint={GOP}:scenecut=0:pools=none:frame-threads=1"
_X264 = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:threads=1"


@dataclass(frozen=True, slots=True)
class Unit:
    """One encoded picture: its NAL units, or its one JPEG; ``pts_ticks`` in 1/90000 s."""

    pts_ticks: int
    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Base:
    """A clip that any decoder plays."""

    name: str
    codec: Codec
    units: tuple[Unit, ...]
    sets: tuple[bytes, ...] = ()
    """Parameter sets, as the session description has them."""

    @property
    def payload_type(self) -> int:
        return 26 if self.codec is Codec.JPEG else 96

    def sdp(self) -> bytes:
        """A description such as cameras give."""
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=camera",
            "c=IN IP4 0.0.0.0",
            "t=0 0",
            "a=control:*",
            "a=range:npt=0-",
            f"m=video 0 RTP/AVP {self.payload_type}",
            "b=AS:500",
            f"a=rtpmap:{self.payload_type} {self.codec.value}/90000",
            *self._format(),
            f"a=framerate:{FPS}",
            "a=framesize:96 64-48",
            "a=control:track1",
        ]
        return "\r\n".join([*lines, ""]).encode()

    def _format(self) -> tuple[str, ...]:
        if self.codec is Codec.JPEG:
            return ()
        if self.codec is Codec.H264:
            sets = ",".join(b64encode(nal).decode() for nal in self.sets)
            level = self.sets[0][1:4].hex()
            return (f"a=fmtp:96 packetization-mode=1;profile-level-id={level};sprop-parameter-sets={sets}",)
        names = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
        sets = ";".join(f"{names[self.codec.nal_type(nal)]}={b64encode(nal).decode()}" for nal in self.sets)
        return (f"a=fmtp:96 {sets}",)


@cache
def bases() -> tuple[Base, ...]:
    """All of them, the same in each process: encoders with one thread decide alike."""
    h264, h265 = {"preset": "ultrafast", "tune": "zerolatency"}, {"preset": "ultrafast"}
    # x264's lookahead reads memory that it has not set: without it, the same pictures are the same bytes every time.
    fast, steady = {"preset": "veryfast"}, f"{_X264}:weightp=0:mbtree=0:rc-lookahead=0:sync-lookahead=0"
    return (
        _encoded("h264", "libx264", (96, 64), "yuv420p", h264 | {"x264-params": f"{_X264}:slices=2"}),
        _encoded("h264-b", "libx264", (64, 48), "yuv420p", fast | {"x264-params": f"{steady}:bframes=2:b-adapt=0"}),
        _encoded(
            "h264-fields",
            "libx264",
            (64, 64),
            "yuv420p",
            fast | {"x264-params": f"{steady}:interlaced=1:cabac=0:bframes=0"},
        ),
        _encoded("h264-10bit", "libx264", (64, 48), "yuv422p10le", h264 | {"x264-params": _X264}),
        _encoded("h265", "libx265", (96, 64), "yuv420p", h265 | {"x265-params": f"{_X265}:bframes=0"}),
        _encoded("h265-b", "libx265", (128, 64), "yuv420p", h265 | {"x265-params": f"{_X265}:bframes=2:wpp=1"}),
        _encoded("h265-10bit", "libx265", (64, 64), "yuv420p10le", h265 | {"x265-params": f"{_X265}:slices=2"}),
        _encoded("jpeg", "mjpeg", (64, 48), "yuvj420p", {"huffman": "default"}),
        _encoded("jpeg-large", "mjpeg", (256, 128), "yuvj420p", {"huffman": "default"}),
    )


def _encoded(name: str, encoder: str, size_wh: tuple[int, int], pixels: str, options: dict[str, str]) -> Base:
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height = size_wh
    context.pix_fmt, context.time_base, context.framerate = pixels, Fraction(1, FPS), Fraction(FPS)
    context.thread_count = 1
    context.options = options
    packets = []
    for number, image in enumerate(_pictures(size_wh)):
        picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
        picture.pts, picture.time_base = number, Fraction(1, FPS)
        packets += context.encode(picture)
    packets += context.encode(None)
    codec = {"libx264": Codec.H264, "libx265": Codec.H265}.get(encoder, Codec.JPEG)
    units = tuple(
        Unit(
            int((packet.pts or 0) * TICKS),
            (bytes(packet),) if codec is Codec.JPEG else tuple(split_annexb(bytes(packet))),
        )
        for packet in packets
    )
    return Base(name, codec, units, () if codec is Codec.JPEG else _sets(codec, units[0].parts))


def _sets(codec: Codec, nals: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple(nal for nal in nals if is_parameter_set(codec, nal))


def _pictures(size_wh: tuple[int, int]) -> list[np.ndarray]:
    """A square that moves over a slope, with some noise: every kind of block is coded."""
    rng = np.random.default_rng(7)
    width, height = size_wh
    slope = np.linspace(20, 200, width, dtype=np.uint8)[None, :, None].repeat(height, 0).repeat(3, 2)
    pictures = []
    for number in range(FRAMES):
        image = slope + rng.integers(0, 24, slope.shape, np.uint8)
        image[8:24, 3 * number : 3 * number + 16] = (250, 40, 90)
        pictures.append(image)
    return pictures
