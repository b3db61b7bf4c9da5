"""Run by `test_graphs.py` in a process whose Keras runs on the engine's backend: published cfgs' graphs beside OpenCV.

`python -m tests.inference.darknet.graph_parity ENGINE CFG...` prints one line a cfg: "ok NAME", or "NAME: what is
wrong". The graph is the one that the engine exports and loads; random weights, float32, one thread. Of cfgs that have
the same graph the first is compared.
"""

import os
import sys
import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from inference.engines import ENGINES

os.environ["KERAS_BACKEND"] = ENGINES[sys.argv[1]].keras_backend

import numpy as np

from inference.darknet.cfg import read_cfg
from inference.darknet.layers import Head, Network
from inference.darknet.network import input_multiple, resolve_network
from inference.darknet.weights import read_weights, write_weights
from inference.engine import EngineOptions
from inference.forms import choose_form
from inference.model import Model
from tests.inference.darknet.parity import assert_same, on_one_thread, opencv_maps
from tests.inference.darknet_examples import random_convolutions, random_shortcuts


def network_of(cfg: Path) -> Network:
    sections = read_cfg(cfg)
    multiple = input_multiple(sections)
    return resolve_network(sections, (2 * multiple, 3 * multiple))


def graph_of(network: Network) -> str:
    """All that makes its graph: cfgs often differ in nothing but training, anchors and lines."""
    layers = [layer.source if isinstance(layer, Head) else replace(layer, line=0) for layer in network.layers]
    return repr((network.input_shape, layers))


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
compared: set[str] = set()
for name in sys.argv[2:]:
    with tempfile.TemporaryDirectory() as place:
        try:
            resolved = network_of(Path(name))
            if (graph := graph_of(resolved)) not in compared:
                compare(Path(name), resolved, Path(place))
            compared.add(graph)
            print("ok", name, flush=True)
        except Exception as error:  # noqa: BLE001 - reported, and the next one is tried
            print(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}", flush=True)
