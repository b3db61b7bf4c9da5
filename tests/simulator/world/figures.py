"""One actor alone, seen by a camera of a scene, and what was painted of it."""

import cv2
import numpy as np

from simulator.world.cycles import pick_cycle
from simulator.world.lens import Lens, aim
from simulator.world.light import Light, toward
from simulator.world.motion import Actor, Figure, standing
from simulator.world.people import pick_dress
from simulator.world.scene import size_of
from simulator.world.shapes import fill
from simulator.world.sight import Sight, see_actor
from simulator.world.vehicles import build_bus, build_car, build_truck

SIZE_WH = (1280, 720)
DAY = Light(
    sky=np.full(3, 0.55),
    sun=np.full(3, 0.6),
    to_sun=toward(1.0, 0.8),
    lamps=np.zeros((0, 3)),
    lamp=np.zeros(3),
    haze_rgb255=np.full(3, 200.0),
    haze_m=500.0,
    is_dark=False,
)


def pole_camera(size_wh: tuple[int, int] = SIZE_WH) -> Lens:
    """A camera 6 m above the ground that looks along +y and 14 degrees down."""
    return aim(position=(0.0, 0.0, 6.0), yaw_rad=0.0, pitch_rad=0.25, focal_px=0.9 * size_wh[0], size_wh=size_wh)


def some_figure(label: str, seed: int) -> Figure:
    """A figure of this label; bicycles and motorcycles have their rider."""
    rng = np.random.default_rng(seed)
    if label == "person":
        return pick_dress(rng)
    if label in ("bicycle", "motorcycle"):
        return pick_cycle(rng, label)
    return {"car": build_car, "bus": build_bus, "truck": build_truck}[label](rng)


def see_figure(figure: Figure, x: float, y: float, heading_rad: float, lens: Lens | None = None) -> Sight | None:
    """The figure at a place, by day."""
    actor = Actor(figure, standing(x, y, heading_rad), 0.3, *size_of(figure))
    return see_actor(actor, actor.moments(0.0, 20.0)[0], 0, lens or pole_camera(), DAY)


def painted_extent(sight: Sight, part: int, margin: int = 0) -> tuple[int, int, int, int]:
    """The box, in the frame, of all pixels of a part that differ clearly from an empty picture.

    The frame of SIZE_WH lies `margin` pixels inside of the canvas.
    """
    image = np.zeros((SIZE_WH[1] + 2 * margin, SIZE_WH[0] + 2 * margin, 3), np.uint8)
    for patch in sight.patches:
        if patch.owner == part:
            fill(image, patch, (255, 255, 255), smooth=True)
    frame = image[margin : margin + SIZE_WH[1], margin : margin + SIZE_WH[0], 0]
    x, y, width, height = cv2.boundingRect((frame > 25).astype(np.uint8))
    return x, y, x + width, y + height
