"""Detectors for tests: a small cfg with every supported layer, random weights, the places of the real files."""

from pathlib import Path

import numpy as np
import pytest

from inference.darknet.cfg import parse_cfg
from inference.darknet.layers import Network, Shortcut
from inference.darknet.network import resolve_network
from inference.darknet.weights import BatchNorm, ConvolutionWeights, write_weights
from inference.engine import ModelFiles

DATA = Path(__file__).parents[3] / "shared" / "data"
YOLO_FASTEST = DATA / "weights" / "yolo-fastest"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent")

SMALL_CFG = """
# Every layer and window that the reader supports, small enough for a test.
[net]
width=96
height=64
channels=3
learning_rate=0.001

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

; 1: depthwise
[convolutional]
batch_normalize=1
filters=8
groups=8
size=3
stride=1
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=8
size=1
stride=1
pad=0
activation=linear

[dropout]
probability=.15

[shortcut]
from=-4
activation=linear

# 5: grouped, neither one group nor depthwise
[convolutional]
batch_normalize=1
filters=12
groups=2
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=2

# 7: depthwise with a stride and two filters a channel
[convolutional]
filters=24
groups=12
size=3
stride=2
pad=1
activation=leaky

[maxpool]
size=2
stride=1

[maxpool]
size=5
stride=1

[maxpool]
size=3
stride=2

[route]
layers=-3,-2

# 12: the second half of the channels
[route]
layers=-1
groups=2
group_id=1

[convolutional]
filters=21
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1,2
anchors=10,14, 23,27, 37,58, 81,82, 135,169, 344,319
classes=2
num=6
scale_x_y=1.05

[route]
layers=10

[convolutional]
batch_normalize=1
filters=16
size=3
stride=1
pad=1
activation=leaky

[upsample]
stride=2

[shortcut]
from=-1
activation=leaky

[route]
layers=-1,8

[convolutional]
filters=21
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=3,4,5
anchors=10,14, 23,27, 37,58, 81,82, 135,169, 344,319
classes=2
num=6
"""


_CONVOLUTION = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\nstride={}\npad=1\nactivation={}\n"

FURTHER_CFG = "".join(
    [
        "# What OpenCV's reader knows besides SMALL_CFG: attention, reorganization, activations, both other heads.\n",
        "[net]\nwidth=64\nheight=32\n",
        _CONVOLUTION.format(16, 3, 2, "mish"),
        _CONVOLUTION.format(24, 3, 2, "swish"),
        "# 2 to 5: squeeze and excitation\n[avgpool]\n",
        _CONVOLUTION.format(8, 1, 1, "relu"),
        _CONVOLUTION.format(24, 1, 1, "logistic"),
        "[scale_channels]\nfrom=1\nactivation=linear\n",
        "# 6 to 8: fewer channels are added, then more\n",
        _CONVOLUTION.format(16, 1, 1, "tanh"),
        "[shortcut]\nfrom=5\nactivation=mish\n",
        _CONVOLUTION.format(32, 3, 1, "leaky"),
        "[shortcut]\nfrom=-2\nactivation=linear\n",
        _CONVOLUTION.format(32, 1, 1, "logistic"),
        "# 11: spatial attention\n[sam]\nfrom=9\nactivation=leaky\n",
        "[reorg]\nstride=2\n",
        "# 13: pooled at once by three sizes\n[maxpool]\nstride=1\nsize=5\n",
        "[route]\nlayers=12\n[maxpool]\nstride=1\nsize=3\n[route]\nlayers=-1,13,12\n",
        _CONVOLUTION.format(27, 1, 1, "logistic"),
        "[yolo]\nmask=0,1,2\nanchors=4,8, 16,12, 20,30\nclasses=4\nnum=3\nscale_x_y=2.0\nnew_coords=1\n",
        "[route]\nlayers=12\n[convolutional]\nfilters=18\nsize=1\nstride=1\npad=1\nactivation=linear\n",
        "[region]\nanchors=0.5,1, 1.5,1.2\nclasses=4\nnum=2\ncoords=4\nsoftmax=1\n",
    ]
)
"""The layers from 17 on: convolution, [yolo] with new coordinates, route, convolution, [region]."""

