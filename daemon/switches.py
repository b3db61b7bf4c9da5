"""Cameras that a person has switched off: an overlay on the roster, whose file stays the technician's.

Owns the names and their file in the state folder, so that they outlive a restart. A name that an applied roster no
longer has is forgotten. Used by one thread: the reloader's, once that runs.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from daemon import kept
from daemon.orders import NoSuchCamera, Refused, SwitchCamera
from daemon.problems import did_you_mean
from daemon.roster import Roster

FILE_NAME = "switched-off.json"
_WHAT = "cameras switched off"


class Switches:
    """The names of the cameras that are switched off."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME
        self.off = frozenset(kept.load(self._path, tuple[str, ...], _WHAT) or ())

    def keep(self, off: Collection[str], roster: Roster) -> None:
        """Let these of the roster's cameras be off from now on, and at the next start."""
        off = frozenset(camera.name for camera in roster.cameras if camera.name in off)
        if off != self.off:
            self.off = off
            kept.save(self._path, sorted(off), _WHAT)


def switched(roster: Roster, off: Collection[str]) -> Roster:
    """Return the roster with these cameras disabled. Pure."""
    return replace(
        roster,
        cameras=tuple(
            replace(camera, enabled=False, is_switched_off=True) if camera.enabled and camera.name in off else camera
            for camera in roster.cameras
        ),
    )


def after(
    order: SwitchCamera, roster: Roster, off: frozenset[str], file: str
) -> frozenset[str] | NoSuchCamera | Refused:
    """Return what is off once the order is carried out, or why it cannot be; ``file`` is the roster's name. Pure."""
    camera = next((camera for camera in roster.cameras if camera.name == order.name), None)
    if camera is None:
        return NoSuchCamera(order.name, did_you_mean(order.name, [each.name for each in roster.cameras]))
    if camera.enabled:
        return off - {order.name} if order.is_on else off | {order.name}
    if order.is_on:
        return Refused(f"camera {order.name} is disabled in {file}: it has `enabled: false` there")
    return off  # it is off, and stays so until the roster says otherwise
