"""A capture process: reader threads for its cameras, one compositor thread for its mosaics, and this main thread.

The main thread owns the readers and the compositor, obeys the supervisor, and reports. A crash here, in a decoder that
was fed something hostile, costs only the cameras of this process.
"""

import os
import random
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import structs

from capture.camerastate import Condition
from capture.channel import Channel
from capture.child import adopt, leave, live, memory_mib, wait_readable
from capture.compositor import Compositor, MosaicComposer
from capture.exits import ExitCode
from capture.layout import Canvas
from capture.media import Media
from capture.mediamessages import Prolong, Record, Snapshot
from capture.messages import (
    CameraNotice,
    CameraSpec,
    CameraTransition,
    CaptureReport,
    CaptureSetup,
    CloseMosaic,
    OpenMosaic,
    Ready,
    SlotOpened,
    Stop,
)
from capture.reader import CameraReader, sampler_for
from capture.source import SourceOptions
from capture.words import Flaw

REPORT_S = 1.0
LOOK_S = 0.2
"""How often the cameras' conditions are looked at."""
SPREAD_S = 1.0
"""Cameras are first asked within so long, by chance: many begin with a key frame for whoever asks, and those of all at
once, again and again, would keep each other waiting."""
JOIN_S = 0.5


class CaptureProcess:
    """The main thread's work."""

    def __init__(self, channel: Channel[Any], setup: CaptureSetup) -> None:
        self._channel = channel
        self._setup = setup
        self._canvas = Canvas(*setup.canvas_wh)
        self._compositor = Compositor()
        self._mosaics: dict[str, MosaicComposer] = {}
        self._told: dict[CameraReader, Condition] = {}
        self._told_flaws: dict[CameraReader, frozenset[Flaw]] = {}
        self._untold: list[MosaicComposer] = []
        """Mosaics whose slot the supervisor has not been given yet."""
        self._leaving: list[CameraReader] = []
        """Readers of removed cameras, whose threads end at their next packet or timeout."""
        self._report_due_s = 0.0
        self._media = Media()

    def start(self) -> None:
        """Start composing and say so."""
        self._compositor.start()
        self._channel.send(Ready(memory_mib()))

    def obey(self, message: object, fds: tuple[int, ...]) -> bool:
        """Carry out one message; return False for Stop. Descriptors are closed, now or when they have been used."""
        if isinstance(message, Record | Prolong | Snapshot):
            self._media.obey(message, fds, self._readers())
            return True
        _close(fds)
        match message:
            case OpenMosaic():
                self._open(message)
            case CloseMosaic(name):
                if mosaic := self._mosaics.pop(name, None):
                    self._compositor.close(mosaic)
                    self._retire([reader for reader in mosaic.cameras if reader])
            case Stop():
                return False
        return True

    def step(self, now_s: float) -> None:
        """Tell what changed, and report when it is due."""
        for reader in self._readers():
            self._tell(reader, now_s)
        self._tell_slots()
        self._media.tell(self._channel.send)
        self._leaving = [reader for reader in self._leaving if not reader.join(0)]
        if now_s >= self._report_due_s:
            self._report_due_s = now_s + REPORT_S
            self._channel.send(self._report(now_s))

    def stop(self) -> None:
        """Stop all threads that can be stopped in time; the rest ends with the process."""
        # While their rings are open: a clip ends because of this, and not because its camera was changed.
        self._media.stop(time.monotonic() + JOIN_S)
        self._media.tell(self._channel.send)
        self._retire(list(self._readers()))
        self._compositor.stop(JOIN_S)
        deadline = time.monotonic() + JOIN_S
        for reader in self._leaving:
            reader.join(max(0.0, deadline - time.monotonic()))

    def _readers(self) -> Iterator[CameraReader]:
        return (reader for mosaic in self._mosaics.values() for reader in mosaic.cameras if reader)

    def _tell(self, reader: CameraReader, now_s: float) -> None:
        """Tell what changed with a camera; what the socket has no room for is told at the next turn."""
        name, epoch = reader.spec.name, reader.spec.epoch
        condition = reader.condition(now_s, self._setup.stale_s)
        if condition.is_news_after(self._told.get(reader)):
            told = CameraTransition(name, epoch, condition.state, condition.reason, condition.detail)
            if self._channel.send(told):
                self._told[reader] = condition
        before, flaws = self._told_flaws.get(reader, frozenset()), reader.flaws
        for flaw in sorted(before ^ flaws):
            if self._channel.send(CameraNotice(name, epoch, reader.explain(flaw), flaw, flaw in before)):
                self._told_flaws[reader] = self._told_flaws.get(reader, frozenset()) ^ {flaw}
        # One a turn: a camera that changes its size with each frame does not fill the log faster.
        if reader.notices:
            self._channel.send(CameraNotice(name, epoch, reader.notices.popleft()))

    def _open(self, message: OpenMosaic) -> None:
        mosaic = self._mosaics.get(message.name) or self._add(message)
        old = [reader for reader in mosaic.cameras if reader]
        kept = {_identity(reader.spec): reader for reader in old}
        readers = tuple(
            kept.pop(_identity(spec), None) or self._reader(spec, mosaic.phase_s) if spec else None
            for spec in message.cameras
        )
        self._retire(list(kept.values()))
        mosaic.cameras = readers
        self._compositor.mosaics = tuple(self._mosaics.values())
        for reader in readers:
            if reader and reader not in old:
                reader.start(random.random() * SPREAD_S)

    def _add(self, message: OpenMosaic) -> MosaicComposer:
        period_s = 1.0 / self._setup.fps
        phase_s = message.phase_ratio * period_s
        refresh_s = self._setup.refresh_s if self._setup.skip_still else None
        mosaic = MosaicComposer(message.name, self._canvas, period_s, phase_s, self._setup.stale_s, refresh_s=refresh_s)
        self._mosaics[message.name] = mosaic
        self._untold.append(mosaic)
        self._tell_slots()
        return mosaic

    def _tell_slots(self) -> None:
        """Hand over new slots; those for which the socket has no room wait for the next turn."""
        new = [mosaic for mosaic in self._untold if self._mosaics.get(mosaic.name) is mosaic]
        self._untold = [
            mosaic
            for mosaic in new
            if not self._channel.send(SlotOpened(mosaic.name), (mosaic.slot.fd, mosaic.slot.wake_fd))
        ]

    def _reader(self, spec: CameraSpec, phase_s: float) -> CameraReader:
        options = SourceOptions(
            spec.url,
            spec.username,
            spec.password,
            self._setup.open_timeout_s,
            self._setup.read_timeout_s,
            hwaccel=spec.hwaccel,
        )
        return CameraReader(spec, options, self._canvas.tile_wh, sampler_for(spec, self._setup.fps, phase_s))

    def _retire(self, readers: list[CameraReader]) -> None:
        for reader in readers:
            reader.stop()
            self._told.pop(reader, None)
            self._told_flaws.pop(reader, None)
        self._leaving += readers

    def _report(self, now_s: float) -> CaptureReport:
        return CaptureReport(
            cameras=tuple(
                reader.report(now_s, self._setup.stale_s, mosaic.superseded_of(reader), mosaic.still_of(reader))
                for mosaic in self._mosaics.values()
                for reader in mosaic.cameras
                if reader
            ),
            mosaics=tuple(mosaic.report() for mosaic in self._mosaics.values()),
            steps=self._compositor.steps,
            cpu_s=time.process_time(),
            memory_mib=memory_mib(),
        )


