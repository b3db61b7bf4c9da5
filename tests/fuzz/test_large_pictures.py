"""Pictures that no camera has: a stream of some kilobytes must not take gigabytes."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import av
import av.error
import pytest

from capture.failures import SourceError
from capture.source import MAX_PIXELS, Source, SourceOptions
from capture.words import Reason
from simulator.camera import CameraSpec
from simulator.footage import AccessUnit, Footage, build_footage
from simulator.nal import H264_SPS, Codec
from simulator.thread import ServerThread
from tests.fuzz.bases import TICKS, Unit, bases
from tests.fuzz.bits import Field, rewrite_header

pytestmark = pytest.mark.slow

[BASE] = [base for base in bases() if base.name == "h264"]
WIDTH, HEIGHT = 8, 9
"""Where a baseline SPS has them, in macroblocks less one."""
SIDE = 8192
ENOUGH = 20
"""Frames: more than the small ones of one round, so that some come after the large ones."""


def enlarge(fields: list[Field]) -> None:
    """Say that the picture has 8192x8192 pixels."""
    if len(fields) > HEIGHT:
        assert (fields[WIDTH].value, fields[HEIGHT].value) == (96 // 16 - 1, 64 // 16 - 1)
        fields[WIDTH] = fields[HEIGHT] = Field(SIDE // 16 - 1)


def enlarged(nal: bytes) -> bytes:
    return rewrite_header(Codec.H264, nal, enlarge) if Codec.H264.nal_type(nal) == H264_SPS else nal


def footage(units: Sequence[Unit]) -> Footage:
    access = [
        AccessUnit(n * TICKS, any(Codec.H264.nal_type(nal) == 5 for nal in unit.parts), unit.parts)
        for n, unit in enumerate(units)
    ]
    return build_footage("large", Codec.H264, (96, 64), access, last_frame_ticks=TICKS)


def large(units: Sequence[Unit]) -> list[Unit]:
    return [replace(unit, parts=tuple(enlarged(nal) for nal in unit.parts)) for unit in units]


def test_a_stream_of_such_pictures_is_refused_by_name():
    assert SIDE**2 > MAX_PIXELS
    with (
        ServerThread([CameraSpec("cam", footage(large(BASE.units)))]) as server,
        pytest.raises(SourceError) as refused,
    ):
        Source(SourceOptions(server.url("cam")))
    assert (refused.value.reason, refused.value.detail) == (Reason.NOT_VIDEO, "its picture of 8192x8192 is too large")


def test_one_that_becomes_so_in_mid_stream_is_decoded_without_them():
    """Asked of FFmpeg itself: what it conceals of a broken picture has been allocated all the same."""
    played = footage([*BASE.units, *large(BASE.units)])
    sizes, errors, stop = [], 0, threading.Event()
    with ServerThread([CameraSpec("cam", played)]) as server, Source(SourceOptions(server.url("cam"))) as source:
        for arrival in source.arrivals(stop):
            try:
                pictures = source.stream.codec_context.decode(arrival.packet)
            except av.error.InvalidDataError:
                errors += 1
                continue
            sizes += [(picture.width, picture.height) for picture in pictures]
            if len(sizes) >= ENOUGH:
                stop.set()
    assert errors > 0
    assert set(sizes) == {(96, 64)}
