"""Sightings as JSON Lines, in files that are rotated and bounded.

:class:`JsonlSink` owns queue, thread and counters; :class:`LineFile` owns one open file. Must not know where sightings
come from.

A line has these keys, boxes are in the camera's own pixels, and the time is when the frame was captured::

    {"camera": "cam-01", "mosaic": "m1", "worker": "w1", "frame_time": 12.48, "captured_at": "2026-01-01T00:00:00.000Z",
     "frame_wh": [1920, 1080], "sightings": [{"label": "dog", "score": 0.9131, "box": [10.5, 20.0, 110.25, 220.0]}]}

A full disk costs lines, never the daemon: a batch is written whole or cut back to its last full line, what is lost
is counted, and every later batch is a new try.
"""

import logging
import math
import os
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from capture.messages import Sighting
from daemon.logs import fields
from daemon.statistics import DiskSpace, SinkStatistics
from events.linefile import LineFile, is_rotated, remove_old

log = logging.getLogger(__name__)

_STEP_S = 0.25
"""Lines are gathered for so long and then written at once: cheap, and fresh enough for ``tail -f``."""
_STEADY_S = 10.0
"""After so long without a failure the disk counts as well again, so that a nearly full one is logged once."""
_HOUR_S = 3_600.0
_LOOK_S = 10.0
"""How often the disk's room is looked at."""
_MIB = 1 << 20
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True)
class SightedTile:
    """All that was seen on one frame of one camera."""

    camera: str
    mosaic: str
    worker: str
    frame_time_s: float
    """The frame's pts."""
    captured_at: float
    """Wall clock, seconds since 1970."""
    source_wh: tuple[int, int]
    sightings: tuple[Sighting, ...]
    captured_mono_s: float


@dataclass(frozen=True, slots=True)
class JsonlOptions:
    """What is written, and how much of it is kept."""

    per_camera: bool = False
    """``sightings/<camera>.jsonl`` instead of ``sightings.jsonl``."""
    empty: bool = False
    """Write a line for a tile on which nothing was seen, too."""
    max_mib: float = 64.0
    """A file is rotated before it becomes larger. It is also rotated when it is a day old."""
    max_age_days: float = 30.0
    """Files that were rotated, or last written, longer ago are removed: no line lives longer than this and a day."""
    max_old_mib: float = 1024.0
    """All rotated files together; the oldest go first."""
    capacity: int = 8192
    """Tiles that may wait to be written."""


class _Line(msgspec.Struct, frozen=True):
    camera: str
    mosaic: str
    worker: str
    frame_time: float
    captured_at: str
    frame_wh: tuple[int, int]
    sightings: list[Sighting]


def line_of(tile: SightedTile) -> bytes:
    """Give a tile's line, its end included. Raises ``ValueError`` for numbers that neither JSON nor calendar has."""
    try:
        captured_at = datetime.fromtimestamp(tile.captured_at, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError) as error:
        raise ValueError(f"captured_at is no time: {tile.captured_at}") from error
    numbers = [tile.frame_time_s, *(number for seen in tile.sightings for number in (seen.score, *seen.box))]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a number is not finite")
    sightings = []
    for seen in tile.sightings:
        x1, y1, x2, y2 = seen.box
        box = (round(x1, 2), round(y1, 2), round(x2, 2), round(y2, 2))
        sightings.append(Sighting(seen.label, round(seen.score, 4), box))
    stamp = captured_at.removesuffix("+00:00") + "Z"
    line = _Line(tile.camera, tile.mosaic, tile.worker, tile.frame_time_s, stamp, tile.source_wh, sightings)
    return msgspec.json.encode(line) + b"\n"


