from pathlib import Path

import av
import numpy as np
import pytest

from simulator.demux import load_footage
from simulator.errors import (
    FootageError,
    FootageNotFoundError,
    NoVideoError,
    UnsupportedCodecError,
    UnusableFootageError,
)
from simulator.footage import Footage
from simulator.nal import Codec
from tests.simulator.clips import FPS, FRAMES, GOP, SIZE_WH, encode_clip, remux


def check_is_the_clip(footage: Footage, codec: Codec) -> None:
    assert footage.codec is codec
    assert footage.size_wh == SIZE_WH
    assert footage.fps == FPS
    assert footage.duration_s == FRAMES / FPS
    assert footage.key_times_s == pytest.approx([k / FPS for k in range(0, FRAMES, GOP)])
    shown = sorted(frame.pts_ticks for frame in footage.frames)
    assert shown == [number * 90_000 // FPS for number in range(FRAMES)]
    sent = [frame.dts_ticks for frame in footage.frames]
    assert sent == sorted(sent)


def test_h264_in_mp4(h264_footage: Footage) -> None:
    check_is_the_clip(h264_footage, Codec.H264)
    shown = [frame.pts_ticks for frame in h264_footage.frames]
    assert shown != sorted(shown), "the clip has no B-frames"


def test_h265_in_mp4(h265_footage: Footage) -> None:
    check_is_the_clip(h265_footage, Codec.H265)


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mov"])
def test_other_containers_give_the_same_frames(suffix: str, h264_clip: Path, h264_footage: Footage, tmp_path) -> None:
    footage = load_footage(remux(h264_clip, tmp_path / f"clip{suffix}"))
    if suffix == ".mkv":  # Matroska rounds to milliseconds and does not say how long the last frame lasts
        assert footage.duration_s == pytest.approx(FRAMES / FPS, abs=0.002)
        assert len(footage.frames) == FRAMES
    else:
        check_is_the_clip(footage, Codec.H264)
    assert footage.parameter_sets == h264_footage.parameter_sets


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FootageNotFoundError, match=r"gone\.mp4: no such file"):
        load_footage(tmp_path / "gone.mp4")


@pytest.mark.parametrize("content", [b"", b"this is no video\n" * 100])
def test_not_a_video(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(NoVideoError, match="not a readable video file"):
        load_footage(path)


def test_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(NoVideoError, match="no video stream"):
        load_footage(path)


def test_other_codec_names_it_and_the_remedy(tmp_path: Path) -> None:
    path = encode_clip(tmp_path / "old.mp4", "mpeg4", frames=3)
    with pytest.raises(UnsupportedCodecError, match=r"codec mpeg4 is not H\.264 or H\.265; .* -c:v libx264") as caught:
        load_footage(path)
    assert caught.value.codec == "mpeg4"
    assert isinstance(caught.value, FootageError)


def test_stream_without_timestamps_names_the_remedy(h264_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableFootageError, match=r"no timestamps; .*\+genpts"):
        load_footage(remux(h264_clip, tmp_path / "bare.h264"))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "codec", "frames", "duration_s"),
    [
        ("Retail02_short.mp4", Codec.H265, 603, 20.1),
        ("car-detection.mp4", Codec.H264, 377, 30.16),
        ("one-by-one-person-detection.mp4", Codec.H264, 1394, 139.4),
        ("pets09-s2l1.mp4", Codec.H264, 795, 79.5),
    ],
)
def test_real_footage(videos: Path, name, codec, frames, duration_s) -> None:
    footage = load_footage(videos / name)
    assert footage.codec is codec
    assert len(footage.frames) == frames
    assert footage.duration_s == pytest.approx(duration_s)
