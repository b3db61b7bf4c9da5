"""The compositor: the newest tiles in the right cells, nothing stale, nothing twice, and no waiting."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from capture.compositor import Compositor, MosaicComposer
from capture.layout import GREY, TILES, Canvas
from capture.messages import CameraSpec, MosaicReport
from capture.reader import Tile
from capture.slot import BUFFERS, CanvasHeader, SlotReader

CANVAS = Canvas(64, 32)
PERIOD_S, STALE_S = 0.2, 1.0
WIDE, TALL, EXACT = (64, 16), (16, 16), (32, 16)


@dataclass(eq=False)
class FakeReader:
    """What the compositor sees of a reader."""

    name: str
    epoch: int = 3
    newest: Tile | None = None
    spec: CameraSpec = field(init=False)

    def __post_init__(self) -> None:
        self.spec = CameraSpec(self.name, "", 5.0, epoch=self.epoch)

    def live_tile(self, now_s: float, stale_s: float) -> Tile | None:
        """As an awake camera's reader has it."""
        return self.newest if self.newest and now_s - self.newest.captured_mono_s <= stale_s else None

    def show(self, colour: int, at_s: float, source_wh: tuple[int, int] = EXACT, *, is_moving: bool = True) -> None:
        content = CANVAS.content(0, source_wh)
        number = self.newest.number + 1 if self.newest else 1
        pixels = np.full((content.h, content.w, 3), colour, np.uint8)
        self.newest = Tile(number, pixels, source_wh, number * 0.5, 1.7e9 + at_s, at_s, is_moving)


class Watched:
    """A mosaic, its four fakes, and a worker's view of it."""

    def __init__(self, refresh_s: float | None = None) -> None:
        self.mosaic = MosaicComposer("m1", CANVAS, PERIOD_S, 0.0, STALE_S, refresh_s=refresh_s)
        self.cameras = [FakeReader(f"cam-{i}") for i in range(TILES)]
        self.mosaic.cameras = tuple(self.cameras)  # type: ignore[assignment]
        self._slot = SlotReader(os.dup(self.mosaic.slot.fd), os.dup(self.mosaic.slot.wake_fd))
        self.pixels = np.zeros((CANVAS.h, CANVAS.w, 3), np.uint8)

    def read(self) -> CanvasHeader | None:
        return self._slot.read(self.pixels)

    def compose(self, now_s: float) -> CanvasHeader:
        assert self.mosaic.compose(now_s)
        header = self.read()
        assert header is not None
        return header

    def cell(self, index: int) -> np.ndarray:
        return self.pixels[CANVAS.cell(index).slices]

    def close(self) -> None:
        self._slot.close()
        self.mosaic.slot.close()


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.close()


def test_each_camera_lies_in_its_own_cell(watched: Watched) -> None:
    for i, camera in enumerate(watched.cameras):
        camera.show(10 + i, 100.0)
    header = watched.compose(100.1)
    assert header.composed_mono_s == 100.1
    for i, tile in enumerate(header.tiles):
        assert tile is not None
        assert (tile.camera, tile.epoch, tile.composed_number) == (f"cam-{i}", 3, 1)
        assert (tile.pts_s, tile.captured_at, tile.captured_mono_s) == (0.5, 1.7e9 + 100.0, 100.0)
        assert (tile.source_wh, tile.content) == (EXACT, CANVAS.content(i, EXACT))
        assert (watched.cell(i) == 10 + i).all()
    assert watched.mosaic.report() == MosaicReport("m1", 1, 0, 4)


def test_a_camera_that_has_shown_nothing_is_grey_and_invalid(watched: Watched) -> None:
    watched.cameras[2].show(200, 100.0)
    header = watched.compose(100.0)
    assert [tile and tile.camera for tile in header.tiles] == [None, None, "cam-2", None]
    assert all((watched.cell(i) == GREY).all() for i in (0, 1, 3))


def test_an_empty_tile_is_grey_and_invalid(watched: Watched) -> None:
    watched.mosaic.cameras = (None, watched.cameras[1], None, None)  # type: ignore[assignment]
    watched.cameras[1].show(200, 100.0)
    header = watched.compose(100.0)
    assert [tile and tile.camera for tile in header.tiles] == [None, "cam-1", None, None]
    assert (watched.cell(0) == GREY).all()


