"""Clips and pictures as a supervisor orders them: a real capture process, simulated cameras, real files."""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from capture.channel import ChannelClosedError
from capture.exits import ExitCode
from capture.mediamessages import MediaMessage, Prolong, Record, Recorded, Snapped, Snapshot
from capture.messages import CameraSpec, LastWords, OpenMosaic, Stop
from capture.slot import TileHeader
from capture.words import CameraState, DecodeMode, Shortfall
from simulator.camera import CameraSpec as Simulated
from simulator.demux import load_footage
from simulator.faults import Hang
from simulator.thread import ServerThread
from tests.capture.rings import numbers_shown
from tests.capture.stage import CANVAS, Child
from tests.simulator.clips import FPS, GOP, SIZE_WH, encode_clip, encode_jpegs, read_number

pytestmark = pytest.mark.slow

CAMERAS = ("h264", "hevc", "jpeg")
EPOCH = 7


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    folder = tmp_path_factory.mktemp("media")
    clips = (
        encode_clip(folder / "h264.mp4"),
        encode_clip(folder / "hevc.mp4", "libx265"),
        encode_jpegs(folder / "jpeg.avi"),
    )
    cameras = [Simulated(name, load_footage(clip)) for name, clip in zip(CAMERAS, clips, strict=True)]
    with ServerThread(cameras) as running:
        yield running


@pytest.fixture(scope="module")
def child(server: ServerThread) -> Iterator[Child]:
    """Shared: each test has its own files, and leaves the cameras as they were."""
    yield from started(server)


@pytest.fixture
def mortal(server: ServerThread) -> Iterator[Child]:
    """One to be ended."""
    yield from started(server)


def started(server: ServerThread) -> Iterator[Child]:
    made = Child()
    assert made.channel.send(mosaic(server))
    made.canvas("m1", lambda header: all(header.tiles[:3]))
    yield made
    made.close()


def mosaic(server: ServerThread) -> OpenMosaic:
    return OpenMosaic("m1", (*(spec(server, name, name) for name in CAMERAS), None))


def alone(mosaic: str, camera: CameraSpec) -> OpenMosaic:
    return OpenMosaic(mosaic, (camera, None, None, None))


def spec(
    server: ServerThread, name: str, stream: str, epoch: int = EPOCH, ring_s: float = 5.0, ring_mib: float = 16.0
) -> CameraSpec:
    url = server.url(stream)
    return CameraSpec(name, url, 10.0, epoch=epoch, ring_s=ring_s, ring_mib=ring_mib, decode=DecodeMode.ALL)


def order(child: Child, message: MediaMessage, path: Path, mode: int = os.O_RDWR) -> None:
    """Send an order with a file; this process keeps nothing of it."""
    path.touch()
    fd = os.open(path, mode)
    assert child.channel.send(message, (fd,))
    os.close(fd)


def record(child: Child, path: Path, camera: str = "h264", seconds: float = 1.0, epoch: int = EPOCH) -> None:
    now_s = time.monotonic()
    order(child, Record(camera, epoch, str(path), now_s - 1.0, now_s + seconds), path)


def reply(child: Child, event_id: str) -> Recorded | Snapped:
    """Wait for the reply to an order."""

    def replies() -> list[Recorded | Snapped]:
        return [each for each in child.said if isinstance(each, Recorded | Snapped) and each.event_id == event_id]

    child.wait_until(replies)
    [found] = replies()
    return found


def recorded(child: Child, path: Path) -> Recorded:
    found = reply(child, str(path))
    assert isinstance(found, Recorded)
    assert found.size_bytes == path.stat().st_size
    return found


def snapped(child: Child, path: Path, camera: str, at_s: float) -> Snapped:
    order(child, Snapshot(camera, EPOCH, str(path), at_s), path)
    found = reply(child, str(path))
    assert isinstance(found, Snapped)
    assert found.size_bytes == path.stat().st_size
    return found


def files_of(child: Child) -> list[str]:
    """Files of this folder's kind that the process has open."""
    folder = Path(f"/proc/{child.process.pid}/fd")
    return [name for each in folder.iterdir() if "pytest" in (name := os.readlink(each))]


