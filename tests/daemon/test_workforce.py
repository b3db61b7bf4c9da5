"""The workforce with children that are never started: what it lets each generation have, and who answers what."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from msgspec import structs

from capture.messages import Answer, Assign, Taking, Unassign
from daemon.capacity import WINDOW_S
from daemon.child import Child
from daemon.crew import Crew
from daemon.devices import Device, DeviceKind, DeviceWish, FoundDevices, Plan, plan_workers
from daemon.escalation import Step
from daemon.isolation import HOLD
from daemon.job import Job, plan_groups, plan_job
from daemon.lifecycle import Life, Phase
from daemon.modelrun import ModelRun
from daemon.roster import parse_roster
from daemon.seating import Seating
from daemon.secrets import SecretSources
from daemon.settings import parse_settings
from daemon.verdict import Cause
from daemon.workforce import Workforce
from inference.engine import ModelFiles
from tests.daemon.test_job import BASE

CPU = Device("cpu", DeviceKind.CPU, "", 8000, cores=2, core_ids=(0, 1))
STABLE_S = 600.0


def make_job(mosaics: int, batch: int, **wishes: DeviceWish) -> Job:
    """A job of so many mosaics; wishes by device, ``cpu_0`` for cpu:0."""
    cameras = "".join(f"  c{n}: {{url: 'rtsp://h/{n}', mosaic: s{n}}}\n" for n in range(1, mosaics + 1))
    roster = parse_roster(f"cameras:\n{cameras}", file="r", mosaic_fps=5, sources=SecretSources(environ={})).require()
    settings = parse_settings("model: {cfg: m, weights: m, names: m}\n", file="s", base=BASE).require()
    named = {name.replace("_", ":"): wish for name, wish in wishes.items()}
    found = FoundDevices((CPU,)).divided(len([name for name in named if ":" in name]))
    workers = plan_workers(found.devices, named, mosaics=mosaics)
    assert isinstance(workers, Plan)
    files = ModelFiles(BASE / "m", BASE / "m", BASE / "m")
    runs = {DeviceKind.CPU: ModelRun(files, "openvino", "float32", "mosaic", batch, 1, "set")}
    plans = plan_groups(roster, ())
    return plan_job(settings, roster, plans, workers, labels=["dog"], runs=runs, cores=2, environ={})


class Watch:
    """Says what it is told to."""

    def __init__(self) -> None:
        self.gone: frozenset[str] = frozenset()

    def lost(self) -> frozenset[str]:
        return self.gone

    def close(self) -> None:
        pass


class Stage:
    """A workforce, its children's lives in our hands, and what workers were told."""

    def __init__(self, job: Job) -> None:
        self.now_s = 0.0
        self.job = job
        self.told: list[tuple[str, str]] = []
        """Worker and mosaic of each Assign."""
        groups: dict[str, list[Child]] = {}
        for worker in job.workers:
            groups.setdefault(worker.plan.device.name, []).append(Child(worker.spec))
        self.lives = {child.spec.name: child for group in groups.values() for child in group}
        self.crew = Crew(groups, job.policies, {}, lambda: self.now_s, lambda: 0.0)
        self.seating = Seating(job.wanted, job.assignments, self._tell)
        self.watch = Watch()
        self.force = Workforce(
            job,
            self.crew,
            self.seating,
            now_s=0.0,
            chance=lambda: 0.0,
            watch=self.watch,  # type: ignore[arg-type]
        )
        for mosaic in job.assignments:
            self.seating.open(mosaic, "c1", os.memfd_create(mosaic), os.eventfd(0))
        self.up(*self.lives)

    def _tell(self, name: str, message: Assign | Unassign, fds: tuple[int, ...]) -> None:
        if isinstance(message, Assign):
            self.told.append((name, message.mosaic))

    def up(self, *names: str) -> None:
        for name in names:
            self.lives[name].life = Life(Phase.UP, since_s=self.now_s)

    def die(self, name: str, cause: Cause = Cause.CRASH, *, failures: int = 2, phase: Phase = Phase.WAITING) -> None:
        self.lives[name].life = Life(phase, since_s=self.now_s, failures=failures)
        self.force.note_death(name, cause, self.now_s)
        self.seating.forget_worker(name)

    def take(self, *mosaics: str) -> str:
        """Let the worker of these mosaics take them in hand; return it."""
        name = self.seating.seats[mosaics[0]]
        self.force.note_taking(name, Taking(tuple(self.seating.slot_id(mosaic) for mosaic in mosaics)))
        return name

    def answer(self, *mosaics: str, engine_s: float = 0.05) -> None:
        for mosaic in mosaics:
            answer = Answer(mosaic, self.seating.slot_id(mosaic), 1, 0.0, engine_s, ())
            self.force.note_answer(self.seating.seats[mosaic], answer)

    def place(self, later_s: float = 0.0) -> dict[str, str]:
        self.now_s += later_s
        self.force.place(self.now_s)
        return self.seating.seats

    def words(self) -> dict[str, tuple[Step, ...]]:
        return {name: self.force.standing(name).steps for name in self.force.workers if self.force.standing(name).steps}