def test_nothing_new_is_not_published_but_counted(watched: Watched) -> None:
    assert not watched.mosaic.compose(99.0)
    watched.cameras[0].show(1, 100.0)
    watched.compose(100.0)
    assert not watched.mosaic.compose(100.2)
    assert not watched.mosaic.compose(100.4)
    assert watched.read() is None
    assert watched.mosaic.report() == MosaicReport("m1", 1, 3, 1)


def test_a_tile_that_is_not_new_is_shown_again_under_its_number(watched: Watched) -> None:
    watched.cameras[0].show(1, 100.0)
    watched.cameras[1].show(2, 100.0)
    watched.compose(100.0)
    watched.cameras[1].show(3, 100.2)
    header = watched.compose(100.2)
    assert [tile and tile.composed_number for tile in header.tiles] == [1, 2, None, None]
    assert (watched.cell(0) == 1).all()
    assert (watched.cell(1) == 3).all()


def test_tiles_that_were_replaced_unseen_are_superseded(watched: Watched) -> None:
    [camera, *_] = watched.cameras
    for turn in range(5):
        for step in range(3):
            camera.show(step, 100.0 + turn)
        header = watched.compose(100.0 + turn)
        assert header.tiles[0] is not None
        assert header.tiles[0].composed_number == turn + 1
    camera.show(9, 105.0)
    assert camera.newest is not None
    pending = 1
    assert camera.newest.number == 16
    assert watched.mosaic.superseded_of(camera) + 5 + pending == 16  # type: ignore[arg-type]


def test_a_stale_tile_is_blanked_and_flagged_in_every_buffer(watched: Watched) -> None:
    watched.cameras[0].show(50, 100.0)
    for i in range(2 * BUFFERS):
        now_s = 100.0 + i * 0.1
        watched.cameras[1].show(60 + i, now_s)
        assert watched.compose(now_s).tiles[0] is not None
    assert (watched.cell(0) == 50).all()
    for i in range(2 * BUFFERS):
        now_s = 101.001 + i * 0.1
        watched.cameras[1].show(80 + i, now_s)
        header = watched.compose(now_s)
        assert [tile and tile.camera for tile in header.tiles] == [None, "cam-1", None, None]
        assert (watched.cell(0) == GREY).all()
    assert watched.mosaic.report().live_tiles == 1


def test_a_tile_of_exactly_the_stale_age_still_counts(watched: Watched) -> None:
    watched.cameras[0].show(50, 100.0)
    assert watched.compose(100.0 + STALE_S).tiles[0] is not None


def test_a_camera_that_returns_is_shown_again(watched: Watched) -> None:
    watched.cameras[0].show(50, 100.0)
    watched.compose(100.0)
    assert not watched.mosaic.compose(105.0)
    assert watched.mosaic.report().live_tiles == 0
    watched.cameras[0].show(51, 106.0)
    header = watched.compose(106.0)
    assert header.tiles[0] is not None
    assert header.tiles[0].composed_number == 2


def test_letterbox_bars_are_grey_after_a_change_of_resolution_in_every_buffer(watched: Watched) -> None:
    now_s = 100.0
    for source_wh in (EXACT, WIDE, TALL, WIDE, EXACT):
        for turn in range(BUFFERS + 1):
            now_s += 0.2
            watched.cameras[3].show(200 + turn, now_s, source_wh)
            header = watched.compose(now_s)
            content = CANVAS.content(3, source_wh)
            assert header.tiles[3] is not None
            assert (header.tiles[3].source_wh, header.tiles[3].content) == (source_wh, content)
            assert (watched.pixels[content.slices] == 200 + turn).all()
            bars = watched.cell(3).astype(int).sum() - watched.pixels[content.slices].astype(int).sum()
            assert bars == 3 * GREY * (32 * 16 - content.w * content.h)


def test_a_changed_camera_starts_its_numbers_anew(watched: Watched) -> None:
    for turn in range(3):
        watched.cameras[0].show(1, 100.0 + turn * 0.1)
        watched.compose(100.0 + turn * 0.1)
    successor = FakeReader("cam-0", epoch=4)
    watched.mosaic.cameras = (successor, *watched.cameras[1:])  # type: ignore[assignment]
    watched.cameras[1].show(5, 100.4)
    assert watched.compose(100.4).tiles[0] is None
    assert (watched.cell(0) == GREY).all()
    successor.show(2, 100.5)
    tile = watched.compose(100.5).tiles[0]
    assert tile is not None
    assert (tile.epoch, tile.composed_number) == (4, 1)
    assert watched.mosaic.superseded_of(successor) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(("now_s", "due_s"), [(10.0, 10.25), (10.05, 10.25), (10.25, 10.5), (10.3, 10.5)])
