"""Speeds and headways of boxes that an exact camera sees of cars on a measured road."""

import numpy as np
import pytest

from events.speed import SpeedMeter, Stretch
from events.tracker import Tracker
from events.tracks import End, EndCause, Track, TrackUpdate
from tests.events.test_geometry import project

WH = (1280, 720)
WIDTH_M, LENGTH_M = 4.0, 20.0
RECTANGLE = tuple((x / WH[0], y / WH[1]) for x, y in (project(*each) for each in ((0, 0), (4, 0), (4, 20), (0, 20))))
STRETCH = Stretch("lane", RECTANGLE, WIDTH_M, LENGTH_M, frozenset({"car"}))
CAR_M = (1.8, 4.2, 1.5)


def box_of(along_m: float) -> list[float]:
    """Around the eight corners of a car whose near end is so far along the middle of the lane."""
    wide, long, high = CAR_M
    corners = [
        project(2.0 + side * wide / 2, along_m + end * long, 6.0 - top * high)
        for side in (-1, 1) for end in (0, 1) for top in (0, 1)
    ]  # fmt: skip
    xs, ys = zip(*corners, strict=True)
    return [min(xs), min(ys), max(xs), max(ys)]


def track(number: int, at_s: float, along_m: float) -> Track:
    """A car as it is told of: its foot is so far along."""
    (x1, y1), (x2, _) = project(1.1, along_m), project(2.9, along_m)
    box = (x1, y1 - 80.0, x2, y1)
    return Track(number, "car", 0.8, box, ((x1 + x2) / 2, y1), (x1, y1), (0.0, 0.0), 0.0, at_s, 0.0, at_s, 3, 0.0)


def passages(starts_m, speeds_kmh, *, rate_hz=5.0, jitter=0.0, label="car", seed=1):
    """What is measured of cars that start so far along at time 0."""
    tracker, meter, passed = Tracker(), SpeedMeter(STRETCH, WH), []
    chance = np.random.default_rng(seed)
    for number in range(round(25 * rate_hz)):
        at_s = number / rate_hz
        along = [start + speed / 3.6 * at_s for start, speed in zip(starts_m, speeds_kmh, strict=True)]
        boxes = np.array([box_of(each) for each in along if -4.0 < each < 60.0]).reshape(-1, 4)
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        boxes = boxes + chance.normal(0.0, 1.0, boxes.shape) * jitter * sides
        passed += meter.judge(tracker.update(at_s, boxes, np.full(len(boxes), 0.8), [label] * len(boxes)))
    assert len(meter) == 0
    return passed


@pytest.mark.parametrize("rate_hz", [5, 10])
@pytest.mark.parametrize("speed_kmh", [20.0, 50.0, 80.0])
def test_a_cars_speed_is_measured(speed_kmh, rate_hz):
    (passed,) = passages([-3.9], [speed_kmh], rate_hz=rate_hz)
    assert passed.speed_kmh == pytest.approx(speed_kmh, rel=0.05)
    assert passed.at_s == pytest.approx((LENGTH_M / 2 + 3.9) / (speed_kmh / 3.6), abs=0.15)
    assert (passed.stretch, passed.track.label, passed.headway_s, passed.headway_m) == ("lane", "car", None, None)


def test_who_comes_towards_the_camera_has_a_speed_below_zero():
    (passed,) = passages([55.0], [-50.0])
    assert passed.speed_kmh == pytest.approx(-50.0, rel=0.05)


@pytest.mark.parametrize("rate_hz", [5, 10])
def test_the_median_error_with_a_detectors_jitter_is_below_5_percent(rate_hz):
    speeds = np.random.default_rng(2).uniform(25.0, 80.0, 40)
    errors = []
    for seed, speed in enumerate(speeds.tolist()):
        (passed,) = passages([-3.9], [speed], rate_hz=rate_hz, jitter=0.02, seed=seed)
        errors.append(abs(passed.speed_kmh / speed - 1))
    assert np.median(errors) < 0.05


def test_headway_is_the_time_and_the_way_after_the_one_before():
    """At 36 km/h, ten metres a second."""
    first, second, third = passages([-4.0, -24.0, -39.0], [36.0] * 3)
    assert first.headway_s is None
    assert second.headway_s == pytest.approx(2.0, abs=0.1)
    assert second.headway_m == pytest.approx(20.0, rel=0.07)
    assert third.headway_s == pytest.approx(1.5, abs=0.1)
    assert third.headway_m == pytest.approx(15.0, rel=0.07)


def test_who_is_told_of_after_one_that_came_later_has_no_headway():
    """The first was lost on the stretch; while it was waited for, the second passed."""
    meter = SpeedMeter(STRETCH, WH)
    for number in range(5):
        meter.judge(
            TrackUpdate(updated=(track(1, number * 0.5, number * 4.0), track(2, 1 + number * 0.5, number * 4.0)))
        )
    (second,) = meter.judge(TrackUpdate(updated=(track(2, 4.0, 25.0),)))
    (first,) = meter.judge(TrackUpdate(ended=(End(track(1, 2.0, 16.0), EndCause.LOST),)))
    (third,) = meter.judge(TrackUpdate(updated=(track(3, 3.0, 4.0), track(3, 4.0, 14.0), track(3, 5.0, 24.0))))
    assert [each.at_s for each in (second, first, third)] == pytest.approx([2.25, 1.25, 3.6], abs=0.01)
    assert first.headway_s is None
    assert third.headway_s == pytest.approx(1.35, abs=0.01)


def test_who_is_not_meant_is_not_measured():
    assert passages([-3.9], [50.0], label="person") == []


def test_who_turns_round_at_once_has_no_speed():
    tracker, meter, passed = Tracker(), SpeedMeter(STRETCH, WH), []
    for number in range(60):
        along = 4.0 - abs(number - 20) * 0.4
        if along > -4.0:
            passed += meter.judge(tracker.update(number / 5, np.array([box_of(along)]), np.array([0.8]), ["car"]))
        else:
            passed += meter.judge(tracker.update(number / 5, np.empty((0, 4)), np.empty(0), []))
    assert passed == []
    assert len(meter) == 0


def test_nothing_happens_of_itself():
    assert SpeedMeter(STRETCH, WH).judge(TrackUpdate()) == []
