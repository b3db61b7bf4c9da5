"""The detector in the box at the end of the whole chain, on scenes that it has never seen, against their exact truth.

Worlds are rendered, encoded as H.264, served over RTSP, captured, composed into mosaics and answered by real workers;
what is judged and what is left out is said in `simulator.training.quality`.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pytest

from simulator.camera import CameraSpec
from simulator.demux import load_footage
from simulator.thread import ServerThread
from simulator.train import EMBEDDED
from simulator.training.boxes import CONTENT_WH
from simulator.training.pictures import truths_of
from simulator.training.quality import Found, Judgement, Truths, judge, quality_at
from simulator.world import FIRST_TEST_SEED, LABELS
from simulator.world.clip import ClipSpec, read_truths, render_clip
from tests.system.colours import Model
from tests.system.stage import running, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.slow]

WORLDS = 16
"""Four mosaics."""
FPS = 10
SIZES_WH = ((1280, 720), (640, 360))
"""What cameras give, and what the demo plays."""
CLIP_S = 10.0
FRAMES_A_CLIP = round(FPS * CLIP_S)
SPECS = [ClipSpec(FIRST_TEST_SEED + index, SIZES_WH[index % 2], FPS, CLIP_S) for index in range(WORLDS)]
"""The first of the scenes that are for tests only, whatever they show; at the simulator's own bit rates."""
FPS_ANSWERED = 3.15
"""Not a whole number of answers a turn of a clip, so that each turn shows other frames."""
FRAMES = 60
"""Of each camera, at least so many different ones are judged."""
SCORE = 0.25
"""The settings' default, for which the weights were made."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A rendered world and the truth of each of its frames, in pixels of a tile's content."""

    spec: ClipSpec
    path: Path
    truths: list[Truths]


def render(folder: Path, spec: ClipSpec) -> Clip:
    """Render and encode one world as `mosaicd simulate` does."""
    cv2.setNumThreads(1)
    path = render_clip(spec, folder)
    return Clip(spec, path, [truths_of(truths, spec.size_wh) for truths in read_truths(path)])


def however_hidden(truths: Truths) -> Truths:
    """The same, as if all that can be seen at all could be seen in full."""
    return replace(truths, visible_ratio=np.sign(truths.visible_ratio))


def judged(
    lines: list[dict], clips: dict[str, Clip], seen_as: Callable[[Truths], Truths] = lambda truths: truths
) -> dict[tuple[str, int], Judgement]:
    """Return the verdict on each answered frame, once."""
    out = {}
    for line in lines:
        clip = clips[line["camera"]]
        frame = frame_of(line)
        if (line["camera"], frame) in out:
            continue
        scale = np.tile(np.array(CONTENT_WH, np.float32) / np.array(clip.spec.size_wh, np.float32), 2)
        seen = line["sightings"]
        found = Found(
            np.array([item["box"] for item in seen], np.float32).reshape(-1, 4) * scale,
            np.array([item["score"] for item in seen], np.float32),
            np.array([LABELS.index(item["label"]) for item in seen], np.int64),
        )
        out[line["camera"], frame] = judge(found, seen_as(clip.truths[frame]), len(LABELS))
    return out


@pytest.mark.timeout(600)
def test_objects_of_unseen_scenes_are_found(tmp_path):
    """Recall and precision of at least 0.9 over all objects of 12 pixels and more in the tile."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        made = list(pool.map(render, [tmp_path] * WORLDS, SPECS))
    clips = {f"world-{index:02d}": clip for index, clip in enumerate(made)}
    model = Model(EMBEDDED / "demo.cfg", EMBEDDED / "demo.weights", EMBEDDED / "demo.names")
    settings = {"mosaic": {"fps": FPS_ANSWERED}, "supervision": {"start_timeout_s": 120}}
    with ServerThread([CameraSpec(name, load_footage(clip.path)) for name, clip in clips.items()]) as server:
        cameras = {name: {"url": server.url(name), "decode": "all"} for name in clips}
        with running(tmp_path, model, cameras, settings=settings) as daemon:
            wait_until(lambda: fewest_frames(daemon.lines()) >= FRAMES, f"{FRAMES} frames of each camera", 240)
            lines = daemon.lines()
            assert daemon.stop() == 0
    verdicts = judged(lines, clips)
    for name, clip in clips.items():
        show(
            f"{name} {clip.spec.title}, {clip.spec.size_wh[1]} lines",
            [verdict for (camera, _), verdict in verdicts.items() if camera == name],
        )
    for class_id, label in enumerate(LABELS):
        show(label, list(verdicts.values()), class_id)
    show("all, however hidden", list(judged(lines, clips, however_hidden).values()))
    quality = show("all", list(verdicts.values()))
    assert quality.recall >= 0.90
    assert quality.precision >= 0.90


def frame_of(line: dict) -> int:
    """Return the index in its clip of the frame that was answered."""
    return round(line["frame_time"] * FPS) % FRAMES_A_CLIP


def fewest_frames(lines: list[dict]) -> int:
    """Return how many different frames were answered of the camera that has fewest."""
    frames = {(line["camera"], frame_of(line)) for line in lines}
    counts = Counter(camera for camera, _ in frames)
    return min(counts.values()) if len(counts) == WORLDS else 0


def show(name: str, verdicts: list[Judgement], class_id: int | None = None):
    """Print and return a quality."""
    quality = quality_at(verdicts, SCORE, class_id)
    print(f"{name:<42} {quality.there:6} objects, recall {quality.recall:.3f}, precision {quality.precision:.3f}")
    return quality
