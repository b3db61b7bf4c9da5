"""Reads each section of a cfg into a layer: resolves indices and shapes, and checks them.

Only the layers and options that `build` and `decode` really perform are let through; any other is a CfgError that names
file, line and layer.
Pure.
"""

from collections.abc import Callable
from typing import Final, get_args

from inference.darknet.cfg import Section
from inference.darknet.heads import read_region, read_yolo
from inference.darknet.layers import (
    INPUT,
    Activation,
    AvgPool,
    Convolution,
    Dropout,
    Head,
    Layer,
    LocalAvgPool,
    MaxPool,
    Normalization,
    Product,
    Reorg,
    Route,
    Shape,
    Shortcut,
    Upsample,
    Weighting,
    Window,
)
from inference.darknet.limits import MAX_CHANNELS, MAX_MAP_VALUES
from inference.darknet.options import check_options


class Resolution:
    """The layers so far; `add` appends the next one."""

    def __init__(self, input_shape: Shape) -> None:
        self.input_shape = input_shape
        self.layers: list[Layer] = []

    def add(self, section: Section) -> None:
        """Raises CfgError."""
        reader = _READERS.get(section.name)
        if reader is None:
            raise section.error(f"this layer is not supported; these are: {', '.join(sorted(_READERS))}")
        check_options(section)
        layer = reader(self, section)
        shape = layer.shape
        if shape.height < 1 or shape.width < 1:
            raise section.error(f"nothing is left of the map: {shape}")
        if shape.channels > MAX_CHANNELS or shape.values > MAX_MAP_VALUES:
            raise section.error(f"a map of {shape} is too large")
        self.layers.append(layer)

    @property
    def here(self) -> int:
        """The index of the layer that is being read."""
        return len(self.layers)

    def shape_of(self, index: int, section: Section, key: str | None = None) -> Shape:
        """The output shape of an earlier layer, which must have one."""
        if index == INPUT:
            return self.input_shape
        layer = self.layers[index]
        if isinstance(layer, Head):
            raise section.error(f"reads layer {index}, a detection head on line {layer.line}: that is an output", key)
        return layer.shape

    def shape_before(self, section: Section) -> Shape:
        """The output shape of the layer before this one."""
        return self.shape_of(self.here - 1, section)

    def position(self, value: int, section: Section, key: str) -> int:
        """The layer that a cfg means by `value`: counted from the start, or back from here where negative."""
        index = value if value >= 0 else self.here + value
        if not 0 <= index < self.here:
            message = f"{key}={value} of layer {self.here} is layer {index}, which does not come before it"
            raise section.error(message, key)
        return index

    def positions(self, section: Section, key: str) -> tuple[int, ...]:
        """The layers that an option lists, one at least."""
        values = section.integers(key, -MAX_CHANNELS, MAX_CHANNELS)
        if not values:
            raise section.error(f"{key} is missing")
        return tuple(self.position(value, section, key) for value in values)

    def convolution(self, section: Section) -> Convolution:
        source_shape = self.shape_before(section)
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
        return Convolution(
            index=self.here,
            line=section.line,
            source=self.here - 1,
            source_shape=source_shape,
            shape=_slid(source_shape, window, filters),
            window=window,
            groups=groups,
            batch_normalize=section.integer("batch_normalize", 0, 0, 1) == 1,
            activation=_activation(section, "logistic"),  # Darknet's default here
        )

    def max_pool(self, section: Section) -> MaxPool:
        source_shape = self.shape_before(section)
        window = _pooling(section)
        shape = _slid(source_shape, window, source_shape.channels)
        return MaxPool(self.here, section.line, self.here - 1, source_shape, shape, window)

    def local_avg_pool(self, section: Section) -> LocalAvgPool:
        source_shape = self.shape_before(section)
        window = _pooling(section)
        shape = _slid(source_shape, window, source_shape.channels)
        return LocalAvgPool(self.here, section.line, self.here - 1, source_shape, shape, window)

    def avg_pool(self, section: Section) -> AvgPool:
        source_shape = self.shape_before(section)
        shape = Shape(1, 1, source_shape.channels)
        return AvgPool(self.here, section.line, self.here - 1, source_shape, shape)

    def upsample(self, section: Section) -> Upsample:
        shape = self.shape_before(section)
        factor = section.integer("stride", 2, 1, 8)
        shape = Shape(shape.height * factor, shape.width * factor, shape.channels)
        return Upsample(self.here, section.line, self.here - 1, shape, factor)

    def reorg(self, section: Section) -> Reorg:
        source_shape = self.shape_before(section)
        stride = section.integer("stride", 1, 1, 8)
        if source_shape.height % stride or source_shape.width % stride or source_shape.channels % stride**2:
            raise section.error(f"stride={stride} does not divide a map of {source_shape} evenly", "stride")
        shape = Shape(source_shape.height // stride, source_shape.width // stride, source_shape.channels * stride**2)
        return Reorg(self.here, section.line, self.here - 1, source_shape, shape, stride)

    def route(self, section: Section) -> Route:
        sources = self.positions(section, "layers")
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
        return Route(self.here, section.line, sources, joined, groups, group)

    def shortcut(self, section: Section) -> Shortcut:
        shape = self.shape_before(section)
        others = self.positions(section, "from")
        for other in others:
            added = self.shape_of(other, section, "from")
            if (added.height, added.width) != (shape.height, shape.width):
                message = f"adds maps of different sizes: layer {self.here - 1} {shape}, layer {other} {added}"
                raise section.error(message, "from")
        return Shortcut(
            index=self.here,
            line=section.line,
            source=self.here - 1,
            others=others,
            shape=shape,
            activation=_activation(section, "linear"),
            weighting=_WEIGHTINGS[_one_of(section, "weights_type", "none", tuple(_WEIGHTINGS))],
            normalization=_NORMALIZATIONS[_one_of(section, "weights_normalization", "none", tuple(_NORMALIZATIONS))],
        )

    def scale_channels(self, section: Section) -> Product:
        shape, other, other_shape = self._factors(section)
        if shape != Shape(1, 1, other_shape.channels):
            message = (
                f"wants one cell for each channel of layer {other} {other_shape}, layer {self.here - 1} has {shape}"
            )
            raise section.error(message, "from")
        activation = _activation(section, "linear")
        return Product(self.here, section.line, self.here - 1, other, other_shape, activation)

    def sam(self, section: Section) -> Product:
        shape, other, other_shape = self._factors(section)
        if shape != other_shape:
            message = f"multiplies maps of different shapes: layer {self.here - 1} {shape}, layer {other} {other_shape}"
            raise section.error(message, "from")
        return Product(self.here, section.line, self.here - 1, other, shape, _activation(section, "linear"))

    def _factors(self, section: Section) -> tuple[Shape, int, Shape]:
        """The shape before this layer; the one other layer that it names, and its shape."""
        shape = self.shape_before(section)
        others = self.positions(section, "from")
        if len(others) != 1:
            raise section.error(f"from names {len(others)} layers, one is wanted", "from")
        return shape, others[0], self.shape_of(others[0], section, "from")

    def dropout(self, section: Section) -> Dropout:
        return Dropout(self.here, section.line, self.here - 1, self.shape_before(section))

    def yolo(self, section: Section) -> Head:
        return read_yolo(section, self.here, self.shape_before(section))

    def region(self, section: Section) -> Head:
        return read_region(section, self.here, self.shape_before(section), self.input_shape)


_READERS: Final[dict[str, Callable[[Resolution, Section], Layer]]] = {
    "avgpool": Resolution.avg_pool,
    "convolutional": Resolution.convolution,
    "dropout": Resolution.dropout,
    "local_avgpool": Resolution.local_avg_pool,
    "maxpool": Resolution.max_pool,
    "region": Resolution.region,
    "reorg": Resolution.reorg,
    "route": Resolution.route,
    "sam": Resolution.sam,
    "scale_channels": Resolution.scale_channels,
    "shortcut": Resolution.shortcut,
    "upsample": Resolution.upsample,
    "yolo": Resolution.yolo,
}
_ACTIVATIONS: Final[dict[str, Activation]] = {name: name for name in get_args(Activation)}
# The second names that parse_shortcut (parser.c) knows; "per_layer" is one number a map, as "per_feature" is.
_WEIGHTINGS: Final[dict[str, Weighting]] = {
    "none": "none",
    "per_feature": "per_feature",
    "per_layer": "per_feature",
    "per_channel": "per_channel",
}
_NORMALIZATIONS: Final[dict[str, Normalization]] = {
    "none": "none",
    "relu": "relu",
    "avg_relu": "relu",
    "softmax": "softmax",
}


def _activation(section: Section, default: Activation) -> Activation:
    return _ACTIVATIONS[_one_of(section, "activation", default, tuple(_ACTIVATIONS))]


def _one_of(section: Section, key: str, default: str, names: tuple[str, ...]) -> str:
    name = section.text(key, default)
    if name not in names:
        raise section.error(f"{key}={name[:60]!r} is not supported; these are: {', '.join(names)}", key)
    return name


def _pooling(section: Section) -> Window:
    stride = section.integer("stride", 1, 1, 8)
    size = section.integer("size", stride, 1, 31)
    padding = section.integer("padding", size - 1, 0, 2 * size - 2)
    # The odd cell of padding goes behind the map: Darknet's offset is -padding / 2 in C's integers.
    return Window(size, stride, padding // 2, padding)


def _slid(shape: Shape, window: Window, channels: int) -> Shape:
    return Shape(window.steps(shape.height), window.steps(shape.width), channels)
