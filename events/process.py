"""The process of events: follows what was seen, camera by camera, and keeps what happened.

Its main thread alone analyzes, obeys the supervisor, and reports; the writer and the sinks have threads of their own. A
crash here costs nobody a frame: what was kept stays, what was open is ended at the next start.
"""

import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from capture.channel import Channel
from capture.child import adopt, live, memory_mib, wait_readable
from capture.exits import ExitCode
from capture.mediamessages import Recorded, Snapped
from capture.messages import Ready, Stop
from events.album import Album
from events.analyst import Analyst
from events.keeping import Keeping
from events.mediapaths import MEDIA
from events.messages import (
    DATABASE,
    Away,
    EventsNotice,
    EventsSetup,
    Follow,
    Leave,
    Seen,
    ToEvents,
)
from events.reporting import Reporting
from events.sinks.couriers import Couriers
from events.words import ID_BITS, Batch, Box, Ending, Notice
from events.writer import EventWriter

LOOK_S = 0.2
TICK_S = 1.0
"""How often time passes for cameras from which nothing comes, and how often it is reported."""
STOP_S = 2.0
"""For each of four steps: all of them in less than a child may take to stop."""


class EventsProcess:
    """The main thread's work."""

    def __init__(self, channel: Channel[Any], setup: EventsSetup) -> None:
        self._channel = channel
        folder = Path(setup.folder)
        media = folder / MEDIA
        with suppress(OSError):  # the disk may come later; until then what happens is held
            media.mkdir(parents=True, exist_ok=True)
        self._couriers = Couriers(setup, self._tell)
        self._keeping = Keeping(media, setup.keep, self._tell)
        self._writer = EventWriter(folder / DATABASE, self._couriers.names, self._tell, cares=[self._keeping])
        self._album = Album(
            media,
            send=channel.send,
            keep=self._writer.offer,
            pictured=self._note_snapshot,
            filmed=self._note_clip,
            tell=self._tell,
            has_room=self._keeping.has_room,
            clock=time.time,
        )
        self._analysts: dict[str, Analyst] = {}
        self._reporting = Reporting()
        self._tick_due_s = 0.0

    def start(self) -> None:
        """Start keeping, and say so."""
        self._writer.start()
        self._couriers.start(self._writer)
        self._channel.send(Ready(memory_mib()))

    def obey(self, message: object) -> bool:
        """Carry out one message; return False for Stop."""
        match message:
            case Follow(camera, rules, recording):
                self._album.follow(camera, recording)
                before = self._analysts.get(camera)
                if before is None or before.rules != rules:
                    self._end(camera, Ending.STOPPED)
                    self._analysts[camera] = Analyst(camera, rules, lambda: secrets.randbits(ID_BITS))
            case Leave(camera):
                self._end(camera, Ending.STOPPED)
                self._analysts.pop(camera, None)
                self._reporting.forget(camera)
                self._album.leave(camera)
            case Away(camera):
                self._end(camera, Ending.CAMERA_DOWN)
            case Seen(frames):
                for frame in frames:
                    if (analyst := self._analysts.get(frame.camera)) is not None:
                        at_s, at = frame.captured_mono_s, frame.captured_at
                        self._keep(analyst.see(at_s, at, frame.source_wh, frame.sightings))
            case Recorded() | Snapped():
                self._album.hear(message)
            case Stop():
                return False
        return True

    def step(self, now_s: float) -> None:
        """Let time pass, and report when it is due. Raises RuntimeError if nobody keeps what happens."""
        if not self._writer.is_alive():
            raise RuntimeError("the thread that keeps events has ended")
        self._reporting.note_step()
        if now_s < self._tick_due_s:
            return
        self._tick_due_s = now_s + TICK_S
        for analyst in self._analysts.values():
            self._keep(analyst.tick(now_s))
        self._album.step([moment for each in self._analysts.values() for moment in each.lives.open()], now_s)
        self._report()

    def stop(self) -> None:
        """End all events, keep them, and tell of them as far as there is time."""
        self._album.stop()
        for camera in self._analysts:
            self._end(camera, Ending.STOPPED)
        self._writer.flush(STOP_S)
        self._couriers.stop(STOP_S, STOP_S)
        self._writer.stop(STOP_S)
        self._report()

    def _end(self, camera: str, ending: Ending) -> None:
        if (analyst := self._analysts.get(camera)) is not None:
            self._keep(analyst.close(ending))

    def _keep(self, batch: Batch) -> None:
        if batch:
            self._reporting.note(batch)
            self._writer.offer(batch)
            self._album.note(batch.moments, time.monotonic())

    def _note_snapshot(self, camera: str, event: str, box: Box | None) -> None:
        if (analyst := self._analysts.get(camera)) is not None:
            analyst.lives.note_snapshot(event, box)

    def _note_clip(self, camera: str, event: str) -> None:
        if (analyst := self._analysts.get(camera)) is not None:
            analyst.lives.note_clip(event)

    def _tell(self, notice: Notice) -> None:
        self._channel.send(EventsNotice(notice.message, notice.fields, notice.is_bad))

    def _report(self) -> None:
        report = self._reporting.report(
            self._analysts,
            self._writer.statistics(),
            self._couriers.statistics(),
            self._keeping.statistics(),
            self._album.statistics(),
            cpu_s=time.process_time(),
            memory_mib=memory_mib(),
        )
        if self._channel.send(report):
            self._reporting.sent(report)


def run(channel: Channel[Any]) -> ExitCode:
    """Serve one supervisor until it says Stop, or is gone."""
    process: EventsProcess | None = None
    while True:
        wait_readable([channel.fileno()], LOOK_S)
        while (received := channel.receive()) is not None:
            if isinstance(received.message, EventsSetup) and process is None:
                process = EventsProcess(channel, received.message)
                process.start()
            elif process is None and isinstance(received.message, Stop):
                return ExitCode.OK
            elif process and not process.obey(received.message):
                process.stop()
                return ExitCode.OK
        if process:
            process.step(time.monotonic())


def main() -> None:
    """Entry point of ``python -m events.process``."""
    live(adopt("The process of events of mosaicd; started by its supervisor.", ToEvents), run)


if __name__ == "__main__":
    main()
