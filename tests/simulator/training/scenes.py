"""Scenes that cost nothing: a coloured block a thing, its colour saying its class."""

import numpy as np

from simulator.training.boxes import CONTENT_WH
from simulator.training.pictures import Scene
from simulator.training.quality import Truths

COLOURS = ((220, 40, 40), (40, 200, 40), (40, 60, 230), (230, 220, 40), (220, 40, 220), (40, 220, 220))


def draw_scene(seed: int) -> Scene:
    """A grey picture with one to four blocks of 20 to 80 pixels."""
    rng = np.random.default_rng(seed)
    width, height = CONTENT_WH
    content = np.full((height, width, 3), rng.integers(60, 160), np.uint8)
    class_ids = rng.integers(0, len(COLOURS), rng.integers(1, 5))
    boxes = []
    for column, class_id in enumerate(class_ids):
        w, h = rng.integers(20, 80, 2)
        x, y = 104 * column + rng.integers(0, 104 - w), rng.integers(0, height - h)
        content[y : y + h, x : x + w] = COLOURS[class_id]
        boxes.append((x, y, x + w, y + h))
    return Scene(content, Truths(np.array(boxes, np.float32), class_ids, np.ones(len(boxes), np.float32)))
