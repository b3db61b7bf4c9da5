"""Series: what has changed is reported once, all of it in the end, and none of it in a message that is too large."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.channel import MAX_MESSAGE_BYTES
from events.series import BOUNDS, CLOSED, LABELS, MOST_BYTES, Figure, Series, Tallies, observed, size, total

CROSSING = Series(Figure.CROSSINGS, ("gate", "drive", "in", "car"), (1,))
EVENT = Series(Figure.EVENTS, ("gate", "car", "new"), (1,))


def reported(tallies: Tallies) -> tuple[Series, ...]:
    found = tallies.changed()
    tallies.reported(found)
    return found


def test_what_has_changed_is_reported_as_it_is_and_no_more():
    tallies = Tallies()
    tallies.add(CROSSING)
    tallies.add(CROSSING)
    tallies.add(EVENT)
    assert reported(tallies) == (msgspec.structs.replace(CROSSING, numbers=(2,)), EVENT)
    assert reported(tallies) == ()
    tallies.put(EVENT)
    assert reported(tallies) == ()
    tallies.add(EVENT)
    assert reported(tallies) == (msgspec.structs.replace(EVENT, numbers=(2,)),)


def test_what_was_not_sent_is_reported_again_with_what_has_come_since():
    tallies = Tallies()
    tallies.add(CROSSING)
    assert tallies.changed() == (CROSSING,)
    tallies.add(CROSSING)
    assert tallies.changed() == (msgspec.structs.replace(CROSSING, numbers=(2,)),)


def test_a_camera_that_is_forgotten_begins_anew():
    tallies = Tallies()
    told = Series(Figure.TOLD, ("gate", "new"), (1,))  # a sink of the same name
    for series in (CROSSING, EVENT, told):
        tallies.add(series)
    tallies.forget("gate")
    assert reported(tallies) == (told,)
    tallies.add(CROSSING)
    assert reported(tallies) == (CROSSING,)


def test_more_than_a_message_may_hold_is_reported_in_turn():
    tallies = Tallies()
    series = [
        Series(Figure.EVENTS, (f"camera-{camera}-{'x' * 50}", f"label-{label}-\N{SNOWMAN}", kind), (1,))
        for camera in range(64)
        for label in range(80)
        for kind in ("new", "update", "end")
    ]
    for each in series:
        tallies.add(each)
    found: list[Series] = []
    while part := reported(tallies):
        assert len(msgspec.msgpack.encode(part)) <= MOST_BYTES + 5 < MAX_MESSAGE_BYTES
        tallies.add(series[0])  # who is always there does not keep the others waiting
        found += part
        if len(found) > 2 * len(series):
            break
        if len({each.labels for each in found}) == len(series):
            break
    assert {each.labels for each in found} == {each.labels for each in series}
    assert len(found) <= len(series) + 20


def test_it_passes_the_wire_unchanged():
    series = (CROSSING, observed(Figure.SPEEDS, ("gate", "car"), 51.5))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(series), type=tuple[Series, ...]) == series


@pytest.mark.parametrize("figure", Figure)
def test_a_series_of_another_shape_does_not_fit(figure):
    known = {name: min(values) for name, values in CLOSED.get(figure, {}).items()}
    labels, numbers = tuple(known.get(name, "x") for name in LABELS[figure]), (1.0,) * size(figure)
    assert Series(figure, labels, numbers).fits()
    assert Series(figure, ("y",) * len(labels), numbers).fits() == (not known)
    assert not Series(figure, (*labels, "x"), numbers).fits()
    assert not Series(figure, labels, (*numbers, 1.0)).fits()


@given(st.lists(st.floats(0, 300, allow_nan=False), min_size=1, max_size=20))
def test_a_histogram_counts_each_observation_once_between_its_bounds(values):
    of, bounds = ("gate", "car"), BOUNDS[Figure.SPEEDS]
    numbers = (0.0,) * size(Figure.SPEEDS)
    for value in values:
        numbers = total(numbers, observed(Figure.SPEEDS, of, value).numbers)
    for place, (low, high) in enumerate(zip((-1.0, *bounds), (*bounds, 1e9), strict=True)):
        assert numbers[place] == sum(low < value <= high for value in values)
    assert numbers[-1] == pytest.approx(sum(values))
