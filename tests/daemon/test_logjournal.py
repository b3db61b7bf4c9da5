"""Which fields an entry of the journal has, and when there are any."""

import logging
import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.logjournal import JournalHandler, journal_fields, open_journal
from daemon.logs import fields


def record(message="camera down", level=logging.WARNING, exc_info=None, **extra):
    made = logging.makeLogRecord({"name": "daemon.x", "msg": message, "levelno": level, "lineno": 7, "funcName": "f"})
    made.pathname, made.exc_info = "/opt/x.py", exc_info
    made.__dict__.update(extra)
    return made


class Journal:
    """What was sent."""

    def __init__(self):
        self.entries = []

    def send(self, message, **given):
        self.entries.append((message, given))


def test_an_entry_is_the_line_and_each_field_by_its_name():
    journal = Journal()
    JournalHandler(journal.send).emit(record(**fields(camera="gate", reason="timed out", delay_s=1.5, why=None)))
    [(message, given)] = journal.entries
    assert message == 'camera down camera=gate reason="timed out" delay_s=1.5 why=none'
    assert given == {
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "mosaicd",
        "LOGGER": "daemon.x",
        "CODE_FILE": "/opt/x.py",
        "CODE_LINE": 7,
        "CODE_FUNC": "f",
        "CAMERA": "gate",
        "REASON": "timed out",
        "DELAY_S": "1.5",
    }


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"camera": "gate"}, {"CAMERA": "gate"}),
        ({"mosaic": "m1", "worker": "w2", "cause": "host_oom"}, {"MOSAIC": "m1", "WORKER": "w2", "CAUSE": "host_oom"}),
        ({"child": "w12"}, {"CHILD": "w12", "WORKER": "w12"}),
        ({"child": "c1"}, {"CHILD": "c1"}),
        ({"child": "w1", "worker": "w2"}, {"CHILD": "w1", "WORKER": "w2"}),
        ({"message": "x", "priority": 0}, {"FIELD_MESSAGE": "x", "FIELD_PRIORITY": "0"}),
        ({"_pid": 1, "code_file": "x", "unit": "x"}, {"FIELD__PID": "1", "FIELD_CODE_FILE": "x", "FIELD_UNIT": "x"}),
        ({"why": "\udc80"}, {"WHY": r"\udc80"}),
        ({"Tür 2": True, "": 1, "1": 2}, {"T_R_2": "True", "FIELD_": "1", "FIELD_1": "2"}),
    ],
)
def test_names_of_fields(given, found):
    assert journal_fields(record(**fields(**given))) == {"LOGGER": "daemon.x", **found}


@given(st.text(max_size=100))
def test_no_name_is_one_that_the_journal_refuses_or_gives_a_meaning(name):
    for found in journal_fields(record(**fields(**{name: "x"}))):
        assert 0 < len(found) <= 64
        assert set(found) <= set(string.ascii_uppercase + string.digits + "_")
        assert found[0] in string.ascii_uppercase
        assert found not in ("MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "CODE_FILE", "UNIT")


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.CRITICAL, "2"),
        (logging.ERROR, "3"),
        (logging.WARNING, "4"),
        (logging.INFO, "6"),
        (logging.DEBUG, "7"),
    ],
)
def test_priorities_are_those_of_syslog(level, priority):
    journal = Journal()
    JournalHandler(journal.send).emit(record(level=level))
    assert journal.entries[0][1]["PRIORITY"] == priority


def test_a_traceback_is_a_field_and_forges_no_line():
    error = ValueError("bad\nPRIORITY=0")
    journal = Journal()
    JournalHandler(journal.send).emit(record("it\nbroke", exc_info=(ValueError, error, None)))
    [(message, given)] = journal.entries
    assert message == r"it\nbroke"
    assert given["EXCEPTION"] == "ValueError: bad\nPRIORITY=0"


def test_the_library_takes_an_entry(capsys):
    """Where no journal listens, it does nothing."""
    library = pytest.importorskip("systemd.journal", reason="the extra systemd is not installed")
    JournalHandler(library.send).emit(record("test of \udc80", **fields(camera="gate", why="\udc80\n", delay_s=1.5)))
    assert capsys.readouterr().err == ""


def test_the_journal_is_chosen_only_where_standard_error_ends_there(tmp_path):
    pytest.importorskip("systemd.journal", reason="the extra systemd is not installed")
    with (tmp_path / "stderr").open("w") as stream:
        found = os.fstat(stream.fileno())
        here = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert isinstance(open_journal(here, stream.fileno()), JournalHandler)
        for environ in ({}, {"JOURNAL_STREAM": ""}, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}):
            assert open_journal(environ, stream.fileno()) is None
        assert open_journal(here, stream.fileno(), library="no_such_package") is None
        assert open_journal(here, stream.fileno(), library="types") is None
    assert open_journal(here, 9999) is None
