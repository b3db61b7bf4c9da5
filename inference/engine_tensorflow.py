"""The engine that runs a detector on TensorFlow; with `darknet.build` the only module that imports tensorflow or keras.

The Keras model becomes one graph of fixed shape, so that TensorFlow folds bias and activation into the convolutions and
a call costs no Python beyond its own.
Order matters: threads and memory limits are set before TensorFlow touches a device, in `_start`. What belongs into the
environment (CUDA_VISIBLE_DEVICES, TF_CPP_MIN_LOG_LEVEL) is set by whoever spawns the process.
"""

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from inference.darknet.build import build_model
from inference.darknet.layers import Head
from inference.darknet.weights import expected_bytes
from inference.decode import Suppression, decode_image
from inference.engine import (
    Detections,
    DeviceUnavailable,
    EngineFailed,
    EngineOptions,
    MemoryUse,
    ModelFiles,
    OutOfMemory,
    resident_mib,
)
from inference.model import Model, read_model

MAX_FROZEN_BYTES: Final = 16 << 20
"""Weights up to so many bytes become constants of the graph.

Measured on one core, float32: freezing saves 2 % of a call's time, and costs 60 MB for yolo-fastest-1.1-xl (4 MB of
weights), but 4 GB and 25 s for YOLOv3 (248 MB), since TensorFlow copies constants at each step of optimizing a graph.
"""

Compiled = Callable[[Any], Any]
"""A uint8 tensor of images to a list of raw maps, one a head."""

_OUT_OF_MEMORY: Final = re.compile(
    r"Unable to allocate|CUDA_ERROR_OUT_OF_MEMORY|CUDNN_STATUS_|CUBLAS_STATUS_(NOT_INITIALIZED|ALLOC_FAILED)"
    r"|[Cc]ould not create cud?nn handle|Failed to get convolution algorithm|Dst tensor is not initialized"
    r"|failed to allocate|Insufficient memory|[Oo]ut of memory|OOM when allocating|can't start new thread"
)
"""What running out of memory also looks like, in messages of exceptions of any type."""


class TensorFlowEngine:
    """A detector on its device. See `inference.engine.Engine`."""

    def __init__(
        self, graph: Compiled, heads: tuple[Head, ...], labels: tuple[str, ...], options: EngineOptions
    ) -> None:
        self._graph = graph
        self._heads = heads
        self._labels = labels
        self._options = options
        width, height = options.input_wh
        self._shape = (options.batch, height, width, 3)
        self._suppression = Suppression(options.score_threshold, options.iou_threshold, options.max_detections)

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    @property
    def options(self) -> EngineOptions:
        return self._options

    def detect(self, images: npt.NDArray[np.uint8]) -> list[Detections]:
        if images.shape != self._shape or images.dtype != np.uint8:
            raise ValueError(f"images are {images.dtype} {images.shape}, the engine takes uint8 {self._shape}")
        with _translated():
            maps = [tensor.numpy() for tensor in self._graph(tf.constant(images))]
            return [
                decode_image([raw[item] for raw in maps], self._heads, self._options.input_wh, self._suppression)
                for item in range(self._options.batch)
            ]

    def memory_mib(self) -> MemoryUse:
        if self._options.device == "cpu":
            return MemoryUse(resident_mib(), None, None)
        use = tf.config.experimental.get_memory_info("GPU:0")
        return MemoryUse(resident_mib(), use["current"] / 2**20, use["peak"] / 2**20)


def load(files: ModelFiles, options: EngineOptions) -> TensorFlowEngine:
    """Reads, builds and compiles the model. Raises EngineError."""
    model = read_model(files, options.input_wh)
    _start(options)
    with _translated():
        small = expected_bytes(model.network, model.weights.header) <= MAX_FROZEN_BYTES
        graph = compiled(model, options, freeze=small)
    heads, labels = model.network.heads, model.labels
    # What building leaves behind is as large as the weights and full of cycles: it should not wait for chance.
    del model
    gc.collect()
    return TensorFlowEngine(graph, heads, labels, options)


def _start(options: EngineOptions) -> None:
    """Sets threads and memory limit, then starts the device. Raises DeviceUnavailable, OutOfMemory, EngineFailed."""
    with _translated():
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        if options.device == "cpu":
            tf.config.set_visible_devices([], "GPU")
            return
        gpus = tf.config.list_physical_devices("GPU")
        if not gpus:
            raise DeviceUnavailable(
                "TensorFlow sees no GPU: check nvidia-smi, CUDA_VISIBLE_DEVICES and that the extra 'cuda' is installed"
            )
        tf.config.set_visible_devices(gpus[:1], "GPU")
        if options.memory_mode != "growth" and options.memory_limit_mib is not None:
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=options.memory_limit_mib)
            tf.config.set_logical_device_configuration(gpus[0], [limit])
        elif options.memory_mode == "growth":
            tf.config.experimental.set_memory_growth(gpus[0], True)
        if not tf.config.list_logical_devices("GPU"):
            raise DeviceUnavailable(f"the GPU {gpus[0].name} does not start")


def compiled(model: Model, options: EngineOptions, *, freeze: bool) -> Compiled:
    """The model as a TensorFlow graph of fixed shape: a uint8 tensor of images in, a list of raw maps out.

    Frozen, the weights are constants of the graph, otherwise variables beside it; the results are the same.
    """
    keras_model = build_model(model.network, model.weights, options.batch)
    width, height = options.input_wh
    signature = tf.TensorSpec((options.batch, height, width, 3), tf.uint8)

    def raw_maps(images: Any) -> Any:
        return tf.nest.flatten(keras_model(tf.cast(images, tf.float32) * (1 / 255), training=False))

    function = tf.function(raw_maps, input_signature=[signature], autograph=False)
    concrete = function.get_concrete_function()
    # A concrete function does not keep its variables alive; the function does, through raw_maps.
    graph: Compiled = convert_variables_to_constants_v2(concrete) if freeze else function
    return graph


@contextmanager
def _translated() -> Iterator[None]:
    """Turns what TensorFlow raises into EngineErrors.

    By type and by message: only part of running out of memory arrives as ResourceExhaustedError.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise OutOfMemory(_first_line(error)) from error
    except (tf.errors.OpError, cv2.error, TypeError, RuntimeError, ValueError) as error:
        kind = OutOfMemory if _OUT_OF_MEMORY.search(str(error)) else EngineFailed
        raise kind(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:500]}" if lines else type(error).__name__
