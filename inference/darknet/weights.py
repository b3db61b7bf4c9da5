"""Darknet's `.weights` files: a header, then the float32 numbers of each layer that has some, in the cfg's order.

Layout as Darknet's `load_weights_upto` (parser.c) reads it, little-endian: int32 major, minor, revision; the images
seen in training, 32 bits before version 0.2 and 64 from there on; then for each convolution biases, with batch norm
scales, means and variances, and the kernel as (filters, channels / groups, size, size); for each weighted shortcut its
weights as (1 + others, 1 or channels). The file names neither its network nor the layers' sizes, so its length is the
one sign of belonging to a cfg, and it is held to the byte.
Pure, but for opening the file it is given.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from inference.darknet.layers import Convolution, Network, Normalization, Shortcut

Array = npt.NDArray[np.float32]

BATCH_NORM_EPSILON: Final = 1e-6
"""Added to the variance under the root, as OpenCV's Darknet reader does, with which our outputs are compared.

The Darknets disagree: sqrt(variance) + 1e-6 in pjreddie's blas.c, sqrt(variance + 1e-5) in AlexeyAB's. It matters
only to channels whose variance is about as small.
"""

MAX_NUMBER: Final = 1e15
"""No trained number comes near it; up to it, folding stays within float32: 1e15 * 1e15 / sqrt(BATCH_NORM_EPSILON)."""

_VERSION: Final = struct.Struct("<iii")
_VALUE_BYTES: Final = 4


class WeightsError(Exception):
    """A weights file that cannot be used with this cfg.

    The byte counts are None where the size is not the fault; `offset` is of the faulty number, in bytes from the file's
    start, None where none is to blame.
    """

    def __init__(
        self,
        path: Path,
        message: str,
        *,
        expected_bytes: int | None = None,
        actual_bytes: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.expected_bytes = expected_bytes
        self.actual_bytes = actual_bytes
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the numbers: the format's version and the images seen in training."""

    major: int = 0
    minor: int = 2
    revision: int = 5
    seen: int = 0

    @property
    def has_long_seen(self) -> bool:
        """Whether `seen` has 64 bits: from version 0.2 on (Darknet: major * 10 + minor >= 2)."""
        return self.major * 10 + self.minor >= 2

    @property
    def size_bytes(self) -> int:
        """How long the header is."""
        return _VERSION.size + (8 if self.has_long_seen else 4)


@dataclass(frozen=True, slots=True, eq=False)
class BatchNorm:
    """Its statistics and scale, each float32 (filters,)."""

    scales: Array
    means: Array
    variances: Array


@dataclass(frozen=True, slots=True, eq=False)
class ConvolutionWeights:
    """One convolution: biases (filters,), kernel (filters, channels / groups, size, size), both float32."""

    biases: Array
    batch_norm: BatchNorm | None
    kernel: Array


@dataclass(frozen=True, slots=True, eq=False)
class FoldedWeights:
    """A convolution with its batch norm worked in: kernel as in ConvolutionWeights, biases (filters,), both float32."""

    kernel: Array
    biases: Array


@dataclass(frozen=True, slots=True, eq=False)
class DarknetWeights:
    """A whole file; one item for each of the network's convolutions and weighted shortcuts."""

    header: Header
    convolutions: tuple[ConvolutionWeights, ...]
    shortcuts: tuple[Array, ...] = ()
    """Each float32 (1 + others, 1 or channels), as they stand in the file: not normalized."""


def expected_bytes(network: Network, header: Header) -> int:
    """How long a weights file of this network is."""
    return header.size_bytes + _VALUE_BYTES * sum(layer.values for layer in network.weighted)


