"""Carries out what a person orders: workers listed and restarted, cameras switched, the roster read again.

Used by the supervisor's loop, which it must not keep waiting: what takes longer is answered by whoever does it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from daemon.child import Child
from daemon.orders import (
    ListWorkers,
    NoSuchWorker,
    Refused,
    ReloadRoster,
    Reply,
    Request,
    Restarting,
    RestartWorker,
    SwitchCamera,
    WorkerList,
)
from daemon.records import Record
from daemon.reload import Reloader, Switching, Trigger, reply_to
from daemon.workforce import Workforce


class Asked(Protocol):
    """A request that waits for its reply."""

    @property
    def request(self) -> Request:
        """What is asked."""

    def answer(self, reply: Reply) -> None:
        """Answer it, from any thread; never blocks."""


class Inlet(Protocol):
    """A way on which requests come."""

    def take(self) -> Sequence[Asked]:
        """Return those that have come; never blocks."""


class Desk:
    """Where orders come in. One thread uses it."""

    def __init__(
        self,
        inlets: Sequence[Inlet],
        workforce: Workforce,
        records: Mapping[str, Record],
        lives: Mapping[str, Child],
        restart: Callable[[Child], None],
    ) -> None:
        self._inlets = inlets
        self._workforce = workforce
        self._records = records
        self._lives = lives
        self._restart = restart

    def serve(self, reloader: Reloader | None, *, is_stopping: bool) -> None:
        """Carry out what was ordered since the last turn."""
        for asked in [asked for inlet in self._inlets for asked in inlet.take()]:
            match asked.request:
                case ReloadRoster() as order if reloader is not None and not is_stopping:
                    reloader.request(_trigger(asked, order))
                case SwitchCamera() as order if reloader is not None and not is_stopping:
                    reloader.request(Switching(order, asked.answer))
                case request:
                    asked.answer(self._carry_out(request, is_stopping))

    def _carry_out(self, request: Request, is_stopping: bool) -> Reply:
        match request:
            case ListWorkers():
                return WorkerList(
                    tuple(
                        self._records[name].state(self._lives[name], worker, self._workforce.standing(name))
                        for name, worker in self._workforce.workers.items()
                    )
                )
            case RestartWorker(name) if name not in self._workforce.workers:
                return NoSuchWorker(name, tuple(self._workforce.workers))
            case _ if is_stopping:
                return Refused("the daemon is stopping")
            case RestartWorker(name):
                was = self._lives[name].life.phase
                self._restart(self._lives[name])
                return Restarting(name, was)
            case ReloadRoster() | SwitchCamera():
                return Refused("this daemon does not read its roster again")


def _trigger(asked: Asked, order: ReloadRoster) -> Trigger:
    return Trigger("ordered", order.is_trial, answer=lambda outcome: asked.answer(reply_to(outcome)))
