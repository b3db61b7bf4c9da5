"""Whose decoder crashed a capture process, and how long that camera is then kept away. Pure.

A decoder that is fed something hostile, or merely broken, ends the process with a signal. ``faulthandler`` then names
the thread on stderr, and each reader has told which thread is its own. A camera that has crashed its process once may
have been unlucky; one that does it again is quarantined, so that its neighbours are not ended over and over.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from capture.backoff import Backoff

QUARANTINE = Backoff(first_s=60.0, limit_s=3600.0)
FORGOTTEN_S = 6 * 3600.0
"""A crash that has not been repeated for so long is forgiven."""

_CURRENT = re.compile(r"^Current thread 0x([0-9a-f]{1,16}) ")
_FATAL = re.compile(r"^Fatal Python error: ")


def crashed_thread(stderr: Sequence[str]) -> int | None:
    """Return the number of the thread that crashed, as :func:`threading.get_ident` has it; None if none is named.

    The form is CPython's (Python/traceback.c, ``_Py_DumpTracebackThreads``).
    """
    if not any(_FATAL.match(line) for line in stderr):
        return None
    found = [match for line in stderr if (match := _CURRENT.match(line))]
    return int(found[-1][1], 16) if found else None


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
