"""Tracks by value: what is one object, what begins and ends, and that nothing grows."""

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from events.tracker import Tracker
from events.tracks import EndCause, TrackerOptions, TrackUpdate
from tests.events.paths import Walker, run, see

STANDING = Walker((300.0, 300.0))
WALKING = Walker((100.0, 400.0), (90.0, 0.0))
"""A bit over two of its widths a second, as people walk."""


def times(rate_hz: float, seconds: float) -> list[float]:
    return [number / rate_hz for number in range(round(rate_hz * seconds) + 1)]


def ids(updates) -> set[int]:
    return {track.id for _, update in updates for track in update.new + update.updated}


def test_a_track_is_told_of_when_it_was_seen_twice():
    tracker = Tracker()
    assert see(tracker, 0.0, [STANDING]).new == ()
    (track,) = see(tracker, 0.2, [STANDING]).new
    assert (track.id, track.label, track.sightings) == (1, "person", 2)
    assert (track.began_s, track.seen_s, track.duration_s) == (0.0, 0.2, 0.2)
    assert (track.began_at, track.seen_at) == (1.8e9, 1.8e9 + 0.2)
    assert track.box == STANDING.box(0.2)
    assert track.foot == pytest.approx(STANDING.start)
    assert track.origin == STANDING.start
    (again,) = see(tracker, 0.4, [STANDING]).updated
    assert (again.id, again.sightings) == (1, 3)


def test_a_track_can_be_told_of_at_its_first_sighting():
    assert [each.id for each in see(Tracker(TrackerOptions(confirm_sightings=1)), 0.0, [STANDING, WALKING]).new] == [
        1,
        2,
    ]


def test_a_box_that_is_there_once_is_no_track():
    tracker = Tracker()
    seen = run(tracker, times(5, 4), lambda at_s: [STANDING] if at_s == 1.0 else [])
    assert ids(seen) == set()
    assert tracker.statistics().live == 0


@pytest.mark.parametrize("rate_hz", [1, 2, 5, 10])
@pytest.mark.parametrize("speed", [(0.0, 0.0), (90.0, 0.0), (-60.0, 30.0)])
def test_who_walks_is_one_track_at_any_rate(rate_hz, speed):
    walker = Walker((500.0, 300.0), speed)
    assert ids(run(Tracker(), times(rate_hz, 8), lambda _: [walker])) == {1}


def test_who_walks_is_one_track_at_a_rate_that_varies():
    chance = np.random.default_rng(2)
    seen = run(Tracker(), np.cumsum(chance.uniform(0.1, 1.0, 30)).tolist(), lambda _: [WALKING])
    assert ids(seen) == {1}
    assert seen[-1][1].updated[0].velocity == pytest.approx((90.0, 0.0), abs=5.0)


@pytest.mark.parametrize("rate_hz", [2, 5, 10])
def test_who_is_hidden_for_a_moment_keeps_the_track(rate_hz):
    seen = run(Tracker(), times(rate_hz, 10), lambda at_s: [] if 4.0 < at_s < 5.4 else [WALKING])
    assert ids(seen) == {1}
    assert not any(update.ended for _, update in seen)


@pytest.mark.parametrize("rate_hz", [2, 5, 10])
def test_a_track_ends_after_the_same_time_at_any_rate(rate_hz):
    seen = run(Tracker(), times(rate_hz, 10), lambda at_s: [WALKING] if at_s <= 3.0 else [])
    ((at_s, end),) = [(at_s, end) for at_s, update in seen for end in update.ended]
    assert 5.0 < at_s <= 5.0 + 1 / rate_hz
    assert (end.cause, end.track.id, end.track.seen_s) == (EndCause.LOST, 1, 3.0)


def test_one_miss_is_no_loss_where_answers_are_rare():
    """One answer in two and a half seconds, from a camera that sleeps."""
    seen = run(Tracker(), times(0.4, 40), lambda at_s: [] if at_s == 5.0 else [STANDING])
    assert ids(seen) == {1}


def test_what_stood_is_waited_for_longer():
    def visible(at_s: float) -> list[Walker]:
        return [] if 10.0 < at_s < 35.0 else [STANDING]

    assert ids(run(Tracker(), times(5, 45), visible)) == {1}
    assert ids(run(Tracker(TrackerOptions(still_lost_s=20.0)), times(5, 45), visible)) == {1, 2}


def test_what_is_in_its_place_is_still_and_what_walks_is_not():
    *_, (_, last) = run(Tracker(), times(5, 20), lambda _: [STANDING, WALKING])
    standing, walking = sorted(last.updated, key=lambda track: track.id)
    assert standing.still_s == 20.0
    assert walking.still_s < 1.0


