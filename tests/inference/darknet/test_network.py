from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.darknet.cfg import CfgError, parse_cfg, read_cfg
from inference.darknet.layers import INPUT, Convolution, Dropout, MaxPool, Route, Shape, Shortcut, Window
from inference.darknet.network import InputSizeError, input_multiple, resolve_network
from tests.inference.darknet_examples import DATA, SMALL_CFG, YOLO_FASTEST, needs_data, network_of

NET = "[net]\nwidth=64\nheight=32\n"
CONV = "[convolutional]\nactivation=linear\n"
YOLO = "[yolo]\nclasses=1\nnum=1\nanchors=4,8\n"
HEAD = "[convolutional]\nfilters=6\nactivation=linear\n" + YOLO


def test_small_cfg_resolves_every_layer():
    network = network_of(SMALL_CFG)
    layers = network.layers
    assert network.input_shape == Shape(64, 96, 3)
    assert network.multiple == 16
    assert isinstance(layers[0], Convolution)
    assert layers[0].source == INPUT
    assert layers[0].values == 8 * 4 + 8 * 3 * 9
    assert isinstance(layers[3], Dropout)
    assert isinstance(layers[4], Shortcut)
    assert (layers[4].source, layers[4].other) == (3, 0)
    assert isinstance(layers[5], Convolution)
    assert layers[5].values == 12 * 4 + 12 * 4 * 9
    assert isinstance(layers[8], MaxPool)
    assert layers[8].shape == layers[8].source_shape
    assert isinstance(layers[12], Route)
    assert (layers[12].sources, layers[12].groups, layers[12].group) == ((11,), 2, 1)
    assert [(head.index, head.source, head.shape) for head in network.heads] == [
        (14, 13, Shape(8, 12, 21)),
        (21, 20, Shape(8, 12, 21)),
    ]
    assert network.heads[0].anchors_wh == ((10, 14), (23, 27), (37, 58))
    assert network.heads[1].anchors_wh == ((81, 82), (135, 169), (344, 319))
    assert [head.scale_x_y for head in network.heads] == [1.05, 1.0]


def test_input_size_may_be_any_multiple_of_the_stride():
    assert network_of(SMALL_CFG, (16, 160)).heads[0].shape == Shape(20, 2, 21)
    for input_wh in ((90, 64), (96, 60), (0, 64), (-16, 16), (16384, 16)):
        with pytest.raises(InputSizeError, match="multiples of 16") as caught:
            network_of(SMALL_CFG, input_wh)
        assert (caught.value.input_wh, caught.value.multiple) == (input_wh, 16)


def test_own_input_size_is_checked_too():
    with pytest.raises(CfgError, match=r"test\.cfg:2: \[net\] .*multiples of 2 "):
        network_of("[net]\nwidth=63\nheight=32\n" + CONV + "stride=2\n" + HEAD)
    with pytest.raises(CfgError, match=r"test\.cfg:1: \[net\] height is missing"):
        network_of("[net]\nwidth=64\n" + HEAD)
    assert network_of("[net]\n" + HEAD, (8, 8)).input_shape == Shape(8, 8, 3)


