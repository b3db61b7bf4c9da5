"""The Keras model against OpenCV's own Darknet reader, which shares no code with ours: raw maps of each head."""

from pathlib import Path

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
from tests.inference.darknet.parity import assert_same_maps, image_of
from tests.inference.darknet_examples import (
    DARKNET_CFG,
    FURTHER_CFG,
    SMALL_CFG,
    YOLO_FASTEST,
    needs_data,
    network_of,
    random_convolutions,
    random_shortcuts,
)

pytestmark = pytest.mark.slow


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
@pytest.mark.parametrize("text", [SMALL_CFG, FURTHER_CFG], ids=["small", "further"])
def test_every_layer_agrees_with_opencv(tmp_path: Path, random_weights, text: str, input_wh: tuple[int, int]):
    cfg = tmp_path / "some.cfg"
    cfg.write_text(text)
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


def keras_maps(network: Network, weights: DarknetWeights, image: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(raw) for raw in keras.tree.flatten(build_model(network, weights)(image))]


def convolved(maps: np.ndarray, item: ConvolutionWeights) -> np.ndarray:
    """A 1x1 convolution without batch norm."""
    return maps @ item.kernel[:, :, 0, 0].T + item.biases


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
    four = convolved(image, first)
    two = convolved(four, second)
    expected = convolved(np.concatenate([two[..., 1:], four[..., 2:]], axis=-1), last)
    (actual,) = keras_maps(network, weights_of([first, second, last]), image)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def added(source: np.ndarray, others: list[np.ndarray], factors: np.ndarray) -> np.ndarray:
    """Darknet's shortcut_multilayer_cpu; factors (1 + others, 1 or channels)."""
    total = source * factors[0]
    for other, factor in zip(others, factors[1:], strict=True):
        shared = min(total.shape[-1], other.shape[-1])
        total[..., :shared] += other[..., :shared] * factor[:shared]
    return total


def averaged(maps: np.ndarray, size: int, stride: int, padding: int) -> np.ndarray:
    """Darknet's forward_local_avgpool_layer."""
    _, height, width, _ = maps.shape
    rows = []
    for top in range(-(padding // 2), height + padding - padding // 2 - size + 1, stride):
        columns = range(-(padding // 2), width + padding - padding // 2 - size + 1, stride)
        windows = [maps[:, max(top, 0) : top + size, max(left, 0) : left + size] for left in columns]
        rows.append(np.stack([window.mean(axis=(1, 2)) for window in windows], axis=1))
    return np.stack(rows, axis=1)


def test_what_opencv_does_not_know_is_darknets():
    network = network_of(DARKNET_CFG)
    weights = DarknetWeights(Header(), tuple(random_convolutions(network)), tuple(random_shortcuts(network)))
    image = image_of(network)
    softmax, relu, plain = weights.shortcuts
    assert (softmax.shape, relu.shape, plain.shape) == ((3, 5), (4, 1), (2, 1))
    assert (relu < 0).any(), "relu would do nothing"

    six = convolved(image, weights.convolutions[0])
    four = convolved(six, weights.convolutions[1])
    five = convolved(four, weights.convolutions[2])
    shares = np.exp(softmax) / (np.exp(softmax).sum(axis=0) + 1e-4 * np.exp(softmax.max(axis=0)))
    third = added(five, [six, four], shares)
    third = np.where(third > 0, third, 0.1 * third)
    positive = np.maximum(relu, 0)
    fourth = added(third, [five, four, six], positive / (positive.sum(axis=0) + 1e-4))
    fifth = added(fourth, [fourth, third], np.ones((3, 1)))
    sixth = added(fifth, [five], plain)
    # 24x16 with three cells of padding, one of them in front: windows of 3 cells at the edges.
    pooled = averaged(averaged(sixth, 4, 4, 3), 2, 2, 0)
    expected = convolved(pooled, weights.convolutions[3])
    (actual,) = keras_maps(network, weights, image)
    assert actual.shape == (1, 2, 3, 6)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


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
@pytest.mark.parametrize("text", [SMALL_CFG, FURTHER_CFG, DARKNET_CFG], ids=["small", "further", "darknet"])
def test_the_model_saves_and_loads_as_keras(tmp_path: Path, text: str):
    network = network_of(text)
    weights = DarknetWeights(Header(), tuple(random_convolutions(network)), tuple(random_shortcuts(network)))
    model = build_model(network, weights)
    model.save(tmp_path / "some.keras")
    again = keras.models.load_model(tmp_path / "some.keras", safe_mode=True)
    image = image_of(network)
    for ours, theirs in zip(keras.tree.flatten(again(image)), keras.tree.flatten(model(image)), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


SHORTCUTS = """
[net]
width=32
height=32
[convolutional]
filters=8
size=3
pad=1
activation=leaky
[convolutional]
filters=OTHERS
size=1
activation=linear
[shortcut]
from=-2
activation=ACTIVATION
"""


@pytest.mark.parametrize("activation", ["linear", "leaky", "logistic", "mish", "relu", "swish", "tanh"])
@pytest.mark.parametrize("channels", ["4", "8", "12"])
def test_shortcuts_survive_tensorflows_fusions(tmp_path: Path, random_weights, activation: str, channels: str):
    # Compiled, TensorFlow merges convolution, addition and activation: its 2.21 crashed at some, and refused others.
    cfg = tmp_path / "shortcut.cfg"
    cfg.write_text(SHORTCUTS.replace("OTHERS", channels).replace("ACTIVATION", activation) + HEAD)
    weights = random_weights(cfg, (32, 32))
    network = resolve_network(read_cfg(cfg))
    image = image_of(network)
    assert_same_maps(cfg, weights, (32, 32))
    model = build_model(network, read_weights(weights, network), batch=1)
    (compiled,) = tf.function(lambda images: keras.tree.flatten(model(images)), autograph=False)(tf.constant(image))
    np.testing.assert_allclose(compiled, np.asarray(keras.tree.flatten(model(image))[0]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", [SMALL_CFG, FURTHER_CFG, DARKNET_CFG], ids=["small", "further", "darknet"])
def test_the_compiled_graph_puts_out_what_the_model_does(text: str):
    network = network_of(text)
    weights = DarknetWeights(Header(), tuple(random_convolutions(network)), tuple(random_shortcuts(network)))
    model, image = build_model(network, weights), image_of(network)
    compiled = tf.function(lambda images: keras.tree.flatten(model(images)), autograph=False)(tf.constant(image))
    for ours, theirs in zip(compiled, keras.tree.flatten(model(image)), strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-4, atol=1e-5)


def test_a_batch_is_its_images_one_by_one():
    network = network_of(FURTHER_CFG)
    model = build_model(network, weights_of(random_convolutions(network)))
    images = np.random.default_rng(8).random((3, 32, 64, 3), np.float32)
    together = [np.asarray(raw) for raw in model(images)]
    for item in range(3):
        alone = [np.asarray(raw) for raw in model(images[item : item + 1])]
        for many, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(many[item], one[0], rtol=1e-5, atol=1e-6)


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("name", ["yolo-fastest-1.1-xl", "yolo-fastest-1.1", "yolo-fastest-1.1_body"])
def test_trained_detectors_agree_with_opencv(name: str):
    assert_same_maps(YOLO_FASTEST / f"{name}.cfg", YOLO_FASTEST / f"{name}.weights", (320, 192))
