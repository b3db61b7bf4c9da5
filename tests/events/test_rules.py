"""Zones, lines and what stands, on exact paths."""

from collections import Counter

import numpy as np
import pytest

from events.rules import Crossed, Entered, Left, Line, Loitered, Moved, Rules, Stopped, Zone, is_masked
from events.tracker import Tracker
from tests.events.paths import Walker

WH = (1000, 500)
YARD = ((0.4, 0.0), (0.6, 0.0), (0.6, 1.0), (0.4, 1.0))
"""From x = 400 to 600."""
GATE = Line("gate", (0.5, 0.1), (0.5, 0.9), "in", "out")
"""Looking down at x = 500: right is where x is less."""
RIGHTWARD = Walker((100.0, 300.0), (100.0, 0.0))
LEFTWARD = Walker((900.0, 300.0), (-100.0, 0.0))


def happenings(rules, walkers, *, rate_hz=5.0, seconds=9.0, jitter_px=0.0, until_s=None, seed=1):
    """All that happens by the rules while these are in front of the camera, through a real tracker."""
    chance, tracker, happened = np.random.default_rng(seed), Tracker(), []
    for number in range(round(rate_hz * seconds) + 1):
        at_s = number / rate_hz
        there = [each for each in walkers if until_s is None or at_s <= until_s]
        boxes = np.array([each.box(at_s) for each in there], np.float64).reshape(-1, 4)
        boxes = boxes + chance.normal(0.0, jitter_px or 1e-9, boxes.shape)
        scores = np.array([each.score for each in there])
        happened += rules.judge(tracker.update(at_s, boxes, scores, [each.label for each in there]), WH)
    return happened


@pytest.mark.parametrize("rate_hz", [2, 5, 10])
def test_who_walks_through_a_zone_enters_and_leaves_once(rate_hz):
    entered, left = happenings(Rules([Zone("yard", YARD)]), [RIGHTWARD], rate_hz=rate_hz)
    assert isinstance(entered, Entered)
    assert isinstance(left, Left)
    assert (entered.zone, entered.track.id) == (left.zone, left.track.id) == ("yard", 1)
    assert entered.at_s == pytest.approx(3.0, abs=1.1 / rate_hz)
    assert left.at_s == pytest.approx(5.0, abs=2.1 / rate_hz), "not when it was clear"
    assert left.inside_s == left.at_s - entered.at_s


@pytest.mark.parametrize("seed", range(10))
def test_who_stands_on_the_edge_enters_once_and_does_not_leave(seed):
    happened = happenings(Rules([Zone("yard", YARD)]), [Walker((400.0, 300.0))], seconds=60.0, jitter_px=2.0, seed=seed)
    assert [type(each) for each in happened] == [Entered]


@pytest.mark.parametrize(("outside_s", "stays"), [(0.6, 1), (3.0, 2)])
def test_who_seems_outside_for_a_moment_has_not_left(outside_s, stays):
    """A car hides the legs: the box ends above the zone."""
    rules, tracker, happened = Rules([Zone("yard", ((0.0, 0.7), (1.0, 0.7), (1.0, 1.0), (0.0, 1.0)))]), Tracker(), []
    for number in range(60):
        at_s = number / 5
        foot = 320.0 if 4.0 <= at_s < 4.0 + outside_s else 380.0
        box = np.array([[480.0, 280.0, 520.0, foot]])
        happened += rules.judge(tracker.update(at_s, box, np.array([0.9]), ["person"]), WH)
    assert sum(isinstance(each, Entered) for each in happened) == stays
    assert [each.at_s for each in happened if isinstance(each, Left)] == [pytest.approx(4.2, abs=0.41)] * (stays - 1)


def test_who_passes_through_too_fast_has_not_entered():
    assert happenings(Rules([Zone("yard", YARD, dwell_s=3.0)]), [RIGHTWARD]) == []
    first, _ = happenings(Rules([Zone("yard", YARD, dwell_s=1.0)]), [RIGHTWARD])
    assert first.at_s == pytest.approx(3.0, abs=0.3), "the time is that of coming"


def test_who_stays_loiters_once():
    rules = Rules([Zone("yard", YARD, loiter_s=10.0)])
    entered, loitered = happenings(rules, [Walker((500.0, 300.0))], seconds=40.0)
    assert isinstance(entered, Entered)
    assert isinstance(loitered, Loitered)
    assert loitered.at_s - entered.at_s == pytest.approx(10.0, abs=0.2)


@pytest.mark.parametrize(
    "zone",
    [Zone("yard", YARD, frozenset({"car"})), Zone("yard", YARD, min_score=0.9)],
    ids=["label", "score"],
)
def test_who_is_not_meant_does_not_enter(zone):
    assert happenings(Rules([zone]), [RIGHTWARD]) == []


def test_a_track_that_ends_in_a_zone_has_left_it_and_is_forgotten():
    rules = Rules([Zone("yard", YARD)], [GATE])
    *_, left = happenings(rules, [Walker((410.0, 300.0), (20.0, 0.0))], until_s=4.0)
    assert isinstance(left, Left)
    assert (left.at_s, len(rules)) == (4.0, 0)


@pytest.mark.parametrize("rate_hz", [2, 5, 10])
def test_a_crossing_has_a_direction_and_a_time(rate_hz):
    happened = happenings(Rules(lines=[GATE]), [RIGHTWARD, Walker((900.0, 420.0), (-100.0, 0.0))], rate_hz=rate_hz)
    assert {(each.line, each.direction) for each in happened} == {("gate", "in"), ("gate", "out")}
    assert [each.at_s for each in happened] == pytest.approx([4.0, 4.0], abs=0.05)
    assert {each.direction: each.track.velocity[0] > 0 for each in happened} == {"out": True, "in": False}


