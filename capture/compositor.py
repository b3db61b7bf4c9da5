"""The compositor: one thread that puts the newest tiles of its cameras on canvases. Waits for no camera.

Owns the slots' writers. Mosaics are opened and closed by the capture process's main thread, which replaces the tuple
of mosaics whole; the thread reads that tuple once a turn.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from capture.layout import GREY, TILES, Canvas, Rect
from capture.messages import MosaicReport
from capture.reader import CameraReader, Tile
from capture.slot import BUFFERS, SlotWriter, TileHeader

IDLE_S = 0.2
"""Longest sleep, so that an opened mosaic is seen soon."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one tile of the mosaic has taken from its reader."""

    reader: CameraReader | None = None
    number: int = 0
    """The reader's tile that was composed last."""
    composed: int = 0
    """How many different tiles were."""
    still: int = 0
    """How many were left out, because nothing moved in the mosaic."""


class MosaicComposer:
    """One mosaic: its cameras and its slot."""

    def __init__(
        self,
        name: str,
        canvas: Canvas,
        period_s: float,
        phase_s: float,
        stale_s: float,
        *,
        refresh_s: float | None = None,
    ) -> None:
        """With ``refresh_s``, a mosaic in which nothing moves is composed no more often than that."""
        self.name = name
        self.slot = SlotWriter(name, canvas)
        self.cameras: tuple[CameraReader | None, ...] = (None,) * TILES
        """Replaced whole, by the thread that opens and closes mosaics."""
        self._canvas = canvas
        self._period_s = period_s
        self.phase_s = phase_s
        """Where its ticks lie; its readers sample by it, so it stays as long as the mosaic."""
        self._stale_s = stale_s
        self._refresh_s = refresh_s
        self._published_s = 0.0
        self._drawn: list[list[Rect | None]] = [[None] * TILES for _ in range(BUFFERS)]
        """For each buffer and tile the content that it holds; None is a blank cell."""
        self._is_clean = [False] * BUFFERS
        self._taken = [_Taken()] * TILES
        self._composed = 0
        self._skipped = 0
        self._still = 0
        self._live_tiles = 0

    def next_tick_s(self, now_s: float) -> float:
        """Return the first moment after ``now_s`` at which this mosaic is due (monotonic)."""
        ticks = (now_s - self.phase_s) // self._period_s + 1
        return self.phase_s + float(ticks) * self._period_s

    def superseded_of(self, reader: CameraReader) -> int:
        """Return how many tiles of this reader were replaced before they were put on a canvas."""
        return sum(each.number - each.composed - each.still for each in self._taken if each.reader is reader)

    def still_of(self, reader: CameraReader) -> int:
        """Return how many tiles of this reader were left out because nothing moved."""
        return sum(each.still for each in self._taken if each.reader is reader)

    def report(self) -> MosaicReport:
        """Return this mosaic's counters."""
        return MosaicReport(self.name, self._composed, self._skipped, self._live_tiles, self._still)

    def compose(self, now_s: float) -> bool:
        """Publish a canvas of the newest tiles; return False, and count it, if no tile is new."""
        cameras = self.cameras
        tiles = [camera.live_tile(now_s, self._stale_s) if camera else None for camera in cameras]
        self._live_tiles = sum(tile is not None for tile in tiles)
        is_still = self._is_still(tiles, now_s)
        is_new = False
        for i, (camera, tile) in enumerate(zip(cameras, tiles, strict=True)):
            if camera is None or tile is None:
                continue
            taken = self._taken[i] if self._taken[i].reader is camera else _Taken(camera)
            if tile.number != taken.number:
                is_new = True
                self._taken[i] = _Taken(camera, tile.number, taken.composed + (not is_still), taken.still + is_still)
        if not is_new or is_still:
            self._skipped += not is_new
            self._still += is_new
            return False
        self._published_s = now_s
        index, pixels = self.slot.begin()
        headers: list[TileHeader | None] = []
        for i, (camera, tile) in enumerate(zip(cameras, tiles, strict=True)):
            place = self._canvas.content(i, tile.source_wh) if tile else None
            if place != self._drawn[index][i] or not self._is_clean[index]:
                pixels[self._canvas.cell(i).slices] = GREY
                self._drawn[index][i] = place
            if camera is None or tile is None or place is None:
                headers.append(None)
                continue
            pixels[place.slices] = tile.pixels
            headers.append(
                TileHeader(
                    camera=camera.spec.name,
                    epoch=camera.spec.epoch,
                    composed_number=self._taken[i].composed,
                    pts_s=tile.pts_s,
                    captured_at=tile.captured_at,
                    captured_mono_s=tile.captured_mono_s,
                    source_wh=tile.source_wh,
                    content=place,
                )
            )
        self._is_clean[index] = True
        self.slot.publish(tuple(headers), now_s)
        self._composed += 1
        return True

    def _is_still(self, tiles: Sequence[Tile | None], now_s: float) -> bool:
        """Whether this mosaic can be left out."""
        if self._refresh_s is None or now_s - self._published_s >= self._refresh_s:
            return False
        return not any(tile.is_moving for tile in tiles if tile)


class Compositor:
    """The thread that composes each mosaic at its ticks."""

    def __init__(self) -> None:
        self.mosaics: Sequence[MosaicComposer] = ()
        self.steps = 0
        """Turns of the loop: the sign of life of this thread."""
        self._closed: deque[MosaicComposer] = deque()
        """Mosaics taken out of ``mosaics`` whose slots are still open."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="compositor")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End the thread; return whether it has ended within the deadline."""
        self._stop.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self, mosaic: MosaicComposer) -> None:
        """Take a mosaic out; its slot is closed by the compositor's thread, which may be writing into it now."""
        self.mosaics = tuple(each for each in self.mosaics if each is not mosaic)
        self._closed.append(mosaic)

    def step(self, since_s: float, now_s: float) -> float:
        """Compose what became due in (since, now]; return the next moment at which something is due."""
        # First those: what is among them has left ``mosaics`` before.
        while self._closed:
            self._closed.popleft().slot.close()
        mosaics = self.mosaics
        due = [mosaic for mosaic in mosaics if mosaic.next_tick_s(since_s) <= now_s]
        for mosaic in due:
            mosaic.compose(time.monotonic())
        self.steps += 1
        return min((mosaic.next_tick_s(now_s) for mosaic in mosaics), default=now_s + IDLE_S)

    def _run(self) -> None:
        since_s = time.monotonic()
        next_s = since_s
        while not self._stop.wait(max(0.0, min(next_s - time.monotonic(), IDLE_S))):
            now_s = time.monotonic()
            next_s = self.step(since_s, now_s)
            since_s = now_s
