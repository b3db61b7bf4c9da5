"""The real engine on one CPU thread: the same in every test of a process, since TensorFlow sets its threads once."""

import gc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from inference.darknet.build import build_model
from inference.darknet.weights import write_weights
from inference.decode import Suppression, decode_image
from inference.engine import (
    Detections,
    DeviceUnavailable,
    EngineFailed,
    EngineOptions,
    ModelFiles,
    ModelUnusable,
    OutOfMemory,
    load_engine,
)
from inference.engine_tensorflow import TensorFlowEngine, compiled
from inference.model import read_model
from tests.inference.darknet_examples import (
    DATA,
    SMALL_CFG,
    YOLO_FASTEST,
    iou,
    needs_data,
    network_of,
    random_convolutions,
)

pytestmark = pytest.mark.slow

XL = ModelFiles(
    YOLO_FASTEST / "yolo-fastest-1.1-xl.cfg",
    YOLO_FASTEST / "yolo-fastest-1.1-xl.weights",
    YOLO_FASTEST / "coco.names",
)


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    folder = tmp_path_factory.mktemp("small")
    files = ModelFiles(folder / "small.cfg", folder / "small.weights", folder / "small.names")
    files.cfg.write_text(SMALL_CFG)
    files.names.write_text("person\ndog\n")
    network = network_of(SMALL_CFG)
    write_weights(files.weights, network, random_convolutions(network))
    return files


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


@pytest.mark.parametrize("freeze", [True, False])
def test_compiled_maps_are_the_keras_models(small_files: ModelFiles, freeze: bool):
    model = read_model(small_files, (96, 64))
    graph = compiled(model, EngineOptions((96, 64), batch=2), freeze=freeze)
    gc.collect()
    images = images_of(2)
    expected = build_model(model.network, model.weights)(images.astype(np.float32) / 255)
    for ours, theirs in zip(graph(tf.constant(images)), expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), np.asarray(theirs), rtol=1e-4, atol=1e-5)


def test_a_batch_gives_each_images_boxes(small_files: ModelFiles):
    options = EngineOptions((96, 64), batch=3, score_threshold=0.3)
    engine = load_engine("tensorflow", small_files, options)
    images = images_of(3)
    found = engine.detect(images)

    model = read_model(small_files, (96, 64))
    maps = [np.asarray(raw) for raw in build_model(model.network, model.weights)(images.astype(np.float32) / 255)]
    suppression = Suppression(options.score_threshold, options.iou_threshold, options.max_detections)
    for item, actual in enumerate(found):
        expected = decode_image([raw[item] for raw in maps], model.network.heads, (96, 64), suppression)
        assert len(expected) > 3
        assert actual.class_ids.tolist() == expected.class_ids.tolist()
        np.testing.assert_allclose(actual.scores, expected.scores, rtol=1e-4)
        np.testing.assert_allclose(actual.xyxy, expected.xyxy, rtol=1e-4, atol=1e-2)
    assert engine.labels == ("person", "dog")
    assert engine.options == options


def test_images_of_another_shape_or_type_are_refused(small_files: ModelFiles):
    engine = load_engine("tensorflow", small_files, EngineOptions((96, 64)))
    for images in (np.zeros((2, 64, 96, 3), np.uint8), np.zeros((1, 96, 64, 3), np.uint8)):
        with pytest.raises(ValueError, match="the engine takes uint8"):
            engine.detect(images)
    with pytest.raises(ValueError, match="images are float32"):
        engine.detect(np.zeros((1, 64, 96, 3), np.float32))  # type: ignore[arg-type]


def test_memory_in_use_is_told(small_files: ModelFiles):
    use = load_engine("tensorflow", small_files, EngineOptions((96, 64))).memory_mib()
    assert use.resident_mib > 100
    assert use.device_mib is None


def test_a_model_that_never_works_is_told_so(small_files: ModelFiles):
    with pytest.raises(ModelUnusable, match="multiples of 16"):
        load_engine("tensorflow", small_files, EngineOptions((100, 64)))


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_told(small_files: ModelFiles):
    with pytest.raises(DeviceUnavailable, match="CUDA_VISIBLE_DEVICES"):
        load_engine("tensorflow", small_files, EngineOptions((96, 64), device="gpu"))


