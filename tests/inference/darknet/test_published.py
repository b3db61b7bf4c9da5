"""Every detector that Darknet's authors published as a cfg: those that OpenCV builds we build, with equal outputs."""

from pathlib import Path

import pytest

from inference.darknet.cfg import CfgError, read_cfg
from inference.darknet.network import resolve_network
from inference.darknet.weights import write_weights
from tests.inference.darknet.parity import assert_same_maps
from tests.inference.darknet.published import CFGS, DIFFERENT, KNOWN, UNKNOWN, network_of
from tests.inference.darknet_examples import DATA, needs_data, random_convolutions, random_shortcuts

pytestmark = [needs_data, pytest.mark.data]


def test_all_but_six_of_the_published_detectors_are_known():
    assert len(CFGS) == 54
    assert len(KNOWN) == 48


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_layer_is_refused_by_name_and_line(name: str):
    path = DATA / "cfg" / name
    line, layer = UNKNOWN[name]
    with pytest.raises(CfgError) as caught:
        resolve_network(read_cfg(path))
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{path}:{line}: [{layer}] this layer is not supported")


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_one_is_read(name: str):
    assert network_of(DATA / "cfg" / name).heads


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFERENT)
def test_outputs_are_opencvs(tmp_path: Path, name: str):
    cfg, weights = DATA / "cfg" / name, tmp_path / "random.weights"
    network = network_of(cfg)
    shape = network.input_shape
    write_weights(weights, network, random_convolutions(network), shortcuts=random_shortcuts(network))
    try:
        assert_same_maps(cfg, weights, (shape.width, shape.height))
    finally:
        weights.unlink()  # up to half a gigabyte; pytest keeps folders
