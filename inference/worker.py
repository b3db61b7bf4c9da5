"""A worker: one process, one engine, one share of a device. Pulls the freshest mosaics assigned to it.

Owns its slots' readers and its engine. Everything happens in one thread: nothing is shared with a process that may be
killed, nothing queues, and what it holds goes with it.
"""

import os
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from capture.channel import Channel, ChannelClosedError
from capture.child import adopt, leave, memory_mib, wait_readable
from capture.exits import ExitCode
from capture.messages import Answer, Assign, Load, Ready, Stop, Unassign, WorkerReport
from capture.slot import SlotError, SlotReader
from inference.engine import (
    DeviceUnavailable,
    Engine,
    EngineError,
    EngineOptions,
    ModelFiles,
    ModelUnusable,
    OutOfMemory,
    load_engine,
)
from inference.sightings import Wishes, answer_tiles

REPORT_S = 1.0
WARM_UPS = 2
"""TensorFlow is slow in its first calls: it traces, tunes and allocates."""
NICE = 5
"""On a CPU decoding goes first: a frame not decoded in time is damage, a mosaic not answered is one frame less."""

_EXIT_CODES: dict[type[Exception], ExitCode] = {
    ModelUnusable: ExitCode.MODEL,
    DeviceUnavailable: ExitCode.DEVICE,
    OutOfMemory: ExitCode.OUT_OF_MEMORY,
    MemoryError: ExitCode.OUT_OF_MEMORY,
}


@dataclass(slots=True)
class Assignment:
    """One mosaic that this worker answers."""

    mosaic: str
    reader: SlotReader
    wishes: Wishes
    served: int = 0
    """When it was last this mosaic's turn, in turns of this worker: the lowest is served next."""


class Worker:
    """A loaded engine and its assignments."""

    def __init__(self, channel: Channel[Any], load: Load, engine: Engine) -> None:
        self._channel = channel
        self._load = load
        self._engine = engine
        self._assignments: dict[int, Assignment] = {}
        w, h = load.canvas_wh
        self._pixels = np.zeros((1, h, w, 3), np.uint8)
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
            case Stop():
                return False
        for fd in fds:
            os.close(fd)
        return True

    def step(self, now_s: float) -> None:
        """Wait for work or a message, answer at most one mosaic, and report when that is due."""
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
        self._answer(*min(unread, key=lambda item: item[1].served))

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
        self._assignments[message.slot_id] = Assignment(message.mosaic, reader, wishes, self._turns)

    def _answer(self, slot_id: int, assignment: Assignment) -> None:
        # Before it is read: a slot that cannot be read must not be tried again before all others.
        assignment.served = self._turns = self._turns + 1
        header = assignment.reader.read(self._pixels[0])
        if header is None:
            return
        if time.monotonic() - header.composed_mono_s > self._load.stale_s:
            self._stale += 1
            return
        began = time.monotonic()
        [detections] = self._engine.detect(self._pixels)
        ended = time.monotonic()
        self._answered += 1
        canvas, names = assignment.reader.canvas, self._engine.labels
        tiles = answer_tiles(
            canvas, header, detections, names, assignment.wishes, now_s=ended, stale_s=self._load.stale_s
        )
        self._channel.send(
            Answer(assignment.mosaic, slot_id, header.number, header.composed_mono_s, ended - began, tiles)
        )


def load(message: Load) -> Engine:
    """Apply the quota, load the engine and warm it up. Raises EngineError."""
    if not message.on_gpu and message.memory_limit_mib is not None:
        limit = message.memory_limit_mib * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    options = EngineOptions(
        input_wh=message.canvas_wh,
        threads=message.threads,
        device="gpu" if message.on_gpu else "cpu",
        memory_mode=message.memory_mode,
        memory_limit_mib=message.memory_limit_mib,
        score_threshold=message.score,
        iou_threshold=message.iou,
    )
    files = ModelFiles(Path(message.cfg), Path(message.weights), Path(message.names))
    engine = load_engine(message.engine, files, options)
    w, h = message.canvas_wh
    for _ in range(WARM_UPS):
        engine.detect(np.zeros((1, h, w, 3), np.uint8))
    if not message.on_gpu:
        os.nice(NICE)  # only now: a worker that is loading is being waited for
    return engine


def run(channel: Channel[Any]) -> ExitCode:
    """Serve one supervisor until it says Stop. Raises ChannelClosedError when it is gone, EngineError of its engine."""
    worker: Worker | None = None
    while True:
        if worker is None:
            wait_readable([channel.fileno()], REPORT_S)
        while (received := channel.receive()) is not None:
            if isinstance(received.message, Load) and worker is None:
                worker = Worker(channel, received.message, load(received.message))
                channel.send(Ready(memory_mib(), received.message.engine))
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
        code, words = _EXIT_CODES.get(type(error), ExitCode.BROKEN), str(error)
    except Exception as error:  # noqa: BLE001 - the top of the process: report and end
        code, words = ExitCode.BROKEN, f"{type(error).__name__}: {error}"
    # At once: after an out-of-memory the framework's own shutdown is not to be trusted.
    leave(born.channel, code, words)


if __name__ == "__main__":
    main()
