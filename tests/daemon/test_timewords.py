"""Moments and durations as people write and read them, in a time zone that has a summer."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from daemon.timewords import lasting, local, moment


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = utc("2026-11-30T17:30:00")
"""18:30 there."""


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-11-30T17:30:00"),
        ("90s", "2026-11-30T17:28:30"),
        ("30m", "2026-11-30T17:00:00"),
        ("30min", "2026-11-30T17:00:00"),
        ("1.5h", "2026-11-30T16:00:00"),
        ("2 h", "2026-11-30T15:30:00"),
        ("7d", "2026-11-23T17:30:00"),
        ("1w", "2026-11-23T17:30:00"),
        ("today", "2026-11-29T23:00:00"),
        ("yesterday", "2026-11-28T23:00:00"),
        ("14:30", "2026-11-30T13:30:00"),
        ("7:05:10", "2026-11-30T06:05:10"),
        ("2026-11-30", "2026-11-29T23:00:00"),
        ("2026-11-30T02:00", "2026-11-30T01:00:00"),
        ("2026-07-01 12:00", "2026-07-01T10:00:00"),
        ("2026-11-30T02:13:05Z", "2026-11-30T02:13:05"),
        ("2026-11-30T02:13:05+10:00", "2026-11-29T16:13:05"),
    ],
)
def test_a_moment_is_meant_as_people_mean_it(text: str, meant: str) -> None:
    assert moment(text, NOW) == utc(meant)


def test_yesterday_may_be_a_day_of_another_length() -> None:
    after_the_change = utc("2026-10-26T08:00:00")  # summer ended on the 25th, which had 25 hours
    assert moment("today", after_the_change) - moment("yesterday", after_the_change) == 25 * 3600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2",
        "h",
        "1796004785",
        "20261130",
        "25:00",
        "14:3",
        "2026-13-01",
        "999999999999d",
        "-2h",
        "0001-01-01",
        "9999-12-31T23:59-12:00",
    ],
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is no time such as 2h"):
        moment(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1.0, "0 s"),
        (0.4, "0 s"),
        (42.2, "42 s"),
        (59.6, "1 min"),
        (185.0, "3 min 5 s"),
        (7800.0, "2 h 10 min"),
        (90000.0, "1 d 1 h"),
        (86400.0, "1 d"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_a_moment_is_shown_as_on_the_clock_on_the_wall() -> None:
    assert local(NOW) == "2026-11-30 18:30:00"
