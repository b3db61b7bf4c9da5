"""Events over HTTP: pages, filters, one event, its media, counts by the hour; none wanted, and no database yet."""

import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from events.mediapaths import MediaKind, media_path
from events.store import MediaFile, Store
from events.words import Batch, Count, Ending, Kind, Visit, line, stamp
from tests.daemon.test_guard import Site, serving
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


def test_names_are_those_of_which_there_are_events(get: Get) -> None:
    assert get("events/names") == (200, {"cameras": ["gate", "yard"], "labels": ["car", "person"], "zones": ["door"]})


def test_events_are_counted_by_the_hour(get: Get) -> None:
    status, found = get("events/hours", since=stamp(NIGHT), until=stamp(NIGHT + 7200), label="person")
    assert status == 200
    assert [(each["camera"], each["hour_at"], each["count"]) for each in found] == [
        ("gate", "2026-11-30T02:00:00.000Z", 1),
        ("yard", "2026-11-30T02:00:00.000Z", 2),
        ("yard", "2026-11-30T03:00:00.000Z", 1),
    ]
    assert get("events/hours", since=stamp(NIGHT), zone="nowhere") == (200, [])
    assert get("events/hours", since=stamp(NIGHT), until=stamp(NIGHT + 32 * 86400)) == (200, [])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    path = tmp_path / "events.sqlite"
    with closing(Store(path, NIGHT, print)) as store:
        store.keep(Batch((*EVENTS, ENDED)), NIGHT)
        with serving(events=path) as site:
            yield site


def put(tmp_path: Path, kind: MediaKind, content: bytes, age_s: float = 0.0) -> Path:
    path = tmp_path / "media" / media_path(ENDED.id, ENDED.camera, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    at = time.time() - age_s
    os.utime(path, (at, at))
    return path


def test_a_picture_is_sent_anew_only_once_a_better_one_has_taken_its_place(site: Site, tmp_path: Path) -> None:
    path = put(tmp_path, "snapshot", b"first")
    url = f"/api/v1/events/{ENDED.id}/snapshot"
    first = site.ask("GET", url)
    assert (first.status, first.headers["content-type"], first.body) == (200, "image/jpeg", b"first")
    assert first.headers["cache-control"] == "private, no-cache"
    assert site.ask("GET", url, {"If-None-Match": first.headers["etag"]}).status == 304
    better = path.with_suffix(".new")
    better.write_bytes(b"other")
    better.rename(path)
    second = site.ask("GET", url, {"If-None-Match": first.headers["etag"]})
    assert (second.status, second.body) == (200, b"other")


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [("", 200, b"0123456789"), ("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"), ("bytes=10-", 416, b"")],
)
def test_of_a_clip_that_part_is_sent_that_is_asked_for(
    site: Site, tmp_path: Path, asked: str, status: int, body: bytes
) -> None:
    put(tmp_path, "clip", b"0123456789", age_s=60.0)
    found = site.ask("GET", f"/api/v1/events/{ENDED.id}/clip", {"Range": asked} if asked else {})
    assert (found.status, found.body) == (status, body)
    if status < 400:
        assert found.headers["content-type"] == "video/mp4"
        assert found.headers["content-disposition"] == f'inline; filename="{ENDED.id}.mp4"'
        assert found.headers["cache-control"] == "private, no-cache"
        assert "etag" in found.headers


def test_a_clip_that_grows_is_kept_by_nobody_and_ends_as_announced(site: Site, tmp_path: Path) -> None:
    path, ended = put(tmp_path, "clip", bytes(500_000)), threading.Event()

    def grow() -> None:
        with path.open("ab") as file:
            while not ended.wait(0.0005):
                file.write(bytes(10_000))
                file.flush()

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        for _ in range(20):
            found = site.ask("GET", f"/api/v1/events/{ENDED.id}/clip")
            assert (found.status, len(found.body)) == (200, int(found.headers["content-length"]))
            assert found.headers["cache-control"] == "no-store"
            assert "etag" not in found.headers
    finally:
        ended.set()
        thread.join()


def test_why_there_is_no_picture_or_clip_is_said(site: Site, tmp_path: Path) -> None:
    def why(of: str, what: str) -> tuple[int, Any]:
        found = site.ask("GET", f"/api/v1/events/{of}/{what}")
        return found.status, found.json["detail"]

    put(tmp_path, "clip", b"")
    assert why(ENDED.id, "clip") == (404, "there is no clip of this event")
    assert why(EVENTS[0].id, "clip") == (404, "there is no clip of this event yet")
    assert why(EVENTS[0].id, "snapshot") == (404, "there is no picture of this event yet")
    outside = put(tmp_path, "snapshot", b"x")
    for other in ("nothing", "..%2f..%2fevents.sqlite", f"{outside}", f"%2e%2e/media/{outside.stem}"):
        assert site.ask("GET", f"/api/v1/events/{other}/snapshot").status == 404


def test_changes_of_events_are_streamed_and_nothing_else_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    with closing(Store(path, NIGHT, print)) as store, serving(events=path) as site:
        store.keep(Batch((EVENTS[0],)), NIGHT)
        with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)) as connection:
            connection.request("GET", "/api/v1/stream?what=event")
            stream = connection.getresponse()
            store.keep(Batch((EVENTS[1],)), NIGHT)
            store.note_media(MediaFile("x", EVENTS[0].id, "snapshot", "yard", NIGHT, 1))
            told: list[Any] = []
            while len(told) < 2:
                text = stream.readline().decode()
                assert text, "it has ended"
                told += [json.loads(text.removeprefix("data: "))] if text.startswith("data: ") else []
            stream.close()
    assert [(each["id"], each["has_snapshot"]) for each in told] == [(EVENTS[1].id, False), (EVENTS[0].id, True)]


def test_what_is_not_streamed_cannot_be_asked_for(get: Get) -> None:
    assert get("stream", what="weather")[0] == 422


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
