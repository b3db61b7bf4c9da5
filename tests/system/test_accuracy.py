"""What is seen at the end of the whole chain, against the ground truth of real footage."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from simulator.camera import CameraSpec
from simulator.demux import load_footage
from simulator.thread import ServerThread
from tests.system.colours import Model
from tests.system.stage import running, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.data]

FPS = 10.0
ANNOTATED = 400
"""Frames 1 to 400 have ground truth."""
LENGTH = 795
"""Frames of the video, which the cameras show in a loop."""
FRAMES = 200


def read_truth(path: Path) -> dict[int, np.ndarray]:
    """Return boxes xyxy (n, 4) by frame number, from MOTChallenge columns (frame, id, x, y, w, h, ...)."""
    rows = np.loadtxt(path, delimiter=",", usecols=range(6))
    boxes = {}
    for frame in np.unique(rows[:, 0]):
        x, y, w, h = rows[rows[:, 0] == frame][:, 2:6].T
        boxes[int(frame)] = np.stack([x, y, x + w, y + h], axis=1)
    return boxes


def count_matches(found: Sequence[Sequence[float]], truth: np.ndarray, iou: float = 0.5) -> int:
    """Return how many boxes (best score first) match a box of the truth that no better one has taken."""
    free = list(range(len(truth)))
    matches = 0
    for x1, y1, x2, y2 in found:
        best, best_iou = None, iou
        for i in free:
            tx1, ty1, tx2, ty2 = truth[i]
            inner = max(0.0, min(x2, tx2) - max(x1, tx1)) * max(0.0, min(y2, ty2) - max(y1, ty1))
            overlap = inner / ((x2 - x1) * (y2 - y1) + (tx2 - tx1) * (ty2 - ty1) - inner)
            if overlap >= best_iou:
                best, best_iou = i, overlap
        if best is not None:
            free.remove(best)
            matches += 1
    return matches


@pytest.mark.timeout(240)
def test_people_are_found_where_they_are(tmp_path, data):
    """Four cameras in one mosaic of 416 tiles show four parts of PETS 2009 S2L1."""
    footage = load_footage(data / "videos" / "pets09-s2l1.mp4")
    truth = read_truth(data / "videos" / "pets09-s2l1.gt.txt")
    keys = [at for at in footage.key_times_s if at < ANNOTATED / FPS - 5]
    starts = {f"pets-{i}": keys[i * len(keys) // 4] for i in range(4)}
    weights = data / "weights" / "yolo-fastest"
    model = Model(
        weights / "yolo-fastest-1.1-xl.cfg", weights / "yolo-fastest-1.1-xl.weights", data / "cfg" / "coco.names"
    )
    settings = {"mosaic": {"canvas": "832x832", "fps": 5}, "supervision": {"start_timeout_s": 120}}
    specs = [CameraSpec(name, footage, start_offset_s=start) for name, start in starts.items()]
    found: dict[tuple[str, int], list[list[float]]] = {}
    with ServerThread(specs) as server:
        cameras = {name: {"url": server.url(name), "labels": ["person"]} for name in starts}
        with running(tmp_path, model, cameras, settings=settings) as daemon:
            wait_until(lambda: len(judged(daemon.lines(), starts)) >= FRAMES, f"{FRAMES} frames with a truth", 200)
            found = judged(daemon.lines(), starts)
            assert daemon.stop() == 0
    counts = defaultdict(int)
    for (_, frame), boxes in found.items():
        counts["matched"] += count_matches(boxes, truth[frame])
        counts["found"] += len(boxes)
        counts["there"] += len(truth[frame])
    recall, precision = counts["matched"] / counts["there"], counts["matched"] / counts["found"]
    print(f"\n{len(found)} frames: recall {recall:.3f}, precision {precision:.3f}")
    assert recall >= 0.78
    assert precision >= 0.70


def judged(lines: list[dict], starts: dict[str, float]) -> dict[tuple[str, int], list[list[float]]]:
    """Return the boxes, best first, of each answered frame that has ground truth."""
    found = {}
    for line in lines:
        frame = round((starts[line["camera"]] + line["frame_time"]) * FPS) % LENGTH + 1
        if frame <= ANNOTATED:
            best_first = sorted(line["sightings"], key=lambda s: -s["score"])
            found[line["camera"], frame] = [s["box"] for s in best_first]
    return found
