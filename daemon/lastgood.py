"""The last settings and roster that were valid, kept in the state folder.

Owns one file, `last-good.json`. It holds texts as they were written, `${NAME}` not replaced, with their paths (for
messages and relative paths) and the `--set` overrides. A roster's text may hold a password all the same, so
the file is readable by its owner only. It must not know what the texts mean.
"""

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

FILE_NAME = "last-good.json"
VERSION = 1
MAX_BYTES = 16 << 20


class LastGoodError(Exception):
    """The file cannot be written, read or understood. Holds nothing of its content."""


@dataclass(frozen=True, slots=True)
class StoredText:
    """A file as it was: its absolute path, and its text."""

    path: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LastGood:
    """What the daemon last ran on."""

    settings: StoredText
    roster: StoredText
    overrides: tuple[str, ...] = ()
    """`KEY.PATH=VALUE`, as given by `--set`."""
    included: tuple[StoredText, ...] = ()
    """What the roster includes, in its order; files of before this was known have none."""
    version: int = VERSION

    @property
    def roster_texts(self) -> tuple[StoredText, ...]:
        """All of the roster, the main file first."""
        return (self.roster, *self.included)


def save(state_dir: Path, last_good: LastGood) -> None:
    """Replaces the file at once or not at all, also across a power cut; mode 0600. Raises LastGoodError."""
    temporary = None
    try:
        content = msgspec.json.encode(last_good)
        descriptor, temporary = tempfile.mkstemp(prefix=".last-good-", dir=state_dir)  # mode 0600
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, state_dir / FILE_NAME)
        _sync_folder(state_dir)
    except (OSError, UnicodeEncodeError) as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise LastGoodError(f"{state_dir / FILE_NAME} cannot be written: {reason}") from None


def load(state_dir: Path) -> LastGood | None:
    """What was saved, or None where nothing was. Raises LastGoodError where the file is of no use."""
    path = state_dir / FILE_NAME
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES)
        last_good = msgspec.json.decode(content, type=LastGood)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LastGoodError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # from None: msgspec may quote the text
        raise LastGoodError(f"{path} is damaged; delete it") from None
    if last_good.version != VERSION:
        raise LastGoodError(f"{path} has version {last_good.version}, not {VERSION}; delete it")
    return last_good


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
