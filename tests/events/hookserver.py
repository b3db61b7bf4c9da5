"""A web server that does as it is told: answers, or misbehaves in any of the ways that servers do."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Request:
    """What came."""

    line: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[["HookServer", socket.socket], None]


class HookServer:
    """On a port of 127.0.0.1. Each connection takes the next of the ``behaviours``; without any it is answered 204."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.behaviours: list[Behaviour] = []
        self.ended = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen)]

    def __enter__(self) -> "HookServer":
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ended.set()
        self._threads[0].join()
        for thread in self._threads[1:]:
            thread.join()
        self._listener.close()

    def _listen(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(10.0)
        with plain:
            try:
                connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
                with connection:
                    self.requests.append(_read(connection))
                    behave = self.behaviours.pop(0) if self.behaviours else answer(204)
                    behave(self, connection)
            except OSError:
                return  # the client has gone


def _read(connection: socket.socket) -> Request:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
    while len(body) < int(headers.get("content-length", "0")):
        body += _some(connection)
    return Request(line, headers, body)


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(65_536)
    if not received:
        raise ConnectionError
    return received


def answer(status: int, **headers: str) -> Behaviour:
    """A proper answer; underscores of names are hyphens."""

    def behave(server: HookServer, connection: socket.socket) -> None:
        lines = [f"HTTP/1.1 {status} So", "Content-Length: 0"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())

    return behave


def sends(content: bytes) -> Behaviour:
    """These bytes, and then the end."""
    return lambda server, connection: connection.sendall(content)


def reset(server: HookServer, connection: socket.socket) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(server: HookServer, connection: socket.socket) -> None:
    """Say nothing, and keep the connection."""
    server.ended.wait(30.0)


def drips(start: bytes) -> Behaviour:
    """A byte now and then, for ever: never silent for so long that a socket's timeout would fire."""

    def behave(server: HookServer, connection: socket.socket) -> None:
        connection.sendall(start)
        while not server.ended.wait(0.02):
            connection.sendall(b"x")

    return behave


def floods(start: bytes, block: bytes) -> Behaviour:
    """As many bytes as the other side takes, for ever."""

    def behave(server: HookServer, connection: socket.socket) -> None:
        connection.settimeout(1.0)  # nobody reads any more
        connection.sendall(start)
        while not server.ended.is_set():
            connection.sendall(block)

    return behave
