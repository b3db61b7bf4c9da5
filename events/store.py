"""Events, summaries of tracks, counts and media in SQLite: what is written. `events.reading` asks questions.

Every public call is one transaction, or part of the one that :meth:`Store.transaction` opens: whole on the disk when it
returns, or not there at all. For one thread. All calls raise ``UnavailableError`` where the disk is of no use just now,
and ``DamagedError`` where the file is.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from events import outbox
from events.database import failure_of, is_in_place, open_database
from events.words import Batch, Count, Ending, Event, Kind, Notice, TrackSummary, pack, unpack

HOUR_S = 3600

MediaKind = Literal["snapshot", "clip"]


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A picture or a clip that is complete."""

    path: str
    """Below the media folder; begins with the camera's name."""
    event: str
    kind: MediaKind
    camera: str
    made_at: float
    """Wall clock."""
    size_bytes: int


class Store:
    """The open file. ``now`` is the wall clock as it is opened, ``tell`` takes what a person should know.

    Each change of an event is put into the outbox of each of the ``sinks`` in the transaction that keeps it.
    """

    def __init__(self, path: Path, now: float, tell: Callable[[Notice], None], sinks: Sequence[str] = ()) -> None:
        self.path = path
        self._tell = tell
        self._sinks = tuple(sinks)
        self._connection = open_database(path, now, tell)
        self._inode = path.stat().st_ino
        with self.transaction() as connection:
            for sink, count in outbox.begin(connection, self._sinks, now):
                tell(Notice("outbox of a sink that is no more deleted", {"sink": sink, "events": count}))

    def close(self) -> None:
        """Let go of the file; what is committed is in it."""
        self._connection.close()

    def is_in_place(self) -> bool:
        """Whether the file is still where it was opened."""
        return is_in_place(self.path, self._inode)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything that is done within is committed at its end, or not at all. Within another it is part of that."""
        try:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise failure_of(error) from error

    def keep(self, batch: Batch, now: float) -> None:
        """Keep what has happened. An event that is kept already with the same or a later revision stays as it is."""
        with self.transaction() as connection:
            for event in batch.events:
                self._keep_event(connection, event, now)
            connection.executemany(_INSERT_TRACK, map(_track_row, batch.tracks))
            connection.executemany(_ADD_COUNT, map(_count_row, batch.counts))

    def note_media(self, file: MediaFile) -> None:
        """Remember a file, and tell its event, where that is known."""
        with self.transaction() as connection:
            row = (file.path, file.event, file.kind, file.camera, file.made_at, file.size_bytes)
            connection.execute("INSERT OR REPLACE INTO media VALUES (?, ?, ?, ?, ?, ?)", row)
            known = connection.execute("SELECT body FROM events WHERE id = ?", (file.event,)).fetchone()
            if known is not None:
                event = unpack(known[0])
                has_snapshot, has_clip = file.kind == "snapshot", file.kind == "clip"
                event = msgspec.structs.replace(
                    event, has_snapshot=event.has_snapshot or has_snapshot, has_clip=event.has_clip or has_clip
                )
                connection.execute("UPDATE events SET body = ? WHERE id = ?", (pack(event), event.id))

    def delivered(self, sink: str, seqs: Sequence[int]) -> None:
        """Take out of a sink's outbox what it has delivered, or has decided not to."""
        with self.transaction() as connection:
            outbox.delete(connection, sink, seqs)

    def trim_outbox(self, capacity: int) -> dict[str, outbox.Waiting]:
        """Drop what is beyond the capacity of each outbox; return, by sink, what waits then and what was dropped."""
        with self.transaction() as connection:
            return {sink: outbox.trim(connection, sink, capacity) for sink in self._sinks}

    def close_open(self, now: float) -> int:
        """End the events that an earlier life has left open, at the time of their last change; return how many.

        For the start, before anything else is kept.
        """
        with self.transaction() as connection:
            rows = connection.execute("SELECT id, body FROM events WHERE ended_at IS NULL ORDER BY id").fetchall()
            for id_, body in rows:
                try:
                    event = unpack(body)
                except msgspec.DecodeError as error:
                    self._tell(Notice("event forgotten", {"event": id_, "error": str(error)}))
                    connection.execute("DELETE FROM event_zones WHERE event = ?", (id_,))
                    connection.execute("DELETE FROM events WHERE id = ?", (id_,))
                    continue
                self._keep_event(connection, ended(event, Ending.RESTART), now)
        return len(rows)

    def _keep_event(self, connection: sqlite3.Connection, event: Event, now: float) -> None:
        known = connection.execute("SELECT revision, body FROM events WHERE id = ?", (event.id,)).fetchone()
        if known is not None and known[0] >= event.revision:
            return
        body = pack(event)
        outbox.queue(connection, self._sinks, event, before=known[1] if known else None, body=body, now=now)
        row = (event.id, event.camera, event.label, event.ended_at, event.revision, body)
        connection.execute("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?)", row)
        zones = sorted({(visit.zone, event.id) for visit in event.zones})
        connection.executemany("INSERT OR IGNORE INTO event_zones VALUES (?, ?)", zones)


def ended(event: Event, ending: Ending) -> Event:
    """Return the end of an event of which nothing more is known."""
    return msgspec.structs.replace(
        event,
        kind=Kind.END,
        revision=event.revision + 1,
        ended_at=event.updated_at,
        ending=ending,
        zones=tuple(
            msgspec.structs.replace(visit, left_at=event.updated_at) if visit.left_at is None else visit
            for visit in event.zones
        ),
    )


_INSERT_TRACK = "INSERT INTO tracks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ADD_COUNT = """
    INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET crossings = crossings + excluded.crossings
"""


def _track_row(track: TrackSummary) -> tuple[object, ...]:
    speed = track.speed
    return (
        track.camera,
        track.label,
        track.started_at,
        track.ended_at,
        track.sightings,
        track.best_score,
        speed.median_kmh if speed else None,
        speed.max_kmh if speed else None,
        track.event_id,
    )


def _count_row(count: Count) -> tuple[object, ...]:
    return (count.camera, count.line, count.direction, count.label, int(count.at // HOUR_S), count.crossings)
