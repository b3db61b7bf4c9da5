"""A worker: one process, one engine, one share of a device. Pulls the freshest mosaics assigned to it.

Owns its slots' readers and its engine. Everything happens in one thread: nothing is shared with a process that may be
killed, nothing queues, and what it holds goes with it.
"""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.channel import Channel, ChannelClosedError
from capture.child import adopt, leave, memory_mib, wait_readable
from capture.exits import ExitCode
from capture.layout import TILES, Canvas
from capture.messages import (
    Answer,
    Assign,
    Load,
    Loading,
    Picture,
    Ready,
    Stop,
    Taking,
    TileAnswer,
    Unassign,
    Watch,
    WorkerReport,
)
from capture.slot import CanvasHeader, SlotError, SlotReader, TileHeader
from inference.engine import (
    Detections,
    DeviceUnavailable,
    Engine,
    EngineError,
    EngineOptions,
    ModelFiles,
    ModelUnusable,
    OutOfMemory,
)
from inference.headroom import Headroom, QuotaReached, QuotaTooSmall, data_mib, lacks_memory, peak_of_call_mib, wall_mib
from inference.inputs import ModelInput, batches
from inference.loading import load_engine
from inference.pictures import Painter, sealed
from inference.sightings import Wishes, answer_tiles

REPORT_S = 1.0
WARM_UPS = 2
"""Engines are slow in their first calls with so many images: they compile, tune and allocate."""
NICE = 5
"""On a CPU decoding goes first: a frame not decoded in time is damage, a mosaic not answered is one frame less."""

PICTURES_MIB = 64.0
"""What drawing takes at the most, with one thread: OpenCV 13 MiB, its first picture 18. Who only looks must not bring a
worker to its quota."""

UNSERVED_S = 2.0
"""A mosaic that has waited so long goes before those of a higher priority: it is to be shed, not forgotten."""

Pixels = npt.NDArray[np.uint8]

EXIT_CODES: dict[type[Exception], ExitCode] = {
    ModelUnusable: ExitCode.MODEL,
    DeviceUnavailable: ExitCode.DEVICE,
    OutOfMemory: ExitCode.OUT_OF_MEMORY,
    MemoryError: ExitCode.OUT_OF_MEMORY,
    QuotaReached: ExitCode.QUOTA,
    QuotaTooSmall: ExitCode.CONFIG,
}


@dataclass(slots=True)
class Assignment:
    """One mosaic that this worker answers."""

    mosaic: str
    reader: SlotReader
    wishes: Wishes
    priority: int = 0
    served: int = 0
    """When it was last this mosaic's turn, in turns of this worker: of equal priority the lowest is served next."""
    served_s: float = field(default_factory=time.monotonic)
    seen: tuple[TileHeader | None, ...] = (None,) * TILES
    """What was on the canvas that was answered last."""

    def rank(self, now_s: float) -> tuple[bool, int, int]:
        """Return by what it is sorted among those that wait: the lowest is served first."""
        return now_s - self.served_s < UNSERVED_S, -self.priority, self.served

    def new_tiles(self, header: CanvasHeader) -> tuple[int, ...]:
        """Return the tiles that show another frame than on the canvas that was answered last."""
        return tuple(
            index
            for index, (tile, seen) in enumerate(zip(header.tiles, self.seen, strict=True))
            if tile is not None and tile != seen
        )


@dataclass(frozen=True, slots=True)
class Read:
    """A canvas that was read, and what of it is to be looked at."""

    slot_id: int
    assignment: Assignment
    header: CanvasHeader
    tiles: tuple[int, ...]


