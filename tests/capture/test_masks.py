"""Cells and masks: how a picture is shrunk, and which points a polygon covers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.masks import CELLS, Grid, covered, problem

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
CENTRES = (np.arange(8) + 0.5) / 8


def drawn(*polygons):
    return ["".join("#" if cell else "." for cell in row) for row in covered(polygons, CENTRES, CENTRES)]


def test_a_square_covers_the_centres_within():
    assert drawn(SQUARE) == ["........"] * 2 + ["..####.."] * 4 + ["........"] * 2


def test_a_concave_polygon_leaves_its_bay_open():
    bay = ((0, 0), (1, 0), (1, 1), (0.75, 1), (0.75, 0.5), (0.25, 0.5), (0.25, 1), (0, 1))
    assert drawn(bay) == ["########"] * 4 + ["##....##"] * 4


def test_centres_on_an_edge_belong_to_one_side_only():
    c = CENTRES
    assert drawn(((c[0], c[0]), (c[6], c[0]), (c[0], c[6])))[:3] == ["######..", "#####...", "####...."]


def test_several_masks_add_up_even_where_they_overlap():
    assert drawn(SQUARE, SQUARE) == drawn(SQUARE)
    left, right = ((0, 0), (0.5, 0), (0.5, 1), (0, 1)), ((0.5, 0), (1, 0), (1, 1), (0.5, 1))
    assert drawn(left, right) == ["########"] * 8


@pytest.mark.parametrize(
    ("polygon", "says"),
    [
        (((0.0, 0.0), (1.0, 1.0)), "three corners"),
        (((0.0, 0.0), (1.5, 0.0), (0.0, 1.0)), "at 1.5,0"),
        (((0.0, 0.0), (float("nan"), 0.0), (0.0, 1.0)), "at nan,0"),
    ],
)
def test_a_wrong_polygon_is_refused_with_its_reason(polygon, says):
    assert says in problem(polygon)
    with pytest.raises(ValueError, match=says):
        drawn(polygon)


corners = st.tuples(st.floats(0, 1), st.floats(0, 1))


@given(st.lists(corners, min_size=3, max_size=8), st.integers(0, 7))
def test_neither_the_first_corner_nor_the_direction_matters(polygon, turn):
    turned = polygon[turn % len(polygon) :] + polygon[: turn % len(polygon)]
    # Off the centres, whose diagonals run along edges, where rounding decides.
    xs, ys = CENTRES * 0.98 + 0.00731, CENTRES * 0.97 + 0.01137
    expected = covered([tuple(polygon)], xs, ys)
    for other in (turned, polygon[::-1]):
        assert np.count_nonzero(covered([tuple(other)], xs, ys) != expected) <= 1


@given(st.lists(corners, min_size=3, max_size=3))
def test_a_triangle_covers_its_centre_of_mass_neighbourhood_only(triangle):
    """Half-plane signs are another way to say what is inside a triangle."""
    (ax, ay), (bx, by), (cx, cy) = triangle
    x, y = np.meshgrid(CENTRES, CENTRES)
    sides = [
        (qx - px) * (y - py) - (qy - py) * (x - px)
        for (px, py), (qx, qy) in (((ax, ay), (bx, by)), ((bx, by), (cx, cy)), ((cx, cy), (ax, ay)))
    ]
    clear = np.min(np.abs(sides), axis=0) > 1e-9
    inside = np.all([side > 0 for side in sides], axis=0) | np.all([side < 0 for side in sides], axis=0)
    assert np.array_equal(covered([tuple(triangle)], CENTRES, CENTRES)[clear], inside[clear])


@pytest.mark.parametrize(
    ("wh", "shape"),
    [((1920, 1080), (90, 160)), ((1280, 720), (90, 160)), ((3840, 2160), (90, 160)), ((480, 360), (90, 120))],
)
def test_usual_sizes_have_about_as_many_cells(wh, shape):
    assert Grid((wh[1], wh[0]), ()).shape == shape


@given(st.integers(1, 700), st.integers(1, 700))
def test_any_size_has_cells_but_not_many(h, w):
    grid = Grid((h, w), ())
    assert 1 <= grid.shape[0] * grid.shape[1] <= CELLS
    sums = grid.shrink(np.full((h, w), 255, np.uint8))
    assert np.allclose(sums * grid.weight, 255.0)


def test_a_view_with_padded_lines_is_read_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (360, 512), np.uint8)
    grid = Grid((360, 480), ())
    assert np.array_equal(grid.shrink(picture[:, :480]), grid.shrink(picture[:, :480].copy()))


def test_a_cell_is_the_mean_of_its_sampled_rows():
    picture = np.zeros((1080, 1920), np.uint8)
    picture[12:24, 24:36] = 90
    cells = Grid(picture.shape, ()).shrink(picture) * Grid(picture.shape, ()).weight
    assert cells[1, 2] == pytest.approx(90)
    assert np.count_nonzero(cells) == 1


def test_the_largest_picture_does_not_overflow():
    picture = np.broadcast_to(np.uint8(255), (8192, 16384))
    grid = Grid(picture.shape, ())
    assert np.allclose(grid.shrink(picture) * grid.weight, 255.0)


def test_masked_cells_do_not_count():
    grid = Grid((90, 160), (SQUARE,))
    assert grid.unmasked == 90 * 160 - grid.shape[0] // 2 * grid.shape[1] // 2 == grid.counts.sum()
