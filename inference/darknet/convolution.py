"""Convolutions and poolings of Darknet in Keras's forms, and the padding with which they slide exactly as Darknet does.

With `build` and `axes` the only module of this package that imports keras.
"""

from typing import Any, Final

import keras
import numpy as np

from inference.darknet import axes
from inference.darknet.axes import Tensor
from inference.darknet.layers import AvgPool, Convolution, LocalAvgPool, MaxPool, Shape, Window
from inference.darknet.weights import FoldedWeights

_LOWEST: Final = float(np.finfo(np.float32).min)


def convolution(layer: Convolution, tensor: Tensor, folded: FoldedWeights) -> Tensor:
    """The layer without its activation."""
    tensor, padding = _padded(tensor, layer.window, layer.source_shape)
    if layer.is_depthwise:
        return _depthwise(layer, tensor, padding, folded)
    if layer.groups == 1:
        return _dense(layer.window, tensor, padding, folded)
    return _grouped(layer, tensor, padding, folded)


def pooled(layer: MaxPool | LocalAvgPool | AvgPool, tensor: Tensor) -> Tensor:
    """The layer."""
    match layer:
        case AvgPool():
            return keras.layers.GlobalAveragePooling2D(keepdims=True)(tensor)
        case MaxPool():
            tensor, padding = _padded(tensor, layer.window, layer.source_shape, fill=_LOWEST)
            return keras.layers.MaxPooling2D(layer.window.size, layer.window.stride, padding)(tensor)
        case LocalAvgPool():
            return _local_average(layer, tensor)


def _local_average(layer: LocalAvgPool, tensor: Tensor) -> Tensor:
    """The mean over zeros outside the map, put right where a window reaches over the edge."""
    window, shape = layer.window, layer.source_shape
    margins = tuple((window.before, window.after(cells)) for cells in (shape.height, shape.width))
    pool = keras.layers.AveragePooling2D(window.size, window.stride, "valid")
    if not any(map(any, margins)):
        return pool(tensor)
    rows, columns = (window.cells_inside(cells) for cells in (shape.height, shape.width))
    factors = window.size**2 / np.outer(rows, columns).astype(np.float32)
    factors = np.expand_dims(factors, (0, axes.channel_axis()))
    return keras.ops.multiply(pool(keras.layers.ZeroPadding2D(margins)(tensor)), factors)


def _dense(window: Window, tensor: Tensor, padding: str, folded: FoldedWeights) -> Tensor:
    filters = len(folded.biases)
    layer = keras.layers.Conv2D(filters, window.size, window.stride, padding, kernel_initializer="zeros")
    tensor = layer(tensor)
    layer.set_weights([folded.kernel.transpose(2, 3, 1, 0), folded.biases])
    return tensor


def _depthwise(layer: Convolution, tensor: Tensor, padding: str, folded: FoldedWeights) -> Tensor:
    channels, window = layer.source_shape.channels, layer.window
    multiplier = layer.shape.channels // channels
    depthwise = keras.layers.DepthwiseConv2D(
        window.size, window.stride, padding, depth_multiplier=multiplier, depthwise_initializer="zeros"
    )
    tensor = depthwise(tensor)
    # Both sides have the filters of one channel next to each other: Darknet (channel * filter, 1, y, x), Keras (y, x,
    # channel, filter).
    kernel = folded.kernel.reshape(channels, multiplier, window.size, window.size).transpose(2, 3, 0, 1)
    depthwise.set_weights([kernel, folded.biases])
    return tensor


def _grouped(layer: Convolution, tensor: Tensor, padding: str, folded: FoldedWeights) -> Tensor:
    """Plain convolutions, each of several groups with zeros between them.

    Keras runs a grouped one through XLA on TensorFlow, which cannot be frozen; one for each group is slow.
    """
    channels, filters = layer.source_shape.channels // layer.parts, layer.shape.channels // layer.parts
    joined: list[Tensor] = []
    for part in range(layer.parts):
        rows = slice(part * filters, (part + 1) * filters)
        kernel = _spread(folded.kernel[rows], layer.groups // layer.parts)
        source = axes.cut(tensor, part * channels, (part + 1) * channels) if layer.parts > 1 else tensor
        joined.append(_dense(layer.window, source, padding, FoldedWeights(kernel, folded.biases[rows])))
    return axes.joined(joined)


def _spread(kernel: Any, groups: int) -> Any:
    """A grouped kernel (filters, channels / groups, y, x) as a plain one, (filters, channels, y, x)."""
    filters, channels, height, width = kernel.shape
    plain = np.zeros((groups, filters // groups, groups, channels, height, width), np.float32)
    every = np.arange(groups)
    plain[every, :, every] = kernel.reshape(groups, filters // groups, channels, height, width)
    return plain.reshape(filters, groups * channels, height, width)


def _padded(tensor: Tensor, window: Window, shape: Shape, fill: float = 0.0) -> tuple[Tensor, str]:
    """The tensor and the padding mode with which Keras slides exactly as Darknet does.

    "same" and "valid" are taken where they do, since they need no copy of the map.
    """
    sides = (shape.height, shape.width)
    if all(window.is_valid(cells) for cells in sides):
        return tensor, "valid"
    if all(window.is_same(cells) for cells in sides):
        return tensor, "same"
    rows, columns = ((window.before, window.after(cells)) for cells in sides)
    if fill == 0.0:
        return keras.layers.ZeroPadding2D((rows, columns))(tensor), "valid"
    return axes.padded(tensor, rows, columns, fill), "valid"
