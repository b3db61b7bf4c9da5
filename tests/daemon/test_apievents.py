"""Events over HTTP: pages, filters, one event, crossings by the hour; none wanted, and no database yet."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from events.store import Store
from events.words import Batch, Count, Ending, Kind, Visit, line, stamp
from tests.daemon.test_guard import serving
from tests.events.sample import NIGHT, event

Get = Callable[..., tuple[int, Any]]

EVENTS = tuple(
    event(i, camera=("yard", "gate")[i % 2], at=NIGHT + 60.0 * i, label=("person", "car")[i % 3 == 0]) for i in range(5)
)
ENDED = event(
    9, at=NIGHT + 3600, kind=Kind.END, ended_at=NIGHT + 3700, ending=Ending.GONE, zones=(Visit("door", NIGHT + 3601),)
)


@contextmanager
def client(database: Path | None) -> Iterator[Get]:
    with serving(events=database) as site:

        def get(path: str, **query: object) -> tuple[int, Any]:
            answer = site.ask("GET", f"/api/v1/{path}?{urlencode(query)}")
            return answer.status, answer.json

        yield get


@pytest.fixture
def get(tmp_path: Path) -> Iterator[Get]:
    path = tmp_path / "events.sqlite"
    counts = tuple(Count("gate", "kerb", "in", "car", NIGHT + 600.0 * number) for number in range(12))
    with closing(Store(path, NIGHT, print)) as store:
        store.keep(Batch((*EVENTS, ENDED), counts=counts), NIGHT)
        with client(path) as get:
            yield get


def ids(answer: tuple[int, Any]) -> list[str]:
    status, found = answer
    assert status == 200, found
    return [each["id"] for each in found["events"]]


def test_events_come_newest_first_as_a_line_of_the_file_has_them(get: Get) -> None:
    status, found = get("events")
    assert status == 200
    assert found == {"events": [json.loads(line(each)) for each in (ENDED, *reversed(EVENTS))], "cursor": None}


def test_pages_follow_each_other(get: Get) -> None:
    first = get("events", limit=4)
    second = get("events", limit=4, cursor=first[1]["cursor"])
    assert ids(first) + ids(second) == ids(get("events"))
    assert second[1]["cursor"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"camera": "gate"}, [EVENTS[3], EVENTS[1]]),
        ({"label": "car"}, [EVENTS[3], EVENTS[0]]),
        ({"zone": "door"}, [ENDED]),
        ({"since": stamp(NIGHT + 3600)}, [ENDED]),
        ({"until": stamp(NIGHT + 60)}, [EVENTS[0]]),
        ({"until": "0001-01-01T00:00:00+10:00"}, []),
        ({"camera": "nobody"}, []),
    ],
)
def test_events_are_narrowed(get: Get, query: dict[str, str], expected: list[Any]) -> None:
    assert ids(get("events", **query)) == [each.id for each in expected]


@pytest.mark.parametrize("since", ["1796004785", "yesterday", ""])
def test_what_is_no_time_is_refused(get: Get, since: str) -> None:
    status, found = get("events", since=since)
    assert status == 422
    assert "should be a time such as 2026-11-30T02:13:05Z" in found["detail"][0]["msg"]


def test_one_event(get: Get) -> None:
    assert get(f"events/{ENDED.id}") == (200, json.loads(line(ENDED)))
    assert get("events/nothing") == (404, {"detail": "there is no such event"})


def test_crossings_are_counted_by_the_hour(get: Get) -> None:
    status, found = get("crossings", since=stamp(NIGHT), until=stamp(NIGHT + 7200))
    assert status == 200
    assert [(each["hour_at"], each["count"]) for each in found] == [
        ("2026-11-30T02:00:00.000Z", 5),
        ("2026-11-30T03:00:00.000Z", 6),
        ("2026-11-30T04:00:00.000Z", 1),
    ]
    assert get("crossings", since=stamp(NIGHT), camera="yard") == (200, [])


def test_where_no_events_are_wanted_that_is_said() -> None:
    with client(None) as get:
        assert get("events") == (404, {"detail": "no events are wanted: set events.enabled in the settings"})


def test_a_database_that_is_not_there_yet_is_for_later(tmp_path: Path) -> None:
    with client(tmp_path / "events.sqlite") as get:
        status, found = get("events")
    assert status == 503
    assert "events cannot be read just now" in found["detail"]
