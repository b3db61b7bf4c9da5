"""Files on disk, written so that they are whole or not there, and the errors of the disk in words.

Knows nothing of models or networks.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from daemon.models.catalog import Digest
from daemon.models.errors import NoSpaceError, StoreError

FILE_MODE: Final = 0o644
"""Whoever fetched it, the daemon's user must read it; models are no secret."""
FOLDER_MODE: Final = 0o755

_AS_WHOM: Final = "Run it as root or as the daemon's user: sudo mosaicd models ..."


@contextmanager
def on_disk(path: Path, needed_bytes: int = 0) -> Iterator[None]:
    """Raise StoreError where something inside fails with OSError while it works on `path`, for which `needed_bytes`
    were wanted."""
    try:
        yield
    except OSError as error:
        raise _store_error(error, path, needed_bytes) from error


def _store_error(error: OSError, path: Path, needed_bytes: int) -> StoreError:
    where = error.filename or path
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return NoSpaceError(path, needed_bytes, free_bytes(path.parent))
        case errno.EACCES | errno.EPERM:
            return StoreError(f"{where}: no permission. {_AS_WHOM}")
        case errno.EROFS:
            return StoreError(f"{where}: the file system is read-only. Give another folder with --state-dir")
        case _:
            return StoreError(f"{where}: {error.strerror}. Check the folder and its disk")


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def digest_of(path: Path, algorithm: str) -> str:
    """The file's digest in lower-case hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def is_file_with(path: Path, size_bytes: int, digest: Digest) -> bool:
    """Whether this very file is there. Raises OSError where it cannot be told."""
    return path.is_file() and path.stat().st_size == size_bytes and digest_of(path, digest.algorithm) == digest.value


def write_file(path: Path, content: bytes) -> None:
    """Write a small file so that it outlives a power cut. Raises StoreError."""
    with on_disk(path, len(content)):
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            file.write(content)
        finish(part, path)


def copy_file(source: Path, path: Path) -> None:
    """Copy a file of any size so that it outlives a power cut. Raises StoreError."""
    with on_disk(path, source.stat().st_size):
        part = path.with_name(path.name + ".part")
        shutil.copyfile(source, part)
        finish(part, path)


def finish(part: Path, path: Path) -> None:
    """Give a part that is complete its name, once it is on the disk and readable by the daemon. Raises OSError."""
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fchmod(descriptor, FILE_MODE)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(path)


def sync_folder(folder: Path) -> None:
    """See to it that names given in the folder outlive a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
