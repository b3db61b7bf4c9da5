"""A reader: its states over faults, its stop, its threads, and not one frame that is not counted."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from capture.compositor import MosaicComposer
from capture.layout import Canvas
from capture.messages import CameraCounts, CameraSpec, CameraState, Reason
from capture.reader import CameraReader, sampler_for
from capture.slot import SlotReader
from capture.source import SourceOptions
from simulator.camera import CameraSpec as Simulated
from simulator.demux import load_footage
from simulator.faults import Close, Fault, Hang, Silent
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.clips import FPS, SIZE_WH, encode_clip, read_number

DEADLINE_S = 20.0
STALE_S = 1.0
CANVAS = Canvas(2 * SIZE_WH[0], 2 * SIZE_WH[1])


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return load_footage(encode_clip(tmp_path_factory.mktemp("reader") / "numbers.mp4"))


@pytest.fixture
def server(footage: Footage) -> Iterator[ServerThread]:
    with ServerThread([Simulated(f"cam-{i}", footage) for i in range(4)]) as running:
        yield running


@pytest.fixture
def start() -> Iterator[Callable[..., CameraReader]]:
    """Starts readers, and stops them after the test."""
    readers: list[CameraReader] = []

    def started(url: str, fps: float = FPS, timeout_s: float = 2.0, tile_wh: tuple[int, int] = SIZE_WH) -> CameraReader:
        spec = CameraSpec(f"cam-{len(readers)}", url, fps)
        options = SourceOptions(url, open_timeout_s=timeout_s, read_timeout_s=timeout_s)
        reader = CameraReader(spec, options, tile_wh, sampler_for(spec, fps, 0.0))
        readers.append(reader)
        reader.start()
        return reader

    yield started
    for reader in readers:
        reader.stop()
    assert all(reader.join(DEADLINE_S) for reader in readers)


def wait_until(holds: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.002)


def counts(reader: CameraReader) -> CameraCounts:
    return reader.report(time.monotonic(), STALE_S, 0).counts


def state(reader: CameraReader) -> tuple[CameraState, Reason | None]:
    condition = reader.condition(time.monotonic(), STALE_S)
    return condition.state, condition.reason


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_a_tile_shows_the_frame_of_its_time(server: ServerThread, start: Callable[..., CameraReader]) -> None:
    reader = start(server.url("cam-0"))
    wait_until(lambda: reader.newest and reader.newest.number >= 3)
    tile = reader.newest
    assert tile is not None
    assert (tile.pixels.shape, tile.pixels.dtype, tile.source_wh) == ((64, 192, 3), np.uint8, SIZE_WH)
    wait_until(lambda: reader.newest is not tile)
    later = reader.newest
    assert later is not None
    shown = [read_number(each.pixels[..., 0]) for each in (tile, later)]
    assert (shown[1] - shown[0]) % 100 == round((later.pts_s - tile.pts_s) * FPS)
    assert later.number > tile.number


def test_a_tile_is_letterboxed_content_only(server: ServerThread, start: Callable[..., CameraReader]) -> None:
    reader = start(server.url("cam-0"), tile_wh=(100, 100))
    wait_until(lambda: reader.newest)
    assert reader.newest is not None
    assert reader.newest.pixels.shape == (33, 100, 3)


@pytest.mark.slow
def test_states_over_a_fault_and_recovery(server: ServerThread, start: Callable[..., CameraReader]) -> None:
    reader = start(server.url("cam-0"))
    assert state(reader) == (CameraState.CONNECTING, None)
    wait_until(lambda: state(reader) == (CameraState.STREAMING, None) and reader.newest)
    server.set_fault("cam-0", Close())
    wait_until(lambda: state(reader) == (CameraState.BACKOFF, Reason.ENDED))
    server.set_fault("cam-0", None)
    tile = reader.newest
    assert tile is not None
    seen = set()
    wait_until(lambda: seen.add(state(reader)) or state(reader) == (CameraState.STREAMING, None))
    assert seen <= {
        (CameraState.BACKOFF, Reason.ENDED),
        (CameraState.CONNECTING, Reason.ENDED),
        (CameraState.STREAMING, None),
    }
    wait_until(lambda: reader.newest is not tile)
    assert reader.newest is not None
    assert reader.newest.number > tile.number  # goes on over connections
    report = reader.report(time.monotonic(), STALE_S, 5)
    assert (report.counts.connects, report.counts.superseded) == (2, 5)
    assert report.failures == {Reason.ENDED: 1}
    assert report.source_wh == SIZE_WH
    assert abs(report.last_frame_at - time.time()) < DEADLINE_S


@pytest.mark.slow
def test_a_hang_is_a_stall_first_and_a_failure_then(server: ServerThread, start: Callable[..., CameraReader]) -> None:
    reader = start(server.url("cam-0"), timeout_s=1.5)
    wait_until(lambda: reader.newest)
    server.set_fault("cam-0", Hang())
    wait_until(lambda: state(reader) == (CameraState.STALLED, Reason.HANG))
    wait_until(lambda: state(reader) == (CameraState.BACKOFF, Reason.HANG))
    server.set_fault("cam-0", None)
    wait_until(lambda: state(reader) == (CameraState.STREAMING, None))


def test_a_refused_camera_waits(start: Callable[..., CameraReader]) -> None:
    reader = start("rtsp://127.0.0.1:1/cam")
    wait_until(lambda: state(reader)[0] is CameraState.BACKOFF)
    assert state(reader) == (CameraState.BACKOFF, Reason.REFUSED)
    assert reader.report(0.0, STALE_S, 0).failures == {Reason.REFUSED: 1}
    assert counts(reader) == CameraCounts()


def test_stop_while_it_waits_is_at_once(start: Callable[..., CameraReader]) -> None:
    reader = start("rtsp://127.0.0.1:1/cam")
    wait_until(lambda: state(reader)[0] is CameraState.BACKOFF)
    began = time.monotonic()
    reader.stop()
    assert reader.join(DEADLINE_S)
    assert time.monotonic() - began < 0.75, "the shortest delay was not waited out"
    assert state(reader)[0] is CameraState.STOPPED


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Silent(), Hang()])
def test_stop_while_blocked_joins_within_the_timeout(
    server: ServerThread, start: Callable[..., CameraReader], fault: Fault
) -> None:
    reader = start(server.url("cam-0"), timeout_s=1.0)
    wait_until(lambda: reader.newest)
    server.set_fault("cam-0", fault)
    last = reader.newest
    wait_until(lambda: last is reader.newest or fault.silent)
    reader.stop()
    began = time.monotonic()
    assert reader.join(DEADLINE_S)
    assert time.monotonic() - began < DEADLINE_S / 2


def test_a_reader_is_one_thread(server: ServerThread, start: Callable[..., CameraReader]) -> None:
    """Neither codec nor scaler may bring their own: with 32 cameras that would be hundreds."""
    before = threads()
    readers = [start(server.url(f"cam-{i}"), tile_wh=(96, 96)) for i in range(4)]
    wait_until(lambda: all(reader.newest and reader.newest.number > 5 for reader in readers))
    assert threads() == before + 4
    for reader in readers:
        reader.stop()
    assert all(reader.join(DEADLINE_S) for reader in readers)
    wait_until(lambda: threads() == before)  # the kernel's thread ends a little after Python's


@pytest.mark.slow
def test_not_one_frame_is_uncounted(server: ServerThread, start: Callable[..., CameraReader]) -> None:
    """frames = dropped by rate + tiles; tiles = superseded + composed, once the last is composed."""
    reader = start(server.url("cam-0"), fps=FPS / 2)
    mosaic = MosaicComposer("m1", CANVAS, 1.0, 0.0, STALE_S)
    slot = SlotReader(os.dup(mosaic.slot.fd), os.dup(mosaic.slot.wake_fd))
    mosaic.cameras = (None, reader, None, None)
    wait_until(lambda: reader.newest)
    for step in (1, 4, 1, 2, 7):  # tiles between one composition and the next
        assert reader.newest is not None
        until = reader.newest.number + step
        wait_until(lambda until=until: reader.newest.number >= until)
        assert mosaic.compose(time.monotonic())
    reader.stop()
    assert reader.join(DEADLINE_S)
    assert reader.newest is not None
    tiles, counted = reader.newest.number, counts(reader)
    assert counted.frames == counted.rate + tiles
    assert counted.rate > 0
    mosaic.compose(time.monotonic())
    header = slot.read(np.zeros((CANVAS.h, CANVAS.w, 3), np.uint8))
    assert header is not None
    [tile] = [each for each in header.tiles if each]
    assert tiles == mosaic.superseded_of(reader) + tile.composed_number
    assert mosaic.superseded_of(reader) >= 3 + 1 + 6
    slot.close()
    mosaic.slot.close()


@pytest.mark.parametrize(
    ("camera_fps", "mosaic_fps", "period_s"),
    [(5.0, 5.0, 0.2), (2.5, 5.0, 0.4), (25.0, 5.0, 0.2), (2.0, 5.0, 0.6), (0.1, 5.0, 10.0)],
)
def test_a_cameras_rate_is_a_whole_number_of_ticks(camera_fps: float, mosaic_fps: float, period_s: float) -> None:
    assert sampler_for(CameraSpec("cam", "", camera_fps), mosaic_fps, 0.0).period_s == pytest.approx(period_s)


def test_a_looping_file_is_a_camera_too(tmp_path: Path, start: Callable[..., CameraReader]) -> None:
    reader = start(f"file:{encode_clip(tmp_path / 'short.mp4', frames=10)}?loop=1")
    wait_until(lambda: reader.newest and reader.newest.pts_s > 0.25)
    assert state(reader) == (CameraState.STREAMING, None)
    assert counts(reader).connects == 1
