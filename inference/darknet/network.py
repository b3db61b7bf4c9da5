"""Makes a `Network` from the sections of a cfg: its input size, its layers, its limits.

To support another layer: a noun in `layers`, its options in `options`, a reader in `readers`, a branch in `build`.
Pure.
"""

from math import lcm
from typing import Final

from inference.darknet.cfg import CfgError, Section
from inference.darknet.layers import Network, Shape
from inference.darknet.limits import MAX_CHANNELS, MAX_INPUT, MAX_STRIDE, check_limits
from inference.darknet.readers import Resolution


class InputSizeError(ValueError):
    """An input size that the network cannot take."""

    def __init__(self, input_wh: tuple[int, int], multiple: int) -> None:
        width, height = input_wh
        super().__init__(
            f"an input of {width}x{height} does not fit this network: "
            f"width and height must be multiples of {multiple} from {multiple} to {MAX_INPUT}"
        )
        self.input_wh = input_wh
        self.multiple = multiple


def resolve_network(sections: tuple[Section, ...], input_wh: tuple[int, int] | None = None) -> Network:
    """The network that the sections describe, at `input_wh` pixels (where None: at the cfg's own width and height).

    Raises CfgError, and InputSizeError where `input_wh` is not a multiple of the network's stride.
    """
    net = sections[0]
    multiple = input_multiple(sections)
    channels = net.integer("channels", 3, 1, MAX_CHANNELS)
    if channels != 3:
        raise net.error(f"channels={channels} is not supported: images have 3", "channels")
    width, height = input_wh or _own_wh(net)
    if any(side % multiple or not 0 < side <= MAX_INPUT for side in (width, height)):
        if input_wh is None:
            raise net.error(str(InputSizeError((width, height), multiple)), "width")
        raise InputSizeError((width, height), multiple)
    resolution = Resolution(Shape(height, width, channels))
    for section in sections[1:]:
        resolution.add(section)
    network = Network(net.path, resolution.input_shape, multiple, tuple(resolution.layers))
    if not network.heads:
        raise CfgError(net.path, 0, "no [yolo] and no [region] layer: this is not a detector of boxes")
    check_limits(network)
    return network


_READS: Final = {"route": "layers", "scale_channels": "from"}
"""Layers whose map is as large as that of the first layer which this option names."""


def input_multiple(sections: tuple[Section, ...]) -> int:
    """What width and height of the input must be multiples of, so that every map divides evenly: the largest stride.

    (The least common multiple of all strides, to be exact.) Faulty routes are left for `resolve_network` to report.
    """
    strides: list[int] = []
    for index, section in enumerate(sections[1:]):
        stride = strides[-1] if strides else 1
        if section.name in ("convolutional", "maxpool", "local_avgpool", "reorg"):
            stride *= section.integer("stride", 1, 1, 8)
        elif section.name == "upsample":
            stride = max(stride // section.integer("stride", 2, 1, 8), 1)
        elif key := _READS.get(section.name):
            for value in section.integers(key, -MAX_CHANNELS, MAX_CHANNELS)[:1]:
                first = value if value >= 0 else index + value
                stride = strides[first] if 0 <= first < index else stride
        if stride > MAX_STRIDE:
            raise section.error(f"a total stride of {stride} is not supported, {MAX_STRIDE} at most")
        strides.append(stride)
    multiple = lcm(*strides)
    if multiple > MAX_INPUT:
        raise sections[0].error(f"strides that want inputs of multiples of {multiple} are not supported")
    return multiple


def _own_wh(net: Section) -> tuple[int, int]:
    for key in ("width", "height"):
        if net.option(key) is None:
            raise net.error(f"{key} is missing")
    return net.integer("width", 0, 1, MAX_INPUT), net.integer("height", 0, 1, MAX_INPUT)
