"""Wrong clocks and pictures, by value."""

from itertools import pairwise

import pytest

from simulator.altered import FastTimeline, FloodedTimeline, FrozenTimeline, HaltingTimeline, JitteryTimeline
from simulator.faults import Fast, Flood, Jitter, Pause
from simulator.filler import filler_nal
from simulator.footage import Footage
from simulator.nal import Codec, is_dispensable
from simulator.rtp import payloads_of
from simulator.timeline import Timeline
from tests.simulator.clips import FPS, GOP
from tests.simulator.depacketize import depacketize

NUMBERS = range(200, 400)


@pytest.fixture
def plain(h264_footage: Footage) -> Timeline:
    return Timeline(h264_footage, 0.4)


def test_frozen_picture_is_a_key_frame_and_times_go_on(plain: Timeline) -> None:
    frozen = FrozenTimeline(plain, 3 * GOP + 7)
    assert {id(frozen.frame(number)) for number in NUMBERS} == {id(plain.frame(3 * GOP))}
    assert {after - before for before, after in pairwise(map(frozen.npt_ticks, NUMBERS))} == {90_000 // FPS}
    assert frozen.pictures is not plain.pictures


@pytest.mark.parametrize("ratio", [1.25, 0.5])
def test_fast_clock_with_frames_at_their_pace(plain: Timeline, ratio: float) -> None:
    fast = FastTimeline(plain, Fast(ratio=ratio), 200)
    assert fast.npt_ticks(200) == plain.npt_ticks(200)
    assert fast.npt_ticks(300) - fast.npt_ticks(200) == pytest.approx(ratio * 100 * 90_000 / FPS, abs=1)
    assert all(fast.due_s(number) == plain.due_s(number) for number in NUMBERS)
    assert fast.ticks_at(plain.npt_s(300)) == pytest.approx(fast.npt_ticks(300), abs=1)


def test_fast_clock_with_frames_as_fast(plain: Timeline) -> None:
    fast = FastTimeline(plain, Fast(ratio=1.25, frames_too=True), 200)
    assert all(fast.npt_ticks(number) == plain.npt_ticks(number) for number in NUMBERS)
    assert fast.due_s(200) == plain.due_s(200)
    assert fast.due_s(300) - fast.due_s(200) == pytest.approx(100 / FPS / 1.25)


def test_jitter_is_within_bounds_and_the_same_at_every_look(plain: Timeline) -> None:
    jittery = JitteryTimeline(plain, Jitter(up_to_ms=100, seed=3))
    delays = [jittery.due_s(number) - plain.due_s(number) for number in NUMBERS]
    assert delays == [jittery.due_s(number) - plain.due_s(number) for number in NUMBERS]
    assert 0 <= min(delays) < 0.01
    assert 0.09 < max(delays) <= 0.1
    assert JitteryTimeline(plain, Jitter(up_to_ms=100, seed=4)).due_s(200) != jittery.due_s(200)


def test_pause_comes_before_each_key_frame_and_a_burst_after_it(plain: Timeline) -> None:
    halting = HaltingTimeline(plain, Pause(ms=100))
    for key in range(200, 400, GOP):
        assert plain.frame(key).is_key
        end_s = plain.due_s(key) + 0.1
        due = [halting.due_s(number) for number in range(key, key + GOP)]
        assert due == [max(end_s, plain.due_s(number)) for number in range(key, key + GOP)]
        assert due.count(end_s) >= 5


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_flood_is_filler_behind_the_picture(codec: str, request: pytest.FixtureRequest) -> None:
    footage: Footage = request.getfixturevalue(f"{codec}_footage")
    flooded = FloodedTimeline(Timeline(footage), Flood(times=10))
    for number in range(5):
        before, after = footage.frames[number].packets, flooded.frame(number).packets
        assert 10 * before.octets <= after.octets + 10 <= 10 * before.octets + 1410
        nals = depacketize(footage.codec, payloads_of(after))
        assert [nal for nal in nals if not is_dispensable(footage.codec, nal)] == depacketize(
            footage.codec, payloads_of(before)
        )


def test_filler_units() -> None:
    assert filler_nal(Codec.H264, 5) == b"\x0c\xff\xff\xff\x80"
    assert filler_nal(Codec.H265, 5) == b"\x4c\x01\xff\xff\x80"
