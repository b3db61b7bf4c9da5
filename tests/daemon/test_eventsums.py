"""Sums of events: over generations of their process, of cameras and lines of the roster alone."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from capture.words import Shortfall
from daemon.eventsums import EventSums
from events.analyst import CameraRules
from events.messages import Follow
from events.rules import Line
from events.series import LABELS, Figure, Series, observed, size, total
from events.speed import Stretch

DRIVE = Line("drive", (0.0, 0.5), (1.0, 0.5), "in", "out", frozenset({"car"}))
PATH = Line("path", (0.0, 0.7), (1.0, 0.7))
LANE = Stretch("lane", ((0.1, 0.9), (0.9, 0.9), (0.6, 0.1), (0.4, 0.1)), 4.0, 20.0, frozenset({"car"}))
CAMERAS = {
    "gate": Follow("gate", CameraRules(lines=(DRIVE, PATH), stretches=(LANE,))),
    "yard": Follow("yard"),
}


def events(count: float, camera: str = "gate") -> Series:
    return Series(Figure.EVENTS, (camera, "car", "new"), (count,))


def crossings(count: float, line: str = "drive", direction: str = "in") -> Series:
    return Series(Figure.CROSSINGS, ("gate", line, direction, "car"), (count,))


def new_sums() -> EventSums:
    sums = EventSums()
    sums.adopt(CAMERAS, {})
    return sums


def value(sums: EventSums, series: Series) -> float | None:
    found = sums.sums()[series.figure].get(series.labels)
    return found[0] if found else None


def test_a_new_process_adds_to_what_the_one_before_has_counted():
    sums = new_sums()
    sums.note([events(2), crossings(1)])
    sums.note([events(5)])
    assert (value(sums, events(0)), value(sums, crossings(0))) == (5, 1)
    sums.turn_over()
    assert value(sums, events(0)) == 5
    sums.note([events(1)])
    assert (value(sums, events(0)), value(sums, crossings(0))) == (6, 1)


def test_what_begins_anew_in_one_process_is_added_too():
    sums = new_sums()
    for count in (7, 2, 3, 1):
        sums.note([Series(Figure.LATE, ("gate",), (count,))])
    assert value(sums, Series(Figure.LATE, ("gate",), (0,))) == 7 + 3 + 1


def test_histograms_are_added_bound_by_bound():
    sums, of = new_sums(), ("gate", "car")
    slow, fast = observed(Figure.SPEEDS, of, 30.0), observed(Figure.SPEEDS, of, 90.0)
    sums.note([slow])
    sums.turn_over()
    sums.note([fast])
    assert sums.sums()[Figure.SPEEDS][of] == total(slow.numbers, fast.numbers)


def test_what_is_kept_now_is_not_added():
    sums, now = new_sums(), Series(Figure.MEDIA_BYTES, ("gate",), (50,))
    sums.note([now])
    sums.note([Series(Figure.MEDIA_BYTES, ("gate",), (20,))])
    assert value(sums, now) == 20
    sums.turn_over()
    sums.note([now])
    assert value(sums, now) == 50


def test_of_whom_the_roster_does_not_know_nothing_is_kept():
    sums = new_sums()
    sums.note([events(3, "attic"), crossings(4, "wall"), crossings(5, "drive", "up"), crossings(6)])
    assert "attic" not in {camera for camera, _, _ in sums.sums()[Figure.EVENTS]}
    assert {of: numbers[0] for of, numbers in sums.sums()[Figure.CROSSINGS].items() if numbers[0]} == {
        ("gate", "drive", "in", "car"): 6
    }


def test_a_camera_or_line_that_leaves_the_roster_takes_its_series_along():
    sums = new_sums()
    sums.note([events(3), events(4, "yard"), crossings(5), crossings(6, "path", "left")])
    sums.turn_over()
    sums.note([events(1), crossings(1)])
    sums.adopt({"gate": Follow("gate", CameraRules(lines=(PATH,)))}, {})
    assert [value(sums, each) for each in (events(0), events(0, "yard"), crossings(0))] == [4, None, None]
    assert value(sums, crossings(0, "path", "left")) == 6
    sums.adopt(CAMERAS, {})
    assert (value(sums, crossings(0)), value(sums, events(0, "yard"))) == (0, None)
    sums.note([crossings(2)])
    assert value(sums, crossings(0)) == 2


def test_series_that_can_be_named_in_advance_begin_at_0():
    sums = EventSums()
    sums.adopt(CAMERAS, {"gate": ("person",)})
    found = sums.sums()
    assert set(found[Figure.EVENTS]) == {
        ("gate", label, kind) for label in ("person", "car") for kind in ("new", "update", "end")
    }
    assert set(found[Figure.CROSSINGS]) == {
        ("gate", "drive", "in", "car"),
        ("gate", "drive", "out", "car"),
        ("gate", "path", "right", "person"),
        ("gate", "path", "left", "person"),
    }
    assert set(found[Figure.SPEEDS]) == set(found[Figure.HEADWAYS]) == {("gate", "car")}
    assert set(found[Figure.DISCARDED]) == {(name, why) for name in CAMERAS for why in ("brief", "unwanted")}
    assert found[Figure.LOST] == {(): (0,)}
    assert set(found[Figure.MADE]) == {("snapshot",), ("clip",)}
    assert len(found[Figure.SHORTFALLS]) == 2 * len(Shortfall)
    for figure, series in found.items():
        assert all(numbers == (0,) * size(figure) for numbers in series.values())


class Generations(RuleBasedStateMachine):
    """Processes come and go and report: what they have reported is never lost, and never counted twice."""

    def __init__(self) -> None:
        super().__init__()
        self.sums = new_sums()
        self.now = 0
        self.counted = 0

    @rule(by=st.integers(1, 5))
    def report(self, by: int) -> None:
        self.now += by
        self.counted += by
        self.sums.note([events(self.now)])

    @rule()
    def die(self) -> None:
        self.now = 0
        self.sums.turn_over()

    @invariant()
    def all_is_counted_once(self) -> None:
        assert (value(self.sums, events(0)) or 0) == self.counted


TestGenerations = Generations.TestCase


@pytest.mark.parametrize("figure", [figure for figure in Figure if figure is not Figure.MEDIA_BYTES])
def test_no_figure_falls_with_a_new_process(figure):
    labels = {Figure.EVENTS: ("gate", "car", "new"), Figure.CROSSINGS: ("gate", "drive", "in", "car")}
    sums = new_sums()
    of = labels.get(figure, ("gate", "car")[: len(LABELS[figure])])
    sums.note([Series(figure, of, (3.0,) * size(figure))])
    sums.turn_over()
    sums.note([Series(figure, of, (1.0,) * size(figure))])
    assert sums.sums()[figure][of] == (4.0,) * size(figure)
