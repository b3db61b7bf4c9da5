"""`mosaicd events` on a real file of events: what is printed, what follows, the exit code, what is said of faults."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from daemon.cli import app
from events.mediapaths import MEDIA, media_path
from events.outbox import Letter
from events.sinks.jsonl import EventLines
from events.store import Store
from events.words import Batch, Count, Crossing, Ending, Event, Headway, Kind, Speed, Visit, line
from tests.events.sample import NIGHT, event

UNTIL_S = 30.0
VISIT = event(
    1,
    kind=Kind.END,
    revision=3,
    ended_at=NIGHT + 42,
    ending=Ending.GONE,
    zones=(Visit("door", NIGHT + 1, NIGHT + 13, has_loitered=True), Visit("door", NIGHT + 20, NIGHT + 24)),
    has_snapshot=True,
    has_clip=True,
)
DRIVE = event(
    2,
    camera="road",
    label="car",
    at=NIGHT + 600,
    kind=Kind.END,
    revision=2,
    ended_at=NIGHT + 607,
    ending=Ending.CAMERA_DOWN,
    crossings=(Crossing("kerb", "out", NIGHT + 603),),
    speed=Speed(43.2, 43.2),
    headway=Headway(1.8, 21.5),
)
OPEN = event(3, at=NIGHT + 3600, zones=(Visit("door", NIGHT + 3601),), is_stationary=True)
COUNTS = (
    Count("road", "kerb", "out", "car", NIGHT + 603),
    Count("road", "kerb", "out", "car", NIGHT + 700),
    Count("road", "kerb", "in", "bus", NIGHT + 3600),
)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with events in it."""
    keep(tmp_path, VISIT, DRIVE, OPEN, counts=COUNTS)
    return tmp_path


def keep(state: Path, *events: Event, counts: tuple[Count, ...] = ()) -> None:
    with closing(Store(state / "events" / "events.sqlite", NIGHT, print)) as store:
        store.keep(Batch(events, counts=counts), NIGHT)


