"""What happened before simulated cameras, with pictures and clips, as the process of events would have kept it.

Made of the world's truths in a few seconds, without a daemon: for tests of what is shown of events.
"""

import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av

from capture.clip import PATIENCE_S, Clip
from capture.mediamessages import Record
from capture.messages import Sighting
from capture.ring import Ring
from capture.snapshot import decode, jpeg, wanted
from capture.track import PacketRing, Track
from events.analyst import Analyst, CameraRules
from events.mediapaths import MEDIA, MediaKind, media_path
from events.store import MediaFile, Store
from events.words import ID_BITS, Batch, Event
from simulator.world.clip import ClipSpec, read_truths, render_clip

SEEN = 0.4
"""Of an object so much must be visible."""
EVERY = 2
"""Each second frame is answered."""
PRE_S, POST_S = 2.0, 2.0
GONE_S = 20


@dataclass
class Watched:
    """A camera, its scene, and by which rules it is followed."""

    name: str
    clip: ClipSpec
    rules: CameraRules
    ring: PacketRing = field(default_factory=lambda: Ring(1e6, 2**30))
    """All packets of the scene, captured from 0 s on."""

    def render(self, folder: Path) -> Path:
        """Return the scene as a file, its truths beside it, and keep its packets."""
        path = render_clip(self.clip, folder)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            track = Track.of(stream)
            for number, packet in enumerate(each for each in container.demux(stream) if each.size):
                track.keep(packet, number / self.clip.fps, number / self.clip.fps, self.ring)
        return path


def batches(camera: Watched, path: Path, began: float, chance: random.Random) -> Iterable[Batch]:
    """Yield what happened in one round of the scene that began then, wall clock."""
    analyst = Analyst(camera.name, camera.rules, lambda: chance.getrandbits(ID_BITS))
    at_s = 0.0
    for number, truths in enumerate(read_truths(path)):
        if number % EVERY:
            continue
        at_s = number / camera.clip.fps
        seen = [
            Sighting(each.label, 0.5 + each.visible_ratio * 0.45, each.xyxy)
            for each in truths
            if each.visible_ratio > SEEN
        ]
        yield analyst.see(at_s, began + at_s, camera.clip.size_wh, seen)
    for number in range(1, 2 * GONE_S):
        yield analyst.tick(at_s + number / 2)


def fill(store: Store, camera: Watched, path: Path, began: float, *, with_media: bool = True) -> list[Event]:
    """Keep one round of the scene that began then; return its events."""
    known: dict[str, Event] = {}
    for batch in batches(camera, path, began, random.Random(f"{camera.name} {began}")):
        if batch:
            store.keep(batch, began)
        known.update({event.id: event for event in batch.events})
    for event in known.values() if with_media else ():
        put_picture(store, camera, event, began)
        put_clip(store, camera, event, began)
    return list(known.values())


def put_picture(store: Store, camera: Watched, event: Event, began: float) -> None:
    """Keep the picture of its best moment."""
    at_s = min(event.best_at - began, camera.clip.duration_s - 1.0 / camera.clip.fps)
    found = decode(wanted(camera.ring, at_s), at_s)
    assert found
    path = media_file(store, event, "snapshot")
    path.write_bytes(jpeg(found[0]))
    _note(store, event, "snapshot", path)


def put_clip(store: Store, camera: Watched, event: Event, began: float) -> None:
    """Keep its clip."""
    path = media_file(store, event, "clip")
    end_s = (event.ended_at or event.updated_at) - began + POST_S
    clip = Clip(
        Record(camera.name, 1, event.id, event.started_at - began - PRE_S, end_s),
        camera.ring,
        os.open(path, os.O_CREAT | os.O_RDWR, 0o640),
        camera.clip.size_wh,
    )
    assert clip.step(end_s + PATIENCE_S + 1.0)
    _note(store, event, "clip", path)


def media_file(store: Store, event: Event, kind: MediaKind) -> Path:
    """Return where it belongs; its folder is there."""
    path = store.path.parent / MEDIA / media_path(event.id, event.camera, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _note(store: Store, event: Event, kind: MediaKind, path: Path) -> None:
    name = media_path(event.id, event.camera, kind)
    box = event.best_box if kind == "snapshot" else None
    store.note_media(MediaFile(name, event.id, kind, event.camera, event.started_at, path.stat().st_size, box))


def fill_all(store: Store, cameras: Sequence[Watched], paths: Sequence[Path], times: Sequence[float]) -> list[Event]:
    """Keep a round of each camera at each of these times."""
    return [
        event
        for began in times
        for camera, path in zip(cameras, paths, strict=True)
        for event in fill(store, camera, path, began)
    ]
