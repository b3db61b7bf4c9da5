"""Keeps what is slow to make: built graphs, by a digest of all that they are made from, and what was measured.

An entry is a folder. It is made beside its place and renamed into it, so that it is there whole or not at all, whoever
is killed on the way. A lock of the entry's own lets one process make it while others wait.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from inference.engine import ModelFiles

MAX_ENTRIES: Final = 16
"""The entries used last stay: those of a few models, sizes and versions. Each is about as large as its weights."""
_CHUNK = 1 << 20


def model_digest(files: ModelFiles) -> str:
    """sha256 over the cfg's bytes and the weights' bytes, in hex. Raises OSError."""
    digest = hashlib.sha256()
    for path in (files.cfg, files.weights):
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def digest_of(*parts: object) -> str:
    """A short name for whatever these parts say; parts that print differently have different names."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:32]


def source_digest(paths: Iterable[Path]) -> str:
    """What becomes another when the code in these files does."""
    return digest_of(*(hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)))


@contextmanager
def kept(folder: Path | None, name: str, make: Callable[[Path], None]) -> Iterator[Path]:
    """The entry `name` of the cache folder, made by `make(empty folder)` if it is not there yet.

    With no folder, or one that cannot be written, it is made for this once and deleted afterwards: a full disk keeps no
    worker from working. What else `make` raises passes through, and nothing is kept.
    """
    entry = None
    if folder is not None:
        try:
            entry = _entry(folder, name, make)
        except _NotKept as error:
            print(f"{folder} cannot be written, so {name} is not kept: {error}", file=sys.stderr)
    if entry is not None:
        yield entry
        return
    with tempfile.TemporaryDirectory(prefix="mosaicd-") as place:
        make(Path(place))
        yield Path(place)


def drop(folder: Path, name: str) -> None:
    """Delete an entry that turned out to be damaged."""
    shutil.rmtree(folder / name, ignore_errors=True)


def read_json(folder: Path, name: str) -> Any:
    """What `write_json` kept under this name; None if there is nothing that can be read."""
    try:
        return json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None


def write_json(folder: Path, name: str, value: object) -> None:
    """Keep a small value, whole or not at all. Raises OSError."""
    _make_folder(folder)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    try:
        with os.fdopen(descriptor, "w") as file:
            _give(descriptor, folder)
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / f"{name}.json")
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


class _NotKept(Exception):  # noqa: N818 - not an error for anybody outside
    """The cache folder cannot be written."""


def _entry(folder: Path, name: str, make: Callable[[Path], None]) -> Path:
    entry = folder / name
    if entry.is_dir():
        _touch(entry)
        return entry
    try:
        _make_folder(folder)
        lock = os.open(folder / f".{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        _give(lock, folder)
    except OSError as error:
        raise _NotKept(str(error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back by the kernel, however this process ends
        if not entry.is_dir():
            _make(folder, name, make)
        return entry
    finally:
        os.close(lock)


def _make(folder: Path, name: str, make: Callable[[Path], None]) -> None:
    for left in folder.glob(f".{name}.new-*"):  # by somebody who was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    try:
        new = Path(tempfile.mkdtemp(prefix=f".{name}.new-", dir=folder))
    except OSError as error:
        raise _NotKept(str(error)) from error
    try:
        make(new)
        for path in [*new.rglob("*"), new]:
            _give(path, folder)
        _sync(new)
        new.rename(folder / name)
    except OSError as error:
        raise _NotKept(str(error)) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    _prune(folder)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        _give(folder, folder.parent)


def _give(path: Path | int, folder: Path) -> None:
    """What an administrator makes belongs to whom the folder belongs to: the daemon has to work with it afterwards."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _sync(folder: Path) -> None:
    """After a power cut an entry that has its name must have its content too."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _touch(entry: Path) -> None:
    with suppress(OSError):  # a cache that is read-only is good enough
        os.utime(entry)


def _prune(folder: Path) -> None:
    entries = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    used: dict[Path, float] = {}
    for path in entries:
        with suppress(OSError):
            used[path] = path.stat().st_mtime
    for path in sorted(used, key=lambda item: used[item], reverse=True)[MAX_ENTRIES:]:
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            (folder / f".{path.name}.lock").unlink()
