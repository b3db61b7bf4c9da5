"""The schedule: what a seed gives, and that it gives it again."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.chaos.kinds import CAMERA_FAULTS, CLOCK_STEP_S, TRAITS, Kind, Target, Timing, deadline_s
from daemon.chaos.plan import APART_S, BURST, Event, Setup, plan
from daemon.verdict import Cause
from simulator.faults import KINDS as FAULTS

SETUP = Setup(("w1", "w2"), ("c1", "c2"), tuple(f"cam-{number:02}" for number in range(1, 13)), ("e1",))
seeds = st.integers(0, 2**31)
some_kinds = st.lists(st.sampled_from(list(Kind)), min_size=1, unique=True)


def events_of(seed: int, count: int, kinds: list[Kind]) -> list[Event]:
    return [event for burst in plan(seed, count, kinds, SETUP) for event in burst]


@given(seeds, st.integers(1, 200), some_kinds)
def test_the_same_seed_gives_the_same_schedule(seed: int, count: int, kinds: list[Kind]) -> None:
    assert plan(seed, count, kinds, SETUP) == plan(seed, count, list(reversed(kinds)), SETUP)


def test_another_seed_gives_another_schedule() -> None:
    assert plan(1, 30, list(Kind), SETUP) != plan(2, 30, list(Kind), SETUP)


@given(seeds, st.integers(1, 200), some_kinds)
def test_so_many_events_of_these_kinds_equally_often(seed: int, count: int, kinds: list[Kind]) -> None:
    events = events_of(seed, count, kinds)
    assert [event.number for event in events] == list(range(1, count + 1))
    often = Counter(event.kind for event in events)
    assert set(often) <= set(kinds)
    assert max(often.values()) - min(often[kind] for kind in kinds) <= 1


@given(seeds, st.integers(1, 200))
def test_whoever_is_hit_is_one_whom_this_kind_can_hit(seed: int, count: int) -> None:
    allowed = {
        Target.CHILD: SETUP.children,
        Target.SOURCE: SETUP.sources,
        Target.WORKER: SETUP.workers,
        Target.CAMERA: SETUP.cameras,
        Target.MACHINE: ("machine",),
    }
    for event in events_of(seed, count, list(Kind)):
        assert event.victim in allowed[TRAITS[event.kind].target]
        assert (event.fault in CAMERA_FAULTS) == (event.kind is Kind.CAMERA)
        assert abs(event.step_s) <= CLOCK_STEP_S
        assert event.kind is Kind.CLOCK or not event.step_s


@given(seeds, st.integers(1, 200))
def test_bursts_are_small_and_their_events_close(seed: int, count: int) -> None:
    for burst in plan(seed, count, list(Kind), SETUP):
        assert 1 <= len(burst) <= BURST
        assert all(0 <= event.after_s <= APART_S for event in burst)


@given(seeds)
def test_cameras_take_turns(seed: int) -> None:
    victims = [event.victim for event in events_of(seed, 24, [Kind.CAMERA])]
    assert Counter(victims) == dict.fromkeys(SETUP.cameras, 2)


@pytest.mark.parametrize(("count", "kinds"), [(0, list(Kind)), (1, [])])
def test_nothing_is_no_schedule(count: int, kinds: list[Kind]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        plan(1, count, kinds, SETUP)


def test_every_kind_is_known_and_every_camera_fault_is_the_simulators() -> None:
    assert set(TRAITS) == set(Kind)
    assert set(CAMERA_FAULTS) <= set(FAULTS)


def test_only_what_hits_a_child_may_kill_it() -> None:
    for trait in TRAITS.values():
        assert bool(trait.causes) == (trait.target in (Target.CHILD, Target.SOURCE, Target.WORKER))
        assert Cause.MODEL not in trait.causes and Cause.CONFIG not in trait.causes, "these are never restarted"


def test_what_only_idleness_gives_away_has_longer() -> None:
    timing = Timing(hang_s=3.0, start_s=2.0)
    assert deadline_s(Kind.STOP, timing) == deadline_s(Kind.KILL, timing) + 3.0 + 1.5
    assert deadline_s(Kind.STOP, Timing(30.0, 2.0)) == deadline_s(Kind.STOP, timing) + 27.0
    assert deadline_s(Kind.KILL, Timing(3.0, 4.0)) == deadline_s(Kind.KILL, timing) + 6.0


def test_an_event_is_named_with_what_it_does() -> None:
    assert str(Event(1, Kind.KILL, "w1", 0.0, 1)) == "kill w1"
    assert str(Event(1, Kind.CAMERA, "cam-01", 0.0, 1, fault="hang")) == "camera cam-01 hang"
    assert str(Event(1, Kind.CLOCK, "machine", 0.0, 1, step_s=-60.0)) == "clock -60 s"
