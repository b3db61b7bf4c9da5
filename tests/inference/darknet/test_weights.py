import math
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.darknet.layers import Network
from inference.darknet.weights import (
    MAX_NUMBER,
    BatchNorm,
    ConvolutionWeights,
    Header,
    WeightsError,
    expected_bytes,
    fold_batch_norm,
    normalized,
    read_weights,
    split_weights,
    write_weights,
)
from tests.inference.darknet_examples import (
    DARKNET_CFG,
    SMALL_CFG,
    network_of,
    random_convolutions,
    random_shortcuts,
)


@pytest.fixture
def network() -> Network:
    return network_of(SMALL_CFG)


def assert_same(read: ConvolutionWeights, written: ConvolutionWeights) -> None:
    np.testing.assert_array_equal(read.biases, written.biases)
    np.testing.assert_array_equal(read.kernel, written.kernel)
    assert (read.batch_norm is None) == (written.batch_norm is None)
    if read.batch_norm and written.batch_norm:
        np.testing.assert_array_equal(read.batch_norm.scales, written.batch_norm.scales)
        np.testing.assert_array_equal(read.batch_norm.means, written.batch_norm.means)
        np.testing.assert_array_equal(read.batch_norm.variances, written.batch_norm.variances)


@pytest.mark.parametrize(
    ("header", "size_bytes"),
    [(Header(0, 1, 0, 7), 16), (Header(0, 2, 5, 1 << 40), 20), (Header(1, 0, 0, 1 << 40), 20)],
)
def test_what_is_written_is_read(tmp_path: Path, network: Network, header: Header, size_bytes: int):
    path = tmp_path / "small.weights"
    convolutions = random_convolutions(network)
    write_weights(path, network, convolutions, header)
    weights = read_weights(path, network)
    assert path.stat().st_size == expected_bytes(network, header)
    assert header.size_bytes == size_bytes
    assert weights.header == header
    for read, written in zip(weights.convolutions, convolutions, strict=True):
        assert_same(read, written)


def test_numbers_stand_in_darknets_order():
    network = network_of(
        "[net]\n[convolutional]\nbatch_normalize=1\nfilters=6\nactivation=linear\n[yolo]\nclasses=1\nanchors=4,8\n",
        (8, 8),
    )
    content = struct.pack("<iiiQ", 0, 2, 5, 0) + np.arange(6 * 4 + 6 * 3, dtype="<f4").tobytes()
    (item,) = split_weights(content, network, Path("x.weights")).convolutions
    assert item.biases.tolist() == [0, 1, 2, 3, 4, 5]
    assert item.batch_norm is not None
    assert item.batch_norm.scales.tolist() == [6, 7, 8, 9, 10, 11]
    assert item.batch_norm.means.tolist() == [12, 13, 14, 15, 16, 17]
    assert item.batch_norm.variances.tolist() == [18, 19, 20, 21, 22, 23]
    assert item.kernel.shape == (6, 3, 1, 1)
    assert item.kernel[1].ravel().tolist() == [27, 28, 29]


@pytest.mark.parametrize("change", [-4, -1, 1, 4, 1000])
def test_a_file_of_another_size_is_refused_with_both_byte_counts(tmp_path: Path, network: Network, change: int):
    path = tmp_path / "other.weights"
    write_weights(path, network, random_convolutions(network))
    expected = path.stat().st_size
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(WeightsError) as caught:
        read_weights(path, network)
    assert (caught.value.expected_bytes, caught.value.actual_bytes) == (expected, expected + change)
    assert f"{path}: {expected + change} bytes, but test.cfg wants {expected}" in str(caught.value)
    assert ("too short" if change < 0 else "too long") in str(caught.value)


@pytest.mark.parametrize("size", [0, 1, 11, 12, 15, 16, 19, 20])
def test_a_file_cut_in_its_header_is_refused(tmp_path: Path, network: Network, size: int):
    path = tmp_path / "cut.weights"
    path.write_bytes(
        Header().size_bytes.to_bytes(1) + bytes(19) if size == 20 else struct.pack("<iiiQ", 0, 2, 5, 0)[:size]
    )
    with pytest.raises(WeightsError, match="too short") as caught:
        read_weights(path, network)
    assert caught.value.actual_bytes == size


def test_weights_of_another_cfg_are_refused(tmp_path: Path, network: Network):
    other = network_of(SMALL_CFG.replace("filters=16", "filters=8"))
    path = tmp_path / "other.weights"
    write_weights(path, other, random_convolutions(other))
    with pytest.raises(WeightsError, match="too short"):
        read_weights(path, network)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 3e38, -1e16])
def test_damaged_numbers_are_refused_with_layer_and_offset(tmp_path: Path, network: Network, number: float):
    path = tmp_path / "damaged.weights"
    convolutions = random_convolutions(network)
    biases = convolutions[1].biases.copy()
    biases[3] = number
    write_weights(path, network, [convolutions[0], replace(convolutions[1], biases=biases), *convolutions[2:]])
    with pytest.raises(WeightsError, match=r"is no trained number at byte \d+, in layer 1 \(test\.cfg:1\d\)") as caught:
        read_weights(path, network)
    # The header, layer 0 (8 filters of 3x3x3, batch norm), three biases.
    assert caught.value.offset == 20 + 4 * (8 * 4 + 8 * 27) + 4 * 3
    assert path.read_bytes()[caught.value.offset :][:4] == np.float32(number).tobytes()


