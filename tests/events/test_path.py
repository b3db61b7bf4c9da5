"""An object's way: bounded, and true at both ends."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from events.path import MAX_POINTS, Path
from events.words import Waypoint


def walked(points):
    path = Path()
    for number, (x, y) in enumerate(points):
        path.add(number, x, y)
    return path.points()


def test_who_stands_still_has_two_points_at_most():
    assert walked([(0.5, 0.5)] * 1000) == (Waypoint(0, 0.5, 0.5), Waypoint(999, 0.5, 0.5))


def test_a_straight_way_keeps_its_shape():
    points = walked([(number / 10_000, 0.5) for number in range(10_001)])
    assert 20 < len(points) <= MAX_POINTS
    gaps = [b.x - a.x for a, b in pairwise(points[:-1])]
    assert max(gaps) < 2.5 * min(gaps)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=600))
def test_any_way_is_short_and_begins_and_ends_where_it_did(way):
    points = walked(way)
    assert len(points) <= MAX_POINTS
    assert (points[0].x, points[0].y) == tuple(round(number, 4) for number in way[0])
    assert points[-1] == Waypoint(len(way) - 1, round(way[-1][0], 4), round(way[-1][1], 4))
    assert [point.after_s for point in points] == sorted({point.after_s for point in points})


def test_no_way_is_no_points():
    assert Path().points() == ()