def test_ticks_are_a_raster(now_s: float, due_s: float) -> None:
    mosaic = MosaicComposer("m1", CANVAS, 0.25, 0.0, STALE_S)
    assert mosaic.next_tick_s(now_s) == pytest.approx(due_s)
    mosaic.slot.close()


# --- the thread's step -----------------------------------------------------------------------------------------------


@pytest.fixture
def compositor(watched: Watched) -> Compositor:
    made = Compositor()
    made.mosaics = (watched.mosaic,)
    return made


def test_step_composes_what_became_due_and_says_when_the_next_is(watched: Watched, compositor: Compositor) -> None:
    watched.cameras[0].show(1, time.monotonic())
    assert compositor.step(10.01, 10.15) == pytest.approx(10.2)
    assert watched.read() is None
    assert compositor.step(10.15, 10.21) == pytest.approx(10.4)
    assert watched.read() is not None
    assert compositor.steps == 2


def test_ticks_that_were_missed_are_not_caught_up(watched: Watched, compositor: Compositor) -> None:
    watched.cameras[0].show(1, time.monotonic())
    assert compositor.step(10.01, 13.07) == pytest.approx(13.2)
    assert watched.mosaic.report() == MosaicReport("m1", 1, 0, 1)


def test_step_without_mosaics_does_not_spin() -> None:
    assert Compositor().step(10.0, 10.1) == pytest.approx(10.3)


def open_slots() -> list[str]:
    return [name for name in map(readlink, Path("/proc/self/fd").iterdir()) if "mosaicd:left" in name]


def readlink(path: Path) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:  # the one that lists the folder
        return ""


@pytest.mark.parametrize("is_composed_meanwhile", [True, False])
def test_a_closed_mosaic_leaves_no_descriptor(is_composed_meanwhile: bool) -> None:
    """Not even one that was opened and closed between two turns."""
    compositor = Compositor()
    mosaic = MosaicComposer("left", CANVAS, PERIOD_S, 0.0, STALE_S)
    compositor.mosaics = (mosaic,)
    assert open_slots()
    if is_composed_meanwhile:
        compositor.step(10.0, 11.0)
    compositor.close(mosaic)
    assert compositor.mosaics == ()
    compositor.step(11.0, 12.0)
    del mosaic  # the mapping holds one more
    assert open_slots() == []


def test_the_thread_composes_by_itself_and_stops(watched: Watched, compositor: Compositor) -> None:
    compositor.start()
    deadline_s = time.monotonic() + 10
    header = None
    while header is None:
        watched.cameras[0].show(1, time.monotonic())
        header = watched.read()
        assert time.monotonic() < deadline_s
    began = time.monotonic()
    assert compositor.stop(5.0)
    assert time.monotonic() - began < 5.0


# --- mosaics in which nothing moves ----------------------------------------------------------------------------------


def test_a_still_mosaic_is_left_out_and_counted_until_it_is_due_again() -> None:
    watched = Watched(refresh_s=10.0)
    try:
        camera = watched.cameras[0]
        camera.show(1, 100.0)
        watched.compose(100.0)
        for at_s in (102.0, 104.0, 106.0):
            camera.show(2, at_s, is_moving=False)
            assert not watched.mosaic.compose(at_s)
        assert not watched.mosaic.compose(106.2)  # nothing new is something else
        report = watched.mosaic.report()
        assert (report.composed, report.still, report.skipped) == (1, 3, 1)
        assert watched.mosaic.still_of(camera) == 3  # type: ignore[arg-type]
        assert watched.mosaic.superseded_of(camera) == 0  # type: ignore[arg-type]
        camera.show(3, 110.0, is_moving=False)
        header = watched.compose(110.0)
        assert header.tiles[0] is not None
        assert header.tiles[0].composed_number == 2
    finally:
        watched.close()


def test_one_moving_tile_lets_the_whole_mosaic_pass() -> None:
    watched = Watched(refresh_s=10.0)
    try:
        watched.cameras[0].show(1, 100.0)
        watched.compose(100.0)
        watched.cameras[1].show(2, 100.2, is_moving=False)
        watched.cameras[2].show(3, 100.2)
        assert sum(tile is not None for tile in watched.compose(100.2).tiles) == 3
    finally:
        watched.close()
