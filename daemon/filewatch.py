"""Tells when a file may have been saved, however editors and file systems do that.

It watches folders, not the file: an editor that saves through a rename replaces the file, and Kubernetes replaces a
symlink that its path goes through. What the file says then is not known here.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from watchfiles import watch

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


class FileWatch:
    """A thread that calls back when the file has another content, or has been away for a while."""

    def __init__(self, path: Path, changed: Callable[[], None]) -> None:
        self._path = path
        self._changed = changed
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
                # No folder, or no inotify left: saving is not seen, SIGHUP and `mosaicd reload` still work.
                log.warning("roster not watched", extra=fields(path=self._path, error=error))
                self._stop.wait(RETRY_S)

    def _watch(self) -> None:
        entries = _entries(self._path)
        folders = sorted({entry.parent for entry in entries if entry.parent.is_dir()})
        names = {entry.name for entry in entries}
        # Whatever was saved while nobody watched.
        self._changed()
        if not folders:
            self._stop.wait(RETRY_S)
            return
        for _ in watch(
            *folders,
            watch_filter=lambda _, changed: Path(changed).name in names,
            recursive=False,
            stop_event=self._stop,
            debounce=STEP_MS,
            step=STEP_MS,
        ):
            self._settle()
            self._changed()
            if _entries(self._path) != entries:
                return

    def _settle(self) -> None:
        """Wait until the file has not changed for a while; one that has vanished is waited for."""
        waited_s, before = 0.0, _look(self._path)
        while not self._stop.wait(SETTLE_S) and waited_s < VANISHED_S:
            waited_s += SETTLE_S
            now = _look(self._path)
            if now is not None and now == before:
                return
            before = now


def _entries(path: Path) -> frozenset[Path]:
    """Return what a change of may mean another file: each link on the way, and the file itself."""
    entries, way = set(), path.absolute()
    for _ in range(LINKS):
        link = next((here for here in [*reversed(way.parents), way] if here.is_symlink()), None)
        if link is None:
            break
        entries.add(link)
        way = link.parent / link.readlink() / way.relative_to(link)
    return frozenset(entries | {way})


def _look(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