class JsonlSink:
    """Writes sightings below a folder.

    ``offer`` and ``statistics`` are for any thread, ``start`` and ``stop`` for the owner's.
    ``clock`` is the wall clock: it names rotated files and judges their age.
    """

    def __init__(
        self, folder: Path, options: JsonlOptions | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._options = options or JsonlOptions()
        self._state_dir = folder
        self._folder = folder / "sightings" if self._options.per_camera else folder
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: deque[SightedTile] = deque()
        self._written = 0
        self._dropped = {"queue_full": 0, "disk": 0, "invalid": 0}
        self._disk: DiskSpace | None = None
        self._is_closed = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sink-jsonl")
        # From here on: the thread's own.
        self._files: dict[str, LineFile] = {}
        self._cleaned_at_s = -math.inf
        self._looked_at_s = -math.inf
        self._failed_at_s: float | None = None
        self._lost = 0

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def stop(self, deadline_s: float) -> bool:
        """Write what waits and join the thread. False if the disk did not let it end in time."""
        self._stop.set()
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            log.error("sink did not stop", extra=fields(sink="jsonl", deadline_s=deadline_s))
            return False
        return True

    def offer(self, tiles: Iterable[SightedTile]) -> None:
        """Hand over tiles; never waits. Where the queue is full, and after the end, they are dropped and counted."""
        wanted = [tile for tile in tiles if tile.sightings or self._options.empty]
        with self._lock:
            room = 0 if self._is_closed else self._options.capacity - len(self._queue)
            self._queue.extend(wanted[:room])
            self._dropped["queue_full"] += max(0, len(wanted) - room)

    def statistics(self) -> SinkStatistics:
        """Counts since the start."""
        with self._lock:
            return SinkStatistics("jsonl", self._written, dict(self._dropped), self._disk)

    def step(self) -> None:
        """Write all that waits. For the thread, or for a test in its place."""
        with self._lock:
            tiles, self._queue = self._queue, deque()
        lines: defaultdict[str, list[bytes]] = defaultdict(list)
        invalid = 0
        for tile in tiles:
            name = tile.camera if self._options.per_camera else "sightings"
            try:
                if not _SAFE_NAME.fullmatch(name):
                    raise ValueError(f"no file can be named after camera {name!r}")
                lines[name].append(line_of(tile))
            except ValueError:
                invalid += 1
        written = sum(self._append(name, batch) for name, batch in lines.items())
        if self._clock() - self._cleaned_at_s >= _HOUR_S:
            self._clean()
        if written and self._failed_at_s is not None and self._clock() - self._failed_at_s >= _STEADY_S:
            log.info("sink writes again", extra=fields(sink="jsonl", lost=self._lost))
            self._failed_at_s, self._lost = None, 0
        disk = self._look()
        with self._lock:
            self._disk = disk
            self._written += written
            self._dropped["invalid"] += invalid
            self._dropped["disk"] += len(tiles) - invalid - written

    def _run(self) -> None:
        try:
            while not self._stop.wait(_STEP_S):
                self.step()
            self.step()
        except Exception:
            log.exception("sink failed", extra=fields(sink="jsonl"))
        finally:
            with self._lock:
                self._is_closed = True
                self._dropped["queue_full"] += len(self._queue)
                self._queue.clear()
            self._close_files()

    def _append(self, name: str, lines: Sequence[bytes]) -> int:
        """Write lines to one file; give how many are in it."""
        file = self._files.get(name)
        if file is None:
            path = self._folder / f"{name}.jsonl"
            file = self._files[name] = LineFile(path, int(self._options.max_mib * _MIB), self._clock)
        written, rotations = file.written, file.rotations
        try:
            file.append(lines)
        except OSError as error:
            self._lost += len(lines) - (file.written - written)
            self._note_failure(error)
        if file.rotations > rotations:
            self._cleaned_at_s = -math.inf
        return file.written - written

    def _look(self) -> DiskSpace | None:
        """Return the room there is; here, since a disk that is dead holds whoever asks."""
        if abs(self._clock() - self._looked_at_s) < _LOOK_S:
            return self._disk
        self._looked_at_s = self._clock()
        try:
            found = os.statvfs(self._state_dir)
        except OSError:
            return None
        return DiskSpace(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)

    def _note_failure(self, error: OSError) -> None:
        if self._failed_at_s is None:
            log.warning("sink cannot write", extra=fields(sink="jsonl", reason=error.strerror, path=error.filename))
        self._failed_at_s = self._clock()

    def _clean(self) -> None:
        """Remove what is too old or too much. Files are closed for it: those of cameras that left stay closed."""
        self._cleaned_at_s = self._clock()
        self._close_files()
        try:
            remove_old(self._own_files(), self._cleaned_at_s, self._options.max_age_days, self._options.max_old_mib)
        except OSError as error:
            self._note_failure(error)

    def _own_files(self) -> Iterator[Path]:
        """All files of this sink; others in the same folder are left alone."""
        for path in self._folder.glob("*.jsonl" if self._options.per_camera else "sightings*.jsonl"):
            if self._options.per_camera or path.name == "sightings.jsonl" or is_rotated(path.name):
                yield path

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
