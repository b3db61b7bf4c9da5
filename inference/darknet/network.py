"""Makes a `Network` from the sections of a cfg: resolves indices, shapes and heads, and checks them.

Only the layers and options that `build` and `decode` really perform are let through; any other is a CfgError that names
file, line and layer. To support another layer: a noun in `layers`, its options in `options`, a reader here, a branch
in `build`.
Pure.
"""

from collections.abc import Callable
from math import lcm
from typing import Final

from inference.darknet.cfg import CfgError, Section
from inference.darknet.layers import (
    INPUT,
    Convolution,
    Dropout,
    Head,
    Layer,
    MaxPool,
    Network,
    Route,
    Shape,
    Shortcut,
    Upsample,
    Window,
)
from inference.darknet.options import check_options

ACTIVATIONS: Final = ("linear", "leaky")
MAX_CHANNELS: Final = 1 << 16
MAX_INPUT: Final = 8192
MAX_MAP_VALUES: Final = 1 << 29
MAX_STRIDE: Final = 1024
MAX_KERNEL_VALUES: Final = 1 << 28


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
    resolution = _Resolution(Shape(height, width, channels))
    for section in sections[1:]:
        resolution.add(section)
    network = Network(net.path, resolution.input_shape, multiple, tuple(resolution.layers))
    if not network.heads:
        raise CfgError(net.path, 0, "no [yolo] layer: only YOLOv3 and YOLOv4 kinds of detector are supported")
    return network


