"""From boxes on a canvas to sightings in each camera's own pixels. Pure.

Crediting a box to the wrong camera is the worst mistake this system can make, so nothing but the canvas's own header
is used: it travelled with the pixels.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from capture.layout import to_source
from capture.messages import Sighting, TileAnswer
from capture.slot import CanvasHeader
from inference.inputs import ALL_TILES, Placed

MIN_SIDE = 1.0
"""A box that is left with less than a pixel of its camera's picture lay in the letterbox's bars."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted of a mosaic's cameras."""

    labels: Mapping[str, frozenset[str]]
    """For each camera the labels wanted; all, where it is not named."""
    min_score: Mapping[str, float]
    """For each camera its own threshold; the engine's, where it is not named."""


def answer_tiles(
    header: CanvasHeader,
    placed: Placed,
    names: tuple[str, ...],
    wishes: Wishes,
    *,
    now_s: float,
    stale_s: float,
    tiles: Collection[int] = ALL_TILES,
) -> tuple[TileAnswer, ...]:
    """Credit each box to its tile's camera, and map it to that camera's pixels.

    ``names`` are the labels of the class ids, ``tiles`` those that were looked at. The others are left out, and so are
    tiles that are blank, or older than ``stale_s`` at ``now_s`` (monotonic), and their boxes.
    """
    detections = placed.detections
    answers = []
    for index, tile in enumerate(header.tiles):
        if tile is None or index not in tiles or now_s - tile.captured_mono_s > stale_s:
            continue
        mine = np.flatnonzero((placed.tiles == index) & (detections.scores >= wishes.min_score.get(tile.camera, 0.0)))
        boxes = to_source(detections.xyxy[mine], tile.content, tile.source_wh)
        wanted = wishes.labels.get(tile.camera)
        sightings = []
        for box, i in zip(boxes.tolist(), mine, strict=True):
            label = names[detections.class_ids[i]]
            if (wanted is None or label in wanted) and box[2] - box[0] >= MIN_SIDE and box[3] - box[1] >= MIN_SIDE:
                sightings.append(Sighting(label, float(detections.scores[i]), (box[0], box[1], box[2], box[3])))
        answers.append(
            TileAnswer(
                camera=tile.camera,
                epoch=tile.epoch,
                composed_number=tile.composed_number,
                frame_time_s=tile.pts_s,
                captured_at=tile.captured_at,
                captured_mono_s=tile.captured_mono_s,
                source_wh=tile.source_wh,
                sightings=tuple(sightings),
            )
        )
    return tuple(answers)
