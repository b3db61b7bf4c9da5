"""Whose decoder crashed a capture process, and how long that camera is then kept away. Pure.

A decoder that is fed something hostile, or merely broken, ends the process with a signal. ``faulthandler`` then writes
the stack of the thread that crashed to stderr, and at the bottom of a reader's stack stands the name of its camera
(:func:`capture.reader.mark`). A camera that has crashed its process once may have been unlucky; one that does it again
is quarantined, so that its neighbours are not ended over and over.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from capture.backoff import Backoff

QUARANTINE = Backoff(first_s=60.0, limit_s=3600.0)
FORGOTTEN_S = 6 * 3600.0
"""A crash that has not been repeated for so long is forgiven."""

# CPython's form (Python/traceback.c, _Py_DumpTraceback): a thread's stack has no number there, only its functions.
_FATAL = "Fatal Python error: "
_READER = re.compile(r'  File ".*", line \d+ in reader ([A-Za-z0-9_-]+)')


def crashed_camera(stderr: Sequence[str], cameras: Collection[str]) -> str | None:
    """Return which of these cameras' readers crashed its process; None if it was none of them, or cannot be told."""
    fatal = [number for number, line in enumerate(stderr) if line.startswith(_FATAL)]
    if not fatal:
        return None
    readers = [match[1] for line in stderr[fatal[-1] :] if (match := _READER.fullmatch(line))]
    return readers[0] if len(readers) == 1 and readers[0] in cameras else None


@dataclass(slots=True)
class Quarantine:
    """Which cameras have crashed their process. One thread uses it."""

    _crashes_s: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def note_crash(self, camera: str, now_s: float, chance: float) -> float:
        """Take note of a crash; return for how many seconds the camera is kept away."""
        recent = [at_s for at_s in self._crashes_s.get(camera, ()) if now_s - at_s < FORGOTTEN_S]
        self._crashes_s[camera] = (*recent, now_s)
        return QUARANTINE.delay_s(len(recent), chance) if recent else 0.0


def holds_left(until_s: Mapping[str, float], now_s: float) -> dict[str, float]:
    """Return for how much longer each camera is kept away, those that no longer are left out."""
    return {camera: at_s - now_s for camera, at_s in until_s.items() if at_s > now_s}
