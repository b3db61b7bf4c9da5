"""Darknet's `.weights` files: a header, then the float32 numbers of each convolution in the cfg's order.

Layout as Darknet's `load_weights_upto` (parser.c) reads it, little-endian: int32 major, minor, revision; the images
seen in training, 32 bits before version 0.2 and 64 from there on; then for each convolution biases, with batch norm
scales, means and variances, and the kernel as (filters, channels / groups, size, size). The file names neither its
network nor the layers' sizes, so its length is the one sign of belonging to a cfg, and it is held to the byte.
Pure, but for opening the file it is given.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from inference.darknet.layers import Convolution, Network

Array = npt.NDArray[np.float32]

BATCH_NORM_EPSILON: Final = 1e-6
"""Added to the variance under the root, as OpenCV's Darknet reader does, with which our outputs are compared.

The Darknets disagree: sqrt(variance) + 1e-6 in pjreddie's blas.c, sqrt(variance + 1e-5) in AlexeyAB's. It matters
only to channels whose variance is about as small.
"""

_VERSION: Final = struct.Struct("<iii")
_VALUE_BYTES: Final = 4


class WeightsError(Exception):
    """A weights file that cannot be used with this cfg. The byte counts are None where the size is not the fault."""

    def __init__(
        self, path: Path, message: str, *, expected_bytes: int | None = None, actual_bytes: int | None = None
    ) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.expected_bytes = expected_bytes
        self.actual_bytes = actual_bytes


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
    """A whole file; one item for each of the network's convolutions."""

    header: Header
    convolutions: tuple[ConvolutionWeights, ...]


def expected_bytes(network: Network, header: Header) -> int:
    """How long a weights file of this network is."""
    return header.size_bytes + _VALUE_BYTES * sum(layer.values for layer in network.convolutions)


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
    start = 0
    for layer in network.convolutions:
        part = values[start : start + layer.values]
        start += layer.values
        if not np.isfinite(part).all():
            raise _damaged(path, network, layer, "numbers that are not finite")
        convolutions.append(_split_convolution(part, layer))
        norm = convolutions[-1].batch_norm
        if norm and norm.variances.min() < 0:
            raise _damaged(path, network, layer, "a negative variance")
    return DarknetWeights(header, tuple(convolutions))


def write_weights(
    path: Path, network: Network, convolutions: Sequence[ConvolutionWeights], header: Header | None = None
) -> None:
    """Writes a file that Darknet, OpenCV and `read_weights` can read. Raises ValueError where shapes are wrong."""
    header = header or Header()
    with path.open("wb") as file:
        file.write(_VERSION.pack(header.major, header.minor, header.revision))
        file.write(struct.pack("<Q" if header.has_long_seen else "<I", header.seen))
        for layer, item in zip(network.convolutions, convolutions, strict=True):
            norm = item.batch_norm
            arrays = [item.biases, *((norm.scales, norm.means, norm.variances) if norm else ()), item.kernel]
            values = np.concatenate([array.ravel() for array in arrays])
            if values.size != layer.values:
                raise ValueError(f"layer {layer.index} has {layer.values} values, {values.size} were given")
            file.write(values.astype("<f4").tobytes())


def fold_batch_norm(item: ConvolutionWeights) -> FoldedWeights:
    """The convolution that does the same without batch norm; worked out in float64."""
    if item.batch_norm is None:
        return FoldedWeights(item.kernel, item.biases)
    norm = item.batch_norm
    factors = norm.scales.astype(np.float64) / np.sqrt(norm.variances.astype(np.float64) + BATCH_NORM_EPSILON)
    biases = item.biases.astype(np.float64) - norm.means.astype(np.float64) * factors
    kernel = item.kernel * factors[:, None, None, None]
    return FoldedWeights(kernel.astype(np.float32), biases.astype(np.float32))


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


def _damaged(path: Path, network: Network, layer: Convolution, fault: str) -> WeightsError:
    where = f"layer {layer.index} ({network.path}:{layer.line})"
    return WeightsError(path, f"{fault} in {where}: the file is damaged or for another cfg of the same size")


def _split_convolution(values: Array, layer: Convolution) -> ConvolutionWeights:
    filters = layer.shape.channels
    rows = 4 if layer.batch_normalize else 1
    biases, *norm = values[: rows * filters].reshape(rows, filters)
    channels, size = layer.source_shape.channels // layer.groups, layer.window.size
    kernel = values[rows * filters :].reshape(filters, channels, size, size)
    return ConvolutionWeights(biases, BatchNorm(*norm) if norm else None, kernel)
