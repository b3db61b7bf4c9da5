"""Who is told of a running daemon's events: a broker, web servers, and nobody waits for one that is not there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulator.camera import CameraSpec
from simulator.faults import NotFound
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.events.broker import MOSQUITTO, Broker, Subscriber, free_port
from tests.events.hookserver import HookServer
from tests.system.colours import LABELS, Model
from tests.system.stage import running, small_settings, wait_until
from tests.system.test_events import kept

pytestmark = pytest.mark.slow


@pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto: make clients")
def test_broker_and_web_servers_are_told_and_one_that_is_not_there_hinders_nobody(
    tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]
) -> None:
    with (
        ServerThread([CameraSpec("cam-0", colour_footage[LABELS[0]])]) as server,
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
        camera = {"url": server.url("cam-0"), "labels": [LABELS[0]]}
        with running(tmp_path, colour_model, {"cam-0": camera}, settings=settings) as daemon:
            subscriber.wait_for("site/available", b"online")
            counts = f"site/cam-0/{LABELS[0]}"
            wait_until(lambda: subscriber.latest(counts) not in (None, b"0"), lambda: daemon.log[-3000:])
            wait_until(lambda: subscriber.latest(f"{counts}/snapshot"), lambda: daemon.log[-3000:])
            wait_until(lambda: "sink=webhook:absent" in daemon.log, lambda: daemon.log[-3000:])
            server.set_fault("cam-0", NotFound())
            subscriber.wait_for(counts, b"0")
            path = tmp_path / "state" / "events" / "events.sqlite"
            wait_until(lambda: posted("end") == sorted(event.id for event in kept(path)), lambda: daemon.log[-3000:])
            up = {"jsonl": 1, "mqtt": 1, "webhook:good": 1, "webhook:absent": 0}
            wait_until(lambda: daemon.by("sink", "mosaicd_event_sink_up") == up, lambda: daemon.log[-3000:])
            ends = {"sink": "webhook:good", "kind": "end"}
            wait_until(
                lambda: daemon.total("mosaicd_event_sink_told_total", **ends) == len(kept(path)),
                lambda: daemon.log[-3000:],
            )
            assert daemon.total("mosaicd_event_sink_failures_total", sink="webhook:absent") > 0
            words = json.loads(daemon.get("/api/v1/status")[1])
            assert "events do not reach webhook:absent" in words["words"]
            assert "; mqtt ok; webhook:good ok; webhook:absent: " in words["events"]["words"]
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
