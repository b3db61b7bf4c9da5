"""Whole frames of scenes whose actors a test has chosen."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.world import Truth
from simulator.world.motion import Actor, standing
from simulator.world.painter import MARGIN, Painter
from simulator.world.scene import Scene, build_scene, size_of
from simulator.world.scenery import Grounds, solid_box
from tests.simulator.world.figures import DAY, SIZE_WH, painted_extent, pole_camera, see_figure, some_figure

CANVAS_WH = (SIZE_WH[0] + 2 * MARGIN, SIZE_WH[1] + 2 * MARGIN)


def actor(label: str, x: float, y: float, heading_rad: float = 0.0, seed: int = 2) -> Actor:
    """One that stands there."""
    figure = some_figure(label, seed)
    return Actor(figure, standing(x, y, heading_rad), 0.0, *size_of(figure))


@pytest.fixture(scope="module")
def empty_scene() -> Scene:
    """Bare ground by day, no noise, seen from a pole."""
    scene = build_scene(5, CANVAS_WH, 20.0)
    bare = replace(scene.layout, grounds=Grounds((110, 110, 110)))
    return replace(scene, layout=bare, lens=pole_camera(CANVAS_WH), light=DAY, actors=(), noise_rms=0.0, shake_px=0.0)


def truths_of(scene: Scene, *actors: Actor) -> tuple[Truth, ...]:
    """What is true of a frame with these actors."""
    return Painter(replace(scene, actors=actors), 5, 20.0).paint(0, 0.0).truths


@pytest.mark.slow
def test_frame_holds_what_the_box_says(empty_scene: Scene) -> None:
    """The pixels that an actor changes, but for its shadow's, are those in its box."""
    light = replace(DAY, sky=np.full(3, 1.0), sun=np.full(3, 0.051), to_sun=np.array([0.0, 0.0, 1.0]))
    scene = replace(empty_scene, light=light)  # the shadow lies below, and is faint
    for label in ("car", "truck", "person"):
        one = actor(label, 1.0, 25.0, 0.5)
        before = Painter(scene, 5, 20.0).paint(0, 0.0).rgb.astype(int)
        picture = Painter(replace(scene, actors=(one,)), 5, 20.0).paint(0, 0.0)
        rows, columns = np.nonzero(np.abs(picture.rgb.astype(int) - before).max(axis=2) > 12)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert picture.truths[0].xyxy == pytest.approx(box, abs=1.5)


@pytest.mark.slow
def test_alone_is_wholly_visible(empty_scene: Scene) -> None:
    for label in ("person", "car", "bus", "truck"):
        (truth,) = truths_of(empty_scene, actor(label, 0.0, 25.0))
        assert (truth.label, truth.visible_ratio) == (label, 1.0)


def test_rider_covers_some_of_his_machine(empty_scene: Scene) -> None:
    machine, rider = truths_of(empty_scene, actor("bicycle", 0.0, 14.0))
    assert (machine.label, rider.label) == ("bicycle", "person")
    assert 0.4 < machine.visible_ratio < 1
    assert 0.8 < rider.visible_ratio <= 1
    assert rider.track == machine.track + 1


def test_nearer_object_covers_the_farther_one(empty_scene: Scene) -> None:
    car, truck = truths_of(empty_scene, actor("truck", 3.0, 17.0), actor("car", 0.0, 21.0))
    assert (car.label, truck.label) == ("car", "truck")  # the farthest first
    assert truck.visible_ratio == 1
    assert 0.1 < car.visible_ratio < 0.7
    (alone,) = truths_of(empty_scene, actor("car", 0.0, 21.0))
    assert car.xyxy == alone.xyxy


@pytest.mark.slow
def test_half_in_the_frame_is_half_visible(empty_scene: Scene) -> None:
    spots = np.arange(-13.5, -8.0, 0.75).tolist()
    shares = {x: truth for x in spots for truth in truths_of(empty_scene, actor("car", x, 20.0))}
    cut = [truth for truth in shares.values() if truth.xyxy[0] == 0]
    assert len(cut) >= 3
    whole = max(shares.values(), key=lambda truth: truth.visible_ratio)
    assert whole.visible_ratio == 1
    width = whole.xyxy[2] - whole.xyxy[0]
    for truth in cut:
        assert truth.visible_ratio == pytest.approx((truth.xyxy[2] - truth.xyxy[0]) / width, abs=0.2)


def test_covered_by_what_stands_still(empty_scene: Scene) -> None:
    grounds = Grounds((110, 110, 110))
    grounds.plant(solid_box((-4.0, 0.0), (14.0, 14.5), (0.0, 3.0), (200, 100, 60)))
    scene = replace(empty_scene, layout=replace(empty_scene.layout, grounds=grounds))
    (behind,) = truths_of(scene, actor("car", -0.2, 18.0))
    assert 0.2 < behind.visible_ratio < 0.8
    (before,) = truths_of(scene, actor("car", -0.2, 12.0))
    assert before.visible_ratio == 1
    assert truths_of(scene, actor("person", -2.0, 16.0)) == ()  # nothing of it is seen


def test_box_holds_the_shake(empty_scene: Scene) -> None:
    steady = truths_of(empty_scene, actor("car", 0.0, 20.0))[0]
    shaking = replace(empty_scene, shake_px=4.0, actors=(actor("car", 0.0, 20.0),))
    painter = Painter(shaking, 5, 20.0)
    moves = {round(painter.paint(i, i / 10).truths[0].xyxy[0] - steady.xyxy[0], 2) for i in range(12)}
    assert len(moves) > 8
    assert max(abs(move) for move in moves) <= 4.0
    sight = see_figure(some_figure("car", 2), 0.0, 20.0, 0.0, pole_camera(CANVAS_WH))
    assert sight is not None
    assert painted_extent(sight, 0, MARGIN) == pytest.approx(steady.xyxy, abs=1.5)
