"""On which axis of a map its channels lie: last, as TensorFlow computes, or first, as OpenVINO does.

Keras's own setting decides (keras.config.image_data_format), which all of its layers follow; what is not a layer asks
here. Shapes are (batch, height, width, channels) or (batch, channels, height, width).
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from inference.darknet.layers import Shape

Tensor = Any
"""keras.KerasTensor; keras has no types to check against."""

Margins = tuple[int, int]
"""Cells before and behind."""


def are_channels_first() -> bool:
    """Whether channels come before height and width."""
    return bool(keras.config.image_data_format() == "channels_first")


def channel_axis() -> int:
    """The channels' axis."""
    return 1 if are_channels_first() else 3


def in_order(height: Any, width: Any, channels: Any) -> tuple[Any, Any, Any]:
    """Three things in the order of the axes behind the batch."""
    return (channels, height, width) if are_channels_first() else (height, width, channels)


def map_shape(shape: Shape) -> tuple[int, int, int]:
    """A map's shape without its batch."""
    return in_order(shape.height, shape.width, shape.channels)


def channels_of(tensor: Tensor) -> int:
    """How many channels a map has."""
    return int(tensor.shape[channel_axis()])


def cut(tensor: Tensor, start: int, stop: int) -> Tensor:
    """The channels from `start` to before `stop`."""
    return tensor[:, start:stop] if are_channels_first() else tensor[..., start:stop]


def joined(tensors: list[Tensor]) -> Tensor:
    """Maps put together along their channels."""
    return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(axis=channel_axis())(tensors)


def padded(tensor: Tensor, rows: Margins, columns: Margins, fill: float) -> Tensor:
    """The map with a margin of one value around it."""
    return keras.ops.pad(tensor, ((0, 0), *in_order(rows, columns, (0, 0))), constant_values=fill)


def along_channels(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A number a channel, float32 (channels,), in the form that multiplies a map."""
    return values[None, :, None, None] if are_channels_first() else values[None, None, None, :]
