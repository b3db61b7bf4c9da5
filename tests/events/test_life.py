"""Lives of events: by tables, then any order of what tracks, rules and cameras may do."""

from itertools import count, pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from events.boxes import iou, worth
from events.life import MAX_PARTS, LifeCounts, LifePolicy, Lives, Look, Passage, Stay
from events.path import MAX_POINTS
from events.words import Batch, Ending, Headway, Kind, Speed
from tests.events.sample import NIGHT

WH = (1000, 1000)
POLICY = LifePolicy(min_sightings=3, min_age_s=0.5, update_every_s=5.0, end_after_s=2.0)


def look(track=1, x=500.0, score=0.9, zones=(), since_s=1e9, **changes):
    """Something 50 wide and 100 tall whose foot is at ``x``, 500."""
    if zones:
        changes["stays"] = tuple(Stay(zone, since_s) for zone in sorted(zones))
    return Look(track, changes.pop("label", "person"), score, (x - 25, 400.0, x + 25, 500.0), **changes)


class Yard:
    """A camera with five frames a second, whose clock we turn."""

    def __init__(self, policy=POLICY):
        self.lives = Lives("yard", count().__next__, policy)
        self.now_s = 100.0
        self.clock = NIGHT

    def see(self, *looks, gone=(), after_s=0.2):
        self.now_s += after_s
        self.clock += after_s
        return self.lives.see(self.now_s, self.clock, WH, looks, gone)

    def see_for(self, seconds, *looks):
        found = [self.see(*looks) for _ in range(round(seconds * 5))]
        return sum(found, Batch())


def kinds(batch):
    return [event.kind.value for event in batch.events]


# --- beginning -------------------------------------------------------------------------------------------------------


def test_an_object_becomes_an_event_when_seen_often_and_long_enough():
    yard = Yard()
    assert not yard.see(look())
    assert not yard.see(look())
    assert not yard.see(look())
    (event,) = yard.see(look()).events
    assert (event.kind, event.revision, event.camera, event.label) == (Kind.NEW, 0, "yard", "person")
    assert event.started_at == pytest.approx(NIGHT + 0.2)
    assert event.updated_at == pytest.approx(NIGHT + 0.8)
    assert event.id.startswith("20261130T021305.2")


def test_what_is_seen_too_seldom_is_forgotten():
    yard = Yard()
    yard.see(look())
    yard.see(look())
    assert not yard.see(gone=[1])
    assert not yard.see_for(10)
    assert yard.lives.counts() == LifeCounts(brief=1)


def test_what_no_rule_wants_is_a_track_and_no_event():
    yard = Yard()
    assert not yard.see_for(2, look(is_wanted=False))
    batch = yard.see(gone=[1])
    assert batch.events == ()
    assert (batch.tracks[0].sightings, batch.tracks[0].event_id) == (10, None)
    assert yard.lives.counts() == LifeCounts(unwanted=1)


def test_an_event_begins_where_a_rule_first_wants_it():
    yard = Yard()
    yard.see_for(2, look(is_wanted=False))
    (event,) = yard.see(look(zones=["gate"])).events
    assert event.started_at == pytest.approx(NIGHT + 2.2)
    assert [visit.zone for visit in event.zones] == ["gate"]


def test_more_objects_than_a_camera_can_have_are_noise():
    yard = Yard(LifePolicy(max_objects=2))
    batch = yard.see_for(1, *(look(track, x=track * 100.0) for track in range(1, 5)))
    assert kinds(batch) == ["new", "new"]
    assert yard.lives.counts().crowded == 10


# --- in between ------------------------------------------------------------------------------------------------------


def test_who_stands_about_is_told_once():
    yard = Yard()
    assert kinds(yard.see_for(60, look())) == ["new"]


def test_who_walks_is_told_of_every_five_seconds():
    yard = Yard()
    batches = [yard.see(look(x=100.0 + 4 * step)) for step in range(150)]
    updates = [event for batch in batches for event in batch.events]
    assert [event.kind for event in updates] == [Kind.NEW] + [Kind.UPDATE] * 5
    assert [event.revision for event in updates] == [0, 1, 2, 3, 4, 5]


def test_a_change_that_came_too_soon_is_told_when_it_is_time_even_if_no_frame_comes():
    yard = Yard()
    yard.see_for(1, look())
    assert not yard.see(look(zones=["gate"]))
    assert not yard.lives.tick(yard.now_s + 4.0)
    (event,) = yard.lives.tick(yard.now_s + 5.0).events
    assert [visit.zone for visit in event.zones] == ["gate"]


