"""What waits for a sink: in order, until it is delivered, and no more than its outbox holds."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.outbox import Letter, OutboxReader, without_stale
from events.store import Store, ended
from events.words import Batch, Ending, Kind
from tests.events.sample import NIGHT, event


def changes(number, updates=1):
    """A whole life."""
    return [
        event(number),
        *(event(number, kind=Kind.UPDATE, revision=1 + each) for each in range(updates)),
        ended(event(number, revision=updates), Ending.GONE),
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.sqlite"


@pytest.fixture
def store(path):
    with closing(Store(path, NIGHT, print, ["hook", "mqtt"])) as opened:
        yield opened


def waiting(path, sink="hook", after=0, limit=1000):
    with closing(OutboxReader(path, sink)) as outbox:
        return outbox.take(after, limit)


def told(letters):
    return [(letter.event.id[-1], letter.event.kind.value) for letter in letters]


def test_each_sink_gets_every_change_in_order_with_what_was_before(path, store):
    life = changes(1)
    for change in life:
        store.keep(Batch(events=(change,)), NIGHT)
    for sink in ("hook", "mqtt"):
        letters = waiting(path, sink)
        assert [letter.event for letter in letters] == life
        assert [letter.before for letter in letters] == [None, life[0], life[1]]
    assert waiting(path, "nobody") == ()


def test_what_is_delivered_waits_no_more_and_others_keep_theirs(path, store):
    store.keep(Batch(events=tuple(changes(1))), NIGHT)
    first, second, third = waiting(path)
    store.delivered("hook", [first.seq, second.seq])
    assert [letter.seq for letter in waiting(path)] == [third.seq]
    assert len(waiting(path, "mqtt")) == 3
    assert waiting(path, after=third.seq) == ()
    assert len(waiting(path, "mqtt", limit=2)) == 2


def test_old_news_is_not_told_again(path, store):
    store.keep(Batch(events=(event(1, revision=3, kind=Kind.UPDATE),)), NIGHT)
    store.keep(Batch(events=(event(1, revision=3, kind=Kind.UPDATE), event(1))), NIGHT)
    assert len(waiting(path)) == 1


def test_an_event_closed_after_a_restart_is_told(path, store):
    store.keep(Batch(events=(event(1),)), NIGHT)
    store.close_open(NIGHT)
    assert told(waiting(path)) == [("1", "new"), ("1", "end")]


def test_beyond_its_capacity_an_outbox_drops_updates_first_then_the_oldest(path, store):
    for number in range(4):
        store.keep(Batch(events=tuple(changes(number, updates=2))), NIGHT)
    found = store.trim_outbox(10)
    assert found["hook"].dropped == found["mqtt"].dropped == {Kind.UPDATE: 6}
    rest = [(str(number), kind) for number in range(4) for kind in ("new", "end")]
    assert told(waiting(path)) == [*rest[:-1], ("3", "update"), ("3", "update"), rest[-1]]
    assert store.trim_outbox(8)["hook"].dropped == {Kind.UPDATE: 2}
    assert told(waiting(path)) == rest
    found = store.trim_outbox(5)["hook"]
    assert (found.count, found.oldest_at, found.dropped) == (5, NIGHT, {Kind.NEW: 2, Kind.END: 1})
    assert told(waiting(path)) == rest[3:]
    assert store.trim_outbox(5)["hook"].dropped == {}


def test_the_outbox_of_a_sink_that_is_no_more_is_deleted_with_a_message(path, store):
    store.keep(Batch(events=(event(1),)), NIGHT)
    notices = []
    Store(path, NIGHT, notices.append, ["mqtt"]).close()
    assert [(notice.message, notice.fields) for notice in notices] == [
        ("outbox of a sink that is no more deleted", {"sink": "hook", "events": 1})
    ]
    assert (len(waiting(path)), len(waiting(path, "mqtt"))) == (0, 1)


def test_a_late_receipt_hits_no_row_of_a_new_file(path, store):
    store.keep(Batch(events=tuple(changes(1, updates=20))), NIGHT)
    old = [letter.seq for letter in waiting(path)]
    path.rename(path.with_name("old"))
    with closing(Store(path, NIGHT + 1, print, ["hook"])) as new:
        new.keep(Batch(events=tuple(changes(2, updates=20))), NIGHT)
        new.delivered("hook", old)
        assert len(waiting(path)) == 22


def test_after_an_outage_an_update_that_another_letter_overtook_is_stale():
    life = [Letter(seq, None, change) for seq, change in enumerate([*changes(1, updates=2), *changes(2)[:2]])]
    assert told(without_stale(life)) == [("1", "new"), ("1", "end"), ("2", "new"), ("2", "update")]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(Kind))))
def test_no_beginning_and_no_end_is_ever_stale(changed):
    letters = [Letter(seq, None, event(number, kind=kind)) for seq, (number, kind) in enumerate(changed)]
    left = list(without_stale(letters))
    assert [one for one in left if one.event.kind is not Kind.UPDATE] == [
        one for one in letters if one.event.kind is not Kind.UPDATE
    ]
    assert {one.event.id for one in left} == {one.event.id for one in letters}
    assert [one.seq for one in left] == sorted(one.seq for one in left)
