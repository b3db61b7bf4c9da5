"""The workers together: what each may use now, which mosaics they have in hand, which devices are there.

Holds what the pure parts that decide about workers have to remember (escalation, isolation, capacity, placement), and
tells crew and seating what they say. Knows nothing of cameras, nor of what is written about it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from msgspec import structs

from capture.messages import Answer, Taking
from daemon.capacity import Capacities
from daemon.child import Child
from daemon.crew import Crew, Quota
from daemon.devices import WorkerPlan
from daemon.devicewatch import DeviceWatch
from daemon.escalation import Course, Grant, Room, Step, escalate, walk_back
from daemon.isolation import Suspects
from daemon.job import Job, Worker, regrant
from daemon.lifecycle import Phase
from daemon.logs import fields
from daemon.placement import Owner, find_cells, find_staff
from daemon.seating import Posting, Seating
from daemon.verdict import Cause

log = logging.getLogger(__name__)

LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class WorkerStanding:
    """What one worker has been granted."""

    steps: tuple[Step, ...] = ()
    """In force, oldest first."""
    taken: Mapping[Step, int] = field(default_factory=dict)
    """How often each was taken so far."""
    capacity: float | None = None
    """Mosaics a second; None while they are not measured."""


class Workforce:
    """All workers of one job. One thread uses it; times are monotonic."""

    def __init__(
        self,
        job: Job,
        crew: Crew,
        seating: Seating,
        *,
        now_s: float,
        chance: Callable[[], float],
        watch: DeviceWatch | None = None,
    ) -> None:
        self.workers: dict[str, Worker] = {worker.spec.name: worker for worker in job.workers}
        """As they are granted now."""
        self.lost: frozenset[str] = frozenset()
        """Devices that are gone."""
        self._job = job
        self._crew = crew
        self._seating = seating
        self._chance = chance
        self._lives: dict[str, Child] = {c.spec.name: c for c in crew.children if c.spec.name in self.workers}
        self._devices = {worker.plan.device.name: worker.plan.device for worker in job.workers}
        # As little of our environment as workers have: the rest may hold the roster's secrets.
        environ = next((worker.spec.environ for worker in job.workers), {})
        self._watch = watch or DeviceWatch(tuple(self._devices.values()), environ=environ)
        self._spares = [worker.spec.name for worker in job.workers if worker.plan.is_spare]
        self._stable_s = job.policies["worker"].stable_s
        self._courses = {name: Course(_planned(worker), self._stable_s) for name, worker in self.workers.items()}
        self._taken: dict[str, dict[Step, int]] = {name: {} for name in self.workers}
        self._suspects = Suspects(self._stable_s)
        self._cells: dict[str, str] = {}
        self._capacities = Capacities(self._devices, now_s)
        self._in_hand: dict[str, set[str]] = {name: set() for name in self.workers}
        self._outdated: set[str] = set()
        """Workers that have loaded what is no longer wanted."""
        self._looked_s = now_s
        for name in self.workers:
            self._set_quota(name)

    @property
    def devices(self) -> dict[str, bool]:
        """Whether each device is there."""
        return {name: name not in self.lost for name in self._devices}

    def adopt(self, job: Job) -> None:
        """Work for this job from now on: the same workers, of which other scores may be wanted."""
        self._job = job
        for worker in job.workers:
            name, score = worker.spec.name, worker.load.score
            if self.workers[name].load.score != score:
                mine = self.workers[name]
                self.workers[name] = replace(mine, load=structs.replace(mine.load, score=score))
                self._outdated.add(name)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the workers that are up."""
        up = {name: child for name, child in self._lives.items() if child.life.phase is Phase.UP}
        return {name: child.pid for name, child in up.items() if child.pid is not None}

    @property
    def plans(self) -> dict[str, WorkerPlan]:
        """What each worker was granted last."""
        return {name: worker.plan for name, worker in self.workers.items()}

    def close(self) -> None:
        """End what it started."""
        self._watch.close()

    def note_taking(self, name: str, taking: Taking) -> None:
        """Take note of what a worker takes in hand."""
        mosaics = (self._seating.mosaic_of(slot_id) for slot_id in taking.slot_ids)
        self._in_hand[name] = {mosaic for mosaic in mosaics if mosaic is not None}

    def note_answer(self, name: str, answer: Answer) -> None:
        """Take note that a worker has answered a mosaic."""
        self._in_hand[name].discard(answer.mosaic)
        self._suspects.note_answer(answer.mosaic)
        self._capacities.note_answer(self.workers[name].plan.device.name, answer.inference_s)

    def note_death(self, name: str, cause: Cause | None, now_s: float) -> None:
        """Decide what comes after a death; None was an end that was asked for."""
        in_hand, self._in_hand[name] = self._in_hand[name], set()
        self._outdated.discard(name)
        life = self._lives[name].life
        if cause is None:
            return
        was = self._suspects.isolated
        self._suspects.note_death(in_hand, now_s, self._chance(), can_isolate=self._can_isolate())
        for mosaic in sorted(self._suspects.isolated - was):
            log.error("mosaic isolated", extra=fields(mosaic=mosaic, worker=name, cause=cause))
        for mosaic in sorted(in_hand & self._suspects.held(now_s)):
            log.error("mosaic held", extra=fields(mosaic=mosaic, worker=name, cause=cause))
        if life.phase is Phase.GIVEN_UP:
            return
        course, step = escalate(self._courses[name], name, cause, self._room(name), was_stable=life.failures == 1)
        self._taken[name][step] = self._taken[name].get(step, 0) + 1
        self._follow(name, course)
        if step is not Step.SAME:
            grant = course.grant
            what = fields(worker=name, step=step, device=grant.device, limit_mib=grant.limit_mib, batch=grant.batch)
            log.warning("worker escalated", extra=what)

    def place(self, now_s: float) -> None:
        """Look after devices and workers, and let every mosaic be answered."""
        self._look_at_devices()
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            self._walk_back(now_s)
            self._renew()
            for mosaic in self._suspects.released(now_s):
                log.info("mosaic released", extra=fields(mosaic=mosaic))
            for device, rate in self._capacities.look(now_s).items():
                log.info("capacity measured", extra=fields(device=device, mosaics_a_second=round(rate, 1)))
        phases = {name: child.life.phase for name, child in self._lives.items()}
        given_up = {name for name, phase in phases.items() if phase is Phase.GIVEN_UP}
        staff = find_staff(list(self.workers), self._spares, given_up)
        free = [name for name in self._spares if name not in given_up]
        self._cells = find_cells(self._suspects.isolated, staff, free, self._cells)
        up = {name for name, phase in phases.items() if phase is Phase.UP}
        shut = frozenset(self._cells.values())
        # Of two that have as much to do, it is the spare who takes one more.
        guests = sorted((name for name in self.workers if name in up - shut), key=lambda name: name not in self._spares)
        self._seating.place(
            Posting(
                staff=tuple(self._owner(name) for name in staff if name not in shut),
                up=tuple(map(self._owner, guests)),
                cells=dict(self._cells),
                free=frozenset(up & shut),
                held=self._suspects.held(now_s),
            )
        )

    def standing(self, name: str) -> WorkerStanding:
        """Return what a worker has been granted; nothing, of what is no worker."""
        if name not in self.workers:
            return WorkerStanding()
        steps = tuple(step for step, _ in self._courses[name].steps)
        capacity = self._capacities.measured(self.workers[name].plan.device.name)
        return WorkerStanding(steps, dict(self._taken[name]), capacity)

    def apart(self, now_s: float) -> dict[str, str]:
        """Return by mosaic what keeps it apart from the others: ``isolated`` or ``held``."""
        held = self._suspects.held(now_s)
        return {mosaic: "held" if mosaic in held else "isolated" for mosaic in sorted(self._suspects.isolated)}

    def _can_isolate(self) -> bool:
        able = sum(child.life.phase is not Phase.GIVEN_UP for child in self._lives.values())
        return able > 1

    def _owner(self, name: str) -> Owner:
        device = self.workers[name].plan.device.name
        return Owner(name, device, self._capacities.of(device))

    def _look_at_devices(self) -> None:
        lost, was = self._watch.lost(), self.lost
        self.lost = lost
        for device in sorted(lost - was):
            log.error("device lost", extra=fields(device=device))
            self._crew.suspend(device)
        for device in sorted(was - lost):
            log.info("device is back", extra=fields(device=device))
            self._crew.resume(device)

    def _walk_back(self, now_s: float) -> None:
        for name, course in self._courses.items():
            life = self._lives[name].life
            if life.phase is not Phase.UP:
                continue
            new = walk_back(course, name, self._room(name), now_s - life.since_s, self._stable_s)
            if new.grant == course.grant:
                self._courses[name] = new
            elif any(c.life.phase is Phase.UP for other, c in self._lives.items() if other != name):
                log.info("worker eased", extra=fields(worker=name, step=course.steps[-1][0]))
                self._crew.restart(self._lives[name])
                self._follow(name, new)
                return  # one at a time

    def _renew(self) -> None:
        """Restart those that are outdated, each while all others that can be are up."""
        phases = {name: child.life.phase for name, child in self._lives.items()}
        outdated = [name for name in sorted(self._outdated) if phases[name] is Phase.UP]
        if outdated and all(phase in (Phase.UP, Phase.GIVEN_UP) for phase in phases.values()):
            self._crew.restart(self._lives[outdated[0]])

    def _follow(self, name: str, course: Course) -> None:
        """Let the worker's next generation have what its course grants."""
        was, self._courses[name] = self._courses[name].grant, course
        if course.grant == was:
            return
        device = self._devices[course.grant.device]
        self.workers[name] = regrant(self.workers[name], course.grant, device)
        self._lives[name].spec = self.workers[name].spec
        if device.name != was.device:
            self._crew.move(self._lives[name], device.name)
        self._set_quota(name)

    def _set_quota(self, name: str) -> None:
        worker = self.workers[name]
        self._crew.quotas[name] = Quota(worker.plan.limit_mib, None, worker.load.on_gpu)

    def _room(self, name: str) -> Room:
        kind = self.workers[name].plan.device.kind
        memories = {
            device: memory
            for device, memory in self._job.memories.items()
            if device not in self.lost and self._devices[device].kind is kind
        }
        return Room(memories, {other: course.grant for other, course in self._courses.items()})


def _planned(worker: Worker) -> Grant:
    return Grant(worker.plan.device.name, worker.plan.limit_mib, worker.load.batch)
