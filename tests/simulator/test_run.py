"""`mosaicd simulate` as a process: its roster, its exit codes, its end."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
import yaml

from simulator.errors import FootageNotFoundError, ShareError
from simulator.run import SimulateOptions, format_roster, plan_cameras, run
from simulator.shares import SceneShare, VideoShare
from simulator.world import SHOWCASE
from simulator.world.clip import ClipSpec, read_truths, truths_beside
from tests.simulator.clips import encode_clip
from tests.simulator.raw import RawClient

ROOT = Path(__file__).parents[2]
START = """
import sys
from pathlib import Path, PosixPath
from simulator.run import SimulateOptions, run
sys.exit(run(SimulateOptions(**eval(sys.argv[1]))))
"""
Simulate = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def simulate() -> Iterator[Simulate]:
    """Starts processes, and ends those that a test left running."""
    started: list[subprocess.Popen[str]] = []

    def start(**options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", START, repr(options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_roster(process: subprocess.Popen[str], cameras: int) -> str:
    """The lines of the roster, as soon as they are printed."""
    assert process.stdout is not None
    lines: list[str] = []
    while len(lines) <= cameras:
        line = process.stdout.readline()
        assert line, process.communicate()
        lines.append(line)
    return "".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_prints_the_roster_serves_and_ends_cleanly(simulate: Simulate, h264_clip: Path, number: signal.Signals) -> None:
    process = simulate(cameras=3, videos=(h264_clip,), port=0)
    text = read_roster(process, 3)
    port = int(re.search(r":(\d+)/", text)[1])
    assert text == "cameras:\n" + "".join(
        f'  cam-0{n}: {{url: "rtsp://127.0.0.1:{port}/cam-0{n}"}}\n' for n in (1, 2, 3)
    )
    with RawClient(port) as client, RawClient(port) as _idle:
        client.play("cam-02")
        client.read_frame()
        started = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=5)
        assert time.monotonic() - started < 2
    assert (process.returncode, out) == (0, "")
    assert err == f"mosaicd simulate: 3 cameras on rtsp://127.0.0.1:{port}/cam-01 and so on; stop with Ctrl-C\n"


@pytest.mark.slow
def test_roster_file_is_written_whole_and_names_no_password(simulate: Simulate, h264_clip: Path, tmp_path) -> None:
    roster = tmp_path / "cameras.yaml"
    roster.write_text("old")
    options = {"username": "viewer", "password": "hunter2", "roster": roster}
    process = simulate(cameras=2, videos=(Path(f"{h264_clip}:2"),), port=0, **options)
    assert process.stderr is not None
    assert "2 cameras on rtsp://" in process.stderr.readline()
    cameras = yaml.safe_load(roster.read_text())["cameras"]
    assert cameras["cam-02"]["username"] == "viewer"
    assert cameras["cam-02"]["password"] == "${SIM_PASSWORD}"
    port = int(re.search(r":(\d+)/cam-02$", cameras["cam-02"]["url"])[1])
    with RawClient(port) as client:
        assert client.ask("DESCRIBE", "cam-02").status == 401
    process.terminate()
    out, err = process.communicate(timeout=5)
    assert process.returncode == 0
    assert "hunter2" not in out + err + roster.read_text()
    assert os.listdir(tmp_path) == ["cameras.yaml"]


@pytest.mark.slow
def test_port_in_use(simulate: Simulate, h264_clip: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        out, err = simulate(cameras=1, videos=(h264_clip,), port=port).communicate(timeout=10)
    assert out == ""
    assert err.startswith(f"mosaicd simulate: cannot listen on 127.0.0.1 port {port}: in use; ")
    assert "choose another port" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("videos", "reason"),
    [
        ((Path("/gone.mp4"),), "/gone.mp4: no such file"),
        ((VideoShare(Path(__file__)),), "not a readable video file"),
        ((), "at least one video"),
        ((VideoShare(Path("/gone.mp4"), 3),), "3 cameras have a video by count, but there are 2 cameras"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(videos, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(SimulateOptions(cameras=2, videos=videos, port=0)) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("mosaicd simulate: ")
    assert reason in err
    assert err.count("\n") == 1


def test_roster_that_cannot_be_written(h264_clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    roster = Path("/no/such/folder/cameras.yaml")
    assert run(SimulateOptions(cameras=1, videos=(h264_clip,), port=0, roster=roster)) == 1
    assert "cannot write the roster /no/such/folder/cameras.yaml" in capfd.readouterr().err


def test_cameras_of_a_video_start_at_different_key_frames(h264_clip: Path, h265_clip: Path) -> None:
    options = SimulateOptions(cameras=8, videos=(VideoShare(h264_clip, 5), h265_clip))
    specs = plan_cameras(options)
    assert [spec.name for spec in specs] == [f"cam-0{n}" for n in range(1, 9)]
    starts = [spec.start_offset_s for spec in specs if spec.footage.name == h264_clip.name]
    assert starts == pytest.approx([0, 0.4, 0.8, 1.2, 1.6])
    assert len({id(spec.footage) for spec in specs}) == 2


def test_same_video_given_twice_is_loaded_once_and_dealt_as_one(h264_clip: Path) -> None:
    specs = plan_cameras(SimulateOptions(cameras=5, videos=(VideoShare(h264_clip, 2), h264_clip)))
    assert len({id(spec.footage) for spec in specs}) == 1
    assert sorted(spec.start_offset_s for spec in specs) == pytest.approx([0, 0.4, 0.8, 1.2, 1.6])


def test_fps_replaces_the_files_own(h264_clip: Path) -> None:
    (spec,) = plan_cameras(SimulateOptions(cameras=1, videos=(h264_clip,), fps=12.5))
    assert spec.footage.fps == 12.5
    assert spec.footage.duration_s == pytest.approx(8)


def test_file_whose_name_ends_like_a_count(tmp_path: Path) -> None:
    path = encode_clip(tmp_path / "clip.mp4", frames=2).rename(tmp_path / "clip.mp4:3")
    assert len(plan_cameras(SimulateOptions(cameras=2, videos=(path,)))) == 2
    with pytest.raises(FootageNotFoundError):
        plan_cameras(SimulateOptions(cameras=3, videos=(tmp_path / "gone.mp4:3",)))
    with pytest.raises(ShareError):
        plan_cameras(SimulateOptions(cameras=3, videos=(tmp_path / "gone.mp4:0",)))


def test_roster_quotes_what_yaml_and_the_roster_expand() -> None:
    text = format_roster([("cam-01", "rtsp://h/cam-01")], 'vi"ew$er: x', "PASS")
    assert yaml.safe_load(text)["cameras"]["cam-01"] == {
        "url": "rtsp://h/cam-01",
        "username": 'vi"ew$$er: x',
        "password": "${PASS}",
    }


def test_options_do_not_show_the_password(h264_clip: Path) -> None:
    assert "hunter2" not in repr(SimulateOptions(cameras=1, videos=(h264_clip,), password="hunter2"))


def keep_clip(clip: Path, seed: int, folder: Path) -> Path:
    """Puts a clip where the scene's own would be, so that nothing is rendered."""
    kept = folder / ClipSpec(seed).file_name
    shutil.copy(clip, kept)
    truths_beside(kept).write_text("")
    return kept


