"""Lets a schedule's faults happen in a running server. Shell: a coroutine that its caller cancels."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from simulator.faults import FaultError
from simulator.schedule import Entry, ScheduleError, happenings, possibilities, read_schedule
from simulator.server import RtspServer

_log = logging.getLogger(__name__)


def load_schedule(path: Path, server: RtspServer) -> tuple[Entry, ...]:
    """Reads a schedule for a server's cameras and prepares all that may happen. Blocks.

    Raises:
        ScheduleError: it cannot be read, or a camera cannot have a fault that it names.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ScheduleError(f"{path}: {reason}") from error
    entries = read_schedule(str(path), text, server.camera_names)
    for number, entry in enumerate(entries, start=1):
        for camera, fault in possibilities(entry):
            try:
                server.prepare(camera, fault)
            except FaultError as error:
                raise ScheduleError(f"{path}: entry {number}: {error}") from None
    return entries


async def perform(entries: Sequence[Entry], server: RtspServer) -> None:
    """Gives faults when their time comes, counted from the server's start; returns after the last, if there is one."""
    for happening in happenings(entries):
        await asyncio.sleep(max(0.0, happening.at_s - server.live_npt_s()))
        server.set_fault(happening.camera, happening.fault)
        fields = {"camera": happening.camera, "kind": happening.fault.kind, "for_s": happening.fault.for_s}
        _log.info("fault begins", extra={"fields": fields})
