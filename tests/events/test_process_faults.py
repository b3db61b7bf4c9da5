"""The process of events while it is killed, its disk full, the clock set: what was acknowledged stays, and all ends."""

import json
import random
import time
from collections import Counter
from contextlib import closing, suppress

import pytest

from events.mediapaths import MEDIA, media_path
from events.messages import DATABASE
from events.retention import Retention
from events.store import MediaFile, Store
from events.words import Ending, Event, Kind
from tests.events.child import EventsChild
from tests.events.disks import small_disk
from tests.events.sample import event
from tests.events.visits import Visits

CAMERAS = ("gate", "hall", "roof", "yard")
KILLS = 8
MIB = 1 << 20


@pytest.mark.slow
def test_killed_at_any_moment_each_visit_is_told_once_a_life_and_nothing_acknowledged_is_lost(tmp_path):
    chance = random.Random(7)
    start_s = time.monotonic()
    visits = Visits(CAMERAS, start_s, time.time() - start_s)
    before: dict[str, Event] = {}
    with EventsChild(tmp_path / "events", CAMERAS) as child:
        for _ in range(KILLS):
            child.spawn()
            until_s = time.monotonic() + chance.choice([0.0, 0.3, 1.0, 2.0]) * chance.random()
            while time.monotonic() < until_s:
                child.see(*visits.step())
                child.listen(0.004)
            acknowledged = {event.id: event for event in child.kept()}
            child.kill()
            before = checked(child, visits, before, acknowledged)

        child.spawn()
        child.wait_ready()
        feed(child, visits, 160)
        feed(child, visits, 40, is_quiet=True)
        death = child.stop()
    assert (death.returncode, death.stderr) == (0, ())
    before = checked(child, visits, before, before)
    assert all(event.ended_at is not None for event in before.values())
    assert {event.ending for event in before.values()} <= {Ending.GONE, Ending.RESTART}
    assert child.messages == []
    check_lines(child, before)


@pytest.mark.slow
def test_on_a_full_disk_media_make_room_and_then_events_are_held_and_none_is_lost(tmp_path):
    with small_disk(tmp_path / "disk", 8192) as disk:
        folder, filler = disk / "events", disk / "filler"
        pictures = old_pictures(folder, count=2, size=MIB)
        with EventsChild(folder, CAMERAS, keep=Retention(min_free_mib=0.5)) as child:
            child.spawn()
            child.wait_ready()
            visits = Visits(CAMERAS, time.monotonic(), time.time() - time.monotonic())
            feed(child, visits, 40)
            child.wait_until(child.kept)
            while any(picture.exists() for picture in pictures):
                fill(filler)
                feed(child, visits, 40)
            child.wait_until(lambda: child.report.is_kept and child.report.held == 0)
            assert "events and media removed" in child.messages
            while child.report.is_kept or child.report.held < 20:
                fill(filler)
                feed(child, visits, 40)
            assert child.messages[-1] == "events are not kept"
            acknowledged = {event.id: event for event in child.kept()}
            child.notices.clear()

            filler.unlink()
            feed(child, visits, 60, is_quiet=True)
            child.wait_until(lambda: child.report.is_kept and child.report.held == 0)
            child.wait_until(lambda: "events are kept again" in child.messages)
            assert child.stop().returncode == 0
            found = checked(child, visits, {}, acknowledged)
            assert {event.ending for event in found.values()} == {Ending.GONE}
            assert set(map(visits.visit_of, found.values())) == visits.begun
            check_lines(child, found)


def old_pictures(folder, count, size):
    """Pictures of yesterday's events, as an earlier life has left them."""
    files = []
    for number in range(count):
        name = media_path(event(number).id, "yard", "snapshot")
        file = folder / MEDIA / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size))
        with closing(Store(folder / DATABASE, time.time(), print)) as store:
            store.note_media(MediaFile(name, event(number).id, "snapshot", "yard", time.time() - number, size))
        files.append(file)
    return files


def fill(filler):
    """Take all that is free."""
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def feed(child, visits, steps, *, is_quiet=False):
    """Show it some steps, and wait until it has seen them."""
    for _ in range(steps):
        child.see(*visits.step(is_quiet=is_quiet))
    child.wait_seen()


def checked(child, visits, before, acknowledged):
    """What is in the database after a life that is over; ``before`` is what was there as that life began."""
    found = {event.id: event for event in child.kept()}
    for id_, known in (before | acknowledged).items():
        assert found[id_].revision >= known.revision
        assert known.ended_at is None or found[id_].revision == known.revision, "what has ended is not changed any more"
    told = Counter(visits.visit_of(found[id_]) for id_ in found.keys() - before.keys())
    assert set(told.values()) <= {1}, "one visit, one event"
    return found


def check_lines(child, found):
    """All changes are in the file of lines, in order; only a receipt that was lost makes one come twice."""
    lines = [json.loads(text) for text in (child.folder / "events.jsonl").read_text().splitlines()]
    changes = list(dict.fromkeys((line["id"], line["revision"], line["kind"]) for line in lines))
    assert len({change[:2] for change in changes}) == len(changes)
    by_event: dict[str, list[tuple[int, str]]] = {id_: [] for id_ in found}
    for id_, revision, kind in changes:
        by_event[id_].append((revision, kind))
    for id_, told in by_event.items():
        assert told == sorted(told), id_
        kinds = [kind for _, kind in told]
        assert (kinds[0], kinds[-1]) == (Kind.NEW, Kind.END), id_
        assert Counter(kinds)[Kind.NEW] == Counter(kinds)[Kind.END] == 1, id_
        assert told[-1][0] == found[id_].revision
