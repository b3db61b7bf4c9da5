"""Figures of a stream from its packets: by value, for streams that are known to the frame."""

import pytest

from capture.streamfigures import Heard, bit_rate, clock, key_frames, rhythm, settled, times_s

FPS = 25.0


def stream(count: int, gop: int = 50, *, ratio: float = 1.0, burst: int = 0, sizes: tuple[int, int] = (900, 100)):
    """Packets of a regular camera; the first ``burst`` are handed on together, as FFmpeg does after opening."""
    packets = []
    for i in range(count):
        sent_s = i / FPS
        arrived_s = 1000.0 + max(sent_s, burst / FPS)
        packets.append(Heard(500.0 + ratio * sent_s, arrived_s, 0.0, sizes[i % gop != 0], i % gop == 0))
    return packets


def test_regular_stream_is_regular() -> None:
    found = rhythm(stream(100), 0)
    assert found.fps == pytest.approx(FPS)
    assert (found.irregular_ratio, found.missing) == (0.0, 0)
    assert found.longest_wait_s == pytest.approx(1 / FPS)


def test_packets_read_while_opening_make_no_higher_rate() -> None:
    packets = stream(100, burst=12)
    assert rhythm(packets, 0).fps == pytest.approx(FPS)
    assert bit_rate(packets, 0).mean_bps == pytest.approx(bit_rate(stream(100), 0).mean_bps)
    assert len(settled(packets)) in (87, 88)
    # Where its clock is of no use, the burst is left out.
    assert rhythm(packets, 1).fps == pytest.approx(FPS)


def test_b_frames_are_put_in_order() -> None:
    """I P B B P B B: decoded out of the order in which they are shown."""
    packets = stream(101, gop=200)
    shown = [0, *(3 * k + n for k in range(33) for n in (3, 1, 2))]
    swapped = [
        Heard(500.0 + at / FPS, packet.arrived_s, 0.0, packet.size, packet.is_key)
        for at, packet in zip(shown, packets, strict=False)
    ]
    found = rhythm(swapped, 0)
    assert found.fps == pytest.approx(FPS)
    assert found.irregular_ratio == 0.0


def test_missing_frames_are_counted() -> None:
    packets = [packet for i, packet in enumerate(stream(100)) if i not in (30, 60, 61)]
    found = rhythm(packets, 0)
    assert found.missing == 2
    assert found.irregular_ratio == pytest.approx(2 / 96)


def test_a_clock_that_runs_wrong_does_not_change_the_rate() -> None:
    packets = stream(250, ratio=1.5)
    assert rhythm(packets, 0).fps == pytest.approx(FPS, rel=0.02)
    assert clock(packets, 0, None, has_clock=True).ratio == pytest.approx(1.5, rel=0.02)


@pytest.mark.parametrize(
    ("packets", "jumps", "has_clock", "ratio"),
    [
        (stream(250), 0, True, pytest.approx(1.0, abs=0.01)),
        (stream(250, ratio=0.8), 0, True, pytest.approx(0.8, rel=0.02)),
        (stream(250, burst=12), 0, True, pytest.approx(1.0, abs=0.01)),
        (stream(50), 0, True, None),
        (stream(250), 1, True, None),
        (stream(250), 0, False, None),
        ([], 0, True, None),
    ],
)
def test_ratio_of_the_clock(packets: list[Heard], jumps: int, has_clock: bool, ratio: object) -> None:
    found = clock(packets, jumps, None, has_clock=has_clock)
    assert found.ratio == ratio
    assert found.jumps == jumps


def test_key_frames_of_a_regular_stream() -> None:
    found = key_frames(stream(151, gop=50), 0)
    assert (found.count, found.frames, found.most_frames) == (4, 50, 50)
    assert found.longest_s == pytest.approx(2.0)
    assert found.at_least_s == pytest.approx(2.0)


@pytest.mark.parametrize(("gop", "first", "count"), [(500, 0, 1), (500, 1, 0)])
def test_too_few_key_frames_give_a_lower_bound(gop: int, first: int, count: int) -> None:
    found = key_frames(stream(101 + first, gop)[first:], 0)
    assert (found.count, found.frames, found.longest_s) == (count, None, None)
    assert found.at_least_s == pytest.approx(4.0)


def test_bit_rate_and_its_largest_second() -> None:
    # Each 50 frames 900 + 49 * 100 bytes in two seconds; the second with the key frame has 900 + 24 * 100.
    found = bit_rate(stream(200), 0)
    assert found.mean_bps == pytest.approx(8 * 5800 / 2)
    assert found.most_bps == pytest.approx(8 * 3300)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_hardly_any_packets_are_no_error(count: int) -> None:
    packets = stream(count)
    assert rhythm(packets, 0).fps in (0.0, pytest.approx(FPS))
    assert key_frames(packets, 0).frames is None
    assert bit_rate(packets, 0).mean_bps >= 0
    assert len(times_s(packets, 0)) == count
    assert clock(packets, 0, None, has_clock=True).ratio is None


def test_packets_without_times_are_told_by_arrival() -> None:
    packets = [Heard(0.0, packet.arrived_s, 0.0, packet.size, packet.is_key) for packet in stream(100)]
    assert rhythm(packets, 0).fps == pytest.approx(FPS)
