"""A clip: the packets that were sent, bit for bit, in a file that plays, and stays readable wherever it was cut."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from capture.clip import MAX_CLIP_S, PATIENCE_S, Clip
from capture.mediamessages import Record, Recorded
from capture.ring import Ring
from capture.track import PacketRing
from capture.words import Shortfall
from simulator.camera import CameraSpec
from simulator.demux import load_footage
from simulator.thread import ServerThread
from tests.capture.rings import (
    FRAME_S,
    kept_in,
    numbers_shown,
    ring_of_file,
    ring_of_stream,
    sent_units,
    written_units,
)
from tests.simulator.clips import GOP, SIZE_WH, draw_number, encode_clip, encode_jpegs, read_number

GOP_S = GOP * FRAME_S


@pytest.fixture(scope="module")
def h264(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode_clip(tmp_path_factory.mktemp("clip") / "h264.mp4")


@pytest.fixture(scope="module")
def hevc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode_clip(tmp_path_factory.mktemp("clip") / "hevc.mp4", "libx265")


def clip(ring: PacketRing, path: Path, from_s: float, until_s: float) -> Clip:
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
    return Clip(Record("cam", 1, "e1", from_s, until_s), ring, fd, (0, 0))


def written(ring: PacketRing, path: Path, from_s: float, until_s: float) -> Recorded:
    """Writes a clip of what the ring has, and of nothing that comes later."""
    reply = clip(ring, path, from_s, until_s).step(1e9)
    assert reply is not None
    assert (reply.camera, reply.epoch, reply.event_id) == ("cam", 1, "e1")
    assert reply.size_bytes == path.stat().st_size
    return reply


def assert_plays(path: Path) -> float:
    """Let FFmpeg's own program, where there is one, read it without a word; return the duration."""
    if program := shutil.which("ffmpeg"):
        command = [program, "-v", "warning", "-xerror", "-i", str(path), "-f", "null", "-"]
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    with av.open(str(path)) as container:
        assert container.start_time == 0
        assert container.duration is not None
        return container.duration / av.time_base


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_clip_of_a_stream_has_its_packets_bit_for_bit(
    codec: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    footage = load_footage(request.getfixturevalue(codec))
    with ServerThread([CameraSpec("cam", footage)]) as server:
        ring = ring_of_stream(server.url("cam"), 70)
    kept = kept_in(ring)
    reply = written(ring, tmp_path / "clip.mp4", kept[0].captured_s - 1.0, kept[-1].captured_s + 1.0)
    assert reply.reason is None
    found, sent = written_units(tmp_path / "clip.mp4"), sent_units(kept)
    assert found == sent
    assert reply.duration_s == pytest.approx(len(found) * FRAME_S, abs=3 * FRAME_S)
    assert assert_plays(tmp_path / "clip.mp4") == pytest.approx(reply.duration_s, abs=2 * FRAME_S)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.width, stream.codec_context.height) == SIZE_WH
        assert stream.codec_context.codec_tag == {"h264": "avc1", "hevc": "hvc1"}[codec]


def test_a_clip_begins_with_the_key_frame_before_and_ends_when_told(h264: Path, tmp_path: Path) -> None:
    ring = ring_of_file(h264, at_s=100.0)
    reply = written(ring, tmp_path / "clip.mp4", 100.0 + 2.5 * GOP_S, 100.0 + 4 * GOP_S - FRAME_S / 2)
    assert reply.reason is None
    assert numbers_shown(tmp_path / "clip.mp4", read_number) == list(range(40, 80))
    assert reply.began_mono_s == 100.0 + 2 * GOP_S
    assert reply.first_pts_s == pytest.approx(2 * GOP_S)
    assert reply.duration_s == assert_plays(tmp_path / "clip.mp4") == pytest.approx(40 * FRAME_S)


def test_what_comes_later_is_written_until_the_time_that_was_ordered_last(h264: Path, tmp_path: Path) -> None:
    ring = ring_of_file(h264)
    made = clip(ring, tmp_path / "clip.mp4", 0.0, 2.5)
    assert made.step(2.0) is None
    made.prolong(3.5)
    made.prolong(3.0)  # earlier than was ordered before
    ring_of_file(h264, ring, 2.0)
    reply = made.step(4.0)
    assert reply is not None
    assert reply.reason is None
    assert reply.duration_s == pytest.approx(3.5, abs=3 * FRAME_S)
    numbers = numbers_shown(tmp_path / "clip.mp4", read_number)
    assert numbers == [n % 100 for n in range(len(numbers))]
    assert assert_plays(tmp_path / "clip.mp4") == pytest.approx(reply.duration_s)


def test_no_clip_is_longer_than_may_be(h264: Path, tmp_path: Path) -> None:
    ring = ring_of_file(h264)
    made = clip(ring, tmp_path / "clip.mp4", 0.0, 1e9)
    ring_of_file(h264, ring, MAX_CLIP_S + 1.0)
    reply = made.step(MAX_CLIP_S + 2.0)
    assert reply is not None
    assert (reply.reason, reply.duration_s) == (None, pytest.approx(2.0))


def test_a_camera_that_is_away_ends_its_clip(h264: Path, tmp_path: Path) -> None:
    made = clip(ring_of_file(h264), tmp_path / "clip.mp4", 0.0, 8.0)
    assert made.step(8.0 + PATIENCE_S) is None
    reply = made.step(8.1 + PATIENCE_S)
    assert reply is not None
    assert (reply.reason, reply.duration_s) == (Shortfall.DOWN, pytest.approx(2.0))
    assert numbers_shown(tmp_path / "clip.mp4", read_number) == list(range(100))
    assert written(Ring(5.0, 10**6), tmp_path / "none.mp4", 0.0, 8.0).reason is Shortfall.DOWN
    reply = written(ring_of_file(h264, at_s=100.0), tmp_path / "late.mp4", 0.0, 8.0)
    assert (reply.reason, reply.size_bytes) == (Shortfall.DOWN, 0)


