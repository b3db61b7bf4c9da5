"""The network of a Darknet cfg as something that can be trained, and back to Darknet's weights.

Shell: imports keras and tensorflow. It differs from `inference.darknet.build`, which makes what is run: here batch norm
is a layer of its own. Only the layers that the embedded cfg uses are known.
"""

from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from inference.darknet.layers import INPUT, Convolution, Head, Network, Route, Upsample
from inference.darknet.weights import BATCH_NORM_EPSILON, BatchNorm, ConvolutionWeights

EPSILON: Final = 1e-3
"""Of batch norm in training. Larger than Darknet's, so that a quiet channel is not blown up in 16 bits."""
MOMENTUM: Final = 0.03
"""Share of a batch's statistics that goes into the running ones."""
LEAKY_SLOPE: Final = 0.1
PRIOR: Final = 0.01
"""What each slot says at first: that there is something with this probability (RetinaNet, arXiv:1708.02002, 3.3)."""

Tensor = Any
"""keras.KerasTensor; keras has no types to check against."""


@dataclass(frozen=True, slots=True, eq=False)
class Trainable:
    """The model, float uint8-scaled input (batch, height, width, 3) 0 to 1 to raw maps float32, and its layers."""

    model: keras.Model
    convolutions: tuple["_Layers", ...]
    """In the order of the weights file."""


@dataclass(frozen=True, slots=True, eq=False)
class _Layers:
    convolution: keras.layers.Conv2D
    norm: "FusedBatchNorm | None"


class FusedBatchNorm(keras.layers.Layer):  # type: ignore[misc]
    """Batch norm in TensorFlow's one operation, for training only.

    Keras' own is a dozen of operations on a CPU and takes no 16-bit input: with this one, whole steps were 1.5 times
    (32 bits) and 1.7 times (16 bits) as fast, measured on two cores.
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        def weight(name: str, initial: str, *, trainable: bool) -> Any:
            return self.add_weight(
                name=name, shape=shape[-1:], initializer=initial, trainable=trainable, dtype="float32", autocast=False
            )

        self.scale = weight("scale", "ones", trainable=True)
        self.offset = weight("offset", "zeros", trainable=True)
        self.mean = weight("mean", "zeros", trainable=False)
        self.variance = weight("variance", "ones", trainable=False)

    def call(self, inputs: Tensor) -> Tensor:
        tensors = [tf.convert_to_tensor(item.value) for item in (self.scale, self.offset, self.mean, self.variance)]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            **dict(zip(("scale", "offset", "mean", "variance"), tensors, strict=True)),
            epsilon=EPSILON,
            exponential_avg_factor=MOMENTUM,
            is_training=True,
        )
        self.mean.assign(mean)
        self.variance.assign(variance)
        return outputs

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape


def build_trainable(network: Network, seed: int, precision: str) -> Trainable:
    """A fresh model of the network. `precision` is "float32" or "mixed_bfloat16"; weights and maps are float32 always.

    Raises TypeError for a layer that is not known here.
    """
    shape = network.input_shape
    image = keras.Input((shape.height, shape.width, shape.channels), name="image")
    tensors: dict[int, Tensor] = {INPUT: image}
    made: list[_Layers] = []
    sources = {head.source for head in network.heads}
    for layer in network.layers:
        match layer:
            case Convolution():
                is_last = layer.index in sources
                layers = _layers(layer, seed + layer.index, "float32" if is_last else precision)
                made.append(layers)
                tensors[layer.index] = _convolved(layer, layers, tensors[layer.source], precision)
            case Upsample():
                size = (layer.factor, layer.factor)
                tensors[layer.index] = keras.layers.UpSampling2D(size, dtype=precision)(tensors[layer.source])
            case Route():
                parts = [tensors[source] for source in layer.sources]
                is_one = len(parts) == 1
                tensors[layer.index] = parts[0] if is_one else keras.layers.Concatenate(dtype=precision)(parts)
            case Head():
                tensors[layer.index] = tensors[layer.source]
            case _:
                raise TypeError(f"no trainable form of {layer!r}")
    for head in network.heads:
        _expect_little(made[network.convolutions.index(_source(network, head))], head)
    model = keras.Model(image, [tensors[head.source] for head in network.heads], name="trainable")
    return Trainable(model, tuple(made))


def to_darknet(trainable: Trainable, values: list[np.ndarray[Any, Any]]) -> tuple[ConvolutionWeights, ...]:
    """The weights in Darknet's order. `values` are those of `trainable.model.weights`, or running means of them.

    Batch norm in training adds `EPSILON` to the variance, Darknet another: the difference is worked into the variances,
    so that the file says exactly what was trained.
    """
    by_id = {id(weight): value for weight, value in zip(trainable.model.weights, values, strict=True)}
    out = []
    for layers in trainable.convolutions:
        kernel = by_id[id(layers.convolution.kernel)].transpose(3, 2, 0, 1)
        if (norm := layers.norm) is None:
            out.append(ConvolutionWeights(by_id[id(layers.convolution.bias)], None, kernel))
            continue
        scales, offsets, means, variances = (
            by_id[id(item)] for item in (norm.scale, norm.offset, norm.mean, norm.variance)
        )
        shifted = (variances + np.float32(EPSILON - BATCH_NORM_EPSILON)).astype(np.float32)
        out.append(ConvolutionWeights(offsets, BatchNorm(scales, means, shifted), kernel))
    return tuple(out)


def _source(network: Network, head: Head) -> Convolution:
    source = network.layers[head.source]
    if not isinstance(source, Convolution):
        raise TypeError(f"a head reads {source!r}, not a convolution")
    return source


def _layers(layer: Convolution, seed: int, precision: str) -> _Layers:
    if layer.groups != 1:
        raise TypeError(f"no trainable form of {layer!r}")
    window = layer.window
    convolution = keras.layers.Conv2D(
        layer.shape.channels,
        window.size,
        window.stride,
        "valid" if window.stride > 1 else "same",
        use_bias=not layer.batch_normalize,
        kernel_initializer=keras.initializers.HeNormal(seed),
        dtype=precision,
    )
    return _Layers(convolution, FusedBatchNorm(dtype=precision) if layer.batch_normalize else None)


def _convolved(layer: Convolution, layers: _Layers, tensor: Tensor, precision: str) -> Tensor:
    window, shape = layer.window, layer.source_shape
    if window.stride > 1:
        # Darknet pads in front first, where TensorFlow's "same" would pad behind.
        margins = tuple((window.before, window.after(cells)) for cells in (shape.height, shape.width))
        tensor = keras.layers.ZeroPadding2D(margins, dtype=precision)(tensor)
    tensor = layers.convolution(tensor)
    if layers.norm is not None:
        tensor = layers.norm(tensor)
    if layer.activation == "leaky":
        return keras.layers.LeakyReLU(negative_slope=LEAKY_SLOPE, dtype=precision)(tensor)
    if layer.activation != "linear":
        raise TypeError(f"no trainable form of activation={layer.activation}")
    return tensor


def _expect_little(layers: _Layers, head: Head) -> None:
    """Starts a head's convolution with small weights and the bias of a rare object."""
    kernel, bias = layers.convolution.get_weights()
    bias = bias.reshape(len(head.anchors_wh), 5 + head.classes)
    bias[:, 4] = -np.log((1 - PRIOR) / PRIOR)
    layers.convolution.set_weights([kernel * 0.1, bias.ravel()])
