"""FFmpeg's library as a client, as the capture process uses it: times, the seam, seeking, passwords, faults."""

from pathlib import Path
from urllib.parse import quote

import av
import av.error
import pytest

from simulator.auth import AuthScheme
from simulator.camera import CameraSpec
from simulator.demux import load_footage
from simulator.faults import Close, Hang, Silent
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.clips import FPS, FRAMES, encode_clip, read_number

TRANSPORTS = ("tcp", "udp")


def options(transport: str = "tcp", timeout_s: float = 5.0) -> dict[str, str]:
    return {
        "rtsp_transport": transport,
        "timeout": str(int(timeout_s * 1e6)),
        "analyzeduration": "200000",
        "probesize": "32768",
    }


def watch(url: str, frames: int, transport: str = "tcp", seek_s: float | None = None) -> list[tuple[float | None, int]]:
    """Time and number of the first pictures. FFmpeg gives the very first picture of a stream no time."""
    seen: list[tuple[float | None, int]] = []
    with av.open(url, options=options(transport)) as container:
        if seek_s is not None:
            container.seek(int(seek_s * 1e6))
        for frame in container.decode(video=0):
            time_s = None if frame.pts is None else float(frame.pts * frame.time_base)
            seen.append((time_s, read_number(frame.to_ndarray(format="gray"))))
            if len(seen) == frames:
                break
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codec", "transport", "offset_s", "snapped_s"),
    [
        ("h264", "tcp", 0.0, 0.0),
        ("h264", "tcp", 1.7, 1.6),
        ("h264", "udp", 1.6, 1.6),
        ("h265", "tcp", 1.99, 1.6),
        ("h265", "udp", 3.7, 1.6),
    ],
)
def test_pts_is_the_time_in_the_file_over_the_seam_of_the_loop(
    codec: str, transport: str, offset_s: float, snapped_s: float, request: pytest.FixtureRequest
) -> None:
    footage: Footage = request.getfixturevalue(f"{codec}_footage")
    camera = CameraSpec("cam-01", footage, start_offset_s=offset_s)
    with ServerThread([camera]) as server:
        seen = watch(server.url("cam-01"), 50, transport)
    times = [time_s for time_s, _ in seen[1:]]
    assert times == pytest.approx([step / FPS for step in range(1, 50)])
    for time_s, number in seen[1:]:
        file_s = (snapped_s + time_s) % footage.duration_s
        assert number == round(file_s * FPS) % FRAMES
    assert seen[0] == (None, round(snapped_s * FPS))


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_seek_goes_to_the_key_frame_and_times_stay_right(codec: str, request: pytest.FixtureRequest) -> None:
    footage: Footage = request.getfixturevalue(f"{codec}_footage")
    with ServerThread([CameraSpec("cam-01", footage, start_offset_s=0.4)]) as server:
        seen = watch(server.url("cam-01"), 60, seek_s=10.9)
    # Pictures of before the seek may come first.
    after = [(time_s, number) for time_s, number in seen if time_s is not None and time_s > 10.0]
    assert len(after) > 20
    assert 10.8 <= after[0][0] <= 10.9
    for time_s, number in after:
        assert number == round((0.4 + time_s) * FPS) % FRAMES


@pytest.mark.slow
def test_many_cameras_of_one_file_each_at_its_own_place(h264_footage: Footage) -> None:
    cameras = [CameraSpec(f"cam-{n}", h264_footage, start_offset_s=n * 0.4) for n in range(5)]
    with ServerThread(cameras) as server:
        for n in range(5):
            assert watch(server.url(f"cam-{n}"), 3)[0][1] == n * 20


@pytest.mark.slow
@pytest.mark.parametrize("scheme", AuthScheme)
@pytest.mark.parametrize("password", ["secret", 'p@ss:/w?"#%20 ü'])
def test_password_lets_in_and_a_wrong_one_does_not(h264_footage: Footage, scheme: AuthScheme, password: str) -> None:
    camera = CameraSpec("cam-01", h264_footage, username="viewer", password=password, auth=scheme)
    with ServerThread([camera]) as server:
        url = server.url("cam-01")
        assert len(watch(url.replace("//", f"//viewer:{quote(password, safe='')}@"), 3)) == 3
        for wrong in ("", "viewer:wrong@", "other:secret@"):
            with pytest.raises(av.error.HTTPUnauthorizedError):
                watch(url.replace("//", f"//{wrong}"), 1)
        assert server.statistics().playing == 0


def test_unknown_camera_is_not_found(h264_footage: Footage) -> None:
    with ServerThread([CameraSpec("cam-01", h264_footage)]) as server, pytest.raises(av.error.HTTPNotFoundError):
        watch(f"rtsp://127.0.0.1:{server.port}/cam-02", 1)


@pytest.mark.slow
def test_silent_camera_runs_into_the_clients_timeout(h264_footage: Footage) -> None:
    with ServerThread([CameraSpec("cam-01", h264_footage, fault=Silent())]) as server:
        with pytest.raises(av.error.FFmpegError):
            av.open(server.url("cam-01"), options=options(timeout_s=0.5))
        server.set_fault("cam-01", None)
        assert len(watch(server.url("cam-01"), 3)) == 3


@pytest.mark.slow
def test_camera_that_hangs_runs_into_the_clients_timeout(h264_footage: Footage) -> None:
    with (
        ServerThread([CameraSpec("cam-01", h264_footage, fault=Hang(after_s=0.5))]) as server,
        av.open(server.url("cam-01"), options=options(timeout_s=0.5)) as container,
        pytest.raises(av.error.TimeoutError),
    ):
        for _ in container.decode(video=0):
            pass


@pytest.mark.slow
def test_camera_that_closes_ends_the_clients_stream(h264_footage: Footage) -> None:
    with (
        ServerThread([CameraSpec("cam-01", h264_footage, fault=Close(after_s=0.5))]) as server,
        av.open(server.url("cam-01"), options=options()) as container,
    ):
        assert 10 <= sum(1 for _ in container.decode(video=0)) <= 30


@pytest.mark.slow
def test_single_frame_loops(tmp_path: Path) -> None:
    footage = load_footage(encode_clip(tmp_path / "still.mp4", "libx264", frames=1))
    with ServerThread([CameraSpec("still", footage)]) as server:
        seen = watch(server.url("still"), 10)
    assert [time_s for time_s, _ in seen[1:]] == pytest.approx([step / FPS for step in range(1, 10)])


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_real_footage_goes_on_over_its_seam(videos: Path, transport: str) -> None:
    footage = load_footage(videos / "one-by-one-person-detection.mp4")
    camera = CameraSpec("room", footage, start_offset_s=footage.duration_s - 0.1)
    assert footage.duration_s - footage.key_times_s[-1] == pytest.approx(0.4)
    with ServerThread([camera]) as server, av.open(server.url("room"), options=options(transport)) as container:
        times = []
        for frame in container.decode(video=0):
            times.append(frame.pts)
            if len(times) == 15:
                break
    assert times[1:] == [step * 9000 for step in range(1, 15)]
