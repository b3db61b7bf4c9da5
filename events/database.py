"""One SQLite file: opened, checked, brought up to date, and set aside where it is of no use.

Knows nothing of what is in the tables. A file that is damaged, that is somebody else's, or that a newer mosaicd has
written is renamed, never deleted here but for the oldest of several damaged ones; a new one takes its place. A folder
or disk that is of no use raises :class:`UnavailableError`: that may heal.

Write-ahead log, so that readers in other processes neither wait nor are waited for. ``synchronous`` is FULL: what was
committed survives a loss of power, and a sink tells nobody of an event that is then unknown. One fsync a commit is what
it costs, and commits are gathered (`events.writer`): `bench/event_store.py` measures both.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from events.schema import APPLICATION_ID, MIGRATIONS
from events.words import Notice

KEPT_DAMAGED = 3
"""Damaged files that are kept: a disk that spoils one after the other must not be filled with them."""
CHECKED_MIB = 256
"""A file up to this size is checked whole when opened (about 0.3 s); damage in a larger one is found when met."""
BUSY_S = 5.0
_STAMP = "%Y%m%dT%H%M%SZ"
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class UnavailableError(Exception):
    """The file cannot be read or written now: no room, no right, no disk. Trying again later is right."""


class DamagedError(Exception):
    """The file is of no use as it is: its owner closes it and opens anew, which sets it aside."""


class _NewerError(Exception):
    def __init__(self, version: int) -> None:
        super().__init__(f"its schema is version {version}")
        self.version = version


def failure_of(error: sqlite3.Error) -> Exception:
    """Return what an error means: a fault of ours comes back as it is. Raise it ``from`` the error."""
    if _primary_code(error) in _DAMAGED:
        return DamagedError(str(error))
    return UnavailableError(str(error)) if isinstance(error, sqlite3.OperationalError) else error


def open_database(
    path: Path,
    now: float,
    tell: Callable[[Notice], None],
    migrations: Sequence[str] = MIGRATIONS,
) -> sqlite3.Connection:
    """Return a connection to a sound file of the newest schema, for the calling thread; ``now`` is the wall clock.

    Transactions are the caller's (``BEGIN``). Raises ``UnavailableError``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _opened(path, migrations)
        except _NewerError as error:
            new = _set_aside(path, f"schema-{error.version}", now)
            remedy = "install the newer version again and rename the file back to use it"
            tell(Notice("newer event database set aside", {"file": str(new), "remedy": remedy}))
        except DamagedError as error:
            new = _set_aside(path, "corrupt", now)
            remedy = f"what can be saved of it: sqlite3 {new.name} .recover"
            tell(Notice("damaged event database set aside", {"file": str(new), "cause": str(error), "remedy": remedy}))
            _thin_out(path)
        return _opened(path, migrations)
    except OSError as error:
        raise UnavailableError(f"{error.strerror}: {error.filename}") from error
    except DamagedError as error:  # a new one is damaged at once
        raise UnavailableError(str(error)) from error


def open_read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot change anything, for another thread or process. Raises ``UnavailableError``."""
    # A file that was closed in good order, in a folder where we may not write, can be read only as one that stands
    # still: sqlite.org/wal.html#readonly.
    stands_still = not os.access(path.parent, os.W_OK) and not _beside(path, "-wal").exists()
    query = "mode=ro&immutable=1" if stands_still else "mode=ro"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{query}", timeout=BUSY_S, uri=True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise UnavailableError(f"{error}: {path}") from error
    return connection


class ReadOnlyFile:
    """Asks a file that others write, and finds by itself that a new one has taken its place. For one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def number(self) -> int:
        """Return the number of the file that stands there now. Raises ``UnavailableError``."""
        try:
            return self._path.stat().st_ino
        except OSError as error:
            raise UnavailableError(f"{error.strerror}: {self._path}") from error

    def ask(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows. Raises ``UnavailableError``."""
        if self._connection is not None and not is_in_place(self._path, self._inode):
            self.close()
        try:
            if self._connection is None:
                self._connection = open_read_only(self._path)
                self._inode = self._path.stat().st_ino
            return self._connection.execute(query, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise UnavailableError(f"{error}: {self._path}") from error


def is_in_place(path: Path, inode: int) -> bool:
    """Whether this is still the file that was opened: somebody may have moved or deleted it."""
    try:
        return path.stat().st_ino == inode
    except OSError:
        return False


def _opened(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    with suppress(FileExistsError):  # not for everybody to read, nor its log, which SQLite makes like it
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
    try:
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            _prepare(connection, path, migrations)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise failure_of(error) from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    version = _pragma(connection, "user_version")
    owner = _pragma(connection, "application_id")
    is_empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not is_empty and owner != APPLICATION_ID:
        raise DamagedError("it is not ours")
    if version > len(migrations):
        raise _NewerError(version)
    if path.stat().st_size <= CHECKED_MIB << 20:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise DamagedError(found)
    if is_empty:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # works before the first table only
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    connection.execute(f"PRAGMA journal_size_limit = {16 << 20}")
    for number in range(version, len(migrations)):
        _migrate(connection, migrations[number], number + 1)
    _check_tables(connection, migrations)


def _migrate(connection: sqlite3.Connection, script: str, version: int) -> None:
    """Take one step, whole or not at all."""
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {version}; COMMIT;"
        )
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_tables(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Compare with what the scripts make of an empty file. More than that is no harm."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        for script in migrations:
            fresh.executescript(script)
        missing = _tables(fresh) - _tables(connection)
    if missing:
        raise DamagedError(f"tables are missing or altered: {', '.join(sorted(name for name, _ in missing))}")


def _tables(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {(name, sql) for name, sql in found if not name.startswith("sqlite_")}


def _set_aside(path: Path, why: str, now: float) -> Path:
    """Rename log and file; return the file's new path. The log goes first: a new file would take it for its own."""
    stamp = datetime.fromtimestamp(now, UTC).strftime(_STAMP)
    new, number = path.with_name(f"{path.name}.{why}-{stamp}"), 0
    while new.exists():
        number += 1
        new = path.with_name(f"{path.name}.{why}-{stamp}-{number}")
    with suppress(FileNotFoundError):
        _beside(path, "-wal").rename(_beside(new, "-wal"))
    _beside(path, "-shm").unlink(missing_ok=True)
    path.rename(new)
    return new


def _thin_out(path: Path) -> None:
    """Delete the oldest damaged files."""
    damaged = [
        found for found in path.parent.glob(f"{path.name}.corrupt-*") if not found.name.endswith(("-wal", "-shm"))
    ]
    for old in sorted(damaged, key=lambda found: (found.stat().st_mtime, found.name))[:-KEPT_DAMAGED]:
        for file in (old, _beside(old, "-wal")):
            file.unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _primary_code(error: sqlite3.Error) -> int:
    """Without what an extended code adds (sqlite.org/rescode.html)."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
