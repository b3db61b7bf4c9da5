"""A sink's thread: in order, again and again, never for ever, and at a bounded rate."""

import sqlite3
import threading
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.backoff import Backoff
from events.outbox import OutboxReader
from events.sinks.courier import Courier, CourierPolicy, LaterError, RefusedError
from events.sinks.pace import Pace
from events.store import Store
from events.words import Batch, Kind
from tests.events.recipients import QUICK, Heard, Site, life, wait_until
from tests.events.sample import NIGHT, event


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.sqlite"


def waiting(path, sink="heard"):
    with closing(OutboxReader(path, sink)) as outbox:
        return [letter.event.id[-1] for letter in outbox.take(0, 1000)]


def test_everything_is_told_once_in_order_and_waits_no_more(path):
    heard = Heard()
    with Site(path, heard) as site:
        for number in range(3):
            site.keep(*life(number))
        site.wait_told()
        assert [letter.event for letter in heard.letters] == [*life(0), *life(1), *life(2)]
        assert waiting(path) == []
        assert site.courier.statistics().told == {Kind.NEW: 3, Kind.UPDATE: 3, Kind.END: 3}
        assert site.told == []
    assert heard.is_closed


def test_news_is_told_at_once_and_not_at_the_next_look(path):
    heard = Heard()
    with Site(path, heard) as site:
        site.wait_told()
        site.keep(event(1))
        wait_until(lambda: len(heard.letters) == 1)


def test_what_fails_is_told_again_in_its_order_and_a_person_hears_of_it_twice(path):
    heard = Heard()
    heard.failures = [LaterError("no route")] * 5
    with Site(path, heard) as site:
        site.keep(*life(1), *life(2))
        site.wait_told()
        assert [change for change in heard.changes if change[1] != "update"] == [
            ("1", "new"),
            ("1", "end"),
            ("2", "new"),
            ("2", "end"),
        ]
        assert site.messages == ["sink cannot be told", "sink is told again"]
        found = site.courier.statistics()
        assert (found.failures, found.is_well, found.refused) == (5, True, 0)
        assert waiting(path) == []


def test_after_an_outage_beginnings_and_ends_are_told_and_overtaken_updates_are_not(path):
    heard = Heard()
    heard.failures = [LaterError("no route")]
    with closing(Store(path, NIGHT, print, ["heard"])) as store:
        for number in range(3):
            store.keep(Batch(events=tuple(life(number, updates=9))), NIGHT)
    with Site(path, heard) as site:
        site.wait_told()
        assert heard.changes == [(str(number), kind) for number in range(3) for kind in ("new", "end")]
        assert site.courier.statistics().stale == 27
        assert waiting(path) == []


def test_what_is_refused_is_given_up_after_three_tries_and_the_next_is_told(path):
    heard = Heard()
    heard.failures = [RefusedError("404")] * 3
    with Site(path, heard) as site:
        site.keep(event(1), event(2))
        site.wait_told()
        assert heard.changes == [("2", "new")]
        assert (site.courier.statistics().refused, site.courier.statistics().failures) == (1, 3)
        assert [notice.fields for notice in site.told] == [
            {"sink": "heard", "cause": "404"},
            {"sink": "heard", "refused": 1},
        ]
        assert waiting(path) == []


def test_what_another_version_has_left_and_nobody_can_read_is_passed_over(path):
    heard = Heard()
    with closing(Store(path, NIGHT, print, ["heard"])) as store:
        store.keep(Batch(events=tuple(event(number) for number in range(4))), NIGHT)
        with store.transaction() as connection:
            connection.execute("UPDATE outbox SET body = '{}' WHERE event IN (?, ?)", (event(0).id, event(3).id))
            connection.execute("UPDATE outbox SET before = 'x' WHERE event = ?", (event(1).id,))
    with Site(path, heard) as site:
        site.wait_told()
        site.keep(event(4))
        site.wait_told()
        assert [change for change in heard.changes if change[1] == "new"] == [("2", "new"), ("4", "new")]
        assert [notice.fields for notice in site.told] == [{"sink": "heard", "changes": 3}]
        assert waiting(path) == []
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def courier_of(path, heard, policy=QUICK):
    done = []
    with closing(Store(path, NIGHT, print, ["heard"])) as store:
        store.keep(Batch(events=tuple(event(number) for number in range(5))), NIGHT)
    return Courier(path, heard, news=threading.Event(), delivered=done.extend, tell=lambda _: None, policy=policy), done


