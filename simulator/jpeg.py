"""JPEG pictures to RTP payloads (RFC 2435), and to footage. Pure.

RTP leaves out what all baseline JPEGs share, so a picture must be 4:2:0 or 4:2:2 with the standard's own Huffman tables
(ITU-T T.81, annex K.3). FFmpeg makes such with: -c:v mjpeg -huffman default -pix_fmt yuvj420p
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from hashlib import sha256
from typing import Final

from simulator.footage import Footage, FootageFrame
from simulator.nal import Codec
from simulator.packetize import PAYLOAD_LIMIT_BYTES
from simulator.rtp import CLOCK_HZ, build_frame

PAYLOAD_TYPE: Final = 26
"""JPEG's static payload type (RFC 3551, table 5)."""

_SOI, _EOI = 0xD8, 0xD9
_TABLES_IN_BAND = 255  # Q: tables come with each picture (RFC 2435, 4.2)
_LARGEST_SIDE = 255 * 8  # sides travel in blocks of 8 pixels, in a byte
_TYPES = {0x21: 0, 0x22: 1}  # by the sampling of luma: 4:2:2 and 4:2:0 (RFC 2435, 4.1)
_RESTARTS = 64  # added to the type where there are restart markers
_STANDARD_HUFFMAN = "532fd667aa5541439e4fc89f189259b1b137993ca5dfcbb6970ab411aee79cdf"  # SHA-256 of tables K.3 to K.6


@dataclass(slots=True)
class _Picture:
    """What RTP's headers say of a picture."""

    type: int = 0
    size_wh: tuple[int, int] = (0, 0)
    restart_interval: int = 0
    quantizers: tuple[int, ...] = ()
    tables: dict[int, bytes] = field(default_factory=dict)
    huffman: dict[int, bytes] = field(default_factory=dict)
    scan: bytes = b""


def packetize_jpeg(jpeg: bytes, limit_bytes: int = PAYLOAD_LIMIT_BYTES) -> list[bytes]:
    """RTP payloads of one picture, in order, each of at most `limit_bytes`.

    Raises:
        ValueError: no JPEG, or none that RTP can carry; the text says why.
    """
    picture = _parse(jpeg)
    width, height = picture.size_wh
    tables = b"".join(picture.tables[each] for each in picture.quantizers)
    restarts = b""
    if picture.restart_interval:
        restarts = picture.restart_interval.to_bytes(2, "big") + b"\xff\xff"  # first and last, no count
    quantization = bytes((0, 0)) + len(tables).to_bytes(2, "big") + tables
    kind = picture.type + (_RESTARTS if restarts else 0)
    payloads: list[bytes] = []
    offset = 0
    while offset < len(picture.scan):
        header = b"\0" + offset.to_bytes(3, "big")
        header += bytes((kind, _TABLES_IN_BAND, -(-width // 8), -(-height // 8)))
        header += restarts + (b"" if offset else quantization)
        part = picture.scan[offset : offset + limit_bytes - len(header)]
        payloads.append(header + part)
        offset += len(part)
    return payloads


def build_jpeg_footage(name: str, pictures: Sequence[tuple[int, bytes]], *, last_frame_ticks: int) -> Footage:
    """Packetizes pictures into a loop.

    Args:
        name: what people call it.
        pictures: when each is shown, in 1/90000 s, and the picture; in that order.
        last_frame_ticks: how long the last stays.

    Raises:
        ValueError: no pictures, or one that RTP cannot carry.
    """
    if not pictures:
        raise ValueError("it has no pictures")
    origin = pictures[0][0]
    frames = tuple(
        FootageFrame(
            ticks - origin,
            ticks - origin,
            True,
            replace(build_frame(packetize_jpeg(jpeg), PAYLOAD_TYPE), picture=jpeg),
        )
        for ticks, jpeg in pictures
    )
    duration = frames[-1].pts_ticks + max(1, last_frame_ticks)
    fps = Fraction(len(frames) * CLOCK_HZ, duration).limit_denominator(1001)
    return Footage(name, Codec.JPEG, _parse(pictures[0][1]).size_wh, fps, frames, duration, ())


def _parse(jpeg: bytes) -> _Picture:
    if jpeg[:2] != bytes((0xFF, _SOI)):
        raise ValueError("a picture is no JPEG")
    picture = _Picture()
    position = 2
    while not picture.scan:
        if position + 4 > len(jpeg) or jpeg[position] != 0xFF:
            raise ValueError("a JPEG ends before its picture")
        marker, length = jpeg[position + 1], int.from_bytes(jpeg[position + 2 : position + 4], "big")
        segment = jpeg[position + 4 : position + 2 + length]
        position += 2 + length
        match marker:
            case 0xDB:  # DQT
                _read_quantizers(picture, segment)
            case 0xC4:  # DHT
                _read_huffman(picture, segment)
            case 0xDD:  # DRI
                picture.restart_interval = int.from_bytes(segment[:2], "big")
            case 0xC0:  # SOF0
                _read_frame(picture, segment)
            case 0xC1 | 0xC2 | 0xC3:  # other SOFs
                raise ValueError("a JPEG is not baseline; re-encode it: ffmpeg -c:v mjpeg -huffman default")
            case 0xDA:  # SOS
                end = jpeg.rfind(bytes((0xFF, _EOI)))
                picture.scan = jpeg[position : end if end > position else len(jpeg)]
                if not picture.scan:
                    raise ValueError("a JPEG ends before its picture")
    _check(picture)
    return picture


def _read_quantizers(picture: _Picture, segment: bytes) -> None:
    while segment:
        if segment[0] >> 4:
            raise ValueError("a JPEG has quantizers of 16 bits, which RTP has no place for")
        picture.tables[segment[0]] = segment[1:65]
        segment = segment[65:]


def _read_huffman(picture: _Picture, segment: bytes) -> None:
    while segment:
        end = 17 + sum(segment[1:17])
        picture.huffman[segment[0]] = segment[1:end]
        segment = segment[end:]


def _read_frame(picture: _Picture, segment: bytes) -> None:
    components = [segment[start : start + 3] for start in range(6, len(segment), 3)]
    samplings = [component[1] for component in components]
    if len(components) != 3 or samplings[0] not in _TYPES or samplings[1:] != [0x11, 0x11]:
        raise ValueError("a JPEG is neither 4:2:0 nor 4:2:2; re-encode it: ffmpeg -pix_fmt yuvj420p")
    picture.type = _TYPES[samplings[0]]
    picture.size_wh = (int.from_bytes(segment[3:5], "big"), int.from_bytes(segment[1:3], "big"))
    picture.quantizers = (components[0][2], components[1][2])


def _check(picture: _Picture) -> None:
    if max(picture.size_wh) > _LARGEST_SIDE or not min(picture.size_wh):
        raise ValueError(f"a JPEG has a side of no or over {_LARGEST_SIDE} pixels, which RTP cannot say")
    if not set(picture.quantizers) <= picture.tables.keys():
        raise ValueError("a JPEG lacks its quantizers")
    tables = b"".join(bytes([name]) + picture.huffman[name] for name in sorted(picture.huffman))
    if picture.huffman and sha256(tables).hexdigest() != _STANDARD_HUFFMAN:
        raise ValueError("a JPEG has Huffman tables of its own; re-encode it: ffmpeg -c:v mjpeg -huffman default")
