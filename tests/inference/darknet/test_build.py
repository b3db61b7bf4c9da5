"""The Keras model against OpenCV's own Darknet reader, which shares no code with ours: raw maps of each head."""

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from inference.darknet.build import build_model
from inference.darknet.cfg import read_cfg
from inference.darknet.layers import Network
from inference.darknet.network import resolve_network
from inference.darknet.weights import (
    ConvolutionWeights,
    DarknetWeights,
    Header,
    read_weights,
    write_weights,
)
from tests.inference.darknet_examples import (
    DATA,
    SMALL_CFG,
    YOLO_FASTEST,
    needs_data,
    network_of,
    random_convolutions,
)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As the engine's tests in the same process want it: TensorFlow's threads cannot be changed once it runs."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.set_visible_devices([], "GPU")


def opencv_maps(cfg: Path, weights: Path, image: np.ndarray) -> list[np.ndarray]:
    """What OpenCV puts out just before each [yolo], as (1, height, width, channels)."""
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setInput(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
    # Its reader gives a [yolo] a permutation of its own, right after the layer that we want.
    names = net.getLayerNames()
    heads = [names[place - 1] for place, name in enumerate(names) if name.startswith("permute_")]
    return [raw.transpose(0, 2, 3, 1) for raw in net.forward(heads)]


def keras_maps(network: Network, weights: Path, image: np.ndarray) -> list[np.ndarray]:
    model = build_model(network, read_weights(weights, network))
    return [np.asarray(raw) for raw in keras.tree.flatten(model(image))]


def image_of(network: Network) -> np.ndarray:
    shape = network.input_shape
    return np.random.default_rng(5).random((1, shape.height, shape.width, 3), np.float32)


def assert_same_maps(cfg: Path, weights: Path, input_wh: tuple[int, int]) -> None:
    """Raw outputs agree to 1e-3 of each value, or of a hundredth of the map's spread where a value is close to zero."""
    network = resolve_network(read_cfg(cfg), input_wh)
    image = image_of(network)
    expected = opencv_maps(cfg, weights, image)
    actual = keras_maps(network, weights, image)
    assert len(actual) == len(expected) == len(network.heads)
    for ours, theirs, head in zip(actual, expected, network.heads, strict=True):
        assert ours.shape == theirs.shape == (1, head.shape.height, head.shape.width, head.shape.channels)
        assert theirs.std() > 0.05, "the weights let nothing through: this would compare zeros"
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5 * theirs.std())


@pytest.fixture
def random_weights(tmp_path: Path):
    """Writes random weights for a cfg, and gives the file."""

    def write(cfg: Path, input_wh: tuple[int, int]) -> Path:
        network = resolve_network(read_cfg(cfg), input_wh)
        path = tmp_path / "random.weights"
        write_weights(path, network, random_convolutions(network))
        return path

    return write


@pytest.mark.parametrize("input_wh", [(96, 64), (48, 160), (16, 16)])
def test_every_layer_agrees_with_opencv(tmp_path: Path, random_weights, input_wh: tuple[int, int]):
    cfg = tmp_path / "small.cfg"
    cfg.write_text(SMALL_CFG)
    assert_same_maps(cfg, random_weights(cfg, input_wh), input_wh)


HEAD = """
[convolutional]
filters=12
size=1
activation=linear
[yolo]
mask=0,1
anchors=4,8,16,32
classes=1
num=2
"""
WINDOWS = {
    "3x3 stride 2": "[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=leaky\n",
    "5x5 stride 2": "[convolutional]\nfilters=4\nsize=5\nstride=2\npad=1\nactivation=leaky\n",
    "4x4 stride 1": "[convolutional]\nfilters=4\nsize=4\nstride=1\npad=1\nactivation=leaky\n",
    "3x3 stride 2 unpadded": "[convolutional]\nfilters=4\nsize=3\nstride=2\npad=0\nactivation=leaky\n",
    "1x1 padding 2": "[convolutional]\nfilters=4\nsize=1\nstride=1\npadding=2\nactivation=leaky\n",
    "depthwise 3x3 stride 2": "[convolutional]\nfilters=6\ngroups=6\nsize=3\nstride=2\npad=1\nactivation=leaky\n",
    "grouped 3x3 stride 2": "[convolutional]\nfilters=6\ngroups=2\nsize=3\nstride=2\npad=1\nactivation=leaky\n",
    "pool 2 stride 2": "[maxpool]\nsize=2\nstride=2\n",
    "pool 2 stride 1": "[maxpool]\nsize=2\nstride=1\n",
    "pool 3 stride 2": "[maxpool]\nsize=3\nstride=2\n",
    "pool 3 stride 3": "[maxpool]\nsize=3\nstride=3\n",
    "pool 9 stride 1": "[maxpool]\nsize=9\nstride=1\n",
    "pool 3 stride 2 unpadded": "[maxpool]\nsize=3\nstride=2\npadding=0\n",
}


