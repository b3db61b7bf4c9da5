"""The crew with real processes: started, heard, judged, restarted, given up, stopped. Only the clock may be ours."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from capture.messages import FromChild, Ready, SlotOpened, Unassign
from daemon import lifecycle
from daemon.child import Child, ChildSpec
from daemon.crew import HEARD_A_TURN, Born, Crew, Died, Event, Heard, Quota
from daemon.lifecycle import Phase, Policy
from daemon.verdict import Cause
from tests.daemon.test_child import DEADLINE_S, environ_of, open_descriptors, room_for

POLICY = Policy(start_timeout_s=60, hang_s=30, stop_timeout_s=10, stable_s=600, max_restarts=3, restart_window_s=600)


@dataclass
class Clock:
    """Monotonic seconds that pass when the test says so."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Watch:
    """A crew under test: turned until something is so, with all events kept."""

    crew: Crew
    clock: Clock
    events: list[Event] = field(default_factory=list)

    def turn(self) -> None:
        for event in self.crew.turn(0.02):
            self.events.append(event)
            if isinstance(event, Heard):
                for fd in event.fds:
                    os.close(fd)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, self.events[-10:]
            self.turn()

    def of(self, name: str) -> Child:
        return next(child for child in self.crew.children if child.spec.name == name)

    def pid(self, name: str) -> int:
        pid = self.of(name).pid
        assert pid is not None
        return pid

    def until_phase(self, phase: Phase, *names: str) -> None:
        self.until(lambda: all(child.life.phase is phase for child in self.crew.children if child.spec.name in names))

    def causes(self, name: str = "w1") -> list[Cause | None]:
        return [event.cause for event in self.events if isinstance(event, Died) and event.child.spec.name == name]

    def messages(self, name: str = "w1") -> list[FromChild]:
        return [event.message for event in self.events if isinstance(event, Heard) and event.child.spec.name == name]

    def births(self, name: str = "w1") -> int:
        return sum(isinstance(event, Born) and event.child.spec.name == name for event in self.events)


Raise = Callable[..., Watch]


@pytest.fixture
def assemble(tmp_path: Path) -> Iterator[Raise]:
    """Make crews of fakes: ``assemble(group=[flavour, ...])`` names them w1, w2, ...; closed at the end."""
    with ExitStack() as stack:

        def make(
            policy: Policy = POLICY,
            start_concurrency: Mapping[str, int] | None = None,
            environ: Mapping[str, str] | None = None,
            **groups: Sequence[str],
        ) -> Watch:
            number = 0
            made: dict[str, list[Child]] = {}
            for group, flavours in groups.items():
                for flavour in flavours:
                    number += 1
                    whole = environ_of(tmp_path, flavour) | dict(environ or {})
                    made.setdefault(group, []).append(Child(ChildSpec(f"w{number}", "worker", "fake_child", whole)))
            clock = Clock()
            watch = Watch(Crew(made, {"worker": policy}, start_concurrency or {}, clock, lambda: 0.0), clock)
            stack.callback(watch.crew.close)
            return watch

        yield make


# --- birth ---


def test_a_child_is_born_once_and_comes_up(assemble):
    watch = assemble(cpu=["steady"])
    watch.until_phase(Phase.UP, "w1")
    assert [type(event) for event in watch.events] == [Born, Heard]
    assert isinstance(watch.messages()[0], Ready)
    assert watch.of("w1").life.generation == 1


def test_only_so_many_of_a_group_start_at_once(assemble):
    watch = assemble(cpu=["mute", "mute", "mute"], gpu=["mute"], start_concurrency={"cpu": 2, "gpu": 1})
    watch.until(lambda: len(watch.events) >= 3)
    watch.turn()
    assert [watch.of(name).life.phase for name in ("w1", "w2", "w3", "w4")] == [
        Phase.STARTING,
        Phase.STARTING,
        Phase.WAITING,
        Phase.STARTING,
    ]


def test_the_next_one_starts_when_the_first_is_ready(assemble):
    watch = assemble(cpu=["steady", "steady"], start_concurrency={"cpu": 1})
    watch.until_phase(Phase.UP, "w1", "w2")
    assert [(type(event), event.child.spec.name) for event in watch.events] == [
        (Born, "w1"),
        (Heard, "w1"),
        (Born, "w2"),
        (Heard, "w2"),
    ]