DARKNET_CFG = "".join(
    [
        "# What only Darknet itself knows.\n[net]\nwidth=24\nheight=16\n",
        *(f"[convolutional]\nfilters={filters}\nsize=1\nactivation=linear\n" for filters in (6, 4, 5)),
        "[shortcut]\nfrom=0,1\nactivation=leaky\nweights_type=per_channel\nweights_normalization=softmax\n",
        "[shortcut]\nfrom=-2,-3,-4\nactivation=linear\nweights_type=per_feature\nweights_normalization=relu\n",
        "[shortcut]\nfrom=-1,-2\n[shortcut]\nfrom=2\nweights_type=per_layer\n",
        "[local_avgpool]\nsize=4\nstride=4\n[local_avgpool]\nsize=2\nstride=2\npadding=0\n",
        "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n[yolo]\nclasses=1\nanchors=4,8\n",
    ]
)


def network_of(text: str, input_wh: tuple[int, int] | None = None, path: Path = Path("test.cfg")) -> Network:
    """The network that a cfg text describes."""
    return resolve_network(parse_cfg(text, path), input_wh)


GAINS = {"linear": 1.0, "leaky": 1.4, "relu": 1.4, "logistic": 1.4, "mish": 1.4, "swish": 1.5, "tanh": 1.4}
"""What keeps a map's mean square of about the same size through an activation, whatever its size."""


def random_convolutions(network: Network, seed: int = 1) -> list[ConvolutionWeights]:
    """Weights at which maps keep about the same size from layer to layer, and batch norm does something."""
    rng = np.random.default_rng(seed)
    # A large network wants 10^8 normal numbers: they are cut from one long row, whose prime length lets no two filters
    # be alike.
    row = rng.standard_normal(1_000_003, np.float32)
    # What is added to another map is kept small, or maps would double with every shortcut.
    added = {layer.source for layer in network.layers if isinstance(layer, Shortcut)}

    def uniform(low: float, high: float, filters: int) -> np.ndarray:
        return rng.uniform(low, high, filters).astype(np.float32)

    convolutions = []
    for layer in network.convolutions:
        filters, size = layer.shape.channels, layer.window.size
        channels = layer.source_shape.channels // layer.groups
        gain = GAINS[layer.activation] * (0.4 if layer.index in added else 1.0)
        norm = None
        if layer.batch_normalize:
            norm = BatchNorm(
                uniform(0.8 * gain, 1.2 * gain, filters), uniform(-0.2, 0.2, filters), uniform(0.7, 1.4, filters)
            )
            gain = 1.0
        kernel = np.empty((filters, channels, size, size), np.float32)
        scale, start = np.float32(gain / np.sqrt(channels * size * size)), int(rng.integers(len(row)))
        numbers = kernel.reshape(-1)
        while len(numbers):
            part = row[start : start + len(numbers)]
            np.multiply(part, scale, out=numbers[: len(part)])
            numbers, start = numbers[len(part) :], 0
        convolutions.append(ConvolutionWeights(uniform(-0.3, 0.3, filters), norm, kernel))
    return convolutions


def random_shortcuts(network: Network, seed: int = 2) -> list[np.ndarray]:
    """Weights of its weighted shortcuts, of both signs."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0.3, 0.6, layer.weights_shape).astype(np.float32) for layer in network.shortcuts]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two xyxy boxes."""
    overlap = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None).prod()
    union = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - overlap
    return float(overlap / union)


def write_small_model(folder: Path) -> ModelFiles:
    """The files of SMALL_CFG with random weights and two labels."""
    files = ModelFiles(folder / "small.cfg", folder / "small.weights", folder / "small.names")
    files.cfg.write_text(SMALL_CFG)
    files.names.write_text("person\ndog\n")
    network = network_of(SMALL_CFG)
    write_weights(files.weights, network, random_convolutions(network))
    return files