Make = Callable[..., Stage]


@pytest.fixture
def make() -> Iterator[Make]:
    """Return a function that sets a stage."""
    stages: list[Stage] = []

    def start(mosaics: int, batch: int = 1, **wishes: DeviceWish) -> Stage:
        stages.append(Stage(make_job(mosaics, batch, **wishes)))
        stages[-1].place()
        return stages[-1]

    yield start
    for stage in stages:
        stage.seating.close()


def poison(stage: Stage, mosaic: str, times: int) -> None:
    """Let whoever takes this mosaic die of it, while all others are answered."""
    for _ in range(times):
        others = [other for other in stage.seating.seats if other != mosaic]
        victim = stage.take(mosaic)
        stage.answer(*others)
        stage.die(victim)
        stage.place(1.0)
        stage.up(victim)
        stage.place(1.0)


TWO = DeviceWish(workers=2)


def test_a_mosaic_that_kills_is_isolated_then_held_then_tried_again_and_released(make: Make) -> None:
    stage = make(4, cpu=TWO)
    poison(stage, "s1", 3)
    assert stage.force.apart(stage.now_s) == {"s1": "isolated"}
    assert stage.seating.seats == {"s1": "w2", "s2": "w1", "s3": "w1", "s4": "w1"}
    poison(stage, "s1", 1)
    assert stage.force.apart(stage.now_s) == {"s1": "held"}
    assert set(stage.seating.seats) == {"s2", "s3", "s4"}
    stage.place(HOLD.first_s)
    assert stage.force.apart(stage.now_s) == {"s1": "isolated"}
    assert stage.seating.seats["s1"] == "w2"
    stage.answer("s1")
    stage.place(STABLE_S)
    assert stage.force.apart(stage.now_s) == {}
    assert sorted(stage.seating.seats.values()) == ["w1", "w1", "w2", "w2"]


def test_an_isolated_mosaic_is_nobodys_guest(make: Make) -> None:
    stage = make(4, cpu=TWO)
    poison(stage, "s1", 3)
    stage.die("w2")
    assert stage.place() == dict.fromkeys(("s2", "s3", "s4"), "w1")
    stage.up("w2")
    assert stage.place()["s1"] == "w2"


def test_a_spare_is_the_first_cell(make: Make) -> None:
    stage = make(4, cpu=replace(TWO, spare=True))
    before = dict(stage.seating.seats)
    poison(stage, "s1", 3)
    assert stage.seating.seats == before | {"s1": "w3"}


def test_with_one_worker_alone_it_is_held_and_the_others_go_on(make: Make) -> None:
    stage = make(2, cpu=DeviceWish(workers=1))
    poison(stage, "s1", 3)
    assert stage.seating.seats == {"s2": "w1"}
    stage.place(HOLD.first_s)
    assert stage.seating.seats == {"s1": "w1", "s2": "w1"}


def test_who_runs_out_of_memory_again_gets_a_smaller_batch_and_then_more(make: Make) -> None:
    stage = make(8, batch=4, cpu=replace(TWO, fraction=0.25))
    for _ in range(4):
        stage.die("w1", Cause.HOST_OOM)
    worker = stage.force.workers["w1"]
    assert stage.words() == {"w1": (Step.SMALLER_BATCH, Step.SMALLER_BATCH, Step.LARGER_LIMIT)}
    assert (worker.load.batch, worker.load.memory_limit_mib, worker.plan.limit_mib) == (1, 3000, 3000)
    assert stage.crew.quotas["w1"].limit_mib == 3000
    assert stage.force.workers["w2"].load.memory_limit_mib == 2000
    assert stage.force.standing("w1").taken == {Step.SAME: 1, Step.SMALLER_BATCH: 2, Step.LARGER_LIMIT: 1}


