"""A file of MP4 boxes in which each is there whole or not at all, whenever the process is killed.

FFmpeg and browsers open no file that ends within a ``moof`` (tried with FFmpeg 5.1, 8.1 and Chromium 156). So what
comes between two commits is written but for its first eight bytes, the head of its first box, and these last. Until
then there are zeros, a box that by its size of 0 reaches to the end of the file (ISO/IEC 14496-12, 4.2).
"""

import os
from contextlib import suppress
from typing import Protocol

HEAD_BYTES = 8


class Write(Protocol):
    """os.pwrite."""

    def __call__(self, fd: int, data: memoryview, offset: int, /) -> int:
        """Return how much was written."""


class BoxFile:
    """Owns a descriptor of an empty file. FFmpeg's output: what it asks of a file object."""

    def __init__(self, fd: int, write: Write = os.pwrite) -> None:
        self._fd = fd
        self._write = write
        self._at = 0
        self._end = 0
        self._error: OSError | None = None
        self._runs: list[tuple[int, bytearray]] = []
        """What is not written yet: places, and what belongs there without a gap."""

    def write(self, data: bytes) -> int:
        """Take what belongs at the present place."""
        if self._runs and self._at == self._runs[-1][0] + len(self._runs[-1][1]):
            self._runs[-1][1].extend(data)
        else:
            self._runs.append((self._at, bytearray(data)))
        self._at += len(data)
        self._end = max(self._end, self._at)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the present place."""
        return self._at

    def commit(self) -> None:
        """Write what was taken. Raises OSError, and then neither that nor anything that comes after it is there."""
        runs, self._runs = self._runs, []
        if self._error:
            raise self._error
        for place, data in runs:
            head = min(len(data), HEAD_BYTES)
            view = memoryview(data)
            try:
                self._put(view[head:], place + head)
                self._put(view[:head], place)
            except OSError as error:
                self._error = error
                if place + len(data) >= os.fstat(self._fd).st_size:
                    with suppress(OSError):
                        os.ftruncate(self._fd, place)
                raise

    def size(self) -> int:
        """Return how much has been written, bytes."""
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        """Close the descriptor. Raises OSError."""
        os.close(self._fd)

    def _put(self, data: memoryview, place: int) -> None:
        while data:
            written = self._write(self._fd, data, place)
            data, place = data[written:], place + written
