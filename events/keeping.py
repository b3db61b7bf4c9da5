"""Removes what is too old or too much, and counts it: carries out what `events.retention` says. For one thread.

A file goes before its row, so that whoever is interrupted finds the row again. Files that no row knows, left over from
a database that was set aside or from a crash, get a row, and are kept as long as others.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from events.clock import BelievedClock
from events.database import ReadOnlyFile, UnavailableError
from events.mediapaths import SUFFIXES
from events.retention import DAY_S, Cause, KeptFile, Retention, removals, surplus_rows
from events.store import FILES, HOUR_S, MediaFile, Store, files_of
from events.words import Notice

EVERY_S: Final = 60.0
SWEEP_EVERY_S: Final = 3_600.0
UNFINISHED_S: Final = 3_600.0
"""A file without a row that is younger may still be written."""
SLICE: Final = 2_000
"""Rows deleted in one transaction, so that events do not wait for it."""
_VACUUM_PAGES: Final = 4_000
_KINDS: Final = {suffix: kind for kind, suffix in SUFFIXES.items()}


@dataclass(frozen=True, slots=True)
class Removed:
    """How much was removed."""

    files: int = 0
    file_bytes: int = 0
    events: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(self.files + other.files, self.file_bytes + other.file_bytes, self.events + other.events)


@dataclass(frozen=True, slots=True)
class KeepingStatistics:
    """Counts since the start, and what is kept now."""

    removed: dict[Cause, Removed]
    media_bytes: dict[str, int]
    """By camera."""
    database_bytes: int
    free_bytes: int
    """On the media's disk."""