def read_weights(path: Path, network: Network) -> DarknetWeights:
    """The weights in the file. The size is checked before the content is read.

    Raises WeightsError, and OSError where the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_VERSION.size + 8)
        actual_bytes = file.seek(0, 2)
        header = _header(head, actual_bytes, path, network)
        _check_size(actual_bytes, path, network, header)
        file.seek(0)
        return split_weights(file.read(actual_bytes), network, path)


def zero_weights(network: Network) -> DarknetWeights:
    """Weights of the right shapes, all of them 0, without batch norm: for whoever puts others in their place."""
    return DarknetWeights(
        Header(),
        tuple(
            ConvolutionWeights(
                np.zeros(layer.shape.channels, np.float32), None, np.zeros(_kernel_shape(layer), np.float32)
            )
            for layer in network.convolutions
        ),
        tuple(np.zeros(layer.weights_shape, np.float32) for layer in network.weighted if isinstance(layer, Shortcut)),
    )


def check_size(path: Path, network: Network) -> None:
    """Raises WeightsError unless the file has the length that this network wants; reads no more than its header."""
    with path.open("rb") as file:
        head = file.read(_VERSION.size + 8)
        actual_bytes = file.seek(0, 2)
    _check_size(actual_bytes, path, network, _header(head, actual_bytes, path, network))


def split_weights(content: bytes, network: Network, path: Path) -> DarknetWeights:
    """The weights in a file's content; the arrays are views of it. `path` only names it in errors.

    Raises WeightsError.
    """
    header = _header(content[: _VERSION.size + 8], len(content), path, network)
    _check_size(len(content), path, network, header)
    values = np.frombuffer(content, dtype="<f4", offset=header.size_bytes)
    convolutions: list[ConvolutionWeights] = []
    shortcuts: list[Array] = []
    start = 0
    for layer in network.weighted:
        part = values[start : start + layer.values]
        offset = header.size_bytes + _VALUE_BYTES * start
        start += layer.values
        # Not a number compares false with anything.
        if not (part.min() >= -MAX_NUMBER and part.max() <= MAX_NUMBER):
            with np.errstate(invalid="ignore"):
                first = int(np.argmin(np.abs(part) <= MAX_NUMBER))
            raise _damaged(path, network, layer, f"{part[first]} is no trained number", offset + _VALUE_BYTES * first)
        if isinstance(layer, Shortcut):
            shortcuts.append(part.reshape(layer.weights_shape))
            continue
        convolutions.append(_split_convolution(part, layer))
        norm = convolutions[-1].batch_norm
        if norm and norm.variances.min() < 0:
            first = 3 * len(norm.variances) + int(np.argmin(norm.variances))
            raise _damaged(path, network, layer, "a negative variance", offset + _VALUE_BYTES * first)
    return DarknetWeights(header, tuple(convolutions), tuple(shortcuts))


def write_weights(
    path: Path,
    network: Network,
    convolutions: Sequence[ConvolutionWeights],
    header: Header | None = None,
    shortcuts: Sequence[Array] = (),
) -> None:
    """Writes a file that Darknet, OpenCV and `read_weights` can read. Raises ValueError where shapes are wrong."""
    header = header or Header()
    given = {layer.index: _joined(item) for layer, item in zip(network.convolutions, convolutions, strict=True)}
    given |= {layer.index: [item] for layer, item in zip(network.shortcuts, shortcuts, strict=True)}
    with path.open("wb") as file:
        file.write(_VERSION.pack(header.major, header.minor, header.revision))
        file.write(struct.pack("<Q" if header.has_long_seen else "<I", header.seen))
        for layer in network.weighted:
            arrays = given[layer.index]
            if (size := sum(array.size for array in arrays)) != layer.values:
                raise ValueError(f"layer {layer.index} has {layer.values} values, {size} were given")
            for array in arrays:
                file.write(np.ascontiguousarray(array, "<f4").data)


def _joined(item: ConvolutionWeights) -> list[Array]:
    norm = item.batch_norm
    return [item.biases, *((norm.scales, norm.means, norm.variances) if norm else ()), item.kernel]


def normalized(weights: Array, normalization: Normalization) -> Array:
    """The factors that a weighted shortcut multiplies its maps with; shapes as in `DarknetWeights.shortcuts`.

    shortcut_multilayer_cpu in AlexeyAB's blas.c, its 0.0001 included.
    """
    if normalization == "none":
        return weights
    rising = weights.astype(np.float64)
    rising = np.maximum(rising, 0) if normalization == "relu" else np.exp(rising - rising.max(axis=0))
    factors: Array = (rising / (1e-4 + rising.sum(axis=0))).astype(np.float32)
    return factors


def fold_batch_norm(item: ConvolutionWeights) -> FoldedWeights:
    """The convolution that does the same without batch norm; its factors are worked out in float64."""
    if item.batch_norm is None:
        return FoldedWeights(item.kernel, item.biases)
    norm = item.batch_norm
    factors = norm.scales.astype(np.float64) / np.sqrt(norm.variances.astype(np.float64) + BATCH_NORM_EPSILON)
    biases = item.biases.astype(np.float64) - norm.means.astype(np.float64) * factors
    kernel = item.kernel * factors.astype(np.float32)[:, None, None, None]
    return FoldedWeights(kernel, biases.astype(np.float32))


def _header(head: bytes, actual_bytes: int, path: Path, network: Network) -> Header:
    if len(head) < _VERSION.size:
        raise _wrong_size(actual_bytes, expected_bytes(network, Header()), path, network)
    major, minor, revision = _VERSION.unpack_from(head)
    header = Header(major, minor, revision)
    if len(head) < header.size_bytes:
        raise _wrong_size(actual_bytes, expected_bytes(network, header), path, network)
    (seen,) = struct.unpack_from("<Q" if header.has_long_seen else "<I", head, _VERSION.size)
    return Header(major, minor, revision, seen)


def _check_size(actual_bytes: int, path: Path, network: Network, header: Header) -> None:
    expected = expected_bytes(network, header)
    if actual_bytes != expected:
        raise _wrong_size(actual_bytes, expected, path, network)


def _wrong_size(actual: int, expected: int, path: Path, network: Network) -> WeightsError:
    fault = "too short" if actual < expected else "too long"
    message = (
        f"{actual} bytes, but {network.path} wants {expected}: the file is {fault}, "
        "that is cut off, damaged or for another cfg"
    )
    return WeightsError(path, message, expected_bytes=expected, actual_bytes=actual)


def _damaged(path: Path, network: Network, layer: Convolution | Shortcut, fault: str, offset: int) -> WeightsError:
    where = f"at byte {offset}, in layer {layer.index} ({network.path}:{layer.line})"
    message = f"{fault} {where}: the file is damaged or for another cfg of the same size"
    return WeightsError(path, message, offset=offset)


def _split_convolution(values: Array, layer: Convolution) -> ConvolutionWeights:
    filters = layer.shape.channels
    rows = 4 if layer.batch_normalize else 1
    biases, *norm = values[: rows * filters].reshape(rows, filters)
    kernel = values[rows * filters :].reshape(_kernel_shape(layer))
    return ConvolutionWeights(biases, BatchNorm(*norm) if norm else None, kernel)


def _kernel_shape(layer: Convolution) -> tuple[int, int, int, int]:
    size = layer.window.size
    return layer.shape.channels, layer.source_shape.channels // layer.groups, size, size