@pytest.mark.parametrize(
    ("layers", "line", "message"),
    [
        ("[reorg]\nstride=2\n", 4, "[reorg] this layer is not supported; these are: convolutional, dropout,"),
        (CONV + "activation_=mish\n", 6, "activation_=mish is not supported"),
        ("[convolutional]\nactivation=mish\n", 5, "activation=mish is not supported; these are: linear, leaky"),
        ("[convolutional]\nfilters=2\n", 4, "activation=logistic is not supported"),
        (CONV + "dilation=2\n", 6, "dilation=2 is not supported"),
        (CONV + "filters=0\n", 6, "filters=0 is outside"),
        (CONV + "stride=0\n", 6, "stride=0 is outside"),
        (CONV + "groups=2\n", 6, "groups=2 does not divide 3 channels"),
        (CONV + "size=31\nfilters=65536\n" + CONV + "filters=65536\n", 8, "kernel of 4294967296 values"),
        (CONV + "size=31\npad=0\n" + CONV + "size=31\n", 8, "nothing is left of the map: 4x-28x1"),
        ("[upsample]\nstride=8\n" * 5, 8, "[upsample] a map of 32768x16384x3 is too large"),
        ("[maxpool]\nsize=2\nstride=8\n" * 4, 13, "[maxpool] a total stride of 4096 is not supported"),
        ("[maxpool]\nsize=2\npadding=3\n", 6, "padding=3 is outside 0 to 2"),
        ("[upsample]\nscale=2\n", 5, "scale=2 is not supported"),
        ("[route]\ngroups=2\n", 4, "layers is missing"),
        ("[route]\nlayers=0\n", 5, "layers=0 of layer 0 is layer 0, which does not come before it"),
        (CONV + "[route]\nlayers=-2\n", 7, "layers=-2 of layer 1 is layer -1"),
        (CONV + "[route]\nlayers=1\n", 7, "layers=1 of layer 1 is layer 1"),
        (
            CONV + "stride=2\n" + CONV + "stride=2\n[route]\nlayers=0,1\n",
            11,
            "different sizes: layer 0 32x16x1, layer 1",
        ),
        (CONV + "[route]\nlayers=0\ngroups=2\n", 8, "groups=2 does not divide the 1 channels of layer 0"),
        (CONV + "[route]\nlayers=0\ngroup_id=1\n", 8, "group_id=1 is outside 0 to 0"),
        (CONV + "[shortcut]\nfrom=5\n", 7, "from=5 of layer 1 is layer 5"),
        (CONV + "[shortcut]\nactivation=linear\n", 6, "from names 0 layers"),
        (CONV + CONV + "[shortcut]\nfrom=0,1\n", 9, "from names 2 layers: one is supported"),
        (
            CONV + CONV + "filters=2\n[shortcut]\nfrom=0\n",
            10,
            "different shapes, which is not supported: 64x32x2, layer 0",
        ),
        (CONV + "[shortcut]\nfrom=0\nweights_type=per_feature\n", 8, "weights_type=per_feature is not supported"),
        (CONV + YOLO, 7, "1 anchors of 1 classes want 6 channels, layer 0 has 1"),
        (HEAD + "new_coords=1\n", 11, "new_coords=1 is not supported"),
        (HEAD + "mask=1\n", 11, "mask=1 is outside 0 to 0"),
        (HEAD.replace("4,8", "4,8,9"), 10, "num=1 anchors want 2 numbers, 3 are given"),
        (HEAD.replace("4,8", "4,0"), 10, "anchors='0' is outside"),
        (HEAD.replace("4,8", "4,0").replace("classes=1", "classes=-1"), 8, "classes=-1 is outside"),
        (HEAD + CONV, 11, "reads layer 1, a [yolo] on line 7: that is an output"),
        (HEAD + "[route]\nlayers=-1\n", 12, "reads layer 1, a [yolo] on line 7"),
        (CONV, 0, "no [yolo] layer"),
        ("", 0, "no [yolo] layer"),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_line(layers: str, line: int, message: str):
    with pytest.raises(CfgError) as caught:
        network_of(NET + layers)
    assert message in str(caught.value)
    assert caught.value.line == line


def test_channels_other_than_three_are_refused():
    with pytest.raises(CfgError, match=r"test\.cfg:4: \[net\] channels=1 is not supported"):
        network_of(NET + "channels=1\n" + HEAD)


def test_training_options_are_let_through():
    network = network_of(
        NET + CONV + "stopbackward=1\nxnor=0\ndilation=1\n" + HEAD + "jitter=.3\nrandom=1\nnew_coords=0\n"
    )
    assert len(network.heads) == 1


def test_a_head_without_mask_takes_all_anchors():
    network = network_of(
        NET + HEAD.replace("num=1", "num=2").replace("4,8", "4,8,16,32").replace("filters=6", "filters=12")
    )
    assert network.heads[0].anchors_wh == ((4, 8), (16, 32))


@pytest.mark.parametrize(
    ("window", "cells", "steps", "after", "same"),
    [
        # Convolution 3x3 with pad: stride 1; stride 2 on even maps (not TensorFlow's same) and odd ones.
        (Window(3, 1, 1, 2), 7, 7, 1, True),
        (Window(3, 2, 1, 2), 8, 4, 0, False),
        (Window(3, 2, 1, 2), 7, 4, 1, True),
        # Max pooling 2x2: stride 1 pads behind, stride 2 only odd maps.
        (Window(2, 1, 0, 1), 7, 7, 1, True),
        (Window(2, 2, 0, 1), 8, 4, 0, True),
        (Window(2, 2, 0, 1), 7, 4, 1, True),
        # Max pooling 3x3 with a stride of 2.
        (Window(3, 2, 1, 2), 6, 3, 0, False),
        # No padding: what the last step does not reach is left.
        (Window(3, 2, 0, 0), 8, 3, 0, False),
        (Window(1, 1, 0, 0), 8, 8, 0, True),
    ],
)
def test_windows_slide_as_in_darknet(window: Window, cells: int, steps: int, after: int, same: bool):
    assert (window.steps(cells), window.after(cells), window.is_same(cells)) == (steps, after, same)


LAYER_NAMES = ["convolutional", "maxpool", "upsample", "route", "shortcut", "dropout", "yolo", "reorg"]
OPTION_NAMES = ["filters", "size", "stride", "pad", "padding", "groups", "group_id", "activation", "layers", "from"]
OPTION_NAMES += ["classes", "num", "anchors", "mask"]
VALUES = st.one_of(
    st.sampled_from(["linear", "leaky", "1,2", "-1", "-1,-2", "6", "0", "999999999", "-999999999"]),
    st.integers(-3, 9).map(str),
)
SECTIONS = st.lists(
    st.tuples(st.sampled_from(LAYER_NAMES), st.dictionaries(st.sampled_from(OPTION_NAMES), VALUES, max_size=6)),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(SECTIONS)
def test_any_sections_give_a_network_or_a_cfg_error(drawn: list[tuple[str, dict[str, str]]]):
    text = NET + "".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in options.items()) for name, options in drawn
    )
    # Nothing but a CfgError may come out of it.
    with suppress(CfgError):
        assert network_of(text).heads


def test_routes_that_double_each_other_stay_bounded():
    doubling = CONV + "filters=64\n" + "".join("[route]\nlayers=-1,-1\n" for _ in range(1500))
    with pytest.raises(CfgError, match="too large"):
        network_of(NET + doubling)


@needs_data
@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "multiple", "heads", "convolutions"),
    [
        (YOLO_FASTEST / "yolo-fastest-1.1-xl.cfg", 32, [(16, 26, 255), (32, 52, 255)], 84),
        (YOLO_FASTEST / "yolo-fastest-1.1_body.cfg", 32, [(16, 26, 18), (32, 52, 18)], 84),
        (DATA / "cfg/alexeyab/yolov4-tiny.cfg", 32, [(16, 26, 255), (32, 52, 255)], 21),
        (DATA / "cfg/pjreddie/yolov3-tiny.cfg", 32, [(16, 26, 255), (32, 52, 255)], 13),
        (DATA / "cfg/pjreddie/yolov3.cfg", 32, [(16, 26, 255), (32, 52, 255), (64, 104, 255)], 75),
    ],
)
def test_published_detectors_resolve(path: Path, multiple: int, heads: list[tuple[int, int, int]], convolutions: int):
    sections = read_cfg(path)
    network = resolve_network(sections, (832, 512))
    assert input_multiple(sections) == multiple
    assert [head.shape for head in network.heads] == [Shape(*shape) for shape in heads]
    assert len(network.convolutions) == convolutions


@needs_data
@pytest.mark.data
def test_every_other_published_cfg_is_refused_by_name_and_line():
    refused: list[CfgError] = []
    for path in sorted(DATA.glob("cfg/*/*.cfg")):
        try:
            resolve_network(read_cfg(path))
        except CfgError as error:
            refused.append(error)
    assert len(refused) > 20
    assert all(str(error).startswith(f"{error.path}:{error.line}: [") for error in refused)


def test_parsing_names_the_path_it_was_given():
    with pytest.raises(CfgError, match=r"^here/x\.cfg:2: "):
        resolve_network(parse_cfg("[net]\n[sam]\n", Path("here/x.cfg")), (32, 32))
