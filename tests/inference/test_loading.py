"""Both real engines, from a model's files to boxes, against the Keras model and OpenCV's Darknet reader.

One CPU thread in every test of a process: TensorFlow sets its threads once. Precisions other than float32 are set for
the whole process too, so they are tested in workers (`test_worker.py`) and, here, for OpenVINO, which keeps them apart.
"""

import contextlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.darknet.build import build_model
from inference.decode import Suppression, decode_image
from inference.engine import Detections, EngineFailed, EngineOptions, ModelFiles, ModelUnusable
from inference.engines import ENGINES
from inference.loading import load_engine
from inference.model import read_model
from tests.inference.darknet_examples import (
    DATA,
    YOLO_FASTEST,
    iou,
    needs_data,
    write_small_model,
)

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("engine", list(ENGINES))]


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return write_small_model(tmp_path_factory.mktemp("small"))


def yolo_fastest(name: str) -> ModelFiles:
    return ModelFiles(YOLO_FASTEST / f"{name}.cfg", YOLO_FASTEST / f"{name}.weights", YOLO_FASTEST / "coco.names")


def letterboxed(path: Path, input_wh: tuple[int, int]) -> np.ndarray:
    """The photo on a grey canvas, top left, its aspect kept; RGB."""
    photo = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    scale = min(input_wh[0] / photo.shape[1], input_wh[1] / photo.shape[0])
    photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full((input_wh[1], input_wh[0], 3), 127, np.uint8)
    canvas[: photo.shape[0], : photo.shape[1]] = photo[: input_wh[1], : input_wh[0]]
    return canvas


def images_of(batch: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (batch, 64, 96, 3), np.uint8)


def keras_boxes(files: ModelFiles, images: np.ndarray, options: EngineOptions) -> list[Detections]:
    model = read_model(files, options.input_wh)
    maps = [np.asarray(raw) for raw in build_model(model.network, model.weights)(images.astype(np.float32) / 255)]
    suppression = Suppression(options.score_threshold, options.iou_threshold, options.max_detections)
    return [
        decode_image([raw[item] for raw in maps], model.network.heads, options.input_wh, suppression)
        for item in range(len(images))
    ]


def test_each_image_has_the_keras_models_boxes_in_batches_of_any_size(
    engine: str, small_files: ModelFiles, cache_dir: Path
):
    options = EngineOptions((96, 64), batch=3, score_threshold=0.3, cache_dir=cache_dir)
    loaded = load_engine(engine, small_files, options)
    images = images_of(3)
    expected = keras_boxes(small_files, images, options)
    for count in (3, 1, 2, 3):
        found = loaded.detect(images[:count])
        assert len(found) == count
        for actual, wanted in zip(found, expected, strict=False):
            assert len(wanted) > 3
            assert actual.class_ids.tolist() == wanted.class_ids.tolist()
            np.testing.assert_allclose(actual.scores, wanted.scores, rtol=1e-4)
            np.testing.assert_allclose(actual.xyxy, wanted.xyxy, rtol=1e-4, atol=1e-2)
    assert loaded.labels == ("person", "dog")
    assert loaded.options == options