class Worker:
    """A loaded engine and its assignments."""

    def __init__(self, channel: Channel[Any], load: Load, engine: Engine, headroom: Headroom | None) -> None:
        self._channel = channel
        self._load = load
        self._engine = engine
        self._headroom = headroom
        self._input = model_input(load)
        self._sizes = batch_sizes(load)
        self._assignments: dict[int, Assignment] = {}
        w, h = load.canvas_wh
        self._pixels = np.zeros((load.batch, h, w, 3), np.uint8)
        self._painter = Painter()
        self._turns = 0
        self._answered = 0
        self._stale = 0
        self._torn = 0
        self._report_due_s = 0.0

    def obey(self, message: object, fds: tuple[int, ...]) -> bool:
        """Carry out one message, taking ownership of its descriptors; return False for Stop."""
        match message:
            case Assign(slot_id=slot_id) if len(fds) == 2 and slot_id not in self._assignments:
                self._assign(message, fds)
                return True
            case Unassign(slot_id):
                if left := self._assignments.pop(slot_id, None):
                    self._torn += left.reader.torn
                    left.reader.close()
            case Watch(mosaics):
                self._painter.watch(mosaics)
            case Stop():
                return False
        for fd in fds:
            os.close(fd)
        return True

    def step(self, now_s: float) -> None:
        """Wait for work or a message, answer one mosaic or one batch, and report when that is due.

        Raises QuotaReached when all has been answered and the next call might not fit.
        """
        if self._headroom and (wall := wall_mib()) is not None:
            self._headroom.check(data_mib(), wall)
        if now_s >= self._report_due_s:
            self._report_due_s = now_s + REPORT_S
            torn = self._torn + sum(a.reader.torn for a in self._assignments.values())
            self._channel.send(WorkerReport(self._answered, self._stale, torn, time.process_time(), memory_mib()))
        unread = [(slot_id, a) for slot_id, a in self._assignments.items() if a.reader.is_unread]
        if not unread:
            wakes = {a.reader.wake_fd for a in self._assignments.values()}
            # A lost wake-up only costs the time to the next report.
            for fd in wait_readable([self._channel.fileno(), *wakes], max(0.0, self._report_due_s - now_s)):
                # While a mosaic moves, its old worker and its new one hear the same eventfd.
                if fd in wakes:
                    with suppress(BlockingIOError):
                        os.eventfd_read(fd)
            return
        unread.sort(key=lambda item: item[1].rank(now_s))
        self._answer(unread[: self._load.batch if len(unread) >= self._load.batch else 1])

    def _assign(self, message: Assign, fds: tuple[int, ...]) -> None:
        """Take up a slot. One that is none is left alone: whoever made it is not to bring this worker down."""
        try:
            reader = SlotReader(*fds)
        except SlotError as error:
            print(f"mosaic {message.mosaic}: {error}", file=sys.stderr)
            return
        if (reader.canvas.w, reader.canvas.h) != self._load.canvas_wh:
            print(f"mosaic {message.mosaic}: a canvas of another size than the engine's", file=sys.stderr)
            reader.close()
            return
        wishes = Wishes({camera: frozenset(labels) for camera, labels in message.labels.items()}, message.min_score)
        self._assignments[message.slot_id] = Assignment(message.mosaic, reader, wishes, message.priority, self._turns)

    def _answer(self, chosen: Sequence[tuple[int, Assignment]]) -> None:
        read: list[Read] = []
        for slot_id, assignment in chosen:
            # Before it is read: a slot that cannot be read must not be tried again before all others.
            assignment.served = self._turns = self._turns + 1
            assignment.served_s = time.monotonic()
            header = assignment.reader.read(self._pixels[len(read)])
            if header is None:
                continue
            if time.monotonic() - header.composed_mono_s > self._load.stale_s:
                self._stale += 1
                continue
            each = Read(slot_id, assignment, header, assignment.new_tiles(header))
            if each.tiles:
                read.append(each)
            else:
                self._tell(each, 0.0, ())
        if read:
            self._detect(read)

    def _detect(self, read: Sequence[Read]) -> None:
        self._channel.send(Taking(tuple(each.slot_id for each in read)))
        began = time.monotonic()
        images = self._input.split(self._pixels[: len(read)], [each.tiles for each in read])
        found: list[Detections] = []
        for batch in batches(len(images), self._sizes):
            found += self._engine.detect(images[batch])
        ended = time.monotonic()
        names, stale_s = self._engine.labels, self._load.stale_s
        left = iter(found)
        for index, each in enumerate(read):
            mine = list(islice(left, self._input.images_of(each.tiles)))
            placed = self._input.place(mine, each.tiles)
            tiles = answer_tiles(
                each.header, placed, names, each.assignment.wishes, now_s=ended, stale_s=stale_s, tiles=each.tiles
            )
            self._tell(each, (ended - began) * len(mine) / len(found), tiles)
            self._show(each, index, tiles, ended)

    def _tell(self, read: Read, inference_s: float, tiles: tuple[TileAnswer, ...]) -> None:
        header, assignment = read.header, read.assignment
        self._channel.send(
            Answer(assignment.mosaic, read.slot_id, header.number, header.composed_mono_s, inference_s, tiles)
        )
        assignment.seen = header.tiles
        self._answered += 1

    def _show(self, read: Read, index: int, tiles: tuple[TileAnswer, ...], now_s: float) -> None:
        """Send a picture of the canvas that was read into this place, if somebody looks at it and there is room."""
        if read.assignment.mosaic not in self._painter.wanted:
            return
        wall = wall_mib()
        if self._headroom and wall is not None and self._headroom.is_near(data_mib() + PICTURES_MIB, wall):
            return
        try:
            jpeg = self._painter.paint(read.assignment.mosaic, self._pixels[index], read.header, tiles, now_s)
        except Exception as error:  # noqa: BLE001 - who only looks must not bring a worker down
            print(f"no more pictures: {type(error).__name__}: {error}", file=sys.stderr)
            self._painter.watch(())
            return
        if jpeg is not None:
            fd = sealed(jpeg)
            self._channel.send(Picture(read.assignment.mosaic, read.header.number), (fd,))
            os.close(fd)


