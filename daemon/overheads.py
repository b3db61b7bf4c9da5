"""Measures what workers take beyond their limits, keeps it in the state folder, and says what follows.

Owns one file, `overheads.json`, and one thread, started with the first measurement and joined by :meth:`close`: NVML
can hang, and /proc waits for the process that it tells of, so the supervisor's loop only asks, and is woken by a
descriptor.
"""

import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from daemon import kept
from daemon.devices import DeviceKind, InventoryError, WorkerPlan, run_inventory
from daemon.inventory import Inventory
from daemon.logs import fields
from daemon.overhead import Overhead, Watched, excess_mib, follow, is_growing, remember, uncounted_mib

log = logging.getLogger(__name__)

FILE_NAME = "overheads.json"
JOIN_S = 15.0
"""More than the inventory's deadline."""

Measure = Callable[[Watched, Mapping[str, int]], Mapping[str, int]]
"""From workers' process ids to what each takes beyond its limit, in MiB; those of which nothing is known are left out.
Raises OSError, InventoryError, msgspec.DecodeError."""


def load(state_dir: Path) -> tuple[Overhead, ...]:
    """Return what was remembered; nothing, and a line of log, where the file is of no use."""
    return kept.load(state_dir / FILE_NAME, tuple[Overhead, ...], "measured overheads") or ()


def save(state_dir: Path, overheads: Sequence[Overhead]) -> None:
    """Keep them; what cannot be kept is measured again."""
    kept.save(state_dir / FILE_NAME, overheads, "measured overheads")


def measure(
    watched: Watched, pids: Mapping[str, int], *, environ: Mapping[str, str], proc: Path = Path("/proc")
) -> Mapping[str, int]:
    """Measure the workers of one device. Blocks; see :data:`Measure`."""
    if watched.device.kind is DeviceKind.CPU:
        found = {}
        for name, pid in pids.items():
            with suppress(FileNotFoundError, ProcessLookupError):
                found[name] = uncounted_mib((proc / str(pid) / "smaps").read_text(errors="replace"))
        return found
    inventory = msgspec.json.decode(run_inventory(tuple(pids.values()), environ=environ), type=Inventory)
    limits = {worker.name: worker.limit_mib for worker in watched.workers}
    beyond = {
        name: excess_mib(inventory.used_mib_by_pid[pid], limits[name])
        for name, pid in pids.items()
        if pid in inventory.used_mib_by_pid
    }
    return {name: mib for name, mib in beyond.items() if mib is not None}


class Overheads:
    """The workers' overheads. All but the thread's own work is for one thread, the supervisor's."""

    def __init__(self, state_dir: Path, watched: Sequence[Watched], measure: Measure) -> None:
        self.by_worker: dict[str, int] = {}
        """MiB, as measured last."""
        self._state_dir = state_dir
        self._watched = [each for each in watched if not is_growing(each)]
        self._measure = measure
        self._asked: dict[str, Mapping[str, int]] = {}
        self._retired: set[str] = set()
        self._notices: dict[str, str] = {}
        self._orders: queue.SimpleQueue[tuple[Watched, Mapping[str, int]] | None] = queue.SimpleQueue()
        self._found: queue.SimpleQueue[tuple[Watched, Mapping[str, int]]] = queue.SimpleQueue()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """What of it a person should know."""
        return tuple(self._notices.values())

    def fileno(self) -> int:
        """Readable when there is something to take."""
        return self._wake_fd

    def ask(self, pids: Mapping[str, int], plans: Mapping[str, WorkerPlan]) -> None:
        """Have each device measured whose workers are all among these, which are up, if it was not yet.

        Not before: what workers share is fairly shared only when all are there. Nor where one is not as it was planned,
        because it has died too often of that.
        """
        for watched in self._watched:
            names = [worker.name for worker in watched.workers]
            if any(plans.get(worker.name, worker) != worker for worker in watched.workers):
                continue
            # A person may have started again who was retired.
            self._retired -= {name for name in names if name in pids}
            staff = {name: pids[name] for name in names if name in pids}
            if set(names) - self._retired - set(staff) or self._asked.get(watched.device.name) == staff:
                continue
            self._asked[watched.device.name] = staff
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="overheads")
                self._thread.start()
            self._orders.put((watched, staff))

    def take(self) -> tuple[str, ...]:
        """Take what has been measured, say it, and return the workers to be retired."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        retired: list[str] = []
        while not self._found.empty():
            watched, found = self._found.get()
            self.by_worker |= found
            mib = max(found.values())
            consequence = follow(watched, mib)
            device = watched.device.name
            log.info("overhead measured", extra=fields(device=device, mib=mib, planned_mib=watched.planned_mib))
            self._notices.pop(device, None)
            if consequence.notice:
                self._notices[device] = consequence.notice
                log.warning("workers do not fit", extra=fields(notice=consequence.notice))
            retired += (name for name in consequence.retired if name not in self._retired)
        self._retired |= set(retired)
        return tuple(retired)

    def close(self) -> None:
        """End the thread."""
        self._orders.put(None)
        if self._thread is not None:
            self._thread.join(JOIN_S)
        os.close(self._wake_fd)

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            watched, pids = order
            try:
                found = self._measure(watched, pids)
            except (OSError, InventoryError, msgspec.DecodeError) as error:
                log.warning("overhead not measured", extra=fields(device=watched.device.name, error=str(error)))
                continue
            if not found:
                continue
            known = load(self._state_dir)
            now = remember(known, Overhead(watched.subject, max(found.values())))
            if set(now) != set(known):
                save(self._state_dir, now)
            self._found.put((watched, found))
            os.eventfd_write(self._wake_fd, 1)


def open_overheads(state_dir: Path, watched: Sequence[Watched], environ: Mapping[str, str]) -> Overheads:
    """The overheads of a running daemon; ``environ`` is the inventory's whole environment."""
    return Overheads(state_dir, watched, partial(measure, environ=environ))
