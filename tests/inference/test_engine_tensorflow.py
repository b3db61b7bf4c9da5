"""What is TensorFlow's own: its device, its threads, and its many ways to run out of memory.

One CPU thread in every test of a process: TensorFlow sets its threads once.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from inference.engine import DeviceUnavailable, EngineFailed, EngineOptions, OutOfMemory
from inference.engine_tensorflow import TensorFlowBackend, load

pytestmark = pytest.mark.slow

IMAGE = np.zeros((1, 32, 32, 3), np.uint8)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(DeviceUnavailable, match="CUDA_VISIBLE_DEVICES"):
        load(tmp_path, EngineOptions((32, 32), device="gpu"))


def test_threads_that_cannot_be_set_any_more_are_told(tmp_path: Path):
    tf.zeros(())
    with pytest.raises(EngineFailed, match="cannot be modified after initialization"):
        load(tmp_path, EngineOptions((32, 32), threads=7))


def too_much(images: tf.Tensor) -> object:
    """4 TiB."""
    return [tf.tile(tf.cast(images[0, :1, :1, 0], tf.float32), [1 << 20, 1 << 20])]


def raising(error: Exception) -> Callable[[object], object]:
    def graph(images: object) -> object:
        raise error

    return graph


@pytest.mark.parametrize(
    "graph",
    [
        too_much,
        raising(MemoryError()),
        raising(TypeError("Binding inputs to tf.function failed due to 'Unable to allocate 63.4 MiB for an array'")),
        raising(tf.errors.InternalError(None, None, "failed to allocate 1.51G from device: CUDA_ERROR_OUT_OF_MEMORY")),
        raising(tf.errors.UnknownError(None, None, "Could not create cudnn handle: CUDNN_STATUS_NOT_INITIALIZED")),
        raising(RuntimeError("can't start new thread")),
    ],
)
def test_running_out_of_memory_is_known_in_all_its_forms(graph: Callable[[object], object]):
    with pytest.raises(OutOfMemory) as caught:
        TensorFlowBackend(graph, EngineOptions((32, 32))).run(IMAGE)
    assert caught.value.__cause__ is not None


def test_another_failure_of_the_framework_is_not_taken_for_memory():
    graph = raising(tf.errors.InvalidArgumentError(None, None, "shapes differ\nand more"))
    with pytest.raises(EngineFailed, match=r"^InvalidArgumentError: shapes differ$"):
        TensorFlowBackend(graph, EngineOptions((32, 32))).run(IMAGE)
