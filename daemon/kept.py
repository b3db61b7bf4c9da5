"""Small JSON files in the state folder: what the daemon remembers of its last run, and can do without.

A file that cannot be read or written is a line of log, never a reason not to run.
"""

import logging
from pathlib import Path
from typing import TypeVar

import msgspec

from daemon.logs import fields

log = logging.getLogger(__name__)

T = TypeVar("T")


def load(path: Path, kind: type[T], what: str) -> T | None:
    """Return what was kept, of this type; None where there is nothing of use. ``what`` names it in the log."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.warning(f"{what} forgotten", extra=fields(error=str(error)))
        return None


def save(path: Path, value: object, what: str) -> None:
    """Replace the file at once or not at all."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_bytes(msgspec.json.encode(value))
        new.replace(path)
    except OSError as error:
        log.warning(f"{what} not kept", extra=fields(error=error.strerror))