def test_a_recipient_that_fails_is_left_alone_for_longer_and_longer(path):
    heard = Heard()
    heard.failures = [LaterError("no")] * 8
    courier, _ = courier_of(path, heard, CourierPolicy(burst=100, backoff=Backoff(1.0, 60.0, jitter_ratio=0.0)))
    assert [courier.step() for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert courier.step() == 0.0
    heard.failures = [LaterError("no")]
    assert courier.step() == 1.0


def test_a_recipient_that_asks_to_be_left_alone_is_but_not_for_ever(path):
    heard = Heard()
    heard.failures = [LaterError("429", 120.0), LaterError("429", 1e9)]
    courier, _ = courier_of(path, heard)
    assert courier.step() == 120.0
    assert courier.step() == 3600.0


def test_what_waits_is_told_at_a_bounded_rate(path):
    heard = Heard()
    courier, done = courier_of(path, heard, CourierPolicy(rate_hz=0.001, burst=2))
    assert [courier.step(), courier.step()] == [0.0, 0.0]
    assert courier.step() > 900.0
    assert (len(heard.letters), len(done)) == (2, 2)


def test_a_new_file_with_lower_numbers_is_read_from_its_beginning(path):
    heard = Heard()
    with Site(path, heard) as site:
        site.keep(event(1))
        site.wait_told()
        path.rename(path.with_name("old"))
        with closing(Store(path, NIGHT - 1000, print, ["heard"])) as store:
            store.keep(Batch(events=(event(2),)), NIGHT)
        site.wait_told()
        assert heard.changes == [("1", "new"), ("2", "new")]


class Kept(Heard):
    """A recipient with a connection that is kept while nothing is to be told."""

    def __init__(self):
        super().__init__()
        self.is_there = True

    def idle(self, timeout_s):
        """Wait a moment, and fail if the other side is away."""
        threading.Event().wait(0.01)
        if not self.is_there:
            raise LaterError("no route")
        return True


def test_a_recipient_that_is_away_is_told_of_before_there_is_an_event(path):
    kept = Kept()
    kept.is_there = False
    with Site(path, kept) as site:
        wait_until(lambda: site.messages == ["sink cannot be told"])
        assert not site.courier.statistics().is_well
        kept.is_there = True
        site.writer.news(kept.name).set()
        wait_until(lambda: site.messages == ["sink cannot be told", "sink is told again"])
        site.keep(event(1))
        site.wait_told()
        assert site.courier.statistics().is_well
        assert len(site.messages) == 2


def test_a_recipient_that_breaks_says_so_and_ends_alone(path):
    heard = Heard()
    heard.failures = [ZeroDivisionError()]
    with Site(path, heard) as site:
        site.keep(event(1))
        wait_until(lambda: "sink failed" in site.messages)
        assert site.courier.statistics().cause == "ZeroDivisionError()"


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50), st.floats(0.1, 100), st.integers(1, 20))
def test_a_pace_is_kept_over_any_time(waits, rate_hz, burst):
    pace, now_s, passed = Pace(rate_hz, burst), 1000.0, 0
    for wait_s in waits:
        now_s += wait_s
        while pace.delay_s(now_s) == 0.0:
            passed += 1
        assert 0 < pace.delay_s(now_s) <= 1 / rate_hz + 1e-9
    assert passed <= burst + (now_s - 1000.0) * rate_hz + 1
