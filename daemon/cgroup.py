"""What the kernel's control groups say of this process: which folders hold for it, whom the OOM killer took.

Both versions of the interface (cgroups(7)); what cannot be read is not there.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

PROC_CGROUP = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")


def folders(proc_cgroup: str, root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders whose limits hold for this process: its group first, then all above it; they need not exist."""
    for line in proc_cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        parts = [part for part in path.split("/") if part]
        if ".." in parts:  # outside our namespace
            parts = []
        for mount in (root / controller,) if controllers else (root, root / "unified"):
            for depth in range(len(parts), -1, -1):
                yield mount.joinpath(*parts[:depth])


def oom_kills(proc_cgroup: Path = PROC_CGROUP, root: Path = ROOT) -> int | None:
    """Return how many processes of our own group the kernel's OOM killer has ended; None where it does not say.

    Counts whoever's limit it was: the group's, one above it, or the machine's memory (cgroup-v2.rst, ``memory.events``;
    cgroup-v1/memory.rst, ``memory.oom_control``).
    """
    try:
        text = proc_cgroup.read_text()
    except OSError:
        return None
    for folder in folders(text, root, "memory"):
        for name in ("memory.events", "memory.oom_control"):
            try:
                lines = (folder / name).read_text().splitlines()
            except OSError:
                continue
            for line in lines:
                key, _, value = line.partition(" ")
                if key == "oom_kill" and value.isdigit():
                    return int(value)
        if folder.exists():
            return None  # the groups above count others' processes
    return None


class OomKills:
    """Lets each kill of the OOM killer explain one death. One thread uses it."""

    def __init__(self, count: Callable[[], int | None] = oom_kills) -> None:
        self._count = count
        self._explained = count()

    def explain(self) -> int | None:
        """Return 1 if there was a kill that explains no other death yet, else 0; None where kills are not counted."""
        now = self._count()
        if now is None or self._explained is None:
            self._explained = now
            return None
        if now <= self._explained:
            return 0
        self._explained += 1
        return 1
