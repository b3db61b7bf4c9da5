"""The thread that writes: while the disk fails, when the file is spoilt, and when it is killed at any moment."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from events.outbox import OutboxReader
from events.reading import EventReader
from events.sinks.jsonl import EventLines
from events.store import MediaFile, Store, ended
from events.words import Batch, Count, Ending, Kind
from events.writer import Delivered, EventWriter, WriterPolicy
from tests.events.disks import small_disk
from tests.events.recipients import Site, wait_until
from tests.events.sample import NIGHT, event

DEADLINE_S = 60


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.sqlite"


@contextmanager
def writing(path, sinks=("hook",), **changes):
    told = []
    writer = EventWriter(path, sinks, told.append, clock=lambda: NIGHT, **changes)
    writer.start()
    try:
        yield writer, told
    finally:
        writer.stop(DEADLINE_S)
        assert not writer.is_alive()


def kept(path):
    with EventReader(path) as reader:
        return sorted(found.id for found in reader.page(limit=1000).events)


def waiting(path, sink="hook", limit=1000):
    with closing(OutboxReader(path, sink)) as outbox:
        return outbox.take(0, limit)


def batch(*events):
    return Batch(events=events)


def test_what_is_flushed_is_on_the_disk_and_the_sinks_are_woken(path):
    with writing(path) as (writer, told):
        assert writer.flush(DEADLINE_S)
        writer.news("hook").clear()
        writer.offer(batch(event(1), event(2)))
        writer.offer(MediaFile("yard/1.jpg", event(1).id, "snapshot", "yard", NIGHT, 1))
        assert writer.flush(DEADLINE_S)
        assert writer.news("hook").wait(DEADLINE_S)
        assert len(kept(path)) == 2
        writer.offer(Delivered("hook", tuple(letter.seq for letter in waiting(path))))
        assert writer.flush(DEADLINE_S)
        assert waiting(path) == ()
        assert writer.statistics().kept == {Kind.NEW: 2, Kind.UPDATE: 0, Kind.END: 0}
    assert told == []


def test_stopping_keeps_what_waits(path):
    writer = EventWriter(path, (), print, clock=lambda: NIGHT)
    writer.start()
    for number in range(500):
        writer.offer(batch(event(number)))
    assert writer.stop(DEADLINE_S)
    assert len(kept(path)) == 500


def test_what_an_earlier_life_left_open_is_closed_before_anything_else_and_once(path):
    with closing(Store(path, NIGHT, print)) as store:
        store.keep(batch(event(1)), NIGHT)
    with writing(path) as (writer, _):
        writer.offer(batch(event(2)))
        assert writer.flush(DEADLINE_S)
        assert [(one.event.id, one.event.kind) for one in waiting(path)] == [
            (event(1).id, Kind.END),
            (event(2).id, Kind.NEW),
        ]
        path.rename(path.with_name("old"))
        writer.offer(batch(event(3)))
        assert writer.flush(DEADLINE_S)
        assert [one.event.kind for one in waiting(path)] == [Kind.NEW]


def test_while_there_is_no_folder_events_are_held_and_then_kept(tmp_path):
    (tmp_path / "state").touch()
    path = tmp_path / "state" / "events.sqlite"
    told = []
    writer = EventWriter(path, ["hook"], told.append, clock=lambda: NIGHT)
    for number in range(3):
        writer.offer(batch(event(number)))
        assert not writer.step()
    assert (writer.statistics().held, writer.statistics().is_well) == (3, False)
    (tmp_path / "state").unlink()
    assert writer.step()
    assert writer.statistics().held == 0
    assert len(kept(path)) == len(waiting(path)) == 3
    assert [notice.message for notice in told] == ["events are not kept", "events are kept again"]


def test_what_is_held_is_bounded_and_what_is_lost_is_counted(tmp_path):
    (tmp_path / "state").touch()
    path = tmp_path / "state" / "events.sqlite"
    told = []
    writer = EventWriter(path, ["hook"], told.append, clock=lambda: NIGHT, policy=WriterPolicy(held=4))
    for number in range(3):
        writer.offer(batch(event(number)))
        writer.offer(batch(event(number, kind=Kind.UPDATE, revision=1)))
        writer.step()
    writer.offer(batch(ended(event(0, revision=1), Ending.GONE)))
    writer.offer(Batch(counts=(Count("yard", "fence", "in", "person", NIGHT),)))
    assert writer.statistics().lost == {Kind.NEW: 1, Kind.UPDATE: 3, Kind.END: 0}
    (tmp_path / "state").unlink()
    writer.step()
    assert [(one.event.id[-1], one.event.kind) for one in waiting(path)] == [
        ("1", Kind.NEW),
        ("2", Kind.NEW),
        ("0", Kind.END),
    ]
    assert told[-1].fields == {"lost": 4}


def test_what_is_on_the_disk_is_ended_however_much_was_dropped_meanwhile(tmp_path):
    path = tmp_path / "state" / "events.sqlite"
    writer = EventWriter(path, ["hook"], print, clock=lambda: NIGHT, policy=WriterPolicy(held=4))
    writer.offer(batch(event(0), event(1)))
    assert writer.step()
    (tmp_path / "state").rename(tmp_path / "away")
    (tmp_path / "state").touch()
    writer.offer(batch(ended(event(0, revision=1), Ending.GONE)))
    for number in range(10, 40):
        writer.offer(batch(event(number)))
        assert number % 3 or not writer.step()
    writer.offer(batch(ended(event(1, revision=1), Ending.GONE)))
    assert writer.statistics().lost == {Kind.NEW: 27, Kind.UPDATE: 0, Kind.END: 0}
    (tmp_path / "state").unlink()
    (tmp_path / "away").rename(tmp_path / "state")
    assert writer.step()
    assert writer.flush(0.0)
    with EventReader(path) as reader:
        assert [one.ended_at is None for one in all_events(reader)] == [False, False, True, True, True]
    assert [one.event.kind for one in waiting(path)] == [Kind.NEW] * 2 + [Kind.END] + [Kind.NEW] * 3 + [Kind.END]


def test_a_disk_that_is_full_for_a_time_loses_nothing(tmp_path):
    with small_disk(tmp_path / "disk", 1024) as disk:
        path = disk / "events.sqlite"
        told = []
        writer = EventWriter(path, ["hook"], told.append, clock=lambda: NIGHT)
        writer.offer(batch(event(0)))
        assert writer.step()
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(2 << 20))
        count = 0
        while writer.statistics().is_well:
            count += 1
            writer.offer(batch(*(event(count * 10 + each) for each in range(10))))
            writer.step()
        filler.unlink()
        assert writer.step()
        assert len(kept(path)) == len(waiting(path)) == 1 + 10 * count
        assert [notice.message for notice in told] == ["events are not kept", "events are kept again"]


def test_a_file_that_is_spoilt_while_it_is_used_is_set_aside_and_nothing_on_its_way_is_lost(path):
    told = []
    writer = EventWriter(path, ["hook"], told.append, clock=lambda: NIGHT)
    writer.offer(batch(*(event(number) for number in range(500))))
    assert writer.step()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    for number in range(1000, 1003):
        writer.offer(batch(event(number)))
        writer.step()
    assert writer.step()
    assert kept(path) == [event(number).id for number in range(1000, 1003)]
    assert "damaged event database set aside" in [notice.message for notice in told]
    assert len(list(path.parent.glob("events.sqlite.corrupt-*"))) == 1


def test_a_writer_that_fails_says_so_and_ends(path):
    told = []

    class Broken:
        def step(self, store, now):
            raise ZeroDivisionError

    writer = EventWriter(path, (), told.append, cares=[Broken()], clock=lambda: NIGHT)
    writer.start()
    wait_until(lambda: not writer.is_alive())
    writer.offer(batch(event(1)))
    assert not writer.flush(DEADLINE_S)
    assert not writer.stop(DEADLINE_S)
    assert told[-1].message == "event writer failed"


def test_many_threads_offer_and_none_is_lost(path):
    with writing(path) as (writer, _):
        threads = [
            threading.Thread(
                target=lambda first: [writer.offer(batch(event(first + each))) for each in range(100)], args=(n * 100,)
            )
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert writer.flush(DEADLINE_S)
        assert len(kept(path)) == 400


# --- killed ----------------------------------------------------------------------------------------------------------

LIFE = """
import sys
from pathlib import Path
from events import writer
from events.sinks.jsonl import EventLines
from events.store import ended
from events.words import Batch, Ending, Kind
from tests.events.recipients import Site, wait_until
from tests.events.sample import NIGHT, event

