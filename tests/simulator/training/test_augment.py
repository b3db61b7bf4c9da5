"""From scenes to samples: what happens to pixels must happen to boxes."""

import cv2
import numpy as np
import pytest

from capture.layout import Canvas
from simulator.training import augment
from simulator.training.augment import LEARNED_SIZE, MIN_LEFT, plain, scene_weights, vary
from simulator.training.boxes import CONTENT_TOP, CONTENT_WH, GREY, TILE_WH
from simulator.training.quality import Truths

GROUND, THING = (60, 60, 60), (250, 20, 20)


def truths(*boxes, visible=1.0):
    count = len(boxes)
    return Truths(np.array(boxes, np.float32).reshape(-1, 4), np.arange(count), np.full(count, visible, np.float32))


def scene(*boxes):
    """A dark picture with a red block in each box."""
    width, height = CONTENT_WH
    content = np.full((height, width, 3), GROUND, np.uint8)
    for x1, y1, x2, y2 in boxes:
        content[y1:y2, x1:x2] = THING
    return content, truths(*boxes)


def red(pixels):
    """Where it is clearly red, which no change of light or tint makes of grey; single noisy pixels left out."""
    smooth = cv2.medianBlur(pixels, 5).astype(int)
    return smooth[..., 0] - smooth[..., 2] > 30


def red_extent(pixels):
    """The box around all that is red."""
    rows, columns = np.nonzero(red(pixels))
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_plain_is_letterboxed_as_the_compositor_does():
    content, there = scene((100, 50, 180, 120))
    sample = plain(content, there)
    place = Canvas(832, 512).content(0, (1280, 720))
    assert sample.pixels.shape == (TILE_WH[1], TILE_WH[0], 3)
    np.testing.assert_array_equal(sample.pixels[place.slices], content)
    assert (sample.pixels[: place.y] == GREY).all() and (sample.pixels[place.y + place.h :] == GREY).all()
    assert sample.things.xyxy.tolist() == [[100, 50 + CONTENT_TOP, 180, 120 + CONTENT_TOP]]


@pytest.mark.parametrize(
    ("box", "visible", "expected"),
    [
        ((10, 10, 30, 30), 1.0, True),
        ((10, 10, 10 + LEARNED_SIZE, 10 + LEARNED_SIZE), 1.0, True),
        ((10, 10, 17, 17), 1.0, False),
        ((10, 10, 30, 30), 0.24, False),
    ],
)
def test_small_and_hidden_things_are_left_alone(box, visible, expected):
    content, _ = scene()
    assert plain(content, truths(box, visible=visible)).things.is_learned.tolist() == [expected]


@pytest.mark.parametrize("seed", range(60))
def test_a_box_stays_around_its_thing(seed):
    """Only one of the four scenes has a thing; wherever it comes to lie, its box does too."""
    empty = scene()
    full = scene((150, 70, 270, 170))
    sample = vary([full[0], *[empty[0]] * 3], [full[1], *[empty[1]] * 3], np.random.default_rng(seed))
    if len(sample.things.xyxy):
        np.testing.assert_allclose(sample.things.xyxy[0], red_extent(sample.pixels), atol=1.6)
    else:
        assert red(sample.pixels).sum() < 300


def test_the_same_chance_gives_the_same_sample_and_another_another():
    content, there = scene((150, 70, 270, 170))
    first, same, other = (vary([content] * 4, [there] * 4, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, same.pixels)
    np.testing.assert_array_equal(first.things.xyxy, same.things.xyxy)
    assert not np.array_equal(first.pixels, other.pixels)


def test_a_window_cuts_four_tiles_at_the_right_place():
    tiles = []
    for value in (10, 20, 30, 40):
        pixels = np.full((TILE_WH[1], TILE_WH[0], 3), value, np.uint8)
        box = truths((200, 100, 240, 140))
        tiles.append(augment._Piece(pixels, box.xyxy, box.class_ids, box.visible_ratio))
    piece = augment._window(tiles, (220, 50))
    assert piece.pixels.shape == (256, 416, 3)
    assert piece.pixels[0, 0].tolist() == [10] * 3
    assert piece.pixels[0, 416 - 220].tolist() == [20] * 3
    assert piece.pixels[256 - 50, 0].tolist() == [30] * 3
    assert piece.pixels[-1, -1].tolist() == [40] * 3
    # Left: half of the box of tile 0 is inside; right: tile 1's whole; below: those of 2 and 3 lie under the window.
    np.testing.assert_allclose(piece.xyxy, [[0, 50, 20, 90], [396, 50, 416, 90]])


def test_what_is_cut_off_by_much_is_left_alone_and_what_is_outside_is_gone():
    pixels = np.zeros((100, 100, 3), np.uint8)
    boxes = np.array([[-60, 10, 40, 50], [-70, 10, 30, 50], [-90, 10, 0, 50]], np.float32)
    piece = augment._cut(augment._Piece(pixels, boxes, np.arange(3), np.ones(3, np.float32)))
    assert 0.3 < MIN_LEFT < 0.4
    assert piece.class_ids.tolist() == [0, 1]
    assert piece.visible_ratio.tolist() == [1.0, 0.0]
    np.testing.assert_allclose(piece.xyxy, [[0, 10, 40, 50], [0, 10, 30, 50]])


def test_scenes_with_rare_things_are_shown_more_often():
    big = (10, 10, 50, 50)
    common = Truths(np.array([big], np.float32), np.array([0]), np.ones(1, np.float32))
    rare = Truths(np.array([big, big], np.float32), np.array([0, 1]), np.ones(2, np.float32))
    unseen = Truths(np.array([big], np.float32), np.array([1]), np.zeros(1, np.float32))
    weights = scene_weights([common] * 14 + [rare, unseen], 2)
    np.testing.assert_allclose(weights[:14], 1)
    assert weights[14] == pytest.approx((0.6 / (1 / 16)) ** 0.5)
    assert weights[15] == 1
