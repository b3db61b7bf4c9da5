"""Video files to footage, without re-encoding. Shell: reads files through PyAV, and is the one module here that does.

Any container that FFmpeg reads will do, if it holds H.264, H.265 or MJPEG, and timestamps.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Final, TypeAlias

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from simulator.errors import FootageNotFoundError, NoVideoError, UnsupportedCodecError, UnusableFootageError
from simulator.footage import AccessUnit, Footage, build_footage
from simulator.jpeg import build_jpeg_footage
from simulator.nal import Codec, is_parameter_set, split_annexb
from simulator.rtp import CLOCK_HZ

MAX_FOOTAGE_BYTES: Final = 1 << 30
"""Footage is held in memory; a longer file is better cut."""

VideoPacket: TypeAlias = "Packet[VideoStream]"  # quoted: the class is generic to type checkers only

_CODECS = {
    "h264": (Codec.H264, "h264_mp4toannexb"),
    "hevc": (Codec.H265, "hevc_mp4toannexb"),
    "mjpeg": (Codec.JPEG, "null"),
}


def load_footage(path: Path) -> Footage:
    """Reads the first video stream of a file into memory, packetized. Blocks for some 10 ms a MiB.

    Raises:
        FootageNotFoundError: no such file.
        NoVideoError: not a video file, or no video stream in it.
        UnsupportedCodecError: neither H.264 nor H.265 nor MJPEG.
        UnusableFootageError: no timestamps, no key frame, no parameter sets, or over `MAX_FOOTAGE_BYTES`.
    """
    if not path.is_file():
        raise FootageNotFoundError(path, "no such file")
    if path.stat().st_size > MAX_FOOTAGE_BYTES:
        raise UnusableFootageError(
            path, f"larger than {MAX_FOOTAGE_BYTES >> 20} MiB, all of it in memory; cut it: ffmpeg -t 60 -c copy"
        )
    try:
        with av.open(str(path)) as container:
            return _read(path, container)
    except av.error.FFmpegError as error:
        raise NoVideoError(path, f"not a readable video file ({error.strerror})") from error


def _read(path: Path, container: InputContainer) -> Footage:
    stream = container.streams.best("video")  # not simply the first, which may be a cover picture
    if not isinstance(stream, VideoStream):
        raise NoVideoError(path, "no video stream in it")
    name = stream.codec_context.name
    if name not in _CODECS:
        raise UnsupportedCodecError(path, name)
    codec, filter_name = _CODECS[name]
    packets = _filtered(container, stream, filter_name)
    if not packets:
        raise NoVideoError(path, "its video stream is empty")
    time_base = stream.time_base
    if time_base is None or any(packet.pts is None for packet in packets):
        raise UnusableFootageError(
            path,
            f"its frames have no timestamps; give them some: ffmpeg -fflags +genpts -i {path.name} -c copy "
            f"{path.stem}.mp4",
        )
    if codec is Codec.JPEG:
        return _read_jpegs(path, packets, time_base)
    units = [_access_unit(packet, time_base) for packet in packets]
    extra = tuple(nal for nal in split_annexb(stream.codec_context.extradata or b"") if is_parameter_set(codec, nal))
    size_wh = (stream.codec_context.width, stream.codec_context.height)
    try:
        return build_footage(
            path.name,
            codec,
            size_wh,
            units,
            last_frame_ticks=_last_frame_ticks(packets, time_base),
            extra_parameter_sets=extra,
        )
    except ValueError as error:
        raise UnusableFootageError(path, str(error)) from error


def _read_jpegs(path: Path, packets: list[VideoPacket], time_base: Fraction) -> Footage:
    pictures = [(_ticks(packet.pts or 0, time_base), bytes(packet)) for packet in packets]
    try:
        return build_jpeg_footage(path.name, pictures, last_frame_ticks=_last_frame_ticks(packets, time_base))
    except ValueError as error:
        raise UnusableFootageError(path, str(error)) from error


def _filtered(container: InputContainer, stream: VideoStream, filter_name: str) -> list[VideoPacket]:
    """All packets of the stream in annex-B form; the filter repeats MP4's parameter sets before key frames."""
    annexb = BitStreamFilterContext(filter_name, stream)
    packets: list[VideoPacket] = []
    for packet in container.demux(stream):
        packets += annexb.filter(packet if packet.size else None)
    return [packet for packet in packets if packet.size]


def _access_unit(packet: VideoPacket, time_base: Fraction) -> AccessUnit:
    return AccessUnit(
        pts_ticks=_ticks(packet.pts or 0, time_base),
        is_key=packet.is_keyframe,
        nals=tuple(split_annexb(bytes(packet))),
    )


def _last_frame_ticks(packets: list[VideoPacket], time_base: Fraction) -> int:
    """How long the frame shown last stays: as the file says, else as long as most frames do."""
    last = max(packets, key=lambda packet: packet.pts or 0)
    if last.duration:
        return _ticks(last.duration, time_base)
    shown = sorted(packet.pts or 0 for packet in packets)
    steps = [after - before for before, after in pairwise(shown)]
    return _ticks(median_low(steps), time_base) if steps else CLOCK_HZ // 25


def _ticks(value: int, time_base: Fraction) -> int:
    return round(value * time_base * CLOCK_HZ)
