"""Real file systems that are small, or read only."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MS_RDONLY, MS_REMOUNT, MNT_DETACH = 1, 32, 2  # mount(2)


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    """A file system of this size at ``folder``; skips the test where none can be mounted."""
    folder.mkdir()
    _mount(folder, 0, f"size={kib}k")
    try:
        yield folder
    finally:
        assert ctypes.CDLL(None).umount2(bytes(folder), MNT_DETACH) == 0


def set_read_only(folder: Path, kib: int, is_read_only: bool) -> None:
    """Let nobody write to a small disk any more, or let them again."""
    _mount(folder, MS_REMOUNT | (MS_RDONLY if is_read_only else 0), f"size={kib}k")


def _mount(folder: Path, flags: int, options: str) -> None:
    if ctypes.CDLL(None, use_errno=True).mount(b"none", bytes(folder), b"tmpfs", flags, options.encode()) != 0:
        pytest.skip(f"cannot mount a small disk: {os.strerror(ctypes.get_errno())}")
