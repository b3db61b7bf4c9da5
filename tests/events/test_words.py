"""An event's JSON, both forms of it, and its id."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.words import ID_BITS, Crossing, Kind, Visit, Waypoint, document, event_id, id_stamp, line, pack, unpack
from tests.events.sample import NIGHT, event


def test_an_id_says_when_and_where_and_sorts_by_time():
    assert event_id("yard", NIGHT + 0.1239, 0) == "20261130T021305.123Z-yard-000000"
    assert event_id("yard", NIGHT, (1 << ID_BITS) - 1).endswith("-zzzzzz")


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_stamps_of_ids_sort_as_times_do(first, second):
    assert first > second or id_stamp(first) <= id_stamp(second)
    assert len(id_stamp(first)) == 20


@pytest.mark.parametrize("at", [float("nan"), float("inf"), 1e300, -1e300])
def test_what_is_no_time_has_no_id(at):
    with pytest.raises(ValueError, match=r"."):
        id_stamp(at)


def test_what_is_packed_comes_back():
    whole = event(
        zones=(Visit("gate", NIGHT), Visit("yard", NIGHT + 1, NIGHT + 2)),
        crossings=(Crossing("fence", "in", NIGHT + 1.5),),
        path=(Waypoint(0, 0.5, 0.5), Waypoint(1, 0.25, 0.5)),
    )
    assert unpack(pack(whole)) == whole


def test_what_is_no_event_is_refused():
    with pytest.raises(msgspec.DecodeError):
        unpack(b'{"id":"x"}')


def test_people_read_times_as_times():
    ended = event(kind=Kind.END, ended_at=NIGHT + 9.5, zones=(Visit("yard", NIGHT + 1),), path=(Waypoint(0, 0.1, 0.2),))
    found = document(ended)
    assert found["started_at"] == "2026-11-30T02:13:05.000Z"
    assert found["ended_at"] == "2026-11-30T02:13:14.500Z"
    (zone,) = found["zones"]
    assert zone == {
        "zone": "yard",
        "entered_at": "2026-11-30T02:13:06.000Z",
        "left_at": None,
        "has_loitered": False,
    }
    assert found["path"] == [[0, 0.1, 0.2]]
    assert found["kind"] == "end"


def test_a_line_is_one_line():
    written = line(event(label="a\nb"))
    assert written.count(b"\n") == 1
    assert json.loads(written)["label"] == "a\nb"
