"""A reader: its states over faults, its stop, its threads, and not one frame that is not counted."""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from capture.compositor import MosaicComposer
from capture.decoder import Decoder
from capture.layout import Canvas
from capture.messages import CameraCounts, CameraSpec
from capture.reader import CameraReader, sampler_for
from capture.slot import SlotReader
from capture.source import Source, SourceOptions
from capture.words import CameraState, DecodeMode, Reason, Transport
from simulator.camera import CameraSpec as Simulated
from simulator.demux import load_footage
from simulator.faults import Close, Fault, Freeze, Hang, Jump, Silent
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

    def started(
        url: str, fps: float = FPS, timeout_s: float = 2.0, tile_wh: tuple[int, int] = SIZE_WH, **settings: object
    ) -> CameraReader:
        spec = CameraSpec(f"cam-{len(readers)}", url, fps, **settings)
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


def is_live(reader: CameraReader) -> bool:
    return reader.live_tile(time.monotonic(), STALE_S) is not None


def is_asleep(reader: CameraReader) -> bool:
    return reader.report(time.monotonic(), STALE_S, 0).is_asleep


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
@pytest.mark.parametrize("fault", [Close(), Hang()], ids=lambda fault: type(fault).__name__)
def test_what_a_connection_held_is_let_go_without_the_collector(
    server: ServerThread, start: Callable[..., CameraReader], fault: Fault
) -> None:
    """In a process that makes few objects the collector may not come by for hours, and a decoder holds pictures."""
    gc.collect()
    gc.disable()
    try:
        reader = start(server.url("cam-0"), timeout_s=0.5)
        for _ in range(2):
            wait_until(lambda: state(reader) == (CameraState.STREAMING, None) and reader.newest)
            server.set_fault("cam-0", fault)
            wait_until(lambda: state(reader)[0] is CameraState.BACKOFF)
            server.set_fault("cam-0", None)
        wait_until(lambda: state(reader) == (CameraState.STREAMING, None))
        assert sum(isinstance(each, Source) for each in gc.get_objects()) == 1
        assert sum(isinstance(each, Decoder) for each in gc.get_objects()) == 1
    finally:
        gc.enable()


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


# --- decoding only what is needed -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """Ten seconds of the same noise, with a key frame every 1.6 s: longer than the stale time."""
    path = tmp_path_factory.mktemp("reader") / "still.mp4"
    x264 = "keyint=80:min-keyint=80:scenecut=0:bframes=2:threads=1"
    return load_footage(encode_clip(path, frames=480, draw=draw_still, **{"x264-params": x264}))


def draw_still(_: int) -> np.ndarray:
    return np.kron(np.random.default_rng(1).integers(60, 190, (8, 24), np.uint8), np.ones((8, 8), np.uint8))


def watch(reader: CameraReader, seconds: float) -> tuple[set[tuple[CameraState, Reason | None]], set[bool]]:
    """The states, and whether there was a live tile, seen over some time."""
    states, lives = set(), set()
    end_s = time.monotonic() + seconds
    wait_until(lambda: states.add(state(reader)) or lives.add(is_live(reader)) or time.monotonic() > end_s)
    return states, lives


@pytest.mark.slow
@pytest.mark.parametrize("mode", [DecodeMode.ADAPTIVE, DecodeMode.KEYFRAMES])
def test_a_camera_that_sleeps_is_neither_stalled_nor_dark(
    still: Footage, start: Callable[..., CameraReader], mode: DecodeMode
) -> None:
    """Its frames are further apart than the stale time, and that is as it shall be."""
    with ServerThread([Simulated("cam", still)]) as server:
        reader = start(server.url("cam"), decode=mode)
        wait_until(lambda: reader.newest)
        assert watch(reader, 4.0) == ({(CameraState.STREAMING, None)}, {True})
        seen = counts(reader)
        assert seen.frames <= 5
        assert seen.undecoded > 100
        assert is_asleep(reader) is (mode is DecodeMode.ADAPTIVE)


@pytest.mark.slow
def test_a_camera_that_hangs_while_it_sleeps_is_a_stall(still: Footage, start: Callable[..., CameraReader]) -> None:
    with ServerThread([Simulated("cam", still)]) as server:
        reader = start(server.url("cam"), timeout_s=4.0, decode=DecodeMode.ADAPTIVE)
        wait_until(lambda: reader.newest)
        server.set_fault("cam", Hang())
        hung_s = time.monotonic()
        wait_until(lambda: state(reader) == (CameraState.STALLED, Reason.HANG))
        assert time.monotonic() - hung_s < STALE_S + 1.0
        wait_until(lambda: not is_live(reader))
        assert time.monotonic() - hung_s < STALE_S + 2.0 + 1.0


