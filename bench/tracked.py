"""Footage for `bench/tracking.py`: what there is on each frame, and what a detector saw of it.

PETS 2009 S2L1 has its ground truth (every person, hidden ones too); the simulator's scenes have the painter's. Each
comes twice: as the project's own model sees the encoded footage in a tile, at the settings' threshold, and as the truth
with noise, misses and false boxes, where only the tracker can be to blame. What was seen is kept in the user's cache.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from capture.layout import GREY, letterbox, to_source
from inference.engine import Engine, EngineOptions, ModelFiles
from inference.engines import installed_engines
from inference.loading import load_engine
from simulator.world.clip import ClipSpec, read_truths, render_clip
from simulator.world.scene import SHOWCASE
from simulator.world.truth import Truth

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
CACHE = Path.home() / ".cache" / "mosaicd" / "bench" / "tracking"
MODELS = ROOT / "inference" / "models"
FPS = 10
"""Of all footage here."""
PETS_FRAMES = 400
"""So many have a ground truth."""
PETS_TILE_WH = (416, 416)
TILE_WH = (416, 256)
"""Of the settings' default canvas."""
SCENE_S = 20.0
ROOM_FRAMES = 1380
LEAST_VISIBLE, LEAST_PX = 0.4, 12.0
"""What is more hidden, or smaller in the tile, counts neither as missed nor as false; `inference/models/README.md`."""
NOISE_RATIO, MISS_RATIO, FALSE_A_FRAME = 0.04, 0.12, 0.3
"""Of the control: standard deviation of an edge by its box's size; boxes left out; boxes that are none."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of one camera."""

    at_s: float
    boxes: Floats
    """(n, 4) pixels of the footage, what the detector saw."""
    scores: Floats
    labels: tuple[str, ...]
    truth_ids: npt.NDArray[np.int64]
    truth: Floats
    """(m, 4) pixels."""
    ignored: Floats
    """(k, 4): objects that count neither as missed nor as false."""


@dataclass(frozen=True, slots=True)
class Footage:
    """One camera's footage, 10 frames a second."""

    name: str
    group: str
    frames: tuple[Frame, ...]


def footages() -> Iterator[Footage]:
    """Everything that trackers are compared on; made where it is not kept yet. Raises FileNotFoundError."""
    pets = _pets()
    yield pets
    yield _control(pets, "PETS, truth with noise")
    for seed in SHOWCASE:
        scene = _scene(seed)
        yield scene
        yield _control(scene, "scenes, truth with noise")


def one_by_one() -> Footage:
    """A room that six people cross one after the other, counted by eye; without truth."""
    video = DATA / "videos" / "one-by-one-person-detection.mp4"
    seen = [_persons(frame) for frame in _seen(video, _coco(), TILE_WH, ROOM_FRAMES)]
    return Footage(video.stem, "one by one", tuple(seen))


def _coco() -> ModelFiles:
    weights = DATA / "weights" / "yolo-fastest" / "yolo-fastest-1.1-xl.weights"
    return ModelFiles(weights.with_suffix(".cfg"), weights, DATA / "cfg" / "coco.names")


def _persons(frame: Frame) -> Frame:
    mine = np.array([label == "person" for label in frame.labels], bool)
    labels = ("person",) * int(mine.sum())
    return replace(frame, boxes=frame.boxes[mine], scores=frame.scores[mine], labels=labels)


def _pets() -> Footage:
    video = DATA / "videos" / "pets09-s2l1.mp4"
    rows = np.loadtxt(video.with_suffix(".gt.txt"), delimiter=",", usecols=range(6))
    seen = _seen(video, _coco(), PETS_TILE_WH, PETS_FRAMES)
    frames = []
    for number, each in enumerate(seen, 1):
        mine = rows[rows[:, 0] == number]
        x, y, w, h = mine[:, 2:6].T
        truth = np.stack([x, y, x + w, y + h], axis=1).astype(np.float32)
        frames.append(replace(_persons(each), truth=truth, truth_ids=mine[:, 1].astype(np.int64)))
    return Footage("pets09-s2l1", "PETS", tuple(frames))


