"""How a child process of the supervisor begins: its arguments, its tie to its parent, its channel.

Used by all kinds of child. Only ``main`` functions call :func:`adopt`.
"""

import argparse
import ctypes
import faulthandler
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from capture.channel import Channel, ChannelClosedError
from capture.exits import ExitCode
from capture.messages import FromSupervisor, LastWords

PR_SET_PDEATHSIG = 1
"""linux/prctl.h."""
LAST_WORDS_CHARS = 2000

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Childhood:
    """What a child was born with."""

    name: str
    channel: Channel[Any]


def adopt(description: str, receives: Any = FromSupervisor) -> Childhood:
    """Read the command line, tie this process to its parent's life, and take up the channel, of these messages.

    Exits with ORPHANED when the parent is already gone. The signal follows the parent's spawning *thread*, which
    therefore lives as long as the supervisor.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name", help="what the supervisor calls this process")
    parser.add_argument("--fd", type=int, required=True, help="descriptor of the channel to the supervisor")
    parser.add_argument("--parent", type=int, required=True, help="process id of the supervisor")
    arguments = parser.parse_args()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != arguments.parent:
        sys.exit(ExitCode.ORPHANED)
    faulthandler.enable(all_threads=False)  # of dozens, the one that crashed is the one to tell
    return Childhood(arguments.name, Channel(socket.socket(fileno=arguments.fd), receives))


def live(born: Childhood, run: Callable[[Channel[Any]], ExitCode]) -> None:
    """Run until the child is told to stop, or its supervisor is gone, or it dies of a bug; then end this process."""
    try:
        code = run(born.channel)
    except ChannelClosedError:
        code = ExitCode.ORPHANED
    except Exception as error:  # noqa: BLE001 - the top of the process: report and end
        leave(born.channel, ExitCode.BROKEN, f"{type(error).__name__}: {error}")
        return
    # At once: threads blocked in a library would keep the interpreter waiting for their timeouts.
    leave(born.channel, code, "")


def wait_readable(fds: list[int], timeout_s: float) -> list[int]:
    """Wait until one of the descriptors can be read; return those that can."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(max(0, int(timeout_s * 1000)))]


def memory_mib() -> float:
    """Return the resident memory of this process in MiB (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def leave(channel: Channel[M], code: ExitCode, message: str) -> None:
    """Say why, and end this process at once, whatever its other threads are doing, and whatever fails on the way."""
    try:
        # A path may hold what is no UTF-8, and a library's message may be of any length.
        channel.send(LastWords(int(code), message[:LAST_WORDS_CHARS].encode(errors="replace").decode()))
        sys.stderr.flush()
    finally:
        os._exit(code)