def test_a_detectors_jitter_is_no_movement():
    chance = np.random.default_rng(4)
    tracker, last = Tracker(), None
    for at_s in times(5, 60):
        box = np.array([STANDING.box(0.0)]) + chance.normal(0.0, 3.0, (1, 4))
        last = tracker.update(at_s, box, np.array([0.7]), ["person"])
    assert last.updated[0].still_s == 60.0


@pytest.mark.parametrize("rate_hz", [2, 5, 10])
def test_who_meet_and_part_keep_their_tracks(rate_hz):
    """The one behind is not seen while they are on top of each other."""
    left, right = Walker((100.0, 300.0), (60.0, 0.0)), Walker((700.0, 300.0), (-60.0, 0.0), (36.0, 90.0))

    def visible(at_s: float) -> list[Walker]:
        return [left] if abs(600.0 - 120.0 * at_s) < 30.0 else [left, right]

    seen = run(Tracker(), times(rate_hz, 9), visible)
    first = {track.id: track.foot[0] for _, update in seen[:4] for track in update.new}
    last = {track.id: track.foot[0] for track in seen[-1][1].updated}
    assert set(first) == set(last) == {1, 2}
    assert all((first[each] < 400) == (last[each] > 400) for each in first), "each went through to the other side"


def test_a_weak_sighting_continues_a_track_and_begins_none():
    weak = Walker(WALKING.start, WALKING.speed, score=0.3)
    assert ids(run(Tracker(), times(5, 4), lambda _: [weak])) == set()
    seen = run(Tracker(), times(5, 8), lambda at_s: [weak if at_s > 2.0 else WALKING])
    assert ids(seen) == {1}
    assert seen[-1][1].updated[0].sightings == len(seen)


def test_a_label_that_wavers_is_one_track_under_the_label_it_had_most():
    car, truck = (Walker((300.0, 300.0), (20.0, 0.0), (150.0, 80.0), label) for label in ("car", "truck"))
    seen = run(Tracker(), times(5, 6), lambda at_s: [truck if round(at_s * 5) % 3 == 2 else car])
    assert ids(seen) == {1}
    assert {track.label for _, update in seen for track in update.updated} == {"car"}


def test_one_object_under_two_labels_at_once_is_one_track():
    car, truck = (
        Walker((300.0, 300.0), (20.0, 0.0), (150.0, 80.0), label, score)
        for label, score in (("car", 0.8), ("truck", 0.6))
    )
    assert ids(run(Tracker(), times(5, 6), lambda _: [truck, car])) == {1}


def test_a_rider_is_not_the_bicycle():
    rider, bicycle = Walker((300.0, 300.0), (40.0, 0.0)), Walker((300.0, 310.0), (40.0, 0.0), (90.0, 60.0), "bicycle")
    *_, (_, last) = run(Tracker(), times(5, 4), lambda _: [rider, bicycle])
    assert {track.id: track.label for track in last.updated} == {1: "person", 2: "bicycle"}


def test_who_stands_before_a_car_does_not_become_the_car():
    """It drives off; they overlap by 0.6."""
    car, person = Walker((300.0, 300.0), size=(100.0, 100.0), label="car"), Walker((300.0, 300.0), size=(60.0, 100.0))
    *_, (_, last) = run(Tracker(), times(5, 6), lambda at_s: [car] if at_s < 3.0 else [person])
    assert {track.id: track.label for track in last.updated} == {2: "person"}


@pytest.mark.parametrize("at_s", [1.0, 0.5, -3.0])
def test_a_late_answer_is_dropped_and_counted(at_s):
    tracker = Tracker()
    run(tracker, times(5, 1), lambda _: [STANDING])
    late = see(tracker, at_s, [STANDING, Walker((800.0, 300.0))])
    assert (late.new, late.updated, late.ended) == ((), (), ())
    assert tracker.statistics().late == 1
    assert [track.id for track in see(tracker, 1.2, [STANDING]).updated] == [1]


def test_a_reconnect_ends_all_tracks_and_uses_no_id_again():
    tracker = Tracker()
    run(tracker, times(5, 2), lambda _: [STANDING, WALKING])
    see(tracker, 2.2, [STANDING, WALKING, Walker((800.0, 300.0))])  # the third was not told of yet
    assert [(end.track.id, end.cause) for end in tracker.close()] == [(1, EndCause.CLOSED), (2, EndCause.CLOSED)]
    assert tracker.close() == ()
    assert ids(run(tracker, [3.0, 3.2, 3.4], lambda _: [STANDING, WALKING])) == {3, 4}
    assert tracker.statistics().begun == 4


def test_tracks_are_closed_by_a_silence():
    tracker = Tracker()
    run(tracker, times(5, 2), lambda _: [STANDING])
    assert tracker.expire(11.0) == ()
    assert [(end.track.id, end.cause) for end in tracker.expire(12.5)] == [(1, EndCause.CLOSED)]


