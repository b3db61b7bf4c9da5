"""Which camera lies on which tile of which mosaic. Pure.

Stable: a camera stays on its tile as long as it exists and asks for no other mosaic, whoever else comes or goes.
For that the previous grouping is an argument; the supervisor keeps it in its state folder across restarts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from capture.layout import TILES

_AUTOMATIC = re.compile(r"m[1-9][0-9]*")


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


def is_automatic(mosaic: str) -> bool:
    """Whether this is a name that only this module gives: m1, m2, ... A roster must not use them."""
    return _AUTOMATIC.fullmatch(mosaic) is not None


def group(seats: Sequence[Seat], previous: Sequence[MosaicPlan] = ()) -> tuple[MosaicPlan, ...]:
    """Seat every camera on exactly one tile.

    Named mosaics hold the cameras that ask for them; the others fill mosaics ``m1``, ``m2``, ... in roster order.
    Raises ValueError when more than four cameras ask for one mosaic, or one asks for an automatic one (the roster is
    checked for both before).
    """
    wanted = {seat.camera: seat.mosaic for seat in seats}
    tiles: dict[str, list[str | None]] = {
        plan.name: [
            camera if camera in wanted and _may_sit(wanted[camera], plan.name) else None for camera in plan.cameras
        ]
        for plan in previous
    }
    seated = {camera for cameras in tiles.values() for camera in cameras if camera}
    for seat in seats:
        if seat.camera in seated:
            continue
        if seat.mosaic is not None and is_automatic(seat.mosaic):
            raise ValueError(f"mosaic {seat.mosaic} has an automatic name")
        name = seat.mosaic or _with_room(tiles)
        cameras = tiles.setdefault(name, [None] * TILES)
        if None not in cameras:
            raise ValueError(f"more than {TILES} cameras ask for mosaic {name}")
        cameras[cameras.index(None)] = seat.camera
    return tuple(MosaicPlan(name, tuple(cameras)) for name, cameras in tiles.items() if any(cameras))


def _may_sit(wanted: str | None, mosaic: str) -> bool:
    return is_automatic(mosaic) if wanted is None else wanted == mosaic


def _with_room(tiles: dict[str, list[str | None]]) -> str:
    """Return the first automatic mosaic in use that has an empty tile, else a new one with the lowest free number."""
    for name, cameras in tiles.items():
        if is_automatic(name) and any(cameras) and None in cameras:
            return name
    number = 1
    while any(tiles.get(f"m{number}", [])):
        number += 1
    return f"m{number}"
