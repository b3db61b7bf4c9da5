"""Files of every kind in the database's place: what is damaged or newer is set aside, and life goes on."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from events.database import KEPT_DAMAGED, UnavailableError, open_database, open_read_only
from events.reading import EventReader
from events.schema import MIGRATIONS
from events.store import Store
from events.words import Batch, Kind
from tests.events.disks import set_read_only, small_disk
from tests.events.sample import NIGHT, event

SCHEMAS = sorted((Path(__file__).parent / "data").glob("schema-*.sql"))


@pytest.fixture
def told():
    return []


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "events.sqlite"


def fill(path, told, count=400):
    with closing(Store(path, NIGHT, told.append)) as store:
        store.keep(Batch(events=tuple(event(number) for number in range(count))), NIGHT)


def kept(path):
    with EventReader(path) as reader:
        return len(reader.page(limit=1000).events)


def set_aside(path, why="corrupt"):
    return sorted(found.name for found in path.parent.glob(f"{path.name}.{why}-*"))


def spoil(path, offset, content):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


# --- damage ----------------------------------------------------------------------------------------------------------

DAMAGE = {
    "no header": lambda path: spoil(path, 0, b"\0" * 100),
    "no database": lambda path: path.write_bytes(b"hello, world\n" * 1000),
    "a page of noise": lambda path: spoil(path, 4096 * 8, b"\xa5" * 4096),
    "pages of noise": lambda path: spoil(path, 4096, b"\xa5" * 4096 * 40),
    "the first table's page": lambda path: spoil(path, 100, b"\xff" * 3996),
    "cut short": lambda path: os.truncate(path, 4096 * 5 + 100),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_set_aside_with_a_message_and_life_goes_on(path, told, damage):
    fill(path, told)
    damage(path)
    spoiled = path.read_bytes()
    fill(path, told, count=3)
    assert kept(path) == 3
    assert set_aside(path) == ["events.sqlite.corrupt-20261130T021305Z"]
    assert (path.parent / set_aside(path)[0]).read_bytes() == spoiled
    (notice,) = told
    assert notice.message == "damaged event database set aside"
    assert "recover" in notice.fields["remedy"]


def test_a_log_of_noise_costs_what_was_in_it_and_no_more(path, told):
    fill(path, told)
    Path(f"{path}-wal").write_bytes(b"\xa5" * 50_000)
    fill(path, told, count=400)
    assert kept(path) == 400
    assert (told, set_aside(path)) == ([], [])


def test_the_log_goes_with_the_file_that_it_belongs_to(path, told):
    fill(path, told)
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT * FROM events").fetchall()  # keeps the log from being taken in by whoever closes the file
        fill(path, told, count=401)
        log = Path(f"{path}-wal").read_bytes()
        spoil(path, 4096 * 8, b"\xa5" * 4096)
        fill(path, told, count=2)
    assert kept(path) == 2
    assert set_aside(path) == ["events.sqlite.corrupt-20261130T021305Z", "events.sqlite.corrupt-20261130T021305Z-wal"]
    assert (path.parent / set_aside(path)[1]).read_bytes() == log


def test_an_empty_file_is_a_new_one(path, told):
    path.parent.mkdir()
    path.touch()
    fill(path, told, count=1)
    assert (kept(path), told) == (1, [])


def test_a_file_and_its_log_are_not_for_everybody(path, told):
    with closing(Store(path, NIGHT, told.append)) as store:
        store.keep(Batch(events=(event(1),)), NIGHT)
        assert [file.stat().st_mode & 0o007 for file in path.parent.iterdir()] == [0, 0, 0]


def test_the_database_of_another_program_is_left_alone(path, told):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.executescript("CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('http://example.org')")
    fill(path, told, count=1)
    with closing(sqlite3.connect(path.parent / set_aside(path)[0])) as other:
        assert other.execute("SELECT count(*) FROM bookmarks").fetchone() == (1,)


def test_a_file_that_lacks_a_table_is_damaged(path, told):
    fill(path, told)
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE counts")
    fill(path, told, count=1)
    assert told[0].fields["cause"] == "tables are missing or altered: counts"


def test_a_disk_that_spoils_file_after_file_is_not_filled_with_them(path, told):
    for _ in range(KEPT_DAMAGED + 3):
        fill(path, told, count=1)
        spoil(path, 0, b"\0" * 100)
    assert len(set_aside(path)) == KEPT_DAMAGED
    assert len(told) == KEPT_DAMAGED + 2


# --- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_a_file_of_every_version_is_brought_up_to_date(path, told, schema):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as old:
        old.executescript(schema.read_text())
    with closing(Store(path, NIGHT, told.append, ["jsonl"])) as store:
        assert store.close_open(NIGHT) == 1
        with store.transaction() as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
            assert connection.execute("SELECT label, crossings FROM counts").fetchall() == [("person", 3)]
            assert connection.execute("SELECT sightings FROM tracks").fetchall() == [(15,)]
    with EventReader(path) as reader:
        second, first = reader.page().events
        assert (first.id, first.kind, first.zones[0].zone) == ("20261130T021305.000Z-yard-000001", Kind.END, "gate")
        assert second.kind is Kind.END
        assert [file.size_bytes for file in reader.media(first.id)] == [4711]
    assert (told, set_aside(path)) == ([], [])


def test_there_is_a_file_of_every_version():
    assert [path.stem for path in SCHEMAS] == [f"schema-{number + 1}" for number in range(len(MIGRATIONS))]


def test_a_step_that_fails_is_not_taken_by_half(path, told):
    fill(path, told, count=2)
    broken = (*MIGRATIONS, "CREATE TABLE more (x); INSERT INTO nowhere VALUES (1)")
    with pytest.raises(UnavailableError, match="nowhere"):
        open_database(path, NIGHT, told.append, broken)
    assert kept(path) == 2
    whole = (*MIGRATIONS, "CREATE TABLE more (x)")
    with closing(open_database(path, NIGHT, told.append, whole)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


def test_a_file_that_a_newer_version_wrote_is_set_aside_whole(path, told):
    newer = (*MIGRATIONS, "CREATE TABLE more (x); INSERT INTO more VALUES (1)")
    open_database(path, NIGHT, told.append, newer).close()
    for _ in range(2):
        fill(path, told, count=1)
    assert kept(path) == 1
    version = len(MIGRATIONS) + 1
    assert set_aside(path, f"schema-{version}") == [f"events.sqlite.schema-{version}-20261130T021305Z"]
    (notice,) = told
    assert notice.message == "newer event database set aside"
    # As the remedy says.
    (path.parent / set_aside(path, f"schema-{version}")[0]).rename(path)
    with closing(open_database(path, NIGHT, told.append, newer)) as connection:
        assert connection.execute("SELECT x FROM more").fetchall() == [(1,)]


# --- disks -----------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_a_file_is_no_place(tmp_path, told):
    (tmp_path / "state").touch()
    with pytest.raises(UnavailableError, match="exists"):
        Store(tmp_path / "state" / "events.sqlite", NIGHT, told.append)


def test_a_file_that_is_a_folder_is_no_place(path, told):
    path.mkdir(parents=True)
    with pytest.raises(UnavailableError, match="unable to open"):
        Store(path, NIGHT, told.append)


def test_a_folder_that_is_read_only_is_no_place_until_it_is_not(tmp_path, told):
    with small_disk(tmp_path / "disk", 4096) as disk:
        path = disk / "events.sqlite"
        fill(path, told, count=3)
        set_read_only(disk, 4096, is_read_only=True)
        with pytest.raises(UnavailableError):
            Store(path, NIGHT, told.append)
        assert kept(path) == 3
        set_read_only(disk, 4096, is_read_only=False)
        fill(path, told, count=4)
        assert (kept(path), set_aside(path), told) == (4, [], [])


def test_a_full_disk_loses_nothing_that_was_kept(tmp_path, told):
    with small_disk(tmp_path / "disk", 512) as disk, closing(Store(disk / "e.sqlite", NIGHT, told.append)) as store:
        kept_ids = []

        def keep_on():
            while True:
                store.keep(Batch(events=(event(len(kept_ids)),)), NIGHT)
                kept_ids.append(len(kept_ids))

        with pytest.raises(UnavailableError, match="full"):
            keep_on()
        count = len(kept_ids)
        assert count > 10
        assert kept(disk / "e.sqlite") == count
        with store.transaction() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert told == []


def test_reading_what_is_not_there_says_so(path):
    with EventReader(path) as reader, pytest.raises(UnavailableError, match="unable to open"):
        reader.page()


def test_reading_noise_says_so(path, told):
    fill(path, told)
    spoil(path, 0, b"\0" * 100)
    with pytest.raises(UnavailableError, match="not a database"):
        open_read_only(path)


def test_a_reader_finds_the_new_file(path, told):
    fill(path, told, count=2)
    with EventReader(path) as reader:
        assert len(reader.page().events) == 2
        path.rename(path.with_name("old"))
        fill(path, told, count=1)
        assert len(reader.page().events) == 1
