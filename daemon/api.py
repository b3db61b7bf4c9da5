"""``/api/v1``: what the daemon shows of itself as JSON.

Owns the documents' shape (an OpenAPI document describes it) and the way from :class:`~daemon.statistics.Statistics`.
Nothing here holds a setting, or a camera's URL. It changes nothing; :mod:`daemon.apiorders` does,
and what happens is told by :mod:`daemon.apistream`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from email.utils import formatdate
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, WithJsonSchema

from daemon.eventstatus import EventsNow, events_now
from daemon.pictures import Pictures
from daemon.recent import Recent
from daemon.sinks.jsonl import SightedTile, line_of
from daemon.statistics import CameraStatistics, ChildStatistics, DisabledCamera, MosaicStatistics, Statistics

POLL_S = 0.25
PICTURE_S = 2.0


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Fault(_View):
    """Why there is no other answer."""

    detail: str
    remedy: str = ""


PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Fault, "description": "A token is needed, and not given."},
    403: {"model": Fault, "description": "A page from elsewhere wants to change something."},
    421: {"model": Fault, "description": "The host's name is not known."},
}
"""What may be answered before a route is asked."""
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
    204: {"description": "None has come in two seconds."},
    404: {"model": Fault},
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Fault}}


_Pair = Annotated[
    tuple[int, int],
    # As a list of two: what reads such documents seldom knows `prefixItems`.
    WithJsonSchema({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}),
]


class Camera(_View):
    """One camera."""

    name: str
    mosaic: str
    tile: int
    is_up: bool
    state: str
    reason: str | None
    since_s: float
    """Seconds in this condition."""
    is_asleep: bool
    flaws: tuple[str, ...]
    frame_wh: _Pair
    last_frame_at: float
    """Wall clock, seconds since 1970; 0 before the first."""
    key_frame_interval_s: float
    connects: int
    failures: dict[str, int]
    received_bytes: int
    frames_received: int
    frames_decoded: int
    frames_analyzed: int
    frames_dropped: dict[str, int]
    sightings: dict[str, int]
    cpu_s: float


class Disabled(_View):
    """One camera of the roster that is not read."""

    name: str
    by_hand: bool
    """A person has switched it off, and may switch it on; else the roster disables it."""
    why: str


class Mosaic(_View):
    """One mosaic."""

    name: str
    cameras: tuple[str | None, ...]
    worker: str | None
    is_answered: bool
    last_answer_age_s: float | None
    composed: int
    answered: int
    live_tiles: int
    shed_ratio: float
    apart: str


class Process(_View):
    """One capture process or worker."""

    name: str
    kind: str
    is_up: bool
    phase: str
    generation: int
    restarts: dict[str, int]
    last_cause: str
    cpu_s: float
    memory_mib: float
    device: str
    memory_limit_mib: int | None
    answered: int
    inference_s: float
    capacity: float | None
    changed: tuple[str, ...]


class Status(_View):
    """All of it."""

    version: str
    words: str
    is_ready: bool
    notices: tuple[str, ...]
    started_at: float
    cameras: tuple[Camera, ...]
    disabled: tuple[Disabled, ...]
    mosaics: tuple[Mosaic, ...]
    processes: tuple[Process, ...]
    events: EventsNow | None
    """Null where none are wanted."""


class Change(_View):
    """A camera or a process that came up or went down."""

    at: float
    """Wall clock, seconds since 1970."""
    kind: str
    name: str
    state: str
    reason: str
    detail: str


class Seen(_View):
    """One frame on which something was seen, as a line of the sightings' files has it."""

    model_config = ConfigDict(extra="allow")
    camera: str
    captured_at: str
    sightings: tuple[dict[str, Any], ...]


