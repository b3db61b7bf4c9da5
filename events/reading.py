"""Questions to the event database: pages of events, one event, counts by hour. For any process; changes nothing.

An :class:`EventReader` belongs to one thread. It finds by itself that the writer has begun a new file.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from events.database import ReadOnlyFile
from events.store import HOUR_S
from events.words import Event, id_stamp, unpack

MAX_PAGE = 1000
_HOUR_OF_ID = "20261130T02"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; each that is given narrows them. Times are wall clock."""

    camera: str | None = None
    label: str | None = None
    zone: str | None = None
    """Entered at any time."""
    since: float | None = None
    """Began then or later."""
    until: float | None = None
    """Began before."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, the newest first (or the oldest, if they were asked for upwards)."""

    events: tuple[Event, ...]
    cursor: str | None
    """Give it to get those that follow; None where there are none."""


@dataclass(frozen=True, slots=True)
class HourCount:
    """So many in one hour."""

    camera: str
    line: str
    """Empty where events are counted."""
    direction: str
    label: str
    hour_at: float
    """When the hour began, wall clock."""
    count: int


@dataclass(frozen=True, slots=True)
class Names:
    """Of what there are events, each in the order of the alphabet."""

    cameras: tuple[str, ...]
    labels: tuple[str, ...]
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since another question."""

    last: int
    """Ask from here on."""
    events: tuple[Event, ...]
    """As they are now, the last changed last."""


@dataclass(frozen=True, slots=True)
class MediaPath:
    """A picture or clip of an event."""

    path: str
    """Below the media folder."""
    kind: str
    size_bytes: int


class EventReader:
    """A view of the file that is never in the writer's way. Calls raise ``UnavailableError``."""

    def __init__(self, path: Path) -> None:
        self._file = ReadOnlyFile(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        self._file.close()

    def page(
        self, wanted: Wanted | None = None, limit: int = 100, cursor: str | None = None, *, upwards: bool = False
    ) -> Page:
        """Return up to ``limit`` events (at most ``MAX_PAGE``), from the cursor on.

        Events that come while somebody turns pages neither shift nor double any; one that cannot be read is left out.
        """
        limit = max(1, min(limit, MAX_PAGE))
        conditions, values = _conditions(wanted or Wanted())
        if cursor is not None:
            conditions.append("id > ?" if upwards else "id < ?")
            values.append(cursor)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        order = "ASC" if upwards else "DESC"
        rows = self._file.ask(f"SELECT id, body FROM events {where} ORDER BY id {order} LIMIT ?", [*values, limit + 1])
        return Page(_readable(rows[:limit]), rows[limit - 1][0] if len(rows) > limit else None)

    def event(self, id_: str) -> Event | None:
        """Return one event."""
        found = _readable(self._file.ask("SELECT id, body FROM events WHERE id = ?", [id_]))
        return found[0] if found else None

    def media(self, event: str) -> tuple[MediaPath, ...]:
        """Return where an event's picture and clip are."""
        rows = self._file.ask("SELECT path, kind, bytes FROM media WHERE event = ? ORDER BY kind", [event])
        return tuple(MediaPath(*row) for row in rows)

    def crossings(self, since: float, until: float, camera: str | None = None) -> tuple[HourCount, ...]:
        """Return how many crossed each line in each hour that the time touches; hours without any are absent."""
        where, values = ("", []) if camera is None else ("AND camera = ?", [camera])
        rows = self._file.ask(
            "SELECT camera, line, direction, label, hour, crossings FROM counts WHERE hour BETWEEN ? AND ?"
            f" {where} ORDER BY hour, camera, line, direction, label",
            [int(since // HOUR_S), int(until // HOUR_S), *values],
        )
        return tuple(
            HourCount(camera, line, direction, label, hour * HOUR_S, count)
            for camera, line, direction, label, hour, count in rows
        )

    def events_by_hour(self, wanted: Wanted) -> tuple[HourCount, ...]:
        """Return how many events began in each hour, for each camera and label."""
        conditions, values = _conditions(wanted)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._file.ask(
            f"SELECT camera, label, substr(id, 1, {len(_HOUR_OF_ID)}) AS hour, count(*) FROM events {where}"
            " GROUP BY hour, camera, label ORDER BY hour, camera, label",
            values,
        )
        return tuple(HourCount(camera, "", "", label, _hour_at(hour), count) for camera, label, hour, count in rows)

    def names(self) -> Names:
        """Return of which cameras, labels and zones there are events: one step in an index for each."""
        return Names(
            *(self._distinct(*each) for each in (("events", "camera"), ("events", "label"), ("event_zones", "zone")))
        )

    def _distinct(self, table: str, column: str) -> tuple[str, ...]:
        # SQLite reads the whole index for DISTINCT; this looks for the next one each time.
        rows = self._file.ask(
            f"WITH RECURSIVE found(name) AS (SELECT min({column}) FROM {table} UNION ALL"
            f" SELECT (SELECT min({column}) FROM {table} WHERE {column} > name) FROM found WHERE name IS NOT NULL)"
            " SELECT name FROM found WHERE name IS NOT NULL"
        )
        return tuple(name for (name,) in rows)

    def changes(self, after: int | None = None, limit: int = MAX_PAGE) -> Changes:
        """Return which events have changed since; without ``after`` none, but from where on to ask.

        Each change of an event gives its row the highest number (`events.store`), so this reads what is new, no more.
        In a file that has taken the place of another, or where the last changed have been deleted, numbers begin anew:
        what happens from then on is told.
        """
        ((last,),) = self._file.ask("SELECT coalesce(max(rowid), 0) FROM events")
        if after is None or last <= after:
            return Changes(last, ())
        rows = self._file.ask("SELECT rowid, body FROM events WHERE rowid > ? ORDER BY rowid LIMIT ?", [after, limit])
        return Changes(rows[-1][0] if rows else last, _readable(rows))


def _readable(rows: Iterable[tuple[Any, bytes]]) -> tuple[Event, ...]:
    """The events in the last column, but for those that a later version wrote, or a disk has spoilt."""
    found = []
    for _, body in rows:
        with suppress(msgspec.DecodeError):
            found.append(unpack(body))
    return tuple(found)


def _hour_at(hour: str) -> float:
    return datetime.strptime(hour, "%Y%m%dT%H").replace(tzinfo=UTC).timestamp()


def _conditions(wanted: Wanted) -> tuple[list[str], list[object]]:
    pairs: list[tuple[str, object]] = []
    if wanted.camera is not None:
        pairs.append(("camera = ?", wanted.camera))
    if wanted.label is not None:
        pairs.append(("label = ?", wanted.label))
    if wanted.zone is not None:
        pairs.append(("id IN (SELECT event FROM event_zones WHERE zone = ?)", wanted.zone))
    if wanted.since is not None:
        pairs.append(("id >= ?", id_stamp(wanted.since)))
    if wanted.until is not None:
        pairs.append(("id < ?", id_stamp(wanted.until)))
    return [condition for condition, _ in pairs], [value for _, value in pairs]
