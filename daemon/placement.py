"""Mosaics to workers (and to capture processes), with least movement. Pure.

Every mosaic has a *home*, which changes only when workers come or go for good; while its home is down it has a *seat*
with somebody who is up, and returns once. A home is with the least burdened, and so is a seat.
"""

from collections.abc import Collection, Mapping, Sequence


def find_staff(workers: Sequence[str], spares: Collection[str], given_up: Collection[str]) -> list[str]:
    """Return the workers that mosaics have their homes with.

    A spare is none of them, so that it is free when another dies; for each that is given up it takes the place.
    """
    regular = [worker for worker in workers if worker not in spares]
    able = [worker for worker in regular if worker not in given_up]
    substitutes = [worker for worker in workers if worker in spares and worker not in given_up]
    return [*able, *substitutes[: len(regular) - len(able)]]


def find_homes(mosaics: Sequence[str], owners: Sequence[str], before: Mapping[str, str]) -> dict[str, str]:
    """Return each mosaic's home among ``owners``; empty if there are none.

    A mosaic stays where it was ``before``, unless its owner is gone or has two more mosaics than another.
    """
    if not owners:
        return {}
    homes = {mosaic: before[mosaic] for mosaic in mosaics if before.get(mosaic) in owners}
    for mosaic in mosaics:
        if mosaic not in homes:
            homes[mosaic] = _least_burdened(owners, homes)
    while True:
        burdens = {owner: [m for m in mosaics if homes[m] == owner] for owner in owners}
        most = max(owners, key=lambda owner: len(burdens[owner]))
        least = _least_burdened(owners, homes)
        if len(burdens[most]) - len(burdens[least]) < 2:
            return homes
        homes[burdens[most][-1]] = least


def find_seats(homes: Mapping[str, str], up: Sequence[str], before: Mapping[str, str]) -> dict[str, str]:
    """Return who answers each mosaic now: its home if that is up, else whoever was found ``before``, else another.

    That is the least burdened, the first of them in ``up``. Empty if nobody is up.
    """
    if not up:
        return {}
    seats = {mosaic: home for mosaic, home in homes.items() if home in up}
    # Guests that stay count as burdens before anybody new is seated.
    seats |= {mosaic: before[mosaic] for mosaic in homes if mosaic not in seats and before.get(mosaic) in up}
    for mosaic in homes:
        if mosaic not in seats:
            seats[mosaic] = _least_burdened(up, seats)
    return seats


def _least_burdened(owners: Sequence[str], places: Mapping[str, str]) -> str:
    burdens = list(places.values())
    return min(owners, key=burdens.count)
