"""A child process over all its generations: spawned, heard, killed, reaped. Owns process, channel and stderr.

Knows nothing of what a child does. The supervisor's thread alone uses it, and is the thread that spawns, because the
kernel's tie between parent and child follows the spawning thread.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from capture.channel import Channel, ChannelClosedError, ProtocolError, Received
from capture.lookmessages import FromLooker
from capture.messages import FromChild, LastWords
from daemon.lifecycle import Command, Life
from events.messages import FromEvents
from inference.headroom import data_mib

STDERR_LINES = 40
LINE_BYTES = 500
FromAnyChild = FromChild | FromEvents | FromLooker
_READ_BYTES = 65536
_LAST_READS = 17
"""Enough for the largest pipe that there is by default (1 MiB, pipe(7))."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What a child is."""

    name: str
    kind: str
    """``capture``, ``worker`` or ``events``."""
    module: str
    """Run as ``python -P -m MODULE``: without -P a folder of that name in the working directory would be run."""
    environ: Mapping[str, str]
    """The whole environment of the child."""
    cores: tuple[int, ...] = ()
    """Which it may run on; empty for those of its parent."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a generation ended."""

    returncode: int
    """As subprocess has it: a negative signal number, or the exit code."""
    stderr: tuple[str, ...]
    last_words: LastWords | None
    received: tuple[Received[FromAnyChild], ...]
    """What it said before it died and nobody had read; the receiver owns the descriptors."""


class Child:
    """One child; at most one process at a time."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.life = Life()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel[FromAnyChild] | None = None
        self._pidfd = -1
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._partial = b""
        self._last_words: LastWords | None = None
        self.has_hung_up = False
        """It closed its end of the channel: nothing more will be heard."""
        self.has_closed_stderr = False

    @property
    def pid(self) -> int | None:
        """Process id of the living generation."""
        return self._process.pid if self._process else None

    def cpu_ticks(self) -> int:
        """Return the CPU time that its living generation has used, in clock ticks; 0 if it is gone.

        Its own children's too: while one builds a model's graph for it, it only waits.
        """
        return tree_cpu_ticks(self.pid) if self.pid is not None else 0

    def data_mib(self) -> float | None:
        """Return what RLIMIT_DATA counts of its living generation; None if it is gone, or about to be."""
        if self.pid is None:
            return None
        try:
            return data_mib(self.pid) or None  # 0 once it has given its memory back
        except OSError:
            return None

    @property
    def descriptors(self) -> tuple[int, int, int]:
        """Descriptors to watch while it lives: channel, stderr, and its pidfd (readable when it has ended)."""
        assert self._process is not None and self._process.stderr is not None and self._channel is not None
        return self._channel.fileno(), self._process.stderr.fileno(), self._pidfd

    def spawn(self) -> None:
        """Start the next generation, with a new channel: what the last one left unread is nobody's. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", self.spec.module, self.spec.name),
                    *("--fd", str(theirs.fileno()), "--parent", str(os.getpid())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=dict(self.spec.environ),
                pass_fds=(theirs.fileno(),),
                # Ctrl-C and the like go to a whole group: the supervisor alone decides who stops when.
                process_group=0,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        try:
            self._pidfd = os.pidfd_open(process.pid)
        except OSError:
            # Nobody could watch it: it must not live on unseen.
            process.kill()
            process.wait()
            process.stderr.close()
            ours.close()
            raise
        if self.spec.cores:
            # At once: it has no second thread yet. A core may have gone; it is not worth the child.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(process.pid, self.spec.cores)
        self._process, self._channel = process, Channel(ours, FromAnyChild)
        self._stderr.clear()
        self._partial, self._last_words = b"", None
        self.has_hung_up = self.has_closed_stderr = False

    def send(self, message: msgspec.Struct, fds: tuple[int, ...] = ()) -> bool:
        """Send a message to the living generation; return False if it does not take it."""
        return self._channel is not None and self._channel.send(message, fds)

    def receive(self) -> Iterator[Received[FromAnyChild]]:
        """Yield what it has said; last words are kept for its death. Raises ProtocolError."""
        while self._channel is not None:
            try:
                received = self._channel.receive()
            except ChannelClosedError:
                # It has ended, or is about to; one that goes on without its channel is of no use.
                self.has_hung_up = True
                self.obey(Command.KILL)
                return
            if received is None:
                return
            if isinstance(received.message, LastWords):
                self._last_words = received.message
            else:
                yield received

    def read_stderr(self) -> list[str]:
        """Read what it wrote to stderr, so that it never blocks on it; return the new lines.

        Reads once: a child that writes as fast as it is read would else keep its reader for ever.
        """
        if self._process is None or self._process.stderr is None:
            return []
        try:
            data = os.read(self._process.stderr.fileno(), _READ_BYTES)
        except BlockingIOError:
            return []
        self.has_closed_stderr = not data
        *whole, self._partial = (self._partial + data).split(b"\n")
        # A line without an end must not grow for ever.
        self._partial = self._partial[-LINE_BYTES:]
        lines = [line[:LINE_BYTES].decode(errors="replace") for line in whole]
        self._stderr.extend(lines)
        return lines

    def obey(self, command: Command) -> None:
        """Perform a command of its lifecycle that needs only a signal."""
        number = {Command.TERMINATE: signal.SIGTERM, Command.KILL: signal.SIGKILL}.get(command)
        # Through the pidfd: a process id may belong to somebody else by now.
        if number is not None and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def bury(self) -> Death:
        """Reap the generation that has ended, after hearing all that it had to say. Call once its pidfd is readable."""
        assert self._process is not None and self._channel is not None
        received: list[Received[FromAnyChild]] = []
        with contextlib.suppress(ProtocolError):
            received += self.receive()
        for _ in range(_LAST_READS):
            self.read_stderr()
        if self._partial:
            self._stderr.append(self._partial.decode(errors="replace"))
        returncode = self._process.wait()
        self._channel.close()
        os.close(self._pidfd)
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._process = self._channel = None
        return Death(returncode, tuple(self._stderr), self._last_words, tuple(received))


def tree_cpu_ticks(pid: int) -> int:
    """Return the CPU time of a process and of all below it (proc(5): stat; task/TID/children)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12]) + sum(tree_cpu_ticks(int(child)) for found in children for child in found)
