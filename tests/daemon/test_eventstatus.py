"""What the status says of events."""

from dataclasses import replace

import pytest

from daemon.eventstatus import events_now
from daemon.statistics import EventStatistics
from events.messages import SinkReport
from events.series import Figure

CALM = EventStatistics(
    {Figure.EVENTS: {("yard", "person", "new"): (2,), ("gate", "car", "new"): (5,), ("gate", "car", "end"): (4,)}},
    open_events=3,
    sinks=(SinkReport("jsonl", 0, is_well=True), SinkReport("mqtt", 0, is_well=True)),
)
DOWN = replace(CALM, sinks=(SinkReport("mqtt", 12, is_well=False, cause="connection refused"),))


@pytest.mark.parametrize(
    ("events", "words", "troubles"),
    [
        (CALM, "3 open, 7 since the start; jsonl ok; mqtt ok", []),
        (
            DOWN,
            "3 open, 7 since the start; mqtt: connection refused, 12 wait",
            ["events do not reach mqtt"],
        ),
        (
            replace(CALM, is_kept=False, held=9, sinks=()),
            "3 open, 7 since the start; not kept, 9 changes wait for the disk",
            ["events are not kept"],
        ),
        (
            replace(DOWN, sums={Figure.LOST: {(): (4,)}}, is_kept=False, is_followed=False),
            "nobody follows them now; 4 changes lost",
            ["nobody follows events"],
        ),
    ],
)
def test_a_line_says_all_that_a_person_wants_to_know(events, words, troubles):
    found = events_now(events)
    assert found is not None
    assert (found.words, events.troubles) == (words, troubles)


def test_nothing_is_said_where_no_events_are_wanted():
    assert events_now(None) is None
