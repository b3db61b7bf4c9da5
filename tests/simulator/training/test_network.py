"""The trainable network says what the product's network says with the weights that came of it."""

import numpy as np
import pytest

from inference.darknet.build import build_model
from inference.darknet.cfg import read_cfg
from inference.darknet.layers import Network
from inference.darknet.network import resolve_network
from inference.darknet.weights import DarknetWeights, Header, read_weights, write_weights
from simulator.train import EMBEDDED
from simulator.training.network import PRIOR, build_trainable, to_darknet

pytestmark = pytest.mark.slow

CFG = """[net]
width=64
height=32
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=6
size=3
stride=2
pad=1
activation=leaky
[upsample]
stride=2
[route]
layers=-1,1
[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1
anchors=10,20, 20,10
classes=2
num=2
"""


@pytest.fixture
def network(tmp_path) -> Network:
    (tmp_path / "small.cfg").write_text(CFG)
    return resolve_network(read_cfg(tmp_path / "small.cfg"))


def test_exported_weights_say_what_was_trained(network, tmp_path):
    images = np.random.default_rng(1).uniform(0, 1, (8, 32, 64, 3)).astype(np.float32)
    trainable = build_trainable(network, 3, "float32")
    # The same batch again and again, until the running statistics are its own.
    for _ in range(250):
        expected = np.asarray(trainable.model(images, training=True)).reshape(8, 16, 32, 14)
    convolutions = to_darknet(trainable, trainable.model.get_weights())
    write_weights(tmp_path / "small.weights", network, convolutions)
    model = build_model(network, read_weights(tmp_path / "small.weights", network))
    actual = np.asarray(model(images)).reshape(8, 16, 32, 14)
    assert expected.std() > 0.05
    # The running variance is the unbiased one (n / (n - 1), n = 1024 in the smallest map).
    np.testing.assert_allclose(actual, expected, atol=2e-3 * np.abs(expected).max())


def test_a_fresh_network_expects_little(network):
    trainable = build_trainable(network, 3, "float32")
    convolutions = to_darknet(trainable, trainable.model.get_weights())
    images = np.random.default_rng(1).uniform(0, 1, (2, 32, 64, 3)).astype(np.float32)
    model = build_model(network, DarknetWeights(Header(), convolutions))
    raw = np.asarray(model(images)).reshape(2, 16, 32, 2, 7)[..., 4]
    assert 1 / (1 + np.exp(-np.median(raw))) == pytest.approx(PRIOR, abs=0.02)


def test_the_seed_decides(network):
    first, same, other = (build_trainable(network, seed, "float32").model.get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_embedded_cfg_can_be_trained():
    network = resolve_network(read_cfg(EMBEDDED / "demo.cfg"), (416, 256))
    trainable = build_trainable(network, 1, "mixed_bfloat16")
    assert [tuple(tensor.shape[1:]) for tensor in trainable.model.outputs] == [(16, 26, 44), (32, 52, 44)]
    assert all(tensor.dtype == "float32" for tensor in trainable.model.outputs)


def test_a_layer_without_trainable_form_is_refused(tmp_path):
    (tmp_path / "pool.cfg").write_text(
        CFG.replace("[upsample]", "[maxpool]\nsize=2\nstride=2\n[upsample]\nstride=2\n[upsample]")
    )
    with pytest.raises(TypeError, match="no trainable form of MaxPool"):
        build_trainable(resolve_network(read_cfg(tmp_path / "pool.cfg")), 1, "float32")
