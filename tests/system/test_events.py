"""Events of a running daemon: one for each visit, through a kill of the process that follows them, and at the end."""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from events.database import UnavailableError
from events.reading import EventReader
from events.words import Ending, Event
from simulator.camera import CameraSpec
from simulator.faults import NotFound
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.system.colours import LABELS, Model
from tests.system.stage import running, wait_until

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
            told = {"sink": "jsonl", "kind": "new"}
            wait_until(lambda: daemon.total("mosaicd_event_sink_told_total", **told) == len(kept(path)), said)
            assert daemon.by("sink", "mosaicd_event_sink_up") == {"jsonl": 1}
            assert daemon.total("mosaicd_event_database_bytes") > 0
            assert daemon.total("mosaicd_event_disk_free_bytes") > 0
            before = len(kept(path))

            os.kill(daemon.children()["e1"], signal.SIGKILL)
            again = {Ending.RESTART, None}
            wait_until(lambda: are(cam_1={Ending.CAMERA_DOWN, *again}, others=again), said)
            wait_until(lambda: daemon.total("mosaicd_events_total", kind="new") == len(kept(path)), said)
            wait_until(lambda: daemon.total("mosaicd_event_sink_told_total", **told) > before, said)
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
