"""The one thread that writes the event database: gathers what comes, keeps it in one transaction, wakes the sinks.

Owns thread, queue and store. Nobody waits for the disk but this thread. While the disk is of no use, what comes is held
in memory, up to a bound, and tried again; a file that is damaged is set aside and begun anew.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from events.database import DamagedError, UnavailableError
from events.outbox import Waiting
from events.store import MediaFile, Store
from events.words import Batch, Event, Kind, Notice

GATHER_S = 0.1
"""What comes within so long is synced to the disk at once."""
RETRY_S = 2.0
CARE_EVERY_S = 10.0
"""Outboxes are trimmed, and what is too old or too much is removed."""


@dataclass(frozen=True, slots=True)
class WriterPolicy:
    """Bounds."""

    held: int = 10_000
    """Batches that wait for the disk; beyond, updates go first, then the oldest, but no end of what is kept."""
    outbox: int = 100_000
    """Events that wait for one sink."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A sink has told of these, or has decided not to."""

    sink: str
    seqs: tuple[int, ...]


Item = Batch | Delivered | MediaFile


class Care(Protocol):
    """What is done now and then to what is kept. Called by the writer's thread; may raise the store's errors."""

    def step(self, store: Store, now: float) -> None:
        """Do it; ``now`` is the wall clock."""

    def rescue(self, path: Path, now: float) -> None:
        """The database at ``path`` cannot be written just now: make room, if that is why."""


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """Counts since the start."""

    kept: dict[Kind, int]
    """Changes of events on the disk."""
    lost: dict[Kind, int]
    """Changes of events that were dropped because the disk was of no use for too long."""
    held: int
    """What waits for the disk."""
    is_well: bool
    """The last try went well."""
    outboxes: dict[str, Waiting]
    """By sink; ``dropped`` since the start."""


