"""Every detector that Darknet's authors published as a cfg: those that OpenCV builds we build, with equal outputs."""

from pathlib import Path

import pytest

from inference.darknet.cfg import CfgError, read_cfg
from inference.darknet.network import input_multiple, resolve_network
from inference.darknet.weights import write_weights
from tests.inference.darknet.parity import assert_same_maps
from tests.inference.darknet_examples import DATA, needs_data, random_convolutions, random_shortcuts

pytestmark = [needs_data, pytest.mark.data]

UNKNOWN = {
    "alexeyab/Gaussian_yolov3_BDD.cfg": (608, "Gaussian_yolo"),
    "alexeyab/yolov3-tiny_occlusion_track.cfg": (112, "crnn"),
    "alexeyab/yolov4-sam-mish-csp-reorg-bfm.cfg": (865, "reorg3d"),
    "alexeyab/yolov4-tiny_contrastive.cfg": (447, "contrastive"),
    "pjreddie/yolov1-tiny.cfg": (112, "connected"),
    "pjreddie/yolov1.cfg": (233, "local"),
}
"""The cfgs that OpenCV does not build either, with the first layer that we do not know."""

CFGS = [path.relative_to(DATA / "cfg").as_posix() for path in sorted(DATA.glob("cfg/*/*.cfg"))]
KNOWN = [name for name in CFGS if name not in UNKNOWN]


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


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_outputs_are_opencvs(tmp_path: Path, name: str):
    cfg, weights = DATA / "cfg" / name, tmp_path / "random.weights"
    sections = read_cfg(cfg)
    multiple = input_multiple(sections)
    # Small, but with a height and a width that differ in every map.
    input_wh = 2 * multiple, 3 * multiple
    network = resolve_network(sections, input_wh)
    write_weights(weights, network, random_convolutions(network), shortcuts=random_shortcuts(network))
    try:
        assert_same_maps(cfg, weights, input_wh)
    finally:
        weights.unlink()  # up to half a gigabyte; pytest keeps folders