def invoke(*args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``mosaicd events ARGS``."""
    result = CliRunner().invoke(app, ["events", *args], terminal_width=200, env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def ids(out: str) -> list[str]:
    return [json.loads(line)["id"] for line in out.splitlines()]


def test_help_has_examples() -> None:
    code, out, _ = invoke("--help")
    assert code == 0
    assert out.count("mosaicd events") >= 3


def test_events_are_lines_under_each_other_the_newest_last(state: Path) -> None:
    code, out, err = invoke("--state-dir", str(state))
    assert (code, err) == (0, "")
    heading, *lines = out.splitlines()
    starts = [heading.index(word) for word in ("began", "camera", "label", "lasted", "what", "kept", "ended", "id")]

    def cells(line: str) -> list[str]:
        return [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]

    assert [cells(line) for line in lines] == [
        [
            "2026-11-30 02:13:05",
            "yard",
            "person",
            "42 s",
            "in door 16 s, 2 times, loitered",
            "jpg mp4",
            "gone",
            VISIT.id,
        ],
        [
            "2026-11-30 02:23:05",
            "road",
            "car",
            "7 s",
            "over kerb: out; 43 km/h; 1.8 s behind",
            "-",
            "camera down",
            DRIVE.id,
        ],
        ["2026-11-30 03:13:05", "yard", "person", "now", "in door now; stands", "-", "-", OPEN.id],
    ]


def test_programs_get_what_a_line_of_the_file_holds(state: Path) -> None:
    code, out, _ = invoke("--state-dir", str(state), "--json")
    assert code == 0
    assert [json.loads(each) for each in out.splitlines()] == [json.loads(line(each)) for each in (VISIT, DRIVE, OPEN)]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--camera", "yard"], [VISIT, OPEN]),
        (["--label", "car"], [DRIVE]),
        (["--zone", "door", "--until", "2026-11-30T03:00"], [VISIT]),
        (["--since", "2026-11-30T02:20Z"], [DRIVE, OPEN]),
        (["--limit", "1"], [OPEN]),
        (["--limit", "2"], [DRIVE, OPEN]),
        (["--limit", "0"], [VISIT, DRIVE, OPEN]),
    ],
)
def test_events_are_narrowed(state: Path, args: list[str], expected: list[Event]) -> None:
    code, out, _ = invoke("--state-dir", str(state), "--json", *args)
    assert (code, ids(out)) == (0, [each.id for each in expected])


def test_older_words_for_labels_are_understood(tmp_path: Path) -> None:
    keep(tmp_path, event(1, label="motorcycle"))
    _, out, _ = invoke("--state-dir", str(tmp_path), "--json", "--label", "motorbike")
    assert len(ids(out)) == 1


@pytest.mark.parametrize(("limit", "count"), [("0", 1203), ("1203", 1203), ("1100", 1100)])
def test_many_events_come_page_by_page(tmp_path: Path, limit: str, count: int) -> None:
    many = [event(number, at=NIGHT + number) for number in range(1203)]
    keep(tmp_path, *many)
    code, out, err = invoke("--state-dir", str(tmp_path), "--json", "--limit", limit)
    assert (code, ids(out)) == (0, [each.id for each in many[-count:]])
    assert ("the newest 1100 are shown" in err) == (count == 1100)


def test_who_finds_nothing_is_told(state: Path, tmp_path: Path) -> None:
    assert invoke("--state-dir", str(state), "--camera", "gate") == (0, "", "no such events\n")
    keep(tmp_path / "new")
    assert invoke("--state-dir", str(tmp_path / "new")) == (0, "", "no events yet\n")


def test_one_event_in_full(state: Path) -> None:
    picture = state / "events" / MEDIA / media_path(VISIT.id, "yard", "snapshot")
    picture.parent.mkdir(parents=True)
    picture.touch()
    code, out, _ = invoke(VISIT.id, "--state-dir", str(state))
    assert code == 0
    assert out.splitlines() == [
        VISIT.id,
        "  camera   yard",
        "  label    person, at best 0.90 at 02:13:05",
        "  began    2026-11-30 02:13:05",
        "  ended    2026-11-30 02:13:47, after 42 s: gone",
        "  zone     door: 02:13:06 to 02:13:18, 12 s, loitered",
        "  zone     door: 02:13:25 to 02:13:29, 4 s",
        f"  picture  {picture}",
        "  clip     deleted since, as it was too old or too much",
    ]
    _, out, _ = invoke(DRIVE.id, "--state-dir", str(state))
    assert out.splitlines()[5:] == [
        "  line     kerb: out, 02:23:08",
        "  speed    43.2 km/h",
        "  headway  1.8 s, 21.5 m behind the one before",
        "  picture  none",
        "  clip     none",
    ]
    _, out, _ = invoke(OPEN.id, "--state-dir", str(state))
    assert "  ended    not yet" in out
    assert "  zone     door: 03:13:06 until now" in out


def test_one_event_that_is_not_there(state: Path) -> None:
    code, out, err = invoke("nonsense", "--state-dir", str(state))
    assert (code, out) == (1, "")
    assert "there is no event nonsense" in err


def test_crossings_are_a_table_by_the_hour_with_sums(state: Path) -> None:
    code, out, _ = invoke("--crossings", "--since", "2026-11-30", "--state-dir", str(state))
    assert code == 0
    assert [each.split() for each in out.splitlines()] == [
        ["hour", "from", "camera", "line", "direction", "bus", "car", "all"],
        ["2026-11-30", "02:00", "road", "kerb", "out", "-", "2", "2"],
        ["2026-11-30", "03:00", "road", "kerb", "in", "1", "-", "1"],
        ["in", "all", "road", "kerb", "in", "1", "-", "1"],
        ["in", "all", "road", "kerb", "out", "-", "2", "2"],
    ]


def test_crossings_are_csv_for_a_spreadsheet(state: Path) -> None:
    code, out, _ = invoke("--crossings", "--since", "2026-11-30T02:59", "--csv", "--state-dir", str(state))
    assert code == 0
    assert list(csv.DictReader(io.StringIO(out))) == [
        {
            "hour": f"2026-11-30T0{hour}:00+00:00",
            "camera": "road",
            "line": "kerb",
            "direction": direction,
            "label": label,
            "count": count,
        }
        for hour, direction, label, count in ((2, "out", "car", "2"), (3, "in", "bus", "1"))
    ]


def test_the_hour_that_begins_at_the_end_is_not_counted(state: Path) -> None:
    args = ("--crossings", "--since", "2026-11-30", "--until", "2026-11-30T03:00", "--json", "--state-dir", str(state))
    _, out, _ = invoke(*args)
    assert [json.loads(each)["count"] for each in out.splitlines()] == [2]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--since", "soon"], "is no time such as 2h"),
        (["--follow", "--until", "today"], "--follow"),
        (["--crossings", "--label", "car"], "--crossings"),
        (["--csv"], "--csv"),
        (["--limit", "-1"], "--limit"),
    ],
)
def test_what_makes_no_sense_is_refused(args: list[str], words: str) -> None:
    code, _, err = invoke(*args)
    assert code == 2
    assert words in err


def test_events_that_are_off_are_told_how_to_be_on(tmp_path: Path) -> None:
    settings = tmp_path / "mosaicd.yaml"
    settings.write_text("state_dir: state\nmodel: {name: demo}\nevents: {enabled: false}\n")
    code, _, err = invoke("--settings", str(settings))
    assert code == 1
    assert f"events are off: write events: {{enabled: true}} into {settings}" in err


def test_events_of_a_daemon_that_has_not_started_yet(tmp_path: Path) -> None:
    settings = tmp_path / "mosaicd.yaml"
    settings.write_text("state_dir: state\nmodel: {name: demo}\nevents: {enabled: true}\n")
    code, _, err = invoke("--settings", str(settings))
    assert code == 1
    assert f"there is no {tmp_path}/state/events/events.sqlite: the daemon makes it when it starts" in err


def test_the_settings_say_where_events_are_though_they_be_broken(state: Path) -> None:
    settings = state / "mosaicd.yaml"
    settings.write_text("state_dir: .\nmodle: {name: demo}\n")
    code, out, _ = invoke("--settings", str(settings), "--json")
    assert (code, len(ids(out))) == (0, 3)


def test_a_file_that_is_named_is_read(state: Path) -> None:
    code, out, _ = invoke("--database", str(state / "events" / "events.sqlite"), "--json")
    assert (code, len(ids(out))) == (0, 3)
    code, _, err = invoke("--database", str(state / "none.sqlite"))
    assert (code, err) == (1, f"mosaicd events: there is no file {state}/none.sqlite\n")


def test_a_file_of_something_else_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "other.sqlite").write_text("some words, and no database at all")
    code, _, err = invoke("--database", str(tmp_path / "other.sqlite"))
    assert code == 1
    assert "the file of events cannot be read just now: file is not a database" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_who_may_not_read_is_told_who_may(state: Path) -> None:
    for folder in (state, *state.parents[:3]):  # pytest's own folders are closed
        folder.chmod(0o755)
    (state / "events").chmod(0o750)
    os.chown(state / "events", -1, 12)  # the group `man`
    args = ("--state-dir", str(state), "--json")
    assert invoke(*args)[0] == 0  # what is imported lies perhaps in root's home
    with nobody():
        code, out, err = invoke(*args)
    assert (code, out) == (1, "")
    assert f"you may not read {state}/events/events.sqlite: sudo mosaicd events" in err
    assert "usermod -aG man $USER" in err


@contextmanager
def nobody() -> Iterator[None]:
    """Be somebody else for a while."""
    groups, (user, _, _), (group, _, _) = os.getgroups(), os.getresuid(), os.getresgid()
    try:
        os.setgroups([])
        os.setresgid(65534, 65534, -1)
        os.setresuid(65534, 65534, -1)
        yield
    finally:
        os.setresuid(user, user, -1)
        os.setresgid(group, group, -1)
        os.setgroups(groups)


def start(state: Path, out: Path, *args: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "daemon.cli", "events", "--follow", "--state-dir", str(state), *args]
    with out.open("w") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + UNTIL_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_what_comes_is_printed_until_ctrl_c(state: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with start(state, out, "--limit", "1", "--json") as following:
        try:
            wait_until(lambda: OPEN.id in out.read_text())
            new, end = event(9, camera="gate"), msgspec.structs.replace(OPEN, revision=1, kind=Kind.END)
            with closing(EventLines(state / "events")) as lines:
                for each in (OPEN, new, new, end):
                    lines.deliver(Letter(0, None, each))
                wait_until(lambda: len(ids(out.read_text())) == 3)
            following.send_signal(signal.SIGINT)
            assert following.wait(UNTIL_S) == 0
            assert ids(out.read_text()) == [OPEN.id, new.id, end.id], "each change once"
        finally:
            following.kill()


def test_following_ends_when_nobody_reads(state: Path) -> None:
    command = [sys.executable, "-m", "daemon.cli", "events", "--follow", "--state-dir", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
        try:
            assert following.stdout is not None
            assert following.stderr is not None
            assert following.stdout.readline().startswith("began")
            following.stdout.close()
            assert (following.wait(UNTIL_S), following.stderr.read()) == (0, "")
        finally:
            following.kill()
