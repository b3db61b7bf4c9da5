"""What tests of sinks share: a database with letters in it, and whoever is told of them."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from capture.backoff import Backoff
from events.outbox import Letter
from events.sinks.courier import Courier, CourierPolicy, Recipient
from events.store import ended
from events.words import Batch, Ending, Event, Kind, Notice
from events.writer import Delivered, EventWriter
from tests.events.sample import NIGHT, event

DEADLINE_S = 60.0
QUICK = CourierPolicy(rate_hz=1e6, burst=1000, backoff=Backoff(first_s=0.01, limit_s=0.05))


def life(number: int, updates: int = 1) -> list[Event]:
    """All changes of one event."""
    return [
        event(number),
        *(event(number, kind=Kind.UPDATE, revision=1 + each) for each in range(updates)),
        ended(event(number, revision=updates), Ending.GONE),
    ]


def wait_until(condition: Callable[[], bool]) -> None:
    """Fail if it does not come true."""
    until_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until_s
        threading.Event().wait(0.01)


class Heard:
    """A recipient that remembers, and that fails as it is told to."""

    name = "heard"

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.failures: list[Exception] = []
        self.is_closed = False

    def deliver(self, letter: Letter) -> None:
        """Fail, or remember."""
        if self.failures:
            raise self.failures.pop(0)
        self.letters.append(letter)

    def idle(self, timeout_s: float) -> bool:
        """Nothing has to be done."""
        return False

    def interrupt(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Remember."""
        self.is_closed = True

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Last digit of the id, and the kind."""
        return [(letter.event.id[-1], letter.event.kind.value) for letter in self.letters]


class Site:
    """A writer and one sink; ``more`` sinks have an outbox and nobody who empties it."""

    def __init__(
        self, path: Path, recipient: Recipient, policy: CourierPolicy = QUICK, more: Sequence[str] = ()
    ) -> None:
        self.path = path
        self.told: list[Notice] = []
        name = recipient.name
        self.writer = EventWriter(path, [name, *more], self.told.append, clock=lambda: NIGHT)
        self.courier = Courier(
            path,
            recipient,
            news=self.writer.news(name),
            delivered=lambda seqs: self.writer.offer(Delivered(name, tuple(seqs))),
            tell=self.told.append,
            policy=policy,
        )

    def __enter__(self) -> "Site":
        self.writer.start()
        assert self.writer.flush(DEADLINE_S)
        self.courier.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.courier.stop(DEADLINE_S)
        assert self.writer.stop(DEADLINE_S)

    def keep(self, *events: Event) -> None:
        """Have them on the disk."""
        self.writer.offer(Batch(events=events))
        assert self.writer.flush(DEADLINE_S)

    def wait_told(self) -> None:
        """Wait until nothing is left to be told, and that is on the disk."""
        assert self.courier.wait_empty(DEADLINE_S)
        assert self.writer.flush(DEADLINE_S)

    @property
    def messages(self) -> list[str]:
        """What a person was told."""
        return [notice.message for notice in self.told]