def input_multiple(sections: tuple[Section, ...]) -> int:
    """What width and height of the input must be multiples of, so that every map divides evenly: the largest stride.

    (The least common multiple of all strides, to be exact.) Faulty routes are left for `resolve_network` to report.
    """
    strides: list[int] = []
    for index, section in enumerate(sections[1:]):
        stride = strides[-1] if strides else 1
        if section.name in ("convolutional", "maxpool"):
            stride *= section.integer("stride", 1, 1, 8)
        elif section.name == "upsample":
            stride = max(stride // section.integer("stride", 2, 1, 8), 1)
        elif section.name == "route" and (layers := section.integers("layers", -len(sections), len(sections))):
            first = layers[0] if layers[0] >= 0 else index + layers[0]
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


class _Resolution:
    """The layers so far; `add` appends the next one."""

    def __init__(self, input_shape: Shape) -> None:
        self.input_shape = input_shape
        self.layers: list[Layer] = []

    def add(self, section: Section) -> None:
        reader = _READERS.get(section.name)
        if reader is None:
            raise section.error(f"this layer is not supported; these are: {', '.join(sorted(_READERS))}")
        check_options(section)
        layer = reader(self, section)
        shape = layer.shape
        if shape.height < 1 or shape.width < 1:
            raise section.error(f"nothing is left of the map: {shape}")
        if shape.channels > MAX_CHANNELS or shape.height * shape.width * shape.channels > MAX_MAP_VALUES:
            raise section.error(f"a map of {shape} is too large")
        self.layers.append(layer)

    def shape_of(self, index: int, section: Section, key: str | None = None) -> Shape:
        """The output shape of an earlier layer, which must have one."""
        if index == INPUT:
            return self.input_shape
        layer = self.layers[index]
        if isinstance(layer, Head):
            raise section.error(f"reads layer {index}, a [yolo] on line {layer.line}: that is an output", key)
        return layer.shape

    def position(self, value: int, section: Section, key: str) -> int:
        """The layer that a cfg means by `value`: counted from the start, or back from here where negative."""
        here = len(self.layers)
        index = value if value >= 0 else here + value
        if not 0 <= index < here:
            raise section.error(f"{key}={value} of layer {here} is layer {index}, which does not come before it", key)
        return index

    def convolution(self, section: Section) -> Convolution:
        index = len(self.layers)
        source = index - 1
        source_shape = self.shape_of(source, section)
        size = section.integer("size", 1, 1, 31)
        padding = section.integer("padding", 0, 0, 31)
        if section.integer("pad", 0, 0, 31):
            padding = size // 2
        window = Window(size, section.integer("stride", 1, 1, 8), padding, 2 * padding)
        filters = section.integer("filters", 1, 1, MAX_CHANNELS)
        groups = section.integer("groups", 1, 1, MAX_CHANNELS)
        if source_shape.channels % groups or filters % groups:
            message = f"groups={groups} does not divide {source_shape.channels} channels into {filters} filters"
            raise section.error(message, "groups")
        layer = Convolution(
            index=index,
            line=section.line,
            source=source,
            source_shape=source_shape,
            shape=_slid(source_shape, window, filters),
            window=window,
            groups=groups,
            batch_normalize=section.integer("batch_normalize", 0, 0, 1) == 1,
            activation=_activation(section, "logistic"),  # Darknet's default here
        )
        if layer.kernel_values > MAX_KERNEL_VALUES:
            raise section.error(f"a kernel of {layer.kernel_values} values is too large")
        return layer

    def maxpool(self, section: Section) -> MaxPool:
        index = len(self.layers)
        source_shape = self.shape_of(index - 1, section)
        stride = section.integer("stride", 1, 1, 8)
        size = section.integer("size", stride, 1, 31)
        padding = section.integer("padding", size - 1, 0, 2 * size - 2)
        # The odd cell of padding goes behind the map: Darknet's offset is -padding / 2 in C's integers.
        window = Window(size, stride, padding // 2, padding)
        shape = _slid(source_shape, window, source_shape.channels)
        return MaxPool(index, section.line, index - 1, source_shape, shape, window)

    def upsample(self, section: Section) -> Upsample:
        index = len(self.layers)
        shape = self.shape_of(index - 1, section)
        factor = section.integer("stride", 2, 1, 8)
        shape = Shape(shape.height * factor, shape.width * factor, shape.channels)
        return Upsample(index, section.line, index - 1, shape, factor)

    def route(self, section: Section) -> Route:
        index = len(self.layers)
        values = section.integers("layers", -MAX_CHANNELS, MAX_CHANNELS)
        if not values:
            raise section.error("layers is missing")
        sources = tuple(self.position(value, section, "layers") for value in values)
        shapes = [self.shape_of(source, section, "layers") for source in sources]
        groups = section.integer("groups", 1, 1, MAX_CHANNELS)
        group = section.integer("group_id", 0, 0, groups - 1)
        for source, shape in zip(sources, shapes, strict=True):
            if (shape.height, shape.width) != (shapes[0].height, shapes[0].width):
                message = f"joins maps of different sizes: layer {sources[0]} {shapes[0]}, layer {source} {shape}"
                raise section.error(message, "layers")
            if shape.channels % groups:
                message = f"groups={groups} does not divide the {shape.channels} channels of layer {source}"
                raise section.error(message, "groups")
        channels = sum(shape.channels for shape in shapes) // groups
        joined = Shape(shapes[0].height, shapes[0].width, channels)
        return Route(index, section.line, sources, joined, groups, group)

    def shortcut(self, section: Section) -> Shortcut:
        index = len(self.layers)
        shape = self.shape_of(index - 1, section)
        values = section.integers("from", -MAX_CHANNELS, MAX_CHANNELS)
        if len(values) != 1:
            raise section.error(f"from names {len(values)} layers: one is supported", "from")
        other = self.position(values[0], section, "from")
        other_shape = self.shape_of(other, section, "from")
        if other_shape != shape:
            message = f"adds maps of different shapes, which is not supported: {shape}, layer {other} {other_shape}"
            raise section.error(message, "from")
        return Shortcut(index, section.line, index - 1, other, shape, _activation(section, "linear"))

    def dropout(self, section: Section) -> Dropout:
        index = len(self.layers)
        return Dropout(index, section.line, index - 1, self.shape_of(index - 1, section))

    def yolo(self, section: Section) -> Head:
        index = len(self.layers)
        shape = self.shape_of(index - 1, section)
        number = section.integer("num", 1, 1, 100)
        classes = section.integer("classes", 20, 1, MAX_CHANNELS)
        anchors = section.numbers("anchors", 1e-3, MAX_INPUT)
        if len(anchors) != 2 * number:
            message = f"num={number} anchors want {2 * number} numbers, {len(anchors)} are given"
            raise section.error(message, "anchors")
        mask = section.integers("mask", 0, number - 1) or tuple(range(number))
        if shape.channels != len(mask) * (classes + 5):
            message = f"{len(mask)} anchors of {classes} classes want {len(mask) * (classes + 5)} channels"
            raise section.error(f"{message}, layer {index - 1} has {shape.channels}", "classes")
        return Head(
            index=index,
            line=section.line,
            source=index - 1,
            shape=shape,
            anchors_wh=tuple((anchors[2 * item], anchors[2 * item + 1]) for item in mask),
            classes=classes,
            scale_x_y=section.number("scale_x_y", 1.0, 0.1, 10.0),
        )


_READERS: Final[dict[str, Callable[[_Resolution, Section], Layer]]] = {
    "convolutional": _Resolution.convolution,
    "maxpool": _Resolution.maxpool,
    "upsample": _Resolution.upsample,
    "route": _Resolution.route,
    "shortcut": _Resolution.shortcut,
    "dropout": _Resolution.dropout,
    "yolo": _Resolution.yolo,
}


def _activation(section: Section, default: str) -> str:
    name = section.text("activation", default)
    if name not in ACTIVATIONS:
        message = f"activation={name[:60]} is not supported; these are: {', '.join(ACTIVATIONS)}"
        raise section.error(message, "activation")
    return name


def _slid(shape: Shape, window: Window, channels: int) -> Shape:
    return Shape(window.steps(shape.height), window.steps(shape.width), channels)
