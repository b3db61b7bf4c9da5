"""A plot has its lines where the values are, and is a PNG."""

import cv2
import numpy as np
import pytest

from inference.evaluation.plot import Picture, draw, png

BLUE = np.array((180, 119, 31))


def blue_rows(picture: Picture) -> np.ndarray:
    """The mean row of the first line's pixels in each column, left of the legend; NaN where it has none."""
    is_blue = np.abs(picture.astype(int) - BLUE).sum(axis=2)[:, :740] < 60
    rows = np.arange(len(picture))[:, None]
    with np.errstate(invalid="ignore"):
        return (is_blue * rows).sum(axis=0) / is_blue.sum(axis=0)


@pytest.mark.parametrize(("values", "rise"), [((1.0, 2.0, 4.0), 3), ((4.0, 2.0, 1.0), -3), ((2.0, 2.0, 2.0), 0)])
def test_a_line_is_where_its_values_are(values: tuple[float, ...], rise: int) -> None:
    """The second line makes the scale the same for all: a quarter of it is 117 rows."""
    picture = draw({"a": dict(enumerate(values, 1)), "b": {2: 4.0}}, "title", "x", "y")
    assert picture.shape == (600, 960, 3)
    rows = blue_rows(picture)
    columns = np.flatnonzero(~np.isnan(rows))
    assert columns[-1] - columns[0] > 400
    risen = rows[columns[:3]].mean() - rows[columns[-3:]].mean()  # rows count downwards
    assert risen == pytest.approx(rise * 470 / 4, abs=8)


@pytest.mark.parametrize(
    "lines", [{"a": {1: 0.0}}, {"a": {4: 1e-6}, "b": {1: 1e9, 2: 0.0}}, {str(n): {n: n} for n in range(9)}]
)
def test_any_values_can_be_drawn(lines: dict[str, dict[int, float]]) -> None:
    picture = draw(lines, "title", "x", "y")
    assert picture.min() < 100 < picture.max() == 255


def test_nothing_is_not_drawn() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        draw({"a": {}}, "title", "x", "y")


def test_the_file_is_a_png_of_the_picture() -> None:
    picture = draw({"a": {1: 1.0}}, "title", "x", "y")
    read = cv2.imdecode(np.frombuffer(png(picture), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(read, picture)
