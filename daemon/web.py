"""The daemon's HTTP side: what it answers, and the thread that serves it.

Owns: the routes, the listening socket once handed over, and the HTTP thread. Reads one frozen snapshot for each
request, and lets nobody past whom :mod:`daemon.access` denies. Must not know: how the snapshot or the metrics are made.
Nothing it answers holds a camera's URL.
"""

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import JSONResponse

from daemon.access import Access, make_access
from daemon.guard import Guard
from daemon.statistics import CameraStatistics, MosaicStatistics, Statistics

log = logging.getLogger(__name__)

_BACKLOG = 128
_JOIN_AFTER_FORCE_S = 1.0
LOCAL = make_access("127.0.0.1")
"""What is asked on a loopback address."""


class HttpError(Exception):
    """The HTTP side cannot work. ``str()`` says what the operator can do."""


class BindError(HttpError):
    """The address cannot be listened on."""

    def __init__(self, address: str, port: int, message: str) -> None:
        super().__init__(message)
        self.address = address
        self.port = port


class PortInUseError(BindError):
    """Somebody else listens there."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__(
            address,
            port,
            f"port {port} on {address} is in use: stop what listens there (ss -ltnp 'sport = :{port}' names it), "
            "or set another port under http",
        )


class ServeError(HttpError):
    """The HTTP thread did not come up in time, or ended by itself."""


def bind(address: str, port: int) -> socket.socket:
    """Return a socket that already listens on ``address``:``port`` (0: any free port).

    Called before anything is started, so that a port in use ends the daemon before a camera is opened. It listens at
    once, since two sockets with SO_REUSEADDR may share a port until one of them does. Raises :class:`BindError`.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise BindError(address, port, f"{address!r} is no address of this machine: set another under http") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _bind_error(address, port, error) from error
    return listener


def _bind_error(address: str, port: int, error: OSError) -> BindError:
    if error.errno == errno.EADDRINUSE:
        return PortInUseError(address, port)
    if error.errno == errno.EACCES:
        return BindError(address, port, f"port {port} needs more rights: set a port above 1023 under http")
    if error.errno == errno.EADDRNOTAVAIL:
        return BindError(address, port, f"{address} is no address of this machine: set another under http")
    return BindError(address, port, f"cannot listen on {address} port {port}: {error.strerror}")


def make_app(
    read: Callable[[], Statistics],
    render_metrics: Callable[[], bytes],
    read_age_s: Callable[[], float],
    metrics_type: str = "text/plain; version=0.0.4; charset=utf-8",
    *,
    max_age_s: float = 10.0,
    routers: Sequence[APIRouter] = (),
    access: Access = LOCAL,
) -> FastAPI:
    """Return the app with ``/metrics``, ``/healthz`` and ``/readyz``, and what else ``routers`` have.

    ``read_age_s`` gives the age of the snapshot in monotonic seconds: above ``max_age_s`` the supervision loop counts
    as stuck. All arguments are called on the HTTP thread and must not block.
    """
    # The documentation pages of FastAPI load scripts from elsewhere: a surveillance network may have no way out.
    app = FastAPI(title="mosaicd", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.add_middleware(Guard, access=access)
    for router in routers:
        app.include_router(router)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(render_metrics(), headers={"content-type": metrics_type})

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        age_s = read_age_s()
        if age_s > max_age_s:
            return _unavailable({"status": "stuck", "age_s": round(age_s, 1)})
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        age_s = read_age_s()
        if age_s > max_age_s:
            return _unavailable({"status": "stuck", "age_s": round(age_s, 1)})
        now = read()
        if now.is_ready:
            return JSONResponse({"status": "ready", "mosaics": [], "notices": list(now.notices)})
        return _unavailable({"status": "not ready", "mosaics": unanswered(now), "notices": list(now.notices)})

    return app


def _unavailable(content: dict[str, Any]) -> Response:
    return JSONResponse(content, status_code=503)


def unanswered(now: Statistics) -> list[dict[str, Any]]:
    """Return the mosaics that nobody answers, each with ``mosaic``, ``reason`` and its ``cameras`` that are down.

    ``reason`` is one of ``held``, ``no live camera``, ``no worker`` and ``not answered``. Pure.
    """
    cameras = {camera.name: camera for camera in now.cameras}
    return [
        {"mosaic": mosaic.name, "reason": _why(mosaic), "cameras": _down(mosaic, cameras)}
        for mosaic in now.mosaics
        if not mosaic.is_answered
    ]


def _why(mosaic: MosaicStatistics) -> str:
    if mosaic.apart == "held":
        return "held"
    if not mosaic.live_tiles:
        return "no live camera"
    return "no worker" if mosaic.worker is None else "not answered"


def _down(mosaic: MosaicStatistics, cameras: dict[str, CameraStatistics]) -> dict[str, str]:
    """Return for each camera of the mosaic that is not up the reason, or its state where there is none yet."""
    return {
        name: (cameras[name].reason or cameras[name].state).value
        for name in mosaic.cameras
        if name is not None and name in cameras and not cameras[name].is_up
    }


class HttpServer:
    """Owns the HTTP thread, and the listener given to it; whoever makes one starts and stops it.

    ``start`` and ``stop`` are called from one thread. uvicorn leaves signals alone, since it is not in the main thread.
    """

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        self._listener = listener
        self._address: tuple[str, int] = listener.getsockname()[:2]
        self._failure: Exception | None = None
        self._turned = threading.Event()
        config = uvicorn.Config(
            app,
            access_log=False,
            lifespan="off",
            log_config=None,
            log_level="warning",
            loop="asyncio",
            server_header=False,
            # An open event stream would keep the daemon from stopping.
            timeout_graceful_shutdown=1,
            ws="none",
        )
        self._server = _Announcing(config, self._turned)
        self._thread = threading.Thread(target=self._serve, name="http")

    @property
    def address(self) -> tuple[str, int]:
        """Address and port that it listens on, or did."""
        return self._address

    @property
    def is_serving(self) -> bool:
        """Whether requests are answered."""
        return self._server.started and self._thread.is_alive()

    def start(self, deadline_s: float = 10.0) -> None:
        """Return when requests are answered; :class:`ServeError` (and nothing left running) after ``deadline_s``."""
        self._thread.start()
        self._turned.wait(deadline_s)
        if not self.is_serving:
            self.stop(deadline_s=_JOIN_AFTER_FORCE_S)
            raise ServeError(f"the HTTP side did not come up within {deadline_s:g} s") from self._failure

    def stop(self, deadline_s: float) -> bool:
        """Stop serving, close the listener; return whether the thread has ended. May be called twice.

        Open requests get a second to finish. Waits at most ``deadline_s`` and then one second more.
        """
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(deadline_s)
            if self._thread.is_alive():
                self._server.force_exit = True
                self._thread.join(_JOIN_AFTER_FORCE_S)
        self._listener.close()
        return not self._thread.is_alive()

    def _serve(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._listener]))
        except Exception as error:
            self._failure = error
            log.error("http thread failed", exc_info=error)
        finally:
            self._turned.set()


class _Announcing(uvicorn.Server):
    """A server that says when it serves: uvicorn itself can only be polled."""

    def __init__(self, config: uvicorn.Config, turned: threading.Event) -> None:
        super().__init__(config)
        self._turned = turned

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._turned.set()
