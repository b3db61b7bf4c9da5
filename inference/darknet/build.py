"""Builds the Keras 3 model of a Darknet network: the one module of this package that imports keras.

The model is functional, channels last, made of stock layers and keras.ops only, so that it saves as `.keras` and runs
on any Keras backend. Input: float32 (batch, height, width, 3), RGB, 0 to 1. Outputs: one a `[yolo]` layer, float32
(batch, rows, columns, anchors * (5 + classes)), before the yolo activation; `inference.decode` reads them.
"""

from typing import Any, Final

import keras
import numpy as np

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
from inference.darknet.weights import DarknetWeights, FoldedWeights, fold_batch_norm

LEAKY_SLOPE: Final = 0.1
"""Darknet's leaky_activate (activations.h)."""

Tensor = Any
"""keras.KerasTensor; keras has no types to check against."""


def build_model(network: Network, weights: DarknetWeights, batch: int | None = None) -> keras.Model:
    """The network as a Keras model with its weights, batch norm folded into the convolutions.

    `batch` fixes the batch size; None leaves it open. Takes a second or so, all memory that the weights need twice.
    """
    shape = network.input_shape
    image = keras.Input((shape.height, shape.width, shape.channels), batch_size=batch, name="image")
    tensors: dict[int, Tensor] = {INPUT: image}
    items = iter(weights.convolutions)
    for layer in network.layers:
        if isinstance(layer, Convolution):
            tensors[layer.index] = _convolution(layer, tensors[layer.source], fold_batch_norm(next(items)))
        else:
            tensors[layer.index] = _weightless(layer, tensors)
    return keras.Model(image, [tensors[head.source] for head in network.heads], name="darknet")


def _weightless(layer: Layer, tensors: dict[int, Tensor]) -> Tensor:
    match layer:
        case MaxPool():
            return _max_pool(layer, tensors[layer.source])
        case Upsample():
            size = (layer.factor, layer.factor)
            return keras.layers.UpSampling2D(size, interpolation="nearest")(tensors[layer.source])
        case Route():
            parts = [_part(tensors[source], layer) for source in layer.sources]
            return parts[0] if len(parts) == 1 else keras.layers.Concatenate()(parts)
        case Shortcut():
            total = keras.layers.Add()([tensors[layer.source], tensors[layer.other]])
            return _activated(total, layer.activation)
        case Dropout() | Head():
            return tensors[layer.source]
        case _:
            raise TypeError(f"no Keras form of {layer!r}")


def _part(tensor: Tensor, route: Route) -> Tensor:
    if route.groups == 1:
        return tensor
    channels = tensor.shape[-1] // route.groups
    return tensor[..., route.group * channels : (route.group + 1) * channels]


def _activated(tensor: Tensor, activation: str) -> Tensor:
    if activation == "leaky":
        return keras.layers.LeakyReLU(negative_slope=LEAKY_SLOPE)(tensor)
    return tensor


def _convolution(layer: Convolution, tensor: Tensor, folded: FoldedWeights) -> Tensor:
    tensor, padding = _padded(tensor, layer.window, layer.source_shape)
    channels = layer.source_shape.channels
    if layer.groups == 1:
        tensor = _dense(layer, tensor, padding, folded)
    elif layer.groups == channels:
        tensor = _depthwise(layer, tensor, padding, folded)
    else:
        tensor = _grouped(layer, tensor, padding, folded)
    return _activated(tensor, layer.activation)


def _dense(layer: Convolution, tensor: Tensor, padding: str, folded: FoldedWeights) -> Tensor:
    filters, window = len(folded.biases), layer.window
    convolution = keras.layers.Conv2D(filters, window.size, window.stride, padding, kernel_initializer="zeros")
    tensor = convolution(tensor)
    convolution.set_weights([folded.kernel.transpose(2, 3, 1, 0), folded.biases])
    return tensor


def _depthwise(layer: Convolution, tensor: Tensor, padding: str, folded: FoldedWeights) -> Tensor:
    channels, window = layer.source_shape.channels, layer.window
    multiplier = layer.shape.channels // channels
    convolution = keras.layers.DepthwiseConv2D(
        window.size, window.stride, padding, depth_multiplier=multiplier, depthwise_initializer="zeros"
    )
    tensor = convolution(tensor)
    # Both sides have the filters of one channel next to each other: Darknet (channel * filter, 1, y, x), Keras (y, x,
    # channel, filter).
    kernel = folded.kernel.reshape(channels, multiplier, window.size, window.size).transpose(2, 3, 0, 1)
    convolution.set_weights([kernel, folded.biases])
    return tensor


def _grouped(layer: Convolution, tensor: Tensor, padding: str, folded: FoldedWeights) -> Tensor:
    """One plain convolution a group: Keras runs a grouped one through XLA on TensorFlow, which cannot be frozen."""
    channels = layer.source_shape.channels // layer.groups
    filters = layer.shape.channels // layer.groups
    parts: list[Tensor] = []
    for group in range(layer.groups):
        rows = slice(group * filters, (group + 1) * filters)
        part = tensor[..., group * channels : (group + 1) * channels]
        parts.append(_dense(layer, part, padding, FoldedWeights(folded.kernel[rows], folded.biases[rows])))
    return keras.layers.Concatenate()(parts)


def _max_pool(layer: MaxPool, tensor: Tensor) -> Tensor:
    tensor, padding = _padded(tensor, layer.window, layer.source_shape, fill=float(np.finfo(np.float32).min))
    return keras.layers.MaxPooling2D(layer.window.size, layer.window.stride, padding)(tensor)


def _padded(tensor: Tensor, window: Window, shape: Shape, fill: float = 0.0) -> tuple[Tensor, str]:
    """The tensor and the padding mode with which Keras slides exactly as Darknet does.

    "same" and "valid" are taken where they do, since they need no copy of the map.
    """
    sides = (shape.height, shape.width)
    if all(window.is_valid(cells) for cells in sides):
        return tensor, "valid"
    if all(window.is_same(cells) for cells in sides):
        return tensor, "same"
    margins = tuple((window.before, window.after(cells)) for cells in sides)
    if fill == 0.0:
        return keras.layers.ZeroPadding2D(margins)(tensor), "valid"
    return keras.ops.pad(tensor, ((0, 0), *margins, (0, 0)), constant_values=fill), "valid"