def test_a_parked_car_is_told_to_stand_and_then_is_quiet_until_it_moves():
    yard = Yard()
    assert kinds(yard.see_for(5, look(label="car"))) == ["new"]
    assert kinds(yard.see_for(60, look(label="car", is_stationary=True))) == ["update"]
    assert kinds(yard.see_for(600, look(label="car", x=505.0, is_stationary=True))) == []
    assert kinds(yard.see_for(3, look(label="car", x=600.0))) == ["update"]


def test_zones_are_entered_and_left():
    yard = Yard()
    yard.see_for(1, look())
    yard.see_for(2, look(zones=["gate"]))
    yard.see_for(4, look(zones=["yard"]))
    event = yard.lives.end_all(Ending.STOPPED).events[0]
    assert [(visit.zone, round(visit.entered_at - NIGHT, 1)) for visit in event.zones] == [("gate", 1.2), ("yard", 3.2)]
    assert round(event.zones[0].left_at - NIGHT, 1) == 3.2


def test_a_stay_that_is_clear_late_began_when_it_did_and_so_did_its_event():
    yard = Yard()
    yard.see_for(2, look(is_wanted=False))
    (event,) = yard.see(look(zones=["gate"], since_s=101.0)).events
    assert event.started_at == event.zones[0].entered_at == pytest.approx(NIGHT + 1.0)
    assert event.id.startswith("20261130T021306")
    yard.see_for(6, look(zones=["gate"]))
    (event,) = yard.see_for(0.2, look(stays=(Stay("gate", 101.0, has_loitered=True),))).events
    assert [(visit.left_at, visit.has_loitered) for visit in event.zones] == [(None, True)]


def test_a_crossing_has_the_time_at_which_it_was():
    yard = Yard()
    yard.see_for(1, look())
    (count,) = yard.see(look(passages=(Passage("fence", "in", 101.1),))).counts
    event = yard.lives.end_all(Ending.STOPPED).events[0]
    assert count.at == event.crossings[0].at == pytest.approx(NIGHT + 1.1)


def test_every_crossing_is_counted_and_the_newest_are_told():
    yard = Yard()
    yard.see_for(1, look())
    batch = yard.see_for(20, look(passages=(Passage("fence", "in", 1e9),)))
    assert len(batch.counts) == 100
    assert {(found.camera, found.line, found.direction, found.label) for found in batch.counts} == {
        ("yard", "fence", "in", "person")
    }
    end = yard.lives.end_all(Ending.STOPPED).events[0]
    assert len(end.crossings) == MAX_PARTS
    assert end.crossings[-1].at == pytest.approx(NIGHT + 21.0)


def test_a_crossing_counts_before_its_object_is_an_event():
    assert len(Yard().see(look(passages=(Passage("fence", "in", 1e9),))).counts) == 1


def test_the_best_moment_is_the_surest_largest_whole_view():
    assert worth(0.9, (100, 100, 200, 200), WH) > worth(0.8, (100, 100, 200, 200), WH)
    assert worth(0.8, (100, 100, 300, 300), WH) > worth(0.9, (100, 100, 200, 200), WH)
    assert worth(0.9, (0, 100, 100, 200), WH) < worth(0.8, (10, 100, 110, 200), WH)
    assert worth(1.0, (100, 100, 900, 900), WH) == 1.0


def test_an_event_keeps_its_best_moment():
    yard = Yard()
    yard.see_for(1, look(score=0.5))
    yard.see(look(score=0.95, x=600.0))
    yard.see_for(1, look(score=0.5))
    event = yard.lives.end_all(Ending.STOPPED).events[0]
    assert (event.best_score, event.best_box) == (0.95, (575.0, 400.0, 625.0, 500.0))
    assert event.best_at == pytest.approx(NIGHT + 1.2)


def test_speed_headway_and_media_come_along():
    yard = Yard()
    (event,) = yard.see_for(1, look(label="car", speed=Speed(40.0, 44.0))).events
    yard.lives.note_snapshot(event.id, (1.0, 2.0, 3.0, 4.0))
    batch = yard.see_for(5, look(label="car", headway=Headway(1.5, 18.0)))
    assert kinds(batch) == ["update"]
    assert batch.events[0].speed == Speed(40.0, 44.0)
    assert batch.events[0].headway == Headway(1.5, 18.0)
    assert (batch.events[0].has_snapshot, batch.events[0].has_clip) == (True, False)


def test_media_of_a_past_event_change_nothing():
    Yard().lives.note_clip("20261130T021305.123Z-yard-000000")


# --- ending ----------------------------------------------------------------------------------------------------------


