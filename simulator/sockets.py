"""Sockets that a server binds, and why it could not, in words. Shell."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import Any

_SEND_BUFFER_BYTES = 256 * 1024  # the kernel's own would grow to megabytes of late video for a client that stalls
_PORT_PAIR_TRIES = 50


def bind(family: int, kind: int, address: Any) -> socket.socket:
    """A non-blocking socket with an address, of kind SOCK_STREAM or SOCK_DGRAM."""
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)  # inherited by accept
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def bind_pair(family: int, host: str) -> tuple[socket.socket, socket.socket]:
    """An even UDP port for RTP and the odd one above it for RTCP (RFC 3550, 11)."""
    for _ in range(_PORT_PAIR_TRIES):
        rtp = bind(family, socket.SOCK_DGRAM, (host, 0))
        port = rtp.getsockname()[1]
        if port % 2 == 0:
            with contextlib.suppress(OSError):
                return rtp, bind(family, socket.SOCK_DGRAM, (host, port + 1))
        rtp.close()
    raise OSError(errno.EADDRINUSE, "no two neighbouring UDP ports are free")


def explain(error: OSError, port: int) -> str:
    """Why an address cannot be had, and what the operator can do."""
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}; give an address of this machine, such as 127.0.0.1"
    if error.errno == errno.EADDRINUSE:
        return f"in use; see who has it with: ss -ltnp 'sport = :{port}', or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "not an address of this machine; 127.0.0.1 is"
    if error.errno == errno.EACCES:
        return "not permitted; choose a port above 1023"
    return str(error.strerror or error)
