"""One file of lines that only ever holds full ones, rotated by size and once a day; and which old ones to remove.

Knows nothing of what a line says, but for its ``captured_at`` or ``updated_at``, by which an old file's first day is
found again.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DAY_S = 86_400.0
STAMP = "%Y%m%dT%H%M%SZ"
"""UTC in the name of a rotated file, as strftime(3) has it."""
_FIRST_AT = re.compile(rb'"(?:captured|updated)_at":"([^"]+)"')
_ROTATED = re.compile(r".+\.(\d{8}T\d{6}Z)(?:-(\d+))?\.jsonl")


class LineFile:
    """One file that only ever holds full lines, as far as the disk lets us. For one thread."""

    def __init__(self, path: Path, max_bytes: int, clock: Callable[[], float]) -> None:
        self.written = 0
        """Lines, over all rotations."""
        self.rotations = 0
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._fd: int | None = None
        self._begun_at_s = 0.0

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines, rotating where needed. Raises ``OSError``; ``written`` tells how far it came."""
        start = 0
        while start < len(lines):
            fd, size = self._opened()
            is_old = self._clock() - self._begun_at_s >= DAY_S
            if size and (is_old or size + len(lines[start]) > self._max_bytes):
                self._rotate()
                continue
            end, end_bytes = start + 1, size + len(lines[start])
            while end < len(lines) and end_bytes + len(lines[end]) <= self._max_bytes:
                end_bytes += len(lines[end])
                end += 1
            self._write(fd, size, b"".join(lines[start:end]))
            start = end

    def close(self) -> None:
        """Let go of the file; the next append opens it anew."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _opened(self) -> tuple[int, int]:
        """Descriptor and size, of a new file if somebody has moved the old one away."""
        if self._fd is not None:
            status = os.fstat(self._fd)
            with suppress(FileNotFoundError):
                if os.path.samestat(status, self._path.stat()):
                    return self._fd, status.st_size
            self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        size = _cut_half_line(self._fd)
        self._begun_at_s = self._clock()
        first = _FIRST_AT.search(os.pread(self._fd, 4096, 0)) if size else None
        with suppress(ValueError):
            if first is not None:
                self._begun_at_s = datetime.fromisoformat(first[1].decode("ascii")).timestamp()
        return self._fd, size

    def _write(self, fd: int, size: int, data: bytes) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.write(fd, memoryview(data)[done:])
        except OSError as error:
            done = data.rfind(b"\n", 0, done) + 1
            with suppress(OSError):  # what cannot be cut now is cut when the file is opened again
                os.ftruncate(fd, size + done)
            self.close()
            error.filename = str(self._path)
            raise
        finally:
            self.written += data.count(b"\n", 0, done)

    def _rotate(self) -> None:
        self.close()
        stamp = datetime.fromtimestamp(self._clock(), UTC).strftime(STAMP)
        target, number = self._path.with_name(f"{self._path.stem}.{stamp}.jsonl"), 0
        while target.exists():
            number += 1
            target = self._path.with_name(f"{self._path.stem}.{stamp}-{number}.jsonl")
        self._path.rename(target)
        self.rotations += 1


def is_rotated(name: str) -> bool:
    """Whether a file's name is that of a rotated one."""
    return _ROTATED.fullmatch(name) is not None


def remove_old(paths: Iterable[Path], now: float, max_age_days: float, max_old_mib: float) -> None:
    """Remove those files that were rotated, or last written, too long ago, and the oldest rotated that are too much.

    ``now`` is the wall clock. Raises ``OSError``.
    """
    room_bytes = int(max_old_mib * (1 << 20))
    for kept in sorted(_kept(paths), key=lambda kept: (kept.ended_at, kept.number), reverse=True):
        room_bytes -= kept.size_bytes if kept.is_rotated else 0
        if kept.ended_at < now - max_age_days * DAY_S or (kept.is_rotated and room_bytes < 0):
            kept.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _KeptFile:
    path: Path
    ended_at: float
    """Wall clock of the last line, roughly."""
    number: int
    """Tells apart files rotated within one second."""
    size_bytes: int
    is_rotated: bool


def _kept(paths: Iterable[Path]) -> Iterator[_KeptFile]:
    for path in paths:
        rotated = _ROTATED.fullmatch(path.name)
        status = path.stat()
        if rotated is None:
            yield _KeptFile(path, status.st_mtime, 0, status.st_size, is_rotated=False)
            continue
        with suppress(ValueError):  # looks like a stamp, and is none
            ended_at = datetime.strptime(rotated[1], STAMP).replace(tzinfo=UTC).timestamp()
            yield _KeptFile(path, ended_at, int(rotated[2] or 0), status.st_size, is_rotated=True)


def _cut_half_line(fd: int) -> int:
    """Cut a file back to its last full line, and give the size that it has then."""
    size = end = os.fstat(fd).st_size
    while end:
        start = max(0, end - 65_536)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(fd, end)
    return end
