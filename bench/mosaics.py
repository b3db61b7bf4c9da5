"""What the model in the box sees of scenes that are four to a mosaic, every picture of them; kept in the user's cache.

The same mosaics as a worker gets: composed, answered and credited by the product's own geometry, without a daemon, the
same each time. They are looked at whole, so that a box may cross a seam, or tile by tile, so that none can.
"""

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from bench.tracked import CACHE, MODELS, TILE_WH
from capture.layout import letterbox
from capture.messages import Sighting
from inference.engine import EngineOptions, ModelFiles
from inference.engines import installed_engines
from inference.evaluation.arrangement import Arrangement, Input, Placed, compose, credit
from inference.loading import load_engine

FILES = ModelFiles(MODELS / "demo.cfg", MODELS / "demo.weights", MODELS / "demo.names")
Seen = list[tuple[Sighting, ...]]
"""By the picture's index."""


def seen_in_mosaic(clips: Sequence[Path], frames: int, way: Input = Input.MOSAIC) -> list[Seen]:
    """What is seen of each of four clips, side by side."""
    kept = CACHE / (f"{way}-" + "-".join(clip.stem.split("-640x360")[0] for clip in clips) + f"-{frames}.npz")
    if not kept.is_file():
        np.savez_compressed(kept, rows=np.array(_detect(clips, frames, way), np.float32).reshape(-1, 8))
    names = FILES.names.read_text().split("\n")
    seen: list[Seen] = [[() for _ in range(frames)] for _ in clips]
    for tile, frame, score, label, *box in np.load(kept)["rows"].tolist():
        x1, y1, x2, y2 = box
        seen[int(tile)][int(frame)] += (Sighting(names[int(label)], score, (x1, y1, x2, y2)),)
    return seen


def _detect(clips: Sequence[Path], frames: int, way: Input) -> list[list[float]]:
    """Tile, picture, score, class and box of everything seen."""
    arrangement = Arrangement(way, TILE_WH)
    options = EngineOptions(arrangement.model_input.input_wh, batch=arrangement.batch, cache_dir=CACHE / "graphs")
    engine = load_engine(installed_engines()[0], FILES, options)
    rows = []
    containers = [av.open(str(clip)) for clip in clips]
    videos = [container.decode(video=0) for container in containers]
    for frame in track(range(frames), "looking at mosaics", console=Console(stderr=True)):
        placed = [_placed(next(video).to_ndarray(format="rgb24")) for video in videos]
        found = [each for images in compose(placed, arrangement) for each in engine.detect(images)]
        for tile, credited in enumerate(credit(found, placed, arrangement)):
            for box, score, label in zip(
                credited.found.xyxy, credited.found.scores, credited.found.class_ids, strict=True
            ):
                rows.append([tile, frame, score, label, *box])
    for container in containers:
        container.close()
    return rows


def _placed(picture: npt.NDArray[np.uint8]) -> Placed:
    size_wh = (picture.shape[1], picture.shape[0])
    place = letterbox(size_wh, TILE_WH)
    return Placed(cv2.resize(picture, (place.w, place.h), interpolation=cv2.INTER_AREA).astype(np.uint8), size_wh)
