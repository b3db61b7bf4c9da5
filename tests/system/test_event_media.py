"""Pictures and clips of a running daemon's events, also if the process that writes a clip is killed."""

import os
import signal
from pathlib import Path

import av
import pytest

from events.mediapaths import MediaKind, media_path
from events.words import Event
from simulator.camera import CameraSpec
from simulator.faults import NotFound
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.system.colours import LABELS, Model
from tests.system.stage import running, wait_until
from tests.system.test_events import kept

pytestmark = pytest.mark.slow

RECORD = {"pre_s": 1, "post_s": 5, "max_s": 8}
NAMES = {f"cam-{i}": LABELS[i] for i in range(2)}


def frames_of(path: Path) -> list[float]:
    """When each frame of a clip is shown, in seconds; all are decoded."""
    with av.open(str(path)) as clip:
        return [frame.time for frame in clip.decode(video=0) if frame.time is not None]


def test_each_event_has_its_picture_and_a_clip_that_plays_whatever_dies(
    tmp_path: Path, colour_model: Model, colour_footage: dict[str, Footage]
) -> None:
    specs = [CameraSpec(name, colour_footage[colour]) for name, colour in NAMES.items()]
    database = tmp_path / "state" / "events" / "events.sqlite"

    def path(event: Event, kind: MediaKind) -> Path:
        return database.parent / "media" / media_path(event.id, event.camera, kind)

    with ServerThread(specs) as server:
        cameras = {name: {"url": server.url(name)} for name in NAMES}
        cameras["cam-0"]["record"] = RECORD
        with running(tmp_path, colour_model, cameras) as daemon:

            def of(camera: str) -> list[Event]:
                return [event for event in kept(database) if event.camera == camera]

            def said() -> str:
                return f"{kept(database)}\n{daemon.log}"

            wait_until(lambda: all(of(name) and all(each.has_snapshot for each in of(name)) for name in NAMES), said)
            for event in kept(database):
                assert event.snapshot_box is not None
                with av.open(str(path(event, "snapshot"))) as picture:
                    assert (picture.streams[0].width, picture.streams[0].height) == event.frame_wh
            first = of("cam-0")[0]
            wait_until(lambda: of("cam-0")[0].has_clip, said)
            assert frames_of(path(first, "clip"))[0] == 0.0, "it plays while it is written"

            os.kill(daemon.children()["c1"], signal.SIGKILL)
            wait_until(lambda: "reason=died" in daemon.log, said)
            assert frames_of(path(first, "clip"))[0] == 0.0, "what was written before plays"
            assert of("cam-0")[0].ended_at is None, "the visit goes on"

            server.set_fault("cam-0", NotFound())
            wait_until(lambda: all(each.ended_at for each in of("cam-0")), said)
            server.set_fault("cam-0", None)
            wait_until(lambda: of("cam-0")[-1].ended_at is None and of("cam-0")[-1].has_clip, said)
            last = of("cam-0")[-1]
            wait_until(lambda: frames_of(path(last, "clip"))[-1] >= RECORD["max_s"] - RECORD["pre_s"] - 1.0, said)
            assert daemon.stop() == 0
    assert not path(of("cam-1")[0], "clip").exists(), "nobody wanted one"
    assert not list(tmp_path.rglob("*.part"))
    for event in of("cam-0"):
        assert event.has_snapshot and event.has_clip and event.ended_at is not None
        times = frames_of(path(event, "clip"))
        assert times[-1] <= RECORD["max_s"] + 1.0
