"""The layers of a Darknet detector, with every shape resolved.

Nouns only: `network` makes them from a cfg, `weights` counts their parameters, `build` turns them into Keras layers.
Layers are counted as Darknet counts them, from 0, `[net]` left out; `INPUT` stands for the image.
Pure.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Final

INPUT: Final = -1
"""The `source` of a layer that reads the image itself."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A feature map: height and width in cells, channels."""

    height: int
    width: int
    channels: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.channels}"


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution or a pooling slides along one axis.

    `before` cells of padding stand in front of the map and as many behind it as the last step needs; all steps are
    `stride` apart. Darknet's padding is before any stride's remainder, so it is not TensorFlow's "same" wherever a
    stride of 2 meets an even map.
    """

    size: int
    stride: int
    before: int
    padding: int
    """Both ends together, as Darknet counts it."""

    def steps(self, cells: int) -> int:
        """How many cells come out: floor((cells + padding - size) / stride) + 1; 0 or less where none do."""
        return (cells + self.padding - self.size) // self.stride + 1

    def after(self, cells: int) -> int:
        """The padding behind the map that the last step really reads; what it never reaches is left out."""
        return max((self.steps(cells) - 1) * self.stride + self.size - cells - self.before, 0)

    def is_same(self, cells: int) -> bool:
        """Whether TensorFlow's "same" padding does exactly this to a map of so many cells."""
        steps = ceil(cells / self.stride)
        total = max((steps - 1) * self.stride + self.size - cells, 0)
        return self.steps(cells) == steps and self.before == total // 2 and self.after(cells) == total - total // 2

    def is_valid(self, cells: int) -> bool:
        """Whether it reads no padding at all."""
        return self.before == 0 and self.after(cells) == 0


@dataclass(frozen=True, slots=True)
class Convolution:
    """Convolution, then batch norm (with its scale and bias) or a bias, then the activation."""

    index: int
    line: int
    source: int
    source_shape: Shape
    shape: Shape
    window: Window
    groups: int
    batch_normalize: bool
    activation: str

    @property
    def kernel_values(self) -> int:
        """How many numbers its kernel has."""
        return self.shape.channels * (self.source_shape.channels // self.groups) * self.window.size**2

    @property
    def values(self) -> int:
        """How many numbers a weights file holds for it: biases, for batch norm three more rows, the kernel."""
        return self.shape.channels * (4 if self.batch_normalize else 1) + self.kernel_values


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The largest value of each window; padding never wins."""

    index: int
    line: int
    source: int
    source_shape: Shape
    shape: Shape
    window: Window


@dataclass(frozen=True, slots=True)
class Upsample:
    """Each cell repeated `factor` times along both axes (nearest neighbour)."""

    index: int
    line: int
    source: int
    shape: Shape
    factor: int


@dataclass(frozen=True, slots=True)
class Route:
    """The sources joined along the channels; of each only its `group`th of `groups` equal parts."""

    index: int
    line: int
    sources: tuple[int, ...]
    shape: Shape
    groups: int
    group: int


@dataclass(frozen=True, slots=True)
class Shortcut:
    """The sum of two maps of one shape, then the activation."""

    index: int
    line: int
    source: int
    other: int
    shape: Shape
    activation: str


@dataclass(frozen=True, slots=True)
class Dropout:
    """Nothing, when detecting; it only takes up an index."""

    index: int
    line: int
    source: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Head:
    """A `[yolo]` layer: how its source's map is read as boxes.

    The map's channels are, for each anchor in turn: x, y, width, height, objectness, then one for each class.
    `anchors_wh` are in pixels of the network's input, already chosen by the cfg's `mask`.
    """

    index: int
    line: int
    source: int
    shape: Shape
    anchors_wh: tuple[tuple[float, float], ...]
    classes: int
    scale_x_y: float


Layer = Convolution | MaxPool | Upsample | Route | Shortcut | Dropout | Head


@dataclass(frozen=True)
class Network:
    """A whole detector at one input size. `multiple` is what input width and height must be multiples of."""

    path: Path
    input_shape: Shape
    multiple: int
    layers: tuple[Layer, ...]

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """Its `[yolo]` layers, in the cfg's order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Head))

    @cached_property
    def convolutions(self) -> tuple[Convolution, ...]:
        """The layers that have weights, in the weights file's order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Convolution))
