"""What of ``/api/v1`` changes something: a camera switched off or on, a worker started anew.

Owns the answers' shape. An order goes to the desk of the supervisor's loop, as one from the control socket does; what
it means is not known here. Who may order is decided before (:mod:`daemon.access`).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict

from daemon.api import PROBLEMS, Fault
from daemon.orders import (
    NoSuchCamera,
    NoSuchWorker,
    Refused,
    Reply,
    Request,
    Restarting,
    RestartWorker,
    SwitchCamera,
    Switched,
)

REPLY_S = 10.0

Order = Callable[[Request], "Future[Reply]"]


class Switch(BaseModel):
    """A camera that is as was ordered."""

    model_config = ConfigDict(frozen=True)
    name: str
    is_on: bool
    has_changed: bool
    """Whether it was otherwise before."""
    moved: tuple[str, ...]
    """Other cameras that lie elsewhere now, and are connected anew."""


class Restart(BaseModel):
    """A worker that is being started anew."""

    model_config = ConfigDict(frozen=True)
    name: str
    was: str
    """The phase in which the order found it."""


def make_orders(order: Order) -> APIRouter:
    """Return the routes; ``order`` is called on the HTTP thread and must not block."""
    refusals: dict[int | str, dict[str, Any]] = {404: {"model": Fault}, 409: {"model": Fault}, 503: {"model": Fault}}
    api = APIRouter(prefix="/api/v1", tags=["v1"], responses={**PROBLEMS, **refusals})

    async def ask(request: Request) -> Reply:
        try:
            reply = await asyncio.wait_for(asyncio.wrap_future(order(request)), REPLY_S)
        except TimeoutError:
            raise HTTPException(
                503, f"the daemon did not answer within {REPLY_S:g} s: /healthz says if it is stuck"
            ) from None
        match reply:
            case NoSuchCamera(_, hint):
                raise HTTPException(404, f"there is no such camera in the roster{hint}")
            case NoSuchWorker(_, there_are):
                raise HTTPException(404, f"there is no such worker, only {', '.join(there_are)}")
            case Refused(why):
                raise HTTPException(409, why)
        return reply

    async def switch(name: str, *, is_on: bool) -> Switch:
        reply = await ask(SwitchCamera(name, is_on))
        assert isinstance(reply, Switched)
        changed = reply.difference
        return Switch(name=name, is_on=is_on, has_changed=bool(changed.by_kind()), moved=changed.moved)

    @api.post("/cameras/{name}/disable")
    async def disable(name: str) -> Switch:
        """Switch a camera off: it is not read until it is switched on again. The roster stays as it is.

        It outlives reloads and restarts, and is forgotten when the roster has no such camera any more. Others keep
        connection, tile and frames.
        """
        return await switch(name, is_on=False)

    @api.post("/cameras/{name}/enable")
    async def enable(name: str) -> Switch:
        """Switch a camera on that was switched off. One that the roster disables is not: 409."""
        return await switch(name, is_on=True)

    @api.post("/workers/{name}/restart", status_code=202)
    async def restart(name: str) -> Restart:
        """Start a worker anew: one that is up, that waits, or that was given up. It counts as no failure of its own."""
        reply = await ask(RestartWorker(name))
        assert isinstance(reply, Restarting)
        return Restart(name=reply.name, was=reply.was)

    return api
