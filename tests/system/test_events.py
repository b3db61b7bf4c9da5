"""Events of a running daemon: one for each visit, through a kill of the process that follows them, and who is told."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from events.database import UnavailableError
from events.reading import EventReader
from events.words import Ending, Event
from simulator.camera import CameraSpec
from simulator.faults import NotFound
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.events.broker import MOSQUITTO, Broker, Subscriber, free_port
from tests.events.hookserver import HookServer
from tests.system.colours import LABELS, Model
from tests.system.stage import running, small_settings, wait_until

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
    with ServerThread(specs) as server:
        cameras = {name: {"url": server.url(name)} for name in NAMES}
        with running(tmp_path, colour_model, cameras, settings={"events": {"enabled": True}}) as daemon:
            path = tmp_path / "state" / "events" / "events.sqlite"

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
            assert daemon.stop() == 0
            over = {Ending.RESTART, Ending.STOPPED}
            assert are(cam_1={Ending.CAMERA_DOWN, *over}, others=over), said()
    lines = [json.loads(line) for line in (path.parent / "events.jsonl").read_text().splitlines()]
    for kind in ("new", "end"):
        told = [line["id"] for line in lines if line["kind"] == kind]
        assert sorted(told) == sorted(event.id for event in kept(path)), "each once, none left out"


@pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto: make clients")
def test_broker_and_web_servers_are_told_and_one_that_is_not_there_hinders_nobody(
    tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]
) -> None:
    with (
        ServerThread([CameraSpec("cam-0", colour_footage[NAMES["cam-0"]])]) as server,
        HookServer() as hooks,
        broker_in(tmp_path / "broker") as broker,
        Subscriber(broker.port, "#") as subscriber,
    ):

        def posted(kind: str) -> list[str]:
            found = [json.loads(request.body) for request in hooks.requests]
            return sorted(each["id"] for each in found if each["kind"] == kind)

        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "SIGNS").write_text("s3cr3t\n")
        (tmp_path / "secrets" / "GOOD").write_text(f"http://127.0.0.1:{hooks.port}/hook\n")
        told = {
            "enabled": True,
            "mqtt": {"host": "127.0.0.1", "port": broker.port, "topic_prefix": "site"},
            "webhooks": {
                "good": {"url": "${GOOD}", "secret": "${SIGNS}"},
                "absent": {"url": f"http://127.0.0.1:{free_port()}/"},
            },
        }
        settings = {
            "model": small_settings(colour_model)["model"],
            "devices": {"cpu": {"workers": 1, "threads": 1}},
            "events": told,
            "secrets_dir": str(tmp_path / "secrets"),
        }
        camera = {"url": server.url("cam-0"), "labels": [NAMES["cam-0"]]}
        with running(tmp_path, colour_model, {"cam-0": camera}, settings=settings) as daemon:
            subscriber.wait_for("site/available", b"online")
            counts = f"site/cam-0/{NAMES['cam-0']}"
            wait_until(lambda: subscriber.latest(counts) not in (None, b"0"), lambda: daemon.log[-3000:])
            wait_until(lambda: "sink=webhook:absent" in daemon.log, lambda: daemon.log[-3000:])
            server.set_fault("cam-0", NotFound())
            subscriber.wait_for(counts, b"0")
            path = tmp_path / "state" / "events" / "events.sqlite"
            wait_until(lambda: posted("end") == sorted(event.id for event in kept(path)), lambda: daemon.log[-3000:])
            assert daemon.stop() == 0
            subscriber.wait_for("site/available", b"offline")
            assert 'told="jsonl mqtt webhook:good webhook:absent"' in daemon.log
    ids = sorted(event.id for event in kept(path))
    published = [json.loads(payload) for topic, payload in subscriber.messages if topic == "site/events"]
    for kind in ("new", "end"):
        assert sorted(each["after"]["id"] for each in published if each["type"] == kind) == ids
        assert posted(kind) == ids
    assert all(request.headers["mosaicd-signature"] for request in hooks.requests)


@contextmanager
def broker_in(folder: Path) -> Iterator[Broker]:
    """A broker that runs."""
    broker = Broker(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.end()
