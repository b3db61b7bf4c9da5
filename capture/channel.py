"""A typed message channel between the supervisor and one generation of a child. Owns one end of a socketpair.

``SOCK_SEQPACKET``: one datagram a message, msgpack inside, descriptors beside it. Nothing here blocks: a receiver that
does not read gives the sender False, which the supervisor takes as a sign of a hang. Not thread-safe: one thread for
each end, except that ``send`` may be called from several threads of a child (one datagram is one system call).
"""

import errno
import os
import socket
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

MAX_MESSAGE_BYTES = 200_000
"""Linux's default socket buffer takes 212,960 bytes in one datagram; more is EMSGSIZE."""
MAX_FDS = 4

M = TypeVar("M")


class ChannelError(Exception):
    """Base of what can go wrong on a channel."""


class ChannelClosedError(ChannelError):
    """The other end is gone, and all that it said has been read."""


class ProtocolError(ChannelError):
    """The other end sent something that is no valid message."""


@dataclass(frozen=True, slots=True)
class Received(Generic[M]):
    """One message with its descriptors (close-on-exec), which now belong to the receiver."""

    message: M
    fds: tuple[int, ...]


class Channel(Generic[M]):
    """One end of a socketpair that receives messages of type ``M`` (a union of tagged structs)."""

    def __init__(self, sock: socket.socket, receives: Any) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(receives)

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._sock.fileno()

    def send(self, message: msgspec.Struct, fds: Sequence[int] = ()) -> bool:
        """Send one message; return False if the other end does not keep up, or is gone.

        Raises ValueError if the message is larger than MAX_MESSAGE_BYTES.
        """
        payload = self._encoder.encode(message)
        if len(payload) > MAX_MESSAGE_BYTES:
            raise ValueError(f"{type(message).__name__} of {len(payload)} bytes is over {MAX_MESSAGE_BYTES}")
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        try:
            self._sock.sendmsg([payload], ancillary, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF):
                return False
            raise
        return True

    def receive(self) -> Received[M] | None:
        """Return the next message, or None if none is waiting.

        Raises ChannelClosedError at the end, and ProtocolError for anything that is no valid message.
        """
        while True:
            try:
                data, ancillary, flags, _ = self._sock.recvmsg(
                    MAX_MESSAGE_BYTES + 1,
                    socket.CMSG_SPACE(MAX_FDS * array("i").itemsize),
                    socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT,
                )
            except BlockingIOError:
                return None
            except ConnectionResetError:
                # Comes first when a child died with unread input; its last words are still to be read.
                continue
            break
        fds = _descriptors(ancillary)
        if not data:
            _close(fds)  # an empty message looks like the end, but may carry descriptors
            raise ChannelClosedError
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ProtocolError("a message was truncated")
            return Received(self._decoder.decode(data), fds)
        except (ProtocolError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # The last two are msgspec's for text that is no UTF-8, and for nesting of thousands of levels.
            _close(fds)
            raise ProtocolError(str(error)) from error

    def close(self) -> None:
        """Close this end."""
        self._sock.close()


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    fds = array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return tuple(fds)


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
