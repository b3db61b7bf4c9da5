"""Escalation by value: what each death leads to, and that no device is ever promised twice."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from daemon.escalation import LONGEST_S, MEMORY, Course, Grant, Room, Step, escalate, walk_back
from daemon.quota import DeviceMemory
from daemon.verdict import Cause

STABLE_S = 600.0


def course(device: str = "cpu:0", limit_mib: int | None = 1000, batch: int = 1) -> Course:
    return Course(Grant(device, limit_mib, batch), STABLE_S)


def room(*grants: Grant, **totals: int) -> Room:
    memories = {name.replace("_", ":"): DeviceMemory(total, 0, 100, 200) for name, total in totals.items()}
    return Room(memories, {f"w{number + 1}": grant for number, grant in enumerate(grants)})


def dies(now: Course, of: Cause | str, times: int, room: Room) -> list[Step]:
    """Return the steps that so many deaths of w1 in a row lead to."""
    steps = []
    for _ in range(times):
        now, step = escalate(now, "w1", Cause(of), room, was_stable=False)
        room = replace(room, grants={**room.grants, "w1": now.grant})
        steps.append(step)
    return steps


FULL = room(Grant("cpu:0", 1000, 1), cpu_0=1300)


@pytest.mark.parametrize("cause", sorted(MEMORY))
def test_the_first_death_of_memory_is_answered_with_the_same_again(cause):
    assert dies(course(batch=8), cause, 1, room(Grant("cpu:0", 1000, 8), cpu_0=9000)) == [Step.SAME]


def test_who_runs_out_of_memory_again_gets_a_smaller_batch_then_more_then_another_device():
    roomy = room(Grant("cpu:0", 1000, 4), cpu_0=2000, cpu_1=5000)
    steps = dies(course(batch=4), "gpu_oom", 7, roomy)
    # 2000 - 200 - 100 leave a limit of 1500, and then 200 more
    assert steps == [
        Step.SAME,
        Step.SMALLER_BATCH,
        Step.SMALLER_BATCH,
        Step.LARGER_LIMIT,
        Step.LARGER_LIMIT,
        Step.OTHER_DEVICE,
        Step.LARGER_LIMIT,
    ]


def test_where_nothing_is_left_it_is_the_same_again():
    assert dies(course(), "host_oom", 5, FULL) == [Step.SAME] * 5


def test_others_on_the_device_count():
    shared = room(Grant("cpu:0", 1000, 1), Grant("cpu:0", 1000, 1), cpu_0=2400 + 60)
    assert shared.left_mib("cpu:0", "w1") == 1060
    now, step = escalate(course(), "w1", Cause.HOST_OOM, shared, was_stable=False)
    now, step = escalate(now, "w1", Cause.HOST_OOM, shared, was_stable=False)
    assert (step, now.grant.limit_mib) == (Step.LARGER_LIMIT, 1060)
    # 40 MiB are not worth it
    shared = room(Grant("cpu:0", 1000, 1), Grant("cpu:0", 1000, 1), cpu_0=2400 + 40)
    assert dies(course(), "host_oom", 3, shared) == [Step.SAME] * 3


def test_who_shares_with_one_that_grows_gets_no_more():
    shared = room(Grant("gpu", 1000, 1), Grant("gpu", None, 1), gpu=9000)
    assert dies(course("gpu"), "gpu_oom", 3, shared) == [Step.SAME] * 3


@pytest.mark.parametrize("cause", ["crash", "hang", "exit"])
def test_who_dies_of_anything_else_three_times_gets_another_device(cause):
    two = room(Grant("cpu:0", 1000, 1), cpu_0=9000, cpu_1=1300)
    assert dies(course(), cause, 4, two) == [Step.SAME, Step.SAME, Step.OTHER_DEVICE, Step.SAME]
    assert dies(course(), cause, 4, FULL) == [Step.SAME] * 4


def test_the_device_with_most_room_is_chosen_and_none_that_is_too_small():
    now = replace(course(), deaths=2)
    three = room(Grant("cpu:0", 1000, 1), cpu_0=1300, cpu_1=1299, cpu_2=2000, cpu_3=1400)
    assert escalate(now, "w1", Cause.CRASH, three, was_stable=False)[0].grant == Grant("cpu:2", 1000, 1)
    assert dies(course(), "crash", 3, room(Grant("cpu:0", 1000, 1), cpu_0=1300, cpu_1=1299)) == [Step.SAME] * 3


def test_after_long_health_a_death_is_a_first_one():
    now = replace(course(), deaths=9, memory_deaths=9)
    after, step = escalate(now, "w1", Cause.HOST_OOM, room(Grant("cpu:0", 1000, 1), cpu_0=9000), was_stable=True)
    assert (step, after.deaths, after.memory_deaths) == (Step.SAME, 1, 1)


def test_steps_are_taken_back_one_by_one_and_each_time_later():
    roomy = room(Grant("cpu:0", 1000, 4), cpu_0=2000)
    now = course(batch=4)
    for _ in range(4):
        now, _ = escalate(now, "w1", Cause.HOST_OOM, roomy, was_stable=False)
    assert now.grant == Grant("cpu:0", 1500, 1)
    assert walk_back(now, "w1", roomy, STABLE_S - 1, STABLE_S) is now
    now = walk_back(now, "w1", roomy, STABLE_S, STABLE_S)
    assert now.grant == Grant("cpu:0", 1000, 1)
    assert walk_back(now, "w1", roomy, STABLE_S, STABLE_S) is now
    now = walk_back(now, "w1", roomy, 2 * STABLE_S, STABLE_S)
    assert now.grant == Grant("cpu:0", 1000, 2)
    now = walk_back(now, "w1", roomy, 4 * STABLE_S, STABLE_S)
    assert now.grant == Grant("cpu:0", 1000, 4)
    assert now.patience_s == 8 * STABLE_S
    assert walk_back(now, "w1", roomy, 8 * STABLE_S, STABLE_S) == course(batch=4), "all is forgotten"


def test_patience_has_an_end():
    now = replace(course(), patience_s=LONGEST_S, steps=((Step.LARGER_LIMIT, Grant("cpu:0", 1200, 1)),))
    assert walk_back(now, "w1", room(cpu_0=9000), LONGEST_S, STABLE_S).patience_s == LONGEST_S


@pytest.mark.parametrize("memories", [{"cpu_1": 9000}, {"cpu_0": 1299, "cpu_1": 9000}])
def test_nobody_goes_back_to_what_is_not_there(memories):
    now = replace(course(), steps=((Step.OTHER_DEVICE, Grant("cpu:1", 1000, 1)),))
    assert walk_back(now, "w1", room(Grant("cpu:1", 1000, 1), **memories), 1e9, STABLE_S) is now


class Devices(RuleBasedStateMachine):
    """Workers die of anything in any order, get well in any order, and devices come and go."""

    @initialize(
        totals=st.lists(st.integers(1500, 6000), min_size=1, max_size=3),
        sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(100, 1500), st.integers(1, 8)), min_size=1, max_size=6),
    )
    def plan(self, totals, sizes):
        self.memories = {f"d{number}": DeviceMemory(total, 0, 100, 200) for number, total in enumerate(totals)}
        self.lost: set[str] = set()
        self.courses: dict[str, Course] = {}
        for number, (device, limit_mib, batch) in enumerate(sizes):
            name = f"d{device % len(totals)}"
            if self.room().left_mib(name, "") >= limit_mib:
                self.courses[f"w{number}"] = Course(Grant(name, limit_mib, batch), STABLE_S)

    def room(self) -> Room:
        there = {name: memory for name, memory in self.memories.items() if name not in self.lost}
        return Room(there, {name: course.grant for name, course in self.courses.items()})

    @rule(data=st.data(), cause=st.sampled_from(Cause), was_stable=st.booleans())
    def die(self, data, cause, was_stable):
        if not self.courses:
            return
        name = data.draw(st.sampled_from(sorted(self.courses)))
        before = self.courses[name]
        after, step = escalate(before, name, cause, self.room(), was_stable=was_stable)
        assert (step is Step.SAME) == (after.grant == before.grant)
        if step is Step.OTHER_DEVICE:
            assert after.grant.device not in self.lost
        self.courses[name] = after

    @rule(data=st.data(), healthy_s=st.sampled_from([0.0, STABLE_S, 4 * STABLE_S, 1e9]))
    def be_well(self, data, healthy_s):
        if self.courses:
            name = data.draw(st.sampled_from(sorted(self.courses)))
            self.courses[name] = walk_back(self.courses[name], name, self.room(), healthy_s, STABLE_S)

    @rule(data=st.data())
    def lose_or_find(self, data):
        self.lost ^= {data.draw(st.sampled_from(sorted(self.memories)))}

    @invariant()
    def admission_holds(self):
        for device, memory in self.memories.items():
            grants = [course.grant for course in self.courses.values() if course.grant.device == device]
            taken = sum((grant.limit_mib or 0) + memory.overhead_mib for grant in grants)
            assert taken + memory.reserve_mib <= memory.free_mib

    @invariant()
    def nobody_gets_less_than_was_planned(self):
        for course in self.courses.values():
            assert course.grant.limit_mib >= course.planned.limit_mib
            assert 1 <= course.grant.batch <= course.planned.batch


TestDevices = Devices.TestCase
TestDevices.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
