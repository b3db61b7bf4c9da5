"""The engine that runs a detector on TensorFlow: on GPUs, and where OpenVINO is not to be had.

The Keras model is kept as a SavedModel. Its weights are constants in its graph (a frozen graph) or variables beside it
(`inference.forms`): of YOLOv3, 248 MB, constants took 4.8 GB and 20 s at each start, variables 1 GB and 3 s.
Order matters: threads and memory limits are set before TensorFlow touches a device, in `_start`. What belongs into the
environment (CUDA_VISIBLE_DEVICES, TF_CPP_MIN_LOG_LEVEL) is set by whoever spawns the process.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from inference.decode import Floats
from inference.engine import (
    DeviceUnavailable,
    EngineFailed,
    EngineOptions,
    MemoryUse,
    OutOfMemory,
    resident_mib,
)
from inference.forms import Form
from inference.model import Model, keras_model

Graph = Callable[[Any], Any]
"""A uint8 tensor of images to a list of raw maps, one a head."""

_MIXED: Final = {
    ("cpu", "bfloat16"): "auto_mixed_precision_onednn_bfloat16",
    ("gpu", "float16"): "auto_mixed_precision",
}
"""Grappler's rewriting of the graph for each precision (tf.config.optimizer.set_experimental_options)."""
_OUT_OF_MEMORY: Final = re.compile(
    r"Unable to allocate|CUDA_ERROR_OUT_OF_MEMORY|CUDNN_STATUS_|CUBLAS_STATUS_(NOT_INITIALIZED|ALLOC_FAILED)"
    r"|[Cc]ould not create cud?nn handle|Failed to get convolution algorithm|Dst tensor is not initialized"
    r"|failed to allocate|Insufficient memory|[Oo]ut of memory|OOM when allocating|can't start new thread"
)
"""What running out of memory also looks like, in messages of exceptions of any type."""


def export(model: Model, folder: Path, form: Form) -> None:
    """Writes the graph, uint8 images (n, height, width, 3) to raw maps (n, rows, columns, channels), n left open.

    Raises OutOfMemory, EngineFailed.
    """
    import keras

    keras.config.set_image_data_format("channels_last")
    with _translated():
        built = keras_model(model)
        shape = model.network.input_shape
        signature = tf.TensorSpec((None, shape.height, shape.width, shape.channels), tf.uint8, name="images")

        def raw_maps(images: Any) -> Any:
            return tf.nest.flatten(built(tf.cast(images, tf.float32) * (1 / 255), training=False))

        module = tf.Module()
        module.raw_maps = tf.function(raw_maps, input_signature=[signature], autograph=False)
        if form == "constants":
            module.raw_maps = convert_variables_to_constants_v2(module.raw_maps.get_concrete_function())
        else:
            module.variables_kept = built.variables
        # Keras gives swish a gradient of its own, which a frozen graph has not and SavedModel would want to keep.
        tf.saved_model.save(
            module, str(folder), options=tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        )


class TensorFlowBackend:
    """The graph, compiled once for each number of images. See `inference.loading.Backend`."""

    def __init__(self, graph: Graph, options: EngineOptions, owner: object = None) -> None:
        self._graph = graph
        self._owner = owner  # of the graph's variables: a graph does not keep them alive
        self._options = options
        self._functions: dict[int, Graph] = {}

    def run(self, images: npt.NDArray[np.uint8]) -> list[Floats]:
        with _translated():
            function = self._functions.get(len(images)) or self._compile(len(images))
            return [raw.numpy() for raw in function(tf.constant(images))]

    def memory_mib(self) -> MemoryUse:
        if self._options.device == "cpu":
            return MemoryUse(resident_mib(), None, None)
        use = tf.config.experimental.get_memory_info("GPU:0")
        return MemoryUse(resident_mib(), use["current"] / 2**20, use["peak"] / 2**20)

    def _compile(self, images: int) -> Graph:
        """The graph for exactly so many images: it is inlined, so that TensorFlow knows all shapes."""
        width, height = self._options.input_wh
        signature = tf.TensorSpec((images, height, width, 3), tf.uint8)
        self._functions[images] = tf.function(self._graph, input_signature=[signature], autograph=False)
        return self._functions[images]


def load(folder: Path, options: EngineOptions) -> TensorFlowBackend:
    """Starts the device, then reads the graph that `export` wrote.

    Raises DeviceUnavailable, OutOfMemory, EngineFailed.
    """
    with _translated():
        _start(options)
        try:
            module = tf.saved_model.load(str(folder))
        except OSError as error:  # its word for a graph that it cannot parse
            raise EngineFailed(_first_line(error)) from error
        return TensorFlowBackend(module.raw_maps, options, module)


def _start(options: EngineOptions) -> None:
    """Sets threads, precision and memory limit, then starts the device. Raises DeviceUnavailable."""
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if rewriting := _MIXED.get((options.device, options.precision)):
        tf.config.optimizer.set_experimental_options({rewriting: True})
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


@contextmanager
def _translated() -> Iterator[None]:
    """Turns what TensorFlow raises into EngineErrors.

    By type and by message: only part of running out of memory arrives as ResourceExhaustedError.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise OutOfMemory(_first_line(error)) from error
    except (tf.errors.OpError, TypeError, RuntimeError, ValueError) as error:
        kind = OutOfMemory if _OUT_OF_MEMORY.search(str(error)) else EngineFailed
        raise kind(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:500]}" if lines else type(error).__name__
