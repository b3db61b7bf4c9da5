"""What an analysis leaves behind: a folder with the events' database, tables as CSV, and tracks in MOTChallenge's form.

The folder is laid out as a state folder is, so whatever reads a daemon's events reads these. It is this module's alone
while an analysis runs.
"""

import csv
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

import msgspec

from capture.lookmessages import Depict, Depicted
from daemon.analysis.clips import Clip
from daemon.analysis.follower import Followed
from daemon.eventplan import FOLDER
from events.mediapaths import MEDIA, media_path
from events.messages import DATABASE
from events.store import MediaFile, Store
from events.words import Batch, Count, Event, Notice, stamp

SUMMARY: Final = "summary.json"
"""Written first and last: by it a folder is known as an analysis."""
EVENTS: Final = "events.csv"
CROSSINGS: Final = "crossings.csv"
TRACKS: Final = "tracks"
KEEP_S: Final = 1.0
"""Events are put into the database so often: each commit is synced."""

EVENT_COLUMNS: Final = (
    "id", "camera", "label", "started_at", "ended_at", "duration_s", "ending", "best_score", "best_at",
    "best_x1", "best_y1", "best_x2", "best_y2", "zones", "crossings", "median_kmh", "max_kmh", "headway_s",
    "file", "file_s", "snapshot",
)  # fmt: skip
CROSSING_COLUMNS: Final = ("camera", "line", "direction", "label", "at", "file", "file_s")
LABEL_COLUMNS: Final = ("id", "label", "first_frame", "last_frame", "boxes")


class FolderError(Exception):
    """The folder cannot be used; the message says why, and what to do."""


@dataclass(slots=True)
class _Tracked:
    """One track of one file."""

    label: str
    first_frame: int
    last_frame: int = 0
    boxes: int = 0


class Results:
    """The folder, open. Use as a context manager; belongs to one thread. Raises OSError, UnavailableError."""

    def __init__(self, folder: Path, clips: Sequence[Clip], *, has_tracks: bool) -> None:
        self.folder = folder
        self.notices: list[str] = []
        self._clips = clips
        self._events: dict[str, Event] = {}
        self._counts: list[Count] = []
        self._snapshots: dict[str, str] = {}
        """By event."""
        self._pending = Batch()
        self._kept_s = time.monotonic()
        self._names = track_names(clips) if has_tracks else {}
        self._files: dict[int, TextIO] = {}
        self._tracks: dict[int, dict[int, _Tracked]] = {}
        database = folder / FOLDER / DATABASE
        database.parent.mkdir(parents=True, exist_ok=True)
        self._store = Store(database, time.time(), self._note)
        if has_tracks:
            (folder / TRACKS).mkdir(exist_ok=True)
            for number, name in self._names.items():
                self._files[number] = (folder / TRACKS / f"{name}.txt").open("w")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._store.close()
        for file in self._files.values():
            file.close()

    def take(self, followed: Followed) -> None:
        """Keep what a frame has come to."""
        self._pending += followed.batch
        for event in followed.batch.events:
            self._events[event.id] = event
        self._counts += followed.batch.counts
        if self._names and followed.tracks:
            self._write_tracks(followed)
        if time.monotonic() - self._kept_s >= KEEP_S:
            self.keep()

    def keep(self) -> None:
        """Put into the database what is not there yet."""
        if self._pending:
            self._store.keep(self._pending, time.time())
        self._pending, self._kept_s = Batch(), time.monotonic()

    def pictures(self) -> list[Depict]:
        """Return what is to be depicted: each event's best moment. Their folders are made."""
        orders = []
        for number, event in enumerate(self._by_id()):
            clip, at_s = _place(event.camera, event.best_at, self._clips)
            target = self.folder / FOLDER / MEDIA / media_path(event.id, event.camera, "snapshot")
            target.parent.mkdir(parents=True, exist_ok=True)
            orders.append(Depict(number, str(clip.path), at_s, str(target)))
        return orders

    def note_picture(self, depicted: Depicted) -> None:
        """A picture that was wanted is there."""
        event = self._by_id()[depicted.picture]
        path = media_path(event.id, event.camera, "snapshot")
        file = MediaFile(path, event.id, "snapshot", event.camera, time.time(), depicted.size_bytes, event.best_box)
        self._store.note_media(file)
        self._snapshots[event.id] = f"{FOLDER}/{MEDIA}/{path}"

    def _by_id(self) -> list[Event]:
        return sorted(self._events.values(), key=lambda event: event.id)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the tables and the summary: everything is there then."""
        self.keep()
        rows_ = (_event_row(each, self._clips, self._snapshots.get(each.id, "")) for each in self._by_id())
        _write(self.folder / EVENTS, EVENT_COLUMNS, rows_)
        counts = sorted(self._counts, key=lambda count: (count.at, count.camera))
        _write(self.folder / CROSSINGS, CROSSING_COLUMNS, (_crossing_row(each, self._clips) for each in counts))
        for number, name in self._names.items():
            rows = (
                (id_, each.label, each.first_frame, each.last_frame, each.boxes)
                for id_, each in sorted(self._tracks.get(number, {}).items())
            )
            _write(self.folder / TRACKS / f"{name}.labels.csv", LABEL_COLUMNS, rows)
        write_summary(self.folder, summary)

    def _note(self, notice: Notice) -> None:
        words = ", ".join(f"{key} {value}" for key, value in notice.fields.items())
        self.notices.append(f"{notice.message}: {words}" if words else notice.message)

    def _write_tracks(self, followed: Followed) -> None:
        number = followed.result.clip.number
        known = self._tracks.setdefault(number, {})
        for track in sorted(followed.tracks, key=lambda track: track.id):
            x1, y1, x2, y2 = track.box
            # The first pixel is 1,1 there (motchallenge.net/instructions).
            box = f"{x1 + 1.0:.2f},{y1 + 1.0:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
            self._files[number].write(f"{followed.frame},{track.id},{box},{track.score:.4f},-1,-1,-1\n")
            mine = known.setdefault(track.id, _Tracked(track.label, followed.frame))
            mine.label, mine.last_frame, mine.boxes = track.label, followed.frame, mine.boxes + 1


def check(folder: Path, *, force: bool) -> None:
    """Raise FolderError for a folder that must not be written to."""
    try:
        if folder.is_dir() and any(folder.iterdir()):
            if not (folder / SUMMARY).is_file():
                raise FolderError(f"{folder} holds something else; --out names another folder")
            if not force:
                raise FolderError(
                    f"{folder} holds an analysis already; --force replaces it, --out names another folder"
                )
    except OSError as error:
        raise FolderError(f"{error.filename or folder}: {error.strerror}; --out names another folder") from error


def prepare(folder: Path, *, force: bool) -> None:
    """Make the folder, or with ``force`` delete the analysis that is in it. Raises FolderError.

    Anything else that stands there stays as it is.
    """
    check(folder, force=force)
    try:
        for name in (FOLDER, TRACKS):
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
        for name in (EVENTS, CROSSINGS):
            (folder / name).unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_summary(folder, {"is_finished": False})
    except OSError as error:
        raise FolderError(f"{error.filename or folder}: {error.strerror}; --out names another folder") from error


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary, whole or not at all. Raises OSError."""
    new = folder / f".{SUMMARY}.new"
    new.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    new.replace(folder / SUMMARY)


