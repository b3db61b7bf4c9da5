"""A clip's times: from 0, never back, as the camera told them where that can be true."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.timeline import HZ, JUMP, USUAL, Placed, Timeline, Times, times

FRAME = 1800
"""50 frames a second."""


def told(pts: int | None, dts: int | None, captured_s: float = 0.0) -> Times:
    return Times(pts, dts, FRAME, captured_s)


def placed(clip: Timeline[int], packets: list[Times]) -> list[Placed[int]]:
    return [each for number, packet in enumerate(packets) for each in clip.place(number, packet)] + list(clip.flush())


def pts(packets: list[Placed[int]]) -> list[int]:
    return [each.pts for each in packets]


def dts(packets: list[Placed[int]]) -> list[int]:
    return [each.dts for each in packets]


def steady(count: int, first: int = 7_000_000, captured_s: float = 100.0) -> list[Times]:
    return [told(first + n * FRAME, first + n * FRAME, captured_s + n * FRAME / HZ) for n in range(count)]


def test_a_clip_begins_at_0_and_keeps_the_cameras_steps() -> None:
    found = placed(Timeline(), steady(5))
    assert pts(found) == dts(found) == [0, 1800, 3600, 5400, 7200]
    assert {each.duration for each in found} == {FRAME}


def test_frames_that_are_reordered_keep_their_order() -> None:
    # As FFmpeg tells them in mid-stream: decoded two frames before they are shown.
    packets = [told(36000, 32400), told(41400, 34200), told(37800, 36000), told(39600, 37800)]
    found = placed(Timeline(), packets)
    assert pts(found) == [0, 5400, 1800, 3600]
    assert dts(found) == [-3600, -1800, 0, 1800]


def test_the_first_times_of_a_connection_are_filled_in() -> None:
    # As FFmpeg tells them of the first packets over RTSP, H.265 with three B frames.
    packets = [told(None, None), told(7200, None), told(3600, None), told(1800, 1800), told(5400, 3600)]
    found = placed(Timeline(), packets)
    assert [each.packet for each in found] == [0, 1, 2, 3, 4]
    assert pts(found) == [0, 7200, 3600, 1800, 5400]
    assert dts(found) == [-3600, -1800, 0, 1800, 3600]


def test_a_clip_that_ends_before_any_time_of_decoding_is_known_has_its_packets() -> None:
    found = placed(Timeline(), [told(None, None), told(5400, None), told(1800, None)])
    assert pts(found) == [0, 5400, 1800]
    assert dts(found) == [-3600, -1800, 0]


def test_frames_shown_before_the_first_key_frame_are_left_out() -> None:
    # An open GOP: they refer to what came before.
    packets = [told(36000, 27000), told(32400, 28800), told(30600, 30600), told(34200, 32400), told(43200, 34200)]
    assert [each.packet for each in placed(Timeline(), packets)] == [0, 4]


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 5.0, -5.0])
def test_a_clock_that_is_set_makes_no_jump(jump_s: float) -> None:
    before = steady(20)
    after = steady(20, before[-1].pts + FRAME + round(jump_s * HZ), 100.0 + 20 * FRAME / HZ)  # type: ignore[operator]
    found = placed(Timeline(), before + after)
    assert pts(found) == [n * FRAME for n in range(40)]


def test_a_small_step_back_makes_no_jump_either() -> None:
    packets = [told(0, 0), told(FRAME, FRAME, 0.02), told(900, 900, 0.04), told(900 + FRAME, 900 + FRAME, 0.06)]
    assert dts(placed(Timeline(), packets)) == [0, FRAME, 2 * FRAME, 3 * FRAME]


def test_a_pause_of_the_stream_is_kept() -> None:
    packets = [told(0, 0, 0.0), told(10 * HZ, 10 * HZ, 10.0)]
    assert dts(placed(Timeline(), packets)) == [0, 10 * HZ]


def test_another_connection_goes_on_where_the_time_has_come_to() -> None:
    clip: Timeline[int] = Timeline()
    first = placed(clip, steady(10))
    assert list(clip.reconnect()) == []
    second = placed(clip, steady(10, first=5, captured_s=103.0))
    assert pts(first)[-1] == 9 * FRAME
    assert pts(second) == [3 * HZ + n * FRAME for n in range(10)]


def test_without_any_times_the_moments_of_capture_stand_in() -> None:
    found = placed(Timeline(), [told(None, None, n / 10) for n in range(40)])
    assert pts(found) == dts(found)
    assert (dts(found)[0], dts(found)[-1] - dts(found)[16]) == (0, 23 * HZ // 10)


def test_ticks_are_those_of_the_stream() -> None:
    @dataclass(frozen=True)
    class Packet:
        pts: int | None
        dts: int | None
        duration: int | None

    assert times(Packet(512, None, 512), Fraction(1, 12800), 1.5) == Times(3600, None, 3600, 1.5)
    assert times(Packet(None, 0, None), Fraction(1, 1000), 1.5) == Times(None, 0, USUAL, 1.5)


tick = st.one_of(st.none(), st.integers(-(2**40), 2**40), st.integers(0, 20 * FRAME))


@given(st.lists(st.tuples(tick, tick, st.floats(0.0, 100.0), st.booleans()), min_size=1, max_size=60))
def test_times_never_go_back_whatever_a_camera_tells(packets: list[tuple[int | None, int | None, float, bool]]) -> None:
    clip: Timeline[int] = Timeline()
    found: list[Placed[int]] = []
    for number, (shown, decoded, captured_s, is_new) in enumerate(packets):
        if is_new:
            found += clip.reconnect()
        found += clip.place(number, told(shown, decoded, captured_s))
    found += clip.flush()
    assert found[0].pts == 0
    assert all(after > before for before, after in pairwise(dts(found)))
    assert all(0 <= each.pts - each.dts <= JUMP for each in found)
    assert [each.packet for each in found] == sorted({each.packet for each in found})
