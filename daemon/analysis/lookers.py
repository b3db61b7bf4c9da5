"""The processes that look at footage: started here, given parts to look at, heard, and ended.

Owned by the command's thread. A part whose process dies is looked at once more, alone; if that dies, too, it is left
out: one file that crashes a decoder keeps the others from nothing.
"""

import select
import signal
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from capture.channel import ProtocolError
from capture.exits import ExitCode
from capture.lookmessages import Begin, Depict, Depicted, Inspect, Inspected, Look, Looked, PartEnd, Refused
from capture.messages import Loading, Ready
from daemon.child import Child, ChildSpec, Death
from daemon.lifecycle import Command

KIND = "looker"
HANG_S = 120.0
"""One that says nothing for so long while it has something in hand hangs."""
WAIT_S = 0.1
STOP_S = 2.0
CRASHED = "it has crashed the decoder"

Order = Inspect | Look | Depict
Heard = Inspected | Refused | Looked | PartEnd | Depicted
_OF_THE_ENGINE = frozenset({ExitCode.MODEL, ExitCode.DEVICE, ExitCode.OUT_OF_MEMORY, ExitCode.CONFIG, ExitCode.QUOTA})
"""How those end that no other part would help."""


class LookersError(Exception):
    """It cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one process runs, and what it is told."""

    environ: Mapping[str, str]
    begin: Begin
    cores: tuple[int, ...] = ()
    """Which it may run on; empty for all."""


@dataclass(slots=True)
class _Looker:
    """One process over its generations."""

    child: Child
    begin: Begin
    is_ready: bool = False
    in_hand: dict[int, Order] = field(default_factory=dict)
    """By number, in the order in which they were given."""
    heard_s: float = 0.0
    has_suspect: bool = False
    vain: int = 0
    """Deaths while it loaded its model, in a row."""

    def room(self, share: int) -> int:
        """How many orders it may be given, of which each process has such a share: one waits while others are read."""
        return 0 if self.has_suspect else min(self.begin.readers + 1, share) - len(self.in_hand)


