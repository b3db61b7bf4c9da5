"""The process of events while it is killed, or its disk is full: what was acknowledged stays, is told, and ends."""

import json
import random
import signal
import time
from collections import Counter
from contextlib import closing, suppress

import pytest

from events.mediapaths import MEDIA, media_path
from events.messages import DATABASE
from events.retention import Retention
from events.sinks.options import MqttOptions
from events.store import MediaFile, Store
from events.words import Ending, Event, Kind
from tests.events.broker import MOSQUITTO, Broker, Subscriber
from tests.events.child import EventsChild
from tests.events.disks import small_disk
from tests.events.sample import event
from tests.events.visits import Visits

CAMERAS = ("gate", "hall", "roof", "yard")
KILLS = 8
MIB = 1 << 20
UNPICTURED = "picture or clip of an event falls short"
"""There is no capture process that would take any."""

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto: make clients")


@needs_mosquitto
@pytest.mark.slow
def test_killed_at_any_moment_like_the_broker_each_visit_is_told_once_a_life_and_nothing_kept_is_lost(tmp_path):
    chance = random.Random(7)
    visits = visits_to_come()
    before: dict[str, Event] = {}
    broker = Broker(tmp_path / "broker")
    broker.start()
    mqtt = MqttOptions("127.0.0.1", broker.port, discovery_prefix="")
    with (
        Subscriber(broker.port, "mosaicd/events") as subscriber,
        EventsChild(tmp_path / "events", CAMERAS, mqtt=mqtt) as child,
    ):
        for _ in range(KILLS):
            child.spawn()
            if broker.is_running == chance.choice([True, False]):
                # In good order: what Mosquitto has acknowledged in its last moment it forgets when it is killed.
                broker.end(signal.SIGTERM) if broker.is_running else broker.start()
            until_s = time.monotonic() + chance.choice([0.0, 0.3, 1.0, 2.0]) * chance.random()
            while time.monotonic() < until_s:
                child.see(*visits.step())
                child.listen(0.01)
            acknowledged = {event.id: event for event in child.kept()}
            child.kill()
            before = checked(child, visits, before, acknowledged)

        if not broker.is_running:
            broker.start()
        child.spawn()
        child.wait_ready()
        feed(child, visits, 80)
        feed(child, visits, 40, is_quiet=True)
        child.wait_until(lambda: ended_in(subscriber) == {event.id for event in child.kept()})
        death = child.stop()
    broker.end()
    assert (death.returncode, death.stderr) == (0, ())
    before = checked(child, visits, before, before)
    assert all(event.ended_at is not None for event in before.values())
    assert {event.ending for event in before.values()} <= {Ending.GONE, Ending.RESTART}
    assert set(child.messages) <= {"sink cannot be told", "sink is told again", UNPICTURED}
    lines = [json.loads(text) for text in (child.folder / "events.jsonl").read_text().splitlines()]
    check_told([(line["id"], line["revision"], line["kind"]) for line in lines], before)
    check_told(published(subscriber), before)


@pytest.mark.slow
def test_on_a_full_disk_media_make_room_and_then_events_are_held_and_none_is_lost(tmp_path):
    with small_disk(tmp_path / "disk", 8192) as disk:
        folder, filler = disk / "events", disk / "filler"
        pictures = old_pictures(folder, count=2, size=MIB)
        with EventsChild(folder, CAMERAS, keep=Retention(min_free_mib=0.5)) as child:
            child.spawn()
            child.wait_ready()
            visits = visits_to_come()
            feed(child, visits, 40)
            child.wait_until(child.kept)
            while any(picture.exists() for picture in pictures):
                fill(filler)
                feed(child, visits, 40)
            child.wait_until(lambda: child.report.is_kept and child.report.held == 0)
            assert "events and media removed" in child.messages
            while child.report.is_kept or child.report.held < 10:
                fill(filler)
                feed(child, visits, 40)
            assert "events are not kept" in child.messages
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
            lines = [json.loads(text) for text in (folder / "events.jsonl").read_text().splitlines()]
            check_told([(line["id"], line["revision"], line["kind"]) for line in lines], found)


@pytest.mark.slow
def test_started_where_there_is_no_disk_or_a_full_one_events_are_held_until_there_is_room(tmp_path):
    (tmp_path / "disk").touch()  # whatever should be mounted there is not
    with EventsChild(tmp_path / "disk" / "events", CAMERAS) as child:
        child.spawn()
        child.wait_ready()
        visits = visits_to_come()
        feed(child, visits, 40)
        child.wait_until(lambda: child.report.held >= 4)
        assert "events are not kept" in child.messages
        (tmp_path / "disk").unlink()
        with small_disk(tmp_path / "disk", 2048) as disk:
            child.wait_until(child.kept)
            fill(disk / "filler")
            feed(child, visits, 40)
            child.kill()
            acknowledged = {event.id: event for event in child.kept()}
            visits.begun.clear()
            child.spawn()
            child.wait_ready()
            feed(child, visits, 40, is_quiet=True)
            feed(child, visits, 40)
            assert not child.report.is_kept
            (disk / "filler").unlink()
            feed(child, visits, 40, is_quiet=True)
            child.wait_until(lambda: child.report.is_kept and child.report.held == 0)
            assert child.stop().returncode == 0
            found = checked(child, visits, acknowledged, acknowledged)
            assert {event.ending for event in found.values()} <= {Ending.GONE, Ending.RESTART}
            new = found.keys() - acknowledged.keys()
            assert {visits.visit_of(found[id_]) for id_ in new} == visits.begun


def visits_to_come():
    """Shown faster than time passes, and so far ahead of it that a slow machine does not catch up."""
    now_s = time.monotonic()
    return Visits(CAMERAS, now_s + 3600.0, time.time() - now_s)


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


def published(subscriber):
    """Id, revision and kind of all changes that the broker was told."""
    found = [json.loads(payload) for _, payload in list(subscriber.messages)]
    return [(each["after"]["id"], each["after"]["mosaicd"]["revision"], each["type"]) for each in found]


def ended_in(subscriber):
    """Events of which it is known that they have ended."""
    return {id_ for id_, _, kind in published(subscriber) if kind == Kind.END}


def check_told(told, found):
    """Each event was told as new and as ended, in order; only where a receipt was lost did a change come twice."""
    by_event: dict[str, list[tuple[int, str]]] = {id_: [] for id_ in found}
    for id_, revision, kind in dict.fromkeys(told):
        by_event[id_].append((revision, kind))
    for id_, changes in by_event.items():
        revisions, kinds = zip(*changes, strict=True)
        assert list(revisions) == sorted(set(revisions)), id_
        assert (kinds[0], kinds[-1]) == (Kind.NEW, Kind.END), id_
        assert Counter(kinds)[Kind.NEW] == Counter(kinds)[Kind.END] == 1, id_
        assert revisions[-1] == found[id_].revision, id_