def test_a_negative_variance_is_refused_with_layer_and_offset(tmp_path: Path, network: Network):
    path = tmp_path / "damaged.weights"
    convolutions = random_convolutions(network)
    norm = convolutions[0].batch_norm
    assert norm is not None
    variances = norm.variances.copy()
    variances[5] = -1
    write_weights(
        path, network, [replace(convolutions[0], batch_norm=replace(norm, variances=variances)), *convolutions[1:]]
    )
    with pytest.raises(WeightsError, match="negative variance at byte 136, in layer 0") as caught:
        read_weights(path, network)
    assert caught.value.offset == 136 == 20 + 4 * (3 * 8 + 5)


def test_the_largest_numbers_fold_into_finite_ones():
    large = np.full(2, MAX_NUMBER, np.float32)
    kernel = np.full((2, 1, 1, 1), MAX_NUMBER, np.float32)
    folded = fold_batch_norm(ConvolutionWeights(large, BatchNorm(large, -large, np.zeros(2, np.float32)), kernel))
    assert np.isfinite(folded.kernel).all()
    assert np.isfinite(folded.biases).all()


@pytest.mark.parametrize("header", [Header(0, 1, 0, 7), Header(0, 2, 5, 1 << 40)])
def test_shortcut_weights_stand_between_their_neighbours(tmp_path: Path, header: Header):
    network = network_of(DARKNET_CFG)
    path = tmp_path / "shortcuts.weights"
    convolutions, shortcuts = random_convolutions(network), random_shortcuts(network)
    write_weights(path, network, convolutions, header, shortcuts)
    weights = read_weights(path, network)
    assert path.stat().st_size == expected_bytes(network, header)
    assert weights.header == header
    for read, written in zip(weights.convolutions, convolutions, strict=True):
        assert_same(read, written)
    for array, original in zip(weights.shortcuts, shortcuts, strict=True):
        np.testing.assert_array_equal(array, original)
    # Three 1x1 convolutions with biases (6 filters of 3 channels, 4 of 6, 5 of 4) come before the first shortcut.
    start = header.size_bytes + 4 * (6 + 18 + 4 + 24 + 5 + 20)
    np.testing.assert_array_equal(np.frombuffer(path.read_bytes()[start : start + 60], "<f4"), shortcuts[0].ravel())
    with pytest.raises(ValueError, match="shorter"):
        write_weights(path, network, convolutions, header, shortcuts[:2])


def test_shortcut_factors_are_darknets():
    weights = np.array([[1.0, -1.0], [3.0, 0.0]], np.float32)
    np.testing.assert_array_equal(normalized(weights, "none"), weights)
    np.testing.assert_allclose(normalized(weights, "relu"), [[1 / 4.0001, 0], [3 / 4.0001, 0]], rtol=1e-6)
    first, second = math.exp(-2) / (1.0001 + math.exp(-2)), math.exp(-1) / (1.0001 + math.exp(-1))
    expected = [[first, second], [1 / (1.0001 + math.exp(-2)), 1 / (1.0001 + math.exp(-1))]]
    np.testing.assert_allclose(normalized(weights, "softmax"), expected, rtol=1e-6)


def test_the_writer_refuses_other_shapes(tmp_path: Path, network: Network):
    convolutions = random_convolutions(network)
    with pytest.raises(ValueError, match="layer 0 has"):
        write_weights(tmp_path / "x.weights", network, [convolutions[1], *convolutions[1:]])


def test_batch_norm_folds_into_kernel_and_biases():
    rng = np.random.default_rng(3)
    scales, means, biases = (rng.standard_normal(5).astype(np.float32) for _ in range(3))
    variances = np.array([0, 1e-6, 0.1, 1, 50], np.float32)
    kernel = rng.standard_normal((5, 2, 3, 3)).astype(np.float32)
    patch = rng.standard_normal((2, 3, 3))
    folded = fold_batch_norm(ConvolutionWeights(biases, BatchNorm(scales, means, variances), kernel))
    convolved = np.einsum("fcyx,cyx->f", kernel.astype(np.float64), patch)
    expected = scales * (convolved - means) / np.sqrt(variances + 1e-6) + biases
    actual = np.einsum("fcyx,cyx->f", folded.kernel.astype(np.float64), patch) + folded.biases
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    assert folded.kernel.dtype == folded.biases.dtype == np.float32


def test_without_batch_norm_nothing_is_folded():
    plain = ConvolutionWeights(np.ones(2, np.float32), None, np.ones((2, 1, 1, 1), np.float32))
    folded = fold_batch_norm(plain)
    assert folded.kernel is plain.kernel
    assert folded.biases is plain.biases
