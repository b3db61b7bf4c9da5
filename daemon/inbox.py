"""Orders that come over HTTP, on their way from its thread to the supervisor's loop, and the replies back.

They are those that come through the control socket (:mod:`daemon.orders`), and are carried out by the same desk.
"""

from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from daemon.orders import Reply, Request


@dataclass(frozen=True, slots=True)
class Ordered:
    """A request that waits for its reply; whoever takes it answers it, at once or later, from any thread."""

    request: Request
    reply: "Future[Reply]" = field(default_factory=Future)

    def answer(self, reply: Reply) -> None:
        """Hand over the reply; it does not matter if nobody waits for it any more."""
        with suppress(InvalidStateError):
            self.reply.set_result(reply)


class Inbox:
    """Any thread puts in; one takes out, and nothing here blocks."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Ordered] = SimpleQueue()

    def order(self, request: Request) -> "Future[Reply]":
        """Return what will hold the reply."""
        ordered = Ordered(request)
        self._queue.put(ordered)
        return ordered.reply

    def take(self) -> list[Ordered]:
        """Return the requests that have come."""
        taken = []
        while True:
            try:
                taken.append(self._queue.get_nowait())
            except Empty:
                return taken
