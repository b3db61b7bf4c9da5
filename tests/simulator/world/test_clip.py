"""Worlds as files: what was written is what is read, whole or not at all."""

import io
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from simulator.demux import load_footage
from simulator.world import World
from simulator.world.clip import ClipError, ClipSpec, read_truths, render_clip, truths_beside
from simulator.world.studio import provide_clips

ROOT = Path(__file__).parents[3]
SPEC = ClipSpec(5, (320, 180), fps=5, duration_s=4.0)


class StopHereError(Exception):
    """Raised in the middle of a rendering."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames of a street."""
    return render_clip(SPEC, tmp_path_factory.mktemp("scenes") / "kept")


def test_name_holds_all_that_matters() -> None:
    assert SPEC.file_name == "street-day-5-320x180-5fps-4s-200k-v1.mp4"
    others = (
        ClipSpec(6, (320, 180), 5, 4.0),
        ClipSpec(5, (640, 360), 5, 4.0),
        ClipSpec(5, (320, 180), 6, 4.0),
        ClipSpec(5, (320, 180), 5, 4.5),
    )
    assert len({SPEC.file_name, *(spec.file_name for spec in others)}) == 5


def test_bitrate_is_that_of_a_camera() -> None:
    assert 1_000_000 <= ClipSpec(5, (1280, 720)).bitrate_bps <= 2_000_000


@pytest.mark.slow
def test_clip_decodes_to_the_worlds_frames(clip: Path) -> None:
    world = World(SPEC.seed, SPEC.size_wh, SPEC.fps, SPEC.duration_s)
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = list(container.decode(stream))
    assert len(frames) == world.frames == 20
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(index, 5) for index in range(20)]
    assert [frame.key_frame for frame in frames] == [index % 10 == 0 for index in range(20)]
    for index in (0, 7, 19):
        error = np.abs(frames[index].to_ndarray(format="rgb24").astype(int) - world.picture(index).rgb)
        assert error.mean() < 8
    other = np.abs(frames[0].to_ndarray(format="rgb24").astype(int) - world.picture(10).rgb)
    assert other.mean() > 1.2 * error.mean()  # the measure can tell


@pytest.mark.slow
def test_truths_beside_a_clip_are_the_worlds(clip: Path) -> None:
    world = World(SPEC.seed, SPEC.size_wh, SPEC.fps, SPEC.duration_s)
    read = read_truths(clip)
    assert len(read) == 20
    for index, truths in enumerate(read):
        made = world.picture(index).truths
        assert [(truth.label, truth.track) for truth in truths] == [(truth.label, truth.track) for truth in made]
        for one, other in zip(truths, made, strict=True):
            assert one.xyxy == pytest.approx(other.xyxy, abs=0.006)
            assert one.visible_ratio == pytest.approx(other.visible_ratio, abs=1e-4)


def test_footage_of_a_clip_is_the_whole_round(clip: Path) -> None:
    footage = load_footage(clip)
    assert len(footage.frames) == 20
    assert footage.duration_s == pytest.approx(4.0)
    assert footage.key_times_s == pytest.approx((0.0, 2.0))


def test_clip_that_is_there_is_taken(clip: Path) -> None:
    before = clip.stat().st_mtime_ns
    assert render_clip(SPEC, clip.parent, lambda _: pytest.fail("rendered again")) == clip
    assert clip.stat().st_mtime_ns == before


@pytest.mark.slow
def test_clip_without_its_truths_is_made_again(tmp_path: Path) -> None:
    spec = ClipSpec(5, (320, 180), 5, 0.4)
    made = render_clip(spec, tmp_path)
    truths_beside(made).unlink()
    seen: list[int] = []
    render_clip(spec, tmp_path, seen.append)
    assert seen == [1, 2]
    assert len(read_truths(made)) == 2


def test_nothing_is_left_of_a_rendering_that_was_broken_off(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done == 3:
            raise StopHereError

    with pytest.raises(StopHereError):
        render_clip(SPEC, tmp_path, stop)
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClipError, match="choose another --scenes-folder"):
        render_clip(SPEC, tmp_path / "file")


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        json.dumps({"frame": 1, "truths": []}),
        json.dumps({"frame": 0, "truths": [{"label": "car"}]}),
        json.dumps({"frame": 0, "truths": [{"label": "car", "xyxy": "1", "visible_ratio": 1, "track": 1}]}),
    ],
)
def test_truths_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scene.mp4"
    truths_beside(path).write_text(text)
    with pytest.raises(ClipError, match="holds no truths"):
        read_truths(path)


def test_missing_truths(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="No such file"):
        read_truths(tmp_path / "scene.mp4")


@pytest.mark.slow
def test_studio_renders_what_is_missing_and_says_so(tmp_path: Path, clip: Path) -> None:
    specs = [ClipSpec(seed, (320, 180), 5, 1.0) for seed in (5, 2, 5)]
    out = io.StringIO()
    clips = provide_clips(specs, tmp_path, processes=2, out=out)
    assert [path.name for path in clips] == [spec.file_name for spec in specs]
    assert sorted(os.listdir(tmp_path)) == sorted(
        name for path in set(clips) for name in (path.name, truths_beside(path).name)
    )
    assert [len(read_truths(path)) for path in clips] == [5, 5, 5]
    lines = out.getvalue().splitlines()
    assert lines[:2] == [
        "mosaicd simulate: rendering scene 5 (street, day)",
        "mosaicd simulate: rendering scene 2 (street, night, rain)",
    ]
    assert lines[2].startswith("mosaicd simulate: rendered 2 scenes in ")
    again = io.StringIO()
    assert provide_clips(specs, tmp_path, out=again) == clips
    assert again.getvalue() == ""


@pytest.mark.slow
def test_studio_tells_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClipError, match=r"scene 5: cannot write .*choose another --scenes-folder"):
        provide_clips([SPEC], tmp_path / "file", out=io.StringIO())


@pytest.mark.slow
def test_rendering_ends_and_clears_up_when_nobody_listens(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulator.world.studio", "5", "320", "180", "50", "20", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"5\n"
    assert os.listdir(tmp_path) != []
    process.stdout.close()
    assert process.wait(30) == 1
    assert process.stderr.read() == b""
    process.stderr.close()
    assert os.listdir(tmp_path) == []