def test_the_first_answer_after_a_silence_closes_what_was_there():
    tracker = Tracker()
    run(tracker, times(5, 2), lambda _: [STANDING])
    after = see(tracker, 20.0, [STANDING])
    assert [(end.track.id, end.track.seen_s, end.cause) for end in after.ended] == [(1, 2.0, EndCause.CLOSED)]
    assert [track.id for track in see(tracker, 20.2, [STANDING]).new] == [2]


def test_the_wall_clock_is_shown_and_decides_nothing():
    tracker = Tracker()
    walls = [5000.0, 5000.2, 1.0, 9e9, 9e9 + 0.2]
    for number, wall_s in enumerate(walls):
        last = tracker.update(number / 5, np.array([STANDING.box(0.0)]), np.array([0.9]), ["person"], wall_s=wall_s)
    assert [(track.id, track.began_at, track.seen_at) for track in last.updated] == [(1, 5000.0, 9e9 + 0.2)]


@pytest.mark.parametrize(
    ("at_s", "box", "score", "labels"),
    [
        (np.nan, [0, 0, 9, 9], 0.5, ["a"]),
        (np.inf, [0, 0, 9, 9], 0.5, ["a"]),
        (1.0, [0, 0, np.inf, 9], 0.5, ["a"]),
        (1.0, [0, 0, 9, 9], np.nan, ["a"]),
        (1.0, [0, 0, 9, 9], 0.5, ["a", "b"]),
    ],
)
def test_impossible_answers_are_refused_and_change_nothing(at_s, box, score, labels):
    tracker = Tracker()
    with pytest.raises(ValueError, match=r"finite|labels"):
        tracker.update(at_s, np.array([box], np.float32), np.array([score]), labels)
    assert tracker.statistics() == Tracker().statistics()
    assert see(tracker, 0.5, [STANDING]).new == ()


@settings(max_examples=50, deadline=None)
@given(
    rate_hz=st.floats(2.0, 10.0),
    speed=st.tuples(st.floats(-90.0, 90.0), st.floats(-30.0, 30.0)),
    size=st.floats(0.3, 4.0),
    seed=st.integers(0, 1000),
)
def test_one_object_is_one_track_through_jitter_and_misses(rate_hz, speed, size, seed):
    """Whatever its size: a speed is so many of its own widths."""
    chance = np.random.default_rng(seed)
    walker = Walker((0.0, 0.0), (speed[0] * size, speed[1] * size), (40.0 * size, 100.0 * size))
    tracker, seen, missed_s = Tracker(), set(), 0.0
    for number in range(60):
        at_s = number / rate_hz
        # Never two misses in a row, nor when it is not known yet.
        if number > 4 and missed_s < at_s - 1.5 / rate_hz and chance.random() < 0.2:
            missed_s = at_s
            update = see(tracker, at_s, [])
        else:
            box = np.array([walker.box(at_s)]) + chance.normal(0.0, 2.0 * size, (1, 4))
            update = tracker.update(at_s, box, np.array([0.8]), ["person"])
        seen |= {track.id for track in update.new + update.updated}
    assert seen == {1}


@pytest.mark.slow
def test_nothing_grows_however_many_answers_come():
    """People and cars come and go all the time; 20,000 answers are more than an hour."""
    tracker = Tracker()
    chance = np.random.default_rng(5)
    xs, labels = chance.uniform(0, 1800, 4), ["person", "car"] * 2
    ended, sizes = 0, []
    for number in range(20_000):
        xs += chance.normal(20.0, 2.0, 4)
        gone = xs > 1900
        xs[gone] = chance.uniform(-2000, 0, int(gone.sum()))
        there = np.flatnonzero((xs > 0) & (chance.random(4) > 0.1))
        low = np.stack([xs, np.arange(4) * 130.0], axis=1)[there]
        boxes = np.concatenate([low, low + np.array([40.0, 100.0])], axis=1)
        update = tracker.update(number / 5, boxes, np.full(len(there), 0.8), [labels[i] for i in there])
        ended += len(update.ended)
        if number % 100 == 0:
            sizes.append(len(pickle.dumps(tracker)))
    assert ended > 300
    assert max(sizes[100:]) < 1.2 * max(sizes[:100])


