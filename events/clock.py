"""The wall clock by which age is judged: one that leaps far ahead is not believed at once, for all would be too old.

Nor at the next start: whoever sees a clock that is wrong may start the daemon again before it is corrected. What is
believed is therefore kept in a file. It holds for as long as this machine is up, by whose monotonic clock it goes.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from events.retention import DAY_S
from events.words import Notice

JUMP_S: Final = DAY_S
"""A clock that is set ahead by more is doubted."""
DOUBT_S: Final = 3_600.0
KEPT_WITHIN_S: Final = 60.0
"""What is in the file may be off by so much: a clock is slewed all the time."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class BelievedClock:
    """For one thread. ``path`` is where the belief is kept; ``tell`` takes what a person should know."""

    def __init__(
        self, path: Path, tell: Callable[[Notice], None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._tell = tell
        self._monotonic = monotonic
        self._kept_s = self._recalled()
        self._ahead_s = self._kept_s
        """Of the wall clock that is believed, before the monotonic one."""
        self._doubted_s: float | None = None

    def judge(self, now: float) -> float:
        """Return the wall clock that is believed, where a clock says ``now``: the same, if nothing speaks against."""
        now_s = self._monotonic()
        ahead_s = now - now_s
        if self._ahead_s is None or ahead_s - self._ahead_s <= JUMP_S:
            self._believe(ahead_s)
        elif self._doubted_s is None:
            self._doubt(now_s, ahead_s - self._ahead_s)
        elif now_s - self._doubted_s >= DOUBT_S:
            self._believe(ahead_s)
        assert self._ahead_s is not None
        return now_s + self._ahead_s

    def _believe(self, ahead_s: float) -> None:
        self._ahead_s, self._doubted_s = ahead_s, None
        if self._kept_s is not None and abs(ahead_s - self._kept_s) <= KEPT_WITHIN_S:
            return
        with suppress(OSError):
            self._path.write_text(json.dumps({"boot": _boot(), "ahead_s": ahead_s}))
            self._kept_s = ahead_s

    def _doubt(self, now_s: float, leap_s: float) -> None:
        self._doubted_s = now_s
        fields: dict[str, str | int | float] = {"days": leap_s / DAY_S}
        self._tell(Notice("clock set far ahead, nothing is removed for its age for an hour", fields))

    def _recalled(self) -> float | None:
        """What an earlier life believed, if that was since the machine was booted."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._path.read_text())
            if kept["boot"] == _boot():
                return float(kept["ahead_s"])
        return None


def _boot() -> str:
    return _BOOT_ID.read_text().strip()
