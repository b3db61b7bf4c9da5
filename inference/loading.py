"""Loads a model into an engine: from files to something that detects.

What the engines share is here: the graph comes from the cache or is built, images are checked, raw maps are decoded.
What differs between them sits in one module each, as a `Backend`.
"""

import re
import resource
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference import cache
from inference.darknet.layers import Head
from inference.decode import Floats, Suppression, decode_image
from inference.engine import (
    Detections,
    Engine,
    EngineFailed,
    EngineOptions,
    MemoryUse,
    ModelFiles,
    OutOfMemory,
)
from inference.engines import ENGINES
from inference.export import exported
from inference.model import inspect_model


class Backend(Protocol):
    """A compiled graph on its device."""

    def run(self, images: npt.NDArray[np.uint8]) -> Sequence[Floats]:
        """Raw maps of uint8 (n, height, width, 3) RGB images, one a head: float32 (n, rows, columns, channels).

        They may be overwritten by the next call. Raises OutOfMemory, EngineFailed.
        """

    def memory_mib(self) -> MemoryUse:
        """What the process holds now."""


class Detector:
    """A backend and the reading of its maps. See `inference.engine.Engine`."""

    def __init__(
        self, backend: Backend, heads: tuple[Head, ...], labels: tuple[str, ...], options: EngineOptions
    ) -> None:
        self._backend = backend
        self._heads = heads
        self._labels = labels
        self._options = options
        self._suppression = Suppression(options.score_threshold, options.iou_threshold, options.max_detections)

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    @property
    def options(self) -> EngineOptions:
        return self._options

    def detect(self, images: npt.NDArray[np.uint8]) -> list[Detections]:
        self._check(images)
        maps = self._backend.run(images)
        try:
            return [
                decode_image([raw[item] for raw in maps], self._heads, self._options.input_wh, self._suppression)
                for item in range(len(images))
            ]
        except MemoryError as error:
            raise OutOfMemory(str(error)) from error

    def memory_mib(self) -> MemoryUse:
        return self._backend.memory_mib()

    def _check(self, images: npt.NDArray[np.uint8]) -> None:
        width, height = self._options.input_wh
        most = self._options.batch
        if images.dtype != np.uint8 or images.shape[1:] != (height, width, 3) or not 1 <= len(images) <= most:
            wanted = f"uint8 (1 to {most}, {height}, {width}, 3)"
            raise ValueError(f"the engine takes {wanted}, these images are {images.dtype} {images.shape}")


def load_engine(name: str, files: ModelFiles, options: EngineOptions) -> Engine:
    """Loads the model into the named engine: in under a second to some, from the cache; the first time it is built.

    Call it once a process, before others load the framework. On the CPU `options.memory_limit_mib` becomes the limit of
    the process's data here, after building and before the framework is imported.

    Raises EngineError, or ValueError for a name that is not in ENGINES or a precision that it has not.
    """
    if name not in ENGINES:
        raise ValueError(f"no engine {name!r}; there are: {', '.join(sorted(ENGINES))}")
    if options.precision not in ENGINES[name].precisions.get(options.device, ()):
        raise ValueError(f"engine {name} has no {options.precision} on a {options.device}")
    network, labels = inspect_model(files, options.input_wh)
    return Detector(load_backend(name, files, options), network.heads, labels, options)


def load_backend(name: str, files: ModelFiles, options: EngineOptions) -> Backend:
    """The graph alone, as `load_engine` loads it. Raises EngineError."""
    memory_mib = options.memory_limit_mib if options.device == "cpu" else None
    with exported(name, files, options.input_wh, options.cache_dir, memory_mib) as graph:
        if memory_mib is not None:
            limit = memory_mib * 2**20
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        module = _imported(name)
        try:
            backend: Backend = module.load(graph, options)
        except EngineFailed:
            # Perhaps the graph was damaged on the disk; whoever starts next builds it anew.
            if options.cache_dir is not None:
                cache.drop(options.cache_dir, graph.name)
            raise
        return backend


def _imported(name: str) -> ModuleType:
    try:
        return import_module(ENGINES[name].module)
    except MemoryError as error:
        raise OutOfMemory(f"no memory to import the {name} engine") from error
    except (ImportError, OSError) as error:
        # The dynamic linker's words under a memory limit.
        kind = OutOfMemory if re.search("failed to map segment|[Cc]annot allocate", str(error)) else EngineFailed
        raise kind(f"the {name} engine does not import: {error}") from error
