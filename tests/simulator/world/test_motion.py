from itertools import pairwise

import numpy as np
import pytest

from simulator.world.motion import Actor, Cast, Moment, Timetable, plan_route, standing
from simulator.world.people import pick_dress
from simulator.world.scene import build_scene, size_of
from tests.simulator.world.figures import some_figure

PERIOD_S = 20.0
NOBODY = np.zeros((0, 3))
WALKER = pick_dress(np.random.default_rng(1))


def walker(table: Timetable, start_s: float = 0.0) -> Actor:
    """Somebody on foot."""
    return Actor(WALKER, table, start_s, *size_of(WALKER))


def test_straight_way_takes_its_length_over_its_speed() -> None:
    table = plan_route(((0.0, 0.0), (30.0, 0.0)), 1.5)
    assert table.duration_s == pytest.approx(20.0, rel=0.02)
    assert table.headings_rad == pytest.approx(0.0, abs=1e-6)


def test_corner_is_rounded_and_taken_slowly() -> None:
    table = plan_route(((0.0, 0.0), (30.0, 0.0), (30.0, 30.0)), 10.0, corner_m=5.0)
    turns = np.abs(np.diff(table.headings_rad))
    assert table.headings_rad[-1] == pytest.approx(np.pi / 2, abs=0.01)
    assert turns.max() < 0.1
    assert np.hypot(*(table.xy - (30.0, 0.0)).T).min() > 1.0  # the corner itself is cut
    speeds = np.diff(table.travelled_m) / np.diff(table.times_s)
    assert speeds.min() < 6.0
    assert speeds.max() > 9.9


def test_stop_is_waited_at() -> None:
    actor = walker(plan_route(((0.0, 0.0), (60.0, 0.0)), 8.0, stops=((30.0, 4.0),)))
    stood = [actor.moments(t, 100.0)[0] for t in np.arange(0.0, actor.timetable.duration_s - 0.5, 0.1)]
    still = [moment for moment in stood if moment.speed_mps < 0.1]
    assert len(still) == pytest.approx(40, abs=6)
    assert all(abs(moment.placing.x - 30.0) < 0.5 and moment.brakes for moment in still)
    assert not stood[-1].brakes
    assert any(moment.brakes and moment.speed_mps > 2 for moment in stood)  # before the stop


def test_longer_than_a_period_means_several_at_once_that_follow_each_other() -> None:
    actor = walker(plan_route(((0.0, 0.0), (75.0, 0.0)), 1.5), start_s=3.0)
    places = sorted(moment.placing.x for moment in actor.moments(10.0, PERIOD_S))
    assert len(places) == 3
    assert [b - a for a, b in pairwise(places)] == pytest.approx([30.0, 30.0], rel=0.02)


def test_everybody_is_back_in_place_after_a_period() -> None:
    actor = walker(plan_route(((0.0, 0.0), (75.0, 0.0)), 1.5), start_s=3.0)

    def places(moments: list[Moment]) -> list[float]:
        return sorted(moment.placing.x for moment in moments)

    for now_s in (0.0, 2.9, 3.1, 19.9):
        assert places(actor.moments(now_s, PERIOD_S)) == pytest.approx(
            places(actor.moments(now_s + PERIOD_S, PERIOD_S))
        )


def test_track_stays_the_same_over_a_round() -> None:
    actor = walker(plan_route(((0.0, 0.0), (75.0, 0.0)), 1.5), start_s=3.0)
    ways: dict[int, list[float]] = {}
    for now_s in np.arange(0.0, PERIOD_S, 0.1).tolist():
        for moment in actor.moments(now_s, PERIOD_S):
            ways.setdefault(moment.track, []).append(moment.placing.x)
    assert len(ways) == 3
    assert all(0 < b - a < 0.3 for way in ways.values() for a, b in pairwise(way))


def test_cast_refuses_who_would_bump_into_another() -> None:
    cast = Cast(PERIOD_S, NOBODY)
    along, across = plan_route(((-9.0, 0.0), (9.0, 0.0)), 1.5), plan_route(((0.0, -9.0), (0.0, 9.0)), 1.5)
    assert cast.add(walker(along))
    assert not cast.add(walker(across))
    assert cast.add(walker(across, start_s=4.0))
    assert len(cast.actors) == 2


def test_cast_refuses_who_would_walk_into_an_obstacle() -> None:
    cast = Cast(PERIOD_S, np.array([[0.0, 0.2, 0.3]]))
    assert not cast.add(walker(plan_route(((-9.0, 0.0), (9.0, 0.0)), 1.5)))
    assert cast.add(walker(plan_route(((-9.0, 3.0), (9.0, 3.0)), 1.5)))


def test_cast_refuses_who_would_meet_himself() -> None:
    there_and_back = plan_route(((-15.0, 0.0), (15.0, 0.0), (15.0, 0.4), (-15.0, 0.4)), 1.5, corner_m=0.1)
    assert not Cast(PERIOD_S, NOBODY).add(walker(there_and_back))


def test_long_vehicle_takes_its_length() -> None:
    cast = Cast(PERIOD_S, NOBODY)
    bus = some_figure("bus", 1)
    assert cast.add(Actor(bus, standing(0.0, 0.0, 0.0), 0.0, *size_of(bus)))
    assert not cast.add(walker(standing(4.5, 0.0, 0.0)))
    assert cast.add(walker(standing(0.0, 2.5, 0.0)))


@pytest.mark.parametrize("seed", [5, 1])
def test_nobody_of_a_scene_touches_another(seed: int) -> None:
    actors = build_scene(seed, (320, 180), PERIOD_S).actors
    assert len(actors) > 10
    times = np.arange(0.0, PERIOD_S, 0.25)
    discs = [actor.discs(times, PERIOD_S) for actor in actors]
    for index, one in enumerate(discs):
        for other in discs[:index]:
            gap = np.hypot(*(one[:, :, None, :2] - other[:, None, :, :2]).transpose(3, 0, 1, 2))
            clear = gap - (one[:, :, None, 2] + other[:, None, :, 2]) / 1.1
            assert not (clear < 0).any()
