"""The detectors that Darknet's authors published as cfgs."""

from dataclasses import replace
from pathlib import Path

from inference.darknet.cfg import read_cfg
from inference.darknet.layers import Head, Network
from inference.darknet.network import input_multiple, resolve_network
from tests.inference.darknet_examples import DATA

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


def network_of(cfg: Path) -> Network:
    """Small, but with a height and a width that differ in every map."""
    sections = read_cfg(cfg)
    multiple = input_multiple(sections)
    return resolve_network(sections, (2 * multiple, 3 * multiple))


def graph_of(network: Network) -> str:
    """All that makes its graph: cfgs often differ in nothing but training, anchors and lines."""
    layers = [layer.source if isinstance(layer, Head) else replace(layer, line=0) for layer in network.layers]
    return repr((network.input_shape, layers))


DIFFERENT = tuple({graph_of(network_of(DATA / "cfg" / name)): name for name in reversed(KNOWN)}.values())[::-1]
"""One of those that have the same graph."""