def test_threads_that_cannot_be_set_any_more_are_told(small_files: ModelFiles):
    tf.zeros(())
    with pytest.raises(EngineFailed, match="cannot be modified after initialization"):
        load_engine("tensorflow", small_files, EngineOptions((96, 64), threads=7))


def too_much(images: object) -> object:
    return [tf.zeros((1 << 40,))]


def raising(error: Exception) -> Callable[[object], object]:
    def graph(images: object) -> object:
        raise error

    return graph


def engine_of(graph: Callable[[object], object]) -> TensorFlowEngine:
    return TensorFlowEngine(graph, (), ("person",), EngineOptions((32, 32)))


@pytest.mark.parametrize(
    "graph",
    [
        too_much,
        raising(MemoryError()),
        raising(TypeError("Binding inputs to tf.function failed due to 'Unable to allocate 63.4 MiB for an array'")),
        raising(tf.errors.InternalError(None, None, "failed to allocate 1.51G from device: CUDA_ERROR_OUT_OF_MEMORY")),
        raising(tf.errors.UnknownError(None, None, "Could not create cudnn handle: CUDNN_STATUS_NOT_INITIALIZED")),
        raising(RuntimeError("can't start new thread")),
        raising(cv2.error("OpenCV: error: (-4:Insufficient memory) Failed to allocate 2 bytes")),
    ],
)
def test_running_out_of_memory_is_known_in_all_its_forms(graph: Callable[[object], object]):
    with pytest.raises(OutOfMemory) as caught:
        engine_of(graph).detect(np.zeros((1, 32, 32, 3), np.uint8))
    assert caught.value.__cause__ is not None


def test_another_failure_of_the_framework_is_not_taken_for_memory():
    graph = raising(tf.errors.InvalidArgumentError(None, None, "shapes differ\nand more"))
    with pytest.raises(EngineFailed, match=r"^InvalidArgumentError: shapes differ$"):
        engine_of(graph).detect(np.zeros((1, 32, 32, 3), np.uint8))


@needs_data
@pytest.mark.data
def test_the_dog_photo_has_a_dog_a_bicycle_and_a_truck():
    # At the default canvas: at 640x384 this model takes the dog for a cat as well.
    engine = load_engine("tensorflow", XL, EngineOptions((832, 512)))
    image = letterboxed(DATA / "images/photos/dog.jpg", (832, 512))
    (found,) = engine.detect(image[None])
    boxes = {engine.labels[label]: box for label, box in zip(found.class_ids, found.xyxy, strict=True)}
    assert boxes.keys() <= {"dog", "bicycle", "truck", "car"}
    # Where they are in the 768x576 photo, which was scaled by 8/9.
    scaled = {label: box * 9 / 8 for label, box in boxes.items()}
    assert iou(scaled["dog"], np.array([130, 220, 312, 540])) > 0.75
    assert iou(scaled["bicycle"], np.array([120, 125, 568, 420])) > 0.5
    assert iou(scaled.get("truck", scaled.get("car")), np.array([470, 80, 690, 170])) > 0.75


def opencv_detections(input_wh: tuple[int, int], image: np.ndarray, threshold: float) -> Detections:
    """Every box that OpenCV decodes, unsuppressed, each for its best class."""
    net = cv2.dnn.readNetFromDarknet(str(XL.cfg), str(XL.weights))
    net.setInput(cv2.dnn.blobFromImage(image, 1 / 255))
    rows = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
    scores = rows[:, 5:].max(axis=1)
    kept = np.argsort(-scores)[: (scores >= threshold).sum()]
    centres, sizes = rows[kept, :2] * input_wh, rows[kept, 2:4] * input_wh
    xyxy = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    return Detections(xyxy, scores[kept], rows[kept, 5:].argmax(axis=1))


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("photo", ["dog.jpg", "person.jpg"])
def test_boxes_agree_with_opencv(photo: str):
    input_wh = (416, 256)
    options = EngineOptions(input_wh, score_threshold=0.25, iou_threshold=1.0, max_detections=1000)
    image = letterboxed(DATA / "images/photos" / photo, input_wh)
    (found,) = load_engine("tensorflow", XL, options).detect(image[None])
    expected = opencv_detections(input_wh, image, 0.25)
    assert len(found) == len(expected) >= 3
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-3)
    np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=0.1)
    assert found.class_ids.tolist() == expected.class_ids.tolist()
