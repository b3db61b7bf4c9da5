"""Pictures and clips of events: orders them of the capture process that has the camera, and keeps their files.

Owns the files until they are complete. For the main thread of the process of events. An order goes out with an empty
file (:mod:`capture.mediamessages`), and each is replied to once; what is not replied to within ``FORGOTTEN_S`` of the
event's end is forgotten. Times are monotonic.

A clip is begun when its event is, in its place, and goes on while the object is seen. A picture is made of each best
moment that is told of, beside its place, and put there when it is whole.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from capture.mediamessages import Prolong, Record, Recorded, Snapped, Snapshot
from capture.words import Shortfall
from events.mediapaths import MediaKind, media_path
from events.store import MediaFile
from events.words import Box, Moment, Notice

UNSURE_S = 3.0
"""A clip goes on for so long at least, while its event does: until it is heard whether the object is still there."""
FORGOTTEN_S = 700.0
"""Longer than any clip takes."""
UNFINISHED = ".part"

Order = Record | Prolong | Snapshot
Reply = Recorded | Snapped


@dataclass(frozen=True, slots=True)
class Recording:
    """Which seconds of a camera's events are recorded."""

    pre_s: float = 5.0
    """Before the object was first seen."""
    post_s: float = 10.0
    """After it was last seen."""
    max_s: float = 120.0
    """In all, at most."""


@dataclass(slots=True)
class _Event:
    """What has been ordered of one event."""

    camera: str
    recording: Recording | None
    is_recorded: bool = False
    """A clip is being written."""
    has_clip: bool = False
    until_s: float = 0.0
    """What the clip was last prolonged to."""
    best_s: float = 0.0
    """Its best moment that was told of."""
    best_box: Box | None = None
    ordered_s: float | None = None
    """The moment of which the last picture was ordered."""
    ordered_box: Box | None = None
    is_pictured: bool = False
    """That picture is being made."""
    ended_s: float | None = None


@dataclass(frozen=True, slots=True)
class AlbumStatistics:
    """Counts since the start."""

    made: dict[MediaKind, int]
    shortfalls: dict[tuple[MediaKind, Shortfall], int]
    """Those that are not there, or less than was asked for."""


