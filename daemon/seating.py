"""Which worker has been told to answer which mosaic's slot. Owns the slots' descriptors.

Holding them keeps the shared memory alive while workers come and go. Who should answer what is decided by
:mod:`daemon.placement`; this carries it out with as few messages as will do. Knows no lifecycles.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from capture.messages import Assign, MosaicReport, Unassign
from daemon.logs import fields
from daemon.placement import Owner, Wanted, find_homes, find_seats

log = logging.getLogger(__name__)

Tell = Callable[[str, Assign | Unassign, tuple[int, ...]], None]
"""Sends a message with descriptors to a worker by name."""


@dataclass(slots=True)
class Slot:
    """One mosaic's slot."""

    slot_id: int
    owner: str
    """The capture process that writes it."""
    fd: int
    wake_fd: int
    worker: str | None = None
    """Who was told to answer it."""
    answered: int = 0
    """Number of the canvas that was answered last."""


@dataclass(frozen=True, slots=True)
class Posting:
    """Who is there for the mosaics."""

    staff: tuple[Owner, ...]
    """Who has mosaics of their own."""
    up: tuple[Owner, ...]
    """Who works now, and may have guests: spares among them, those in cells not."""
    cells: Mapping[str, str]
    """By isolated mosaic, the worker that it has to itself."""
    free: frozenset[str]
    """Workers in cells that work now."""
    held: frozenset[str] = frozenset()
    """Mosaics that nobody is to answer now."""


class Seating:
    """The slots and who answers them. One thread uses it."""

    def __init__(self, wanted: Sequence[Wanted], assignments: Mapping[str, Assign], tell: Tell) -> None:
        self.seats: dict[str, str] = {}
        """By mosaic, the worker that is to answer it; replaced whole."""
        self._wanted = wanted
        self._assignments = assignments
        self._tell = tell
        self._homes: dict[str, str] = {}
        self._posting: Posting | None = None
        self._slots: dict[str, Slot] = {}
        self._next_slot_id = 1

    def adopt(self, wanted: Sequence[Wanted], assignments: Mapping[str, Assign]) -> None:
        """Let these mosaics be answered from now on; those that are no more are dropped."""
        was, self._wanted, self._assignments = self._assignments, wanted, assignments
        self._posting = None
        for mosaic in [mosaic for mosaic in self._slots if mosaic not in assignments]:
            self._drop(self._slots.pop(mosaic))
        for mosaic, slot in self._slots.items():
            if assignments[mosaic] != was[mosaic]:
                self._unassign(slot)  # whoever is found to answer it is told anew

    def open(self, mosaic: str, owner: str, fd: int, wake_fd: int) -> None:
        """Take a mosaic's new slot, in place of the one that it had."""
        self._drop(self._slots.pop(mosaic, None))
        self._slots[mosaic] = Slot(self._next_slot_id, owner, fd, wake_fd)
        self._next_slot_id += 1

    def slot_id(self, mosaic: str) -> int:
        """Return the number of a mosaic's slot, -1 if it has none."""
        slot = self._slots.get(mosaic)
        return slot.slot_id if slot else -1

    def place(self, posting: Posting) -> None:
        """Let every slot be answered by whoever should."""
        if posting != self._posting:
            self._posting = posting
            self._find_seats(posting)
        for mosaic, slot in self._slots.items():
            seat = self.seats.get(mosaic)
            if seat == slot.worker:
                continue
            self._unassign(slot)
            if seat is not None:
                assign = msgspec.structs.replace(self._assignments[mosaic], slot_id=slot.slot_id)
                self._tell(seat, assign, (slot.fd, slot.wake_fd))
                slot.worker = seat

    def _find_seats(self, posting: Posting) -> None:
        apart = posting.cells.keys() | posting.held
        others = [mosaic for mosaic in self._wanted if mosaic.name not in apart]
        # The homes of those that are apart are forgotten: they come back to whoever has least to do then.
        self._homes = find_homes(others, posting.staff, self._homes)
        seats = find_seats(others, self._homes, posting.up, self.seats) if self._homes else {}
        seats |= {m: cell for m, cell in posting.cells.items() if cell in posting.free and m not in posting.held}
        for mosaic, worker in seats.items():
            if self.seats.get(mosaic) not in (worker, None):
                log.info("mosaic moved", extra=fields(mosaic=mosaic, worker=worker, was=self.seats[mosaic]))
        self.seats = seats

    def mosaic_of(self, slot_id: int) -> str | None:
        """Return whose slot this is; None if it is nobody's any more."""
        return next((mosaic for mosaic, slot in self._slots.items() if slot.slot_id == slot_id), None)

    def note_answer(self, mosaic: str, canvas_number: int) -> bool:
        """Take note of the newest canvas that was answered; return whether it is newer than the last one.

        Who takes a mosaic over may begin with the canvas that its predecessor has answered.
        """
        slot = self._slots.get(mosaic)
        if slot is None:
            return False
        is_newer, slot.answered = canvas_number > slot.answered, max(canvas_number, slot.answered)
        return is_newer

    def debtor(self, report: MosaicReport) -> str | None:
        """Return the worker for whom a canvas waits, if the newest that was reported is not answered yet."""
        slot = self._slots.get(report.mosaic)
        return slot.worker if slot and report.composed > slot.answered else None

    def answered_by(self, worker: str) -> list[str]:
        """Return the mosaics that a worker was told to answer."""
        return [mosaic for mosaic, slot in self._slots.items() if slot.worker == worker]

    def forget_worker(self, name: str) -> None:
        """A worker has ended: nobody answers its slots until they are placed again."""
        for slot in self._slots.values():
            if slot.worker == name:
                slot.worker = None

    def forget_capture(self, name: str) -> None:
        """A capture process has ended, and its slots with it."""
        for mosaic in [mosaic for mosaic, slot in self._slots.items() if slot.owner == name]:
            self._drop(self._slots.pop(mosaic))

    def close(self) -> None:
        """Let go of all descriptors; no worker is told."""
        for slot in self._slots.values():
            os.close(slot.fd)
            os.close(slot.wake_fd)
        self._slots.clear()

    def _drop(self, slot: Slot | None) -> None:
        if slot is not None:
            self._unassign(slot)
            os.close(slot.fd)
            os.close(slot.wake_fd)

    def _unassign(self, slot: Slot) -> None:
        if (worker := slot.worker) is not None:
            slot.worker = None
            self._tell(worker, Unassign(slot.slot_id), ())