def test_a_clip_goes_on_over_a_reconnect(h264: Path, tmp_path: Path) -> None:
    ring = ring_of_file(h264)
    ring_of_file(h264, ring, 4.0, change=set_clock(-5000.0))
    reply = written(ring, tmp_path / "clip.mp4", 0.0, 100.0)
    assert numbers_shown(tmp_path / "clip.mp4", read_number) == [*range(100), *range(100)]
    assert reply.duration_s == pytest.approx(6.0, abs=3 * FRAME_S)
    assert assert_plays(tmp_path / "clip.mp4") == pytest.approx(reply.duration_s)


def set_clock(by_s: float, after: int = 0) -> Callable[[int, "av.Packet[av.VideoStream]"], object]:
    """Sets the camera's clock after so many packets."""

    def change(number: int, packet: "av.Packet[av.VideoStream]") -> None:
        if number >= after and packet.pts is not None and packet.dts is not None:
            packet.pts += round(by_s / packet.time_base)
            packet.dts += round(by_s / packet.time_base)

    return change


@pytest.mark.parametrize("by_s", [7000.0, -7000.0])
def test_a_clip_of_a_camera_whose_clock_is_set_shows_every_frame_once(h264: Path, tmp_path: Path, by_s: float) -> None:
    ring = ring_of_file(h264, change=set_clock(by_s, 40))
    reply = written(ring, tmp_path / "clip.mp4", 0.0, 100.0)
    assert numbers_shown(tmp_path / "clip.mp4", read_number) == list(range(100))
    assert reply.duration_s == pytest.approx(2.0, abs=3 * FRAME_S)
    assert_plays(tmp_path / "clip.mp4")


def test_a_stream_that_changes_ends_its_clip(h264: Path, hevc: Path, tmp_path: Path) -> None:
    smaller = encode_clip(tmp_path / "other.mp4", draw=number_in_half)
    for other in (hevc, smaller):
        ring = ring_of_file(h264)
        ring_of_file(other, ring, 2.0)
        assert written(ring, tmp_path / "clip.mp4", 0.0, 100.0).reason is Shortfall.CHANGED
        assert numbers_shown(tmp_path / "clip.mp4", read_number) == list(range(100))


def number_in_half(number: int) -> np.ndarray:
    return draw_number(number)[::2].copy()


def test_motion_jpeg_is_no_clip(tmp_path: Path) -> None:
    ring = ring_of_file(encode_jpegs(tmp_path / "jpegs.avi"))
    reply = written(ring, tmp_path / "clip.mp4", 0.0, 100.0)
    assert (reply.reason, reply.size_bytes) == (Shortfall.CODEC, 0)


def test_a_writer_that_is_too_slow_has_what_it_had_time_for(h264: Path, tmp_path: Path) -> None:
    ring: PacketRing = ring_of_file(h264, Ring(1.0, 2**30))
    made = clip(ring, tmp_path / "clip.mp4", 1.0, 100.0)
    assert made.step(2.0) is None
    ring_of_file(h264, ring, 2.0)
    reply = made.step(4.0)
    assert reply is not None
    assert reply.reason is Shortfall.SLOW
    assert numbers_shown(tmp_path / "clip.mp4", read_number) == list(range(40, 100))


def test_a_disk_that_is_full_is_told(h264: Path) -> None:
    made = Clip(Record("cam", 1, "e1", 0.0, 100.0), ring_of_file(h264), os.open("/dev/full", os.O_RDWR), (0, 0))
    reply = made.step(1e9)
    assert reply is not None
    assert reply.reason is Shortfall.UNWRITABLE


def test_what_is_written_stays_readable_whenever_it_is_killed(h264: Path, tmp_path: Path) -> None:
    ring = ring_of_file(h264)
    ring_of_file(h264, ring, 2.0)
    path = tmp_path / "clip.mp4"
    made = clip(ring, path, 0.0, 100.0)
    assert made.step(0.0) is None
    open_still = path.read_bytes()
    assert made.end(None).reason is None
    done = path.read_bytes()
    assert done[:100] != open_still[:100]  # the last write turned the fragments into an ordinary file
    numbers = [n % 100 for n in range(200)]
    starts = [place for place, kind in boxes(open_still) if kind == b"moof"]
    assert len(starts) == 9  # of ten
    for whole, start in enumerate(starts):
        end = starts[whole + 1] if start is not starts[-1] else len(open_still)
        for cut in (start, start + 8, start + 100, (start + end) // 2, end):
            path.write_bytes(open_still[:start] + bytes(min(8, cut - start)) + open_still[start + 8 : cut])
            if whole:
                assert numbers_shown(path, read_number) == numbers[: whole * GOP]
    for end in (len(open_still), (len(open_still) + len(done)) // 2, len(done)):
        path.write_bytes(open_still + done[len(open_still) : end])
        assert numbers_shown(path, read_number)[: 9 * GOP] == numbers[: 9 * GOP]


def boxes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Places and kinds of the boxes of a file."""
    place = 0
    while place < len(data):
        yield place, data[place + 4 : place + 8]
        place += int.from_bytes(data[place : place + 4], "big")
