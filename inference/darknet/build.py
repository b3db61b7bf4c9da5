"""Builds the Keras 3 model of a Darknet network.

The model is functional, made of stock layers and keras.ops only, so that it saves as `.keras` and runs on any Keras
backend. Input: float32 (batch, height, width, 3), RGB, 0 to 1. Outputs: one a head, float32 (batch, rows, columns,
anchors * (5 + classes)), as the network's last layers put them out; `inference.decode` reads them. All of them channels
first, as the weights' layout is not, where Keras is set so (`axes`).
"""

from typing import Final

import keras

from inference.darknet import axes
from inference.darknet.axes import Tensor
from inference.darknet.convolution import convolution, pooled
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
    Network,
    Product,
    Reorg,
    Route,
    Shortcut,
    Upsample,
)
from inference.darknet.weights import Array, DarknetWeights, fold_batch_norm, normalized

LEAKY_SLOPE: Final = 0.1
"""Darknet's leaky_activate (activations.h)."""

Tensors = dict[int, Tensor]
"""The maps so far, by their layers' indices."""


def build_model(network: Network, weights: DarknetWeights, batch: int | None = None) -> keras.Model:
    """The network as a Keras model with its weights, batch norm folded into the convolutions.

    `batch` fixes the batch size; None leaves it open. Takes a second or so, all memory that the weights need twice.
    """
    image = keras.Input(axes.map_shape(network.input_shape), batch_size=batch, name="image")
    tensors: Tensors = {INPUT: image}
    convolutions = iter(weights.convolutions)
    shortcuts = iter(weights.shortcuts)
    for layer in network.layers:
        match layer:
            case Convolution():
                tensor = convolution(layer, tensors[layer.source], fold_batch_norm(next(convolutions)))
                tensors[layer.index] = _activated(tensor, layer.activation)
            case Shortcut():
                tensors[layer.index] = _shortcut(layer, tensors, next(shortcuts) if layer.values else None)
            case _:
                tensors[layer.index] = _weightless(layer, tensors)
    return keras.Model(image, [tensors[head.source] for head in network.heads], name="darknet")


def _weightless(layer: Layer, tensors: Tensors) -> Tensor:
    match layer:
        case MaxPool() | LocalAvgPool() | AvgPool():
            return pooled(layer, tensors[layer.source])
        case Upsample():
            size = (layer.factor, layer.factor)
            return keras.layers.UpSampling2D(size, interpolation="nearest")(tensors[layer.source])
        case Reorg():
            return _reorg(layer, tensors[layer.source])
        case Route():
            return axes.joined([_part(tensors[source], layer) for source in layer.sources])
        case Product():
            product = keras.layers.Multiply()([tensors[layer.source], tensors[layer.other]])
            return _activated(product, layer.activation)
        case Dropout() | Head():
            return tensors[layer.source]
        case _:
            raise TypeError(f"no Keras form of {layer!r}")


def _activated(tensor: Tensor, activation: Activation) -> Tensor:
    match activation:
        case "linear":
            return tensor
        case "leaky":
            return keras.layers.LeakyReLU(negative_slope=LEAKY_SLOPE)(tensor)
        case "relu":
            return keras.layers.ReLU()(tensor)
        case "logistic":
            return keras.layers.Activation("sigmoid")(tensor)
        case "mish" | "swish" | "tanh":
            return keras.layers.Activation(activation)(tensor)


def _part(tensor: Tensor, route: Route) -> Tensor:
    if route.groups == 1:
        return tensor
    channels = axes.channels_of(tensor) // route.groups
    return axes.cut(tensor, route.group * channels, (route.group + 1) * channels)


def _shortcut(layer: Shortcut, tensors: Tensors, weights: Array | None) -> Tensor:
    channels = layer.shape.channels
    # Axes by name (`axes`): the maps may lie channels first.
    maps = [tensors[source] for source in (layer.source, *layer.others)]
    maps = [axes.cut(tensor, 0, channels) if axes.channels_of(tensor) > channels else tensor for tensor in maps]
    if weights is not None:
        factors = normalized(weights, layer.normalization)
        # One factor a map, or one a channel, of which a narrow map has fewer.
        maps = [
            keras.ops.multiply(tensor, axes.along_channels(factor[: axes.channels_of(tensor)]))
            for tensor, factor in zip(maps, factors, strict=True)
        ]
    wide = [tensor for tensor in maps if axes.channels_of(tensor) == channels]
    total = keras.layers.Add()(wide) if len(wide) > 1 else wide[0]
    for tensor in maps:
        if (shared := axes.channels_of(tensor)) < channels:
            # Not padded with zeros: TensorFlow 2.21 crashes as it fuses that addition into the convolution before it.
            added = keras.layers.Add()([axes.cut(total, 0, shared), tensor])
            total = axes.joined([added, axes.cut(total, shared, channels)])
    return _activated_sum(total, layer.activation)


def _activated_sum(tensor: Tensor, activation: Activation) -> Tensor:
    """The activation of a sum, in terms that TensorFlow does not recognize where it would do wrong.

    TensorFlow 2.21 fuses convolution, addition and activation on a CPU: then leaky gets another slope than the one
    asked for, and mish is an error.
    """
    match activation:
        case "leaky":
            return keras.ops.maximum(tensor, LEAKY_SLOPE * tensor)
        case "mish":  # x * tanh(log(1 + e^x))
            power = keras.ops.exp(keras.ops.minimum(tensor, 20.0))
            share = power * (power + 2.0)
            return tensor * (share / (share + 2.0))
        case _:
            return _activated(tensor, activation)


def _reorg(layer: Reorg, tensor: Tensor) -> Tensor:
    """In Darknet's order of numbers, (channels, height, width), a row of cells splits into (row, y, column, x)."""
    source, shape, stride = layer.source_shape, layer.shape, layer.stride
    rows = source.channels * source.height // stride**2
    if not axes.are_channels_first():
        tensor = keras.layers.Permute((3, 1, 2))(tensor)
    tensor = keras.layers.Reshape((rows, stride, source.width, stride))(tensor)
    tensor = keras.layers.Permute((2, 4, 1, 3))(tensor)
    tensor = keras.layers.Reshape((shape.channels, shape.height, shape.width))(tensor)
    return tensor if axes.are_channels_first() else keras.layers.Permute((2, 3, 1))(tensor)
