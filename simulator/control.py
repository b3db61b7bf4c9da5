"""Faults over HTTP, for tests in other languages and for people with curl. Shell: an ASGI application.

    GET    /cameras              what each camera does: name, url, fault, frames, sessions
    POST   /cameras/{…}/fault    {"kind": "hang", "for_s": 5} breaks a camera, named or numbered from 1
    DELETE /cameras/{…}/fault    mends it

It listens on this machine only, and a browser's page of another origin gets nowhere: what it may send without being
asked for is neither JSON nor DELETE, and its requests name another host.
"""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import DecodeError, json, to_builtins
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.faults import FaultError, read_fault
from simulator.names import camera_named
from simulator.server import RtspServer

_MAX_BODY_BYTES = 16 * 1024


def control_app(server: RtspServer) -> Starlette:
    """The application that controls a server in the same loop."""
    control = _Control(server)
    return Starlette(
        routes=[
            Route("/cameras", control.cameras, methods=["GET"]),
            Route("/cameras/{camera}/fault", control.set_fault, methods=["POST"]),
            Route("/cameras/{camera}/fault", control.mend, methods=["DELETE"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
    )


class _Control:
    def __init__(self, server: RtspServer) -> None:
        self._server = server

    async def cameras(self, _: Request) -> Response:
        """GET /cameras."""
        statistics = self._server.statistics()
        return JSONResponse(
            [
                {
                    "name": name,
                    "url": self._server.url(name),
                    "fault": None if camera.fault is None else to_builtins(camera.fault),
                    "frames_sent": camera.frames_sent,
                    "frames_dropped": camera.frames_dropped,
                    "sessions": camera.sessions,
                }
                for name, camera in statistics.cameras.items()
            ]
        )

    async def set_fault(self, request: Request) -> Response:
        """POST /cameras/{camera}/fault."""
        try:
            name = camera_named(request.path_params["camera"], self._server.camera_names)
        except FaultError as error:
            return _refusal(404, error)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _refusal(400, 'Content-Type should be application/json; curl takes --json \'{"kind": "hang"}\'')
        try:
            fault = read_fault(_fields(await _body(request)))
            # A blank picture is encoded in a thread: the loop has frames to send.
            await asyncio.to_thread(self._server.prepare, name, fault)
            self._server.set_fault(name, fault)
        except FaultError as error:
            return _refusal(400, error)
        return JSONResponse({"name": name, "fault": to_builtins(fault)})

    async def mend(self, request: Request) -> Response:
        """DELETE /cameras/{camera}/fault."""
        try:
            name = camera_named(request.path_params["camera"], self._server.camera_names)
        except FaultError as error:
            return _refusal(404, error)
        self._server.set_fault(name, None)
        return JSONResponse({"name": name, "fault": None})


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY_BYTES:
            raise FaultError(f"a fault takes no {_MAX_BODY_BYTES} bytes")
    return body


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = json.decode(body)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FaultError(f"no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise FaultError('should be an object, such as {"kind": "hang", "for_s": 5}')
    return fields


def _refusal(status: int, reason: object) -> Response:
    return JSONResponse({"error": str(reason)}, status)