class EventWriter:
    """``offer``, ``news`` and ``statistics`` are for any thread, ``start`` and ``stop`` for the owner's.

    ``clock`` is the wall clock, ``tell`` takes what a person should know; it is called from this thread and must not
    wait.
    """

    def __init__(
        self,
        path: Path,
        sinks: Sequence[str],
        tell: Callable[[Notice], None],
        *,
        policy: WriterPolicy | None = None,
        cares: Sequence[Care] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._tell = tell
        self._policy = policy or WriterPolicy()
        self._cares = tuple(cares)
        self._clock = clock
        self._news = {sink: threading.Event() for sink in sinks}
        self._lock = threading.Lock()
        self._queue: deque[Item] = deque()
        self._offered, self._done = 1, 0  # the opening is the first
        self._kept = dict.fromkeys(Kind, 0)
        self._lost = dict.fromkeys(Kind, 0)
        self._open: set[str] = set()
        """Of what this life has kept: whose end must not be dropped, lest it stays open until the next start."""
        self._ends: list[Event] = []
        """Such ends, of batches that were dropped."""
        self._outboxes = {sink: Waiting() for sink in sinks}
        self._is_well = True
        self._has_ended = False
        self._is_moved = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-writer")
        # From here on: the thread's own.
        self._store: Store | None = None
        self._has_closed_open = False
        self._cared_at_s = -CARE_EVERY_S

    def start(self) -> None:
        """Start the thread, which opens the file at once; once."""
        self._wake.set()
        self._thread.start()

    def stop(self, deadline_s: float) -> bool:
        """Keep what waits, and join the thread. False if the disk did not let it end in time, or not keep all."""
        self._stop.set()
        self._wake.set()
        self._thread.join(deadline_s)
        with self._lock:
            return not self._thread.is_alive() and not self._queue

    def is_alive(self) -> bool:
        """Whether the thread runs; one that has ended by itself will not come back."""
        return self._thread.is_alive()

    def offer(self, item: Item) -> None:
        """Hand something over to be kept; never waits."""
        with self._lock:
            if len(self._queue) >= self._policy.held:
                self._make_room()
            self._queue.append(item)
            self._offered += 1
        self._wake.set()

    def flush(self, deadline_s: float) -> bool:
        """Wait until the file is open and all that was offered so far is in it (or given up).

        False if that takes too long, or the thread has ended.
        """
        with self._is_moved:
            until = self._offered
            self._is_moved.wait_for(lambda: self._done >= until or self._has_ended, deadline_s)
            return self._done >= until

    def news(self, sink: str) -> threading.Event:
        """Return what is set whenever something may wait for a sink; the sink clears it."""
        return self._news[sink]

    def statistics(self) -> WriterStatistics:
        """Counts since the start."""
        with self._lock:
            return WriterStatistics(
                dict(self._kept),
                dict(self._lost),
                len(self._queue) + len(self._ends),
                self._is_well,
                dict(self._outboxes),
            )

    def step(self) -> bool:
        """Keep all that waits. False where the disk is of no use. For the thread, or for a test in its place."""
        with self._lock:
            items, self._queue = self._queue, deque()
            if self._ends:
                items.appendleft(Batch(events=tuple(self._ends)))
                self._ends, self._offered = [], self._offered + 1
        try:
            self._keep(items)
            self._take_care()
        except (UnavailableError, DamagedError) as error:
            self._close()
            with self._lock:
                items.extend(self._queue)
                self._queue = items
                while len(self._queue) > self._policy.held:
                    self._make_room()
            self._note_trouble(error)
            for care in self._cares:
                care.rescue(self._path, self._clock())
            return False
        with self._lock:
            was_well, self._is_well, lost = self._is_well, True, sum(self._lost.values())
        if not was_well:
            self._tell(Notice("events are kept again", {"lost": lost}, is_bad=False))
        return True

    def _run(self) -> None:
        delay_s = 0.0
        try:
            while not self._stop.wait(delay_s):
                self._wake.wait(CARE_EVERY_S)
                self._wake.clear()
                delay_s = GATHER_S
                if not self.step():
                    self._wake.set()  # what is held is tried again, even if nothing new comes
                    delay_s = RETRY_S
            self.step()
        except Exception as error:  # noqa: BLE001 - the top of the thread: report and end
            self._tell(Notice("event writer failed", {"error": repr(error)}))
        finally:
            self._close()
            with self._is_moved:
                self._has_ended = True
                self._is_moved.notify_all()

    def _keep(self, items: deque[Item]) -> None:
        """Keep the items and empty the queue that holds them."""
        if self._store is not None and not self._store.is_in_place():
            self._tell(Notice("event database is gone, and begun anew", {"file": str(self._path)}))
            self._close()
        now = self._clock()
        store = self._store = self._store or Store(self._path, now, self._tell, tuple(self._news))
        with store.transaction():
            if not self._has_closed_open:
                store.close_open(now)
            for item in items:
                if isinstance(item, Batch):
                    store.keep(item, now)
                elif isinstance(item, Delivered):
                    store.delivered(item.sink, item.seqs)
                else:
                    store.note_media(item)
        is_first, self._has_closed_open = not self._has_closed_open, True
        events = [event for item in items if isinstance(item, Batch) for event in item.events]
        with self._is_moved:
            for event in events:
                self._kept[event.kind] += 1
                (self._open.discard if event.kind is Kind.END else self._open.add)(event.id)
            self._done += len(items) + is_first
            self._is_moved.notify_all()
        items.clear()
        if events or is_first:
            for news in self._news.values():
                news.set()

    def _take_care(self) -> None:
        now_s = time.monotonic()
        if self._store is None or now_s - self._cared_at_s < CARE_EVERY_S:
            return
        self._cared_at_s = now_s
        found = self._store.trim_outbox(self._policy.outbox)
        with self._lock:
            before = self._outboxes
            self._outboxes = {
                sink: replace(waiting, dropped=_sum(before[sink].dropped, waiting.dropped))
                for sink, waiting in found.items()
            }
        for sink, waiting in found.items():
            if waiting.dropped and not before[sink].dropped:
                dropped = sum(waiting.dropped.values())
                self._tell(Notice("outbox full, events dropped", {"sink": sink, "dropped": dropped}))
        for care in self._cares:
            care.step(self._store, self._clock())

    def _make_room(self) -> None:
        """Drop what can be missed best: updates, the oldest first; else the oldest of all. With the lock held."""
        updates = (number for number, item in enumerate(self._queue) if _is_only_updates(item))
        number = next(updates, 0)
        item = self._queue[number]
        del self._queue[number]
        self._done += 1
        for event in item.events if isinstance(item, Batch) else ():
            if event.kind is Kind.END and event.id in self._open:
                self._ends.append(event)
            else:
                self._lost[event.kind] += 1

    def _note_trouble(self, error: Exception) -> None:
        """Say once that events are not kept. A damaged file is begun anew at the next step, which says so."""
        if isinstance(error, DamagedError):
            return
        with self._lock:
            was_well, self._is_well = self._is_well, False
        if was_well:
            self._tell(Notice("events are not kept", {"cause": str(error), "file": str(self._path)}))

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


def _is_only_updates(item: Item) -> bool:
    if not isinstance(item, Batch) or item.tracks or item.counts:
        return False
    return all(event.kind is Kind.UPDATE for event in item.events)


def _sum(first: dict[Kind, int], second: dict[Kind, int]) -> dict[Kind, int]:
    return {kind: first.get(kind, 0) + second.get(kind, 0) for kind in {*first, *second}}
