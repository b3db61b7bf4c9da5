"""The control socket: how a person's commands reach a running daemon, and its answers come back.

Owns the socket, its file in the state folder (mode 0600: who may open it may order) and the connections. A connection
carries one request and one reply (:mod:`daemon.orders`), each one datagram. What a request means is not known here.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from capture.channel import Channel, ChannelClosedError, ProtocolError
from capture.child import wait_readable
from daemon.orders import Refused, Reply, Request

FILE_NAME = "control.sock"
MODE = 0o600
CONNECTIONS = 8
"""So many at once are listened to; others wait in the kernel."""
REQUEST_S = 2.0
"""Who has connected and not asked by then is let go."""
REPLY_S = 10.0


class ControlError(Exception):
    """The control socket cannot be used. ``str()`` says what the operator can do."""


class TakenError(ControlError):
    """Another daemon listens there already."""


class NotRunningError(ControlError):
    """Nobody listens there."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that waits for its reply; whoever takes it answers it, at once or later."""

    request: Request
    channel: Channel[Request]

    def answer(self, reply: Reply) -> None:
        """Send the reply and end the connection; it does not matter if nobody waits for it any more."""
        _reply(self.channel, reply)


def _reply(channel: Channel[Request], reply: Reply) -> None:
    with closing(channel):
        channel.send(reply)


class Control:
    """The daemon's end. One thread uses it, and nothing here blocks."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Listen in this folder. Raises TakenError if another daemon does, ControlError if it cannot be."""
        self._path = folder / FILE_NAME
        self._clock = clock
        self._listener = _listen(folder)
        self._silent: list[tuple[float, Channel[Request]]] = []
        """Who has not asked yet, with when they came."""

    def take(self) -> list[Asked]:
        """Return the requests that have come."""
        now_s = self._clock()
        while len(self._silent) < CONNECTIONS and (connection := self._accept()) is not None:
            self._silent.append((now_s, Channel(connection, Request)))
        asked, silent = [], []
        for since_s, channel in self._silent:
            try:
                received = channel.receive()
            except ChannelClosedError:
                channel.close()
            except ProtocolError as error:
                why = f"the daemon does not understand it, perhaps because it is of another version: {error}"
                _reply(channel, Refused(why))
            else:
                if received is not None:
                    for fd in received.fds:
                        os.close(fd)
                    asked.append(Asked(received.message, channel))
                elif now_s - since_s < REQUEST_S:
                    silent.append((since_s, channel))
                else:
                    channel.close()
        self._silent = silent
        return asked

    def close(self) -> None:
        """End all connections that have not asked, and remove the file."""
        # While it is still listened to, nobody else has put a socket there.
        with suppress(OSError):
            self._path.unlink()
        self._listener.close()
        for _, channel in self._silent:
            channel.close()
        self._silent = []

    def _accept(self) -> socket.socket | None:
        try:
            return self._listener.accept()[0]
        except OSError:  # nobody has come, or there is no descriptor for them: the next turn looks again
            return None


def ask(folder: Path, request: Request, within_s: float = REPLY_S) -> Reply:
    """Ask the daemon that listens in this folder; return its reply.

    Raises NotRunningError if none does, and ControlError if it cannot be reached or does not reply.
    """
    path = folder / FILE_NAME
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection, _address(folder) as address:
            connection.settimeout(within_s)
            connection.connect(address)
            channel: Channel[Reply] = Channel(connection, Reply)
            channel.send(request)
            wait_readable([channel.fileno()], within_s)
            received = channel.receive()
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise NotRunningError(
            f"no daemon listens at {path}: start it (mosaicd run, or systemctl start mosaicd), "
            "or name the settings of the one that runs with --settings"
        ) from None
    except PermissionError:
        raise ControlError(f"{path} is for the daemon's user only: become that user, or root") from None
    except (ChannelClosedError, ProtocolError) as error:
        raise ControlError(
            f"the daemon at {path} gave no valid answer: has it just stopped, or is it of another version?"
        ) from error
    except OSError as error:
        raise ControlError(f"{path} cannot be reached: {error.strerror or error}") from error
    if received is None:
        raise ControlError(f"the daemon at {path} did not answer within {within_s:g} s; /healthz says if it is stuck")
    return received.message


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """Yield the socket's address, by its folder's descriptor: an address is short (unix(7)), a path may be long."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{FILE_NAME}"
    finally:
        os.close(fd)


def _listen(folder: Path) -> socket.socket:
    path = folder / FILE_NAME
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with _address(folder) as address:
            if _is_taken(address):
                raise TakenError(f"another mosaicd runs with the state folder {folder}: stop it, or set another")
            if path.is_socket():
                path.unlink()  # of a daemon that was killed
            # Before it has a name: bind(2) gives the file its socket's mode, so it is never open to others.
            os.fchmod(listener.fileno(), MODE)
            listener.bind(address)
            listener.listen(CONNECTIONS)
            listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ControlError(f"{path} cannot be made: {error.strerror}") from error
    except ControlError:
        listener.close()
        raise
    return listener


def _is_taken(address: str) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address)
        except BlockingIOError:  # so many wait there already
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True
