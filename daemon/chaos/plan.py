"""From a seed to a schedule: what happens to whom, and when. Pure: the same seed gives the same schedule.

Events come in bursts. Those of one burst overlap; after it everybody must have recovered, and only then can be told
whether anything is left over.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from daemon.chaos.kinds import CAMERA_FAULTS, CLOCK_STEP_S, TRAITS, Kind, Target

BURST = 3
"""Events at most."""
APART_S = 1.5
"""At most, between two events of a burst."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setup:
    """Whom there is to hit."""

    workers: tuple[str, ...]
    captures: tuple[str, ...]
    cameras: tuple[str, ...]
    events: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Workers and capture processes."""
        return (*self.workers, *self.captures)

    @property
    def children(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.sources, *self.events)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that goes wrong."""

    number: int
    """From 1."""
    kind: Kind
    victim: str
    """Child or camera; ``machine`` for what all have in common."""
    after_s: float
    """After the event before it; of a burst's first: after everybody was well."""
    seed: int
    """Of what else there is to choose."""
    fault: str = ""
    """Of a camera."""
    step_s: float = 0.0
    """Of the clock: how far it is off from now on."""

    def __str__(self) -> str:
        """For a person."""
        more = self.fault or (f"{self.step_s:+.0f} s" if self.kind is Kind.CLOCK else "")
        return " ".join(filter(None, (self.kind.value, self.victim if self.victim != "machine" else "", more)))


Burst = tuple[Event, ...]


def plan(seed: int, events: int, kinds: Sequence[Kind], setup: Setup) -> tuple[Burst, ...]:
    """Return so many events in bursts. Each kind comes equally often, and so does each camera.

    Raises ValueError for no kind, or a number of events below 1.
    """
    if events < 1 or not kinds:
        raise ValueError("at least one event of one kind is needed")
    chance = random.Random(seed)
    of_kinds = _rounds(tuple(Kind(kind) for kind in sorted(set(kinds))), chance)
    cameras = _rounds(setup.cameras, chance)
    bursts: list[Burst] = []
    number = 0
    while number < events:
        size = min(chance.randint(1, BURST), events - number)
        burst = []
        for place in range(size):
            number += 1
            # A moment's rest before the first, so that it falls anywhere in the period of mosaics and reports.
            after_s = round(chance.uniform(0.0, APART_S if place else 1.0), 3)
            burst.append(_event(number, next(of_kinds), after_s, setup=setup, cameras=cameras, chance=chance))
        bursts.append(tuple(burst))
    return tuple(bursts)


def _event(
    number: int, kind: Kind, after_s: float, *, setup: Setup, cameras: Iterator[str], chance: random.Random
) -> Event:
    seed = chance.getrandbits(32)
    match TRAITS[kind].target:
        case Target.WORKER:
            return Event(number, kind, chance.choice(setup.workers), after_s, seed)
        case Target.SOURCE:
            return Event(number, kind, chance.choice(setup.sources), after_s, seed)
        case Target.CHILD:
            return Event(number, kind, chance.choice(setup.children), after_s, seed)
        case Target.CAMERA:
            return Event(number, kind, next(cameras), after_s, seed, fault=chance.choice(CAMERA_FAULTS))
    step_s = round(chance.uniform(-CLOCK_STEP_S, CLOCK_STEP_S)) if kind is Kind.CLOCK else 0.0
    return Event(number, kind, "machine", after_s, seed, step_s=step_s)


def _rounds(things: Sequence[T], chance: random.Random) -> Iterator[T]:
    """Yield all of them again and again, in another order each time."""
    while True:
        yield from chance.sample(things, len(things))