class Lookers:
    """All of them."""

    def __init__(self, places: Sequence[Place], module: str = "inference.looker") -> None:
        self._lookers = [
            _Looker(Child(ChildSpec(f"l{number}", KIND, module, place.environ, place.cores)), place.begin)
            for number, place in enumerate(places, 1)
        ]
        self._wanted: deque[Order] = deque()
        self._suspects: deque[Order] = deque()
        self._has_begun = False
        self.detail = ""
        """What runs, as they say it."""

    def start(self) -> None:
        """Start all. Raises LookersError."""
        for looker in self._lookers:
            self._spawn(looker)

    def inspect(self, files: Sequence[Inspect]) -> Iterator[Heard | None]:
        """Yield what each file is; None now and then. Raises LookersError."""
        yield from self._work(files)

    def begin(self) -> None:
        """Load the models. That takes a while; `look` waits for it."""
        self._has_begun = True
        for looker in self._lookers:
            looker.child.send(looker.begin)

    def look(self, parts: Sequence[Look]) -> Iterator[Heard | None]:
        """Yield what is seen, as it comes, and the end of each part; None now and then. Raises LookersError."""
        yield from self._work(parts)

    def depict(self, pictures: Sequence[Depict]) -> Iterator[Heard | None]:
        """Yield what became of each picture; None now and then. Raises LookersError."""
        yield from self._work(pictures)

    def close(self) -> None:
        """End all. They have nothing to save."""
        for looker in self._lookers:
            if looker.child.pid is not None:
                looker.child.obey(Command.KILL)
                with suppress(OSError):
                    _wait([looker.child.descriptors[2]], STOP_S)
                looker.child.bury()

    def _work(self, orders: Sequence[Order]) -> Iterator[Heard | None]:
        self._wanted.extend(orders)
        while self._wanted or self._suspects or any(looker.in_hand for looker in self._lookers):
            for looker in self._lookers:
                self._give(looker)
            watched = [fd for looker in self._lookers for fd in looker.child.descriptors]
            _wait(watched, WAIT_S)
            for looker in self._lookers:
                yield from self._hear(looker)
            yield None

    def _give(self, looker: _Looker) -> None:
        """Give it what there is to do."""
        if self._suspects and not looker.in_hand and self._may(looker, self._suspects[0]):
            self._hand(looker, self._suspects.popleft())
            looker.has_suspect = True
        outstanding = len(self._wanted) + sum(len(each.in_hand) for each in self._lookers)
        share = -(-outstanding // len(self._lookers))
        while self._wanted and looker.room(share) > 0 and self._may(looker, self._wanted[0]):
            self._hand(looker, self._wanted.popleft())

    @staticmethod
    def _may(looker: _Looker, order: Order) -> bool:
        return looker.is_ready or not isinstance(order, Look)

    @staticmethod
    def _hand(looker: _Looker, order: Order) -> None:
        if not looker.in_hand:
            looker.heard_s = time.monotonic()
        looker.in_hand[_number(order)] = order
        looker.child.send(order)

    def _hear(self, looker: _Looker) -> Iterator[Heard]:
        """Yield what it has said; if it has ended, see what is to become of what it had in hand."""
        looker.child.read_stderr()
        with suppress(ProtocolError):
            for received in looker.child.receive():
                yield from self._understand(looker, received.message)
        if looker.in_hand and looker.is_ready and time.monotonic() - looker.heard_s > HANG_S:
            looker.child.obey(Command.KILL)
        if _wait([looker.child.descriptors[2]], 0.0):
            death = looker.child.bury()
            for received in death.received:
                yield from self._understand(looker, received.message)
            yield from self._mourn(looker, death)

    def _understand(self, looker: _Looker, message: object) -> Iterator[Heard]:
        looker.heard_s = time.monotonic()
        match message:
            case Ready():
                looker.is_ready, looker.vain, self.detail = True, 0, message.detail
            case Looked():
                yield message
            case Inspected() | Refused():
                yield self._taken(looker, message.file, message)
            case PartEnd():
                yield self._taken(looker, message.part, message)
            case Depicted():
                yield self._taken(looker, message.picture, message)
            case Loading():
                pass

    @staticmethod
    def _taken(looker: _Looker, number: int, message: Heard) -> Heard:
        looker.in_hand.pop(number, None)
        looker.has_suspect = False
        return message

    def _mourn(self, looker: _Looker, death: Death) -> Iterator[Heard]:
        """Start it anew, and give what it had in hand to others. Raises LookersError where that would not help."""
        words = death.last_words
        looker.vain += not (looker.in_hand or looker.is_ready)
        if looker.vain > 1 or (words and words.exit_code in _OF_THE_ENGINE):
            raise LookersError(_how(death))
        if looker.has_suspect:
            why = words.message if words and words.message else CRASHED
            yield from (_failed(order, why) for order in looker.in_hand.values())
        else:
            self._suspects.extend(looker.in_hand.values())
        looker.in_hand, looker.has_suspect, looker.is_ready = {}, False, False
        self._spawn(looker)
        if self._has_begun:
            looker.child.send(looker.begin)

    @staticmethod
    def _spawn(looker: _Looker) -> None:
        try:
            looker.child.spawn()
        except OSError as error:
            raise LookersError(f"a process cannot be started: {error.strerror}") from error


def _number(order: Order) -> int:
    match order:
        case Look():
            return order.part
        case Depict():
            return order.picture
    return order.file


def _failed(order: Order, why: str) -> Heard:
    match order:
        case Look():
            return PartEnd(order.part, 0, None, why)
        case Depict():
            return Depicted(order.picture, error=why)
    return Refused(order.file, why)


def _how(death: Death) -> str:
    """Return how a process ended."""
    if death.last_words and death.last_words.message:
        return death.last_words.message
    code = death.returncode
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    hint = ": is the machine out of memory?" if code == -signal.SIGKILL else ""
    said = f" ({death.stderr[-1]})" if death.stderr else ""
    return f"the process that looks at footage ended with {how}{hint}{said}"


def _wait(descriptors: Sequence[int], timeout_s: float) -> list[int]:
    poll = select.poll()
    for fd in descriptors:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(int(1000 * timeout_s))]
