"""The decoder on real clips whose pictures show their number: what it yields is whole, comes once, and is counted.

Each picture is compared, to the last pixel, with that of a decoder which was given everything.
"""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import capture.decoder
from capture.decodepolicy import Alertness, DecodePolicy, PolicyOptions
from capture.decoder import Decoder, Frame, Tally
from capture.source import Arrival, Stamp
from capture.words import DecodeMode
from tests.simulator.clips import FPS, FRAMES, GOP, encode_clip, encode_jpegs, read_number

X264 = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:threads=1"
X265 = f"log-level=none:keyint={GOP}:min-keyint={GOP}:scenecut=0:pools=1"
CLIPS = {
    "h264": ("libx264", {"x264-params": f"{X264}:bframes=0"}),
    "h264-b": ("libx264", {"x264-params": f"{X264}:bframes=2"}),
    "hevc": ("libx265", {"x265-params": f"{X265}:bframes=0"}),
    "hevc-b": ("libx265", {"x265-params": f"{X265}:bframes=3:open-gop=0"}),
    # Pictures shown before a key frame, but coded after it, refer to the GOP before it.
    "h264-open": ("libx264", {"x264-params": f"{X264}:bframes=2:open-gop=1"}),
    "hevc-open": ("libx265", {"x265-params": f"{X265}:bframes=3:open-gop=1"}),
}
SIMPLE = ["h264", "hevc"]
CLOSED = [*SIMPLE, "h264-b", "hevc-b"]
ADAPTIVE = PolicyOptions(DecodeMode.ADAPTIVE, quiet_s=0.5, catch_up_frames=25)
EPOCH_S = 1000.0


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("decoder")

    @cache
    def clip(name: str) -> Path:
        if name == "mjpeg":
            return encode_jpegs(folder / "mjpeg.mkv", FRAMES)
        codec, options = CLIPS[name]
        return encode_clip(folder / f"{name}.mkv", codec, **options)

    return clip


def picture_of(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="gray")


