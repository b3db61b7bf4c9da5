from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.footage import AccessUnit, Footage, build_footage
from simulator.nal import Codec
from simulator.timeline import Timeline

SETS = (b"\x67sps", b"\x68pps")


def footage(gops: int = 3, gop: int = 4, step: int = 3000) -> Footage:
    """A loop in which each second frame is sent after the one that follows it."""
    units = []
    for number in range(gops * gop):
        shown = number + 1 if number % gop == 1 else number - 1 if number % gop == 2 else number
        units.append(AccessUnit(shown * step, number % gop == 0, (b"\x65x",)))
    return build_footage("test", Codec.H264, (16, 16), units, last_frame_ticks=step, extra_parameter_sets=SETS)


LOOP = footage()
GOP_S = 4 / 30
DURATION_S = 3 * GOP_S


def test_loop_lasts_one_step_more_than_its_last_frame() -> None:
    assert LOOP.duration_ticks == 12 * 3000
    assert LOOP.fps == Fraction(30)
    assert LOOP.key_times_s == pytest.approx((0, GOP_S, 2 * GOP_S))


@pytest.mark.parametrize(
    ("offset_s", "origin_s"),
    [
        (0, 0),
        (0.9 * GOP_S, 0),
        (GOP_S, GOP_S),
        (2.99 * GOP_S, 2 * GOP_S),
        (3 * GOP_S, 0),
        (4.5 * GOP_S, GOP_S),
    ],
)
def test_offset_snaps_back_to_a_key_frame(offset_s: float, origin_s: float) -> None:
    assert Timeline(LOOP, offset_s).origin_s == pytest.approx(origin_s)


@pytest.mark.parametrize(
    ("npt_s", "found_s"),
    [
        (0, 0),
        (-5, 0),
        (1.5 * GOP_S, GOP_S),
        (2 * GOP_S, 2 * GOP_S),
        (2 * GOP_S - 0.0009, 2 * GOP_S),  # FFmpeg cuts to milliseconds
        (2 * GOP_S - 0.002, GOP_S),
        (100 * DURATION_S + 0.01, 100 * DURATION_S),
    ],
)
def test_seek_finds_the_key_frame_at_or_before(npt_s: float, found_s: float) -> None:
    timeline = Timeline(LOOP, GOP_S)
    number = timeline.seek(npt_s)
    assert timeline.frame(number).is_key
    assert timeline.npt_s(number) == pytest.approx(found_s)


def test_next_round_follows_after_one_step() -> None:
    timeline = Timeline(LOOP, 0)
    shown = sorted(timeline.npt_ticks(number) for number in range(36))
    assert shown == list(range(0, 36 * 3000, 3000))


def test_decoding_times_only_grow_and_stay_at_or_before_showing() -> None:
    timeline = Timeline(LOOP, 2 * GOP_S)
    first = timeline.seek(0)
    sent = [timeline.dts_s(number) for number in range(first, first + 40)]
    assert sent == sorted(sent)
    assert all(timeline.dts_s(number) <= timeline.npt_s(number) for number in range(first, first + 40))


@given(st.floats(0, 1000), st.floats(0, 10))
def test_seek_never_lands_more_than_a_group_before(npt_s: float, offset_s: float) -> None:
    timeline = Timeline(LOOP, offset_s)
    found_s = timeline.npt_s(timeline.seek(npt_s))
    assert found_s >= 0
    assert npt_s - GOP_S < found_s <= npt_s + 0.002
