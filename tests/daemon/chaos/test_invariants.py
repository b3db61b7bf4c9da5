"""What must always hold, by value: what is a violation and what is none."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.chaos.invariants import (
    CHILDREN_DESCRIPTORS,
    DESCRIPTORS,
    LINE_LATE_S,
    MEMORY_MIB,
    descriptors_growth,
    due_s,
    judge_deaths,
    judge_growth,
    longest_pause_s,
    memory_growth_mib,
    misjudged_line,
    slope,
    strangers,
    unsettled,
)
from daemon.chaos.kinds import Kind, Timing, deadline_s
from daemon.chaos.observations import Birth, Census, Death, Hit, Process, Return, Sample, Stop, Truth
from daemon.chaos.plan import Event
from daemon.verdict import Cause

DAEMON = 100
CHILDREN = ("w1", "c1")
TRUTHS = {
    "cam-01": Truth("red", (16, 32, 112, 128), 56),
    "cam-02": Truth("green", (16, 32, 112, 128), 56),
    "cam-07": Truth("red", (208, 32, 304, 128), 56),
}


def hit(kind: Kind, victim: str = "w1", pid: int | None = 1, at_s: float = 10.0, **more: str) -> Hit:
    return Hit(Event(7, kind, victim, 0.0, 1), at_s, pid, **more)


def living(at_s: float = 0.0) -> Census:
    """A census in which both children are up."""
    census = Census()
    for pid, child in enumerate(CHILDREN, start=1):
        census.note(Birth(child, pid, at_s))
        census.note(Return(child, pid, at_s))
    return census


# --- deaths ---


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (Kind.KILL, Cause.CRASH),
        (Kind.STOP, Cause.HANG),
        (Kind.MUTE, Cause.HANG),
        (Kind.EXHAUST, Cause.HOST_OOM),
        (Kind.HANGUP, Cause.EXIT),
        (Kind.NAN, Cause.CRASH),
    ],
)
def test_a_death_of_what_was_done_is_no_violation(kind: Kind, cause: Cause) -> None:
    assert list(judge_deaths([Death("w1", 1, cause, 11.0)], [hit(kind)])) == []


@pytest.mark.parametrize(
    ("kind", "cause"),
    [(Kind.KILL, Cause.HOST_OOM), (Kind.STOP, Cause.CRASH), (Kind.EXHAUST, Cause.EXIT), (Kind.GARBAGE, Cause.HANG)],
)
def test_a_death_judged_as_something_else_is_one(kind: Kind, cause: Cause) -> None:
    [violation] = judge_deaths([Death("w1", 1, cause, 11.0)], [hit(kind)])
    assert (violation.invariant, violation.events) == ("deaths", (7,))
    assert kind in violation.what and cause in violation.what


def test_of_two_events_on_one_process_either_may_be_what_it_died_of() -> None:
    hits = [hit(Kind.STOP), hit(Kind.KILL)]
    for cause in (Cause.HANG, Cause.CRASH):
        assert not list(judge_deaths([Death("w1", 1, cause, 11.0)], hits))


def test_who_dies_untouched_is_a_violation() -> None:
    untouched = Death("w1", 2, Cause.CRASH, 11.0)
    assert [v.invariant for v in judge_deaths([untouched], [hit(Kind.KILL, pid=1)])] == ["deaths"]
    harmless = [hit(Kind.DISK, "machine", None), hit(Kind.CAMERA, "cam-01", None), hit(Kind.CLOCK, "machine", None)]
    assert [v.invariant for v in judge_deaths([untouched], harmless)] == ["deaths"]


def test_who_is_given_up_is_a_violation_whatever_was_done() -> None:
    [violation] = judge_deaths([Death("w1", 1, Cause.CRASH, 11.0, is_for_good=True)], [hit(Kind.KILL)])
    assert violation.invariant == "back"


# --- all well again ---


def test_all_is_well_once_the_victim_was_replaced_and_all_mosaics_answered_after_that() -> None:
    census, killed = living(), hit(Kind.KILL)
    answered = {"m1": [9.9], "m2": [9.9]}
    assert unsettled([killed], census, CHILDREN, answered).keys() == {"deaths", "answered"}
    census.note(Death("w1", 1, Cause.CRASH, 10.1))
    assert unsettled([killed], census, CHILDREN, answered).keys() == {"back", "answered"}
    census.note(Birth("w1", 3, 10.2))
    assert unsettled([killed], census, CHILDREN, answered).keys() == {"back", "answered"}
    census.note(Return("w1", 3, 11.0))
    answered["m1"].append(11.0 + LINE_LATE_S)
    assert unsettled([killed], census, CHILDREN, answered) == {"answered": ["m2 is not answered"]}
    answered["m2"].append(11.0 + LINE_LATE_S)
    assert unsettled([killed], census, CHILDREN, answered) == {}
    assert census.back_s(killed) == pytest.approx(1.0)


def test_who_was_asked_to_end_meanwhile_need_not_die() -> None:
    census = living()
    census.note(Stop("w1", 1, 10.1))
    census.note(Birth("w1", 3, 10.2))
    census.note(Return("w1", 3, 11.0))
    assert unsettled([hit(Kind.STOP)], census, CHILDREN, {"m1": [12.0]}) == {}


def test_a_line_that_may_be_from_before_the_event_proves_nothing() -> None:
    clock = hit(Kind.CLOCK, "machine", None)
    assert "answered" in unsettled([clock], living(), CHILDREN, {"m1": [10.0 + 0.9 * LINE_LATE_S]})
    assert unsettled([clock], living(), CHILDREN, {"m1": [10.0 + LINE_LATE_S]}) == {}


def test_a_full_disk_is_over_before_lines_are_waited_for() -> None:
    disk = hit(Kind.DISK, "machine", None)
    assert "answered" in unsettled([disk], living(), CHILDREN, {"m1": [12.0]})
    assert unsettled([disk], living(), CHILDREN, {"m1": [13.0 + LINE_LATE_S]}) == {}


def test_nobody_has_to_die_of_an_event_that_missed() -> None:
    assert unsettled([hit(Kind.KILL, missed="it was down")], living(), CHILDREN, {"m1": [11.0]}) == {}


def test_of_overlapping_events_the_last_deadline_counts() -> None:
    timing = Timing(3.0, 2.0)
    stop, kill = hit(Kind.STOP, at_s=10.0), hit(Kind.KILL, at_s=11.0)
    assert due_s([stop, kill], timing) == 10.0 + deadline_s(Kind.STOP, timing)
    late = hit(Kind.KILL, at_s=30.0)
    assert due_s([stop, late], timing) == 30.0 + deadline_s(Kind.KILL, timing)


# --- credit ---


def line(camera: str, label: str = "red", box: Sequence[float] = (16, 32, 64, 80)) -> dict[str, object]:
    return {"camera": camera, "sightings": [{"label": label, "score": 0.9, "box": list(box)}]}


def test_what_a_camera_shows_is_its_own() -> None:
    assert misjudged_line(line("cam-01"), TRUTHS) is None
    assert misjudged_line({"camera": "cam-01", "sightings": []}, TRUTHS) is None


@pytest.mark.parametrize(
    "wrong",
    [
        line("cam-02"),  # the colour of another
        line("cam-07"),  # its own colour, where another shows it
        line("cam-01", box=(208, 32, 256, 80)),
        line("cam-03"),  # nobody
        {"camera": "cam-01", "sightings": [*line("cam-01")["sightings"], {"label": "blue", "box": [0, 0, 1, 1]}]},  # type: ignore[misc]
    ],
)
def test_what_another_shows_is_misjudged(wrong: dict[str, object]) -> None:
    assert misjudged_line(wrong, TRUTHS)


# --- processes ---


def test_the_daemon_its_children_and_what_is_below_them_are_known() -> None:
    seen = [Process(DAEMON, 1, False), Process(1, DAEMON, False), Process(2, DAEMON, False), Process(50, 1, False)]
    assert strangers(seen, DAEMON, {"w1": 1, "c1": 2}) == {}


@pytest.mark.parametrize(
    "stranger",
    [
        Process(9, DAEMON, False),  # a second process of a child, or one that was replaced
        Process(9, 1000, False),  # whose parent is gone
        Process(9, DAEMON, True),
        Process(9, 8, False),  # below somebody who is none of ours
    ],
)
def test_everybody_else_is_not(stranger: Process) -> None:
    seen = [Process(DAEMON, 1, False), Process(1, DAEMON, False), stranger]
    assert strangers(seen, DAEMON, {"w1": 1}).keys() == {9}


# --- what grows ---


def samples(memory_kib: Sequence[float], descriptors: int = 31, children: int = 80) -> list[Sample]:
    return [Sample(float(at), kib, descriptors, children) for at, kib in enumerate(memory_kib)]


def test_a_leak_is_told_from_a_few_odd_samples_and_from_filling_caches() -> None:
    flat = [47_000.0] * 100
    assert memory_growth_mib(samples(flat)) == 0.0
    odd = [kib + (9_000 if at % 10 == 0 else 0) for at, kib in enumerate(flat)]
    assert memory_growth_mib(samples(odd)) == pytest.approx(0.0)
    filling = [30_000.0 + 1_000 * min(at, 20) for at in range(100)]
    assert memory_growth_mib(samples(filling)) == 0.0
    leaking = [47_000.0 + 100 * at for at in range(100)]
    assert memory_growth_mib(samples(leaking)) == pytest.approx(100 * 49 / 1024)


@given(st.lists(st.floats(0, 1e6), max_size=30), st.floats(-100, 100))
def test_a_line_has_its_own_slope(xs: list[float], rate: float) -> None:
    points = [(float(x), rate * x) for x in sorted({round(x) for x in xs})]
    assert slope(points) == (pytest.approx(rate) if len(points) > 1 else 0.0)


def test_what_grows_is_named() -> None:
    looks = samples([47_000.0 + 30 * at for at in range(int(MEMORY_MIB * 1024 / 10))])
    quiet = [replace(each, descriptors=31 + at) for at, each in enumerate(looks[: 4 * (DESCRIPTORS + 1)])]
    assert [v.invariant for v in judge_growth(looks, quiet)] == ["memory", "descriptors"]
    quiet = [replace(each, children_descriptors=80 + 9 * at) for at, each in enumerate(looks[:CHILDREN_DESCRIPTORS])]
    assert [v.invariant for v in judge_growth(samples([1.0] * 50), quiet)] == ["descriptors"]
    assert list(judge_growth(samples([1.0] * 50), samples([1.0] * 50))) == []
    assert list(judge_growth([], [])) == []


def test_descriptors_that_come_and_go_are_no_leak() -> None:
    assert descriptors_growth([31, 35, 31, 40, 31, 33, 31, 36]) == 0
    assert descriptors_growth([31, 32, 33, 34, 35, 36, 37, 38]) == 6
    assert descriptors_growth([]) == 0


# --- pauses ---


def test_the_longest_pause_is_that_which_overlaps() -> None:
    times = [1.0, 2.0, 2.5, 8.0, 8.5, 20.0]
    assert longest_pause_s(times, 3.0, 9.0) == 11.5  # the one that goes on is over at 20
    assert longest_pause_s(times, 3.0, 8.2) == 5.5
    assert longest_pause_s(times, 1.2, 2.2) == 1.0
    assert longest_pause_s([], 5.0, 9.0) == 4.0
