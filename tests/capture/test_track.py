"""A track: what outlives its connection, and the parameter sets by which its packets are decoded."""

import gc
import os
from dataclasses import replace
from pathlib import Path

import av
import pytest

from capture.clip import Clip
from capture.mediamessages import Record, Recorded
from capture.ring import Ring
from capture.track import PacketRing, Track
from capture.words import Shortfall
from tests.capture.rings import kept_in, numbers_shown, ring_of_file
from tests.simulator.clips import GOP, encode_clip, encode_jpegs, read_number, remux


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Byte streams, as cameras send them."""
    folder = tmp_path_factory.mktemp("track")
    return {
        codec: remux(encode_clip(folder / f"{codec}.mp4", encoder), folder / f"{codec}.ts")
        for codec, encoder in (("h264", "libx264"), ("hevc", "libx265"))
    }


def without_extradata(path: Path) -> PacketRing:
    """A ring of a stream whose description told no parameter sets."""
    ring: PacketRing = Ring(1e6, 2**30)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        track = replace(Track.of(stream), extradata=b"")
        for packet in container.demux(stream):
            if packet.size:
                captured_s = float(packet.dts * packet.time_base)  # type: ignore[operator]
                track.keep(packet, captured_s, captured_s, ring)
    return ring


def written(ring: PacketRing, path: Path) -> Recorded:
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
    reply = Clip(Record("cam", 1, "e1", 0.0, 2.0), ring, fd, (0, 0)).step(1e9)
    assert reply is not None
    return reply


def contexts() -> int:
    gc.collect()
    return sum(isinstance(each, av.VideoCodecContext) for each in gc.get_objects())


def test_packets_that_are_kept_hold_no_decoder(streams: dict[str, Path]) -> None:
    before = contexts()
    ring = ring_of_file(streams["h264"])
    assert contexts() == before + 1  # the template's, which is never opened
    assert len(kept_in(ring)) == 100


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_parameter_sets_of_the_key_frame_do_where_the_stream_told_none(
    codec: str, streams: dict[str, Path], tmp_path: Path
) -> None:
    ring = without_extradata(streams[codec])
    [track] = {each.track for each in kept_in(ring)}
    assert track.is_byte_stream
    key, other = kept_in(ring)[:2]
    assert track.can_begin(track.sets(key))
    assert not track.can_begin(track.sets(other))
    assert written(ring, tmp_path / "clip.mp4").reason is None
    numbers = numbers_shown(tmp_path / "clip.mp4", read_number)
    assert numbers == list(range(100))


def test_a_stream_that_tells_none_at_all_is_no_clip(tmp_path: Path) -> None:
    params = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0:threads=1:repeat-headers=0:annexb=1"
    ring = without_extradata(encode_clip(tmp_path / "bare.mp4", **{"x264-params": params}))
    reply = written(ring, tmp_path / "clip.mp4")
    assert (reply.reason, reply.size_bytes) == (Shortfall.SPOILED, 0)


def test_pictures_that_stand_alone_need_no_parameter_sets(tmp_path: Path) -> None:
    [track] = {each.track for each in kept_in(ring_of_file(encode_jpegs(tmp_path / "jpegs.avi")))}
    assert (track.codec, track.is_byte_stream, track.can_begin(())) == ("mjpeg", False, True)