writer.GATHER_S = 0.0  # always in the middle of something
path = Path(sys.argv[1])
site = Site(path, EventLines(path.parent, clock=lambda: NIGHT), more=["hook"]).__enter__()
writer = site.writer
for number in range(int(sys.argv[2]), 1 << 29):
    new = event(number, label=str(number))
    changes = (new, event(number, label=str(number), kind=Kind.UPDATE, revision=1))
    writer.offer(Batch(events=changes[:1]))
    writer.offer(Batch(events=(changes[1], *((ended(changes[1], Ending.GONE),) if number % 2 else ()))))
    if number % 7 == 0:
        assert writer.flush(60)
        print(number, flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_nothing_acknowledged_is_lost_none_is_double_and_none_stays_open(path):
    chance = random.Random(7)
    first, acknowledged = 0, 0
    for _ in range(6):
        life = subprocess.Popen(
            [sys.executable, "-c", LIFE, str(path), str(first)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        with life:
            for _ in range(chance.randint(1, 8)):
                acknowledged = int(life.stdout.readline())
            # Then somewhere between this and the next few acknowledgements.
            threading.Event().wait(chance.random() * 0.1)
            life.send_signal(signal.SIGKILL)
            rest = life.stdout.read().split()
            acknowledged = int(rest[-1]) if rest else acknowledged
        with EventReader(path) as reader:
            found = [int(one.label) for one in all_events(reader)]
        assert found == list(range(len(found)))
        assert len(found) > acknowledged
        first = len(found)
    with Site(path, EventLines(path.parent, clock=lambda: NIGHT), more=["hook"]) as site:
        site.wait_told()
        assert site.told == []
    with EventReader(path) as reader:
        assert all(one.ended_at is not None for one in all_events(reader))
    letters = waiting(path, limit=1 << 30)
    changes = [(letter.event.id, letter.event.revision) for letter in letters]
    assert len(changes) == len(set(changes))
    ends = [letter.event.id for letter in letters if letter.event.kind is Kind.END]
    assert sorted(ends) == sorted({event(number).id for number in range(first)})
    # What was told between a delivery and its receipt is told again, and can be told apart; stale updates are left out.
    lines = [json.loads(text) for text in (path.parent / "events.jsonl").read_text().splitlines()]
    told = list(dict.fromkeys((each["id"], each["revision"]) for each in lines))
    stale = set(changes) - set(told)
    assert told == [change for change in changes if change not in stale]
    assert {revision for _, revision in stale} <= {1}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def all_events(reader):
    cursor = None
    while True:
        page = reader.page(limit=1000, cursor=cursor, upwards=True)
        yield from page.events
        if (cursor := page.cursor) is None:
            return
