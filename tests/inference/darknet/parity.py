"""The Keras model beside OpenCV's own Darknet reader, which shares no code with ours: raw maps of each head."""

import gc
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from inference.darknet.build import build_model
from inference.darknet.cfg import read_cfg
from inference.darknet.layers import Convolution, Layer, Network
from inference.darknet.network import resolve_network
from inference.darknet.weights import read_weights


def on_one_thread() -> None:
    """As the engine's tests in the same process want it: TensorFlow's threads cannot be changed once it runs."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.set_visible_devices([], "GPU")


def image_of(network: Network) -> np.ndarray:
    """Noise, as the network's input: (1, height, width, 3)."""
    shape = network.input_shape
    return np.random.default_rng(5).random((1, shape.height, shape.width, 3), np.float32)


def opencv_maps(cfg: Path, weights: Path, image: np.ndarray) -> list[np.ndarray]:
    """What OpenCV puts out just before each head, as (1, height, width, channels)."""
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setInput(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
    # Its reader gives a head a permutation of its own, right after the layer that we want.
    names = net.getLayerNames()
    heads = [names[place - 1] for place, name in enumerate(names) if name.startswith("permute_")]
    return [raw.transpose(0, 2, 3, 1) for raw in net.forward(heads)]


def keras_maps(network: Network, weights: Path, image: np.ndarray) -> list[np.ndarray]:
    """The same of our model."""
    model = build_model(network, read_weights(weights, network))
    maps = [np.asarray(raw) for raw in keras.tree.flatten(model(image))]
    # A model is full of cycles, and the next one may be as large.
    del model
    keras.backend.clear_session()
    gc.collect()
    return maps


def assert_same_maps(cfg: Path, weights: Path, input_wh: tuple[int, int]) -> None:
    """Raw outputs agree to 1e-3 of each value, or to 1e-4 of the map's spread where a value is close to zero."""
    network = resolve_network(read_cfg(cfg), input_wh)
    image = image_of(network)
    assert_same(keras_maps(network, weights, image), opencv_maps(cfg, weights, image), network)


def assert_same(actual: list[np.ndarray], expected: list[np.ndarray], network: Network) -> None:
    """As in `assert_same_maps`."""
    assert len(actual) == len(expected) == len(network.heads)
    for ours, theirs, head in zip(actual, expected, network.heads, strict=True):
        assert ours.shape == theirs.shape == (1, head.shape.height, head.shape.width, head.shape.channels)
        assert_telling(theirs, network.layers[head.source])
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * theirs.std())


def assert_telling(theirs: np.ndarray, layer: Layer) -> None:
    """The map depends on the image, and has not grown or saturated until errors no longer show."""
    _, height, width, _ = theirs.shape
    # Over the cells, of each channel: biases alone make channels differ. A few cells may be pooled to one value.
    spread = theirs.std(axis=(1, 2)).mean() if height * width > 4 else theirs.std()
    assert spread > 0.01, "the weights let nothing through: this would compare constants"
    assert np.abs(theirs).max() < 1e3
    if isinstance(layer, Convolution) and layer.activation == "logistic":
        assert np.mean((theirs > 0.01) & (theirs < 0.99)) > 0.5