def make_api(read: Callable[[], Statistics], recent: Recent, pictures: Pictures, version: str) -> APIRouter:
    """Return the routes; ``read`` is called on the HTTP thread and must not block."""
    api = APIRouter(prefix="/api/v1", tags=["v1"], responses=PROBLEMS)

    @api.get("/status")
    async def status() -> Status:
        """Everything at once."""
        return status_of(read(), version)

    @api.get("/cameras")
    async def cameras() -> tuple[Camera, ...]:
        """All enabled cameras."""
        return tuple(map(_camera, read().cameras))

    @api.get("/cameras/{name}", responses=_NOT_FOUND)
    async def camera(name: str) -> Camera:
        """One camera."""
        now = read()
        for each in now.cameras:
            if each.name == name:
                return _camera(each)
        for other in now.disabled:
            if other.name == name:
                raise HTTPException(404, f"this camera is not read: {other.words}")
        raise HTTPException(404, "there is no such camera in the roster")

    @api.get("/disabled")
    async def disabled() -> tuple[Disabled, ...]:
        """All cameras of the roster that are not read."""
        return tuple(map(_disabled, read().disabled))

    @api.get("/mosaics")
    async def mosaics() -> tuple[Mosaic, ...]:
        """All mosaics."""
        return tuple(map(_mosaic, read().mosaics))

    @api.get("/mosaics/{name}/picture", response_class=Response, responses=_PICTURE)
    async def picture(
        name: str,
        after: Annotated[int, Query(ge=0, description="Only one newer than this number is wanted.")] = 0,
        within_s: Annotated[float, Query(ge=0, le=PICTURE_S, description="How long to wait for one.")] = PICTURE_S,
    ) -> Response:
        """What the mosaic shows, boxes drawn: drawn only while somebody asks. Its number is its ETag.

        204 where none has come in that time: nothing moves, or nobody answers the mosaic.
        """
        if name not in {mosaic.name for mosaic in read().mosaics}:
            raise HTTPException(404, "there is no such mosaic")
        for left in range(int(within_s / POLL_S), -1, -1):
            shot = pictures.ask(name)
            if shot is not None and shot.number > after:
                headers = {
                    "Cache-Control": "no-store",
                    "ETag": f'"{shot.number}"',
                    "Last-Modified": formatdate(shot.at, usegmt=True),
                }
                return Response(shot.jpeg, media_type="image/jpeg", headers=headers)
            if left:
                await asyncio.sleep(POLL_S)
        return Response(status_code=204)

    @api.get("/workers")
    async def workers() -> tuple[Process, ...]:
        """All workers."""
        return tuple(_process(each) for each in read().children if each.kind == "worker")

    @api.get("/sightings", response_model=list[Seen])
    async def sightings(
        camera: Annotated[str | None, Query(description="Of this camera alone.")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> Response:
        """The last frames on which something was seen, newest first."""
        found = [tile for _, tile in recent.sightings() if camera in (None, tile.camera)]
        lines = [line for tile in reversed(found) if (line := line_or_nothing(tile))][:limit]
        return Response(f"[{','.join(lines)}]", media_type="application/json")

    @api.get("/transitions")
    async def transitions() -> tuple[Change, ...]:
        """What came and went last, newest first."""
        return tuple(Change(**asdict(each)) for _, each in reversed(recent.transitions()))

    return api


def line_or_nothing(tile: SightedTile) -> str:
    """As the sightings' files have it; empty for one with a number that is none."""
    try:
        return line_of(tile).decode().strip()
    except ValueError:
        return ""


def status_of(now: Statistics, version: str) -> Status:
    """Return the whole document. Pure."""
    return Status(
        version=version,
        words=now.words,
        is_ready=now.is_ready,
        notices=now.notices,
        started_at=now.started_at,
        cameras=tuple(map(_camera, now.cameras)),
        disabled=tuple(map(_disabled, now.disabled)),
        mosaics=tuple(map(_mosaic, now.mosaics)),
        processes=tuple(map(_process, now.children)),
        events=events_now(now.events),
    )


def _camera(camera: CameraStatistics) -> Camera:
    return Camera(
        name=camera.name,
        mosaic=camera.mosaic,
        tile=camera.tile,
        is_up=camera.is_up,
        state=camera.state.value,
        reason=camera.reason.value if camera.reason else None,
        since_s=camera.since_s,
        is_asleep=camera.is_asleep,
        flaws=tuple(flaw.value for flaw in camera.flaws),
        frame_wh=camera.source_wh,
        last_frame_at=camera.last_frame_at,
        key_frame_interval_s=camera.gop_s,
        connects=camera.counts.connects,
        failures={reason.value: count for reason, count in camera.failures.items()},
        received_bytes=camera.counts.bytes,
        frames_received=camera.counts.packets,
        frames_decoded=camera.counts.frames,
        frames_analyzed=camera.analyzed,
        frames_dropped=camera.dropped,
        sightings=camera.sightings,
        cpu_s=camera.cpu_s,
    )


def _disabled(camera: DisabledCamera) -> Disabled:
    return Disabled(name=camera.name, by_hand=camera.by_hand, why=camera.words)


def _mosaic(mosaic: MosaicStatistics) -> Mosaic:
    return Mosaic(**{name: getattr(mosaic, name) for name in Mosaic.model_fields})


def _process(child: ChildStatistics) -> Process:
    same = {name: getattr(child, name) for name in Process.model_fields if name != "changed"}
    return Process(**same, changed=child.steps)
