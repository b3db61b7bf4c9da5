"""Real files and rows: removed in time, counted, told of; and room is made on a disk that is really full."""

import os
import sqlite3
from contextlib import closing

import pytest

from events.keeping import EVERY_S, SWEEP_EVERY_S, UNFINISHED_S, Keeping
from events.reading import EventReader
from events.retention import DAY_S, Cause, Retention
from events.store import MediaFile, Store, ended
from events.words import Batch, Count, Ending, TrackSummary, Visit
from events.writer import EventWriter
from tests.events.disks import small_disk
from tests.events.sample import NIGHT, event

MIB = 1 << 20


@pytest.fixture
def told():
    return []


@pytest.fixture
def store(tmp_path):
    with closing(Store(tmp_path / "events.sqlite", NIGHT, print)) as opened:
        yield opened


@pytest.fixture
def reader(store):
    with EventReader(store.path) as opened:
        yield opened


@pytest.fixture
def media(tmp_path):
    return tmp_path / "media"


def keep(store, number, *, camera="yard", days=0.0, is_over=True):
    """An event that ended so many days ago."""
    at = NIGHT - days * DAY_S
    found = event(number, camera=camera, at=at, updated_at=at, zones=(Visit("gate", at),))
    store.keep(Batch(events=(found, *((ended(found, Ending.GONE),) if is_over else ()))), NIGHT)
    return found.id


def picture(store, media, id_, *, camera="yard", days=0.0, size=1000, kind="snapshot"):
    name = f"{camera}/{id_}{'.jpg' if kind == 'snapshot' else '.mp4'}"
    (media / camera).mkdir(parents=True, exist_ok=True)
    (media / name).write_bytes(bytes(size))
    os.utime(media / name, (NIGHT - days * DAY_S,) * 2)
    store.note_media(MediaFile(name, id_, kind, camera, NIGHT - days * DAY_S, size))
    return media / name


def keeping(media, told, free=1 << 50, **policy):
    return Keeping(media, Retention(**policy), told.append, free=lambda _: free)


def ids(reader):
    return sorted(found.id for found in reader.page(limit=1000).events)


def test_old_media_go_and_their_event_stays_and_knows(store, reader, media, told):
    id_ = keep(store, 1, days=20)
    clip = picture(store, media, id_, days=20, kind="clip")
    still = picture(store, media, id_, days=1)
    step = keeping(media, told)
    step.step(store, NIGHT)
    assert (clip.exists(), still.exists()) == (False, True)
    assert (reader.event(id_).has_clip, reader.event(id_).has_snapshot) == (False, True)
    assert step.statistics().removed[Cause.AGE].files == 1
    assert step.statistics().removed[Cause.AGE].file_bytes == 1000
    assert step.statistics().media_bytes == {"yard": 1000}
    (notice,) = told
    assert (notice.message, notice.fields) == (
        "events and media removed",
        {"cause": "age", "files": 1, "mib": 0, "events": 0},
    )


def test_old_events_go_with_all_that_is_theirs_and_open_ones_stay(store, reader, media, told):
    old, young, open_ = keep(store, 1, days=31), keep(store, 2, days=29), keep(store, 3, days=99, is_over=False)
    file = picture(store, media, old, days=1)
    summary = TrackSummary(
        camera="yard",
        label="person",
        started_at=NIGHT - 31 * DAY_S,
        ended_at=NIGHT - 31 * DAY_S,
        sightings=5,
        best_score=0.5,
    )
    counts = tuple(Count("yard", "fence", "in", "person", NIGHT - days * DAY_S) for days in (1, 40, 2000))
    store.keep(Batch(tracks=(summary,), counts=counts), NIGHT)
    keeping(media, told).step(store, NIGHT)
    assert ids(reader) == sorted([young, open_])
    assert not file.exists()
    with store.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM tracks").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM counts").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM event_zones").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM media").fetchone() == (0,)


def test_a_busy_camera_loses_its_own_oldest(store, reader, media, told):
    quiet = [keep(store, number, camera="street", days=5) for number in range(2)]
    busy = [keep(store, number, days=number / 10) for number in range(5)]
    step = keeping(media, told, camera_max_events=3)
    step.step(store, NIGHT)
    assert ids(reader) == sorted(quiet + busy[:3])
    assert step.statistics().removed[Cause.CAMERA].events == 2


def test_a_database_that_is_too_large_becomes_smaller(store, reader, media, told):
    for number in range(0, 3000, 500):
        events = tuple(ended(event(each, at=NIGHT - 5000 + each), Ending.GONE) for each in range(number, number + 500))
        store.keep(Batch(events=events), NIGHT)
    before = size_of(store)
    kept = ids(reader)
    step = keeping(media, told, max_database_mib=1)
    for minute in range(4):
        step.step(store, NIGHT + minute * EVERY_S)
    assert step.statistics().database_bytes <= MIB < before
    assert size_of(store) < before / 2 + MIB
    left = ids(reader)
    assert left == kept[-len(left) :]
    assert len(left) > 500
    assert told[0].fields["cause"] == "size"


def size_of(store):
    """Of the file, once the log has been taken in."""
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return store.path.stat().st_size


