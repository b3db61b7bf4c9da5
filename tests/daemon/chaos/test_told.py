"""What is said of events that were lost, told twice, left open, or lasted longer than the run."""

from typing import Any

import pytest

from daemon.chaos.observations import Truth
from daemon.chaos.told import Change, misjudged_events
from events.store import ended
from events.words import Ending, Event, Kind
from tests.events.sample import NIGHT, event

TRUTHS = {"yard": Truth("person", (0.0, 0.0, 1.0, 1.0), 1.0)}
ENDED = ended(event(1), Ending.GONE)
TOLD = [Change(ENDED.id, 0, Kind.NEW), Change(ENDED.id, 1, Kind.END)]


def wrong(kept: list[Event], changes: list[Change], acknowledged: dict[str, int] | None = None) -> str:
    return "; ".join(misjudged_events(kept, changes, acknowledged or {}, TRUTHS, seconds=60.0))


def test_what_is_kept_and_told_once_is_right_also_if_a_line_came_twice() -> None:
    assert wrong([ENDED], TOLD, {ENDED.id: 1}) == ""
    assert wrong([ENDED], [TOLD[0], *TOLD]) == ""


def altered(**changes: Any) -> Event:
    return ended(event(1, **changes), Ending.GONE)


@pytest.mark.parametrize(
    ("kept", "changes", "acknowledged", "what"),
    [
        ([], [], {ENDED.id: 0}, "is lost"),
        ([ENDED], TOLD, {ENDED.id: 2}, "is lost"),
        ([], TOLD, {}, "is not kept"),
        ([event(1)], TOLD, {}, "was left open"),
        ([altered(updated_at=NIGHT + 61.0)], TOLD, {}, "lasted for 61.0 s"),
        ([altered(updated_at=NIGHT - 1.0)], TOLD, {}, "lasted for -1.0 s"),
        ([altered(started_at=NIGHT + 0.5)], TOLD, {}, "does not bear the time"),
        ([altered(label="car")], TOLD, {}, "shows person"),
        ([ENDED], TOLD[:1], {}, "0 times as ended"),
        ([ENDED], [*TOLD, Change(ENDED.id, 2, Kind.END)], {}, "2 times as ended"),
        ([ENDED], TOLD[::-1], {}, "in the order [1, 0]"),
    ],
)
def test_what_is_wrong_is_said(
    kept: list[Event], changes: list[Change], acknowledged: dict[str, int], what: str
) -> None:
    assert what in wrong(kept, changes, acknowledged)