class Keeping:
    """``statistics`` is for any thread; ``free`` tells the free bytes of the disk on which a folder lies."""

    def __init__(
        self,
        media_folder: Path,
        keep: Retention,
        tell: Callable[[Notice], None],
        *,
        free: Callable[[Path], int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = media_folder
        self._keep = keep
        self._tell = tell
        self._free = free or _free_bytes
        self._clock = BelievedClock(media_folder.parent / "clock.json", tell, monotonic)
        self._lock = threading.Lock()
        self._removed = dict.fromkeys(Cause, Removed())
        self._told = dict.fromkeys(Cause, Removed())
        self._now: tuple[dict[str, int], int, int] = ({}, 0, 0)
        self._rescued: list[tuple[str, str]] = []
        self._stepped_at = self._swept_at = float("-inf")
        self._is_short = False

    def statistics(self) -> KeepingStatistics:
        """What was removed so far, and what was kept at the last look."""
        with self._lock:
            return KeepingStatistics(dict(self._removed), *self._now)

    def step(self, store: Store, now: float) -> None:
        """Remove what has to go, if it is time to look; ``now`` is the wall clock. Raises the store's errors."""
        is_time = abs(now - self._stepped_at) >= EVERY_S
        if not is_time and not self._rescued and self._free(self._folder) >= self._keep.min_free_bytes:
            return
        self._stepped_at = now
        now = self._clock.judge(now)
        if abs(now - self._swept_at) >= SWEEP_EVERY_S:
            self._swept_at = now
            self._adopt_files(store, now)
        self._forget(store, self._rescued)
        self._rescued = []
        self._forget(store, self._remove_media(store.files(), now))
        self._remove_rows(store, now)
        self._tell_removed()
        self._look(store)

    def has_room(self) -> bool:
        """Whether pictures and clips may be added to the disk; for any thread."""
        return self._free(self._folder) >= self._keep.min_free_bytes / 2

    def rescue(self, path: Path, now: float) -> None:
        """Make room on a disk on which nothing can be written any more; ``path`` is the database's.

        What is removed is forgotten once the database can be written again.
        """
        free = self._free(self._folder)
        with self._lock:
            self._now = (*self._now[:2], free)
        if free >= self._keep.min_free_bytes:
            return
        with suppress(UnavailableError), closing(ReadOnlyFile(path)) as database:
            gone = {path for path, _ in self._rescued}
            files = [file for file in files_of(database.ask(FILES)) if file.path not in gone]
            self._rescued += self._remove_media(files, self._clock.judge(now))
            self._tell_removed()

    def _adopt_files(self, store: Store, now: float) -> None:
        with store.transaction() as connection:
            known = {path for (path,) in connection.execute("SELECT path FROM media")}
        for path in self._folder.glob("*/**/*"):
            name = path.relative_to(self._folder).as_posix()
            kind = _KINDS.get(path.suffix)
            if kind is None or name in known or not path.is_file() or path.is_symlink():
                continue
            with suppress(FileNotFoundError):
                status = path.stat()
                if now - status.st_mtime >= UNFINISHED_S:
                    camera = name.split("/", 1)[0]
                    store.note_media(MediaFile(name, path.stem, kind, camera, status.st_mtime, status.st_size))

    def _remove_media(self, files: Sequence[KeptFile], now: float) -> list[tuple[str, str]]:
        """Remove files; return path and event of those that are gone."""
        gone = []
        for removal in removals(files, now, self._free(self._folder), self._keep):
            file = removal.file
            if self._unlink(file.path):
                gone.append((file.path, file.event))
                self._count(removal.cause, Removed(files=1, file_bytes=file.size_bytes))
        return gone

    def _forget(self, store: Store, gone: Sequence[tuple[str, str]]) -> None:
        for start in range(0, len(gone), SLICE):
            store.forget_media(gone[start : start + SLICE])

    def _remove_rows(self, store: Store, now: float) -> None:
        keep = self._keep
        oldest_at = now - keep.max_age_days * DAY_S
        with store.transaction() as connection:
            old = _ids(connection, "SELECT id FROM events WHERE ended_at < ?", oldest_at)
        self._remove_events(store, old, Cause.AGE)
        with store.transaction() as connection:
            counted = connection.execute("SELECT camera, count(*) FROM events GROUP BY camera").fetchall()
            many = [
                id_
                for camera, count in counted
                if count > keep.camera_max_events
                for id_ in _ids(connection, _OLDEST_OF_CAMERA, camera, count - keep.camera_max_events)
            ]
        self._remove_events(store, many, Cause.CAMERA)
        count = sum(count for _, count in counted) - len(many)
        with store.transaction() as connection:
            large = _ids(connection, _OLDEST, surplus_rows(count, used_bytes(connection), keep))
        self._remove_events(store, large, Cause.SIZE)
        with store.transaction() as connection:
            connection.execute("DELETE FROM tracks WHERE ended_at < ?", (oldest_at,))
            hour = int((now - keep.counts_max_age_days * DAY_S) // HOUR_S)
            connection.execute("DELETE FROM counts WHERE hour < ?", (hour,))
        store.give_back(_VACUUM_PAGES)

    def _remove_events(self, store: Store, ids: list[str], cause: Cause) -> None:
        """Remove events with all that belongs to them."""
        for start in range(0, len(ids), SLICE):
            some = ids[start : start + SLICE]
            files = store.media_of(some)
            gone = [(path, event) for path, event in files if self._unlink(path)]
            left = {event for _, event in files} - {event for _, event in gone}
            with store.transaction():
                store.forget_media(gone)
                store.forget_events([id_ for id_ in some if id_ not in left])
            self._count(cause, Removed(files=len(gone), events=len(some) - len(left)))

    def _count(self, cause: Cause, removed: Removed) -> None:
        with self._lock:
            self._removed[cause] += removed

    def _unlink(self, path: str) -> bool:
        try:
            (self._folder / path).unlink(missing_ok=True)
        except OSError as error:
            self._tell(Notice("cannot remove a file", {"file": path, "cause": error.strerror or ""}))
            return False
        return True

    def _look(self, store: Store) -> None:
        with store.transaction() as connection:
            by_camera = dict(connection.execute("SELECT camera, sum(bytes) FROM media GROUP BY camera").fetchall())
            database = used_bytes(connection)
        free = self._free(self._folder)
        with self._lock:
            self._now = (by_camera, database, free)
        was_short, self._is_short = self._is_short, free < self._keep.min_free_bytes
        if self._is_short and not was_short:
            remedy = "nothing of ours is left to remove: make room, or keep fewer clips"
            self._tell(Notice("disk nearly full", {"free_mib": free >> 20, "remedy": remedy}))

    def _tell_removed(self) -> None:
        with self._lock:
            removed, told, self._told = dict(self._removed), self._told, dict(self._removed)
        for cause, now in removed.items():
            if now != told[cause]:
                fields: dict[str, str | int | float] = {
                    "cause": cause.value,
                    "files": now.files - told[cause].files,
                    "mib": (now.file_bytes - told[cause].file_bytes) >> 20,
                    "events": now.events - told[cause].events,
                }
                self._tell(Notice("events and media removed", fields, is_bad=cause is Cause.DISK))


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return what the database holds, less the room in it that is free."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _free_bytes(folder: Path) -> int:
    """What anybody may still take; of the nearest folder above, where this one is not there yet."""
    while not folder.exists():
        folder = folder.parent
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _ids(connection: sqlite3.Connection, query: str, *values: object) -> list[str]:
    return [id_ for (id_,) in connection.execute(query, values)]


_OLDEST = "SELECT id FROM events WHERE ended_at IS NOT NULL ORDER BY id LIMIT ?"
_OLDEST_OF_CAMERA = "SELECT id FROM events WHERE camera = ? AND ended_at IS NOT NULL ORDER BY id LIMIT ?"
