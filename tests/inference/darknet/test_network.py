from pathlib import Path

import pytest

from inference.darknet.cfg import CfgError, parse_cfg, read_cfg
from inference.darknet.layers import (
    INPUT,
    Convolution,
    Dropout,
    MaxPool,
    Product,
    Reorg,
    Route,
    Shape,
    Shortcut,
    Window,
)
from inference.darknet.network import InputSizeError, input_multiple, resolve_network
from tests.inference.darknet_examples import (
    DARKNET_CFG,
    DATA,
    FURTHER_CFG,
    SMALL_CFG,
    YOLO_FASTEST,
    needs_data,
    network_of,
)

NET = "[net]\nwidth=64\nheight=32\n"
CONV = "[convolutional]\nactivation=linear\n"
YOLO = "[yolo]\nclasses=1\nnum=1\nanchors=4,8\n"
REGION = "[convolutional]\nfilters=6\nactivation=linear\n[region]\nclasses=1\nnum=1\nanchors=4,8\nsoftmax=1\n"
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
    assert (layers[4].source, layers[4].others, layers[4].values) == (3, (0,), 0)
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
        (
            "[reorg3d]\nstride=2\n",
            4,
            "[reorg3d] this layer is not supported; these are: avgpool, convolutional, dropout,",
        ),
        ("[reorg]\nstride=2\n", 5, "stride=2 does not divide a map of 64x32x3 evenly"),
        (CONV + "filters=4\n[reorg]\nstride=2\nreverse=1\n", 9, "reverse=1 is not supported"),
        (CONV + "activation_=mish\n", 6, "activation_=mish is not supported"),
        ("[convolutional]\nactivation=gelu\n", 5, "activation='gelu' is not supported; these are: linear, leaky,"),
        (CONV + "dilation=2\n", 6, "dilation=2 is not supported"),
        (CONV + "filters=0\n", 6, "filters=0 is outside"),
        (CONV + "stride=0\n", 6, "stride=0 is outside"),
        (CONV + "groups=2\n", 6, "groups=2 does not divide 3 channels"),
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
        (CONV + "[shortcut]\nactivation=linear\n", 6, "from is missing"),
        (
            CONV + CONV + "stride=2\n[shortcut]\nfrom=0\n",
            10,
            "adds maps of different sizes: layer 1 32x16x1, layer 0 64x32x1",
        ),
        (CONV + "[shortcut]\nfrom=0\nweights_type=mean\n", 8, "weights_type='mean' is not supported; these are: none,"),
        (CONV + "[shortcut]\nfrom=0\nweights_normalization=l2\n", 8, "weights_normalization='l2' is not supported"),
        (CONV + "[sam]\n", 6, "from is missing"),
        (CONV + CONV + "[sam]\nfrom=0,1\n", 9, "from names 2 layers, one is wanted"),
        (CONV + CONV + "filters=2\n[sam]\nfrom=0\n", 10, "different shapes: layer 1 64x32x2, layer 0 64x32x1"),
        (
            CONV + "[scale_channels]\nfrom=0\n",
            7,
            "wants one cell for each channel of layer 0 64x32x1, layer 0 has 64x32x1",
        ),
        (CONV + "[avgpool]\n[scale_channels]\nfrom=0\nscale_wh=1\n", 9, "scale_wh=1 is not supported"),
        (CONV + "[avgpool]\nsize=2\n", 7, "size=2 is not supported"),
        (CONV + YOLO, 7, "1 anchors of 1 classes want 6 channels, layer 0 has 1"),
        (HEAD + "new_coords=2\n", 11, "new_coords=2 is outside 0 to 1"),
        (HEAD + "yolo_point=left_top\n", 11, "yolo_point=left_top is not supported"),
        (REGION.replace("softmax=1\n", ""), 7, "softmax=0 is not supported"),
        (REGION + "coords=5\n", 12, "coords=5 is not supported"),
        (REGION + "classfix=-1\n", 12, "classfix=-1 is not supported"),
        (REGION + "tree=9k.tree\n", 12, "tree=9k.tree is not supported"),
        (REGION.replace("num=1", "num=2"), 10, "num=2 anchors want 4 numbers, 2 are given"),
        (HEAD + "mask=1\n", 11, "mask=1 is outside 0 to 0"),
        (HEAD.replace("4,8", "4,8,9"), 10, "num=1 anchors want 2 numbers, 3 are given"),
        (HEAD.replace("4,8", "4,0"), 10, "anchors='0' is outside"),
        (HEAD.replace("classes=1", "classes=-1"), 8, "classes=-1 is outside"),
        (HEAD + CONV, 11, "reads layer 1, a detection head on line 7: that is an output"),
        (HEAD + "[route]\nlayers=-1\n", 12, "reads layer 1, a detection head on line 7"),
        (CONV, 0, "no [yolo] and no [region] layer"),
        ("", 0, "no [yolo] and no [region] layer"),
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


def test_further_layers_resolve():
    network = network_of(FURTHER_CFG)
    assert network.multiple == 8
    excited, narrow, wide, attended, reorganized = (network.layers[index] for index in (5, 7, 9, 11, 12))
    assert isinstance(excited, Product)
    assert (excited.source, excited.other, excited.shape) == (4, 1, Shape(8, 16, 24))
    assert isinstance(narrow, Shortcut)
    assert isinstance(wide, Shortcut)
    assert (narrow.others, narrow.shape.channels, wide.others, wide.shape.channels) == ((5,), 16, (7,), 32)
    assert isinstance(attended, Product)
    assert (attended.source, attended.other, attended.activation) == (10, 9, "leaky")
    assert isinstance(reorganized, Reorg)
    assert reorganized.shape == Shape(4, 8, 128)
    first, second = network.heads
    assert (first.form, first.scale_x_y, first.anchors_wh) == ("new_coords", 2.0, ((4, 8), (16, 12), (20, 30)))
    # A [region]'s anchors are in cells, of 8 pixels here.
    assert (second.form, second.scale_x_y, second.anchors_wh) == ("region", 1.0, ((4, 8), (12, 9.6)))


def test_weighted_shortcuts_count_their_numbers():
    network = network_of(DARKNET_CFG)
    assert [layer.weights_shape for layer in network.shortcuts] == [(3, 5), (4, 1), (2, 1)]
    assert [layer.index for layer in network.weighted] == [0, 1, 2, 3, 4, 6, 9]
    assert [layer.normalization for layer in network.shortcuts] == ["softmax", "relu", "none"]
    plain = network.layers[5]
    assert isinstance(plain, Shortcut)
    assert (plain.weighting, plain.values, len(plain.others)) == ("none", 0, 2)


@pytest.mark.parametrize(
    ("filters", "groups", "parts"),
    [(6, 1, 1), (6, 6, 1), (6, 3, 1), (256, 32, 2), (256, 4, 2), (768, 3, 3), (512, 2, 2)],
)
def test_groups_are_built_together_up_to_a_width(filters: int, groups: int, parts: int):
    text = NET + CONV + f"filters={filters}\n" + CONV + f"filters={filters}\ngroups={groups}\n" + HEAD
    layer = network_of(text).layers[1]
    assert isinstance(layer, Convolution)
    assert (layer.parts, layer.is_depthwise) == (parts, groups == filters)


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


def test_parsing_names_the_path_it_was_given():
    with pytest.raises(CfgError, match=r"^here/x\.cfg:2: "):
        resolve_network(parse_cfg("[net]\n[crnn]\n", Path("here/x.cfg")), (32, 32))