def _scene(seed: int) -> Footage:
    spec = ClipSpec(seed, fps=FPS, duration_s=SCENE_S)
    clip = render_clip(spec, CACHE)
    files = ModelFiles(MODELS / "demo.cfg", MODELS / "demo.weights", MODELS / "demo.names")
    seen = _seen(clip, files, TILE_WH, round(SCENE_S * FPS))
    scale = min(tile / source for tile, source in zip(TILE_WH, spec.size_wh, strict=True))
    frames = []
    for frame, truths in zip(seen, read_truths(clip), strict=True):
        judged = [truth for truth in truths if _is_judged(truth, scale)]
        others = [truth for truth in truths if not _is_judged(truth, scale)]
        frames.append(
            replace(
                frame,
                truth=np.array([truth.xyxy for truth in judged], np.float32).reshape(-1, 4),
                truth_ids=np.array([truth.track for truth in judged], np.int64),
                ignored=np.array([truth.xyxy for truth in others], np.float32).reshape(-1, 4),
            )
        )
    return Footage(f"{spec.title} ({seed})", "scenes", tuple(frames))


def _is_judged(truth: Truth, scale: float) -> bool:
    x1, y1, x2, y2 = truth.xyxy
    return truth.visible_ratio >= LEAST_VISIBLE and (x2 - x1) * (y2 - y1) * scale**2 >= LEAST_PX**2


def _control(footage: Footage, group: str) -> Footage:
    """The truth, seen badly: the same each time."""
    chance = np.random.default_rng(7)
    corners = np.concatenate([frame.truth for frame in footage.frames])
    far = corners.max(axis=0)[2:]
    frames = []
    for frame in footage.frames:
        kept = chance.random(len(frame.truth)) >= MISS_RATIO
        boxes = frame.truth[kept]
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        boxes = boxes + chance.normal(0.0, NOISE_RATIO, boxes.shape) * sides
        others = corners[chance.integers(len(corners), size=chance.poisson(FALSE_A_FRAME))]
        size = others[:, 2:] - others[:, :2]
        start = chance.random(size.shape) * (far - size)
        boxes = np.concatenate([boxes, np.concatenate([start, start + size], axis=1)]).astype(np.float32)
        scores = np.where(np.arange(len(boxes)) < kept.sum(), chance.beta(6, 3, len(boxes)), 0.4).clip(0.25, 1.0)
        frames.append(replace(frame, boxes=boxes, scores=scores.astype(np.float32), labels=("object",) * len(boxes)))
    return Footage(footage.name, group, tuple(frames))


def _seen(video: Path, files: ModelFiles, tile_wh: tuple[int, int], frames: int) -> list[Frame]:
    """What the model sees of the first frames; without truth."""
    kept = CACHE / f"{video.stem}-{files.weights.stem}-{tile_wh[0]}x{tile_wh[1]}.npz"
    if not kept.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        rows = np.array(list(_detect(video, files, tile_wh, frames)), np.float32).reshape(-1, 7)
        np.savez_compressed(kept, rows=rows)
    names = files.names.read_text().split("\n")
    rows = np.load(kept)["rows"]
    none = np.empty((0, 4), np.float32)
    seen = []
    for number in range(frames):
        mine = rows[rows[:, 0] == number]
        labels = tuple(names[int(each)] for each in mine[:, 2])
        seen.append(Frame(number / FPS, mine[:, 3:], mine[:, 1], labels, np.empty(0, np.int64), none, none))
    return seen


def _detect(video: Path, files: ModelFiles, tile_wh: tuple[int, int], frames: int) -> Iterator[list[float]]:
    """Frame, score, class, box of everything seen."""
    options = EngineOptions(tile_wh, cache_dir=CACHE / "graphs")
    engine: Engine = load_engine(installed_engines()[0], files, options)
    with av.open(str(video)) as container:
        pictures = container.decode(video=0)
        for number in track(range(frames), f"detecting in {video.name}", console=Console(stderr=True)):
            picture = next(pictures).to_ndarray(format="rgb24")
            size_wh = (picture.shape[1], picture.shape[0])
            place = letterbox(size_wh, tile_wh)
            tile = np.full((1, tile_wh[1], tile_wh[0], 3), GREY, np.uint8)
            shrunk = cv2.resize(picture, (place.w, place.h), interpolation=cv2.INTER_AREA)
            tile[0, place.y : place.y + place.h, place.x : place.x + place.w] = shrunk
            found = engine.detect(tile)[0]
            boxes = to_source(found.xyxy, place, size_wh)
            for box, score, label in zip(boxes, found.scores, found.class_ids, strict=True):
                if min(box[2:] - box[:2]) >= 1.0:
                    yield [number, score, label, *box]
