"""The process that looks at recorded footage: ``python -m inference.looker``. Decodes and detects, as fast as it can.

A thread for each part of a file that is read now; their frames go through one bounded queue to the main thread, which
alone owns the engine. The next four that have come, of whichever files, are a mosaic: so one file fills mosaics, too.
Frames of one part stay in order. Decoder and engine share a process, for a frame then costs no copy; one that dies
takes nothing with it but the parts in hand, which its owner gives to another.
"""

import os
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from capture.channel import Channel, ChannelClosedError
from capture.child import adopt, leave, memory_mib, wait_readable
from capture.exits import ExitCode
from capture.failures import SourceError
from capture.footage import FootageFile, Losses, Raster, facts_of
from capture.layout import GREY, TILES
from capture.lookmessages import (
    Begin,
    Depict,
    Depicted,
    Inspect,
    Inspected,
    Look,
    Looked,
    PartEnd,
    Refused,
    ToLooker,
)
from capture.messages import Ready, Stop
from capture.scaler import Scaler
from capture.slot import CanvasHeader, Pixels, TileHeader
from capture.snapshot import jpeg
from inference.engine import Detections, Engine, EngineError
from inference.inputs import batches
from inference.sightings import Wishes, answer_tiles
from inference.worker import EXIT_CODES, batch_sizes, describe, load, model_input

LOOK_S = 0.2
"""So often the main thread hears orders while no frame comes."""
HELD_MOSAICS = 2
"""So many mosaics' frames wait for the engine, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A frame, scaled."""

    look: Look
    number: int
    """From 1, in its part."""
    at_s: float
    """In its file."""
    source_wh: tuple[int, int]
    pixels: Pixels = field(repr=False)


class Reader(threading.Thread):
    """Reads one part. Its frames and, at last, its end go into the queue."""

    def __init__(self, look: Look, tile_wh: tuple[int, int], found: "queue.Queue[Tile | PartEnd]") -> None:
        super().__init__(name=f"reader-{look.part}")
        self._look = look
        self._tile_wh = tile_wh
        self._found = found

    def run(self) -> None:
        look, losses, error = self._look, Losses(), ""
        try:
            self._read(losses)
        except SourceError as failure:
            error = failure.detail
        except Exception as failure:  # noqa: BLE001 - the top of the thread: report and end
            error = f"{type(failure).__name__}: {failure}"
        self._found.put(PartEnd(look.part, losses.frames, losses.first_s, error))

    def _read(self, losses: Losses) -> None:
        look, scaler = self._look, Scaler(self._tile_wh)
        raster = Raster.of(look.fps, look.rate_hz)
        with closing(FootageFile(Path(look.path))) as file:
            taken = file.take(raster, look.cut, look.until, look.skip, losses)
            for number, frame in enumerate(taken, 1):
                size_wh = (frame.picture.width, frame.picture.height)
                self._found.put(Tile(look, number, frame.at_s, size_wh, scaler.tile(frame.picture)))