def test_a_child_that_cannot_be_spawned_waits_longer_each_time_and_is_given_up(assemble):
    watch = assemble(cpu=["steady", "steady"], environ={"TOO_LONG": "x" * (1 << 18)})
    for _ in range(100):
        watch.turn()
        watch.clock.now_s += 0.125
    child = watch.of("w1")
    assert (child.life.phase, child.life.generation, child.pid) == (Phase.GIVEN_UP, 4, None)
    assert [at - 1000.0 for at in child.life.deaths_s] == [0.0, 0.125, 1.125, 3.125]
    assert watch.causes() == [Cause.HOST_OOM] * 4
    assert watch.births() == 0


def test_a_moment_without_descriptors_costs_a_delay_only(assemble):
    watch = assemble(cpu=["steady"])
    with room_for(0):
        watch.turn()
    assert watch.causes() == [Cause.HOST_OOM]
    watch.until_phase(Phase.UP, "w1")


# --- death ---


@pytest.mark.parametrize(
    ("flavour", "phase", "cause"),
    [
        ("oom", Phase.WAITING, Cause.HOST_OOM),
        ("aborts", Phase.WAITING, Cause.HOST_OOM),
        ("exit", Phase.WAITING, Cause.EXIT),
        ("model", Phase.GIVEN_UP, Cause.MODEL),
        ("garbage", Phase.WAITING, Cause.CRASH),
        ("wrong direction", Phase.WAITING, Cause.CRASH),
        ("too many descriptors", Phase.WAITING, Cause.CRASH),
        ("hangs up", Phase.WAITING, Cause.CRASH),
        ("empty", Phase.WAITING, Cause.CRASH),
    ],
)
def test_a_death_has_its_cause_and_what_follows(assemble, flavour, phase, cause):
    watch = assemble(cpu=[flavour, "steady"])
    watch.until(watch.causes)
    life = watch.of("w1").life
    assert (watch.causes(), life.phase, life.failures) == ([cause], phase, 1)
    assert life.retry_at_s <= watch.clock.now_s, "the first restart is at once"
    if phase is Phase.WAITING:
        watch.until(lambda: watch.births() == 2)
    else:
        watch.turn()
        watch.turn()
        assert watch.births() == 1
    watch.until_phase(Phase.UP, "w2")
    assert watch.causes("w2") == []


def test_the_last_words_come_before_the_death_and_the_heir_after_it(assemble):
    watch = assemble(cpu=["slots and gone"])
    watch.until(lambda: watch.births() == 2)
    first = watch.events[: [type(e) for e in watch.events].index(Died) + 1]
    assert [type(event) for event in first] == [Born, *[Heard] * 8, Died]
    assert watch.messages()[:8] == [SlotOpened("m1")] * 8


def test_nobody_is_born_in_the_turn_of_a_death(assemble):
    """Whoever is condemned for the last words of a dead child would else kill its heir."""
    watch = assemble(cpu=["slots and gone"])
    while not (died := [event for event in watch.events if isinstance(event, Died)]):
        watch.turn()
    assert watch.of("w1").pid is None
    watch.crew.condemn(died[0].child, "its last words were a lie")
    watch.until(lambda: watch.births() == 2)
    watch.until(lambda: len(watch.causes()) == 2)
    assert watch.causes() == [Cause.EXIT, Cause.EXIT]


@pytest.mark.slow
def test_restarts_wait_longer_each_time_until_it_is_given_up(assemble):
    watch = assemble(cpu=["exit"])
    started_at: list[float] = []
    while watch.of("w1").life.phase is not Phase.GIVEN_UP:
        before = watch.births()
        watch.turn()
        if watch.births() > before:
            started_at.append(watch.clock.now_s)
        elif watch.of("w1").life.phase is Phase.WAITING:
            watch.clock.now_s += 0.25
        assert watch.clock.now_s < 1100
    waits = [round(b - a, 2) for a, b in pairwise(started_at)]
    assert waits == pytest.approx([0.0, 1.0, 2.0], abs=0.3)
    assert watch.causes() == [Cause.EXIT] * 4
    watch.clock.now_s += 1e6
    watch.turn()
    assert watch.births() == 4


