"""The graph that the OpenVINO engine runs, built channels first, beside OpenCV's own Darknet reader."""

import subprocess
import sys

import pytest

from tests.inference.darknet_examples import DATA, needs_data

FEW_OF_EACH_LAYER = (
    "alexeyab/csresnext50-panet-spp.cfg",
    "alexeyab/enet-coco.cfg",
    "alexeyab/yolov2-voc.cfg",
    "alexeyab/yolov3-tiny-prn.cfg",
    "alexeyab/yolov3-tiny_xnor.cfg",
    "alexeyab/yolov4-csp-s-mish.cfg",
    "alexeyab/yolov4-csp-swish.cfg",
    "alexeyab/yolov4-tiny.cfg",
    "alexeyab/yolov7-tiny.cfg",
)
"""All layers and activations. `python -m tests.inference.darknet.openvino_parity CFG...` takes any others."""


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_outputs_are_opencvs():
    names = [str(DATA / "cfg" / name) for name in FEW_OF_EACH_LAYER]
    command = [sys.executable, "-m", "tests.inference.darknet.openvino_parity", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = [line for line in done.stdout.splitlines() if ".cfg" in line]
    assert said == [f"ok {name}" for name in names]