def model_input(message: Load) -> ModelInput:
    """How this worker's mosaics become images."""
    return ModelInput(message.input, Canvas(*message.canvas_wh))


def batch_sizes(message: Load) -> tuple[int, ...]:
    """How many images the engine is given at once, rising: one, those of a mosaic, those of a batch of mosaics."""
    images = model_input(message).images
    return tuple(sorted({1, images, images * message.batch}))


def load(message: Load, channel: Channel[Any]) -> tuple[Engine, Headroom | None]:
    """Load the engine, within its quota, and warm it up, telling how far it has come; return it, and what it has to
    watch. Raises EngineError."""
    channel.send(Loading("engine"))
    given = model_input(message)
    options = EngineOptions(
        input_wh=given.input_wh,
        batch=given.images * message.batch,
        threads=message.threads,
        device="gpu" if message.on_gpu else "cpu",
        precision=message.precision,
        cache_dir=Path(message.cache_dir),
        memory_mode=message.memory_mode,
        memory_limit_mib=message.memory_limit_mib,
        score_threshold=message.score,
        iou_threshold=message.iou,
    )
    files = ModelFiles(Path(message.cfg), Path(message.weights), Path(message.names))
    engine = load_engine(message.engine, files, options)
    channel.send(Loading("warm_up"))
    w, h = given.input_wh
    for size in batch_sizes(message):
        images = np.zeros((size, h, w, 3), np.uint8)
        for _ in range(WARM_UPS):
            engine.detect(images)
    if message.on_gpu:
        return engine, None
    headroom = Headroom(peak_of_call_mib(partial(engine.detect, images)))
    if (wall := wall_mib()) is not None:
        headroom.check_loaded(data_mib(), wall)
    os.nice(NICE)  # only now: a worker that is loading is being waited for
    return engine, headroom


def describe(message: Load) -> str:
    """What runs, for the log."""
    threads = f", {message.threads} threads" if message.threads > 1 else ""
    batch = f", up to {message.batch} mosaics at once" if message.batch > 1 else ""
    return f"{message.engine} {message.precision}, input {message.input}{batch}{threads}"


def run(channel: Channel[Any]) -> ExitCode:
    """Serve one supervisor until it says Stop. Raises ChannelClosedError when it is gone, EngineError of its engine."""
    worker: Worker | None = None
    while True:
        if worker is None:
            wait_readable([channel.fileno()], REPORT_S)
        while (received := channel.receive()) is not None:
            if isinstance(received.message, Load) and worker is None:
                worker = Worker(channel, received.message, *load(received.message, channel))
                channel.send(Ready(memory_mib(), describe(received.message)))
            elif worker is None:
                for fd in received.fds:
                    os.close(fd)
                if isinstance(received.message, Stop):
                    return ExitCode.OK
            elif not worker.obey(received.message, received.fds):
                return ExitCode.OK
        if worker:
            worker.step(time.monotonic())


def main() -> None:
    """Entry point of ``python -m inference.worker``."""
    born = adopt("An inference worker of mosaicd; started by its supervisor.")
    try:
        code, words = run(born.channel), ""
    except ChannelClosedError:
        code, words = ExitCode.ORPHANED, "the supervisor is gone"
    except (EngineError, MemoryError) as error:
        code, words = (
            next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), ExitCode.BROKEN),
            str(error),
        )
    except Exception as error:  # noqa: BLE001 - the top of the process: report and end
        code, words = ExitCode.BROKEN, f"{type(error).__name__}: {error}"
    if code in (ExitCode.BROKEN, ExitCode.OUT_OF_MEMORY) and (why := lacks_memory()):
        code, words = ExitCode.OUT_OF_MEMORY, f"{words} ({why})"
    # At once: after an out-of-memory the framework's own shutdown is not to be trusted.
    leave(born.channel, code, words)


if __name__ == "__main__":
    main()
