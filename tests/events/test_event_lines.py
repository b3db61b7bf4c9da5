"""Events as lines in real files."""

import json
import os

import pytest

from events.outbox import Letter
from events.sinks.courier import LaterError
from events.sinks.jsonl import EventLines, EventLinesOptions
from events.words import line
from tests.events.recipients import Site, life
from tests.events.sample import NIGHT, event


class Clock:
    def __init__(self):
        self.now = NIGHT

    def __call__(self):
        return self.now


def letter(number, **changes):
    return Letter(number, None, event(number, **changes))


def lines(folder):
    return [json.loads(text) for text in (folder / "events.jsonl").read_text().splitlines()]


def test_every_change_is_a_line(tmp_path):
    with Site(tmp_path / "events.sqlite", EventLines(tmp_path / "out", clock=Clock())) as site:
        site.keep(*life(1))
        site.wait_told()
    assert [(found["kind"], found["revision"]) for found in lines(tmp_path / "out")] == [
        ("new", 0),
        ("update", 1),
        ("end", 2),
    ]
    assert lines(tmp_path / "out")[0]["started_at"] == "2026-11-30T02:13:05.000Z"


def test_ends_alone_if_wanted(tmp_path):
    with Site(tmp_path / "events.sqlite", EventLines(tmp_path, EventLinesOptions(ends_only=True), Clock())) as site:
        site.keep(*life(1), *life(2))
        site.wait_told()
    assert [found["kind"] for found in lines(tmp_path)] == ["end", "end"]


def test_files_are_rotated_and_bounded(tmp_path):
    size_mib = len(line(event(0))) / (1 << 20)
    clock = Clock()
    sink = EventLines(tmp_path, EventLinesOptions(max_mib=size_mib * 2.5, max_old_mib=size_mib * 4.5), clock)
    for number in range(9):
        clock.now += 1
        sink.deliver(letter(number))
    sink.close()
    files = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert files == ["events.20261130T021312Z.jsonl", "events.20261130T021314Z.jsonl", "events.jsonl"]


def test_a_file_of_yesterday_is_rotated_even_by_a_new_process(tmp_path):
    sink = EventLines(tmp_path, clock=Clock())
    sink.deliver(letter(1))
    sink.close()
    clock = Clock()
    clock.now += 90_000
    sink = EventLines(tmp_path, clock=clock)
    sink.deliver(letter(2))
    sink.close()
    assert len(lines(tmp_path)) == 1
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


def test_a_full_disk_is_told_of_and_the_line_is_written_later_once(tmp_path):
    path = tmp_path / "events.jsonl"
    path.symlink_to("/dev/full")
    sink = EventLines(tmp_path, clock=Clock())
    with pytest.raises(LaterError, match="No space left"):
        sink.deliver(letter(1))
    path.unlink()
    sink.deliver(letter(1))
    sink.close()
    assert len(lines(tmp_path)) == 1


def test_what_cannot_be_removed_stops_no_line(tmp_path):
    stuck = tmp_path / "events.20200101T000000Z.jsonl"
    stuck.mkdir()
    sink = EventLines(tmp_path, clock=Clock())
    sink.deliver(letter(1))
    sink.close()
    assert len(lines(tmp_path)) == 1
    os.rmdir(stuck)


def test_a_clock_that_leaps_a_year_ahead_removes_nothing_at_once(tmp_path):
    old = tmp_path / "events.20261129T000000Z.jsonl"
    old.touch()
    clock = Clock()
    for _ in range(2):
        sink = EventLines(tmp_path, clock=clock)
        sink.deliver(letter(1))
        clock.now = NIGHT + 366 * 86_400.0
        sink.deliver(letter(2))
        sink.close()
        assert old.exists(), "nor by who is started meanwhile"
