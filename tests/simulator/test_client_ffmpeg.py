"""The programs ffprobe and ffmpeg as clients: what they decode is the file, bit for bit."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from simulator.auth import AuthScheme
from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.clips import FRAMES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("ffmpeg") or not shutil.which("ffprobe"), reason="ffmpeg is not installed"),
]
TRANSPORTS = ("tcp", "udp")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def hashes(source: str, frames: int, *input_options: str) -> list[str]:
    """One hash for each decoded picture."""
    command = ["ffmpeg", "-v", "error", *input_options, "-i", source, "-map", "0:v", "-fps_mode", "passthrough"]
    done = run(*command, "-frames:v", str(frames), "-f", "framemd5", "-")
    assert done.returncode == 0, done.stderr
    return [line.rpartition(",")[2].strip() for line in done.stdout.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("codec", "name"), [("h264", "h264"), ("h265", "hevc")])
def test_ffprobe_knows_the_stream(codec: str, name: str, transport: str, request: pytest.FixtureRequest) -> None:
    with ServerThread([CameraSpec("cam-01", request.getfixturevalue(f"{codec}_footage"))]) as server:
        shown = ("-show_entries", "stream=codec_name,width,height,avg_frame_rate", "-of", "json")
        done = run("ffprobe", "-v", "error", "-rtsp_transport", transport, *shown, server.url("cam-01"))
    assert done.returncode == 0, done.stderr
    (stream,) = json.loads(done.stdout)["streams"]
    assert stream == {"codec_name": name, "width": 192, "height": 64, "avg_frame_rate": "50/1"}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_ffmpeg_decodes_the_file_and_then_the_file_again(
    codec: str, transport: str, request: pytest.FixtureRequest
) -> None:
    clip: Path = request.getfixturevalue(f"{codec}_clip")
    footage: Footage = request.getfixturevalue(f"{codec}_footage")
    of_file = hashes(str(clip), FRAMES)
    assert len(of_file) == FRAMES
    with ServerThread([CameraSpec("cam-01", footage, start_offset_s=1.2)]) as server:
        of_stream = hashes(server.url("cam-01"), 60, "-rtsp_transport", transport)
    assert of_stream == of_file[60:] + of_file[:20]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ffmpeg_takes_large_frames_whole(heavy_footage: Footage, transport: str, tmp_path: Path) -> None:
    with ServerThread([CameraSpec("noise", heavy_footage)]) as server:
        url = server.url("noise")
        done = run(
            *("ffmpeg", "-v", "warning", "-rtsp_transport", transport, "-i", url, "-c", "copy", "-frames:v", "45"),
            *("-f", "null", "-"),
        )
    assert "missed" not in done.stderr
    assert "error" not in done.stderr.lower()


@pytest.mark.parametrize("scheme", AuthScheme)
def test_ffprobe_with_right_and_wrong_password(h264_footage: Footage, scheme: AuthScheme) -> None:
    camera = CameraSpec("cam-01", h264_footage, username="viewer", password="secret", auth=scheme)
    with ServerThread([camera]) as server:
        url = server.url("cam-01")
        right, wrong, none = (
            run("ffprobe", "-v", "error", "-rtsp_transport", "tcp", url.replace("//", f"//{who}"))
            for who in ("viewer:secret@", "viewer:wrong@", "")
        )
    assert right.returncode == 0, right.stderr
    assert "401 Unauthorized" in wrong.stderr
    assert "401 Unauthorized" in none.stderr


def test_ffmpeg_without_options(h264_footage: Footage) -> None:
    with ServerThread([CameraSpec("cam-01", h264_footage)]) as server:
        assert len(hashes(server.url("cam-01"), 5)) == 5
