"""Counting multiply-adds."""

import pytest

from inference.darknet.cfg import read_cfg
from inference.darknet.network import resolve_network
from inference.evaluation.arithmetic import multiply_adds
from tests.inference.darknet_examples import DATA, needs_data, network_of

CFG = """
[net]
width=64
height=32
channels=3

[convolutional]
filters=8
size=3
stride=2
pad=1
activation=linear

[convolutional]
filters=8
groups=8
size=3
stride=1
pad=1
activation=linear

[convolutional]
filters=7
size=1
stride=1
activation=linear

[yolo]
mask=0
anchors=10,14
classes=2
num=1
"""


def test_each_cell_of_each_convolution_counts_its_kernel() -> None:
    cells = 32 * 16
    assert multiply_adds(network_of(CFG)) == cells * (8 * 3 * 9) + cells * (8 * 9) + cells * (7 * 8)


@needs_data
@pytest.mark.data
@pytest.mark.parametrize(
    ("cfg", "billions"),
    # Billions of operations, as the authors' page tells them (pjreddie.com/darknet/yolo).
    [("yolov3.cfg", 65.86), ("yolov3-tiny.cfg", 5.56)],
)
def test_known_networks_have_what_their_authors_say(cfg: str, billions: float) -> None:
    network = resolve_network(read_cfg(DATA / "cfg" / "pjreddie" / cfg), (416, 416))
    assert 2 * multiply_adds(network) / 1e9 == pytest.approx(billions, abs=0.01)
