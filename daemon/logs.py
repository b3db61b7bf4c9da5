"""How the daemon logs: a constant message plus fields, as text or as one JSON object a line.

Owns the root logger's one handler. Must not know who logs, nor what: whoever logs keeps secrets out. Text that came
from outside (a camera's answer, an exception's message) cannot start a line of its own: control characters are escaped.
The journal's own handler is in `daemon.logjournal`.
"""

import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

LEVELS = ("debug", "info", "warning", "error")

_COLOURS = {logging.DEBUG: "2", logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "1;31"}

# What every record has; the rest came in through `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "fields"}

_TRACEBACKS = logging.Formatter()

_JSON_OWN = frozenset({"time", "level", "logger", "message", "exception"})


class LogFormat(StrEnum):
    """What a line looks like."""

    TEXT = "text"
    JSON = "json"


def set_up_logging(
    stream: TextIO,
    *,
    style: LogFormat = LogFormat.TEXT,
    level: str = "info",
    colour: bool | None = None,
    journal: logging.Handler | None = None,
) -> logging.Handler:
    """Send all that is logged in this process to ``journal``, else to ``stream``, replacing what handlers there were.

    ``colour`` None means: where the stream is a terminal. Returns the handler, so that a test can take it away again.
    Raises ``ValueError`` for a level that is none of :data:`LEVELS`.
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
    handler = journal or logging.StreamHandler(stream)
    is_coloured = stream.isatty() if colour is None else colour
    handler.setFormatter(JsonFormatter() if style is LogFormat.JSON else TextFormatter(is_coloured=is_coloured))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    return handler


def fields(**values: object) -> dict[str, Mapping[str, object]]:
    """For ``extra=``: ``log.info("camera up", extra=fields(camera="cam-01"))``.

    Unlike a bare ``extra`` it takes any name, ``name`` and ``args`` included.
    """
    return {"fields": values}


class TextFormatter(logging.Formatter):
    """``2026-01-01T00:00:00.000Z INFO camera up camera=cam-01 reason=refused``; a traceback follows behind ``  | ``."""

    def __init__(self, *, is_coloured: bool = False) -> None:
        super().__init__()
        self._is_coloured = is_coloured

    def format(self, record: logging.LogRecord) -> str:
        """Give the record's line."""
        level = record.levelname
        if self._is_coloured and record.levelno in _COLOURS:
            level = f"\x1b[{_COLOURS[record.levelno]}m{level}\x1b[0m"
        lines = [f"{_stamp(record.created)} {level} {text_line(record)}"]
        # Split at \n only: splitlines would let other separators through unescaped.
        lines += [f"  | {_escaped(line)}" for line in traceback_of(record).split("\n") if line]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, pure ASCII: time, level, logger, message, the fields, and ``exception`` if any.

    A field that has the name of one of those is called ``field_<name>``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the record's line."""
        line: dict[str, object] = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for key, value in plain_fields(record).items():
            line[f"field_{key}" if key in _JSON_OWN else key] = value
        if text := traceback_of(record):
            line["exception"] = text
        return json.dumps(line)


def text_line(record: logging.LogRecord) -> str:
    """Return the message and its fields as one line: ``camera up camera=cam-01``."""
    given = [f"{_escaped(key)}={_quoted(value)}" for key, value in _fields_of(record).items()]
    return " ".join([_escaped(record.getMessage()), *given])


def plain_fields(record: logging.LogRecord) -> dict[str, object]:
    """Return a record's fields with values that JSON has."""
    return {key: _plain(value) for key, value in _fields_of(record).items()}


def traceback_of(record: logging.LogRecord) -> str:
    """Return the traceback that was logged with it, if any."""
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(_TRACEBACKS.formatException(record.exc_info))
    if record.stack_info:
        parts.append(_TRACEBACKS.formatStack(record.stack_info))
    return "\n".join(parts)


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    found: dict[str, object] = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    given: Any = getattr(record, "fields", None)
    if isinstance(given, Mapping):
        found.update(given)
    return found


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _escaped(text: str) -> str:
    """Escape what is not printable: newlines, escape sequences, bidirectional marks, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _quoted(value: object) -> str:
    """A value as it stands behind ``key=``: in quotes where it could be taken for something else."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    if text and text.isprintable() and not any(c in ' ="\\' for c in text):
        return text
    return '"' + _escaped(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _plain(value: object) -> object:
    """A value that JSON has, and strict readers accept."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)
