"""The ring: what it keeps, what it gives up, and where a clip begins."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.ring import GAP_S, Kept, Ring

Track = str
MIB = 2**20


@dataclass(frozen=True)
class Packet:
    size: int = 100
    is_keyframe: bool = False
    pts: int | None = None
    dts: int | None = None
    duration: int | None = None


def put(ring: Ring[Packet, Track], packet: Packet, track: Track, at_s: float) -> None:
    ring.append(packet, track, at_s, at_s)


def filled(
    seconds: float, gop: int, keep_s: float, limit_bytes: int = MIB, fps: int = 10, size: int = 100
) -> Ring[Packet, Track]:
    ring: Ring[Packet, Track] = Ring(keep_s, limit_bytes)
    for number in range(round(seconds * fps)):
        put(ring, Packet(size, number % gop == 0), "a", number / fps)
    return ring


def kept(ring: Ring[Packet, Track]) -> list[Kept[Packet, Track]]:
    return [each for number in range(ring.first, ring.end) if (each := ring.get(number))]


def test_it_keeps_its_seconds_and_begins_with_a_key_frame() -> None:
    ring = filled(60.0, gop=20, keep_s=5.0)
    assert ring.first == 540  # of the last, at 59.9 s, five seconds are 54.9; the key frame before came at 54.0
    assert kept(ring)[0].is_key
    assert len(kept(ring)) == 60
    assert (ring.bytes, ring.dropped) == (6000, 0)
    assert ring.span_s() == pytest.approx(5.9)


def test_what_comes_all_at_once_after_a_stall_is_not_given_up_unseen() -> None:
    ring = filled(10.0, gop=20, keep_s=5.0)
    before = ring.first
    for number in range(100, 400):
        ring.append(Packet(is_keyframe=number % 20 == 0), "a", number / 10, 40.0)
    assert (before, ring.first, ring.end) == (40, 80, 400)


def test_a_key_frame_interval_longer_than_its_seconds_is_kept_whole() -> None:
    ring = filled(28.0, gop=250, keep_s=5.0)
    assert (ring.first, ring.end) == (0, 280)
    assert filled(31.0, gop=250, keep_s=5.0).first == 250


def test_what_there_is_no_room_for_is_given_up_and_counted() -> None:
    ring = filled(10.0, gop=20, keep_s=5.0, limit_bytes=2500)
    assert len(kept(ring)) == 25
    assert ring.bytes == 2500
    assert ring.dropped > 0
    assert ring.start(0.0) == 80  # the last key frame, all before it are gone


def test_of_an_interval_that_is_too_large_the_end_is_kept_for_whoever_has_begun() -> None:
    ring = filled(10.0, gop=1000, keep_s=5.0, limit_bytes=2000)
    assert (ring.first, ring.end, ring.dropped) == (80, 100, 80)
    assert ring.start(9.0) is None
    for number in range(100, 200):
        put(ring, Packet(1), "a", number / 10)
    assert ring.first == 149  # without their key frame they are kept for their seconds, no longer
    put(ring, Packet(1, True), "a", 20.0)
    assert ring.start(20.0) == 200


def test_a_packet_larger_than_all_room_leaves_nothing() -> None:
    ring: Ring[Packet, Track] = Ring(5.0, 1000)
    put(ring, Packet(5000, True), "a", 1.0)
    assert (kept(ring), ring.bytes, ring.dropped, ring.start(1.0)) == ([], 0, 1, None)


def test_the_span_of_what_is_not_there_is_none() -> None:
    assert Ring[Packet, Track](5.0, MIB).span_s() == 0.0
    assert filled(1.0, gop=10, keep_s=5.0, limit_bytes=10).span_s() == 0.0


def test_packets_before_the_first_key_frame_of_a_connection_are_not_kept() -> None:
    ring: Ring[Packet, Track] = Ring(5.0, MIB)
    put(ring, Packet(), "a", 0.0)
    put(ring, Packet(is_keyframe=True), "a", 0.1)
    put(ring, Packet(), "b", 0.2)
    put(ring, Packet(is_keyframe=True), "b", 0.3)
    assert [(each.track, each.captured_s) for each in kept(ring)] == [("a", 0.1), ("b", 0.3)]


@pytest.mark.parametrize(
    ("at_s", "number"),
    [
        (57.0, 560),  # the key frame before
        (58.0, 580),  # its own moment
        (0.0, 540),  # long gone: the first that is left
        (60.5, 580),  # just now
        (59.9 + GAP_S + 0.1, None),  # nothing that came is of it
    ],
)
def test_a_clip_begins_with_the_key_frame_before(at_s: float, number: int | None) -> None:
    assert filled(60.0, gop=20, keep_s=5.0).start(at_s) == number


def test_a_moment_while_the_camera_was_away_begins_when_it_is_back() -> None:
    ring = filled(2.0, gop=20, keep_s=60.0)
    for number in range(30):
        put(ring, Packet(is_keyframe=number % 20 == 0), "b", 30.0 + number / 10)
    assert ring.start(25.0) == 20
    assert ring.start(1.0) == 0


def test_a_frame_shown_before_its_key_frame_is_decoded_from_the_one_before() -> None:
    ring: Ring[Packet, Track] = Ring(60.0, MIB)
    # In order of decoding, of an open GOP: the second key frame is shown after the two that follow it.
    for captured_s, is_key in ((1.0, True), (1.1, False), (1.4, True), (1.2, False), (1.3, False), (1.5, False)):
        put(ring, Packet(is_keyframe=is_key), "a", captured_s)
    assert [ring.start(at_s) for at_s in (1.2, 1.3, 1.4, 1.5)] == [0, 0, 2, 2]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 400), st.floats(0.0, 2.0)), max_size=200),
    st.floats(0.1, 10.0),
    st.integers(100, 5000),
)
def test_its_count_is_that_of_what_it_holds(
    packets: list[tuple[bool, int, float]], keep_s: float, limit_bytes: int
) -> None:
    ring: Ring[Packet, Track] = Ring(keep_s, limit_bytes)
    now_s = 0.0
    for is_key, size, step_s in packets:
        now_s += step_s
        put(ring, Packet(size, is_key), "a", now_s)
        held = kept(ring)
        assert len(held) == ring.end - ring.first
        assert ring.bytes == sum(each.packet.size for each in held) <= limit_bytes
        keys = [number for number in range(ring.first, ring.end) if ring.get(number).is_key]  # type: ignore[union-attr]
        assert ring.start(0.0) == (keys[0] if keys else None)
        assert len(keys) < 2 or held[keys[1] - ring.first].captured_s > now_s - keep_s