def test_one_killed_by_somebody_else_is_a_crash(assemble):
    watch = assemble(cpu=["steady"])
    watch.until_phase(Phase.UP, "w1")
    os.kill(watch.pid("w1"), signal.SIGKILL)
    watch.until(watch.causes)
    assert watch.causes() == [Cause.CRASH]
    watch.until_phase(Phase.UP, "w1")
    assert watch.of("w1").life.generation == 2


def test_a_frozen_child_that_owes_work_hangs_and_is_replaced(assemble):
    watch = assemble(cpu=["steady", "steady"])
    watch.until_phase(Phase.UP, "w1", "w2")
    child = watch.of("w1")
    os.kill(watch.pid("w1"), signal.SIGSTOP)
    watch.clock.now_s += 1000
    watch.turn()
    assert child.life.phase is Phase.UP, "nothing waited for it"
    child.life = lifecycle.owe(child.life, watch.clock.now_s)
    watch.clock.now_s += POLICY.hang_s
    watch.turn()
    assert not child.life.is_condemned
    watch.clock.now_s += 0.1
    watch.until(watch.causes)
    assert watch.causes() == [Cause.HANG]
    watch.until_phase(Phase.UP, "w1")
    assert watch.of("w1").life.owed_since_s is None
    assert watch.causes("w2") == []


def test_a_child_that_never_says_ready_is_killed_in_time(assemble):
    watch = assemble(cpu=["mute"])
    watch.until(lambda: watch.births() == 1)
    watch.clock.now_s += POLICY.start_timeout_s
    watch.turn()
    assert not watch.causes()
    watch.clock.now_s += 0.1
    watch.until(watch.causes)
    assert watch.causes() == [Cause.HANG]


def test_a_start_that_comes_to_its_next_step_has_more_time(assemble):
    watch = assemble(cpu=["loading"])
    watch.until(watch.births)
    watch.clock.now_s += POLICY.start_timeout_s
    watch.until(watch.messages)
    watch.clock.now_s += POLICY.start_timeout_s
    watch.turn()
    assert not watch.causes()
    watch.clock.now_s += 0.1
    watch.until(watch.causes)
    assert watch.causes() == [Cause.HANG]


def test_a_condemned_child_is_heard_no_more_and_restarted(assemble):
    watch = assemble(cpu=["steady"])
    watch.until_phase(Phase.UP, "w1")
    watch.crew.condemn(watch.of("w1"), "it lies")
    watch.until(lambda: watch.births() == 2)
    assert watch.causes() == [Cause.CRASH]


@pytest.mark.parametrize(
    ("room_mib", "on_gpu", "cause"),
    [(16, False, Cause.HOST_OOM), (1000, False, Cause.CRASH), (16, True, Cause.CRASH), (None, False, Cause.CRASH)],
    ids=["near its limit", "far from it", "a GPU's limit is no limit of main memory", "no limit"],
)
def test_a_segmentation_fault_is_judged_by_what_was_seen_of_its_data(assemble, room_mib, on_gpu, cause):
    watch = assemble(cpu=["steady"])
    watch.until_phase(Phase.UP, "w1")
    data_mib = watch.of("w1").data_mib()
    limit_mib = None if room_mib is None else int(data_mib) + room_mib
    watch.crew.quotas["w1"] = Quota(limit_mib, on_gpu=on_gpu)
    watch.turn()
    assert watch.crew.quotas["w1"].last_mib == (None if on_gpu or limit_mib is None else pytest.approx(data_mib, abs=1))
    os.kill(watch.pid("w1"), signal.SIGSEGV)
    watch.until(watch.causes)
    assert watch.causes() == [cause]
    # It is not held against the next generation.
    assert watch.crew.quotas["w1"].last_mib is None
    assert watch.crew.quotas["w1"].peak_mib == (None if on_gpu or limit_mib is None else pytest.approx(data_mib, abs=1))


