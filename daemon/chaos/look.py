"""What a daemon shows, read from outside: its log, its sightings, its metrics, its processes. Shell.

Everything is read a piece at a time, as it comes, by the one thread that owns the reader.
"""

import http.client
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.chaos.observations import Birth, Death, Process, Return, Sample, Stop, Told
from daemon.chaos.told import Change
from daemon.metrics import parse
from daemon.verdict import Cause
from events.database import UnavailableError
from events.messages import DATABASE
from events.outbox import OutboxReader
from events.reading import MAX_PAGE, EventReader
from events.sinks.jsonl import EventLines
from events.words import Event

ANSWERS_WITHIN_S = 5.0
_MOST_BYTES = 1 << 22
_MOST_LETTERS = 1 << 20
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


class Lines:
    """New whole lines of a file that may not be there yet, may be cut back to its last whole line, and rotated.

    The old file is read to its end before the new one: nothing is lost by a rotation.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._offset = 0

    def read(self) -> list[bytes]:
        """Return the lines that were completed since the last call."""
        if self._fd is None:
            with suppress(FileNotFoundError):
                self._fd, self._offset = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC), 0
        if self._fd is None:
            return []
        lines = self._rest()
        try:
            is_same = os.path.samestat(os.fstat(self._fd), self._path.stat())
        except FileNotFoundError:
            return lines
        if not is_same:
            lines += self._rest()
            self.close()
            return lines + self.read()
        return lines

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _rest(self) -> list[bytes]:
        assert self._fd is not None
        whole = os.pread(self._fd, _MOST_BYTES, self._offset).rpartition(b"\n")[0]
        if not whole:
            return []
        # Only whole lines count as read: half a line may be cut off again.
        self._offset += len(whole) + 1
        return whole.split(b"\n")


class Log:
    """What the daemon's log tells of its children, and where it answers HTTP."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)
        self._pids: dict[str, int] = {}
        self.port: int | None = None
        self.started_s: float | None = None
        """When the first child was started."""

    def read(self) -> list[Told]:
        """Return what was told since the last call."""
        now_s = time.monotonic()
        told: list[Told] = []
        for line in self._lines.read():
            try:
                said = json.loads(line)
            except ValueError:  # of a library, or before the log was set up
                continue
            if isinstance(said, dict):
                told += self._understand(said, now_s, told)
        return told

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()

    def _understand(self, said: dict[str, Any], now_s: float, told: list[Told]) -> Iterator[Told]:
        child = said.get("child", "")
        match said.get("message"):
            case "started" if found := _ADDRESS.search(said.get("http", "")):
                self.port = int(found[1])
            case "child started":
                self._pids[child] = said["pid"]
                self.started_s = self.started_s or now_s
                yield Birth(child, said["pid"], now_s)
            case "child ready":
                yield Return(child, self._pids[child], now_s)
            case "child died":
                yield Death(child, self._pids[child], Cause(said["cause"]), now_s)
            case "child stopped":
                yield Stop(child, self._pids[child], now_s)
            case "child given up":
                # Told right after the death, which it makes one for good.
                yield Death(child, self._pids[child], Cause(said["cause"]), now_s, is_for_good=True)


@dataclass(frozen=True, slots=True)
class Shown:
    """What ``/metrics`` says."""

    answered: dict[str, float]
    """Canvases answered, by mosaic."""
    loop_lag_s: float
    lost_lines: float


def fetch(port: int) -> Shown | None:
    """Ask the daemon; None if it does not answer, or says that its loop is stuck."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWERS_WITHIN_S)) as connection:
        try:
            for path in ("/healthz", "/metrics"):
                connection.request("GET", path)
                response = connection.getresponse()
                text = response.read().decode()
                if response.status != http.client.OK:
                    return None
        except (OSError, http.client.HTTPException):
            return None
    samples = parse(text)
    return Shown(
        {s.labels["mosaic"]: s.value for s in samples if s.name == "mosaicd_mosaic_answered_total"},
        max((s.value for s in samples if s.name == "mosaicd_loop_lag_seconds"), default=0.0),
        sum(s.value for s in samples if s.name == "mosaicd_sink_lines_dropped_total"),
    )


def kept_events(folder: Path) -> list[Event]:
    """Return all events in the database; none where it cannot be read just now."""
    found: list[Event] = []
    with suppress(UnavailableError), EventReader(folder / DATABASE) as reader:
        cursor: str | None = ""
        while cursor is not None:
            page = reader.page(limit=MAX_PAGE, cursor=cursor, upwards=True)
            found, cursor = [*found, *page.events], page.cursor
    return found


def told_changes(folder: Path) -> list[Change]:
    """Return what is in the file of events' lines, and then what waits for it. Raises ``UnavailableError``."""
    lines = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    told = [Change(line["id"], line["revision"], line["kind"]) for line in lines]
    with closing(OutboxReader(folder / DATABASE, EventLines.name)) as outbox:
        waiting = [letter.event for letter in outbox.take(0, _MOST_LETTERS)]
    return told + [Change(event.id, event.revision, event.kind) for event in waiting]


def processes(mark: str, daemon: int) -> list[Process]:
    """Return all processes whose environment has the mark, whoever their parent is, and zombies of the daemon."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        folder = f"/proc/{entry}"
        try:
            with open(f"{folder}/stat", encoding="ascii", errors="replace") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
            if state in "ZX":
                # It has no environment any more, and no command.
                if int(parent) == daemon:
                    found.append(Process(int(entry), int(parent), is_zombie=True))
                continue
            with open(f"{folder}/environ", "rb") as file:
                if mark.encode() not in file.read():
                    continue
            with open(f"{folder}/cmdline", "rb") as file:
                command = tuple(part.decode(errors="replace") for part in file.read().split(b"\0")[:-1])
        except (OSError, ValueError):  # gone, or another user's
            continue
        found.append(Process(int(entry), int(parent), is_zombie=False, command=command))
    return found


def sample(daemon: int, children: dict[str, int]) -> Sample | None:
    """Look at the supervisor's own resources; None if it is gone."""
    try:
        status = Path(f"/proc/{daemon}/status").read_text()
        memory_kib = float(status.partition("RssAnon:")[2].split()[0])
        return Sample(
            time.monotonic(), memory_kib, _count_fds(daemon), sum(_count_fds(pid) for pid in children.values())
        )
    except (OSError, IndexError):
        return None


def _count_fds(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:
        return 0
