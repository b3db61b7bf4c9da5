from collections import Counter

import numpy as np
import pytest

from simulator.world import LABELS, SHOWCASE, Truth, World, is_test_scene, mood_of

SMALL_WH = (640, 360)


def iou(a: Truth, b: Truth) -> float:
    """Intersection over union of two boxes."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = a.xyxy, b.xyxy
    width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
    if width <= 0 or height <= 0:
        return 0.0
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - width * height
    return width * height / union


def found_again(before: tuple[Truth, ...], after: tuple[Truth, ...]) -> float:
    """Share of the well visible objects of one frame that are about where they were in another."""
    clear = [truth for truth in before if truth.visible_ratio > 0.5 and truth.xyxy[2] - truth.xyxy[0] > 12]
    assert clear
    return float(np.mean([any(other.label == one.label and iou(one, other) > 0.3 for other in after) for one in clear]))


def test_titles() -> None:
    assert mood_of(5).title == "street, day"
    assert mood_of(2).title == "street, night, rain"
    assert World(1, SMALL_WH).title == mood_of(1).title == "yard, dusk"


def test_seeds_give_all_places_times_and_weathers() -> None:
    titles = {mood_of(seed).title for seed in range(300)}
    assert titles == {
        f"{kind}, {time}{rain}"
        for kind in ("street", "yard")
        for time in ("day", "dusk", "night")
        for rain in ("", ", rain")
    }


def test_only_high_seeds_are_for_tests() -> None:
    assert [is_test_scene(seed) for seed in (0, 999_999, 1_000_000, 5_000_000)] == [False, False, True, True]


def test_showcase_is_made_of_test_scenes_and_differs() -> None:
    assert all(is_test_scene(seed) for seed in SHOWCASE)
    assert len({mood_of(seed).title for seed in SHOWCASE}) == len(SHOWCASE)


def test_picture_is_what_it_says(world: World) -> None:
    picture = world.picture(7)
    assert picture.rgb.dtype == np.uint8
    assert picture.rgb.shape == (360, 640, 3)
    assert picture.rgb.flags.c_contiguous
    assert picture.truths
    assert {truth.label for truth in picture.truths} <= set(LABELS)
    for truth in picture.truths:
        x0, y0, x1, y1 = truth.xyxy
        assert 0 <= x0 < x1 <= 640
        assert 0 <= y0 < y1 <= 360
        assert 0 < truth.visible_ratio <= 1
    assert len({truth.track for truth in picture.truths}) == len(picture.truths)


def test_same_seed_and_index_give_the_same_picture_in_any_order(world: World) -> None:
    again = World(world.seed, SMALL_WH)
    for index in (30, 4, 30):
        one, other = world.picture(index), again.picture(index)
        assert one.truths == other.truths
        assert np.array_equal(one.rgb, other.rgb)


def test_a_picture_is_the_callers_own(street: World) -> None:
    first = street.picture(3)
    kept = first.rgb.copy()
    first.rgb[:] = 0
    assert np.array_equal(street.picture(3).rgb, kept)


@pytest.mark.slow
def test_another_seed_is_another_scene() -> None:
    assert World(5, SMALL_WH).picture(0).truths != World(9, SMALL_WH).picture(0).truths


def test_world_repeats_after_its_last_frame(world: World) -> None:
    assert world.frames == 200
    assert np.array_equal(world.picture(200).rgb, world.picture(0).rgb)
    assert world.picture(-1).truths == world.picture(199).truths


def test_nobody_jumps_at_the_seam(world: World) -> None:
    last, first = world.picture(199).truths, world.picture(0).truths
    assert found_again(last, first) >= 0.9
    assert found_again(first, last) >= 0.9
    assert found_again(last, world.picture(100).truths) < 0.9  # the measure can tell


def test_things_move_and_keep_their_track(street: World) -> None:
    boxes: dict[int, list[float]] = {}
    for index in range(0, 20, 2):
        for truth in street.picture(index).truths:
            boxes.setdefault(truth.track, []).append(truth.xyxy[0])
    moved = [max(x) - min(x) for x in boxes.values() if len(x) == 10]
    assert sum(way > 10 for way in moved) >= 3  # traffic
    assert sum(way < 0.5 for way in moved) >= 1  # who stands


@pytest.mark.slow
def test_smaller_frames_show_the_same_scene() -> None:
    large, small = World(5, (1280, 720)).picture(20), World(5, (640, 360)).picture(20)
    tracks = {truth.track: truth for truth in small.truths}
    clear = [truth for truth in large.truths if truth.visible_ratio > 0.5]
    assert len(clear) > 8
    for truth in clear:
        half = [value / 2 for value in truth.xyxy]
        assert tracks[truth.track].xyxy == pytest.approx(half, abs=6)  # the margin is as wide in both


@pytest.mark.slow
def test_all_labels_appear_at_several_distances() -> None:
    heights: dict[str, list[float]] = {label: [] for label in LABELS}
    for seed in range(10):
        world = World(seed, SMALL_WH)
        for index in (0, 60, 120):
            for truth in world.picture(index).truths:
                if truth.visible_ratio > 0.4:
                    heights[truth.label].append(truth.xyxy[3] - truth.xyxy[1])
    for label, found in heights.items():
        assert len(found) >= 10, label
        assert np.quantile(found, 0.9) > 1.8 * np.quantile(found, 0.1), label


@pytest.mark.slow
def test_every_rider_has_his_machine() -> None:
    counts: Counter[str] = Counter()
    for seed in (5, 9, 13, 1):
        world = World(seed, SMALL_WH)
        for index in range(0, 200, 40):
            truths = {truth.track: truth for truth in world.picture(index).truths}
            for track, rider in truths.items():
                if track % 2:  # the second part of an actor
                    assert rider.label == "person"
                    machine = truths.get(track - 1)
                    if machine is None:
                        continue  # all of it is hidden
                    counts[machine.label] += 1
                    assert machine.xyxy[1] > rider.xyxy[1] - 1
                    assert machine.xyxy[0] < rider.xyxy[2] and machine.xyxy[2] > rider.xyxy[0]
    assert set(counts) == {"bicycle", "motorcycle"}
