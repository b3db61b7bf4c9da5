"""A TCP port at which clients come in, and which may refuse them for a while. Shell: owns the listening socket.

It accepts by itself, as asyncio's own server can neither stop nor go on at once, in one call.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from simulator.sockets import bind

_BACKLOG = 128
_HANDSHAKE_DEADLINE_S = 10.0

_log = logging.getLogger(__name__)


class Door:
    """All methods in the loop's thread; whoever opens it closes it."""

    def __init__(self, connect: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None = None) -> None:
        """`connect` makes what serves a client; with `tls` they speak TLS."""
        self._connect = connect
        self._tls = tls
        self._socket: socket.socket | None = None
        self._entering: set[asyncio.Task[Any]] = set()

    @property
    def address(self) -> Any:
        """The socket's address."""
        assert self._socket is not None
        return self._socket.getsockname()

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.address[1])

    def open(self, family: int, address: Any) -> None:
        """Listens.

        Raises:
            OSError: the address cannot be had.
        """
        self._listen(bind(family, socket.SOCK_STREAM, address))

    def refuse(self) -> None:
        """Refuses clients, and keeps the port: bound, it is given to nobody who asks for any free one."""
        assert self._socket is not None
        family, address = self._socket.family, self.address
        self._shut()
        self._socket = bind(family, socket.SOCK_STREAM, address)

    def admit(self) -> None:
        """Listens again, at the same port."""
        assert self._socket is not None
        self._listen(self._socket)

    def close(self) -> None:
        """Gives the port up; clients that are in stay. Does nothing the second time."""
        self._shut()
        for task in self._entering:
            task.cancel()

    def _listen(self, listening: socket.socket) -> None:
        try:
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            self._socket = None
            raise
        self._socket = listening
        asyncio.get_running_loop().add_reader(listening, self._accept)

    def _shut(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _accept(self) -> None:
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        for _ in range(_BACKLOG):
            try:
                client, _peer = self._socket.accept()
            except OSError:  # nobody is left at the door, or has gone, or there are no descriptors just now
                return
            client.setblocking(False)
            deadline_s = None if self._tls is None else _HANDSHAKE_DEADLINE_S
            entering = loop.connect_accepted_socket(
                self._connect, client, ssl=self._tls, ssl_handshake_timeout=deadline_s
            )
            task = loop.create_task(entering)
            self._entering.add(task)
            task.add_done_callback(self._entered)

    def _entered(self, task: asyncio.Task[Any]) -> None:
        self._entering.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.info("client not let in", extra={"fields": {"reason": str(error)}})  # no TLS, or gone
