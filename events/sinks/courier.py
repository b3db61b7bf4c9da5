"""A sink's thread: takes from its outbox in order, tells its recipient, and says what is delivered.

Knows nothing of how a recipient is told. Told is at least once: who is killed between telling and saying so tells
again, with the same id and revision. What fails is tried again, after longer and longer; what the recipient refuses as
such is given up after a few tries, and counted. After an outage updates that a later letter overtook are left out, and
the rest is told at a bounded rate.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from capture.backoff import Backoff
from events.database import UnavailableError
from events.outbox import Letter, OutboxReader, without_stale
from events.sinks.pace import Pace
from events.words import Kind, Notice

LOOK_EVERY_S = 5.0
"""The outbox is looked at even if nobody says that there is something in it."""
TAKEN = 500
"""Letters taken at once: within so many an update can be overtaken."""
REFUSALS = 3
"""Tries of a letter that the recipient refuses."""
MAX_WAIT_S = 3_600.0
"""However long a recipient asks to be left alone."""

_BACKOFF = Backoff(first_s=1.0, limit_s=60.0)


class LaterError(Exception):
    """The recipient could not be told now. The message is for a person, and holds no secret."""

    def __init__(self, cause: str, retry_after_s: float = 0.0) -> None:
        super().__init__(cause)
        self.retry_after_s = retry_after_s
        """It asks to be left alone for so long."""


class RefusedError(LaterError):
    """The recipient was reached, and does not want this letter."""


class Recipient(Protocol):
    """Who is told. All calls come from the courier's thread but ``interrupt``."""

    @property
    def name(self) -> str:
        """Of the sink, as in its outbox."""

    def deliver(self, letter: Letter) -> None:
        """Tell of one change; returns when it has been taken. Raises ``LaterError`` and ``RefusedError``."""

    def idle(self, timeout_s: float) -> bool:
        """Do what has to be done while nothing is to be told, for less than the time. False: nothing has to.

        Raises ``LaterError`` when it finds that it could not tell anything now.
        """

    def interrupt(self) -> None:
        """Let a ``deliver`` that waits fail soon. From any thread."""

    def close(self) -> None:
        """Say good-bye."""


@dataclass(frozen=True, slots=True)
class CourierPolicy:
    """How a sink is told."""

    rate_hz: float = 20.0
    """On average; what waits after an outage comes no faster."""
    burst: int = 40
    backoff: Backoff = _BACKOFF


@dataclass(frozen=True, slots=True)
class CourierStatistics:
    """Counts since the start."""

    name: str
    told: dict[Kind, int]
    stale: int
    """Updates left out after an outage, because a later letter tells more."""
    refused: int
    """Given up: the recipient does not want them."""
    failures: int
    """Tries that failed."""
    is_well: bool
    cause: str
    """Why the last try failed, while it is not well."""


