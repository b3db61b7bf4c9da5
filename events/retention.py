"""What of the kept events and media is removed, and why. Pure.

Media go for their age, for their camera's share, for all media's, and when the disk is nearly full: the oldest first in
each. Rows go for their age, for their number, and when the database is too large. What belongs to an event that is
still open stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

DAY_S = 86_400.0
_MIB = 1 << 20


class Cause(StrEnum):
    """Why something was removed: the closed set of the ``cause`` label."""

    AGE = "age"
    CAMERA = "camera"
    """Its camera had more than its share."""
    SIZE = "size"
    """All together were too much."""
    DISK = "disk"
    """The disk was nearly full."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how much is kept."""

    max_age_days: float = 30.0
    """Events and summaries of tracks, and with an event its media."""
    media_max_age_days: float = 14.0
    """Pictures and clips."""
    counts_max_age_days: float = 1_100.0
    """Counts by hour: three years of a busy line are a few MiB."""
    max_media_mib: float = 20_480.0
    camera_max_media_mib: float = 5_120.0
    """Of each camera that is not named in ``cameras``."""
    cameras: Mapping[str, float] = field(default_factory=dict)
    """MiB of media, for cameras with a share of their own."""
    camera_max_events: int = 200_000
    max_database_mib: float = 1_024.0
    min_free_mib: float = 1_024.0
    """Media are removed while less than this is free, whoever has filled the disk."""

    @property
    def min_free_bytes(self) -> float:
        """``min_free_mib`` in bytes."""
        return self.min_free_mib * _MIB

    def share_bytes(self, camera: str) -> float:
        """Return what a camera's media may take."""
        return self.cameras.get(camera, self.camera_max_media_mib) * _MIB


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A picture or clip."""

    path: str
    event: str
    camera: str
    made_at: float
    size_bytes: int
    is_open: bool = False
    """Its event has not ended."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A file that goes."""

    file: KeptFile
    cause: Cause


def removals(files: Sequence[KeptFile], now: float, free_bytes: int, keep: Retention) -> Iterator[Removal]:
    """Choose among all files, which come with the oldest first; ``free_bytes`` is what is free on their disk."""
    oldest_at = now - keep.media_max_age_days * DAY_S
    over: dict[str, float] = {}
    for file in files:
        over.setdefault(file.camera, -keep.share_bytes(file.camera))
        over[file.camera] += file.size_bytes
    left, left_bytes = [], 0
    for file in files:
        cause = Cause.AGE if file.made_at < oldest_at else Cause.CAMERA if over[file.camera] > 0 else None
        if cause is None or file.is_open:
            left.append(file)
            left_bytes += file.size_bytes
            continue
        over[file.camera] -= file.size_bytes
        free_bytes += file.size_bytes
        yield Removal(file, cause)
    for file in left:
        cause = _cause(left_bytes, free_bytes, keep)
        if cause is None:
            return
        if not file.is_open:
            left_bytes -= file.size_bytes
            free_bytes += file.size_bytes
            yield Removal(file, cause)


def surplus_rows(count: int, used_bytes: int, keep: Retention) -> int:
    """Return how many of the oldest events go because the database is too large: as if all were of one size."""
    over = used_bytes - keep.max_database_mib * _MIB
    return 0 if over <= 0 else min(count, int(count * over / used_bytes) + 1)


def _cause(all_bytes: int, free_bytes: int, keep: Retention) -> Cause | None:
    if all_bytes > keep.max_media_mib * _MIB:
        return Cause.SIZE
    return Cause.DISK if free_bytes < keep.min_free_bytes else None