def assert_counts_on(numbers: list[int]) -> None:
    assert numbers == [(numbers[0] + n) % 100 for n in range(len(numbers))]


@pytest.mark.parametrize("camera", ["h264", "hevc"])
def test_a_clip_begins_before_the_order_and_goes_on_after_it(child: Child, tmp_path: Path, camera: str) -> None:
    child.wait_until(lambda: (report := child.report_of(camera)) and report.counts.packets > 2 * FPS)
    record(child, tmp_path / "clip.mp4", camera, 0.5)
    ordered_s = time.monotonic()
    assert child.channel.send(Prolong(camera, EPOCH, str(tmp_path / "clip.mp4"), ordered_s + 1.0))
    found = recorded(child, tmp_path / "clip.mp4")
    assert (found.camera, found.epoch, found.reason) == (camera, EPOCH, None)
    assert ordered_s - 1.0 - (GOP + 5) / FPS <= found.began_mono_s <= ordered_s - 1.0
    assert found.began_mono_s + found.duration_s == pytest.approx(ordered_s + 1.0, abs=0.2)
    numbers = numbers_shown(tmp_path / "clip.mp4", read_number)
    assert len(numbers) == pytest.approx(found.duration_s * FPS, abs=4)  # but for those shown before the key frame
    assert_counts_on(numbers[: -GOP // 2])  # the last frames refer to some that had not come
    assert files_of(child) == []


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_picture_shows_the_very_frame_that_was_analyzed(child: Child, tmp_path: Path, camera: str) -> None:
    place = CAMERAS.index(camera)
    for turn in range(3):
        header, pixels = child.canvas("m1", lambda header: header.tiles[place])
        tile = header.tiles[place]
        assert isinstance(tile, TileHeader)
        shown = read_number(pixels[CANVAS.cell(place).slices][..., 0])
        path = tmp_path / f"{turn}.jpg"
        found = snapped(child, path, camera, tile.captured_mono_s)
        assert (found.reason, found.is_tile, found.picture_wh) == (None, False, SIZE_WH)
        assert found.captured_mono_s == pytest.approx(tile.captured_mono_s, abs=1e-6)
        assert numbers_shown(path, read_number) == [shown]
    assert files_of(child) == []


def test_a_moment_that_is_gone_is_shown_by_the_newest_tile(child: Child, tmp_path: Path) -> None:
    found = snapped(child, tmp_path / "old.jpg", "h264", time.monotonic() - 3600.0)
    assert (found.reason, found.is_tile, found.picture_wh) == (Shortfall.GONE, True, SIZE_WH)
    assert time.monotonic() - found.captured_mono_s < 5.0
    assert len(numbers_shown(tmp_path / "old.jpg", read_number)) == 1


def test_what_cannot_be_is_refused_with_its_reason(child: Child, server: ServerThread, tmp_path: Path) -> None:
    record(child, tmp_path / "unknown", "nobody")
    record(child, tmp_path / "epoch", epoch=EPOCH - 1)
    record(child, tmp_path / "codec", "jpeg")
    order(child, Record("h264", EPOCH, str(tmp_path / "no_file"), 0.0, 1.0), tmp_path / "no_file", os.O_RDONLY)
    assert child.channel.send(Snapshot("h264", EPOCH, str(tmp_path / "no_fd"), 0.0))
    read, write = os.pipe()
    assert child.channel.send(Record("h264", EPOCH, str(tmp_path / "pipe"), 0.0, 1.0), (write,))
    os.close(write)
    replies = {
        name: reply(child, str(tmp_path / name)) for name in ("unknown", "epoch", "codec", "no_file", "no_fd", "pipe")
    }
    assert {name: each.reason for name, each in replies.items()} == {
        "unknown": Shortfall.UNKNOWN,
        "epoch": Shortfall.EPOCH,
        "codec": Shortfall.CODEC,
        "no_file": Shortfall.NO_FILE,
        "no_fd": Shortfall.NO_FILE,
        "pipe": Shortfall.NO_FILE,
    }
    assert all(each.size_bytes == 0 for each in replies.values())
    assert os.read(read, 1) == b""  # closed at the other end
    os.close(read)
    assert child.channel.send(alone("m4", spec(server, "h264-off", "h264", ring_s=0.0)))
    child.wait_until(lambda: (report := child.report_of("h264-off")) and report.counts.frames)
    small = snapped(child, tmp_path / "small.jpg", "h264-off", time.monotonic())
    assert (small.reason, small.is_tile, small.picture_wh) == (Shortfall.OFF, True, SIZE_WH)
    record(child, tmp_path / "off", "h264-off")
    assert reply(child, str(tmp_path / "off")).reason is Shortfall.OFF
    assert files_of(child) == []


def test_a_camera_that_is_changed_meanwhile_ends_its_clip(child: Child, server: ServerThread, tmp_path: Path) -> None:
    assert child.channel.send(alone("m2", spec(server, "changed", "h264")))
    record(child, tmp_path / "clip.mp4", "changed", seconds=600.0)
    child.wait_until(lambda: size(tmp_path / "clip.mp4"))
    assert child.channel.send(alone("m2", spec(server, "changed", "h264", EPOCH + 1)))
    found = recorded(child, tmp_path / "clip.mp4")
    assert found.reason is Shortfall.REPLACED
    assert len(numbers_shown(tmp_path / "clip.mp4", read_number)) == round(found.duration_s * FPS)


def size(path: Path) -> int:
    return path.stat().st_size


def test_a_camera_that_falls_silent_ends_its_clip(child: Child, server: ServerThread, tmp_path: Path) -> None:
    try:
        server.set_fault("h264", Hang())
        child.wait_until(lambda: child.transitions("h264")[-1:] not in ([], [(CameraState.STREAMING, None)]))
        record(child, tmp_path / "clip.mp4", seconds=3.5)
        assert recorded(child, tmp_path / "clip.mp4").reason is Shortfall.DOWN
    finally:
        server.set_fault("h264", None)


def test_stop_ends_clips_in_good_order(mortal: Child, tmp_path: Path) -> None:
    record(mortal, tmp_path / "clip.mp4", seconds=600.0)
    mortal.wait_until(lambda: size(tmp_path / "clip.mp4"))
    assert mortal.channel.send(Stop())
    found = recorded(mortal, tmp_path / "clip.mp4")
    assert found.reason is Shortfall.STOPPING
    assert mortal.end() == (ExitCode.OK, "")
    with pytest.raises(ChannelClosedError):
        mortal.poll()
    assert mortal.said[-1] == LastWords(0, "")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].frames == round(found.duration_s * FPS)  # it has its index


def test_a_process_that_is_killed_leaves_a_clip_that_plays(mortal: Child, tmp_path: Path) -> None:
    record(mortal, tmp_path / "clip.mp4", seconds=600.0)
    mortal.wait_until(lambda: size(tmp_path / "clip.mp4") > 5000)
    mortal.process.kill()
    mortal.process.wait()
    numbers = numbers_shown(tmp_path / "clip.mp4", read_number)
    assert len(numbers) >= 2 * GOP
    assert_counts_on(numbers[: -GOP // 2])


def test_a_full_disk_leaves_a_clip_that_plays(child: Child, tmp_path: Path) -> None:
    limit = 8000
    before = resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        record(child, tmp_path / "clip.mp4", seconds=600.0)
        found = recorded(child, tmp_path / "clip.mp4")
    finally:
        resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, before)
    assert found.reason is Shortfall.UNWRITABLE
    assert 0 < found.size_bytes <= limit
    assert_counts_on(numbers_shown(tmp_path / "clip.mp4", read_number)[: -GOP // 2])


def test_a_ring_is_held_within_its_bytes_and_told(child: Child, server: ServerThread) -> None:
    room_mib = 0.003
    assert child.channel.send(alone("m3", spec(server, "small", "h264", ring_mib=room_mib)))
    child.wait_until(lambda: (report := child.report_of("small")) and report.counts.unkept > 50)
    report = child.report_of("small")
    assert report is not None
    assert 0 < report.ring_bytes <= room_mib * 2**20
