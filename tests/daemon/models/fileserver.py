"""A real HTTP server on the loopback that serves files well, or badly in a chosen way; and models to fetch from it."""

import hashlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from daemon.models.catalog import CatalogModel, Digest, RemoteFile

DEADLINE_S = 30.0


@dataclass(slots=True)
class Served:
    """One file, and how it is served."""

    content: bytes
    knows_ranges: bool = True
    states_length: bool = True
    status: int | None = None
    content_range: str | None = None
    """Says this in place of the true one."""
    cut_at: int | None = None
    """Ends the connection before this byte of the file, with `resets` by a reset."""
    resets: bool = False
    hold_at: int | None = None
    """Falls silent before this byte until `released`."""
    released: threading.Event = field(default_factory=threading.Event)
    trickles: bool = False
    """A byte now and then."""
    redirects_to: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    path: str
    range: str | None
    user_agent: str | None


class FileServer:
    """Serves `files` by path; its owner starts and ends it through `serving`."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer nobody any more; joins all threads."""
        self.stopping.set()
        for served in self.files.values():
            served.released.set()
        self._http.shutdown()
        self._thread.join(DEADLINE_S)
        self._http.server_close()
        assert not self._thread.is_alive()

    def ranges(self, path: str) -> list[str | None]:
        """The Range headers of all requests for a path."""
        return [request.range for request in self.requests if request.path == path]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Serve one request, in a thread of its own."""
        asked = handler.headers.get("Range")
        self.requests.append(Request(handler.path, asked, handler.headers.get("User-Agent")))
        served = self.files.get(handler.path)
        if served is None:
            handler.send_error(404)
            return
        if served.redirects_to:
            handler.send_response(302)
            handler.send_header("Location", served.redirects_to)
            handler.end_headers()
            return
        offset = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and served.knows_ranges else 0
        handler.send_response(served.status or (206 if offset else 200))
        if offset:
            true_range = f"bytes {offset}-{len(served.content) - 1}/{len(served.content)}"
            handler.send_header("Content-Range", served.content_range or true_range)
        if served.states_length:
            handler.send_header("Content-Length", str(len(served.content) - offset))
        handler.end_headers()
        with suppress(ConnectionError):  # the client has gone
            self._send(handler, served, offset)

    def _send(self, handler: BaseHTTPRequestHandler, served: Served, offset: int) -> None:
        content = served.content
        if served.trickles:
            for position in range(offset, len(content)):
                if self.stopping.wait(0.01):
                    return
                handler.wfile.write(content[position : position + 1])
        elif served.cut_at is not None:
            handler.wfile.write(content[offset : served.cut_at])
            if served.resets:
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                handler.connection.close()
        elif (hold_at := served.hold_at) is not None:
            handler.wfile.write(content[offset:hold_at])
            served.released.wait(DEADLINE_S)
            handler.wfile.write(content[max(offset, hold_at) :])
        else:
            handler.wfile.write(content[offset:])


@contextmanager
def serving() -> Iterator[FileServer]:
    """A server that runs meanwhile."""
    server = FileServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def some_bytes(size: int, seed: int = 1) -> bytes:
    """Bytes that are the same each time and nowhere alike."""
    return random.Random(seed).randbytes(size)


def remote_of(url: str, content: bytes, algorithm: str = "sha256") -> RemoteFile:
    """What a catalog would say of a file with this content."""
    assert algorithm in ("sha256", "sha1")
    digest = Digest(algorithm, hashlib.new(algorithm, content).hexdigest())
    return RemoteFile(url, len(content), digest)


def offer(
    server: FileServer, name: str, cfg: bytes, weights: bytes, labels: tuple[str, ...] = ("person",)
) -> CatalogModel:
    """Serve a model's files and return what a catalog would say of it; its weights have a sha1."""
    server.files[f"/{name}.cfg"] = Served(cfg)
    server.files[f"/{name}.weights"] = Served(weights)
    return CatalogModel(
        name=name,
        cfg=remote_of(f"{server.url}/{name}.cfg", cfg),
        weights=remote_of(f"{server.url}/{name}.weights", weights, "sha1"),
        licence="public domain",
        input_px=416,
        labels=labels,
    )


def wait_until(holds: Callable[[], object]) -> None:
    """Wait for a condition, with a deadline."""
    pause = threading.Event()
    for _ in range(int(DEADLINE_S * 100)):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("did not come about in time")