def test_who_crosses_before_the_track_is_told_of_is_counted():
    """First seen at x = 480, then at 530."""
    (crossed,) = happenings(Rules(lines=[GATE]), [Walker((480.0, 300.0), (100.0, 0.0))], rate_hz=2)
    assert crossed.direction == "out"
    assert crossed.at_s == pytest.approx(0.2, abs=0.05)


def test_who_waits_on_a_line_crosses_it_when_going_over_it():
    rules, tracker, happened = Rules(lines=[GATE]), Tracker(), []
    for number in range(100):
        at_s = number / 5
        # Over the line after four seconds; then it stands for ten, close behind it.
        x = min(503.0, 303.0 + 50.0 * at_s) if at_s < 14.0 else 503.0 + 50.0 * (at_s - 14.0)
        box = np.array([[x - 30.0, 180.0, x + 30.0, 300.0]])
        happened += rules.judge(tracker.update(at_s, box, np.array([0.9]), ["person"]), WH)
    (crossed,) = happened
    assert crossed.at_s == pytest.approx(4.0, abs=0.5)


def test_who_goes_round_the_end_of_a_line_does_not_cross_it():
    short = Line("short", (0.5, 0.1), (0.5, 0.5))
    assert happenings(Rules(lines=[short]), [RIGHTWARD]) == []


@pytest.mark.parametrize("seed", range(10))
def test_who_stands_on_a_line_does_not_cross_it(seed):
    assert happenings(Rules(lines=[GATE]), [Walker((500.0, 300.0))], seconds=60.0, jitter_px=2.0, seed=seed) == []


@pytest.mark.parametrize("rate_hz", [2, 5, 10])
@pytest.mark.parametrize("speed", [15.0, 50.0, 90.0])
def test_who_crosses_with_jitter_crosses_once(rate_hz, speed):
    for seed in range(5):
        walker = Walker((500.0 - 5.0 * speed, 300.0), (speed, 0.0))
        crossed = happenings(Rules(lines=[GATE]), [walker], rate_hz=rate_hz, seconds=10.0, jitter_px=3.0, seed=seed)
        assert [each.direction for each in crossed] == ["out"]


@pytest.mark.parametrize("rate_hz", [2, 5, 10])
def test_many_who_come_and_go_are_counted_exactly(rate_hz):
    """Five in each direction, as close as people walk past each other, two widths a second."""
    walkers = [
        Walker((500.0 - side * (80.0 + 60.0 * turn), 80.0 + 80.0 * turn + 20.0 * side), (side * 50.0, 0.0), (24, 60))
        for side in (-1, 1)
        for turn in range(5)
    ]
    crossed = happenings(Rules(lines=[GATE]), walkers, rate_hz=rate_hz, seconds=12.0, jitter_px=1.5)
    assert Counter(each.direction for each in crossed) == {"in": 5, "out": 5}
    assert len({each.track.id for each in crossed}) == 10


def test_only_those_who_are_meant_are_counted():
    assert happenings(Rules(lines=[Line("gate", (0.5, 0.1), (0.5, 0.9), labels=frozenset({"car"}))]), [RIGHTWARD]) == []


def test_a_line_without_a_length_is_refused():
    with pytest.raises(ValueError, match="begins where it ends"):
        Line("dot", (0.5, 0.5), (0.5, 0.5))


def test_what_stands_has_stopped_until_it_moves():
    rules, tracker = Rules(still_s=8.0), Tracker()
    happened = []
    for number in range(200):
        at_s = number / 5
        box = np.array([Walker((300.0 + max(0.0, at_s - 30.0) * 40.0, 300.0)).box(0.0)])
        happened += rules.judge(tracker.update(at_s, box, np.array([0.8]), ["car"]), WH)
    stopped, moved = happened
    assert isinstance(stopped, Stopped)
    assert isinstance(moved, Moved)
    assert (stopped.at_s, stopped.track.seen_s) == (0.0, 8.0)
    assert moved.at_s == pytest.approx(30.6, abs=0.6)


def test_a_rule_that_is_not_asked_for_says_nothing():
    assert happenings(Rules(), [RIGHTWARD], seconds=20.0) == []


def test_a_mask_takes_out_who_stands_in_it():
    masks = [((0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (0.0, 1.0))]
    assert is_masked(masks, (100.0, 100.0, 200.0, 300.0), WH)
    assert not is_masked(masks, (100.0, 100.0, 200.0, 240.0), WH), "it only reaches over the mask"
    assert not is_masked([], (100.0, 100.0, 200.0, 300.0), WH)


def test_two_rules_and_two_tracks_do_not_mix():
    zones = [Zone("left", ((0.0, 0.0), (0.3, 0.0), (0.3, 1.0), (0.0, 1.0))), Zone("yard", YARD)]
    happened = happenings(Rules(zones, [GATE]), [RIGHTWARD, Walker((900.0, 420.0), (-100.0, 0.0))], seconds=8.5)
    per_track = {
        number: [(type(each), getattr(each, "zone", None)) for each in happened if each.track.id == number]
        for number in (1, 2)
    }
    assert [kind for kind, _ in per_track[1]] == [Entered, Left, Entered, Crossed, Left]
    assert [zone for _, zone in per_track[1]] == ["left", "left", "yard", None, "yard"]
    assert [zone for _, zone in per_track[2]] == ["yard", None, "left", "yard"], "that it has left is clear later"