def test_the_data_of_a_child_that_is_gone_is_not_known(assemble):
    watch = assemble(cpu=["steady"])
    assert watch.of("w1").data_mib() is None
    watch.until_phase(Phase.UP, "w1")
    pid = watch.pid("w1")
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert watch.of("w1").data_mib() is None


# --- nobody keeps the loop from the others ---


def busy_turns(watch: Watch, turns: int = 20) -> int:
    """How many of so many turns came back at once, though nobody had anything to say."""
    busy = 0
    for _ in range(turns):
        began = time.monotonic()
        watch.crew.turn(0.02)
        busy += time.monotonic() - began < 0.01
    return busy


def test_a_closed_stderr_does_not_spin_the_loop(assemble):
    watch = assemble(cpu=["closes stderr"])
    watch.until_phase(Phase.UP, "w1")
    watch.until(lambda: watch.of("w1").has_closed_stderr)
    watch.turn()
    assert busy_turns(watch) <= 2
    assert watch.of("w1").life.phase is Phase.UP


def test_a_hung_up_channel_does_not_spin_the_loop_while_the_child_is_dying(assemble):
    watch = assemble(cpu=["hangs up"])
    child = watch.of("w1")
    watch.until(lambda: child.has_hung_up)
    assert (
        child.descriptors[0] not in watch.crew._selector.get_map()
    )  # a process in the D state cannot be had in a test


@pytest.mark.parametrize("flavour", ["screams", "chatters"])
def test_whoever_talks_without_a_pause_is_heard_in_turns(assemble, flavour):
    watch = assemble(cpu=[flavour, "steady"])
    watch.until_phase(Phase.UP, "w2")
    watch.until(lambda: watch.messages("w1"))
    for _ in range(20):
        before = len(watch.messages("w1"))
        watch.turn()
        assert len(watch.messages("w1")) - before <= HEARD_A_TURN
    os.kill(watch.pid("w2"), signal.SIGKILL)
    watch.until(lambda: watch.causes("w2"))
    watch.until_phase(Phase.UP, "w2")


def test_every_message_of_many_is_heard(assemble):
    watch = assemble(cpu=["steady"])
    watch.until_phase(Phase.UP, "w1")
    for number in range(200):
        assert watch.of("w1").send(Unassign(number))
    watch.until(lambda: len(watch.messages()) == 201)
    assert [message.answered for message in watch.messages()[1:]] == list(range(200))


def test_a_descriptor_of_somebody_else_ends_the_wait(assemble):
    watch = assemble()
    wake = os.eventfd(0, os.EFD_NONBLOCK)
    watch.crew.watch(wake, lambda: os.eventfd_read(wake))
    assert watch.crew.turn(0.0) == []
    os.eventfd_write(wake, 1)
    began = time.monotonic()
    assert watch.crew.turn(DEADLINE_S) == []
    assert time.monotonic() - began < DEADLINE_S / 2
    with pytest.raises(BlockingIOError):
        os.eventfd_read(wake)
    os.close(wake)


# --- the end ---


def test_a_stopped_child_is_not_restarted_and_has_no_cause(assemble):
    watch = assemble(cpu=["steady", "steady"], gpu=["steady"])
    watch.until_phase(Phase.UP, "w1", "w2", "w3")
    watch.until(lambda: watch.crew.stop("cpu"))
    assert (watch.causes("w1"), watch.causes("w2"), watch.causes("w3")) == ([None], [None], [])
    watch.clock.now_s += 1e6
    watch.turn()
    assert watch.of("w1").pid is None
    assert watch.of("w3").life.phase is Phase.UP
    assert watch.crew.stop("cpu"), "still"


@pytest.mark.parametrize("flavour", ["model", "exit"])
def test_stop_of_who_is_dead_needs_no_process(assemble, flavour):
    watch = assemble(cpu=[flavour])
    watch.until(watch.causes)
    assert watch.crew.stop("cpu")
    watch.turn()
    assert watch.of("w1").life.phase is Phase.STOPPED


def test_who_ignores_stop_is_terminated(assemble):
    watch = assemble(cpu=["polite"])
    watch.until_phase(Phase.UP, "w1")
    assert not watch.crew.stop("cpu")
    watch.clock.now_s += POLICY.stop_timeout_s / 2
    watch.turn()
    assert watch.of("w1").life.last_order is lifecycle.Command.ASK_STOP
    watch.clock.now_s += 0.1
    watch.until(lambda: watch.crew.stop("cpu"))
    assert watch.causes() == [None]


