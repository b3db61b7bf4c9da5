"""Events over HTTP: pages of them, one of them with its picture and clip, how many in which hour.

Reads the database that the process of events writes, in a thread of the HTTP server; it is never in the writer's way.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, HTTPException, Query
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict

from daemon import eventmedia
from daemon.api import PROBLEMS, Fault
from events.database import UnavailableError
from events.mediapaths import MEDIA, MediaKind, media_path
from events.reading import MAX_PAGE, EventReader, HourCount, Wanted
from events.words import Event, document, stamp

MAX_DAYS = 31
"""So many days are counted by the hour at once."""
_SINCE = f"That began then or later; hours more than {MAX_DAYS} days before the end are left out."

A = TypeVar("A")

_FAULTS: dict[int | str, dict[str, Any]] = {
    404: {"model": Fault, "description": "There is no such event, or no events are wanted."},
    503: {"model": Fault, "description": "The database cannot be read just now."},
}
_SNAPSHOT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "It is the one of that ETag."},
}
_VIDEO = {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}
_CLIP: dict[int | str, dict[str, Any]] = {
    200: {"content": _VIDEO},
    206: {"content": _VIDEO, "description": "The part that `Range` asks for."},
    400: {"content": {"text/plain": {}}, "description": "That is no `Range`."},
    416: {"content": {"text/plain": {}}, "description": "It is not that long."},
}


def _written(value: object) -> object:
    """As ISO 8601 has it with hyphens: a bare number would be taken for seconds since 1970."""
    if isinstance(value, str) and re.match(r"\d{4}-", value):
        return value
    raise ValueError("should be a time such as 2026-11-30T02:13:05Z")


Moment = Annotated[datetime, BeforeValidator(_written)]

_FIRST = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LAST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


class KeptEvent(BaseModel):
    """One visit of one object, as a line of ``events.jsonl`` has it."""

    model_config = ConfigDict(extra="allow")
    id: str
    camera: str
    label: str
    kind: str
    started_at: str
    ended_at: str | None
    best_score: float


class EventPage(BaseModel):
    """Some events, the newest first, or the oldest if they were asked for upwards."""

    events: tuple[KeptEvent, ...]
    cursor: str | None
    """Give it to get those that follow; null where there are none."""


class Names(BaseModel):
    """Of what there are events."""

    cameras: tuple[str, ...]
    labels: tuple[str, ...]
    zones: tuple[str, ...]


class Began(BaseModel):
    """So many events of a label began on a camera in one hour."""

    camera: str
    label: str
    hour_at: str
    count: int


class Crossings(BaseModel):
    """So many crossed a line in one direction in one hour."""

    camera: str
    line: str
    direction: str
    label: str
    hour_at: str
    count: int


def make_events(database: Path | None) -> APIRouter:
    """Return the routes; ``database`` is None where no events are wanted."""
    api = APIRouter(prefix="/api/v1", tags=["v1"], responses={**PROBLEMS, **_FAULTS})

    def ask(question: Callable[[EventReader], A]) -> A:
        if database is None:
            raise HTTPException(404, "no events are wanted: set events.enabled in the settings")
        try:
            with EventReader(database) as reader:
                return question(reader)
        except UnavailableError as error:
            raise HTTPException(503, f"events cannot be read just now: {error}") from error

    @api.get("/events")
    def events(
        *,
        camera: Annotated[str | None, Query(description="Of this camera alone.")] = None,
        label: Annotated[str | None, Query(description="Of this label alone.")] = None,
        zone: Annotated[str | None, Query(description="That entered this zone.")] = None,
        since: Annotated[Moment | None, Query(description="That began then or later; without a zone, UTC.")] = None,
        until: Annotated[Moment | None, Query(description="That began before then.")] = None,
        cursor: Annotated[
            str | None, Query(max_length=200, description="As the page before gave it, or an event's id.")
        ] = None,
        upwards: Annotated[bool, Query(description="The oldest first.")] = False,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> EventPage:
        """Events that were kept, the newest first."""
        wanted = Wanted(camera, label, zone, _moment(since) if since else None, _moment(until) if until else None)
        page = ask(lambda reader: reader.page(wanted, limit, cursor, upwards=upwards))
        return EventPage(events=tuple(KeptEvent(**document(each)) for each in page.events), cursor=page.cursor)

    def find(id_: str) -> Event:
        found = ask(lambda reader: reader.event(id_))
        if found is None:
            raise HTTPException(404, "there is no such event")
        return found

    @api.get("/events/names")
    def names() -> Names:
        """Of which cameras, labels and zones there are events."""
        found = ask(EventReader.names)
        return Names(cameras=found.cameras, labels=found.labels, zones=found.zones)

    @api.get("/events/hours")
    def hours(
        *,
        since: Annotated[Moment, Query(description=_SINCE)],
        until: Annotated[Moment | None, Query(description="That began before then; now.")] = None,
        camera: Annotated[str | None, Query(description="Of this camera alone.")] = None,
        label: Annotated[str | None, Query(description="Of this label alone.")] = None,
        zone: Annotated[str | None, Query(description="That entered this zone.")] = None,
    ) -> tuple[Began, ...]:
        """How many events began in which hour; hours without any are absent."""
        first, last = _moment(since), _moment(until or datetime.now(UTC))
        wanted = Wanted(camera, label, zone, max(first, last - MAX_DAYS * 86400), last)
        return tuple(map(_began, ask(lambda reader: reader.events_by_hour(wanted))))

    @api.get("/events/{id}")
    def event(id: str) -> KeptEvent:  # noqa: A002 - the path's own word
        """One event."""
        return KeptEvent(**document(find(id)))

    def file_of(event: Event, kind: MediaKind) -> Path:
        assert database is not None  # there is an event
        return database.parent / MEDIA / media_path(event.id, event.camera, kind)

    def sent(answer: Response | None, event: Event, what: str) -> Response:
        if answer is None:
            raise HTTPException(404, f"there is no {what} of this event{' yet' if event.ended_at is None else ''}")
        return answer

    @api.get("/events/{id}/snapshot", response_class=Response, responses=_SNAPSHOT)
    def snapshot(id: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:  # noqa: A002
        """Its picture, of its best moment: while the event is open, a better one may take its place."""
        found = find(id)
        return sent(eventmedia.picture(file_of(found, "snapshot"), if_none_match), found, "picture")

    @api.get("/events/{id}/clip", response_class=Response, responses=_CLIP)
    def clip(id: str) -> Response:  # noqa: A002
        """Its clip, or part of it: while it is being written, what there is by now."""
        found = find(id)
        return sent(eventmedia.clip(file_of(found, "clip")), found, "clip")

    @api.get("/crossings")
    def crossings(
        since: Annotated[Moment, Query(description="From the hour that holds this moment on.")],
        until: Annotated[Moment | None, Query(description="To the hour that holds this one; now.")] = None,
        camera: Annotated[str | None, Query(description="Of this camera alone.")] = None,
    ) -> tuple[Crossings, ...]:
        """How many crossed which line in which hour; hours without any are absent."""
        first, last = _moment(since), _moment(until or datetime.now(UTC))
        return tuple(map(_crossings, ask(lambda reader: reader.crossings(first, last, camera))))

    return api


def _moment(at: datetime) -> float:
    """Seconds since 1970, within the years 1 to 9999 of UTC."""
    seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return max(_FIRST, min(_LAST, seconds))


def _began(count: HourCount) -> Began:
    return Began(camera=count.camera, label=count.label, hour_at=stamp(count.hour_at), count=count.count)


def _crossings(count: HourCount) -> Crossings:
    return Crossings(
        camera=count.camera,
        line=count.line,
        direction=count.direction,
        label=count.label,
        hour_at=stamp(count.hour_at),
        count=count.count,
    )
