"""What is appended to a file of lines, through its rotations: for whoever reads it while another process writes.

Changes nothing. The file may be missing, and come later.
"""

import os
from contextlib import suppress
from pathlib import Path

_READ_BYTES = 1 << 20


class LineTail:
    """The lines that come after the object was made; with ``from_start`` those before, too. For one thread."""

    def __init__(self, path: Path, *, from_start: bool = False) -> None:
        """Raises ``OSError`` for a file that must not be read."""
        self._path = path
        self._fd: int | None = None
        self._done_bytes = 0
        if self._open() and not from_start:
            self._done_bytes = self._end_of_full_lines()

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def read(self) -> list[bytes]:
        """Return the full lines that have come since, without their ends. Raises ``OSError``."""
        lines = self._rest()
        if self._has_moved():
            lines += self._rest()  # what came between the last look and the rotation
            self.close()
            if self._open():
                lines += self._rest()
        return lines

    def _open(self) -> bool:
        self._done_bytes = 0
        with suppress(FileNotFoundError):
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self._fd is not None

    def _has_moved(self) -> bool:
        """Whether there is another file of that name by now."""
        with suppress(FileNotFoundError):
            there = self._path.stat()
            return self._fd is None or not os.path.samestat(there, os.fstat(self._fd))
        return False

    def _rest(self) -> list[bytes]:
        lines: list[bytes] = []
        while self._fd is not None:
            part = os.pread(self._fd, _READ_BYTES, self._done_bytes)
            end = part.rfind(b"\n") + 1
            self._done_bytes += end
            lines += part[:end].splitlines()
            if len(part) < _READ_BYTES or not end:
                break
        return lines

    def _end_of_full_lines(self) -> int:
        """The last line may be half written."""
        assert self._fd is not None
        size = os.fstat(self._fd).st_size
        start = max(0, size - _READ_BYTES)
        return start + os.pread(self._fd, _READ_BYTES, start).rfind(b"\n") + 1
