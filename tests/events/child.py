"""The process of events as a supervisor has it: a real one, started, fed, killed and started again."""

import fcntl
import os
import select
import termios
import time
from array import array
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from capture.messages import Ready, Stop
from daemon.child import Child, ChildSpec, Death
from daemon.lifecycle import Command
from events.database import UnavailableError
from events.messages import DATABASE, EventsNotice, EventsReport, EventsSetup, Follow, Seen, SeenFrame
from events.reading import EventReader
from events.words import Event
from tests.events.recipients import DEADLINE_S


class EventsChild:
    """One process at a time, over the same folder. ``setup`` is what else it is told."""

    def __init__(self, folder: Path, cameras: Iterable[str], **setup: Any) -> None:
        self.folder = folder
        self.path = folder / DATABASE
        self.notices: list[EventsNotice] = []
        self.report: EventsReport | None = None
        self._cameras = tuple(cameras)
        self._setup = EventsSetup(str(folder), **setup)
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        self._child = Child(ChildSpec("e1", "events", "events.process", environ))
        self._is_ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._child.pid is not None:
            self.kill()

    @property
    def pid(self) -> int:
        """Of the one that lives."""
        assert self._child.pid is not None
        return self._child.pid

    @property
    def messages(self) -> list[str]:
        """What a person was told."""
        return [notice.message for notice in self.notices]

    def spawn(self) -> None:
        """Start one, and tell it what to do."""
        self._is_ready, self.report = False, None
        self._child.spawn()
        for message in (self._setup, *map(Follow, self._cameras)):
            assert self._child.send(message)

    def wait_ready(self) -> None:
        """Wait until it says that it is."""
        self.wait_until(lambda: self._is_ready)

    def see(self, *frames: SeenFrame) -> None:
        """Hand over frames; waits where a supervisor would drop them."""
        self.wait_until(lambda: self._child.send(Seen(frames)))

    def wait_seen(self) -> None:
        """Wait until it has taken in all that was handed over, and has said how it stands then."""
        self.wait_until(lambda: not _unread_bytes(self._child.descriptors[0]))
        self.listen()
        self.report = None
        self.wait_until(lambda: self.report)

    def listen(self, timeout_s: float = 0.0) -> None:
        """Hear what it has said."""
        channel, stderr, _ = self._child.descriptors
        select.select([channel], [], [], timeout_s)
        for received in self._child.receive():
            for descriptor in received.fds:  # of orders to capture processes
                os.close(descriptor)
            match received.message:
                case EventsReport() as report:
                    self.report = report
                case EventsNotice() as notice:
                    self.notices.append(notice)
                case Ready():
                    self._is_ready = True
        if stderr in select.select([stderr], [], [], 0.0)[0]:
            self._child.read_stderr()
        if self._child.has_hung_up:
            raise AssertionError(f"it has died: {self._bury()}")

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Listen until it comes true; fail if it does not."""
        until_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < until_s, (self.report, self.notices)
            self.listen(0.02)

    def kill(self) -> None:
        """SIGKILL, at once."""
        self._child.obey(Command.KILL)
        self._bury()

    def stop(self) -> Death:
        """Ask it to stop, and wait for its end."""
        self.see()
        assert self._child.send(Stop())
        return self._bury()

    def kept(self) -> list[Event]:
        """All events in the database, in the order of their ids."""
        return kept(self.path)

    def _bury(self) -> Death:
        _, _, pidfd = self._child.descriptors
        assert select.select([pidfd], [], [], DEADLINE_S)[0]
        death = self._child.bury()
        self.notices += [each.message for each in death.received if isinstance(each.message, EventsNotice)]
        return death


def _unread_bytes(channel: int) -> int:
    """Of what was sent, unix(7)."""
    found = array("i", [0])
    fcntl.ioctl(channel, termios.TIOCOUTQ, found)
    return found[0]


def kept(path: Path) -> list[Event]:
    """All events of a database, in the order of their ids; none of one that is only being made."""
    found: list[Event] = []
    with suppress(UnavailableError), EventReader(path) as reader:
        cursor = None
        while True:
            page = reader.page(limit=1000, cursor=cursor, upwards=True)
            found += page.events
            if (cursor := page.cursor) is None:
                break
    return found
