"""Damage: from what is flagged or missing to the next clean key frame nothing is used."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.damage import BARREN_PACKETS, BARREN_S, BARREN_START_S, LIMIT_S, STEADY_STEPS, BarrenRule, DamageRule

STEP_S = 0.04


class Stream:
    """Packets of a steady camera, each its own frame."""

    def __init__(self, step_s: float = STEP_S) -> None:
        self.rule = DamageRule()
        self.step_s = step_s
        self.pts_s = 100.0

    def packet(self, steps: float = 1.0, is_key: bool = False) -> bool:
        self.pts_s += steps * self.step_s
        return self.rule.packet(self.pts_s, is_key, self.pts_s)

    def frame(self, is_flagged: bool = False, is_key: bool = False) -> bool:
        return self.rule.frame(is_flagged, is_key, self.pts_s)

    def settle(self, packets: int = STEADY_STEPS + 2) -> None:
        assert not any(self.packet() for _ in range(packets))


def test_from_a_flagged_frame_to_the_next_clean_key_frame_nothing_is_used() -> None:
    stream = Stream()
    frames = [(False, True), (False, False), (True, False), (False, False), (True, True), (False, False)]
    assert [stream.frame(*frame) for frame in frames] == [True, True, False, False, False, False]
    assert stream.frame(is_key=True)
    assert stream.frame()


def test_a_gap_spoils_what_follows_until_a_key_frame() -> None:
    stream = Stream()
    stream.settle()
    assert stream.packet(2.0)
    assert not stream.frame()
    assert stream.rule.gaps == 1
    assert not stream.packet()
    assert not stream.frame()
    stream.packet(is_key=True)
    assert stream.frame(is_key=True)


def test_a_gap_before_a_key_frame_spoils_nothing() -> None:
    stream = Stream()
    stream.settle()
    assert stream.packet(3.0, is_key=True)
    assert stream.frame(is_key=True)


@pytest.mark.parametrize(("steps", "is_gap"), [(1.0, False), (1.7, False), (1.9, True), (2.0, True), (240, True)])
@pytest.mark.parametrize("step_s", [0.04, 0.0333])
def test_which_step_is_a_gap(steps: float, is_gap: bool, step_s: float) -> None:
    stream = Stream(step_s)
    stream.settle()
    is_pause = steps * step_s > LIMIT_S  # no gap: a camera that was away, or whose clock was set
    assert stream.packet(steps) is (is_gap and not is_pause)


@pytest.mark.parametrize("by_s", [-3600.0, -0.5, LIMIT_S + 1, 3600.0])
def test_a_clock_that_is_set_is_no_gap(by_s: float) -> None:
    stream = Stream()
    stream.settle()
    assert not stream.packet(by_s / STEP_S)
    stream.settle()
    assert not stream.rule.is_damaged
    assert stream.packet(2.0), "the rate is learned again"


def test_only_a_steady_camera_has_gaps() -> None:
    stream = Stream()
    stream.settle(STEADY_STEPS - 5)
    assert not stream.packet(2.0)
    for i in range(200):  # variable frame rate
        assert not stream.packet(1.0 + i % 3)
    assert stream.rule.gaps == 0


def test_a_camera_that_leaves_out_frames_often_is_not_believed_to_lose_them() -> None:
    stream = Stream()
    stream.settle()
    found = [stream.packet(2.0 if i % 8 == 0 else 1.0) for i in range(400)]
    assert sum(found) == 1


def test_gaps_that_are_far_apart_are_each_found() -> None:
    stream = Stream()
    stream.settle()
    assert sum(stream.packet(2.0 if i % 50 == 0 else 1.0) for i in range(400)) == 8


def test_frames_out_of_order_are_no_gaps() -> None:
    stream = Stream()
    for i in range(200):
        assert not stream.packet((3, -2, 1, 2)[i % 4])


def test_without_key_frames_it_is_used_again_when_most_of_it_was_coded_anew() -> None:
    stream = Stream()
    stream.rule.lose(stream.pts_s)
    stream.pts_s += LIMIT_S
    assert not stream.frame()
    stream.pts_s += 0.1
    assert stream.frame()


def test_packets_without_time_are_passed_over() -> None:
    stream = Stream()
    stream.settle()
    assert not stream.rule.packet(None, False, stream.pts_s)
    assert not stream.packet()
    assert stream.packet(2.0)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from([0.0, 0.04, 1.0, 11.0])), max_size=60))
def test_after_a_flag_only_a_clean_key_frame_or_a_long_time_makes_good(frames) -> None:
    rule, now_s, spoiled_s = DamageRule(), 0.0, None
    for is_flagged, is_key, step_s in frames:
        now_s += step_s
        if is_flagged:
            spoiled_s = now_s
        elif is_key or (spoiled_s is not None and now_s - spoiled_s > LIMIT_S):
            spoiled_s = None
        assert rule.frame(is_flagged, is_key, now_s) is (spoiled_s is None)


@pytest.mark.parametrize("ratio", [0.02, 0.05])
def test_gaps_that_come_by_chance_are_found_though_they_come_often(ratio: float) -> None:
    chance, stream = random.Random(4), Stream()
    stream.settle()
    steps = [2.0 if chance.random() < ratio else 1.0 for _ in range(3000)]
    found = [stream.packet(each) for each in steps]
    assert all(each == 2.0 for each, is_found in zip(steps, found, strict=True) if is_found)
    assert sum(found) > 0.5 * steps.count(2.0)


# --- streams that cannot be decoded any more --------------------------------------------------------------------------


def starve(rule: BarrenRule, packets: int, from_s: float, step_s: float = STEP_S) -> float:
    """Decode packets of which no picture comes; return when the last of them was."""
    for i in range(packets):
        rule.decoded(False, from_s + i * step_s)
    return from_s + (packets - 1) * step_s


@pytest.mark.parametrize(
    ("packets", "step_s", "is_barren"),
    [
        (BARREN_PACKETS - 1, 1.0, False),  # too few to tell
        (BARREN_PACKETS, 1.0, True),
        (100, BARREN_S / 200, False),  # not for long enough
        (100, BARREN_S / 50, True),
    ],
)
def test_a_stream_that_gave_pictures_and_gives_none_is_barren(packets: int, step_s: float, is_barren: bool) -> None:
    rule = BarrenRule()
    rule.decoded(True, 100.0)
    assert rule.is_barren(starve(rule, packets, 100.0 + step_s, step_s)) is is_barren
    rule.decoded(True, 200.0)
    assert not rule.is_barren(200.0 + BARREN_S + 1), "nothing has been decoded in vain since"


def test_a_stream_without_any_picture_is_waited_for_longer() -> None:
    rule = BarrenRule()
    assert not rule.is_barren(100.0)
    starve(rule, 1000, 100.0)
    assert not rule.is_barren(100.0 + BARREN_START_S)
    assert rule.is_barren(100.0 + BARREN_START_S + 0.1)


def test_where_no_picture_is_wanted_none_is_missed() -> None:
    rule = BarrenRule()
    rule.decoded(True, 100.0)
    assert not rule.is_barren(100.0 + 299.0, rest_s=300.0)
    assert rule.is_barren(100.0 + 301.0, rest_s=300.0)