def test_an_event_ends_some_time_after_its_track_and_says_when_it_was_last_seen():
    yard = Yard()
    yard.see_for(2, look(zones=["gate"]))
    assert not yard.see(gone=[1])
    assert not yard.see_for(1.8)
    batch = yard.see_for(1)
    (event,) = batch.events
    assert (event.kind, event.ending) == (Kind.END, Ending.GONE)
    assert event.ended_at == event.updated_at == event.zones[0].left_at == pytest.approx(NIGHT + 2.0)
    assert batch.tracks[0].event_id == event.id
    assert yard.lives.open() == ()


def test_who_appears_in_the_place_of_one_who_was_lost_is_the_same():
    yard = Yard()
    (event,) = yard.see_for(2, look(1, still_s=1.5)).events
    yard.see(gone=[1])
    yard.see_for(0.8)
    assert kinds(yard.see_for(3, look(2, x=510.0))) == []
    yard.see(gone=[2])
    batch = yard.see_for(3)
    assert [(end.id, end.kind) for end in batch.events] == [(event.id, Kind.END)]
    assert batch.tracks[0].sightings == 25


@pytest.mark.parametrize("other", [look(2, x=700.0), look(2, label="dog")])
def test_who_appears_elsewhere_or_is_something_else_is_another(other):
    yard = Yard()
    yard.see_for(2, look(1))
    yard.see(gone=[1])
    assert kinds(yard.see_for(4, other)) == ["new", "end"]


def test_who_passes_where_another_passed_before_is_another():
    yard = Yard()
    yard.see_for(2, look(1, still_s=0.4))
    yard.see(gone=[1])
    assert kinds(yard.see_for(4, look(2))) == ["new", "end"]


def test_what_is_learnt_of_one_who_is_gone_counts_as_of_when_it_was_seen_last():
    yard = Yard()
    yard.see_for(2, look(1, is_wanted=False))
    seen_at = yard.clock
    yard.see_for(2)
    (event,) = yard.lives.learn(WH, [look(1, speed=Speed(30.0, 30.0))]).events
    yard.see(gone=[1])
    (end,) = yard.see_for(4).events
    assert end.speed == Speed(30.0, 30.0)
    assert event.started_at == event.updated_at == end.ended_at == pytest.approx(seen_at)
    assert len(end.path) == 1


def test_an_event_begins_with_the_crossing_that_made_it():
    yard = Yard()
    yard.see_for(2, look(1, is_wanted=False))
    crossed_s = yard.now_s - 1.0
    (event,) = yard.see(look(1, passages=(Passage("gate", "in", crossed_s),))).events
    assert event.started_at == event.crossings[0].at == pytest.approx(NIGHT + crossed_s - 100.0)


def test_a_stay_ends_when_the_zone_was_left_not_when_that_was_clear():
    yard = Yard()
    yard.see_for(2, look(1, zones={"a"}))
    left_s = yard.now_s
    yard.see_for(1, look(1, zones={"a"}))
    yard.see(look(1, stays=(Stay("a", 100.0, left_s=left_s),)))
    yard.see(gone=[1])
    (end,) = (each for each in yard.see_for(4).events if each.kind is Kind.END)
    assert [visit.left_at for visit in end.zones] == [pytest.approx(NIGHT + left_s - 100.0)]


def test_who_appears_while_the_first_is_there_is_another():
    assert kinds(Yard().see_for(1, look(1), look(2, x=505.0))) == ["new", "new"]


@pytest.mark.parametrize("ending", [Ending.CAMERA_DOWN, Ending.STOPPED])
def test_when_the_camera_goes_all_end_at_once(ending):
    yard = Yard()
    yard.see_for(1, look(1), look(2, x=100.0))
    batch = yard.lives.end_all(ending)
    assert [(event.kind, event.ending) for event in batch.events] == [(Kind.END, ending)] * 2
    assert not yard.lives.tick(1e9)


def test_a_track_of_which_nobody_speaks_any_more_does_not_stay_open():
    yard = Yard()
    yard.see_for(1, look())
    assert not yard.lives.tick(yard.now_s + 100)
    assert kinds(yard.lives.tick(yard.now_s + 130)) == ["end"]


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_reverses_and_stretches_nothing(step_s):
    yard = Yard()
    yard.see_for(2, look())
    yard.clock += step_s
    yard.see_for(2, look())
    event = yard.lives.end_all(Ending.STOPPED).events[0]
    assert event.ended_at - event.started_at == pytest.approx(3.8)


