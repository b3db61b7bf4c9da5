"""What is kept comes back, in pages, in another process; what an earlier life left open is closed."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from events.reading import Changes, EventReader, Names, Wanted
from events.store import MediaFile, Store, ended
from events.words import Batch, Count, Ending, Kind, Speed, TrackSummary, Visit, event_id
from tests.events.sample import NIGHT, event


@pytest.fixture
def told():
    return []


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.sqlite"


@pytest.fixture
def store(path, told):
    with closing(Store(path, NIGHT, told.append)) as opened:
        yield opened


@pytest.fixture
def reader(path, store):
    with EventReader(path) as opened:
        yield opened


def keep(store, *events):
    store.keep(Batch(events=events), NIGHT)


def ids(page):
    return [found.id for found in page.events]


def test_an_event_comes_back_as_it_last_was(store, reader):
    first = event()
    last = ended(event(zones=(Visit("gate", NIGHT),)), Ending.GONE)
    keep(store, first)
    assert reader.event(first.id) == first
    keep(store, last)
    assert reader.event(first.id) == last
    assert reader.event("nobody") is None


def test_what_is_old_news_changes_nothing(store, reader):
    last = event(revision=3, kind=Kind.UPDATE)
    keep(store, last)
    keep(store, event(revision=2), event(revision=3, label="dog"))
    assert reader.page().events == (last,)


def test_pages_neither_double_nor_leave_out_while_more_come(store, reader):
    kept = [event(number, at=NIGHT + number // 2) for number in range(25)]
    keep(store, *kept)
    found, cursor = [], None
    while True:
        page = reader.page(limit=10, cursor=cursor)
        found += ids(page)
        keep(store, event(99, at=NIGHT + 100 + len(found)))
        if (cursor := page.cursor) is None:
            break
    assert found == sorted((each.id for each in kept), reverse=True)


def test_who_follows_gets_what_is_newer_than_what_he_has(store, reader):
    keep(store, event(1), event(2, at=NIGHT + 1))
    (first,) = reader.page(limit=1, upwards=True).events
    keep(store, event(3, at=NIGHT + 2))
    assert [each.started_at for each in reader.page(cursor=first.id, upwards=True).events] == [NIGHT + 1, NIGHT + 2]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted(), [4, 3, 2, 1]),
        (Wanted(camera="yard"), [3, 1]),
        (Wanted(label="dog"), [3, 2]),
        (Wanted(zone="gate"), [4, 1]),
        (Wanted(since=NIGHT + 2), [4, 3, 2]),
        (Wanted(until=NIGHT + 2), [1]),
        (Wanted(camera="street", label="dog", since=NIGHT, until=NIGHT + 10), [2]),
        (Wanted(camera="nowhere"), []),
    ],
)
def test_pages_of_what_is_wanted(store, reader, wanted, numbers):
    keep(
        store,
        event(1, at=NIGHT + 1, zones=(Visit("gate", NIGHT, NIGHT), Visit("gate", NIGHT))),
        event(2, at=NIGHT + 2, camera="street", label="dog"),
        event(3, at=NIGHT + 3, label="dog"),
        event(4, at=NIGHT + 4, camera="street", zones=(Visit("gate", NIGHT), Visit("yard", NIGHT))),
    )
    assert [round(each.started_at - NIGHT) for each in reader.page(wanted).events] == numbers


def test_a_page_has_bounds_and_a_cursor_cannot_do_harm(store, reader):
    keep(store, *(event(number) for number in range(3)))
    assert len(reader.page(limit=-5).events) == 1
    assert len(reader.page(limit=10**9).events) == 3
    assert reader.page(cursor="'; DROP TABLE events; --").events == ()
    assert len(reader.page().events) == 3


def test_crossings_are_summed_by_hour(store, reader):
    hour = NIGHT // 3600 * 3600
    counts = [Count("yard", "fence", way, label, hour + at) for way in ("in", "out") for label in "ab" for at in (0, 9)]
    store.keep(Batch(counts=(*counts, Count("yard", "fence", "in", "a", hour + 3600, crossings=5))), NIGHT)
    store.keep(Batch(counts=(counts[0],)), NIGHT)
    found = reader.crossings(hour, hour + 3599)
    assert [(one.line, one.direction, one.label, one.hour_at, one.count) for one in found] == [
        ("fence", "in", "a", hour, 3),
        ("fence", "in", "b", hour, 2),
        ("fence", "out", "a", hour, 2),
        ("fence", "out", "b", hour, 2),
    ]
    assert sum(one.count for one in reader.crossings(hour, hour + 7200, camera="yard")) == 14
    assert reader.crossings(hour, hour + 7200, camera="street") == ()


def test_events_are_counted_by_hour(store, reader):
    hour = NIGHT // 3600 * 3600
    keep(store, *(event(number, at=hour + number * 1000) for number in range(5)))
    found = reader.events_by_hour(Wanted(camera="yard"))
    assert [(one.camera, one.label, one.hour_at, one.count) for one in found] == [
        ("yard", "person", hour, 4),
        ("yard", "person", hour + 3600, 1),
    ]


def test_names_are_those_of_which_there_are_events(store, reader):
    assert reader.names() == Names((), (), ())
    zones = (Visit("gate", NIGHT), Visit("door", NIGHT))
    keep(
        store, *(event(n, camera=("yard", "a")[n % 2], label=("dog", "car", "b")[n % 3], zones=zones) for n in range(9))
    )
    assert reader.names() == Names(("a", "yard"), ("b", "car", "dog"), ("door", "gate"))
    store.forget_events([each.id for each in reader.page(Wanted(camera="a")).events])
    assert reader.names().cameras == ("yard",)


def test_who_asks_is_told_what_has_changed_since_and_each_event_once(store, reader):
    keep(store, event(1), event(2))
    start = reader.changes()
    assert start.events == ()
    keep(store, event(3), event(1, revision=1), event(1, revision=2, kind=Kind.UPDATE))
    found = reader.changes(start.last)
    assert found.events == (event(3), event(1, revision=2, kind=Kind.UPDATE))
    assert reader.changes(found.last) == Changes(found.last, ())
    store.note_media(MediaFile("yard/x.jpg", event(2).id, "snapshot", "yard", NIGHT, 1000))
    told = reader.changes(found.last)
    assert told.events == (event(2, has_snapshot=True),)
    keep(store, *(event(number) for number in range(10, 15)))
    first = reader.changes(told.last, limit=3)
    assert [*first.events, *reader.changes(first.last).events] == [event(number) for number in range(10, 15)]


def test_changes_are_told_on_where_the_last_ones_were_deleted(store, reader):
    keep(store, event(1), event(2), event(3))
    before = reader.changes()
    store.forget_events([event(number).id for number in (1, 2, 3)])
    after = reader.changes(before.last)
    keep(store, event(4))
    assert reader.changes(after.last).events == (event(4),)


def test_tracks_are_kept(store, path):
    track = TrackSummary(
        camera="yard",
        label="car",
        started_at=NIGHT,
        ended_at=NIGHT + 3,
        sightings=15,
        best_score=0.9,
        speed=Speed(40.0, 44.0),
    )
    store.keep(Batch(tracks=(track,)), NIGHT)
    with store.transaction() as connection:
        assert connection.execute("SELECT * FROM tracks").fetchall() == [
            ("yard", "car", NIGHT, NIGHT + 3, 15, 0.9, 40.0, 44.0, None)
        ]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_costs_that_event_alone(store, reader, told, number):
    track = TrackSummary(
        camera="yard", label="car", started_at=NIGHT, ended_at=number, sightings=1, best_score=float("nan")
    )
    counts = tuple(Count("yard", "fence", "in", "car", at) for at in (NIGHT, number))
    store.keep(Batch((event(1, best_score=number), event(2)), (track,), counts), NIGHT)
    assert ids(reader.page()) == [event(2).id]
    keep(store, event(3, started_at=1e300))
    assert ids(reader.page()) == [event(2).id]
    assert [notice.message for notice in told] == ["event cannot be kept"] * 2
    assert sum(one.count for one in reader.crossings(NIGHT, NIGHT)) == 1


def test_media_are_told_of_by_their_event_even_after_its_end(store, reader):
    last = ended(event(), Ending.GONE)
    keep(store, last)
    box = (1.0, 2.0, 3.0, 4.0)
    store.note_media(MediaFile("yard/20261130/x.jpg", last.id, "snapshot", "yard", NIGHT, 4711, box))
    store.note_media(MediaFile("yard/20261130/x.mp4", last.id, "clip", "yard", NIGHT, 47110))
    store.note_media(MediaFile("yard/20261130/y.mp4", "nobody", "clip", "yard", NIGHT, 1))
    found = reader.event(last.id)
    assert (found.has_snapshot, found.has_clip, found.revision) == (True, True, last.revision)
    assert found.snapshot_box == box
    assert [(file.kind, file.size_bytes) for file in reader.media(last.id)] == [("clip", 47110), ("snapshot", 4711)]
    store.forget_media([("yard/20261130/x.jpg", last.id)])
    found = reader.event(last.id)
    assert (found.has_snapshot, found.snapshot_box, found.has_clip) == (False, None, True)


def test_what_an_earlier_life_left_open_is_closed_at_its_last_change(path, store, reader, told):
    open_ = event(1, updated_at=NIGHT + 7, zones=(Visit("gate", NIGHT),))
    over = ended(event(2), Ending.GONE)
    keep(store, open_, over)
    assert store.close_open(NIGHT) == 1
    found = reader.event(open_.id)
    assert (found.kind, found.ending, found.ended_at, found.revision) == (Kind.END, Ending.RESTART, NIGHT + 7, 1)
    assert found.zones == (Visit("gate", NIGHT, NIGHT + 7),)
    assert reader.event(over.id) == over
    assert store.close_open(NIGHT) == 0
    assert told == []


def test_an_open_event_that_nobody_can_read_is_forgotten(store, reader, told):
    keep(store, event(1, zones=(Visit("gate", NIGHT),)), event(2))
    with store.transaction() as connection:
        connection.execute("UPDATE events SET body = x'00' WHERE id = ?", (event(1).id,))
    store.close_open(NIGHT)
    assert ids(reader.page()) == [event(2).id]
    assert [notice.message for notice in told] == ["event forgotten"]


def test_an_event_that_nobody_can_read_hinders_no_other(store, reader):
    keep(store, *map(event, range(3)))
    with store.transaction() as connection:
        connection.execute("UPDATE events SET body = x'00' WHERE id = ?", (event(1).id,))
    store.note_media(MediaFile("yard/20261130/x.jpg", event(1).id, "snapshot", "yard", NIGHT, 4711))
    assert ids(reader.page()) == [event(2).id, event(0).id]
    page = reader.page(limit=2)
    assert ids(page) == [event(2).id] and ids(reader.page(limit=2, cursor=page.cursor)) == [event(0).id]
    assert reader.event(event(1).id) is None
    assert [each.id for each in reader.changes(after=0).events] == [event(0).id, event(2).id]


def test_a_transaction_that_fails_leaves_nothing(store, reader):
    class StopHereError(Exception):
        pass

    def fail():
        with store.transaction():
            keep(store, event())
            raise StopHereError

    with pytest.raises(StopHereError):
        fail()
    assert reader.page().events == ()
    keep(store, event())
    assert len(reader.page().events) == 1


def test_another_process_reads_while_we_write_and_cannot_change_anything(path, store):
    program = f"""
import sqlite3, sys
from pathlib import Path
from events.database import open_read_only
from events.reading import EventReader
reader = EventReader(Path({str(path)!r}))
print("ready", flush=True)
for line in sys.stdin:
    print(len(reader.page().events), flush=True)
try:
    open_read_only(Path({str(path)!r})).execute("DELETE FROM events")
except sqlite3.OperationalError as error:
    print(error)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        for number in range(1, 4):
            keep(store, event(number))
            with store.transaction():
                keep(store, event(90 + number, camera=event_id("x", NIGHT, number)))
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == f"{2 * number - 1}\n"
        rest, _ = process.communicate()
    assert rest == "attempt to write a readonly database\n"
