"""Events, summaries of tracks, counts and media in SQLite: what is written. `events.reading` asks questions.

Every public call is one transaction, or part of the one that :meth:`Store.transaction` opens: whole on the disk when it
returns, or not there at all. For one thread. All calls raise ``UnavailableError`` where the disk is of no use just now,
and ``DamagedError`` where the file is.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from events import outbox
from events.database import failure_of, is_in_place, open_database
from events.mediapaths import MediaKind
from events.retention import KeptFile
from events.words import Batch, Box, Count, Ending, Event, Kind, Notice, TrackSummary, document, pack, unpack

HOUR_S = 3600


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
    box: Box | None = None
    """Where the object is in a picture, if it is of a moment that is known."""


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
        """Keep what has happened. An event that is kept already with the same or a later revision stays as it is.

        What could not be read again, for a number or time in it is none, is told of and left out.
        """
        with self.transaction() as connection:
            for event in batch.events:
                self._keep_event(connection, event, now)
            connection.executemany(_INSERT_TRACK, map(_track_row, batch.tracks))
            connection.executemany(_ADD_COUNT, [_count_row(count) for count in batch.counts if isfinite(count.at)])

    def note_media(self, file: MediaFile) -> None:
        """Remember a file, and tell its event, where that is known."""
        with self.transaction() as connection:
            row = (file.path, file.event, file.kind, file.camera, file.made_at, file.size_bytes)
            connection.execute("INSERT OR REPLACE INTO media VALUES (?, ?, ?, ?, ?, ?)", row)
            if file.kind == "snapshot":
                self._tell_event(connection, file.event, has_snapshot=True, snapshot_box=file.box)
            else:
                self._tell_event(connection, file.event, has_clip=True)

    def files(self) -> list[KeptFile]:
        """Return all media, the oldest first."""
        with self.transaction() as connection:
            return files_of(connection.execute(FILES).fetchall())

    def media_of(self, events: Sequence[str]) -> list[tuple[str, str]]:
        """Return path and event of all files of these events."""
        with self.transaction() as connection:
            query = "SELECT path, event FROM media WHERE event = ?"
            return [row for event in events for row in connection.execute(query, (event,)).fetchall()]

    def forget_media(self, files: Sequence[tuple[str, str]]) -> None:
        """Forget files that are no more, given by path and event, and tell their events."""
        with self.transaction() as connection:
            connection.executemany("DELETE FROM media WHERE path = ?", [(path,) for path, _ in files])
            for id_ in {event for _, event in files}:
                left = connection.execute("SELECT kind FROM media WHERE event = ?", (id_,)).fetchall()
                if ("snapshot",) not in left:
                    self._tell_event(connection, id_, has_snapshot=False, snapshot_box=None)
                if ("clip",) not in left:
                    self._tell_event(connection, id_, has_clip=False)

    def forget_events(self, ids: Sequence[str]) -> None:
        """Delete events; what waits in an outbox is told all the same."""
        with self.transaction() as connection:
            rows = [(id_,) for id_ in ids]
            connection.executemany("DELETE FROM event_zones WHERE event = ?", rows)
            connection.executemany("DELETE FROM events WHERE id = ?", rows)

    def give_back(self, pages: int) -> None:
        """Give free room in the file back to the disk, so many pages of it."""
        with self.transaction() as connection:
            connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()

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

    def _tell_event(self, connection: sqlite3.Connection, id_: str, **media: Any) -> None:
        """Tell an event of what there is of it."""
        known = connection.execute("SELECT body FROM events WHERE id = ?", (id_,)).fetchone()
        if known is None:
            return
        with suppress(msgspec.DecodeError):  # what cannot be read has no need to know
            event = msgspec.structs.replace(unpack(known[0]), **media)
            connection.execute(_TELL_MEDIA, (pack(event), id_))

    def _keep_event(self, connection: sqlite3.Connection, event: Event, now: float) -> None:
        known = connection.execute("SELECT revision, body FROM events WHERE id = ?", (event.id,)).fetchone()
        if known is not None and known[0] >= event.revision:
            return
        body = pack(event)
        try:
            document(unpack(body))
        except (msgspec.DecodeError, ValueError) as error:
            self._tell(Notice("event cannot be kept", {"event": event.id, "error": str(error)}))
            return
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


def files_of(rows: Iterable[tuple[Any, ...]]) -> list[KeptFile]:
    """Return what :data:`FILES` has found."""
    return [KeptFile(path, event, camera, at, size, bool(is_open)) for path, event, camera, at, size, is_open in rows]


FILES = """
    SELECT path, event, media.camera, made_at, bytes, events.id IS NOT NULL AND events.ended_at IS NULL
    FROM media LEFT JOIN events ON events.id = media.event ORDER BY made_at
"""
# Its row gets the highest number, as one that is replaced does: readers see by that what has changed.
_TELL_MEDIA = "UPDATE events SET body = ?, rowid = (SELECT max(rowid) + 1 FROM events) WHERE id = ?"
_INSERT_TRACK = "INSERT OR IGNORE INTO tracks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
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