def test_frames_out_of_order_end_nothing_and_reverse_nothing():
    yard = Yard()
    yard.see_for(2, look())
    yard.lives.see(yard.now_s - 1.0, yard.clock - 1.0, WH, [look()])
    event = yard.lives.end_all(Ending.STOPPED).events[0]
    assert event.updated_at == pytest.approx(NIGHT + 2.0)


def test_overlap_of_boxes():
    assert iou((0, 0, 10, 10), (0, 0, 10, 10)) == 1.0
    assert iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0.0
    assert iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0.0


# --- anything --------------------------------------------------------------------------------------------------------


class Camera(RuleBasedStateMachine):
    """Up to eight objects, each with a place of its own, that come, move, stand, vanish; and a camera that fails."""

    def __init__(self):
        super().__init__()
        self.policy = LifePolicy(update_every_s=3.0, lost_after_s=20.0, max_objects=6)
        self.lives = Lives("yard", count().__next__, self.policy)
        self.now_s = 0.0
        self.tracks = count()
        self.there = {}  # place -> track
        self.told = {}  # id -> events, in order
        self.told_s = {}  # id -> when
        self.summaries = []

    def keep(self, batch):
        for event in batch.events:
            self.told.setdefault(event.id, []).append(event)
            self.told_s.setdefault(event.id, []).append(self.now_s)
        self.summaries += batch.tracks

    def frame(self, gone=(), **changes):
        looks = [look(track, x=50.0 + 120 * place, **changes) for place, track in self.there.items()]
        self.keep(self.lives.see(self.now_s, NIGHT + self.now_s, WH, looks, gone))

    @rule(place=st.integers(0, 7))
    def come(self, place):
        self.there.setdefault(place, next(self.tracks))
        self.frame()

    @rule(
        seconds=st.sampled_from([0.1, 0.5, 3.0]),
        frames=st.integers(1, 8),
        zones=st.frozensets(st.sampled_from("ab")),
        is_stationary=st.booleans(),
        is_wanted=st.booleans(),
    )
    def stay(self, seconds, frames, zones, is_stationary, is_wanted):
        for _ in range(frames):
            self.now_s += seconds
            self.frame(zones=zones, is_stationary=is_stationary, is_wanted=is_wanted)

    @rule(place=st.integers(0, 7))
    def leave(self, place):
        track = self.there.pop(place, None)
        self.now_s += 0.2
        self.frame(gone=[track, 999] if track is not None else [999])
        self.now_s += 10.0  # or whoever comes next to this place would be the same
        self.frame()

    @rule(place=st.integers(0, 7))
    def vanish(self, place):
        self.there.pop(place, None)

    @rule(seconds=st.floats(0, 30))
    def silence(self, seconds):
        self.now_s += seconds
        self.keep(self.lives.tick(self.now_s))

    @precondition(lambda self: self.there)
    @rule()
    def fail(self):
        self.keep(self.lives.end_all(Ending.CAMERA_DOWN))
        assert self.lives.open() == ()
        self.there.clear()

    @invariant()
    def one_new_then_updates_then_one_end(self):
        for events in self.told.values():
            assert [event.revision for event in events] == list(range(len(events)))
            assert events[0].kind is Kind.NEW
            assert all(event.kind is Kind.UPDATE for event in events[1:-1])
            times = [events[0].started_at, *(event.updated_at for event in events)]
            assert times == sorted(times)

    @invariant()
    def what_is_open_is_what_has_not_ended(self):
        open_ = {id_ for id_, events in self.told.items() if events[-1].kind is not Kind.END}
        assert {moment.event for moment in self.lives.open()} == open_
        for events in self.told.values():
            assert (events[-1].kind is Kind.END) == (events[-1].ended_at is not None)

    @invariant()
    def updates_keep_their_distance(self):
        for id_, events in self.told.items():
            at_s = [when for when, event in zip(self.told_s[id_], events, strict=True) if event.kind is not Kind.END]
            assert all(b - a >= self.policy.update_every_s - 1e-9 for a, b in pairwise(at_s))

    @invariant()
    def nothing_grows_without_bound(self):
        assert len(self.lives.open()) <= self.policy.max_objects
        for events in self.told.values():
            assert len(events[-1].zones) <= MAX_PARTS
            assert len(events[-1].path) <= MAX_POINTS

    @invariant()
    def every_ended_event_has_one_summary(self):
        ended = sorted(id_ for id_, events in self.told.items() if events[-1].kind is Kind.END)
        assert sorted(summary.event_id for summary in self.summaries if summary.event_id) == ended

    def teardown(self):
        self.keep(self.lives.end_all(Ending.STOPPED))
        self.what_is_open_is_what_has_not_ended()
        assert self.lives.open() == ()


TestCamera = Camera.TestCase
TestCamera.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