def track_names(clips: Sequence[Clip]) -> dict[int, str]:
    """Return what each file's tracks are called, by its number: as its camera; with several, counted."""
    names: dict[int, str] = {}
    for clip in clips:
        mine = [each.number for each in clips if each.camera == clip.camera]
        names[clip.number] = clip.camera if len(mine) == 1 else f"{clip.camera}-{mine.index(clip.number) + 1}"
    return names


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _event_row(event: Event, clips: Sequence[Clip], snapshot: str) -> tuple[object, ...]:
    clip, at_s = _place(event.camera, event.started_at, clips)
    speed, headway = event.speed, event.headway
    ended_at = event.updated_at if event.ended_at is None else event.ended_at
    return (
        event.id,
        event.camera,
        event.label,
        stamp(event.started_at),
        stamp(ended_at),
        f"{ended_at - event.started_at:.2f}",
        event.ending or "",
        f"{event.best_score:.4f}",
        stamp(event.best_at),
        *(f"{side:.1f}" for side in event.best_box),
        ";".join(dict.fromkeys(visit.zone for visit in event.zones)),
        ";".join(f"{each.line}:{each.direction}" for each in event.crossings),
        f"{speed.median_kmh:.1f}" if speed else "",
        f"{speed.max_kmh:.1f}" if speed else "",
        f"{headway.seconds:.2f}" if headway else "",
        str(clip.path),
        f"{at_s:.2f}",
        snapshot,
    )


def _crossing_row(count: Count, clips: Sequence[Clip]) -> tuple[object, ...]:
    clip, at_s = _place(count.camera, count.at, clips)
    return count.camera, count.line, count.direction, count.label, stamp(count.at), str(clip.path), f"{at_s:.2f}"


def _place(camera: str, at: float, clips: Sequence[Clip]) -> tuple[Clip, float]:
    """Return in which file a moment is, and how many seconds after its beginning."""
    mine = [clip for clip in clips if clip.camera == camera]
    clip = next((each for each in reversed(mine) if each.starts_at <= at + 1e-3), mine[0])
    return clip, max(0.0, at - clip.starts_at)
