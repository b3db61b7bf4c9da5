"""The graphs that the engines run, as exported and loaded, beside OpenCV's own Darknet reader."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.engines import ENGINES
from tests.inference.darknet.published import DIFFERENT
from tests.inference.darknet_examples import DATA, FURTHER_CFG, SMALL_CFG, needs_data

pytestmark = pytest.mark.slow

SWISH_CFG = SMALL_CFG.replace("activation=leaky", "activation=swish")

WIDE = {"alexeyab/yolov4-csp-x-mish.cfg", "alexeyab/yolov4-p6.cfg", "alexeyab/yolov4x-mish.cfg"}
"""Left out, for they take a quarter of the time: wider siblings of yolov4-csp-s-mish, yolov4-p5 and yolov4-csp."""

PUBLISHED = {
    "openvino": tuple(name for name in DIFFERENT if name not in WIDE),
    "tensorflow": (
        "alexeyab/enet-coco.cfg",
        "alexeyab/yolov3-tiny-prn.cfg",
        "alexeyab/yolov4-csp-swish.cfg",  # too large for constants
        "alexeyab/yolov4-tiny.cfg",
    ),
}
"""TensorFlow takes three times as long, so of its graphs those of other layers and forms; `test_published` compares the
Keras model that they are made from. `python -m tests.inference.darknet.graph_parity ENGINE CFG...` takes any others."""


def assert_outputs_are_opencvs(engine: str, cfgs: Sequence[Path]) -> None:
    command = [sys.executable, "-m", "tests.inference.darknet.graph_parity", engine, *map(str, cfgs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if ".cfg" in line] == [f"ok {cfg}" for cfg in cfgs]


@pytest.mark.parametrize("engine", list(ENGINES))
def test_small_networks_of_all_layers_have_opencvs_outputs(engine: str, tmp_path: Path):
    cfgs = []
    for name, text in (("small", SMALL_CFG), ("further", FURTHER_CFG), ("swish", SWISH_CFG)):
        cfgs.append(tmp_path / f"{name}.cfg")
        cfgs[-1].write_text(text)
    assert_outputs_are_opencvs(engine, cfgs)


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("engine", list(ENGINES))
def test_published_networks_have_opencvs_outputs(engine: str):
    assert_outputs_are_opencvs(engine, [DATA / "cfg" / name for name in PUBLISHED[engine]])