class AnyCamera(RuleBasedStateMachine):
    """Whatever a camera shows, and whenever it comes or goes."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = Tracker()
        self.now_s = 0.0
        self.answered_s = -1.0
        self.open: set[int] = set()
        self.used: Counter[int] = Counter()
        self.late = 0

    def note(self, update) -> None:
        self.answered_s = self.now_s
        for end in update.ended:
            self.open.remove(end.track.id)
        for track in update.new:
            self.used[track.id] += 1
            self.open.add(track.id)
            assert track.sightings >= 2
        for track in update.new + update.updated:
            assert track.began_s <= track.seen_s == self.now_s
            assert 0.0 <= track.still_s <= track.duration_s
        told = [track.id for track in update.new + update.updated]
        assert len(told) == len(set(told))
        assert set(told) <= self.open

    @rule(
        step_s=st.floats(0.05, 6.0),
        boxes=st.lists(
            st.tuples(
                st.floats(0, 600), st.floats(0, 400), st.floats(0, 200), st.floats(0, 200), st.floats(0.25, 1.0),
                st.sampled_from(["person", "car", "truck"]),
            ),
            max_size=8,
        ),
    )  # fmt: skip
    def answer(self, step_s, boxes) -> None:
        self.now_s += step_s
        xyxy = np.array([(x, y, x + w, y + h) for x, y, w, h, *_ in boxes], np.float32).reshape(-1, 4)
        scores = np.array([box[4] for box in boxes], np.float32)
        self.note(self.tracker.update(self.now_s, xyxy, scores, [box[5] for box in boxes]))

    @rule(step_s=st.floats(0.1, 1.0), count=st.integers(1, 5))
    def steady(self, step_s, count) -> None:
        """The same two stand there for a while, so that tracks come to be."""
        for _ in range(count):
            self.now_s += step_s
            self.note(see(self.tracker, self.now_s, [STANDING, Walker((500.0, 300.0), label="car")]))

    @rule(back_s=st.floats(0.0, 5.0))
    def late_answer(self, back_s) -> None:
        if self.answered_s >= 0:
            self.late += 1
            assert see(self.tracker, self.answered_s - back_s, [STANDING]) == TrackUpdate()

    @rule()
    def reconnect(self) -> None:
        assert {end.track.id for end in self.tracker.close()} == self.open
        self.open.clear()

    @rule(later_s=st.floats(0.0, 20.0))
    def silence(self, later_s) -> None:
        self.now_s += later_s
        ended = {end.track.id for end in self.tracker.expire(self.now_s)}
        assert ended in (set(), self.open)
        self.open -= ended

    @invariant()
    def ids_are_used_once_and_counted(self) -> None:
        assert set(self.used.values()) <= {1}
        assert sorted(self.used) == list(range(1, len(self.used) + 1))
        statistics = self.tracker.statistics()
        assert (statistics.begun, statistics.late) == (len(self.used), self.late)
        assert statistics.live >= len(self.open)


TestAnyCamera = AnyCamera.TestCase
TestAnyCamera.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_what_left_is_not_something_small_in_the_distance():
    """A lorry fills half of the picture and is gone; a second later another is seen far away, behind where it was."""
    lorry = Walker((350.0, 400.0), (-60.0, 20.0), (260.0, 240.0), "truck")
    far = Walker((240.0, 330.0), (0.0, 0.0), (40.0, 36.0), "truck")
    tracker = Tracker()
    first = ids(run(tracker, times(5, 2), lambda _: [lorry]))
    second = ids([(at_s, see(tracker, at_s, [far])) for at_s in (3.4, 3.6, 3.8, 4.0)])
    assert len(first) == len(second) == 1
    assert first.isdisjoint(second)


@pytest.mark.parametrize(("wh", "waited_s"), [((640, 360), 0.6), (None, 2.2)])
def test_who_leaves_the_picture_is_not_waited_for(wh, waited_s):
    """Out at the left edge. Without the picture's size nobody knows."""
    tracker = Tracker()
    ended = []
    for number in range(40):
        at_s = number / 5
        x1, x2 = max(0.0, 175.0 - 100.0 * at_s), 225.0 - 100.0 * at_s
        boxes = np.array([[x1, 200.0, x2, 320.0]] if x2 > 4.0 else []).reshape(-1, 4)
        update = tracker.update(at_s, boxes, np.full(len(boxes), 0.9), ["person"] * len(boxes), within_wh=wh)
        ended += [(at_s, end.track) for end in update.ended]
    [(at_s, track)] = ended
    assert at_s - track.seen_s == pytest.approx(waited_s, abs=0.01)


def test_who_is_cut_off_by_the_edge_and_stays_is_waited_for():
    tracker = Tracker()
    for number in range(40):
        box = np.array([[0.0, 200.0, 30.0, 320.0]])
        tracker.update(number / 5, box, np.array([0.9]), ["person"], within_wh=(640, 360))
    nobody = np.empty((0, 4))
    assert tracker.update(9.0, nobody, np.empty(0), [], within_wh=(640, 360)).ended == ()
    (track,) = tracker.update(12.0, box, np.array([0.9]), ["person"], within_wh=(640, 360)).updated
    assert track.id == 1
