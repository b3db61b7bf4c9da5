"""Accuracy on real photos is that of OpenCV's Darknet reader on the same files, letterboxed in the same way."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.decode import Suppression, suppress
from inference.engine import Detections, ModelFiles
from inference.engines import installed_engines
from inference.evaluation.accuracy import LEAST_SCORE, MAX_DETECTIONS, AccuracyPlan, measure
from inference.evaluation.arrangement import Arrangement, Input, compose, credit
from inference.evaluation.pictures import read_photo
from inference.evaluation.precision import every_picture_once, judge, mean_average_precision, rank
from inference.evaluation.report import Combination
from inference.evaluation.truth import TruthSet, objects_of, read_photos
from inference.labels import modern_label, read_labels
from tests.inference.darknet_examples import DATA, YOLO_FASTEST, needs_data

pytestmark = [pytest.mark.slow, pytest.mark.data, needs_data]

INPUT_WH = (320, 320)
POINTS = 100


@pytest.fixture(scope="module")
def photos() -> TruthSet:
    return read_photos(DATA / "images" / "coco64", read_labels(YOLO_FASTEST / "coco.names"))


def opencv_detections(net: cv2.dnn.Net, image: np.ndarray) -> Detections:
    """What OpenCV finds in one RGB image, in its pixels: its decoding, a box for its best class."""
    net.setInput(cv2.dnn.blobFromImage(image, 1 / 255))
    raw = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
    scores = raw[:, 5:].max(axis=1)
    kept = scores >= LEAST_SCORE
    centres, sizes = raw[kept, :2] * INPUT_WH, raw[kept, 2:4] * INPUT_WH
    found = Detections(
        np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1).astype(np.float32),
        scores[kept].astype(np.float32),
        raw[kept, 5:].argmax(axis=1).astype(np.int32),
    )
    return suppress(found, Suppression(LEAST_SCORE, 0.45, MAX_DETECTIONS))


@pytest.fixture(scope="module", params=["yolo-fastest-1.1", "yolo-fastest-1.1-xl"])
def files(request: pytest.FixtureRequest) -> ModelFiles:
    name = request.param
    return ModelFiles(YOLO_FASTEST / f"{name}.cfg", YOLO_FASTEST / f"{name}.weights", YOLO_FASTEST / "coco.names")


@pytest.fixture(scope="module")
def opencv_map(files: ModelFiles, photos: TruthSet) -> float:
    """mAP@.5 points with OpenCV's reader; photos one by one."""
    # OpenCV cuts scores off at 0.2 unless the cfg says otherwise (darknet_io.cpp, "thresh"); mAP wants the others too.
    cfg = files.cfg.read_text().replace("[yolo]", f"[yolo]\nthresh={LEAST_SCORE}")
    net = cv2.dnn.readNetFromDarknet(np.frombuffer(cfg.encode(), np.uint8), np.fromfile(files.weights, np.uint8))
    arrangement = Arrangement(Input.SINGLE, INPUT_WH)
    labels = read_labels(files.names)
    judged = []
    for path, truth in zip(photos.photos, photos.truths, strict=True):
        photo = read_photo(path, arrangement.place)
        images = compose([photo], arrangement)
        found = [opencv_detections(net, image[0]) for image in images]
        [credited] = credit(found, [photo], arrangement)
        judged.append(judge(credited.found, objects_of(truth, photo.source_wh, labels, modern_label)))
    return POINTS * float(mean_average_precision(rank(judged), every_picture_once(len(photos)))[0])


@pytest.mark.parametrize("engine", installed_engines())
def test_map_is_opencvs(files: ModelFiles, engine: str, photos: TruthSet, opencv_map: float, tmp_path: Path) -> None:
    one = Combination(engine, "float32", Input.SINGLE)
    [outcome] = measure(AccuracyPlan(files, photos, (one,), INPUT_WH, cache_dir=tmp_path), lambda *_: None)
    assert outcome.problem == ""
    ours = POINTS * float(mean_average_precision(rank(outcome.judged), every_picture_once(len(photos)))[0])
    print(f"\n{files.cfg.stem}, {engine}: mAP@.5 {ours:.2f}, OpenCV {opencv_map:.2f}")
    assert 35 < opencv_map < 50
    assert ours == pytest.approx(opencv_map, abs=0.5)