@pytest.mark.parametrize("before", ["1", "2"], ids=["even", "odd"])
@pytest.mark.parametrize("window", WINDOWS)
def test_every_window_agrees_with_opencv_on_even_and_odd_maps(tmp_path: Path, random_weights, window: str, before: str):
    # The first convolution makes 6 channels and, unpadded, takes (size - 1) cells off. Linear: pools see both signs.
    first = f"[net]\nwidth=24\nheight=36\n[convolutional]\nfilters=6\nsize={before}\nactivation=linear\n"
    cfg = tmp_path / "window.cfg"
    cfg.write_text(first + WINDOWS[window] + HEAD)
    assert_same_maps(cfg, random_weights(cfg, (24, 36)), (24, 36))


def test_a_route_takes_its_group_of_each_source():
    # OpenCV knows groups of one source only: so by value. One filter a channel shows which channels come through.
    lines = ["[net]"]
    for filters in (4, 2):
        lines += ["[convolutional]", f"filters={filters}", "size=1", "activation=linear"]
    lines += ["[route]", "layers=-1,0", "groups=2", "group_id=1"]
    lines += ["[convolutional]", "filters=6", "size=1", "activation=linear"]
    lines += ["[yolo]", "classes=1", "anchors=4,8"]
    network = network_of("\n".join(lines), (2, 1))
    first, second, last = random_convolutions(network)
    image = image_of(network)

    def convolved(maps: np.ndarray, item: ConvolutionWeights) -> np.ndarray:
        return maps @ item.kernel[:, :, 0, 0].T + item.biases

    four = convolved(image, first)
    two = convolved(four, second)
    expected = convolved(np.concatenate([two[..., 1:], four[..., 2:]], axis=-1), last)
    weights = weights_of([first, second, last])
    actual = np.asarray(keras.tree.flatten(build_model(network, weights)(image))[0])
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def weights_of(convolutions: list[ConvolutionWeights]) -> DarknetWeights:
    return DarknetWeights(Header(), tuple(convolutions))


def test_the_model_is_float32_with_a_fixed_or_open_batch():
    network = network_of(SMALL_CFG)
    weights = weights_of(random_convolutions(network))
    assert build_model(network, weights).input_shape == (None, 64, 96, 3)
    model = build_model(network, weights, batch=4)
    assert model.input_shape == (4, 64, 96, 3)
    assert [output.dtype for output in model.outputs] == ["float32", "float32"]


# Keras's own np.array() of a TensorFlow variable.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_the_model_saves_and_loads_as_keras(tmp_path: Path):
    network = network_of(SMALL_CFG)
    model = build_model(network, weights_of(random_convolutions(network)))
    model.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras", safe_mode=True)
    image = image_of(network)
    for ours, theirs in zip(keras.tree.flatten(again(image)), keras.tree.flatten(model(image)), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("name", ["yolo-fastest-1.1-xl", "yolo-fastest-1.1", "yolo-fastest-1.1_body"])
def test_trained_detectors_agree_with_opencv(name: str):
    assert_same_maps(YOLO_FASTEST / f"{name}.cfg", YOLO_FASTEST / f"{name}.weights", (320, 192))


@needs_data
@pytest.mark.data
@pytest.mark.parametrize(
    "path",
    [
        "cfg/pjreddie/yolov3.cfg",
        "cfg/pjreddie/yolov3-tiny.cfg",
        "cfg/alexeyab/yolov4-tiny.cfg",
        "weights/yolo-fastest/yolo-fastest-1.1.cfg",
        "weights/yolo-fastest/yolo-fastest-1.1_body.cfg",
    ],
)
def test_random_detectors_agree_with_opencv(random_weights, path: str):
    assert_same_maps(DATA / path, random_weights(DATA / path, (160, 96)), (160, 96))
