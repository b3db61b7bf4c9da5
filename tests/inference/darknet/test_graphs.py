"""The graphs that the engines run, as exported and loaded, beside OpenCV's own Darknet reader."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.engines import ENGINES
from tests.inference.darknet_examples import DATA, FURTHER_CFG, SMALL_CFG, needs_data

pytestmark = pytest.mark.slow

SWISH_CFG = SMALL_CFG.replace("activation=leaky", "activation=swish")

PUBLISHED = {
    "openvino": (
        "alexeyab/csresnext50-panet-spp.cfg",
        "alexeyab/enet-coco.cfg",
        "alexeyab/yolov2-voc.cfg",
        "alexeyab/yolov3-tiny-prn.cfg",
        "alexeyab/yolov3-tiny_xnor.cfg",
        "alexeyab/yolov4-csp-s-mish.cfg",
        "alexeyab/yolov4-csp-swish.cfg",
        "alexeyab/yolov4-tiny.cfg",
        "alexeyab/yolov7-tiny.cfg",
    ),
    "tensorflow": (
        "alexeyab/enet-coco.cfg",
        "alexeyab/yolov3-tiny-prn.cfg",
        "alexeyab/yolov4-csp-swish.cfg",  # too large to be frozen
        "alexeyab/yolov4-tiny.cfg",
    ),
}
"""Those of other layers and forms. `python -m tests.inference.darknet.graph_parity ENGINE CFG...` takes any others."""


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
