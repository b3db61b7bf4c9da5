"""What comes to events is given once, and only what is wanted."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from daemon.eventfollow import Follower
from events.outbox import Letter
from events.reading import Wanted
from events.sinks.jsonl import EventLines
from events.words import Event, Kind, Visit
from tests.events.sample import NIGHT, event

Told = Callable[..., list[tuple[str, str, int]]]

NEW = event(1)
UPDATE = event(1, revision=1, kind=Kind.UPDATE, zones=(Visit("door", NIGHT + 3),))
END = event(1, revision=2, kind=Kind.END, ended_at=NIGHT + 9, zones=(Visit("door", NIGHT + 3),))
CAR = event(2, camera="road", label="car")


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    """Tells events to whoever follows, and gives the camera, kind and revision of those that come."""
    with ExitStack() as opened:

        def told(
            *events: Event, wanted: Wanted | None = None, updates: bool = False, seen: tuple[Event, ...] = ()
        ) -> list[tuple[str, str, int]]:
            lines = EventLines(tmp_path)
            opened.callback(lines.close)
            follower = opened.enter_context(closing(Follower(tmp_path, wanted or Wanted(), updates=updates)))
            follower.saw(seen)
            for each in events:
                lines.deliver(Letter(0, None, each))
            found = follower.step()
            assert follower.step() == []
            return [(each["camera"], each["kind"], each["revision"]) for each in found]

        yield told


def test_begin_and_end_are_given_and_updates_only_to_who_wants_them(told: Told) -> None:
    assert told(NEW, UPDATE, END) == [("yard", "new", 0), ("yard", "end", 2)]
    assert told(NEW, UPDATE, END, updates=True) == [("yard", "new", 0), ("yard", "update", 1), ("yard", "end", 2)]


def test_what_is_told_twice_is_given_once(told: Told) -> None:
    assert told(NEW, NEW, END, NEW, END) == [("yard", "new", 0), ("yard", "end", 2)]


def test_what_the_reader_has_seen_is_not_given_again(told: Told) -> None:
    assert told(NEW, UPDATE, END, updates=True, seen=(UPDATE,)) == [("yard", "end", 2)]


@pytest.mark.parametrize(
    ("wanted", "cameras"),
    [
        (Wanted(camera="road"), ["road"]),
        (Wanted(label="car"), ["road"]),
        (Wanted(zone="door"), ["yard"]),
        (Wanted(camera="yard", label="car"), []),
    ],
)
def test_only_what_is_wanted_is_given(told: Told, wanted: Wanted, cameras: list[str]) -> None:
    assert [camera for camera, _, _ in told(NEW, CAR, END, wanted=wanted)] == cameras


def test_a_line_of_nonsense_is_nothing(tmp_path: Path) -> None:
    with closing(Follower(tmp_path, Wanted(), updates=True)) as follower:
        (tmp_path / "events.jsonl").write_bytes(b'nonsense\n[]\n{"id": 1}\n\n')
        assert follower.step() == []
