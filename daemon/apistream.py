"""``/api/v1/stream``: what happens from now on, as server-sent events.

Sightings, and what came and went, are at hand in memory. Events are read from the database that the process of events
writes: what has changed since the last time, and only while somebody listens.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from daemon.api import POLL_S, PROBLEMS, Fault, line_or_nothing
from daemon.recent import Recent
from events.database import UnavailableError
from events.reading import EventReader
from events.words import line

EVENTS_S = 1.0
KEEP_ALIVE_S = 15.0
"""Proxies end a connection over which nothing comes for a minute or so."""
_SLOTS = 16
"""Streams at once; the next is told to come again."""

What = Literal["sighting", "transition", "event"]
_ALL: tuple[What, ...] = ("sighting", "transition", "event")
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    503: {"model": Fault, "description": "Too many streams are open."},
}


def make_stream(recent: Recent, database: Path | None) -> APIRouter:
    """Return the route; ``database`` is None where no events are wanted."""
    api = APIRouter(prefix="/api/v1", tags=["v1"], responses=PROBLEMS)
    streams = asyncio.Semaphore(_SLOTS)

    @api.get("/stream", response_class=StreamingResponse, responses=_ANSWERS)
    async def stream(
        request: Request, what: Annotated[list[What] | None, Query(description="These alone.")] = None
    ) -> StreamingResponse:
        """What happens from now on, as server-sent events: `sighting`, `transition` and `event`."""
        if streams.locked():
            raise HTTPException(503, f"{_SLOTS} streams are open already", headers={"Retry-After": "10"})
        wanted = what or _ALL
        # Before the answer begins: who reads what was until now once it has begun misses nothing.
        news = _News(recent, wanted)
        changes = _Changes(database) if "event" in wanted and database else None
        if changes:
            await run_in_threadpool(changes.take)

        async def happenings() -> AsyncIterator[str]:
            async with streams:
                async for told in _told(news, changes, request.is_disconnected):
                    yield told

        return StreamingResponse(happenings(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    return api


class _News:
    """What of :class:`Recent` has not been told yet."""

    def __init__(self, recent: Recent, wanted: Collection[What]) -> None:
        self._recent = recent
        self._wanted = wanted
        self._last = recent.last

    def take(self) -> list[str]:
        found: list[tuple[int, str, str]] = []
        if "sighting" in self._wanted:
            tiles = self._recent.sightings(self._last)
            found += [(number, "sighting", text) for number, tile in tiles if (text := line_or_nothing(tile))]
        if "transition" in self._wanted:
            changes = self._recent.transitions(self._last)
            found += [(number, "transition", json.dumps(asdict(each))) for number, each in changes]
        self._last = max([self._last, *(number for number, _, _ in found)])
        return [f"id: {number}\nevent: {kind}\ndata: {data}\n\n" for number, kind, data in sorted(found)]


class _Changes:
    """What of the database has not been told yet. ``take`` may wait for the disk."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._last: int | None = None

    def take(self) -> list[str]:
        with suppress(UnavailableError), EventReader(self._database) as reader:  # there may be one later
            found = reader.changes(self._last)
            self._last = found.last
            return [f"event: event\ndata: {line(each).decode()}\n" for each in found.events]
        return []


async def _told(news: _News, changes: _Changes | None, has_gone: Callable[[], Any]) -> AsyncIterator[str]:
    silent_s = unread_s = 0.0
    yield ": mosaicd\n\n"
    while not await has_gone():
        found = news.take()
        if changes and unread_s >= EVENTS_S:
            unread_s = 0.0
            found += await run_in_threadpool(changes.take)
        if found:
            yield "".join(found)
        silent_s, unread_s = 0.0 if found else silent_s + POLL_S, unread_s + POLL_S
        if silent_s >= KEEP_ALIVE_S:
            silent_s = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(POLL_S)
