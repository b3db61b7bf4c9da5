"""The cameras with JPEG footage over plain HTTP, as old cameras have them. Shell, in the loop of the RTSP server.

server = RtspServer([CameraSpec("cam-01", jpegs)])
await server.start()
http = HttpMjpegServer(server)
await http.start()
http.url("cam-01")  # http://127.0.0.1:40001/cam/cam-01.mjpg
"""

from __future__ import annotations

import socket
from urllib.parse import quote

from simulator.door import Door
from simulator.errors import ListenError
from simulator.multipart import MultipartConnection
from simulator.server import RtspServer
from simulator.sockets import explain

_HOST = "127.0.0.1"


class HttpMjpegServer:
    """Serves a running server's cameras; their faults hold here, too. Whoever starts it stops it, first of the two."""

    def __init__(self, server: RtspServer, port: int = 0) -> None:
        """Prepares; port 0 takes any free one."""
        self.port = port
        self._server = server
        self._door = Door(self._connect)
        self._connections: set[MultipartConnection] = set()

    async def start(self) -> None:
        """Listens; `port` then is the port.

        Raises:
            ListenError: the port cannot be had.
        """
        try:
            self._door.open(socket.AF_INET, (_HOST, self.port))
        except OSError as error:
            raise ListenError(_HOST, self.port, explain(error, self.port)) from error
        self.port = self._door.port

    async def stop(self) -> None:
        """Closes its port, and its clients."""
        self._door.close()
        for connection in tuple(self._connections):
            connection.close()

    def url(self, name: str) -> str:
        """A camera's URL, without credentials."""
        return f"http://{_HOST}:{self.port}/cam/{quote(name)}.mjpg"

    def _connect(self) -> MultipartConnection:
        connection = MultipartConnection(self._server, self._forget)
        self._server.admit(connection)
        self._connections.add(connection)
        return connection

    def _forget(self, connection: MultipartConnection) -> None:
        self._server.forget(connection)
        self._connections.discard(connection)
