import pytest

from simulator.footage import AccessUnit, build_footage, retime
from simulator.nal import Codec
from simulator.rtp import iter_datagrams
from tests.simulator.depacketize import depacketize

SPS, PPS, IDR, SLICE = b"\x67sps", b"\x68pps", b"\x65idr", b"\x41slice"


def unit(number: int, *nals: bytes, is_key: bool = False) -> AccessUnit:
    return AccessUnit(number * 3600, is_key, nals)


def nals_of(footage, index: int) -> list[bytes]:
    packets = footage.frames[index].packets
    payloads = [bytes(d[12:]) for d in iter_datagrams(packets, bytearray(packets.template))]
    return depacketize(Codec.H264, payloads)


def build(units, extra=()):
    return build_footage("t", Codec.H264, (16, 16), units, last_frame_ticks=3600, extra_parameter_sets=extra)


def test_every_key_frame_carries_the_latest_parameter_sets() -> None:
    newer = b"\x67newer"
    footage = build(
        [
            unit(0, SPS, PPS, IDR, is_key=True),
            unit(1, SLICE),
            unit(2, IDR, is_key=True),
            unit(3, newer, PPS, IDR, is_key=True),
            unit(4, IDR, is_key=True),
        ]
    )
    assert nals_of(footage, 0) == [SPS, PPS, IDR]
    assert nals_of(footage, 1) == [SLICE]
    assert nals_of(footage, 2) == [SPS, PPS, IDR]
    assert nals_of(footage, 4) == [newer, PPS, IDR]
    assert footage.parameter_sets == (SPS, PPS)


def test_parameter_sets_come_first_in_their_picture() -> None:
    sei = b"\x06sei"
    assert nals_of(build([unit(0, sei, SPS, PPS, IDR, is_key=True)]), 0) == [SPS, PPS, sei, IDR]


def test_parameter_sets_from_outside_the_stream_are_put_into_it() -> None:
    footage = build([unit(0, IDR, is_key=True), unit(1, SLICE)], (SPS, PPS))
    assert nals_of(footage, 0) == [SPS, PPS, IDR]


def test_delimiters_and_filler_are_left_out() -> None:
    footage = build([unit(0, b"\x09\xf0", SPS, PPS, IDR, b"\x0c\xff", is_key=True)])
    assert nals_of(footage, 0) == [SPS, PPS, IDR]


def test_loop_starts_at_the_first_key_frame_at_zero() -> None:
    footage = build([unit(7, SLICE), unit(8, SPS, PPS, IDR, is_key=True), unit(9, SLICE)])
    assert [frame.pts_ticks for frame in footage.frames] == [0, 3600]
    assert footage.duration_ticks == 7200


def test_pictures_that_lean_on_what_came_before_the_first_key_frame_are_left_out() -> None:
    key = unit(3, SPS, PPS, IDR, is_key=True)
    footage = build([key, unit(2, SLICE), unit(5, SLICE)])
    assert [frame.pts_ticks for frame in footage.frames] == [0, 7200]


@pytest.mark.parametrize(
    ("units", "reason"),
    [
        ([], "no key frame"),
        ([unit(0, SLICE)], "no key frame"),
        ([unit(0, IDR, is_key=True)], "no parameter sets"),
        ([unit(0, SPS, IDR, is_key=True)], "no parameter sets"),
    ],
)
def test_unplayable_units_are_refused(units: list[AccessUnit], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build(units)


def test_retime_keeps_every_frame() -> None:
    footage = build([unit(0, SPS, PPS, IDR, is_key=True), *(unit(n, SLICE) for n in range(1, 25))])
    slower = retime(footage, 5)
    assert footage.fps == 25
    assert slower.fps == 5
    assert slower.duration_s == pytest.approx(5.0)
    assert [frame.pts_ticks for frame in slower.frames] == [n * 18_000 for n in range(25)]
    with pytest.raises(ValueError, match="cannot be played"):
        retime(footage, 0)