def test_steps_are_taken_back_while_another_worker_stands_in(make: Make) -> None:
    stage = make(4, cpu=replace(TWO, fraction=0.25))
    for _ in range(2):
        stage.die("w1", Cause.HOST_OOM)
    stage.up("w1")
    stage.die("w2")
    stage.place(STABLE_S)
    assert stage.words() == {"w1": (Step.LARGER_LIMIT,)}, "nobody would stand in"
    stage.up("w2")
    stage.place(1.0)
    assert stage.words() == {}
    assert stage.lives["w1"].life.is_returning
    assert stage.force.workers["w1"].load.memory_limit_mib == 2000


def test_who_goes_to_another_device_starts_among_its_workers_on_its_cores(make: Make) -> None:
    one = DeviceWish(workers=1, fraction=0.25)
    stage = make(2, cpu_0=one, cpu_1=one)
    for _ in range(3):
        stage.die("w1", Cause.CRASH)
    assert stage.words() == {"w1": (Step.OTHER_DEVICE,)}
    assert stage.lives["w1"].spec.cores == (1,)
    stage.crew.suspend("cpu:0")
    assert stage.crew._may_start(stage.lives["w1"])
    stage.crew.suspend("cpu:1")
    assert not stage.crew._may_start(stage.lives["w1"])


def test_a_lost_devices_mosaics_go_at_once_and_come_back_once(make: Make) -> None:
    one = DeviceWish(workers=1)
    stage = make(4, cpu_0=one, cpu_1=one)
    before = dict(stage.seating.seats)
    assert sorted(before.values()) == ["w1", "w1", "w2", "w2"]
    stage.watch.gone = frozenset({"cpu:1"})
    assert stage.place() == dict.fromkeys(before, "w1")
    assert stage.force.devices == {"cpu:0": True, "cpu:1": False}
    assert stage.lives["w2"].life.phase is Phase.STOPPING
    stage.lives["w2"].life = Life(Phase.WAITING)  # it has ended
    stage.force.note_death("w2", None, stage.now_s)
    stage.told.clear()
    stage.watch.gone = frozenset()
    stage.place()
    stage.up("w2")
    assert stage.place() == before
    for _ in range(5):
        stage.place(1.0)
    assert sorted(stage.told) == sorted(("w2", mosaic) for mosaic, seat in before.items() if seat == "w2")
    assert not stage.force.standing("w2").taken, "it has failed in nothing"


def test_who_is_measured_to_do_more_gets_more(make: Make) -> None:
    one = DeviceWish(workers=1)
    stage = make(8, cpu_0=one, cpu_1=one)
    for _ in range(30):
        for mosaic, seat in stage.seating.seats.items():
            stage.answer(mosaic, engine_s=0.01 if seat == "w1" else 0.03)
    stage.place(WINDOW_S)
    assert list(stage.seating.seats.values()).count("w1") == 6
    assert stage.force.standing("w1").capacity == pytest.approx(100.0)
    moves = len(stage.told)
    for _ in range(5):
        stage.place(WINDOW_S)
    assert len(stage.told) == moves


def test_other_scores_are_loaded_by_one_worker_after_the_other(make: Make) -> None:
    stage = make(4, cpu=TWO)
    lower = [replace(worker, load=structs.replace(worker.load, score=0.05)) for worker in stage.job.workers]
    stage.force.adopt(replace(stage.job, workers=tuple(lower)))
    stage.place(1.0)
    assert [stage.lives[name].life.phase for name in ("w1", "w2")] == [Phase.STOPPING, Phase.UP]
    assert stage.force.workers["w1"].load.score == 0.05
    stage.place(1.0)
    assert stage.lives["w2"].life.phase is Phase.UP, "while the first is away"
    stage.force.note_death("w1", None, stage.now_s)
    stage.up("w1")
    stage.place(1.0)
    assert stage.lives["w2"].life.phase is Phase.STOPPING
    stage.force.note_death("w2", None, stage.now_s)
    stage.up("w2")
    stage.place(1.0)
    assert [stage.lives[name].life.phase for name in ("w1", "w2")] == [Phase.UP, Phase.UP]


def test_one_that_was_given_up_keeps_nobody_from_loading_other_scores(make: Make) -> None:
    stage = make(4, cpu=TWO)
    stage.die("w1", phase=Phase.GIVEN_UP)
    lower = [replace(worker, load=structs.replace(worker.load, score=0.05)) for worker in stage.job.workers]
    stage.force.adopt(replace(stage.job, workers=tuple(lower)))
    stage.place(1.0)
    assert [stage.lives[name].life.phase for name in ("w1", "w2")] == [Phase.GIVEN_UP, Phase.STOPPING]
