"""Recorded footage: which frames of a file are looked at, in parts and as a whole."""

from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

from capture.failures import SourceError
from capture.footage import FootageFile, Losses, Raster, facts_of
from capture.lookmessages import Cut, Facts

WH = (64, 48)


def write(path: Path, seconds: float, fps: int = 25, **options: str) -> Path:
    """Footage in which each frame differs; a key frame each second unless the encoder's options say otherwise."""
    chance = np.random.default_rng(3)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "g": str(fps)} | options)
        stream.width, stream.height = WH
        stream.pix_fmt = "yuv420p"
        for _ in range(round(seconds * fps)):
            image = chance.integers(0, 256, (WH[1], WH[0], 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def times(path: Path, facts: Facts, fps: float, cut: Cut | None = None, until: int | None = None) -> list[float]:
    """When the frames are that are taken."""
    with closing(FootageFile(path)) as file:
        taken = file.take(Raster.of(fps, facts.rate_hz), cut, until, facts.skip, Losses())
        return [frame.at_s for frame in taken]


@pytest.mark.parametrize(
    ("fps", "rate_hz", "stamps", "taken"),
    [
        (5.0, 10.0, [0.0, 0.1, 0.2, 0.3, 0.4], [0, 2, 4]),
        (10.0, 10.0, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], range(8)),
        (30.0, 30.0, [0.0, 0.033, 0.067, 0.1, 0.133, 0.167], range(6)),
        (30.0, 10.0, [0.0, 0.1, 0.2], range(3)),
        (5.0, 30.0, [number / 30 for number in range(13)], [0, 6, 12]),
        (2.0, 5.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0, 2, 5]),
    ],
)
def test_of_each_window_the_first_frame_is_taken(fps, rate_hz, stamps, taken):
    raster, last, found = Raster.of(fps, rate_hz), -1, []
    for number, at_s in enumerate(stamps):
        if (window := raster.window(at_s)) > last:
            last = window
            found.append(number)
    assert found == list(taken)


@pytest.mark.parametrize(("suffix", "cuts"), [("mp4", 2), ("mkv", 2), ("ts", 0), ("avi", 0)])
@pytest.mark.parametrize("fps", [4.0, 25.0])
def test_parts_are_the_same_frames_as_the_whole(tmp_path: Path, suffix: str, cuts: int, fps: float) -> None:
    path = write(tmp_path / f"clip.{suffix}", 32.0, bf="3" if suffix != "avi" else "0")
    facts = facts_of(path, fps)
    whole = times(path, facts, fps)
    assert len(facts.cuts) == cuts
    parts = [
        times(path, facts, fps, cut, following.window if following else None)
        for cut, following in zip((None, *facts.cuts), (*facts.cuts, None), strict=True)
    ]
    assert [at_s for part in parts for at_s in part] == whole
    assert all(len(part) > 9 * fps for part in parts)
    assert len(whole) == pytest.approx(32 * fps, abs=1)


@pytest.mark.parametrize(
    ("options", "fps", "skip"),
    [
        ({"bf": "3", "b_strategy": "0"}, 4.0, "NONREF"),
        ({"bf": "3", "b_strategy": "0"}, 12.0, "DEFAULT"),
        ({"g": "1"}, 4.0, "NONKEY"),
        ({"bf": "0"}, 0.2, "NONKEY"),
    ],
)
def test_nothing_is_decoded_that_is_not_needed_for_the_rate(tmp_path: Path, options, fps, skip) -> None:
    path = write(tmp_path / "clip.mp4", 12.0, **options)
    facts = facts_of(path, fps)
    assert facts.skip == skip
    found = times(path, facts, fps)
    assert len(found) == pytest.approx(12 * fps, abs=1)
    assert max(np.diff(found)) <= 1.5 / fps


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    facts = facts_of(write(tmp_path / "clip.mp4", 3.0), 5.0)
    assert (facts.codec, facts.size_wh, facts.rate_hz, facts.cuts) == ("h264", WH, 25.0, ())
    assert facts.duration_s == pytest.approx(3.0, abs=0.05)
    assert facts.created_at is None


def test_a_file_that_says_nothing_of_its_length_is_measured(tmp_path: Path) -> None:
    path, unclosed = write(tmp_path / "clip.mkv", 3.0), tmp_path / "unclosed.mkv"
    content = path.read_bytes()
    place = content.index(b"\x44\x89\x88")  # Duration, RFC 9559 5.1.2.10
    unclosed.write_bytes(content[:place] + b"\xec\x89\x80" + content[place + 3 :])
    assert facts_of(unclosed, 5.0).duration_s == pytest.approx(3.0, abs=0.1)


def test_a_file_whose_clock_begins_late_begins_at_nought(tmp_path: Path) -> None:
    path, late = write(tmp_path / "clip.mp4", 3.0), tmp_path / "late.ts"
    with av.open(path) as source, av.open(late, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                packet.pts += 50_000_000
                packet.dts += 50_000_000
                target.mux(packet)
    found = times(late, facts_of(late, 5.0), 5.0)
    assert found[0] == 0.0
    assert len(found) == 15


def test_damage_in_the_middle_costs_its_frames_and_no_others(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", 6.0, bf="0")
    facts = facts_of(path, 5.0)
    whole = times(path, facts, 5.0)
    with av.open(path) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos is not None and packet.size]
    content = bytearray(path.read_bytes())
    content[places[60] + 8 : places[62]] = bytes(places[62] - places[60] - 8)
    path.write_bytes(content)
    losses = Losses()
    with closing(FootageFile(path)) as file:
        found = [frame.at_s for frame in file.take(Raster.of(5.0, 25.0), None, None, "DEFAULT", losses)]
    assert 0 < losses.frames <= 16
    assert losses.first_s == pytest.approx(60 / 25, abs=0.1)
    assert found == [at_s for at_s in whole if at_s < 2.39 or at_s >= 3.0]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_moments_picture_is_that_very_frame(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"clip.{suffix}", 3.0, bf="3", b_strategy="0")
    with closing(FootageFile(path)) as file:
        all_ = [
            (frame.at_s, frame.picture.to_ndarray(format="gray"))
            for frame in file.take(Raster.of(25.0, 25.0), None, None, "DEFAULT", Losses())
        ]
    for at_s, pixels in all_[:: 7 if suffix != "ts" else 74]:
        with closing(FootageFile(path)) as file:
            picture = file.at(at_s + 1e-6)
        assert picture is not None
        assert np.array_equal(picture.to_ndarray(format="gray"), pixels)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError):
        facts_of(path, 5.0)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not_found"):
        facts_of(tmp_path / "none.mp4", 5.0)
