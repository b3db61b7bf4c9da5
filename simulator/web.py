"""An HTTP server in the simulator's own loop. Shell: owns its listener and the task that serves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from simulator.errors import ListenError
from simulator.sockets import bind, explain

HOST = "127.0.0.1"
"""The only address: whoever gets at it may break the cameras."""

_STOP_DEADLINE_S = 3.0


class WebServer:
    """All methods in the loop's thread; whoever starts it stops it."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        """Prepares; port 0 takes any free one."""
        self.port = port
        self._server = _Announcing(
            uvicorn.Config(
                app,
                access_log=False,
                lifespan="off",
                log_config=None,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=1,
                ws="none",
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once it serves; `port` then is the port.

        Raises:
            ListenError: the port cannot be had.
        """
        try:
            listener = bind(socket.AF_INET, socket.SOCK_STREAM, (HOST, self.port))
            listener.listen()
        except OSError as error:
            raise ListenError(HOST, self.port, explain(error, self.port)) from error
        self.port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        turned = asyncio.create_task(self._server.turned.wait())
        await asyncio.wait({self._task, turned}, return_when=asyncio.FIRST_COMPLETED)
        if not turned.done():
            turned.cancel()
            await self._task  # raises what ended it

    async def stop(self) -> None:
        """Requests that run get a second. Does nothing the second time."""
        if self._task is not None:
            self._server.should_exit = True
            await asyncio.wait_for(self._task, _STOP_DEADLINE_S)
            self._task = None


class _Announcing(uvicorn.Server):
    """Leaves signals to whoever runs the loop, and says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.turned = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        await super().startup(sockets)
        self.turned.set()
