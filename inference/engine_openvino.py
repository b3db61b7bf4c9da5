"""The engine that runs a detector on OpenVINO: what `auto` takes on an x86 CPU.

The Keras model is built by Keras's own OpenVINO backend, channels first (as OpenVINO computes; channels last would put
two transpositions around every convolution), and kept as OpenVINO IR. The worker reads that and knows neither Keras nor
TensorFlow.
OpenVINO reports to its makers, over the Internet, that it was imported; not from here. Whoever imports it in this
project imports this module first.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # it does without, then

import openvino as ov  # noqa: E402
from openvino.preprocess import PrePostProcessor  # noqa: E402

from inference.decode import Floats  # noqa: E402
from inference.engine import EngineFailed, EngineOptions, MemoryUse, OutOfMemory, resident_mib  # noqa: E402
from inference.forms import Form  # noqa: E402
from inference.model import Model, keras_model  # noqa: E402

GRAPH: Final = "model.xml"

_PRECISIONS: Final = {"float32": "f32", "bfloat16": "bf16"}
_OUT_OF_MEMORY: Final = re.compile(
    r"bad_alloc|[Cc]an('t|not) alloc|[Ff]ailed to allocate|[Oo]ut of memory|could not create a memory"
)
"""What running out of memory also looks like, in messages of RuntimeError."""


def export(model: Model, folder: Path, form: Form) -> None:
    """Writes the graph, uint8 images (n, height, width, 3) to raw maps (n, rows, columns, channels), n left open.

    Its weights are constants, whatever `form` says.

    In a process whose Keras runs on the OpenVINO backend. Raises EngineFailed.
    """
    import keras

    keras.config.set_image_data_format("channels_first")
    raw = folder / "raw.xml"
    with _translated():
        keras_model(model).export(str(raw), format="openvino", verbose=False)
        core = ov.Core()
        graph = core.read_model(raw)
        shape = model.network.input_shape
        graph.reshape([-1, shape.channels, shape.height, shape.width])
        ov.save_model(_with_images(graph), folder / GRAPH, compress_to_fp16=False)
    for part in (raw, raw.with_suffix(".bin")):
        part.unlink()


def _with_images(graph: Any) -> Any:
    """The graph with conversion to 0..1, and with channels last outside."""
    steps = PrePostProcessor(graph)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).scale(255.0)
    steps.input().model().set_layout(ov.Layout("NCHW"))
    for index in range(len(graph.outputs)):
        steps.output(index).model().set_layout(ov.Layout("NCHW"))
        steps.output(index).tensor().set_layout(ov.Layout("NHWC"))
    return steps.build()


class OpenVinoBackend:
    """The graph, compiled once for each number of images. See `inference.loading.Backend`."""

    def __init__(self, core: Any, graph: Any, options: EngineOptions) -> None:
        self._core = core
        self._graph = graph
        self._options = options
        self._requests: dict[int, Any] = {}

    def run(self, images: npt.NDArray[np.uint8]) -> list[Floats]:
        with _translated():
            request = self._requests.get(len(images)) or self.compile(len(images))
            request.infer([images], share_inputs=True, share_outputs=True)
            return [output.data for output in request.output_tensors]

    def memory_mib(self) -> MemoryUse:
        return MemoryUse(resident_mib(), None, None)

    def compile(self, images: int) -> Any:
        """The request for exactly so many images."""
        width, height = self._options.input_wh
        graph = self._graph.clone()
        graph.reshape([images, height, width, 3])
        compiled = self._core.compile_model(
            graph,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _PRECISIONS[self._options.precision],
                "INFERENCE_NUM_THREADS": self._options.threads,
                "NUM_STREAMS": 1,
                # Several workers of one thread each would all be pinned to the first core.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._requests[images] = compiled.create_infer_request()
        return self._requests[images]


def load(folder: Path, options: EngineOptions) -> OpenVinoBackend:
    """Reads the graph that `export` wrote. Raises OutOfMemory, EngineFailed."""
    with _translated():
        core = ov.Core()
        backend = OpenVinoBackend(core, core.read_model(folder / GRAPH), options)
        backend.compile(options.batch)  # only now it shows whether the graph is whole
        return backend


@contextmanager
def _translated() -> Iterator[None]:
    """Turns what OpenVINO raises into EngineErrors."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(f"OpenVINO: {error}") from error
    except RuntimeError as error:
        kind = OutOfMemory if _OUT_OF_MEMORY.search(str(error)) else EngineFailed
        raise kind(f"OpenVINO: {' '.join(str(error).split())[:500]}") from error
