"""From why a worker died, and how often, to what its next generation gets. Pure.

Most deaths are single, so the first is answered with the same again. Who runs out of memory again gets a smaller batch,
then a larger limit where the device has room, then another device. Who dies of anything else three times in a row gets
another device, for this one may be ill. When nothing is left it is the same again, until the lifecycle gives it up.

What was taken is taken back step by step, each after some time of health. Whoever dies of that has to be well twice as
long before it is tried again: nothing swings to and fro.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from daemon.quota import DeviceMemory
from daemon.verdict import Cause

MEMORY = frozenset({Cause.GPU_OOM, Cause.GPU_INIT_OOM, Cause.HOST_OOM})
SAME_AGAIN = 1
"""Deaths of memory in a row that are answered with the same again."""
ILL_DEVICE_FROM = 3
"""Deaths in a row, of whatever, that may be the device's fault."""
LARGER_RATIO = 0.5
"""By so much of it a limit is raised, if there is room."""
WORTH_RATIO = 0.05
"""Less room than this part of a limit is not worth a step."""
LONGEST_S = 24 * 3600.0
"""Health that is enough at last, however often steps were taken back too early."""


class Step(StrEnum):
    """What a next generation gets: the closed set of the ``step`` label."""

    SAME = "same"
    SMALLER_BATCH = "smaller_batch"
    LARGER_LIMIT = "larger_limit"
    OTHER_DEVICE = "other_device"


@dataclass(frozen=True, slots=True)
class Grant:
    """What one worker may use."""

    device: str
    limit_mib: int | None
    """None where there is no limit."""
    batch: int
    """Mosaics answered at once."""


@dataclass(frozen=True, slots=True)
class Course:
    """One worker's: what was planned for it, and the steps taken since."""

    planned: Grant
    patience_s: float
    """Health after which the last step is taken back."""
    steps: tuple[tuple[Step, Grant], ...] = ()
    """Oldest first, each with what it gave."""
    deaths: int = 0
    """In a row."""
    memory_deaths: int = 0
    """In a row, of memory."""

    @property
    def grant(self) -> Grant:
        """What the worker may use now."""
        return self.steps[-1][1] if self.steps else self.planned


@dataclass(frozen=True, slots=True)
class Room:
    """The devices, and who uses them."""

    memories: Mapping[str, DeviceMemory]
    """By device, those alone that are there and of a kind with the worker's."""
    grants: Mapping[str, Grant]
    """By worker, all of them."""

    def left_mib(self, device: str, but: str) -> int:
        """Return what a device has left for the limit of worker ``but``, whoever else is on it."""
        memory = self.memories[device]
        others = [grant for name, grant in self.grants.items() if grant.device == device and name != but]
        if any(grant.limit_mib is None for grant in others):
            return 0  # they grow: nobody knows what is left
        taken = sum((grant.limit_mib or 0) + memory.overhead_mib for grant in others)
        return memory.free_mib - memory.reserve_mib - taken - memory.overhead_mib


def escalate(course: Course, worker: str, cause: Cause, room: Room, *, was_stable: bool) -> tuple[Course, Step]:
    """Return the course after a death, and the step that was taken.

    ``was_stable``: whether it had been well for long before, so that this is a first death.
    """
    is_memory = cause in MEMORY
    deaths = 1 if was_stable else course.deaths + 1
    memory_deaths = (1 if was_stable else course.memory_deaths + 1) if is_memory else 0
    now = replace(course, deaths=deaths, memory_deaths=memory_deaths)
    if is_memory and memory_deaths > SAME_AGAIN:
        taken = _smaller_batch(now) or _larger_limit(now, worker, room) or _other_device(now, worker, room)
    elif deaths >= ILL_DEVICE_FROM:
        taken = _other_device(now, worker, room)
    else:
        taken = None
    if taken is None:
        return now, Step.SAME
    return replace(now, steps=(*now.steps, taken)), taken[0]


def walk_back(course: Course, worker: str, room: Room, healthy_s: float, stable_s: float) -> Course:
    """Take back the last step of a worker that has been well for long enough; forget all if none is left.

    Return the same course where it is too early, or where what it had before is not free.
    """
    if healthy_s < course.patience_s:
        return course
    if not course.steps:
        return Course(course.planned, stable_s)
    before = replace(course, steps=course.steps[:-1])
    device, limit_mib = before.grant.device, before.grant.limit_mib
    if device not in room.memories or (limit_mib is not None and limit_mib > room.left_mib(device, worker)):
        return course
    return replace(before, patience_s=min(LONGEST_S, 2.0 * course.patience_s), deaths=0, memory_deaths=0)


def _smaller_batch(course: Course) -> tuple[Step, Grant] | None:
    grant = course.grant
    return (Step.SMALLER_BATCH, replace(grant, batch=grant.batch // 2)) if grant.batch > 1 else None


def _larger_limit(course: Course, worker: str, room: Room) -> tuple[Step, Grant] | None:
    grant = course.grant
    if grant.limit_mib is None or grant.device not in room.memories:
        return None
    limit_mib = min(room.left_mib(grant.device, worker), int(grant.limit_mib * (1.0 + LARGER_RATIO)))
    if limit_mib < grant.limit_mib * (1.0 + WORTH_RATIO):
        return None
    return Step.LARGER_LIMIT, replace(grant, limit_mib=limit_mib)


def _other_device(course: Course, worker: str, room: Room) -> tuple[Step, Grant] | None:
    """The one with most room, of those that were not tried; with no less than was planned for it."""
    grant = course.grant
    if grant.limit_mib is None:
        return None
    tried = {course.planned.device, *(given.device for _, given in course.steps)}
    least_mib = course.planned.limit_mib or grant.limit_mib
    left = {device: room.left_mib(device, worker) for device in room.memories if device not in tried}
    best = max(left, key=lambda device: left[device], default=None)
    if best is None or left[best] < least_mib:
        return None
    return Step.OTHER_DEVICE, replace(grant, device=best, limit_mib=min(left[best], max(least_mib, grant.limit_mib)))
