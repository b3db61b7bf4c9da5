"""Events of a running daemon: one for each visit, through kills of all its processes and of itself, and at the end."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from events.database import UnavailableError
from events.outbox import OutboxReader
from events.reading import EventReader
from events.words import Ending, Event, Kind
from simulator.camera import CameraSpec
from simulator.faults import NotFound
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.events.broker import MOSQUITTO, Broker, Subscriber
from tests.system.colours import LABELS, Model
from tests.system.stage import Daemon, running, wait_until

pytestmark = pytest.mark.slow

NAMES = {f"cam-{i}": LABELS[i % len(LABELS)] for i in range(4)}


def kept(path: Path) -> list[Event]:
    """All events in the database, the oldest first; none while it is being made."""
    with suppress(UnavailableError), EventReader(path) as reader:
        return list(reader.page(limit=1000, upwards=True).events)
    return []


def test_each_object_is_one_event_whatever_dies(
    tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]
) -> None:
    specs = [CameraSpec(name, colour_footage[colour]) for name, colour in NAMES.items()]
    path = tmp_path / "state" / "events" / "events.sqlite"
    with ServerThread(specs) as server, subscribed(tmp_path) as (subscriber, mqtt):
        # Nothing moves in their pictures.
        cameras = {name: {"url": server.url(name), "frozen_s": 600} for name in NAMES}
        settings = {"events": {"mqtt": mqtt}}
        with running(tmp_path, colour_model, cameras, settings=settings) as daemon:

            def are(**expected: set[Ending | None]) -> bool:
                """Whether each camera's events ended so; None: they are open."""
                found: dict[str, set[Ending | None]] = {}
                for event in kept(path):
                    assert event.label == NAMES[event.camera]
                    found.setdefault(event.camera, set()).add(event.ending)
                return found == {f"cam-{i}": expected.get(f"cam_{i}", expected["others"]) for i in range(4)}

            def said() -> str:
                return f"{[(event.camera, event.ending) for event in kept(path)]}\n{daemon.log[-3000:]}"

            wait_until(lambda: are(others={None}), said)
            server.set_fault("cam-1", NotFound())
            wait_until(lambda: are(cam_1={Ending.CAMERA_DOWN}, others={None}), said)
            server.set_fault("cam-1", None)
            wait_until(lambda: are(cam_1={Ending.CAMERA_DOWN, None}, others={None}), said)
            # What a process has counted since its last report dies with it.
            wait_until(lambda: daemon.total("mosaicd_events_total", kind="new") == len(kept(path)), said)

            os.kill(daemon.children()["e1"], signal.SIGKILL)
            again = {Ending.RESTART, None}
            wait_until(lambda: are(cam_1={Ending.CAMERA_DOWN, *again}, others=again), said)
            wait_until(lambda: daemon.total("mosaicd_events_total", kind="new") == len(kept(path)), said)
            assert daemon.total("mosaicd_event_process_restarts_total") == 1
            count = len(kept(path))
            time.sleep(2.0)
            assert len(kept(path)) == count, "what stands there is told of once"

            there = on_view(path)
            for victim in ("w1", "c1", "w2"):
                kill_and_wait(daemon, victim, path, there)
            before = kept(path)
            daemon.process.kill()
            daemon.process.wait(10)
            check_still_kept(path, before)
            left_open = set(still_open(path))
            assert left_open

        with running(tmp_path, colour_model, cameras, settings=settings) as daemon:
            wait_until(lambda: on_view(path) == there and left_open.isdisjoint(still_open(path)), said)
            assert {event.ending for event in kept(path) if event.id in left_open} == {Ending.RESTART}
            check_still_kept(path, before)
            assert daemon.stop() == 0
        found = kept(path)
        assert all(event.ending is not None for event in found)
        assert sum(event.ending is Ending.STOPPED for event in found) == there.total()
        lines = [json.loads(line) for line in (path.parent / "events.jsonl").read_text().splitlines()]
        check_told(found, [(line["id"], line["revision"], line["kind"]) for line in lines])
        if subscriber is not None:
            waiting = waiting_for(path, "mqtt")  # what could not be told within the time that a stop may take
            wait_until(
                lambda: (
                    len({id_ for id_, _, kind in published(subscriber) + waiting if kind == Kind.END}) == len(found)
                ),
                "each end is told",
            )
            check_told(found, published(subscriber) + waiting)


@contextmanager
def subscribed(folder: Path) -> Iterator[tuple[Subscriber | None, dict[str, Any] | None]]:
    """Who hears what an MQTT broker is told, and the settings of that broker; nobody where there is no Mosquitto."""
    if MOSQUITTO is None:
        yield None, None
        return
    broker = Broker(folder / "broker")
    broker.start()
    try:
        with Subscriber(broker.port, "mosaicd/events") as subscriber:
            yield subscriber, {"host": "127.0.0.1", "port": broker.port}
    finally:
        broker.end()


def kill_and_wait(daemon: Daemon, victim: str, path: Path, there: Counter[str]) -> None:
    """Kill a child; wait until another is in its place, and there is an event of each object again."""

    def said() -> str:
        return f"{victim}: {[(event.camera, event.ending) for event in kept(path)]}\n{daemon.log[-3000:]}"

    before, pid = kept(path), daemon.children()[victim]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: daemon.children().get(victim, pid) != pid, said)
    daemon.wait_ready()
    wait_until(lambda: on_view(path) == there, said)
    check_still_kept(path, before)


def still_open(path: Path) -> dict[str, str]:
    """Cameras of the events that have not ended, by id."""
    return {event.id: event.camera for event in kept(path) if event.ended_at is None}


def on_view(path: Path) -> Counter[str]:
    """How many events of each camera have not ended."""
    return Counter(still_open(path).values())


def check_still_kept(path: Path, before: list[Event]) -> None:
    """What was in the database is there, as it was or later."""
    now = {event.id: event.revision for event in kept(path)}
    assert all(now[event.id] >= event.revision for event in before)


def published(subscriber: Subscriber) -> list[tuple[str, int, str]]:
    """Id, revision and kind of all changes that an MQTT broker was told."""
    found = [json.loads(payload) for _, payload in list(subscriber.messages)]
    return [(each["after"]["id"], each["after"]["mosaicd"]["revision"], each["type"]) for each in found]


def waiting_for(path: Path, sink: str) -> list[tuple[str, int, str]]:
    """Id, revision and kind of all changes that a sink is still to be told of."""
    with closing(OutboxReader(path, sink)) as outbox:
        return [(letter.event.id, letter.event.revision, letter.event.kind) for letter in outbox.take(0, 1 << 20)]


def check_told(found: list[Event], changes: list[tuple[str, int, str]]) -> None:
    """Each event was told as new and as ended, in order; only a receipt that died with somebody lets one come twice."""
    once = list(dict.fromkeys(changes))
    assert len(changes) - len(once) < len(found)
    for kind in (Kind.NEW, Kind.END):
        assert sorted(id_ for id_, _, each in once if each == kind) == [event.id for event in found]
    for event in found:
        revisions = [revision for id_, revision, _ in once if id_ == event.id]
        assert revisions == sorted(set(revisions))
