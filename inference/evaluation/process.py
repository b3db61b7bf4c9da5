"""The other side of `child`: starts the measuring process, asks it, and says how it failed where it does.

Shell. A `Measurer` belongs to the thread that made it.
"""

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from inference.evaluation.messages import Done, Failed, Look, Reply, Request, Seen

COMMAND: Final = (sys.executable, "-P", "-m", "inference.evaluation.child")
LOAD_WITHIN_S: Final = 900.0
"""A large model's graph takes a minute to build on a slow machine."""
ANSWER_WITHIN_S: Final = 300.0
"""From one answer to the next."""
_END_WITHIN_S: Final = 5.0
_LAST_LINES: Final = 5
_CHUNK: Final = 1 << 16

R = TypeVar("R")


class MeasurerError(Exception):
    """A measuring process that does not answer as it should; the message says what a person can know."""


class MeasurerFailed(MeasurerError):  # noqa: N818 - reads as what happened
    """It said what went wrong: `kind` is the error's type there (ModelUnusable, OutOfMemory, PictureError, ...)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message if message else kind)
        self.kind = kind


class MeasurerDied(MeasurerError):  # noqa: N818
    """It ended without a word; `code` as subprocess gives it: below 0 it is a signal's."""

    def __init__(self, code: int, last_lines: str) -> None:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = "; the machine may be out of memory" if code == -signal.SIGKILL else ""
        super().__init__(f"the measuring process ended with {how}{hint}" + (f": {last_lines}" if last_lines else ""))
        self.code = code


class MeasurerLate(MeasurerError):  # noqa: N818
    """It did not answer within its deadline."""


class Measurer:
    """One measuring process, started here, and ended by `close` or by leaving the `with` block.

    It gets the starter's whole environment unless another is given: who holds secrets in its own gives one.
    """

    def __init__(self, command: Sequence[str] = COMMAND, environment: Mapping[str, str] | None = None) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=environment
        )
        assert self._process.stdin and self._process.stdout
        self._orders, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._answers.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._answers, selectors.EVENT_READ)
        self._partial = b""
        self._lines: deque[bytes] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, order: Request, expected: type[R], within_s: float = ANSWER_WITHIN_S) -> R:
        """The one answer to an order. Raises MeasurerError."""
        self.send(order)
        reply = self.receive(within_s)
        if not isinstance(reply, expected):
            raise _unexpected(reply)
        return reply

    def look(self, order: Look, within_s: float = ANSWER_WITHIN_S) -> Iterator[Seen]:
        """The pictures' detections, as they come; each within its deadline. Raises MeasurerError."""
        self.send(order)
        while not isinstance(reply := self.receive(within_s), Done):
            if not isinstance(reply, Seen):
                raise _unexpected(reply)
            yield reply

    def close(self) -> None:
        """End the process and give back all that belongs to it; may be called again."""
        if self._process.poll() is None:
            self._process.kill()  # it has nothing to save
        # One stuck in a driver is out of any signal's reach; the subprocess module reaps it if it ever ends.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_WITHIN_S)
        self._selector.close()
        for file in (self._orders, self._answers, self._errors):
            with suppress(BrokenPipeError):
                file.close()

    def send(self, order: Request) -> None:
        """Hand over an order without waiting for its answer. Raises MeasurerDied."""
        try:
            self._orders.write(msgspec.json.encode(order) + b"\n")
            self._orders.flush()
        except BrokenPipeError:
            raise self._died() from None

    def receive(self, within_s: float = ANSWER_WITHIN_S) -> Reply:
        """The next answer. Raises MeasurerError."""
        try:
            reply: Reply = msgspec.json.decode(self._line(within_s), type=Reply)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MeasurerFailed("protocol", f"the measuring process does not make sense: {error}") from error
        if isinstance(reply, Failed):
            raise MeasurerFailed(reply.kind, reply.message)
        return reply

    def _line(self, within_s: float) -> bytes:
        deadline_s = time.monotonic() + within_s
        while not self._lines:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not self._selector.select(left_s):
                raise MeasurerLate(f"no answer from the measuring process within {within_s:g} s")
            read = os.read(self._answers.fileno(), _CHUNK)
            if not read:
                raise self._died()
            *whole, self._partial = (self._partial + read).split(b"\n")
            self._lines.extend(whole)
        return self._lines.popleft()

    def _died(self) -> MeasurerDied:
        try:
            code = self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _CHUNK))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return MeasurerDied(code, " | ".join(lines[-_LAST_LINES:]))


def _unexpected(reply: Reply) -> MeasurerFailed:
    return MeasurerFailed("protocol", f"the measuring process answered with {type(reply).__name__}")
