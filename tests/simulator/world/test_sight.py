"""Boxes and shares of visibility against the pixels that were painted."""

import numpy as np
import pytest

from simulator.world import LABELS
from simulator.world.painter import MARGIN
from simulator.world.sight import box_in_frame, silhouette
from tests.simulator.world.figures import SIZE_WH, painted_extent, pole_camera, see_figure, some_figure


@pytest.mark.parametrize("label", LABELS)
def test_box_is_the_extent_of_what_was_painted(label: str) -> None:
    rng = np.random.default_rng(1)
    for seed in range(12):
        place = (float(rng.uniform(-5, 5)), float(rng.uniform(16, 60)), float(rng.uniform(-3, 3)))
        sight = see_figure(some_figure(label, seed), *place)
        assert sight is not None
        assert sight.labels[0] == label
        for part in range(len(sight.labels)):
            box = box_in_frame(sight, part, (0.0, 0.0), SIZE_WH)
            assert box == pytest.approx(painted_extent(sight, part), abs=1.5)


@pytest.mark.parametrize("label", LABELS)
def test_box_at_the_frames_edge_is_the_extent_of_what_is_inside(label: str) -> None:
    cut = 0
    lens = pole_camera((SIZE_WH[0] + 2 * MARGIN, SIZE_WH[1] + 2 * MARGIN))
    for x in np.arange(-11.0, 11.0, 0.7).tolist():
        sight = see_figure(some_figure(label, 3), x, 13.0, 0.6, lens)
        if sight is None:
            continue
        for part in range(len(sight.labels)):
            box = box_in_frame(sight, part, (-MARGIN, -MARGIN), SIZE_WH)
            inside = painted_extent(sight, part, MARGIN)
            if box is None:
                assert (inside[2] - inside[0]) * (inside[3] - inside[1]) <= 6
                continue
            assert box == pytest.approx(inside, abs=1.5)
            cut += box[0] == 0 or box[2] == SIZE_WH[0]
    assert cut >= 1


def test_box_moves_with_the_camera() -> None:
    sight = see_figure(some_figure("car", 1), 0.0, 30.0, 0.4)
    assert sight is not None
    here = box_in_frame(sight, 0, (0.0, 0.0), SIZE_WH)
    there = box_in_frame(sight, 0, (-8.0, 3.5), SIZE_WH)
    assert here is not None
    assert there == pytest.approx((here[0] - 8, here[1] + 3.5, here[2] - 8, here[3] + 3.5))


@pytest.mark.parametrize(("label", "height_m"), [("person", (1.1, 2.1)), ("car", (1.3, 1.9)), ("bus", (3.0, 3.5))])
def test_size_on_the_picture_follows_the_distance(label: str, height_m: tuple[float, float]) -> None:
    """Seen from the side and nearly level, an object is its height times focal length over distance high."""
    focal_px = 0.9 * SIZE_WH[0]
    heights = []
    for y in (25.0, 50.0):
        sight = see_figure(some_figure(label, 2), 0.0, y, 0.0)
        assert sight is not None
        _, y0, _, y1 = sight.boxes[0]
        heights.append(y1 - y0)
        low, high = (focal_px * metres / np.hypot(y, 6.0) for metres in height_m)
        depth_px = focal_px * 6.0 * 2.6 / y**2  # what the view from above adds: the ground it covers
        assert low * 0.9 < y1 - y0 < high * 1.1 + depth_px
    assert 1.7 < heights[0] / heights[1] < 2.6


@pytest.mark.parametrize("place", [(0.0, -30.0, 0.0), (60.0, 20.0, 0.0), (-60.0, 20.0, 0.0)])
def test_what_the_camera_cannot_see_is_no_sight(place: tuple[float, float, float]) -> None:
    assert see_figure(some_figure("truck", 1), *place) is None


@pytest.mark.parametrize("y", [-6.0, -3.0, 0.0, 2.0, 4.0, 6.0])
def test_vehicle_below_the_camera_stays_in_shape(y: float) -> None:
    """Where a bus passes under the lens, only the part before it is painted; nothing is spread over the picture."""
    sight = see_figure(some_figure("bus", 1), 3.0, y, 1.57)
    if sight is None:
        return
    box = box_in_frame(sight, 0, (0.0, 0.0), SIZE_WH)
    assert box is None or (box[0] > SIZE_WH[0] * 0.5 and box[1] > SIZE_WH[1] * 0.3)


def test_silhouette_counts_the_whole_object_beyond_the_frame() -> None:
    inside = see_figure(some_figure("car", 1), 0.0, 20.0, 0.0)
    outside = see_figure(some_figure("car", 1), -11.0, 20.0, 0.0)
    assert inside is not None and outside is not None
    assert outside.boxes[0][0] < 0
    areas = [int(np.count_nonzero(silhouette(sight, 0)[0])) for sight in (inside, outside)]
    assert areas[1] == pytest.approx(areas[0], rel=0.35)  # seen from another side, but whole
