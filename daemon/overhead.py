"""What a worker takes of its device beyond its limit: what figures say, what is remembered, what follows. Pure.

On a GPU a framework's limit leaves out CUDA context, cuDNN and cuBLAS. On the CPU the limit is RLIMIT_DATA, which
counts private writable mappings (`inference.headroom`): code and constants of libraries, which workers share, slots,
and what was made read-only after it had been written come on top.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import msgspec

from daemon.devices import Device, DeviceKind, DeviceWish, Plan, WorkerPlan, overhead_of, plan_workers

_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ \S+ *(.*)$")
"""proc(5), smaps: address, permissions, offset, device, inode, path."""


class Subject(msgspec.Struct, frozen=True):
    """What an overhead is of: it differs with each of these."""

    device: str
    """``cpu``, parts of it too, or a GPU's UUID."""
    model: str
    """Digest of its files."""
    engine: str
    precision: str


class Overhead(msgspec.Struct, frozen=True):
    """As it was measured last."""

    subject: Subject
    mib: int


@dataclass(frozen=True, slots=True)
class Watched:
    """One device whose workers are measured once they are ready."""

    device: Device
    wish: DeviceWish
    """With the overhead that was known when they were planned."""
    subject: Subject
    workers: tuple[WorkerPlan, ...]
    mosaics: int

    @property
    def planned_mib(self) -> int:
        """The overhead that each was planned with."""
        return overhead_of(self.device, self.wish)[0]


@dataclass(frozen=True, slots=True)
class Consequence:
    """What follows from a measurement."""

    retired: tuple[str, ...] = ()
    """Workers that the device has no room for."""
    notice: str = ""
    """For a person, where something follows; one that is to stand."""


def subject_of(device: Device, model: str, engine: str, precision: str) -> Subject:
    """Return what an overhead on this device is of."""
    return Subject(device.uuid or device.kind.value, model, engine, precision)


def recall_each(overheads: Iterable[Overhead], subjects: Mapping[str, Subject]) -> dict[str, int]:
    """Return what was measured on each of these devices, by its name, in MiB; those without are left out."""
    known = {each.subject: each.mib for each in overheads}
    return {name: known[subject] for name, subject in subjects.items() if subject in known}


def remember(overheads: Sequence[Overhead], new: Overhead) -> tuple[Overhead, ...]:
    """Return all of them with the new one in the place of its predecessor."""
    return (*(each for each in overheads if each.subject != new.subject), new)


def watch_each(
    workers: Sequence[WorkerPlan], wishes: Mapping[str, DeviceWish], subjects: Mapping[str, Subject], *, mosaics: int
) -> tuple[Watched, ...]:
    """Return what is to be measured of the workers that were planned by these wishes (by a device's name or UUID)."""
    found = []
    for device in dict.fromkeys(worker.device for worker in workers):
        if device.name in subjects:
            wish = wishes.get(device.name) or wishes[device.uuid]
            mine = tuple(worker for worker in workers if worker.device == device)
            found.append(Watched(device, wish, subjects[device.name], mine, mosaics))
    return tuple(found)


def uncounted_mib(smaps: str) -> int:
    """Return what a process holds that RLIMIT_DATA does not count, in MiB, rounded up: the proportional share (Pss) of
    all mappings that are not private and writable, and of the stack (proc(5), /proc/PID/smaps; mm/mmap.c,
    is_data_mapping)."""
    kib, is_counted = 0, False
    for line in smaps.splitlines():
        if line.startswith("Pss:"):
            kib += 0 if is_counted else int(line.split()[1])
        elif (mapping := _MAPPING.match(line)) is not None:
            permissions, path = mapping[1], mapping[2]
            is_counted = permissions[1] == "w" and permissions[3] == "p" and path != "[stack]"
    return ceil(kib / 1024)


def excess_mib(used_mib: int, limit_mib: int | None) -> int | None:
    """Return what a process takes on a GPU beyond its limit; None where it has none, so that nothing can be said."""
    return None if limit_mib is None else max(0, used_mib - limit_mib)


def follow(watched: Watched, mib: int) -> Consequence:
    """Decide by the same plan that the next start will make which of the workers have no room.

    An overhead that is set is left as it is. The first worker is never retired: one that is there is better than none.
    """
    if watched.wish.overhead_mib is not None or mib <= watched.planned_mib:
        return Consequence()
    wish = replace(watched.wish, measured_overhead_mib=mib)
    planned = plan_workers((watched.device,), {watched.device.name: wish}, mosaics=watched.mosaics)
    count = len(planned.workers) if isinstance(planned, Plan) else 1
    retired = tuple(worker.name for worker in watched.workers[max(1, count) :])
    basis = "assumed" if watched.wish.measured_overhead_mib is None else "measured before"
    said = f"a worker takes {mib} MiB beyond its limit, not {watched.planned_mib} as {basis}"
    if not retired:
        return Consequence()
    return Consequence(
        retired,
        f"device {watched.device.name}: {said}, so that there is no room for {', '.join(retired)}, which "
        f"{'is' if len(retired) == 1 else 'are'} retired: give a smaller memory.fraction, or fewer workers",
    )


def is_growing(watched: Watched) -> bool:
    """Whether its workers have no limit, so that nothing can be beyond it."""
    return watched.device.kind is DeviceKind.GPU and any(worker.limit_mib is None for worker in watched.workers)