class Looker:
    """A loaded engine and the parts in hand."""

    def __init__(self, channel: Channel[Any], begin: Begin, engine: Engine) -> None:
        self._channel = channel
        self._begin = begin
        self._engine = engine
        self._input = model_input(begin.load)
        self._sizes = batch_sizes(begin.load)
        self._batch = begin.load.batch
        w, h = begin.load.canvas_wh
        self._pixels = np.full((self._batch, h, w, 3), GREY, np.uint8)
        self._found: queue.Queue[Tile | PartEnd] = queue.Queue(HELD_MOSAICS * TILES * self._batch)
        self._waiting: list[Look] = []
        self._reading = 0
        self._labels: dict[str, frozenset[str]] = {}
        self._min_score: dict[str, float] = {}
        self._composed = 0

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to look at."""
        return not (self._reading or self._waiting)

    def take(self, look: Look) -> None:
        """Look at this part, too."""
        if look.labels is not None:
            self._labels[look.camera] = frozenset(look.labels)
        self._min_score[look.camera] = look.min_score
        self._waiting.append(look)

    def step(self) -> None:
        """Look at the next frames, if there are enough for a mosaic, or no more to come."""
        while self._waiting and self._reading < self._begin.readers:
            Reader(self._waiting.pop(0), self._input.canvas.tile_wh, self._found).start()
            self._reading += 1
        tiles, ends = self._gather()
        if tiles:
            self._detect([tiles[first : first + TILES] for first in range(0, len(tiles), TILES)])
        for end in ends:
            _tell(self._channel, end)

    def _gather(self) -> tuple[list[Tile], list[PartEnd]]:
        """Return frames for a batch, and the parts that have ended with them or before."""
        tiles: list[Tile] = []
        ends: list[PartEnd] = []
        until_s = time.monotonic() + LOOK_S
        while len(tiles) < TILES * self._batch and self._reading:
            try:
                # With a batch begun there is nothing better to do than to wait for the rest of it.
                found = self._found.get(timeout=None if tiles else max(0.0, until_s - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(found, Tile):
                tiles.append(found)
                continue
            self._reading -= 1
            ends.append(found)
            if self._waiting:
                break  # somebody else is to read meanwhile
        return tiles, ends

    def _detect(self, mosaics: Sequence[Sequence[Tile]]) -> None:
        headers = [self._compose(index, tiles) for index, tiles in enumerate(mosaics)]
        wanted = [tuple(range(len(tiles))) for tiles in mosaics]
        images = self._input.split(self._pixels[: len(mosaics)], wanted)
        found: list[Detections] = []
        for batch in batches(len(images), self._sizes):
            found += self._engine.detect(images[batch])
        left, wishes = iter(found), Wishes(self._labels, self._min_score)
        for header, tiles in zip(headers, wanted, strict=True):
            placed = self._input.place(list(islice(left, self._input.images_of(tiles))), tiles)
            answers = answer_tiles(header, placed, self._engine.labels, wishes, now_s=0.0, stale_s=0.0, tiles=tiles)
            _tell(self._channel, Looked(answers))

    def _compose(self, index: int, tiles: Sequence[Tile]) -> CanvasHeader:
        """Put up to four frames on a canvas."""
        canvas, pixels = self._input.canvas, self._pixels[index]
        headers: list[TileHeader | None] = [None] * TILES
        pixels[:] = GREY
        for place, tile in enumerate(tiles):
            content = canvas.content(place, tile.source_wh)
            pixels[content.slices] = tile.pixels
            headers[place] = TileHeader(
                camera=tile.look.camera,
                epoch=tile.look.part,
                composed_number=tile.number,
                pts_s=tile.at_s,
                captured_at=0.0,
                captured_mono_s=0.0,
                source_wh=tile.source_wh,
                content=content,
            )
        self._composed += 1
        return CanvasHeader(self._composed, 0.0, tuple(headers))


def inspect(order: Inspect) -> Inspected | Refused:
    """Return what a file is."""
    try:
        return Inspected(order.file, facts_of(Path(order.path), order.fps))
    except SourceError as error:
        return Refused(order.file, error.detail)


def depict(order: Depict) -> Depicted:
    """Write a picture."""
    target = Path(order.target)
    new = target.with_name(f".{target.name}.new")
    try:
        with closing(FootageFile(Path(order.path))) as file:
            picture = file.at(order.at_s)
        if picture is None:
            return Depicted(order.picture, error="there is no picture of that moment")
        content = jpeg(picture)
        new.write_bytes(content)
        new.replace(target)
    except SourceError as error:
        return Depicted(order.picture, error=error.detail)
    except OSError as error:  # FFmpeg's are, too
        return Depicted(order.picture, error=f"{error.strerror or error}")
    return Depicted(order.picture, len(content))


def run(channel: Channel[Any]) -> ExitCode:
    """Serve one owner until it says Stop. Raises ChannelClosedError when it is gone, EngineError of its engine."""
    looker: Looker | None = None
    while True:
        if looker is None or looker.is_idle:
            wait_readable([channel.fileno()], 1.0)
        while (received := channel.receive()) is not None:
            match received.message:
                case Inspect():
                    _tell(channel, inspect(received.message))
                case Depict():
                    _tell(channel, depict(received.message))
                case Begin() if looker is None:
                    engine, _ = load(received.message.load, channel)
                    looker = Looker(channel, received.message, engine)
                    _tell(channel, Ready(memory_mib(), describe(received.message.load)))
                case Look() if looker:
                    looker.take(received.message)
                case Stop():
                    return ExitCode.OK
        if looker and not looker.is_idle:
            looker.step()


def _tell(channel: Channel[Any], message: Any) -> None:
    """Say it, waiting as long as the owner does not listen. Raises ChannelClosedError when it is gone."""
    while not channel.send(message):
        if os.getppid() == 1:
            raise ChannelClosedError
        time.sleep(0.005)


def main() -> None:
    """Entry point of ``python -m inference.looker``."""
    born = adopt("Looks at recorded footage for mosaicd; started by `mosaicd analyze`.", ToLooker)
    try:
        code, words = run(born.channel), ""
    except ChannelClosedError:
        code, words = ExitCode.ORPHANED, "its owner is gone"
    except (EngineError, MemoryError) as error:
        code = next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), ExitCode.BROKEN)
        words = str(error)
    except Exception as error:  # noqa: BLE001 - the top of the process: report and end
        code, words = ExitCode.BROKEN, f"{type(error).__name__}: {error}"
    # At once: readers may wait for room in the queue.
    leave(born.channel, code, words)


if __name__ == "__main__":
    main()
