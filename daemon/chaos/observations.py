"""What is seen of a run, as values: what was done, who was born and died, which processes there are. Pure.

Times are monotonic seconds of the observer, since the daemon's own wall clock is set by what is done to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.chaos.plan import Event
from daemon.verdict import Cause


@dataclass(frozen=True, slots=True)
class Hit:
    """An event that was performed, or could not be."""

    event: Event
    at_s: float
    pid: int | None = None
    """Whom it hit, if that is a child."""
    missed: str = ""
    """Why it could not be performed; empty if it was."""


@dataclass(frozen=True, slots=True)
class Birth:
    """A generation of a child was started."""

    child: str
    pid: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Death:
    """A generation has ended without being asked to."""

    child: str
    pid: int
    cause: Cause
    at_s: float
    is_for_good: bool = False
    """The child was given up."""


@dataclass(frozen=True, slots=True)
class Return:
    """A child is up again."""

    child: str
    pid: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """A generation has ended because it was asked to: with another memory limit, say, its successor starts."""

    child: str
    pid: int
    at_s: float


Told = Birth | Death | Return | Stop


@dataclass(frozen=True, slots=True)
class Process:
    """A process that this run has started, by whatever way."""

    pid: int
    parent: int
    is_zombie: bool
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Truth:
    """What a camera shows, and nobody else does."""

    label: str
    box: tuple[float, float, float, float]
    slack: float
    """So far may a box lie outside."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The supervisor's own resources at one moment."""

    at_s: float
    memory_kib: float
    """Anonymous memory: what it has mapped of files says nothing."""
    descriptors: int
    children_descriptors: int
    """Of all children together."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must always hold did not."""

    invariant: str
    what: str
    at_s: float
    events: tuple[int, ...] = ()
    """Numbers of the events that it may come from."""


@dataclass(slots=True)
class Census:
    """Who lives, from what the daemon's log has told so far."""

    current: dict[str, int] = field(default_factory=dict)
    """By child the process id of its generation."""
    up: dict[str, int] = field(default_factory=dict)
    """Those that have said that they are ready."""
    deaths: list[Death] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)
    """Process ids of all that have died or stopped."""
    returned_s: float = float("-inf")
    """When a child last became ready."""
    returns: dict[tuple[str, int], float] = field(default_factory=dict)

    def note(self, told: Told) -> None:
        """Take note of one thing that the log has told."""
        match told:
            case Birth(child, pid):
                self.current[child] = pid
                self.up.pop(child, None)
            case Return(child, pid, at_s):
                self.up[child] = pid
                self.returned_s = at_s
                self.returns[child, pid] = at_s
            case Death(child, pid) | Stop(child, pid):
                if isinstance(told, Death):
                    self.deaths.append(told)
                self.ended.add(pid)
                self.current.pop(child, None)
                self.up.pop(child, None)

    def back_s(self, hit: Hit) -> float | None:
        """Return how long after a hit the next generation of its victim was ready; None if it is not."""
        times = [
            at_s - hit.at_s
            for (child, pid), at_s in self.returns.items()
            if child == hit.event.victim and pid != hit.pid and at_s >= hit.at_s
        ]
        return min(times, default=None)


Evidence = Mapping[str, list[float]]
"""By mosaic, when it was seen to be answered, rising."""