class Album:
    """``send`` hands an order to the supervisor with its files, ``keep`` takes a file that is complete.

    ``pictured`` and ``filmed`` are called when there is something to be seen of an event, with camera and id, and with
    where the object is in the picture, if that is known. ``has_room`` tells whether more may be written to the disk.
    """

    def __init__(
        self,
        folder: Path,
        *,
        send: Callable[[Order, Sequence[int]], bool],
        keep: Callable[[MediaFile], object],
        pictured: Callable[[str, str, Box | None], object],
        filmed: Callable[[str, str], object],
        tell: Callable[[Notice], object],
        has_room: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._send, self._keep, self._tell = send, keep, tell
        self._pictured, self._filmed = pictured, filmed
        self._has_room = has_room
        self._clock = clock
        self._recordings: dict[str, Recording | None] = {}
        self._events: dict[str, _Event] = {}
        self._is_stopping = False
        self._made: Counter[MediaKind] = Counter()
        self._shortfalls: Counter[tuple[MediaKind, Shortfall]] = Counter()
        self._told_of: set[tuple[str, MediaKind, Shortfall]] = set()
        for left in folder.glob(f"*/*/*{UNFINISHED}"):
            with suppress(OSError):
                left.unlink()

    def follow(self, camera: str, recording: Recording | None) -> None:
        """Record this camera's next events so; None: not at all."""
        self._recordings[camera] = recording

    def leave(self, camera: str) -> None:
        """Forget how a camera is recorded."""
        self._recordings.pop(camera, None)

    def stop(self) -> None:
        """Order nothing any more."""
        self._is_stopping = True

    def note(self, moments: Iterable[Moment], now_s: float) -> None:
        """Take note of events that were told of: of new ones, and of better moments."""
        for moment in () if self._is_stopping else moments:
            event = self._events.get(moment.event)
            if event is None:
                event = _Event(moment.camera, self._recordings.get(moment.camera))
                self._events[moment.event] = event
                self._begin_clip(moment, event, now_s)
            event.best_s, event.best_box = moment.best_s, moment.best_box
            self._order_snapshot(moment.event, event)
            if moment.is_over:
                self._go_on(moment, event, now_s)
                event.ended_s = now_s

    def step(self, moments: Iterable[Moment], now_s: float) -> None:
        """Let clips of the events that are open go on, and see which can be played."""
        for moment in moments:
            event = self._events.get(moment.event)
            if event is not None and not moment.is_stationary:
                self._go_on(moment, event, now_s)
        for id_, event in list(self._events.items()):
            if event.is_recorded and not event.has_clip:
                self._look(id_, event)
            self._order_snapshot(id_, event)
            is_done = event.ended_s is not None and not event.is_recorded and not event.is_pictured
            if is_done or (event.ended_s is not None and now_s - event.ended_s >= FORGOTTEN_S):
                del self._events[id_]

    def hear(self, reply: Reply) -> None:
        """Take a reply. Also of an event that an earlier life of this process has ordered it for."""
        if isinstance(reply, Recorded):
            self._hear_recorded(reply)
        else:
            self._hear_snapped(reply)

    def statistics(self) -> AlbumStatistics:
        """Counts since the start."""
        return AlbumStatistics(dict(self._made), dict(self._shortfalls))

    def _begin_clip(self, moment: Moment, event: _Event, now_s: float) -> None:
        if event.recording is None:
            return
        from_s = moment.began_s - event.recording.pre_s
        event.until_s = _until_s(moment, event.recording, now_s)
        order = Record(moment.camera, 0, moment.event, from_mono_s=from_s, until_mono_s=event.until_s)
        event.is_recorded = self._order(order, self._path(moment.event, moment.camera, "clip"))

    def _go_on(self, moment: Moment, event: _Event, now_s: float) -> None:
        recording = event.recording
        if not event.is_recorded or recording is None:
            return
        until_s = _until_s(moment, recording, now_s)
        if until_s > event.until_s and self._send(Prolong(moment.camera, 0, moment.event, until_mono_s=until_s), ()):
            event.until_s = until_s

    def _order_snapshot(self, id_: str, event: _Event) -> None:
        if event.is_pictured or event.ordered_s == event.best_s:
            return
        event.ordered_s, event.ordered_box = event.best_s, event.best_box
        order = Snapshot(event.camera, 0, id_, at_mono_s=event.best_s)
        event.is_pictured = self._order(order, self._unfinished(id_, event.camera))

    def _order(self, order: Record | Snapshot, path: Path) -> bool:
        """Send an order with a new file; return whether it is under way."""
        kind: MediaKind = "clip" if isinstance(order, Record) else "snapshot"
        if not self._has_room():
            self._fall_short(order.camera, kind, Shortfall.NO_ROOM)
            return False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        except OSError:
            self._fall_short(order.camera, kind, Shortfall.UNWRITABLE)
            return False
        try:
            is_sent = self._send(order, (fd,))
        finally:
            os.close(fd)
        if not is_sent:
            _remove(path)
            self._fall_short(order.camera, kind, Shortfall.BUSY)
        return is_sent

    def _look(self, id_: str, event: _Event) -> None:
        """Whether the first of a clip has been written: from then on it can be played."""
        with suppress(OSError):
            if self._path(id_, event.camera, "clip").stat().st_size:
                event.has_clip = True
                self._filmed(event.camera, id_)

    def _hear_recorded(self, reply: Recorded) -> None:
        event = self._events.get(reply.event_id)
        if event is not None:
            event.is_recorded = False
        if self._complete(reply, "clip"):
            self._filmed(reply.camera, reply.event_id)

    def _hear_snapped(self, reply: Snapped) -> None:
        unfinished = self._unfinished(reply.event_id, reply.camera)
        path = self._path(reply.event_id, reply.camera, "snapshot")
        event = self._events.get(reply.event_id)
        # The small picture is of another moment: a better one stays.
        if reply.size_bytes and not (reply.is_tile and path.exists()):
            with suppress(OSError):
                unfinished.rename(path)
            box = event.ordered_box if event and not reply.is_tile else None
            if self._complete(reply, "snapshot", box):
                self._pictured(reply.camera, reply.event_id, box)
        else:
            _remove(unfinished)
            self._note_shortfall(reply, "snapshot")
        if event is not None:
            event.is_pictured = False
            if reply.reason is Shortfall.BUSY and not reply.size_bytes:
                event.ordered_s = None  # at the next step
            else:
                self._order_snapshot(reply.event_id, event)

    def _complete(self, reply: Reply, kind: MediaKind, box: Box | None = None) -> bool:
        """Keep what there is of a file, whatever the reply: a process that died has left what it had written.

        Returns whether there is anything.
        """
        self._note_shortfall(reply, kind)
        path = self._path(reply.event_id, reply.camera, kind)
        try:
            size = path.stat().st_size
        except OSError:
            return False
        if not size:
            _remove(path)
            return False
        if reply.size_bytes:
            self._made[kind] += 1
        name = media_path(reply.event_id, reply.camera, kind)
        self._keep(MediaFile(name, reply.event_id, kind, reply.camera, self._clock(), size, box))
        return True

    def _note_shortfall(self, reply: Reply, kind: MediaKind) -> None:
        if reply.reason is not None:
            self._fall_short(reply.camera, kind, reply.reason)

    def _fall_short(self, camera: str, kind: MediaKind, reason: Shortfall) -> None:
        self._shortfalls[kind, reason] += 1
        if reason is not Shortfall.STOPPING and (camera, kind, reason) not in self._told_of:
            self._told_of.add((camera, kind, reason))
            words: dict[str, str | int | float] = {"kind": kind, "camera": camera, "reason": reason.value}
            self._tell(Notice("picture or clip of an event falls short", words))

    def _path(self, event: str, camera: str, kind: MediaKind) -> Path:
        return self._folder / media_path(event, camera, kind)

    def _unfinished(self, event: str, camera: str) -> Path:
        path = self._path(event, camera, "snapshot")
        return path.with_name(path.name + UNFINISHED)


def _until_s(moment: Moment, recording: Recording, now_s: float) -> float:
    """Return until when a clip is to go on, as far as is known now."""
    until_s = moment.seen_s + recording.post_s
    if not moment.is_over:
        until_s = max(until_s, now_s + UNSURE_S)
    return min(until_s, moment.began_s - recording.pre_s + recording.max_s)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