class Courier:
    """``start`` and ``stop`` are for the owner's thread, ``statistics`` for any.

    ``news`` is set when there may be something in the outbox; ``delivered`` takes the numbers of what is done with;
    ``tell`` takes what a person should know. None of them may wait.
    """

    def __init__(
        self,
        path: Path,
        recipient: Recipient,
        *,
        news: threading.Event,
        delivered: Callable[[Sequence[int]], None],
        tell: Callable[[Notice], None],
        policy: CourierPolicy | None = None,
    ) -> None:
        self._recipient = recipient
        self._outbox = OutboxReader(path, recipient.name)
        self._news = news
        self._delivered = delivered
        self._tell = tell
        self._policy = policy or CourierPolicy()
        self._pace = Pace(self._policy.rate_hz, self._policy.burst)
        self._is_empty = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{recipient.name}")
        self._lock = threading.Lock()
        self._told = dict.fromkeys(Kind, 0)
        self._stale = self._refused = self._failures = 0
        self._cause = ""
        # From here on: the thread's own.
        self._letters: deque[Letter] = deque()
        self._last = 0
        self._file_number = 0
        self._in_a_row = 0
        self._refusals = 0
        self._lost = 0

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def stop(self, deadline_s: float) -> bool:
        """Let what is under way fail, and join the thread. False if the recipient did not let it end in time.

        What waits is told after the next start.
        """
        self.interrupt()
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def interrupt(self) -> None:
        """Let what is under way fail, and the thread end soon."""
        self._stop.set()
        self._news.set()
        self._recipient.interrupt()

    def wait_empty(self, deadline_s: float) -> bool:
        """Wait until all that was in the outbox has been told; False if that takes too long."""
        until_s = time.monotonic() + deadline_s
        for _ in range(2):  # the first may be told of a look that had begun before
            self._is_empty.clear()
            self._news.set()
            if not self._is_empty.wait(until_s - time.monotonic()):
                return False
        return True

    def statistics(self) -> CourierStatistics:
        """Counts since the start."""
        with self._lock:
            return CourierStatistics(
                self._recipient.name,
                dict(self._told),
                self._stale,
                self._refused,
                self._failures,
                not self._cause,
                self._cause,
            )

    def step(self) -> float:
        """Tell the next letter, if there is one; return how long to wait. For the thread, or a test in its place."""
        if not self._letters:
            self._news.clear()
            self._take()
        if not self._letters:
            self._is_empty.set()
            return LOOK_EVERY_S
        delay_s = self._pace.delay_s(time.monotonic())
        return delay_s if delay_s > 0.0 else self._tell_next()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wait(self.step())
        except Exception as error:  # noqa: BLE001 - the top of the thread: report and end
            with self._lock:
                self._cause = repr(error)
            self._tell(Notice("sink failed", {"sink": self._recipient.name, "error": repr(error)}))
        finally:
            self._recipient.close()
            self._outbox.close()

    def _wait(self, delay_s: float) -> None:
        """Wait for so long, or until there is news where that is what is waited for."""
        until_s = time.monotonic() + delay_s
        while not self._stop.is_set():
            left_s = until_s - time.monotonic()
            is_waiting_for_news = not self._letters
            if left_s <= 0.0 or (is_waiting_for_news and self._news.is_set()):
                return
            if not self._idle(left_s):
                (self._news if is_waiting_for_news else self._stop).wait(left_s)

    def _idle(self, left_s: float) -> bool:
        """Let the recipient keep ready, and note whether it is: nobody should learn of it by an event that is late."""
        try:
            is_busy = self._recipient.idle(left_s)
        except LaterError as error:
            if not self._stop.is_set():
                self._note_failure(error)
            return False
        if is_busy and not self._letters:
            self._note_success()
        return is_busy

    def _take(self) -> None:
        try:
            if self._outbox.file_number() != self._file_number:  # a new file, whose numbers may be lower
                self._file_number, self._last = self._outbox.file_number(), 0
            taken = self._outbox.take(self._last, TAKEN)
        except UnavailableError:
            return  # its writer says so
        if spoilt := self._outbox.spoilt:
            self._last = spoilt[-1]
            self._delivered(tuple(spoilt))
            self._tell(Notice("events cannot be read", {"sink": self._recipient.name, "changes": len(spoilt)}))
            spoilt.clear()
            if not taken:
                self._take()  # what is behind them
        if not taken:
            return
        self._last = max(self._last, taken[-1].seq)
        self._letters.extend(taken)
        if len(taken) == TAKEN:
            self._leave_out_stale()

    def _leave_out_stale(self) -> None:
        left = deque(without_stale(tuple(self._letters)))
        stale = {letter.seq for letter in self._letters} - {letter.seq for letter in left}
        if stale:
            self._letters = left
            self._delivered(sorted(stale))
            with self._lock:
                self._stale += len(stale)

    def _tell_next(self) -> float:
        letter = self._letters[0]
        try:
            self._recipient.deliver(letter)
        except LaterError as error:
            return 0.0 if self._stop.is_set() else self._fail(letter, error)
        self._letters.popleft()
        self._delivered((letter.seq,))
        with self._lock:
            self._told[letter.event.kind] += 1
        self._in_a_row = self._refusals = 0
        if not self._note_success():
            self._take_all()
            self._leave_out_stale()
        return 0.0

    def _note_success(self) -> bool:
        """Return whether all was well before, too."""
        with self._lock:
            was_well, self._cause = not self._cause, ""
        if not was_well:
            self._tell(
                Notice("sink is told again", {"sink": self._recipient.name, "refused": self._lost}, is_bad=False)
            )
            self._lost = 0
        return was_well

    def _note_failure(self, error: LaterError) -> None:
        with self._lock:
            self._failures += 1
            was_well, self._cause = not self._cause, str(error)
        if was_well:
            self._tell(Notice("sink cannot be told", {"sink": self._recipient.name, "cause": str(error)}))

    def _take_all(self) -> None:
        """What has come during an outage belongs together: within it updates may be overtaken."""
        count = -1
        while count < len(self._letters) < TAKEN:
            count = len(self._letters)
            self._take()

    def _fail(self, letter: Letter, error: LaterError) -> float:
        self._in_a_row += 1
        self._note_failure(error)
        if isinstance(error, RefusedError):
            self._refusals += 1
            if self._refusals >= REFUSALS:
                self._refusals = 0
                self._lost += 1
                self._letters.popleft()
                self._delivered((letter.seq,))
                with self._lock:
                    self._refused += 1
        delay_s = self._policy.backoff.delay_s(self._in_a_row, random.random())
        return max(delay_s, min(error.retry_after_s, MAX_WAIT_S))