def test_images_of_another_shape_or_type_are_refused(engine: str, small_files: ModelFiles, cache_dir: Path):
    loaded = load_engine(engine, small_files, EngineOptions((96, 64), cache_dir=cache_dir))
    for images in (images_of(2), np.zeros((1, 96, 64, 3), np.uint8), np.zeros((0, 64, 96, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"the engine takes uint8 \(1 to 1, 64, 96, 3\)"):
            loaded.detect(images)
    with pytest.raises(ValueError, match="images are float32"):
        loaded.detect(np.zeros((1, 64, 96, 3), np.float32))  # type: ignore[arg-type]


def test_memory_in_use_is_told(engine: str, small_files: ModelFiles, cache_dir: Path):
    use = load_engine(engine, small_files, EngineOptions((96, 64), cache_dir=cache_dir)).memory_mib()
    assert use.resident_mib > 50
    assert use.device_mib is None


def test_a_model_that_never_works_is_told_so(engine: str, small_files: ModelFiles, cache_dir: Path):
    with pytest.raises(ModelUnusable, match="multiples of 16"):
        load_engine(engine, small_files, EngineOptions((100, 64), cache_dir=cache_dir))


def test_a_graph_that_does_not_load_is_dropped_from_the_cache(engine: str, small_files: ModelFiles, tmp_path: Path):
    options = EngineOptions((96, 64), cache_dir=tmp_path)
    load_engine(engine, small_files, options)
    [entry] = tmp_path.glob(f"{engine}-*")
    for file in entry.rglob("*"):
        if file.is_file():
            file.write_bytes(b"damaged")
    with pytest.raises(EngineFailed):
        load_engine(engine, small_files, options)
    assert not entry.exists()
    load_engine(engine, small_files, options)


def test_a_full_disk_keeps_no_engine_from_loading(
    engine: str, small_files: ModelFiles, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """A real one: what frameworks say of it is not what the system says."""
    full = tmp_path / "full"
    full.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", full], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with (full / "filler").open("wb") as filler, contextlib.suppress(OSError):
            filler.write(bytes(1 << 20))
        loaded = load_engine(engine, small_files, EngineOptions((96, 64), cache_dir=full))
        assert len(loaded.detect(images_of(1))) == 1
        assert "not kept" in capfd.readouterr().err
    finally:
        subprocess.run(["umount", full], check=True)


def test_what_is_not_offered_is_refused(engine: str, small_files: ModelFiles):
    with pytest.raises(ValueError, match="no engine 'caffe'; there are: openvino, tensorflow"):
        load_engine("caffe", small_files, EngineOptions((96, 64)))
    with pytest.raises(ValueError, match=f"engine {engine} has no float16 on a cpu"):
        load_engine(engine, small_files, EngineOptions((96, 64), precision="float16"))


def test_an_engine_loads_no_other_framework_and_no_keras(engine: str, small_files: ModelFiles, cache_dir: Path):
    """What a worker loads is what it costs: memory and seconds."""
    program = f"""
import sys
from pathlib import Path
import numpy as np
from inference.engine import EngineOptions, ModelFiles
from inference.loading import load_engine
files = ModelFiles(*map(Path, {[str(small_files.cfg), str(small_files.weights), str(small_files.names)]}))
engine = load_engine({engine!r}, files, EngineOptions((96, 64), cache_dir=Path({str(cache_dir)!r})))
engine.detect(np.zeros((1, 64, 96, 3), np.uint8))
print(sorted({{"openvino", "tensorflow", "jax", "torch"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str([engine])


@needs_data
@pytest.mark.data
def test_the_dog_photo_has_a_dog_a_bicycle_and_a_truck(engine: str, cache_dir: Path):
    # At the default canvas: at 640x384 this model takes the dog for a cat as well.
    loaded = load_engine(engine, yolo_fastest("yolo-fastest-1.1-xl"), EngineOptions((832, 512), cache_dir=cache_dir))
    image = letterboxed(DATA / "images/photos/dog.jpg", (832, 512))
    (found,) = loaded.detect(image[None])
    boxes = {loaded.labels[label]: box for label, box in zip(found.class_ids, found.xyxy, strict=True)}
    assert boxes.keys() <= {"dog", "bicycle", "truck", "car"}
    # Where they are in the 768x576 photo, which was scaled by 8/9.
    scaled = {label: box * 9 / 8 for label, box in boxes.items()}
    assert iou(scaled["dog"], np.array([130, 220, 312, 540])) > 0.75
    assert iou(scaled["bicycle"], np.array([120, 125, 568, 420])) > 0.5
    assert iou(scaled.get("truck", scaled.get("car")), np.array([470, 80, 690, 170])) > 0.75


def opencv_detections(files: ModelFiles, image: np.ndarray, options: EngineOptions) -> Detections:
    """What OpenCV finds: its own decoding, a box for its best class, its own suppression within each class."""
    net = cv2.dnn.readNetFromDarknet(str(files.cfg), str(files.weights))
    net.setInput(cv2.dnn.blobFromImage(image, 1 / 255))
    rows = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
    sizes = rows[:, 2:4] * options.input_wh
    corners = rows[:, :2] * options.input_wh - sizes / 2
    scores, classes = rows[:, 5:].max(axis=1), rows[:, 5:].argmax(axis=1)
    xywh = np.concatenate([corners, sizes], axis=1).astype(np.float64)
    thresholds = options.score_threshold, options.iou_threshold
    kept = np.array(cv2.dnn.NMSBoxesBatched(xywh, scores.astype(float), classes.astype(np.int32), *thresholds), int)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    return Detections(np.concatenate([corners, corners + sizes], axis=1)[kept], scores[kept], classes[kept])


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("model", ["yolo-fastest-1.1", "yolo-fastest-1.1-xl"])
def test_boxes_agree_with_opencv(engine: str, model: str, cache_dir: Path):
    """Each box of each photo, after suppression and before it."""
    input_wh = (416, 256)
    files = yolo_fastest(model)
    photos = sorted((DATA / "images/photos").glob("*.jpg"))
    assert len(photos) == 7
    boxes: list[int] = []
    for iou_threshold in (0.45, 1.0):
        options = EngineOptions(
            input_wh, score_threshold=0.25, iou_threshold=iou_threshold, max_detections=1000, cache_dir=cache_dir
        )
        loaded = load_engine(engine, files, options)
        boxes.append(0)
        for photo in photos:
            image = letterboxed(photo, input_wh)
            [found] = loaded.detect(image[None])
            expected = opencv_detections(files, image, options)
            assert len(found) == len(expected), photo
            np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-3)
            np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=0.1)
            assert found.class_ids.tolist() == expected.class_ids.tolist()
            boxes[-1] += len(found)
    assert 15 <= boxes[0] < boxes[1]
