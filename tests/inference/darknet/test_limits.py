"""What a cfg may ask for, judged before anything is built."""

import pytest

from inference.darknet.cfg import CfgError
from inference.darknet.limits import MAX_MAP_VALUES, MAX_OPERATIONS, MAX_PARTS, MAX_WEIGHTS
from tests.inference.darknet_examples import network_of

NET = "[net]\nwidth={}\nheight={}\n"
YOLO = "[yolo]\nclasses=7\nanchors=4,8\n"
HEAD = "[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nclasses=1\nanchors=4,8\n"


def convolution(filters: int, size: int = 1, groups: int = 1) -> str:
    return f"[convolutional]\nfilters={filters}\nsize={size}\ngroups={groups}\npad=1\nactivation=linear\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        # 3 * 16384 and then 16384 * 16384 numbers, with as many biases.
        (
            NET.format(8, 8) + convolution(16384) * 2 + HEAD,
            10,
            f"with layer 1 the network has {16384**2 + 16384 * 5} numbers in convolutions, {MAX_WEIGHTS} are supported",
        ),
        # Nothing reads a head's map, but all of them leave the network: the eleventh is too much.
        (
            NET.format(2048, 2048) + convolution(12) + YOLO + ("[route]\nlayers=0\n" + YOLO) * 20,
            13 + 5 * 7 + 2,
            "numbers in maps",
        ),
        # Each of these maps is wanted again by one of the last routes.
        (
            NET.format(1024, 1024)
            + convolution(48) * 11
            + "[route]\nlayers=0,1,2,3,4\n[route]\nlayers=5,6,7,8,9\n"
            + HEAD,
            4 + 6 * 10,
            f"with layer 10 the network has {11 * 48 * 1024**2} numbers in maps, {MAX_MAP_VALUES} are supported",
        ),
        (NET.format(2048, 2048) + convolution(64, 31) * 2 + HEAD, 10, f"operations, {MAX_OPERATIONS} are supported"),
        (NET.format(4096, 4096) + "[maxpool]\nsize=31\n" * 80 + HEAD, 4 + 2 * 45, "operations"),
        # 129 filters a group: no two groups fit into one part.
        (
            NET.format(8, 8) + convolution(129 * 256) + convolution(129 * 256, 1, 256) * 9 + HEAD,
            4 + 6 * 9,
            f"{9 * 256} parts of grouped convolutions, {MAX_PARTS} are supported",
        ),
    ],
)
def test_more_than_a_machine_has_is_refused_at_the_layer(text: str, line: int, message: str):
    with pytest.raises(CfgError) as caught:
        network_of(text)
    assert message in str(caught.value)
    assert caught.value.line == line


def test_maps_that_nobody_reads_again_are_not_kept():
    # A hundred times the limit if all were kept.
    network = network_of(NET.format(1024, 1024) + convolution(64) * 100 + HEAD)
    assert sum(layer.shape.values for layer in network.layers) > 10 * MAX_MAP_VALUES


def test_zeros_between_groups_count_as_numbers():
    # 64 channels, 4 a group, so one part: a kernel of 64 * 64, not of 64 * 4.
    text = NET.format(2048, 2048) + convolution(64) + convolution(64, 31, 16) + convolution(1) + HEAD
    with pytest.raises(CfgError, match="operations") as caught:
        network_of(text)
    assert caught.value.line == 10