@cache
def clean(path: Path) -> tuple[np.ndarray, ...]:
    """All pictures of a clip, by their number."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        return tuple(picture_of(frame) for frame in container.decode(video=0))


@dataclass
class Run:
    """One connection: a clip, a decoder, and what came out."""

    path: Path
    options: PolicyOptions
    is_due: bool = True
    tally: Tally = field(default_factory=Tally)
    at_s: float = EPOCH_S
    shown: list[tuple[int, int]] = field(default_factory=list)
    """For each frame that was yielded: its number, and the number of packets fed by then."""

    def __enter__(self) -> "Run":
        self._container = av.open(str(self.path))
        stream = self._container.streams.video[0]
        stream.codec_context.thread_count = 1
        self.policy = DecodePolicy(self.options)
        self.decoder = Decoder(stream, self.policy, self.tally, lambda _: self.is_due)
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.shown]

    def packets(self) -> Iterator[av.Packet]:
        yield from (packet for packet in self._container.demux(video=0) if packet.size)

    def feed(self, packet: av.Packet, lag_s: float = 0.0) -> None:
        self.at_s += 1 / FPS
        pts_s = float(packet.pts * packet.time_base)
        self.take(self.decoder.feed(Arrival(packet, Stamp(pts_s, self.at_s, lag_s))))

    def close(self) -> None:
        self.take(self.decoder.close())

    def take(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            shown = picture_of(frame.picture)
            number = read_number(shown)
            assert number == round(frame.stamp.pts_s * FPS), "the picture is not of the packet that its stamp is of"
            assert np.array_equal(shown, clean(self.path)[number]), f"picture {number} is damaged"
            self.shown.append((number, self.tally.packets))

    def assert_accounted(self) -> None:
        """Each packet has come to exactly one end."""
        tally = self.tally
        assert tally.packets == tally.frames + tally.damaged + tally.undecoded + tally.behind
        assert tally.frames == len(self.shown)
        assert self.numbers == sorted(set(self.numbers)), "a picture came twice, or too late"


Clips = Callable[[str], Path]


# --- asleep -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("mode", [DecodeMode.ADAPTIVE, DecodeMode.KEYFRAMES])
def test_asleep_each_key_frame_is_shown_at_once(clips: Clips, name: str, mode: DecodeMode) -> None:
    """Also where the decoder would wait for pictures that are shown before it."""
    keys: list[tuple[int, int]] = []
    with Run(clips(name), PolicyOptions(mode)) as run:
        for fed, packet in enumerate(run.packets(), 1):
            if packet.is_keyframe:
                keys.append((round(float(packet.pts * packet.time_base) * FPS), fed))
            run.feed(packet)
        run.close()
    assert run.shown == keys
    assert [number for number, _ in keys] == list(range(0, FRAMES, GOP))
    assert (run.tally.frames, run.tally.undecoded) == (len(keys), FRAMES - len(keys))
    run.assert_accounted()


def test_asleep_of_pictures_that_stand_alone_a_few_are_shown(clips: Clips) -> None:
    with Run(clips("mjpeg"), PolicyOptions(DecodeMode.ADAPTIVE, is_intra_only=True)) as run:
        for packet in run.packets():
            run.feed(packet)
        run.close()
    assert run.numbers[0] == 0
    assert run.numbers[1:] in ([FPS], [FPS + 1]), "twice as often as idle_fps asks"
    run.assert_accounted()


def test_of_pictures_that_stand_alone_none_is_decoded_that_is_not_due(clips: Clips) -> None:
    with Run(clips("mjpeg"), PolicyOptions(is_intra_only=True)) as run:
        for number, packet in enumerate(run.packets()):
            run.is_due = number % 5 == 0
            run.feed(packet)
        run.close()
    assert run.numbers == list(range(0, FRAMES, 5))
    run.assert_accounted()


# --- awake ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CLIPS, "mjpeg"])
def test_decode_all_shows_all(clips: Clips, name: str) -> None:
    with Run(clips(name), PolicyOptions()) as run:
        for packet in run.packets():
            run.feed(packet)
        run.close()
    assert run.numbers == list(range(FRAMES))
    run.assert_accounted()


@pytest.mark.parametrize("name", CLIPS)
def test_without_what_nothing_refers_to_the_rest_is_whole(clips: Clips, name: str) -> None:
    with Run(clips(name), PolicyOptions(DecodeMode.NO_NONREF)) as run:
        for packet in run.packets():
            run.feed(packet)
        run.close()
    left_out = FRAMES - len(run.numbers)
    assert left_out == 0 if name in SIMPLE else FRAMES // 4 < left_out < FRAMES // 2 + 1
    run.assert_accounted()


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("after", [0, 1, 2, 3, 10, GOP - 5])
def test_waking_shows_all_from_the_last_key_frame_on(clips: Clips, name: str, after: int) -> None:
    """Nothing is damaged, left out or shown twice, though the key frame may have been decoded twice."""
    with Run(clips(name), PolicyOptions(DecodeMode.ADAPTIVE, quiet_s=60.0)) as run:
        for fed, packet in enumerate(run.packets()):
            run.feed(packet)
            if fed == GOP + after:
                run.policy.note_motion(run.at_s)
        run.close()
    assert run.numbers == [0, *range(GOP, FRAMES)]
    run.assert_accounted()


@pytest.mark.parametrize("name", CLIPS)
def test_waking_too_late_shows_all_from_the_next_key_frame_on(clips: Clips, name: str) -> None:
    with Run(clips(name), PolicyOptions(DecodeMode.ADAPTIVE, quiet_s=60.0, catch_up_frames=5)) as run:
        for fed, packet in enumerate(run.packets()):
            run.feed(packet)
            if fed == GOP + 6:
                run.policy.note_motion(run.at_s)
                assert run.policy.alertness is Alertness.WAKING
        run.close()
    assert run.numbers == [0, GOP, *range(2 * GOP, FRAMES)]
    run.assert_accounted()


@pytest.mark.parametrize("name", CLOSED)
def test_a_stream_that_ends_while_it_catches_up_shows_nothing_twice(clips: Clips, name: str) -> None:
    """The decoder still holds the key frame, which was forced out of it before."""
    with Run(clips(name), ADAPTIVE) as run:
        packets = run.packets()
        run.feed(next(packets))
        run.policy.note_motion(run.at_s)
        run.feed(next(packets))
        run.close()
    assert run.numbers[0] == 0
    assert len(run.numbers) == 2
    run.assert_accounted()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    motions=st.sets(st.integers(0, FRAMES), max_size=6),
    losses=st.sets(st.integers(0, FRAMES), max_size=3),
    quiet_s=st.sampled_from([0.1, 0.5, 1.0]),
    catch_up=st.sampled_from([0, 3, 25]),
    name=st.sampled_from(sorted(CLIPS)),
)
def test_whenever_it_wakes_and_sleeps_all_is_whole_and_accounted_for(
    clips: Clips, motions: set[int], losses: set[int], quiet_s: float, catch_up: int, name: str
) -> None:
    """What is lost is seen to be lost, as by a gap or a backlog; `Run.take` looks at each picture."""
    options = PolicyOptions(DecodeMode.ADAPTIVE, quiet_s=quiet_s, catch_up_frames=catch_up)
    with Run(clips(name), options) as run:
        for fed, packet in enumerate(run.packets()):
            if fed in motions:
                run.policy.note_motion(run.at_s)
            run.feed(packet, lag_s=5.0 if fed in losses else 0.0)
        run.close()
    run.assert_accounted()
    keys = set(range(GOP, FRAMES, GOP))
    spoiled = {number // GOP for number in losses}
    assert {key for key in keys if key // GOP not in spoiled and key // GOP - 1 not in spoiled} <= set(run.numbers)


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize("mode", [DecodeMode.ALL, DecodeMode.ADAPTIVE])
def test_after_a_lost_packet_nothing_is_shown_until_the_next_key_frame(
    clips: Clips, name: str, mode: DecodeMode
) -> None:
    lost = 2 * GOP + 7
    with Run(clips(name), PolicyOptions(mode, quiet_s=60.0)) as run:
        for fed, packet in enumerate(run.packets()):
            if fed == 1:
                run.policy.note_motion(run.at_s)
            if fed != lost:
                run.feed(packet)
        run.close()
    assert run.numbers == [*range(lost), *range(3 * GOP, FRAMES)]
    assert run.tally.damaged == GOP - 8
    run.assert_accounted()


@pytest.mark.parametrize("name", CLIPS)
def test_joining_between_two_key_frames_shows_the_next_one_first(clips: Clips, name: str) -> None:
    with Run(clips(name), PolicyOptions()) as run:
        for fed, packet in enumerate(run.packets()):
            if fed >= 5:
                run.feed(packet)
        run.close()
    assert run.numbers == list(range(GOP, FRAMES))
    run.assert_accounted()


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("mode", [DecodeMode.ALL, DecodeMode.ADAPTIVE])
def test_who_has_fallen_behind_goes_on_with_a_key_frame(clips: Clips, name: str, mode: DecodeMode) -> None:
    late = range(GOP + 5, 2 * GOP + 5)
    with Run(clips(name), PolicyOptions(mode, quiet_s=60.0)) as run:
        for fed, packet in enumerate(run.packets()):
            if fed == 1:
                run.policy.note_motion(run.at_s)
            run.feed(packet, lag_s=2.0 if fed in late else 0.0)
        run.close()
    assert run.tally.behind == len(late)
    assert (run.decoder.backlog.drops, run.decoder.backlog.is_dropping) == (1, False)
    assert run.numbers[-2 * GOP :] == list(range(3 * GOP, FRAMES))
    assert not set(run.numbers) & set(range(GOP + 6, 3 * GOP)), "what refers to what was left out is not shown"
    run.assert_accounted()


def broken(packet: av.Packet) -> av.Packet:
    """A packet of the same times with nothing in it that can be decoded."""
    garbage = av.Packet(bytes(packet.size))
    garbage.pts, garbage.dts, garbage.time_base = packet.pts, packet.dts, packet.time_base
    garbage.is_keyframe = packet.is_keyframe
    return garbage


@pytest.mark.parametrize("name", CLOSED)
def test_a_broken_key_frame_is_not_slept_by(clips: Clips, name: str) -> None:
    """The next one is shown, and what was kept after the broken one is not."""
    with Run(clips(name), ADAPTIVE) as run:
        for fed, packet in enumerate(run.packets()):
            run.feed(broken(packet) if fed == GOP else packet)
            if fed == GOP + 3:
                run.policy.note_motion(run.at_s)
        run.close()
    assert not set(run.numbers) & set(range(GOP, 2 * GOP))
    assert set(range(2 * GOP, FRAMES, GOP)) <= set(run.numbers)
    run.assert_accounted()


def test_growing_packets_wake_it(clips: Clips, tmp_path: Path) -> None:
    """Still for four seconds; then bars begin to move, which shows in the sizes alone, between two key frames."""

    def draw(number: int) -> np.ndarray:
        return np.random.default_rng(max(0, number - 110)).integers(60, 190, (64, 192), np.uint8)

    path = encode_clip(tmp_path / "moves.mkv", frames=140, draw=draw, **{"x264-params": f"{X264}:bframes=0:keyint=200"})
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        policy = DecodePolicy(PolicyOptions(DecodeMode.ADAPTIVE, idle_fps=0.1, catch_up_frames=200))
        decoder = Decoder(container.streams.video[0], policy, tally := Tally(), lambda _: True)
        woke = None
        for fed, packet in enumerate(packet for packet in container.demux(video=0) if packet.size):
            stamp = Stamp(float(packet.pts * packet.time_base), EPOCH_S + fed / FPS)
            frames = sum(1 for _ in decoder.feed(Arrival(packet, stamp)))
            if woke is None and fed and frames:
                woke = (fed, frames)
    assert woke is not None
    assert 110 < woke[0] <= 118, "eight packets tell"
    assert woke[1] == woke[0], "all that was kept is decoded"
    assert tally.frames == 140


# --- memory -----------------------------------------------------------------------------------------------------------


def living(kind: type) -> int:
    gc.collect()
    return sum(type(each) is kind for each in gc.get_objects())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["h264", "h264-b"])
@pytest.mark.parametrize("mode", [DecodeMode.ALL, DecodeMode.ADAPTIVE, DecodeMode.NO_NONREF])
def test_no_packet_outlives_its_use(clips: Clips, name: str, mode: DecodeMode) -> None:
    """PyAV keeps what a picture's ``opaque`` names; were that a packet, each would be kept for ever."""
    alive: list[int] = []
    before = living(Stamp), living(av.Packet)
    with Run(clips(name), PolicyOptions(mode, catch_up_frames=5)) as run:
        for fed, packet in enumerate(run.packets()):
            run.feed(packet)
            if fed in (2 * GOP - 1, FRAMES - 1):
                alive.append(living(Stamp) - before[0])
        assert max(alive) <= 25, "the decoder holds what it has not shown, and nothing else"
        assert alive[-1] <= alive[0]
    del packet, run
    assert living(Stamp) == before[0]
    assert living(av.Packet) <= before[1]


def test_those_that_rest_are_decoded_one_at_a_time_but_none_waits_for_ever(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another's key frame is being decoded, and that does not come to an end."""
    monkeypatch.setattr(capture.decoder, "TURN_S", 0.2)
    with Run(clips("h264"), PolicyOptions(DecodeMode.KEYFRAMES)) as run, capture.decoder._RESTING:
        began_s = time.monotonic()
        run.feed(next(run.packets()))
        assert time.monotonic() - began_s >= 0.2
    assert run.numbers == [0]
    with capture.decoder._RESTING:  # which it has not given back, for it was not its own
        pass
