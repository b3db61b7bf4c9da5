"""How near this process is to its quota on the CPU, and when it leaves of its own accord.

Beyond the quota is no exception but a wall: at RLIMIT_DATA most frameworks end in a signal (tensorflow #108621). So a
worker looks at its own use after each call, and ends in good order while the next call is still sure to fit.

What the kernel compares with RLIMIT_DATA is `mm->data_vm` (mm/mmap.c, may_expand_vm): private writable mappings that
are no stack, touched or not. /proc/PID/status shows it as VmData; /proc/PID/statm adds the main thread's stack, some
hundred KiB, and is four times as fast to read.
"""

import math
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference.engine import EngineError, resident_mib, status_mib

STEP_MIB: Final = 32.0
"""What malloc may take at once and keep: the highest value that its threshold for mmap rises to
(DEFAULT_MMAP_THRESHOLD_MAX, mallopt(3)). A thread's stack is less (8 MiB, setrlimit(2))."""

REMEDY: Final = "Give a larger memory.fraction, or fewer workers"

_DATA: Final = 5
"""Field of statm (proc(5)): data and stack."""
_PAGES_A_MIB: Final = 2**20 // os.sysconf("SC_PAGE_SIZE")


class QuotaReached(EngineError):  # noqa: N818 - reads as what happened
    """The next call might not fit any more. All that was begun has been answered."""


class QuotaTooSmall(EngineError):  # noqa: N818
    """The model is loaded, and there is no room to work in: the next start would be the same."""


def data_mib(pid: int | str = "self") -> float:
    """Return the data of a process, as RLIMIT_DATA counts it (but for the main stack): about 10 us.

    Raises OSError if it is gone.
    """
    fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(fd, 200).split()[_DATA]) / _PAGES_A_MIB
    finally:
        os.close(fd)


def wall_mib() -> int | None:
    """Return this process's quota, where the kernel has it; None where there is none."""
    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if limit_bytes == resource.RLIM_INFINITY else limit_bytes // 2**20


@dataclass(frozen=True, slots=True)
class Headroom:
    """What must be free before a call, in MiB. Its decisions are pure: `used` and `wall` are passed in."""

    call: float = 0.0
    """Measured: the most that one call took beyond what is kept between calls."""

    @property
    def margin(self) -> float:
        """One call's own need, and what malloc may take on top of that."""
        return self.call + STEP_MIB

    def is_near(self, used: float, wall: int) -> bool:
        """Whether the next call might not fit."""
        return used + self.margin > wall

    def check(self, used: float, wall: int) -> None:
        """Raises QuotaReached where the next call might not fit."""
        if self.is_near(used, wall):
            raise QuotaReached(
                f"left before the quota was exhausted: {used:.0f} of {wall} MiB are taken, and the next call might "
                f"need {self.margin:.0f}"
            )

    def check_loaded(self, used: float, wall: int) -> None:
        """Raises QuotaTooSmall where a loaded model leaves no room to work in: less than one step above the margin.

        Without that step the first calls, which still allocate a little, would end the worker, and each of its heirs.
        """
        least = used + self.margin + STEP_MIB
        if least > wall:
            raise QuotaTooSmall(
                f"the quota of {wall} MiB is too small for this model: loaded it takes {used:.0f} MiB, and a worker "
                f"needs {math.ceil(least)} to work in. {REMEDY}"
            )


def lacks_memory() -> str:
    """Return a sentence with the figures where this process is at its wall, so that whatever failed was for that; else
    nothing. Frameworks have many words for it: "Failed to create plugin", "error return without exception set"."""
    wall, used = wall_mib(), data_mib()
    if wall is None or not Headroom().is_near(used, wall):
        return ""
    return f"{used:.0f} of the quota of {wall} MiB are taken. {REMEDY}"


def peak_of_call_mib(call: Callable[[], object], proc: Path = Path("/proc/self")) -> float:
    """Call, and return by how many MiB resident memory rose above what it was before, at the most.

    The kernel keeps that peak, and writing 5 to clear_refs lets it begin anew (proc(5)); 0 where that is not allowed.
    What a call takes and gives back it also touches, so that resident memory is what counts here.
    """
    try:
        (proc / "clear_refs").write_text("5")
        before_mib = resident_mib(proc)
    except OSError:
        call()
        return 0.0
    call()
    return max(0.0, status_mib("VmHWM", proc) - before_mib)
