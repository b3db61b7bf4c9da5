"""Which camera lies on which tile of which mosaic. Pure.

Stable: a camera stays on its tile as long as it exists and asks for no other mosaic, whoever else comes or goes.
For that the previous grouping is an argument; the supervisor keeps it in its state folder across restarts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from capture.layout import TILES


@dataclass(frozen=True, slots=True)
class Seat:
    """A camera that wants a tile; ``mosaic`` is the mosaic it asks for by name, or None for any."""

    camera: str
    mosaic: str | None = None


@dataclass(frozen=True, slots=True)
class MosaicPlan:
    """A mosaic and the cameras on its four tiles, None for an empty tile."""

    name: str
    cameras: tuple[str | None, ...]

    def __post_init__(self) -> None:
        if len(self.cameras) != TILES:
            raise ValueError(f"mosaic {self.name} has {len(self.cameras)} tiles, not {TILES}")


def group(seats: Sequence[Seat], previous: Sequence[MosaicPlan] = ()) -> tuple[MosaicPlan, ...]:
    """Seat every camera on exactly one tile.

    Named mosaics hold the cameras that ask for them; the others fill mosaics ``m1``, ``m2``, ... in roster order.
    Raises ValueError when more than four cameras ask for one mosaic (the roster is checked for it before).
    """
    wanted = {seat.camera: seat.mosaic for seat in seats}
    named = {seat.mosaic for seat in seats if seat.mosaic is not None}
    tiles: dict[str, list[str | None]] = {
        plan.name: [
            camera if camera in wanted and wanted[camera] in (None, plan.name) else None for camera in plan.cameras
        ]
        for plan in previous
    }
    seated = {camera for cameras in tiles.values() for camera in cameras if camera}
    homeless: list[str] = []
    for seat in seats:
        if seat.mosaic is None or seat.camera in seated:
            continue
        cameras = tiles.setdefault(seat.mosaic, [None] * TILES)
        guests = [i for i in reversed(range(TILES)) if cameras[i] is None or wanted[cameras[i] or ""] is None]
        if not guests:
            raise ValueError(f"more than {TILES} cameras ask for mosaic {seat.mosaic}")
        # An empty tile if there is one, else the tile of a camera that did not ask to be here.
        tile = next((i for i in reversed(guests) if cameras[i] is None), guests[0])
        if (guest := cameras[tile]) is not None:
            homeless.append(guest)
        cameras[tile] = seat.camera
    homeless += [seat.camera for seat in seats if seat.mosaic is None and seat.camera not in seated]
    order = {seat.camera: i for i, seat in enumerate(seats)}
    for camera in sorted(homeless, key=order.__getitem__):
        name = next((n for n in tiles if n not in named and any(tiles[n]) and None in tiles[n]), None)
        cameras = tiles[name] if name else tiles.setdefault(_free_name(tiles, named), [None] * TILES)
        cameras[cameras.index(None)] = camera
    return tuple(MosaicPlan(name, tuple(cameras)) for name, cameras in tiles.items() if any(cameras))


def _free_name(tiles: dict[str, list[str | None]], named: set[str]) -> str:
    """Return the first of m1, m2, ... that is not in use (an emptied mosaic's name is free again)."""
    number = 1
    while (name := f"m{number}") in named or (name in tiles and any(tiles[name])):
        number += 1
    return name
