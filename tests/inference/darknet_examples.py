"""Detectors for tests: a small cfg with every supported layer, random weights, the places of the real files."""

from pathlib import Path

import numpy as np
import pytest

from inference.darknet.cfg import parse_cfg
from inference.darknet.layers import Network
from inference.darknet.network import resolve_network
from inference.darknet.weights import BatchNorm, ConvolutionWeights

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


def network_of(text: str, input_wh: tuple[int, int] | None = None, path: Path = Path("test.cfg")) -> Network:
    """The network that a cfg text describes."""
    return resolve_network(parse_cfg(text, path), input_wh)


def random_convolutions(network: Network, seed: int = 1) -> list[ConvolutionWeights]:
    """Weights at which maps keep about the same size from layer to layer, and batch norm does something."""
    rng = np.random.default_rng(seed)

    def uniform(low: float, high: float, filters: int) -> np.ndarray:
        return rng.uniform(low, high, filters).astype(np.float32)

    convolutions = []
    for layer in network.convolutions:
        filters, size = layer.shape.channels, layer.window.size
        channels = layer.source_shape.channels // layer.groups
        norm = None
        if layer.batch_normalize:
            norm = BatchNorm(uniform(0.5, 1.0, filters), uniform(-0.2, 0.2, filters), uniform(0.3, 1.5, filters))
        kernel = rng.standard_normal((filters, channels, size, size), np.float32) / np.float32(
            np.sqrt(channels * size * size)
        )
        convolutions.append(ConvolutionWeights(uniform(-0.3, 0.3, filters), norm, kernel))
    return convolutions


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two xyxy boxes."""
    overlap = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None).prod()
    union = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - overlap
    return float(overlap / union)
