"""What waits to be told, for each sink in the order in which it happened.

The functions are the store's, within its transactions; an :class:`OutboxReader` is a sink's. A row stays until its sink
says that it is delivered. An outbox has a capacity: beyond it updates go first, the oldest before others, and then the
oldest of all.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from events.database import ReadOnlyFile
from events.words import Event, Kind, unpack


@dataclass(frozen=True, slots=True)
class Waiting:
    """An outbox as it was last trimmed."""

    count: int = 0
    oldest_at: float | None = None
    """Wall clock when the oldest of it was queued."""
    dropped: dict[Kind, int] = field(default_factory=dict)
    """By that trimming."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One change of one event, to be told."""

    seq: int
    before: Event | None
    """As it was told before; None when it is new."""
    event: Event


def begin(connection: sqlite3.Connection, sinks: Sequence[str], now: float) -> list[tuple[str, int]]:
    """Make ready a file that was just opened. Return which sinks are no more, and how much was deleted with them.

    A new file's numbers begin where no older one's went, so that a receipt for a row of a file that has been set aside
    fits none of this.
    """
    if connection.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'outbox'").fetchone() is None:
        connection.execute("INSERT INTO sqlite_sequence VALUES ('outbox', ?)", (int(now * 1000),))
    known = connection.execute("SELECT sink, count(*) FROM outbox GROUP BY sink").fetchall()
    gone = [(sink, count) for sink, count in known if sink not in sinks]
    connection.executemany("DELETE FROM outbox WHERE sink = ?", [(sink,) for sink, _ in gone])
    return gone


def queue(
    connection: sqlite3.Connection, sinks: Iterable[str], event: Event, *, before: bytes | None, body: bytes, now: float
) -> None:
    """Put a change into the outbox of each sink."""
    connection.executemany(
        "INSERT INTO outbox (sink, event, kind, queued_at, before, body) VALUES (?, ?, ?, ?, ?, ?)",
        [(sink, event.id, event.kind.value, now, before, body) for sink in sinks],
    )


def delete(connection: sqlite3.Connection, sink: str, seqs: Sequence[int]) -> None:
    """Take rows out; those that are not there are no error."""
    connection.executemany("DELETE FROM outbox WHERE sink = ? AND seq = ?", [(sink, seq) for seq in seqs])


def trim(connection: sqlite3.Connection, sink: str, capacity: int) -> Waiting:
    """Drop what is beyond the capacity, and say what is left."""
    (count,) = connection.execute("SELECT count(*) FROM outbox WHERE sink = ?", (sink,)).fetchone()
    dropped: dict[Kind, int] = {}
    for which in ("AND kind = 'update'", ""):
        if count <= capacity:
            break
        gone = connection.execute(
            f"DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE sink = ? {which} ORDER BY seq LIMIT ?)"
            " RETURNING kind",
            (sink, count - capacity),
        ).fetchall()
        count -= len(gone)
        for (kind,) in gone:
            dropped[Kind(kind)] = dropped.get(Kind(kind), 0) + 1
    oldest = connection.execute("SELECT queued_at FROM outbox WHERE sink = ? ORDER BY seq LIMIT 1", (sink,)).fetchone()
    return Waiting(count, oldest[0] if oldest else None, dropped)


class OutboxReader:
    """A sink's view of what waits for it. For one thread."""

    def __init__(self, path: Path, sink: str) -> None:
        self._file = ReadOnlyFile(path)
        self._sink = sink
        self.spoilt: list[int] = []
        """Numbers of letters that cannot be read, as another version may have left them; whoever takes note clears."""

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        self._file.close()

    def file_number(self) -> int:
        """Return what is another number when another file has taken the place. Raises ``UnavailableError``."""
        return self._file.number()

    def take(self, after: int, limit: int) -> tuple[Letter, ...]:
        """Return the first letters behind a number, in order, but for those that are spoilt.

        Raises ``UnavailableError``.
        """
        rows = self._file.ask(
            "SELECT seq, before, body FROM outbox WHERE sink = ? AND seq > ? ORDER BY seq LIMIT ?",
            (self._sink, after, limit),
        )
        letters = []
        for seq, before, body in rows:
            try:
                letters.append(Letter(seq, unpack(before) if before else None, unpack(body)))
            except msgspec.DecodeError:
                self.spoilt.append(seq)
        return tuple(letters)


def without_stale(letters: Sequence[Letter]) -> Iterator[Letter]:
    """Leave out each update of an event that a later letter tells of again: after an outage they tell nothing any more.

    Beginnings and ends all stay, in their order.
    """
    last = {letter.event.id: letter.seq for letter in letters}
    for letter in letters:
        if letter.event.kind is not Kind.UPDATE or last[letter.event.id] == letter.seq:
            yield letter
