"""Log lines as entries of the systemd journal, with fields: ``journalctl CAMERA=gate``.

Owns the choice between the journal and standard error, and what a field is called there. Must not know who logs. Where
systemd-python is missing, lines go to standard error, which the journal takes too, as plain text.
"""

import importlib
import logging
import os
import re
from collections.abc import Callable, Mapping

from daemon.logs import plain_fields, text_line, traceback_of

Send = Callable[..., object]
"""``systemd.journal.send``: the message, then fields by name."""

IDENTIFIER = "mosaicd"
MAX_NAME = 64
"""Of a field's name (systemd.journal-fields(7))."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_OF_THE_JOURNAL = re.compile(
    r"_|[0-9]|CODE_|COREDUMP_|JOURNAL_|OBJECT_|SYSLOG_|(MESSAGE|MESSAGE_ID|PRIORITY|UNIT|USER_UNIT)$"
)
"""Names that the journal, or whoever reads it, understands in a way of its own."""
_WORKER = re.compile(r"w[0-9]+")
"""Names of workers among those of children, as `daemon.devices` gives them out."""


def open_journal(environ: Mapping[str, str], fd: int, library: str = "systemd.journal") -> logging.Handler | None:
    """Return a handler that writes to the journal if ``fd``, standard error, ends there; else None.

    Systemd says so with the stream's numbers in ``JOURNAL_STREAM`` (systemd.exec(5)): the variable alone may be
    inherited by somebody whose output was redirected.
    """
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    if (device, inode) != (str(found.st_dev), str(found.st_ino)):
        return None
    try:
        send: Send = importlib.import_module(library).send
    except (ImportError, AttributeError):
        return None
    return JournalHandler(send)


class JournalHandler(logging.Handler):
    """One entry a record: message and fields as a line, which `journalctl` prints, and each field by its name."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; like any handler's, a failure is told on standard error."""
        try:
            self._send(
                text_line(record),
                PRIORITY=str(_priority(record.levelno)),
                SYSLOG_IDENTIFIER=IDENTIFIER,
                CODE_FILE=record.pathname,
                CODE_LINE=record.lineno,
                CODE_FUNC=str(record.funcName),
                **journal_fields(record),
            )
        except Exception:  # noqa: BLE001 - logging's own protocol: a log line that fails must not end the daemon
            self.handleError(record)


def journal_fields(record: logging.LogRecord) -> dict[str, str]:
    """Return a record's fields under the journal's names; a child that is a worker is ``WORKER`` as well."""
    found = {"LOGGER": record.name}
    for key, value in plain_fields(record).items():
        if value is not None:
            # A lone surrogate, from a camera's answer say, has no UTF-8.
            found[_name(key)] = str(value).encode("utf-8", "backslashreplace").decode()
    child = found.get("CHILD", "")
    if _WORKER.fullmatch(child):
        found.setdefault("WORKER", child)
    if text := traceback_of(record):
        found["EXCEPTION"] = text
    return found


def _name(key: str) -> str:
    name = re.sub(r"[^A-Z0-9_]", "_", key.upper())[:MAX_NAME]
    return f"FIELD_{name}"[:MAX_NAME] if not name or _OF_THE_JOURNAL.match(name) else name


def _priority(level: int) -> int:
    """Return syslog(3)'s number for a level."""
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)