def test_scenes_and_videos_are_dealt_together(h264_clip: Path, tmp_path: Path) -> None:
    names = [keep_clip(h264_clip, seed, tmp_path).name for seed in (7, 8)]
    scenes = (SceneShare(7, 1), SceneShare(8))
    specs = plan_cameras(SimulateOptions(5, (VideoShare(h264_clip, 2),), scenes=scenes, scenes_folder=tmp_path))
    shown = [spec.footage.name for spec in specs]
    assert sorted(shown) == sorted([h264_clip.name] * 2 + [names[0]] + [names[1]] * 2)


@pytest.mark.parametrize(("cameras", "scenes"), [(32, 6), (4, 4)])
def test_without_videos_and_scenes_there_is_a_showcase(
    h264_clip: Path, tmp_path: Path, cameras: int, scenes: int
) -> None:
    kept = [keep_clip(h264_clip, seed, tmp_path).name for seed in SHOWCASE[:scenes]]
    specs = plan_cameras(SimulateOptions(cameras, (), scenes_folder=tmp_path))
    assert sorted({spec.footage.name for spec in specs}) == sorted(kept)
    assert len(specs) == cameras


def test_shares_are_judged_before_anything_is_rendered(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = SimulateOptions(2, (), port=0, scenes=(SceneShare(7, 3),), scenes_folder=tmp_path)
    assert run(options) == 1
    assert "there are 2 cameras" in capfd.readouterr().err
    assert os.listdir(tmp_path) == []


def test_scenes_need_a_folder(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(SimulateOptions(2, (), port=0, scenes=(SceneShare(7),))) == 1
    assert "give --scenes-folder" in capfd.readouterr().err


@pytest.mark.slow
def test_scene_is_rendered_served_and_known_frame_by_frame(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "daemon.cli", "simulate", "--scene", "1000005", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--cameras", "2", "--scenes-folder", str(tmp_path / "scenes")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        port = int(re.search(r":(\d+)/", read_roster(process, 2))[1])
        with av.open(f"rtsp://127.0.0.1:{port}/cam-02", options={"rtsp_transport": "tcp"}, timeout=20) as container:
            frame = next(container.decode(video=0))
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert (frame.width, frame.height) == (640, 360)
    assert "rendering scene 1000005 (yard, day)" in err
    truths = read_truths(tmp_path / "scenes" / ClipSpec(1_000_005).file_name)
    assert len(truths) == 200
    assert all(truths)
