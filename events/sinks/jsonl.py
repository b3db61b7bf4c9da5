"""Events as JSON Lines, in files that are rotated and bounded: a line for each change, as `events.words.line` has it.

A line that is said to be delivered is in the file, though perhaps not yet on the disk: after a loss of power the
database knows what a file may lack.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from events.clock import BelievedClock
from events.linefile import LineFile, is_rotated, remove_old
from events.outbox import Letter
from events.sinks.courier import CourierPolicy, LaterError
from events.words import Kind, line

POLICY = CourierPolicy(rate_hz=1000.0, burst=1000)
"""A file is not flooded."""
_MIB = 1 << 20
_CLEAN_EVERY_S = 3_600.0


@dataclass(frozen=True, slots=True)
class EventLinesOptions:
    """What is written, and how much of it is kept."""

    ends_only: bool = False
    """One line an event, when it has ended, instead of one a change."""
    max_mib: float = 64.0
    """A file is rotated before it becomes larger. It is also rotated when it is a day old."""
    max_age_days: float = 30.0
    max_old_mib: float = 1024.0
    """All rotated files together; the oldest go first."""


class EventLines:
    """``events.jsonl`` in a folder. ``clock`` is the wall clock."""

    name = "jsonl"

    def __init__(
        self, folder: Path, options: EventLinesOptions | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._options = options or EventLinesOptions()
        self._clock = clock
        self._file = LineFile(folder / "events.jsonl", int(self._options.max_mib * _MIB), clock)
        self._cleaned_at: float | None = None
        # Retention, which has a belief of its own, tells of a doubt.
        self._believed = BelievedClock(folder / "lines-clock.json", lambda _: None)

    def deliver(self, letter: Letter) -> None:
        """Write a line."""
        if self._options.ends_only and letter.event.kind is not Kind.END:
            return
        rotations = self._file.rotations
        try:
            self._file.append([line(letter.event)])
        except OSError as error:
            raise LaterError(f"{error.strerror}: {error.filename}") from error
        is_due = self._cleaned_at is None or abs(self._clock() - self._cleaned_at) >= _CLEAN_EVERY_S
        if is_due or self._file.rotations > rotations:
            self._clean()

    def idle(self, timeout_s: float) -> bool:
        """Nothing has to be done."""
        return False

    def interrupt(self) -> None:
        """Nothing waits for long."""

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _clean(self) -> None:
        self._cleaned_at = self._clock()
        with suppress(OSError):  # what cannot be removed now is removed an hour later; the line is in the file
            own = [path for path in self._folder.glob("events*.jsonl") if is_rotated(path.name)]
            remove_old(
                own, self._believed.judge(self._cleaned_at), self._options.max_age_days, self._options.max_old_mib
            )
