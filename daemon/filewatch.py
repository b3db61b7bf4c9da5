"""Tells when a file may have been saved, or another that goes with it, however editors and file systems do that.

It watches folders, not the files: an editor that saves through a rename replaces the file, Kubernetes replaces a
symlink that its path goes through, and files that fit a pattern come and go. What the files say is not known here.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from watchfiles import watch

from daemon import globs
from daemon.logs import fields

log = logging.getLogger(__name__)
# It tells of each change in a folder; a log that is written there would tell of itself for ever.
logging.getLogger("watchfiles").setLevel(logging.WARNING)

SETTLE_S = 0.3
"""A file that is being written is left alone until it has not changed for so long."""
VANISHED_S = 2.0
"""A file that is not there may be about to be replaced: so long it is waited for."""
RETRY_S = 5.0
LINKS = 40
"""As many as Linux follows (path_resolution(7))."""
STEP_MS = 200
"""How often the library looks for events, and whether it is to end."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is watched; another one means that it is to be watched anew."""

    folders: frozenset[Path]
    names: frozenset[str]
    """Those in the folders, a change of which may mean another content."""
    patterns: frozenset[str]
    """Of names, likewise."""

    def has(self, name: str) -> bool:
        """Whether a change of this name may mean another content."""
        return name in self.names or any(globs.fits(name, pattern) for pattern in self.patterns)


class FileWatch:
    """A thread that calls back when the file has another content, or has been away for a while.

    So it does for all files that fit one of `patterns`, which the thread asks for again and again.
    """

    def __init__(
        self,
        path: Path,
        changed: Callable[[], None],
        patterns: Callable[[], tuple[Path, ...]] = tuple,
        *,
        settle_s: float = SETTLE_S,
        vanished_s: float = VANISHED_S,
    ) -> None:
        self._path = path
        self._changed = changed
        self._patterns = patterns
        self._settle_s = settle_s
        self._vanished_s = vanished_s
        self._known: frozenset[Path] = frozenset()
        """The files that were there when last it called back."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="file watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, within_s: float) -> bool:
        """End the thread; return whether it has ended in time."""
        self._stop.set()
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._watch()
            except OSError as error:
                # No inotify left, say: saving is seen late. SIGHUP and `mosaicd reload` still work.
                log.warning("roster not watched", extra=fields(path=self._path, error=error))
                self._changed()
                self._stop.wait(RETRY_S)

    def _watch(self) -> None:
        patterns = self._patterns()
        sight, is_new = self._sight(), True
        for changes in watch(
            *sorted(sight.folders),
            watch_filter=None,
            recursive=False,
            stop_event=self._stop,
            debounce=STEP_MS,
            step=STEP_MS,
            rust_timeout=STEP_MS,
            yield_on_timeout=True,
        ):
            names = {Path(changed).name for _, changed in changes}
            # It listens now: at first it tells of whatever was saved while nobody did.
            if is_new or any(map(sight.has, names)):
                self._settle()
                self._changed()
                # A folder that another of its name has replaced is not watched by itself.
                if self._sight() != sight or names & {folder.name for folder in sight.folders}:
                    return
            is_new = False
            if self._patterns() != patterns:
                return

    def _settle(self) -> None:
        """Wait until no file has changed for a while; one that has vanished is waited for."""
        waited_s, before = 0.0, self._look()
        while not self._stop.wait(self._settle_s) and waited_s < self._vanished_s:
            waited_s += self._settle_s
            now = self._look()
            if now == before and now.keys() >= {self._path, *self._known}:
                break
            before = now
        self._known = frozenset(before)

    def _files(self) -> Iterator[Path]:
        yield self._path
        for pattern in self._patterns():
            try:
                yield from globs.files(pattern)
            except OSError:
                continue  # whoever reads the files says so

    def _look(self) -> dict[Path, tuple[int, int, int]]:
        found = {}
        for path in self._files():
            try:
                status = path.stat()
            except OSError:
                continue
            found[path] = status.st_ino, status.st_size, status.st_mtime_ns
        return found

    def _sight(self) -> _Sight:
        patterns = self._patterns()
        ways = [*map(_entries, self._files()), *(_entries(pattern.parent) for pattern in patterns)]
        entries = {_there(entry) for way in ways for entry in way}
        folders = {entry.parent for entry in entries} | {_entries(pattern.parent)[-1] for pattern in patterns}
        return _Sight(
            frozenset(folder for folder in folders if folder.is_dir() and os.access(folder, os.R_OK)),
            frozenset(entry.name for entry in entries),
            frozenset(pattern.name for pattern in patterns),
        )


def _there(entry: Path) -> Path:
    """Return the entry, or of the folders on its way that are not there the first."""
    while not entry.parent.is_dir():
        entry = entry.parent
    return entry


def _entries(path: Path) -> tuple[Path, ...]:
    """Return what a change of may mean another file: each link on the way, and last the file itself."""
    entries, way = [], path.absolute()
    for _ in range(LINKS):
        link = next((here for here in [*reversed(way.parents), way] if here.is_symlink()), None)
        if link is None:
            break
        entries.append(link)
        way = link.parent / link.readlink() / way.relative_to(link)
    return (*entries, way)
