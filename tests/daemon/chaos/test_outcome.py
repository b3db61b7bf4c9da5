"""What is said of a run."""

from dataclasses import replace

import msgspec
import pytest

from daemon.chaos.kinds import Kind
from daemon.chaos.observations import Violation
from daemon.chaos.outcome import (
    SHOWN,
    Outcome,
    Scored,
    document,
    events_table,
    invariants_table,
    quantile,
    verdict,
    violation_lines,
)
from daemon.chaos.plan import Event
from daemon.verdict import Cause
from tests.daemon.test_cli import invoke

KILLED = Scored(Event(1, Kind.KILL, "w1", 0.0, 1), "", 1.5, 0.4, Cause.CRASH)
MISSED = Scored(Event(2, Kind.STOP, "w1", 0.0, 1), "w1 was down already", 1.5, None, None)
DISK = Scored(Event(3, Kind.DISK, "machine", 0.0, 1), "", 3.0, None, None)
WELL = Outcome(seed=7, events=3, scored=(KILLED, MISSED, DISK))
LEAK = Violation("memory", "the supervisor's memory grew by 9.0 MiB", 60.0, (3,))


def cells(table: object, row: int) -> list[str]:
    return [list(column.cells)[row] for column in table.columns]  # type: ignore[attr-defined]


def test_a_run_in_which_all_held_is_well() -> None:
    assert WELL.is_well
    assert verdict(WELL).startswith("every invariant held: 2 of 3 events in 0 s, seed 7; 1 missed")
    assert not replace(WELL, violations=(LEAK,)).is_well
    assert not Outcome(7, 3).is_well, "nothing was done, so nothing was shown"


def test_a_run_that_a_person_ended_is_judged_by_what_was_done() -> None:
    assert replace(WELL, was_interrupted=True).is_well
    assert "interrupted" in verdict(replace(WELL, was_interrupted=True))
    assert not replace(WELL, was_interrupted=True, violations=(LEAK,)).is_well


def test_what_was_not_run_is_in_the_verdict() -> None:
    left = replace(WELL, left_out={Kind.DISK: "no tmpfs: Operation not permitted"})
    assert "disk was not run: no tmpfs: Operation not permitted" in verdict(left)


def test_the_tables_have_a_row_for_each_kind_and_each_invariant() -> None:
    table = events_table(WELL)
    assert table.row_count == 3
    assert cells(table, 0) == ["kill", "1", "0", "1.5 s", "1.5 s", "0.4 s", "0.4 s", "crash 1"]
    assert cells(table, 1) == ["stop", "0", "1", "-", "-", "-", "-", "nobody died"]
    held = invariants_table(replace(WELL, violations=(LEAK,)))
    assert [cells(held, row)[1] for row in range(held.row_count)].count("held") == held.row_count - 1


def test_violations_are_told_with_their_events_and_not_without_end() -> None:
    assert violation_lines(replace(WELL, violations=(LEAK,))) == [f"60 s: memory: {LEAK.what} (events 3)"]
    assert violation_lines(replace(WELL, violations=(LEAK,) * (SHOWN + 5)))[-1] == "and 5 more"


def test_the_document_is_json() -> None:
    told = msgspec.json.decode(msgspec.json.encode(document(replace(WELL, violations=(LEAK,)))))
    assert (told["is_well"], told["events_done"], told["invariants"]["memory"]) == (False, 2, False)
    assert told["invariants"]["credit"] is True
    assert told["events"][0]["cause"] == "crash"


@pytest.mark.parametrize(("q", "value"), [(0.5, 2.0), (0.95, 4.0), (0.0, 1.0)])
def test_quantiles_are_values_that_were_seen(q: float, value: float) -> None:
    assert quantile([4.0, 1.0, 2.0, 3.0], q) == value


def test_a_kind_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    code, output = invoke("chaos", "--kind", "earthquake")
    assert code == 2
    assert "earthquake" in output and "exhaust" in output


def test_help_names_every_kind() -> None:
    code, output = invoke("chaos", "--help")
    assert code == 0
    assert all(kind.value in output for kind in Kind)
