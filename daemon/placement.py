"""Mosaics to workers (and to capture processes), with least movement. Pure.

Every mosaic has a *home*, which changes only when workers come or go for good, or when homes are clearly uneven; while
its home is down it has a *seat* with somebody who is up, and returns once. A worker's burden is what its mosaics want
against what it can do.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

WORTH_RATIO = 0.5
"""A mosaic changes its home where that eases the most burdened by this part of the burden that the mosaic is, or more:
two that differ by less, or whose measured capacity wavers, are left alone."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whoever can have mosaics."""

    name: str
    device: str = ""
    capacity: float = 1.0
    """What it can do, over 0: mosaics a second, or of equals any one number."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One mosaic."""

    name: str
    rate: float = 1.0
    """What it wants, over 0, in the unit of capacities."""


def find_staff(workers: Sequence[str], spares: Collection[str], given_up: Collection[str]) -> list[str]:
    """Return the workers that mosaics have their homes with.

    A spare is none of them, so that it is free when another dies; for each that is given up it takes the place.
    """
    regular = [worker for worker in workers if worker not in spares]
    able = [worker for worker in regular if worker not in given_up]
    substitutes = [worker for worker in workers if worker in spares and worker not in given_up]
    return [*able, *substitutes[: len(regular) - len(able)]]


def find_cells(
    isolated: Collection[str],
    staff: Sequence[str],
    spares: Sequence[str],
    before: Mapping[str, str],
) -> dict[str, str]:
    """Return for each isolated mosaic the worker that it has to itself; it keeps the one that it had ``before``.

    Spares are taken first, then the last of the staff; one of the staff is left to the others. Where that is too few,
    mosaics share a cell; where nobody can be spared they have none, and are answered like all others.
    """
    free = [*(spare for spare in spares if spare not in staff), *reversed(staff[1:])]
    if not free:
        return {}
    cells: dict[str, str] = {}
    for mosaic in sorted(isolated):
        if before.get(mosaic) in free and before[mosaic] not in cells.values():
            cells[mosaic] = before[mosaic]
    for mosaic in sorted(set(isolated) - cells.keys()):
        held = list(cells.values())
        least = min(free, key=held.count)
        cells[mosaic] = before[mosaic] if least in held and before.get(mosaic) in free else least
    return cells


def find_homes(mosaics: Sequence[Wanted], owners: Sequence[Owner], before: Mapping[str, str]) -> dict[str, str]:
    """Return each mosaic's home among ``owners``; empty if there are none.

    A mosaic stays where it was ``before``, unless its owner is gone or it is worth a move. The first mosaics are the
    first to choose, and the last to move.
    """
    if not owners:
        return {}
    load = _Load(mosaics, owners)
    for mosaic in mosaics:
        if before.get(mosaic.name) in load.owners:
            load.put(mosaic, before[mosaic.name])
    for mosaic in mosaics:
        if mosaic.name not in load.places:
            load.put(mosaic, load.least(mosaic))
    while (move := load.worthwhile()) is not None:
        load.put(*move)
    return {mosaic.name: load.places[mosaic.name] for mosaic in mosaics}


def find_seats(
    mosaics: Sequence[Wanted], homes: Mapping[str, str], up: Sequence[Owner], before: Mapping[str, str]
) -> dict[str, str]:
    """Return who answers each mosaic now: its home if that is up, else whoever was found ``before``, else another.

    That is the least burdened, the first of them in ``up``. Empty if nobody is up.
    """
    if not up:
        return {}
    load = _Load(mosaics, up)
    for mosaic in mosaics:
        if homes[mosaic.name] in load.owners:
            load.put(mosaic, homes[mosaic.name])
    # Guests that stay count as burdens before anybody new is seated.
    for mosaic in mosaics:
        if mosaic.name not in load.places and before.get(mosaic.name) in load.owners:
            load.put(mosaic, before[mosaic.name])
    for mosaic in mosaics:
        if mosaic.name not in load.places:
            load.put(mosaic, load.least(mosaic))
    return {mosaic.name: load.places[mosaic.name] for mosaic in mosaics}


class _Load:
    """Who has what, and how burdened that makes workers and devices."""

    def __init__(self, mosaics: Sequence[Wanted], owners: Sequence[Owner]) -> None:
        self.owners = {owner.name: owner for owner in owners}
        self.places: dict[str, str] = {}
        self._mosaics = mosaics
        self._rates = dict.fromkeys(self.owners, 0.0)

    def put(self, mosaic: Wanted, owner: str) -> None:
        """Give a mosaic to an owner, from whomever had it."""
        if (had := self.places.get(mosaic.name)) is not None:
            self._rates[had] -= mosaic.rate
        self.places[mosaic.name] = owner
        self._rates[owner] += mosaic.rate

    def least(self, mosaic: Wanted) -> str:
        """Return who would be least burdened with this one more: of equals whose device is, then the first."""
        return min(
            self.owners, key=lambda name: (round(self._burden(name, mosaic.rate), 9), round(self._of_device(name), 9))
        )

    def worthwhile(self) -> tuple[Wanted, str] | None:
        """Return the move that is worth it, if there is one: of the most burdened's last mosaic for which it is."""
        most = max(self.owners, key=self._burden)
        for mosaic in reversed(self._mosaics):
            if self.places[mosaic.name] != most:
                continue
            to = self.least(mosaic)
            eased = self._burden(most) - max(self._burden(most, -mosaic.rate), self._burden(to, mosaic.rate))
            if to != most and eased >= WORTH_RATIO * mosaic.rate / self.owners[most].capacity:
                return mosaic, to
        return None

    def _burden(self, name: str, more: float = 0.0) -> float:
        return (self._rates[name] + more) / self.owners[name].capacity

    def _of_device(self, name: str) -> float:
        device = self.owners[name].device
        rates = sum(rate for other, rate in self._rates.items() if self.owners[other].device == device)
        return rates / sum(owner.capacity for owner in self.owners.values() if owner.device == device)