def test_files_that_nobody_knows_are_kept_as_long_as_others(store, media, told):
    (media / "yard" / "20261129").mkdir(parents=True)
    names = {"old.mp4": 20 * DAY_S, "young.mp4": 2 * UNFINISHED_S, "unfinished.mp4": 10.0, "notes.txt": 20 * DAY_S}
    for name, age_s in names.items():
        path = media / "yard" / "20261129" / name
        path.write_bytes(b"x" * 10)
        os.utime(path, (NIGHT - age_s, NIGHT - age_s))
    step = keeping(media, told)
    step.step(store, NIGHT)
    assert sorted(path.name for path in media.rglob("*.*")) == ["notes.txt", "unfinished.mp4", "young.mp4"]
    assert step.statistics().media_bytes == {"yard": 10}
    step.step(store, NIGHT + SWEEP_EVERY_S)
    assert step.statistics().media_bytes == {"yard": 20}


def test_a_file_that_cannot_be_removed_is_told_of_and_its_row_stays(store, media, told):
    id_ = keep(store, 1)
    file = picture(store, media, id_, days=20)
    file.unlink()
    file.mkdir()
    step = keeping(media, told)
    step.step(store, NIGHT)
    assert [notice.message for notice in told] == ["cannot remove a file"]
    file.rmdir()
    step.step(store, NIGHT + EVERY_S)
    assert step.statistics().media_bytes == {}


def test_nothing_is_looked_at_more_often_than_it_has_to_be(store, media, told):
    step = keeping(media, told)
    step.step(store, NIGHT)
    file = picture(store, media, keep(store, 1), days=20)
    step.step(store, NIGHT + EVERY_S - 1)
    assert file.exists()
    step.step(store, NIGHT + EVERY_S)
    assert not file.exists()


def test_a_clock_that_is_set_far_ahead_is_not_believed_at_once(store, reader, media, told):
    now_s = [1000.0]
    step = Keeping(media, Retention(), told.append, free=lambda _: 1 << 50, monotonic=lambda: now_s[0])
    id_ = keep(store, 1)
    file = picture(store, media, id_)
    step.step(store, NIGHT)
    leap = 400 * DAY_S
    for minutes in (1, 30, 59):
        now_s[0] = 1000.0 + 60 * minutes
        step.step(store, NIGHT + leap + 60 * minutes)
    assert [notice.message for notice in told] == ["clock set far ahead, nothing is removed for its age for an hour"]
    now_s[0] += 60
    step.step(store, NIGHT + 3600)  # corrected
    assert file.exists()
    assert ids(reader) == [id_]
    for minutes in (61, 122):  # set ahead again, and meant so
        now_s[0] = 1000.0 + 60 * minutes
        step.step(store, NIGHT + leap + 60 * minutes)
    assert not file.exists()
    assert ids(reader) == []


def test_a_clock_that_was_set_far_ahead_between_two_lives_is_not_believed_either(store, reader, media, told):
    id_ = keep(store, 1)
    file = picture(store, media, id_)
    keeping(media, told).step(store, NIGHT)
    for _ in range(2):
        keeping(media, told).step(store, NIGHT + 400 * DAY_S)
    assert file.exists()
    assert ids(reader) == [id_]


def test_a_clock_that_is_set_far_ahead_is_not_believed_for_want_of_room_either(store, media, told):
    free = [10 * MIB]
    step = Keeping(media, Retention(min_free_mib=5), told.append, free=lambda _: free[0])
    step.step(store, NIGHT)
    files = [picture(store, media, keep(store, number), days=number, size=MIB) for number in range(3)]
    free[0] = 4 * MIB
    step.rescue(store.path, NIGHT + 400 * DAY_S)
    assert [file.exists() for file in files] == [True, True, False]


def test_before_the_disk_is_full_room_is_made_at_once(store, media, told):
    free = [10 * MIB]
    step = Keeping(media, Retention(min_free_mib=5), told.append, free=lambda _: free[0])
    step.step(store, NIGHT)
    files = [picture(store, media, keep(store, number), days=number, size=MIB) for number in range(3)]
    free[0] = 4 * MIB
    step.step(store, NIGHT + 1)
    assert [file.exists() for file in files] == [True, True, False]
    assert [notice.message for notice in told] == ["events and media removed", "disk nearly full"]
    step.step(store, NIGHT + 2)
    step.step(store, NIGHT + 3)
    assert [notice.message for notice in told].count("disk nearly full") == 1


def test_room_is_made_on_a_disk_where_nothing_can_be_written_any_more(tmp_path, told):
    with small_disk(tmp_path / "disk", 4096) as disk:
        path, media = disk / "events.sqlite", disk / "media"
        step = Keeping(media, Retention(min_free_mib=0.5), told.append)
        writer = EventWriter(path, (), told.append, cares=[step], clock=lambda: NIGHT)
        writer.offer(Batch(events=(event(0),)))
        assert writer.step()
        with closing(Store(path, NIGHT, print)) as store:
            files = [picture(store, media, f"{number}", days=number, size=MIB // 2) for number in range(4)]
        with pytest.raises(OSError, match="No space"):
            (disk / "filler").write_bytes(bytes(8 * MIB))
        count = 1
        while writer.step():
            writer.offer(Batch(events=tuple(event(count + each) for each in range(20))))
            count += 20
        assert [file.exists() for file in files] == [True, True, True, False]
        assert writer.step()
        assert writer.statistics().held == 0
        with closing(Store(path, NIGHT, print)) as store:
            step.step(store, NIGHT)
        left = [file.exists() for file in files]
        assert step.statistics().removed[Cause.DISK].files == left.count(False)
        with EventReader(path) as reader:
            assert len(ids(reader)) == count
            assert [bool(reader.media(f"{number}")) for number in range(4)] == left
