"""Run by `test_graphs.py` in a process whose Keras runs on the engine's backend: published cfgs' graphs beside OpenCV.

`python -m tests.inference.darknet.graph_parity ENGINE CFG...` prints one line a cfg: "ok NAME", or "NAME: what is
wrong". The graph is the one that the engine exports and loads; random weights, float32, one thread.
"""

import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from inference.engines import ENGINES

os.environ["KERAS_BACKEND"] = ENGINES[sys.argv[1]].keras_backend

import numpy as np

from inference.darknet.layers import Network
from inference.darknet.weights import read_weights, write_weights
from inference.engine import EngineOptions
from inference.forms import choose_form
from inference.model import Model
from tests.inference.darknet.parity import assert_same, on_one_thread, opencv_maps
from tests.inference.darknet.published import network_of
from tests.inference.darknet_examples import random_convolutions, random_shortcuts


def compare(cfg: Path, network: Network, folder: Path) -> None:
    weights = folder / "random.weights"
    write_weights(weights, network, random_convolutions(network), shortcuts=random_shortcuts(network))
    shape = network.input_shape
    image = np.random.default_rng(5).integers(0, 256, (1, shape.height, shape.width, 3), np.uint8)
    expected = opencv_maps(cfg, weights, image.astype(np.float32) / 255)
    graph = folder / "graph"
    graph.mkdir()
    engine = import_module(ENGINES[sys.argv[1]].module)
    form = choose_form(sys.argv[1], weights.stat().st_size, None)
    engine.export(Model(network, read_weights(weights, network), ()), graph, form)
    maps = engine.load(graph, EngineOptions((shape.width, shape.height))).run(image)
    assert_same(maps, expected, network)


on_one_thread()
for name in sys.argv[2:]:
    with tempfile.TemporaryDirectory() as place:
        try:
            compare(Path(name), network_of(Path(name)), Path(place))
            print("ok", name, flush=True)
        except Exception as error:  # noqa: BLE001 - reported, and the next one is tried
            print(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}", flush=True)
