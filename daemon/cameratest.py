"""Runs the test of one camera: starts :mod:`capture.probe` with a deadline, hands it the order, and understands it.

Shell. Owns the process from its start to its end; the caller's thread waits. The order goes over stdin, for what is in
arguments or the environment shows; nothing that the process writes to stderr is read, for it might hold a URL.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from capture.probemessages import Broken, ProbeAnswer, ProbeOrder, ProbeReport, Refusal, Snapshot, Step
from capture.words import Reason, Transport

COMMAND = (sys.executable, "-P", "-m", "capture.probe")
MARGIN_S = 20.0
"""For its start, and for what it computes after the last packet, on a machine that is busy."""
MAX_LINE_BYTES = 64 << 20
"""Of a snapshot; one of 8K has some 20 MB."""
_END_WITHIN_S = 5.0
_CHUNK = 1 << 16
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})


class ProbeError(Exception):
    """The test could not be carried out, through no fault of the camera's; one line for a person."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a test."""

    answer: ProbeReport | Refusal
    jpeg: bytes | None = None
    """A picture, where one could be decoded."""


def deadline_s(order: ProbeOrder) -> float:
    """Return how long a test may take: each wait of the reader's, twice where UDP may be followed by TCP. Pure."""
    # Looking ahead, opening, and the first packet; then the measurement, and a last packet that does not come.
    once_s = 2 * order.open_timeout_s + 2 * order.read_timeout_s + order.seconds
    return once_s * (2 if order.transport is Transport.AUTO else 1) + MARGIN_S


def run_probe(
    order: ProbeOrder,
    environ: Mapping[str, str],
    on_step: Callable[[Step], None] = lambda _: None,
    *,
    command: Sequence[str] = COMMAND,
    within_s: float | None = None,
) -> Outcome:
    """Test a camera. ``environ`` is all that the process gets of an environment. Raises ProbeError."""
    limit_s = within_s or deadline_s(order)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(environ)
        )
    except OSError as error:
        raise ProbeError(f"the measuring process cannot be started: {error.strerror}") from error
    jpeg: bytes | None = None
    try:
        for answer in _answers(process, order, limit_s):
            match answer:
                case Step():
                    on_step(answer)
                case Snapshot():
                    jpeg = answer.jpeg
                case ProbeReport() | Refusal():
                    return Outcome(answer, jpeg)
                case Broken():
                    raise ProbeError(f"unexpected {answer.error} at {answer.where} while measuring. This is a bug")
        return Outcome(_crash(process))
    finally:
        _end(process)


def _answers(process: "subprocess.Popen[bytes]", order: ProbeOrder, limit_s: float) -> Iterator[ProbeAnswer]:
    """Yield what the process says, until it says no more."""
    assert process.stdin and process.stdout
    until_s = time.monotonic() + limit_s
    with suppress(BrokenPipeError):  # it has ended already: how, is told by its exit
        process.stdin.write(msgspec.json.encode(order))
        process.stdin.close()
    unread = bytearray()
    os.set_blocking(process.stdout.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not selector.select(left_s):
                raise ProbeError(f"the measuring process gave no answer within {limit_s:g} s")
            read = os.read(process.stdout.fileno(), _CHUNK)
            if not read:
                return
            unread += read
            *lines, rest = unread.split(b"\n") if b"\n" in read else [unread]
            unread = bytearray(rest)
            if len(unread) > MAX_LINE_BYTES:
                raise ProbeError("the measuring process says too much")
            for line in lines:
                yield _understood(bytes(line))


def _understood(line: bytes) -> ProbeAnswer:
    answer: ProbeAnswer | None = None
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = msgspec.json.decode(line, type=ProbeAnswer)
    if answer is None:
        raise ProbeError("the measuring process does not make sense")
    return answer


def _crash(process: "subprocess.Popen[bytes]") -> Refusal:
    """Return what is to be told of a process that ended without an answer. Raises ProbeError."""
    try:
        code = process.wait(_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise ProbeError("the measuring process neither answers nor ends") from None
    if -code in _CRASHES:
        return Refusal(Reason.CRASHED, f"its stream has crashed the decoder ({signal.Signals(-code).name})")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    hint = ": is the machine out of memory?" if code == -signal.SIGKILL else ""
    raise ProbeError(f"the measuring process ended with {how}{hint}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process, which has nothing to save, and close what belongs to it."""
    if process.poll() is None:
        process.kill()
    # One stuck in a driver is out of any signal's reach; the subprocess module reaps it if it ever ends.
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_WITHIN_S)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