@pytest.mark.slow
def test_a_camera_that_waits_for_a_key_frame_to_wake_with_is_neither_stalled_nor_dark(
    tmp_path: Path, start: Callable[..., CameraReader]
) -> None:
    """Key frames four seconds apart: it goes on from the next one, 80 packets being more than it keeps.

    While it wakes the newest frame is older than the stale time; nor is that a stall once it is awake, and the first
    frame on its way.
    """
    x264 = "keyint=200:min-keyint=200:scenecut=0:bframes=2:threads=1"
    footage = load_footage(encode_clip(tmp_path / "long.mp4", frames=800, draw=draw_still, **{"x264-params": x264}))
    with ServerThread([Simulated("cam", footage)]) as server:
        reader = start(server.url("cam"), decode=DecodeMode.ADAPTIVE, idle_fps=0.5, catch_up_frames=10)
        wait_until(lambda: reader.newest)
        assert is_asleep(reader)
        states, _ = watch(reader, 5.5)
        assert states == {(CameraState.STREAMING, None)}
        assert not is_asleep(reader), "its key frames are too far apart"
        before = counts(reader).frames
        wait_until(lambda: counts(reader).frames > before + FPS // 2)


@pytest.mark.slow
def test_one_that_moves_wakes_and_each_of_its_frames_is_counted(
    server: ServerThread, start: Callable[..., CameraReader]
) -> None:
    """The numbers change from frame to frame: from the second key frame on everything is decoded."""
    reader = start(server.url("cam-0"), fps=FPS / 5, decode=DecodeMode.ADAPTIVE)
    wait_until(lambda: counts(reader).frames > FPS)
    assert not is_asleep(reader)
    reader.stop()
    assert reader.join(DEADLINE_S)
    seen = counts(reader)
    assert seen.packets == seen.frames + seen.damaged + seen.undecoded + seen.behind
    assert reader.newest is not None
    assert seen.frames == seen.rate + reader.newest.number


@pytest.mark.slow
def test_a_frozen_picture_is_a_stall_and_shows_no_tile(
    server: ServerThread, start: Callable[..., CameraReader]
) -> None:
    reader = start(server.url("cam-0"), frozen_s=0.6)
    wait_until(lambda: is_live(reader))
    server.set_fault("cam-0", Freeze())
    wait_until(lambda: state(reader) == (CameraState.STALLED, Reason.FROZEN))
    assert not is_live(reader)
    server.set_fault("cam-0", None)
    wait_until(lambda: state(reader) == (CameraState.STREAMING, None))
    wait_until(lambda: is_live(reader))


def test_one_that_crashed_is_held_back(server: ServerThread, start: Callable[..., CameraReader]) -> None:
    reader = start(server.url("cam-0"), hold_s=0.4)
    began_s = time.monotonic()
    wait_until(lambda: state(reader) == (CameraState.BACKOFF, Reason.CRASHED))
    assert reader.condition(began_s, STALE_S).detail.endswith("kept away for 0 s")
    wait_until(lambda: state(reader) == (CameraState.STREAMING, None))
    assert time.monotonic() - began_s >= 0.4
    assert reader.report(0.0, STALE_S, 0).failures == {}, "it is no failed attempt"


def test_one_that_is_held_back_can_be_stopped(server: ServerThread, start: Callable[..., CameraReader]) -> None:
    reader = start(server.url("cam-0"), hold_s=3600.0)
    wait_until(lambda: state(reader) == (CameraState.BACKOFF, Reason.CRASHED))
    reader.stop()
    assert reader.join(DEADLINE_S)
    assert server.statistics().connections == 0
    assert counts(reader) == CameraCounts()


@pytest.mark.slow
def test_a_clock_that_is_set_is_counted_while_it_streams(
    server: ServerThread, start: Callable[..., CameraReader]
) -> None:
    reader = start(server.url("cam-0"))
    wait_until(lambda: reader.newest)
    server.set_fault("cam-0", Jump(by_s=3600.0))
    wait_until(lambda: counts(reader).jumps == 1)
    assert (counts(reader).connects, state(reader)) == (1, (CameraState.STREAMING, None))


def test_a_camera_that_is_away_is_asked_for_over_udp_again(start: Callable[..., CameraReader]) -> None:
    reader = start("rtsp://127.0.0.1:1/cam", transport=Transport.AUTO)
    wait_until(lambda: state(reader) == (CameraState.BACKOFF, Reason.REFUSED))
    assert not reader.notices
