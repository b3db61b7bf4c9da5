"""Run by `test_openvino_graph.py` in a process whose Keras runs on OpenVINO: every published cfg's graph beside OpenCV.

Prints one line a cfg: "ok NAME", or "NAME: what is wrong".
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "openvino"

import numpy as np
import openvino as ov

from inference.darknet.cfg import read_cfg
from inference.darknet.network import input_multiple, resolve_network
from inference.darknet.weights import read_weights, write_weights
from inference.engine_openvino import GRAPH, export
from inference.model import Model
from tests.inference.darknet.parity import assert_same, opencv_maps
from tests.inference.darknet_examples import random_convolutions, random_shortcuts


def compare(cfg: Path, folder: Path) -> None:
    sections = read_cfg(cfg)
    multiple = input_multiple(sections)
    network = resolve_network(sections, (2 * multiple, 3 * multiple))
    weights = folder / "random.weights"
    write_weights(weights, network, random_convolutions(network), shortcuts=random_shortcuts(network))
    export(Model(network, read_weights(weights, network), ()), folder)
    shape = network.input_shape
    image = np.random.default_rng(5).integers(0, 256, (1, shape.height, shape.width, 3), np.uint8)
    expected = opencv_maps(cfg, weights, image.astype(np.float32) / 255)
    compiled = ov.Core().compile_model(folder / GRAPH, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert_same([compiled([image])[output] for output in compiled.outputs], expected, network)


for name in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as place:
        try:
            compare(Path(name), Path(place))
            print("ok", name, flush=True)
        except Exception as error:  # noqa: BLE001 - reported, and the next one is tried
            print(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}", flush=True)
