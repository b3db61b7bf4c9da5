"""Points, polygons and the ground by value."""

from math import cos, pi, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.geometry import Ground, contains, crossing, distance_to_edge, is_convex, offset

SQUARE = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0))
NOTCH = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 5.0), (0.0, 10.0))
numbers = st.floats(-100.0, 100.0)
points = st.tuples(numbers, numbers)


@pytest.mark.parametrize(
    ("corners", "point", "expected"),
    [
        (SQUARE, (5, 5), True),
        (SQUARE, (-1, 5), False),
        (SQUARE, (5, 11), False),
        (NOTCH, (5, 4), True),
        (NOTCH, (5, 8), False),
        (NOTCH, (1, 8), True),
    ],
)
def test_a_polygon_holds_what_is_inside(corners, point, expected):
    assert contains(corners, point) is expected
    assert contains(corners[::-1], point) is expected


@given(points)
def test_a_point_between_two_polygons_belongs_to_one_of_them(point):
    """Half-open: nobody stands in both, or in neither."""
    left = ((-200.0, -200.0), (0.0, -200.0), (0.0, 200.0), (-200.0, 200.0))
    right = ((0.0, -200.0), (200.0, -200.0), (200.0, 200.0), (0.0, 200.0))
    assert contains(left, point) != contains(right, point)


@pytest.mark.parametrize(("point", "expected"), [((5, 5), 5.0), ((5, 9), 1.0), ((13, 14), 5.0), ((-2, 5), 2.0)])
def test_distance_to_the_nearest_edge(point, expected):
    assert distance_to_edge(SQUARE, point) == pytest.approx(expected)


def test_right_is_right_for_who_looks_along_the_line():
    """Looking to the right of the picture, right is below."""
    assert offset((0, 0), (10, 0), (3, 4)) == 4.0
    assert offset((10, 0), (0, 0), (3, 4)) == -4.0


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((5, -1), (5, 3), 0.25),
        ((5, 3), (5, -1), 0.75),
        ((11, -1), (11, 3), None),
        ((5, 1), (5, 3), None),
        ((8, -2), (14, 2), None),
    ],
)
def test_a_line_is_crossed_between_its_ends_only(start, end, expected):
    assert crossing((0, 0), (10, 0), start, end) == expected


@given(points, points, points, st.floats(0.05, 0.95))
def test_a_way_in_two_parts_crosses_as_often_as_the_whole(a, start, end, part):
    """Odd or even: a crossing is never lost or doubled by a sighting in between."""
    b = (a[0] + 300.0, a[1] + 400.0)
    line = ((a[0] - 300.0, a[1] - 400.0), b)
    middle = (start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1]))
    parts = [crossing(*line, start, middle), crossing(*line, middle, end)]
    assert sum(each is not None for each in parts) == (crossing(*line, start, end) is not None)


@pytest.mark.parametrize(
    ("corners", "expected"), [(SQUARE, True), (SQUARE[::-1], True), (NOTCH[:4], False), ((SQUARE[0],) * 4, False)]
)
def test_convex_or_not(corners, expected):
    assert is_convex(corners) is expected


def project(across: float, along: float, height: float = 6.0, pitch: float = 0.35) -> tuple[float, float]:
    """A pinhole camera 6 m above the near edge, looking down by 20 degrees: focal length 1000, middle (640, 360)."""
    ahead = along + 12.0
    depth, down = ahead * cos(pitch) + height * sin(pitch), height * cos(pitch) - ahead * sin(pitch)
    return 640 + 1000 * (across - 2.0) / depth, 360 + 1000 * down / depth


@given(st.floats(0.0, 4.0), st.floats(0.0, 25.0))
def test_metres_on_the_ground_are_those_of_an_exact_camera(across, along):
    corners = [project(*each) for each in ((0, 0), (4, 0), (4, 20), (0, 20))]
    ground = Ground.of(corners, 4.0, 20.0)
    assert ground.metres(project(across, along)) == pytest.approx((across, along), abs=1e-6)


@given(st.floats(-pi, pi), st.floats(0.5, 50.0), st.floats(0.5, 50.0))
def test_a_rectangle_seen_from_above_is_itself(angle, width_m, length_m):
    def turned(x: float, y: float) -> tuple[float, float]:
        return 7 * (cos(angle) * x - sin(angle) * y) + 300, 7 * (sin(angle) * x + cos(angle) * y) + 200

    corners = [turned(*each) for each in ((0, 0), (width_m, 0), (width_m, length_m), (0, length_m))]
    ground = Ground.of(corners, width_m, length_m)
    assert ground.metres(turned(width_m / 2, length_m / 3)) == pytest.approx((width_m / 2, length_m / 3), rel=1e-6)


@pytest.mark.parametrize(
    "corners",
    [
        ((0, 0), (10, 0), (20, 0), (0, 10)),
        ((0, 0), (10, 10), (10, 0), (0, 10)),
        ((0, 0), (0, 0), (10, 10), (0, 10)),
    ],
)
def test_four_points_of_no_rectangle_are_refused(corners):
    with pytest.raises(ValueError, match="corners of a rectangle"):
        Ground.of(corners, 4.0, 20.0)
