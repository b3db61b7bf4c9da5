"""The server in a thread of its own, for tests and for programs that are not asyncio's. Shell.

with ServerThread([CameraSpec("cam-01", footage)]) as server:
    av.open(server.url("cam-01"))
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TypeVar

from simulator.camera import CameraSpec
from simulator.faults import Fault
from simulator.mjpeg import HttpMjpegServer
from simulator.server import SESSION_TIMEOUT_S, RtspServer, ServerStatistics

_START_DEADLINE_S = 10.0
_CALL_DEADLINE_S = 5.0
_JOIN_DEADLINE_S = 5.0

T = TypeVar("T")


class ServerThread:
    """Owns the thread, its loop and the server in it. Methods may be called from any other thread."""

    def __init__(
        self,
        cameras: Iterable[CameraSpec],
        host: str = "127.0.0.1",
        port: int = 0,
        session_timeout_s: float = SESSION_TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """As for `RtspServer`. Cameras with JPEG footage are served over HTTP, too."""
        self._server = RtspServer(cameras, host, port, session_timeout_s, tls)
        self._mjpeg = HttpMjpegServer(self._server)
        self._thread = threading.Thread(target=self._run, name="rtsp-server", daemon=False)
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> ServerThread:
        """Starts; returns once the server listens."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops, whatever clients are connected."""
        self.stop()

    def start(self) -> None:
        """Returns once the server listens.

        Raises:
            ListenError: the address cannot be had.
        """
        self._thread.start()
        if not self._started.wait(_START_DEADLINE_S):
            raise TimeoutError(f"the server did not start within {_START_DEADLINE_S} s")
        if self._failure is not None:
            self._thread.join(_JOIN_DEADLINE_S)
            raise self._failure

    def stop(self) -> None:
        """Closes all connections and joins the thread. Does nothing the second time.

        Raises:
            TimeoutError: the thread did not end.
            BaseException: what ended the server's loop, if something did.
        """
        if not self._thread.is_alive():
            return
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_JOIN_DEADLINE_S)
        if self._thread.is_alive():
            raise TimeoutError(f"the server's thread did not end within {_JOIN_DEADLINE_S} s")
        if self._failure is not None:
            raise self._failure

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._server.port

    def url(self, name: str) -> str:
        """A camera's URL, without credentials."""
        return self._server.url(name)

    def mjpeg_url(self, name: str) -> str:
        """The URL, over plain HTTP, of a camera with JPEG footage; without credentials."""
        return self._mjpeg.url(name)

    def set_fault(self, name: str, fault: Fault | None) -> None:
        """As `RtspServer.set_fault`; it holds when this returns."""
        self._server.prepare(name, fault)  # here, since the loop has frames to send
        self._call(lambda: self._server.set_fault(name, fault))

    def statistics(self) -> ServerStatistics:
        """A snapshot."""
        return self._call(self._server.statistics)

    def _call(self, function: Callable[[], T]) -> T:
        """Runs a function in the server's thread and returns what it returns or raises."""
        if self._loop is None or not self._thread.is_alive():
            raise RuntimeError("the server is not running")

        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(_CALL_DEADLINE_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - the top of a thread: start or stop raises it again
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        await self._server.start()
        await self._mjpeg.start()
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._started.set()
        await self._stop.wait()
        await self._mjpeg.stop()
        await self._server.stop()