def _identity(spec: CameraSpec) -> CameraSpec:
    """What makes a camera the same as before: how long it was once held does not."""
    return structs.replace(spec, hold_s=0.0)


def run(channel: Channel[Any]) -> ExitCode:
    """Serve one supervisor until it says Stop, or is gone."""
    process: CaptureProcess | None = None
    while True:
        wait_readable([channel.fileno()], LOOK_S)
        while (received := channel.receive()) is not None:
            if process and not process.obey(received.message, received.fds):
                process.stop()
                return ExitCode.OK
            if process:
                continue
            _close(received.fds)
            if isinstance(received.message, CaptureSetup):
                process = CaptureProcess(channel, received.message)
                process.start()
            elif isinstance(received.message, Stop):
                return ExitCode.OK
        if process:
            process.step(time.monotonic())


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)


def _obituary(death: threading.ExceptHookArgs) -> str:
    """Say where a thread died of what. Not the exception's own words: FFmpeg's hold URLs with passwords."""
    thread = death.thread.name if death.thread else "a thread"
    last = traceback.extract_tb(death.exc_traceback)[-1:]
    where = "".join(f" at {Path(frame.filename).name}:{frame.lineno}" for frame in last)
    return f"{thread}: {death.exc_type.__name__}{where}"


def main() -> None:
    """Entry point of ``python -m capture.process``."""
    born = adopt("A capture process of mosaicd; started by its supervisor.")
    # A thread that died of a bug must not be missed: the process ends, and its successor has all its threads.
    threading.excepthook = lambda death: leave(born.channel, ExitCode.BROKEN, _obituary(death))
    live(born, run)


if __name__ == "__main__":
    main()
