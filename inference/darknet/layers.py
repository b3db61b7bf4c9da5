"""The layers of a Darknet detector, with every shape resolved.

Nouns only: `network` makes them from a cfg, `weights` counts their parameters, `build` turns them into Keras layers.
Layers are counted as Darknet counts them, from 0, `[net]` left out; `INPUT` stands for the image.
Pure.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Final, Literal

INPUT: Final = -1
"""The `source` of a layer that reads the image itself."""

PART_CHANNELS: Final = 128
"""A grouped convolution is built as plain ones of at most so many channels and filters, zeros between the groups.

Convolutions of a few channels cost a CPU as much as those of many.
"""

Activation = Literal["linear", "leaky", "logistic", "mish", "relu", "swish", "tanh"]
"""Darknet's names; leaky has a slope of 0.1 (activations.h)."""
Weighting = Literal["none", "per_feature", "per_channel"]
Normalization = Literal["none", "relu", "softmax"]
HeadForm = Literal["yolo", "new_coords", "region"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A feature map: height and width in cells, channels."""

    height: int
    width: int
    channels: int

    @property
    def values(self) -> int:
        """How many numbers it holds."""
        return self.height * self.width * self.channels

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

    def cells_inside(self, cells: int) -> list[int]:
        """How many cells of the map itself each step reads."""
        starts = [step * self.stride - self.before for step in range(self.steps(cells))]
        return [min(start + self.size, cells) - max(start, 0) for start in starts]

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
    activation: Activation

    @property
    def is_depthwise(self) -> bool:
        """Whether each filter sees one channel only."""
        return 1 < self.groups == self.source_shape.channels

    @property
    def kernel_values(self) -> int:
        """How many numbers its kernel has."""
        return self.shape.channels * (self.source_shape.channels // self.groups) * self.window.size**2

    @property
    def values(self) -> int:
        """How many numbers a weights file holds for it: biases, for batch norm three more rows, the kernel."""
        return self.shape.channels * (4 if self.batch_normalize else 1) + self.kernel_values

    @property
    def parts(self) -> int:
        """Into how many plain convolutions a grouped one is built, each of several groups; 1 for all others."""
        if self.groups == 1 or self.is_depthwise:
            return 1
        width = max(self.source_shape.channels, self.shape.channels)
        return next(
            parts for parts in range(1, self.groups + 1) if self.groups % parts == 0 and self._fits(parts, width)
        )

    def _fits(self, parts: int, width: int) -> bool:
        return parts == self.groups or width // parts <= PART_CHANNELS


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
class LocalAvgPool:
    """The mean of each window; padding is not counted."""

    index: int
    line: int
    source: int
    source_shape: Shape
    shape: Shape
    window: Window


@dataclass(frozen=True, slots=True)
class AvgPool:
    """The mean of each channel over the whole map, as a map of one cell."""

    index: int
    line: int
    source: int
    source_shape: Shape
    shape: Shape


@dataclass(frozen=True, slots=True)
class Upsample:
    """Each cell repeated `factor` times along both axes (nearest neighbour)."""

    index: int
    line: int
    source: int
    shape: Shape
    factor: int


@dataclass(frozen=True, slots=True)
class Reorg:
    """Cells moved into channels: `stride` times smaller along both axes, stride * stride times the channels.

    Not space-to-depth: it reads the map, (channels, height, width) in memory, as if it were (channels / stride**2,
    height * stride, width * stride) (reorg_cpu in blas.c, as pjreddie's [reorg] calls it).
    """

    index: int
    line: int
    source: int
    source_shape: Shape
    shape: Shape
    stride: int


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
    """The source's map plus those of `others`, each weighted, then the activation.

    All maps are equally high and wide. Of another map only the channels count that the source has too; where it has
    fewer, the source's further channels stay as they are (shortcut_multilayer_cpu in AlexeyAB's blas.c).
    """

    index: int
    line: int
    source: int
    others: tuple[int, ...]
    shape: Shape
    activation: Activation
    weighting: Weighting = "none"
    normalization: Normalization = "none"

    @property
    def weights_shape(self) -> tuple[int, int]:
        """Of its numbers in a weights file: (1 + others, 1 or channels); (0, 0) where it has none."""
        if self.weighting == "none":
            return 0, 0
        return 1 + len(self.others), self.shape.channels if self.weighting == "per_channel" else 1

    @property
    def values(self) -> int:
        """How many numbers a weights file holds for it."""
        rows, columns = self.weights_shape
        return rows * columns


@dataclass(frozen=True, slots=True)
class Product:
    """Two maps multiplied, then the activation: `[sam]` of one shape, `[scale_channels]` with a source of one cell."""

    index: int
    line: int
    source: int
    other: int
    shape: Shape
    activation: Activation


@dataclass(frozen=True, slots=True)
class Dropout:
    """Nothing, when detecting; it only takes up an index."""

    index: int
    line: int
    source: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Head:
    """A `[yolo]` or `[region]` layer: how its source's map is read as boxes.

    The map's channels are, for each anchor in turn: x, y, width, height, objectness, then one for each class.
    `anchors_wh` are in pixels of the network's input, already chosen by the cfg's `mask`.
    `form` says what the numbers are: with "yolo" all are logits, the sizes logarithms; "region" (YOLOv2) differs in
    its classes, which exclude each other (softmax); with "new_coords" (scaled YOLOv4, YOLOv7) the network has put
    all through the logistic function already, and sizes are roots.
    """

    index: int
    line: int
    source: int
    shape: Shape
    anchors_wh: tuple[tuple[float, float], ...]
    classes: int
    scale_x_y: float
    form: HeadForm = "yolo"


Layer = Convolution | MaxPool | LocalAvgPool | AvgPool | Upsample | Reorg | Route | Shortcut | Product | Dropout | Head


def sources_of(layer: Layer) -> tuple[int, ...]:
    """The layers whose maps it reads."""
    match layer:
        case Route():
            return layer.sources
        case Shortcut():
            return (layer.source, *layer.others)
        case Product():
            return layer.source, layer.other
        case _:
            return (layer.source,)


@dataclass(frozen=True)
class Network:
    """A whole detector at one input size. `multiple` is what input width and height must be multiples of."""

    path: Path
    input_shape: Shape
    multiple: int
    layers: tuple[Layer, ...]

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """Its `[yolo]` and `[region]` layers, in the cfg's order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Head))

    @cached_property
    def weighted(self) -> tuple[Convolution | Shortcut, ...]:
        """The layers that have numbers in the weights file, in its order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Convolution | Shortcut) and layer.values)

    @cached_property
    def convolutions(self) -> tuple[Convolution, ...]:
        """Those of them that are convolutions."""
        return tuple(layer for layer in self.weighted if isinstance(layer, Convolution))

    @cached_property
    def shortcuts(self) -> tuple[Shortcut, ...]:
        """Those of them that are shortcuts."""
        return tuple(layer for layer in self.weighted if isinstance(layer, Shortcut))