@pytest.mark.parametrize("is_frozen", [False, True])
def test_who_ignores_everything_is_killed(assemble, is_frozen):
    watch = assemble(cpu=["stubborn"])
    watch.until_phase(Phase.UP, "w1")
    if is_frozen:
        os.kill(watch.pid("w1"), signal.SIGSTOP)
    watch.crew.stop("cpu")
    watch.clock.now_s += POLICY.stop_timeout_s / 2 + 0.1
    watch.turn()
    watch.turn()
    assert watch.of("w1").life.last_order is lifecycle.Command.TERMINATE
    assert not watch.crew.stop("cpu")
    watch.clock.now_s += POLICY.stop_timeout_s / 2
    watch.until(lambda: watch.crew.stop("cpu"))
    assert watch.causes() == [None]


def test_a_child_that_is_still_loading_can_be_stopped(assemble):
    watch = assemble(cpu=["screams"])
    watch.until(lambda: watch.births() == 1)
    watch.crew.stop("cpu")
    watch.clock.now_s += POLICY.stop_timeout_s / 2 + 0.1
    watch.until(lambda: watch.crew.stop("cpu"))
    assert watch.births() == 1


@pytest.mark.slow
def test_close_leaves_no_process_and_no_descriptor(assemble):
    before = open_descriptors()
    watch = assemble(cpu=["steady", "stubborn", "slot", "mute", "slots and gone", "exit", "screams"])
    watch.until_phase(Phase.UP, "w1", "w2", "w3", "w7")
    pids = [child.pid for child in watch.crew.children if child.pid]
    watch.crew.close()
    assert open_descriptors() == before
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()


def test_close_drops_what_nobody_heard(assemble):
    before = open_descriptors()
    watch = assemble(cpu=["slots and gone"])
    watch.turn()
    assert watch.births() == 1
    child = watch.of("w1")
    deadline = time.monotonic() + DEADLINE_S
    while "Z" not in Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]:
        assert time.monotonic() < deadline
    watch.crew.close()
    assert open_descriptors() == before


@pytest.mark.slow
def test_twenty_generations_of_a_crew_leave_no_descriptor(assemble):
    watch = assemble(
        policy=Policy(max_restarts=1000, backoff=lifecycle.Backoff(first_s=0.0, limit_s=0.0)),
        cpu=["slots and gone", "garbage", "too many descriptors"],
    )
    before = open_descriptors()
    watch.until(lambda: all(child.life.generation > 7 for child in watch.crew.children))
    watch.crew.stop("cpu")
    watch.clock.now_s += 1e6
    watch.until(lambda: watch.crew.stop("cpu"))
    assert open_descriptors() == before


# --- what a person orders ---


def test_a_restart_stops_in_order_and_is_no_failure(assemble):
    watch = assemble(cpu=["steady"])
    watch.until_phase(Phase.UP, "w1")
    first = watch.pid("w1")
    watch.crew.restart(watch.of("w1"))
    assert watch.of("w1").life.phase is Phase.STOPPING
    watch.until_phase(Phase.UP, "w1")
    assert watch.pid("w1") != first
    assert (watch.causes(), watch.births()) == ([None], 2)
    assert watch.of("w1").life.failures == 0


def test_a_crew_that_stops_does_not_wait_for_restarts(assemble):
    watch = assemble(cpu=["steady"])
    watch.until_phase(Phase.UP, "w1")
    watch.crew.restart(watch.of("w1"))
    watch.until(lambda: watch.crew.stop("cpu"))
    assert watch.births() == 1


def test_one_that_was_given_up_is_revived(assemble):
    watch = assemble(cpu=["exit"], policy=replace(POLICY, max_restarts=0))
    watch.until_phase(Phase.GIVEN_UP, "w1")
    watch.crew.restart(watch.of("w1"))
    watch.until(lambda: watch.births() == 2)
    watch.until_phase(Phase.GIVEN_UP, "w1")
    assert watch.causes() == [Cause.EXIT] * 2
