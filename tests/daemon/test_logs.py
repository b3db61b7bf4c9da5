"""Lines by value, and that nothing from outside can forge one."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.logs import JsonFormatter, LogFormat, TextFormatter, fields, set_up_logging

MIDNIGHT = 1767225600.0  # 2026-01-01T00:00:00Z


def record(message="camera up", level=logging.INFO, exc_info=None, **extra):
    made = logging.makeLogRecord({"name": "daemon.x", "msg": message, "levelname": logging.getLevelName(level)})
    made.levelno, made.created, made.exc_info = level, MIDNIGHT, exc_info
    made.__dict__.update(extra)
    return made


@pytest.fixture
def root():
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    for handler in handlers:  # force=True would close pytest's own
        logger.removeHandler(handler)
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_text_is_message_and_fields():
    line = TextFormatter().format(record(**fields(camera="cam-01", reason="refused")))
    assert line == "2026-01-01T00:00:00.000Z INFO camera up camera=cam-01 reason=refused"


def test_a_bare_extra_works_as_well():
    assert TextFormatter().format(record(camera="cam-01")).endswith("INFO camera up camera=cam-01")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("/a/b.yaml:3:7", "/a/b.yaml:3:7"),
        ("Tür 2", '"Tür 2"'),
        ("", '""'),
        ('say "hi"', r'"say \"hi\""'),
        ("a=b", '"a=b"'),
        ("a\\b", r'"a\\b"'),
        ("two\nlines\t", r'"two\nlines\t"'),
        ("\x1b[2J", r'"\x1b[2J"'),
        ("\u2028\u202e\udc80", r'"\u2028\u202e\udc80"'),
        (None, "none"),
        (True, "true"),
        (3, "3"),
        (0.30000000000000004, "0.3"),
        ((1, 2), '"(1, 2)"'),
    ],
)
def test_values_are_quoted_where_needed(value, text):
    assert TextFormatter().format(record(**fields(key=value))).endswith(f" camera up key={text}")


@given(st.text(), st.text())
def test_no_text_from_outside_makes_a_second_line(message, value):
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record(message, **fields(value=value)))
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line


def test_a_traceback_cannot_forge_a_line():
    try:
        raise ValueError("bad\n2026-01-01T00:00:00.000Z INFO all is well\x1b[0m")
    except ValueError as error:
        lines = TextFormatter().format(record(exc_info=(ValueError, error, error.__traceback__))).split("\n")
    assert len(lines) > 2
    assert all(line.startswith("  | ") for line in lines[1:])
    assert lines[-1] == "  | 2026-01-01T00:00:00.000Z INFO all is well\\x1b[0m"


def test_json_is_one_object():
    line = JsonFormatter().format(record(**fields(camera="cam-01", box=(1, 2.5), score=float("nan"), why=None)))
    assert json.loads(line) == {
        "time": "2026-01-01T00:00:00.000Z",
        "level": "info",
        "logger": "daemon.x",
        "message": "camera up",
        "camera": "cam-01",
        "box": [1, 2.5],
        "score": "nan",
        "why": None,
    }


def test_json_fields_cannot_take_the_place_of_the_level():
    found = json.loads(JsonFormatter().format(record(**fields(level="critical", message="no"))))
    assert (found["level"], found["message"], found["field_level"]) == ("info", "camera up", "critical")


def test_json_has_the_traceback():
    error = ValueError("bad")
    found = json.loads(JsonFormatter().format(record(exc_info=(ValueError, error, None))))
    assert found["exception"] == "ValueError: bad"


def test_set_up_sends_everything_to_the_stream(root):
    stream = io.StringIO()
    set_up_logging(stream, level="warning")
    logging.getLogger("daemon.a").info("not shown")
    logging.getLogger("daemon.b").warning("camera down", extra=fields(camera="cam-02", name="x"))
    assert stream.getvalue().split(" ", 1)[1] == "WARNING camera down camera=cam-02 name=x\n"


def test_set_up_again_replaces(root):
    first, second = io.StringIO(), io.StringIO()
    set_up_logging(first)
    set_up_logging(second, style=LogFormat.JSON)
    root.info("once")
    assert first.getvalue() == ""
    assert json.loads(second.getvalue())["message"] == "once"


@pytest.mark.parametrize(
    ("stream", "colour", "is_coloured"),
    [(Terminal, None, True), (Terminal, False, False), (io.StringIO, None, False), (io.StringIO, True, True)],
)
def test_only_a_terminal_gets_colour(root, stream, colour, is_coloured):
    out = stream()
    set_up_logging(out, colour=colour)
    root.error("gone")
    assert ("\x1b[31mERROR\x1b[0m" in out.getvalue()) is is_coloured


def test_an_unknown_level_is_refused(root):
    with pytest.raises(ValueError, match="debug, info, warning, error"):
        set_up_logging(io.StringIO(), level="loud")
