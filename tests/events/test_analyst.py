"""One camera's way from sightings to events, on objects that walk by exact paths."""

import itertools
from collections.abc import Iterator

import pytest

from capture.messages import Sighting
from events.analyst import Analyst, CameraRules
from events.rules import Line, Zone
from events.speed import Stretch
from events.words import Batch, Ending, Event, Kind

WH = (1000, 1000)
RATE = 5.0
NIGHT = 1_700_000_000.0
SIZE = (60.0, 120.0)
RIGHT_HALF = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))


def at(x: float, y: float, label: str = "person", score: float = 0.9) -> Sighting:
    """A sighting whose foot is there, in pixels."""
    return Sighting(label, score, (x - SIZE[0] / 2, y - SIZE[1], x + SIZE[0] / 2, y))


def walk(start: float, end: float, seconds: float, y: float = 600.0, **what: str) -> list[list[Sighting]]:
    """Frames of one who walks across; then it is gone."""
    count = round(seconds * RATE)
    return [[at(start + (end - start) * i / (count - 1), y, **what)] for i in range(count)]


NOBODY: list[list[Sighting]] = [[]] * 60


class Scene:
    """An analyst whose events are collected."""

    def __init__(self, rules: CameraRules) -> None:
        chance: Iterator[int] = itertools.count()
        self.analyst = Analyst("yard", rules, lambda: next(chance))
        self.kept = Batch()
        self.now_s = 100.0

    def show(self, frames: list[list[Sighting]], wh: tuple[int, int] = WH) -> None:
        for sightings in frames:
            self.now_s += 1 / RATE
            self.kept += self.analyst.see(self.now_s, NIGHT + self.now_s, wh, sightings)

    def of(self, kind: Kind) -> list[Event]:
        return [event for event in self.kept.events if event.kind is kind]

    def ended(self) -> list[Event]:
        assert len(self.of(Kind.NEW)) == len(self.of(Kind.END))
        return self.of(Kind.END)


def test_without_rules_each_visit_is_one_event():
    scene = Scene(CameraRules())
    scene.show(walk(100, 900, 8) + NOBODY + walk(900, 100, 8) + NOBODY)
    first, second = scene.ended()
    assert (first.label, first.ending, first.frame_wh) == ("person", Ending.GONE, WH)
    assert second.started_at - first.started_at == pytest.approx(20, abs=1)
    assert first.path[0].x < 0.2
    assert first.path[-1].x > 0.8
    assert second.path[0].x > 0.8


def test_with_a_zone_only_who_enters_it_is_an_event():
    scene = Scene(CameraRules(zones=(Zone("right", RIGHT_HALF),)))
    scene.show(walk(100, 400, 6) + NOBODY + walk(100, 900, 8) + NOBODY)
    [event] = scene.ended()
    [visit] = event.zones
    assert visit.zone == "right"
    assert event.started_at == pytest.approx(visit.entered_at, abs=0.5)
    assert visit.left_at is not None


def test_lines_are_counted_by_direction_and_once():
    scene = Scene(CameraRules(lines=(Line("gate", (0.5, 1.0), (0.5, 0.0), to_right="in", to_left="out"),)))
    scene.show(walk(100, 900, 8) + NOBODY + walk(900, 100, 8) + NOBODY)
    assert [(count.line, count.direction, count.crossings) for count in scene.kept.counts] == [
        ("gate", "in", 1),
        ("gate", "out", 1),
    ]
    assert [crossing.direction for event in scene.ended() for crossing in event.crossings] == ["in", "out"]


def test_nothing_is_seen_under_a_mask():
    scene = Scene(CameraRules(masks=(((0.0, 0.0), (1.0, 0.0), (1.0, 0.65), (0.0, 0.65)),)))
    scene.show(walk(100, 900, 8, y=600) + NOBODY + walk(100, 900, 8, y=800) + NOBODY)
    [event] = scene.ended()
    assert event.path[0].y == pytest.approx(0.8)


def test_what_stands_is_quiet_until_it_moves():
    scene = Scene(CameraRules(still_s=10.0))
    scene.show(walk(100, 500, 4) + [[at(500, 600)]] * 300)
    updates = len(scene.of(Kind.UPDATE))
    scene.show([[at(500, 600)]] * 300)
    assert len(scene.of(Kind.UPDATE)) == updates
    assert scene.kept.events[-1].is_stationary
    scene.show(walk(500, 900, 4) + NOBODY)
    [event] = scene.ended()
    assert not event.is_stationary


def test_speed_and_headway_are_told_also_of_who_is_gone_at_the_stretchs_end():
    road = Stretch("lane", ((0.1, 0.9), (0.1, 0.3), (0.9, 0.3), (0.9, 0.9)), width_m=6.0, length_m=40.0)
    scene = Scene(CameraRules(stretches=(road,)))
    # 40 px are 2 m, in 0.2 s: 36 km/h. The second follows 9 s later, and vanishes on the stretch.
    first, second = walk(100, 980, 4.6, label="car"), walk(100, 860, 4, label="car")
    scene.show([*first, *[[]] * 22, *second, *NOBODY])
    found = scene.ended()
    assert [event.speed.median_kmh for event in found if event.speed] == [pytest.approx(36, rel=0.05)] * 2
    assert found[0].headway is None
    assert found[1].headway is not None
    assert found[1].headway.seconds == pytest.approx(9, abs=0.5)


def test_a_camera_that_goes_down_ends_its_events_and_begins_anew():
    scene = Scene(CameraRules())
    scene.show(walk(100, 500, 4))
    scene.kept += scene.analyst.close(Ending.CAMERA_DOWN)
    scene.show(walk(500, 900, 4) + NOBODY)
    assert [event.ending for event in scene.ended()] == [Ending.CAMERA_DOWN, Ending.GONE]


def test_a_picture_of_another_size_begins_anew():
    scene = Scene(CameraRules(zones=(Zone("right", RIGHT_HALF),)))
    scene.show(walk(600, 700, 4))
    scene.show([[Sighting("person", 0.9, (1400, 900, 1500, 1200))]] * 20 + NOBODY, wh=(2000, 2000))
    assert {event.frame_wh for event in scene.ended()} == {WH, (2000, 2000)}


def test_a_silent_camera_ends_its_events():
    scene = Scene(CameraRules())
    scene.show(walk(100, 500, 4))
    for second in range(40):
        scene.kept += scene.analyst.tick(scene.now_s + second)
    [event] = scene.ended()
    assert event.ended_at == pytest.approx(event.updated_at)


def test_nothing_of_gone_objects_is_kept():
    scene = Scene(CameraRules(zones=(Zone("right", RIGHT_HALF),)))
    for _ in range(5):
        scene.show(walk(100, 900, 4) + NOBODY)
    assert scene.analyst._doings == {}
    assert scene.analyst.lives.open() == ()
