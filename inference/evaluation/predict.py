"""The plain way to run a model, which engines are compared with: Keras's own `model.predict`, image after image.

As the project began in 2019, and as most programs do it. Imports keras.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from inference.darknet.build import build_model
from inference.decode import Floats
from inference.engine import EngineOptions, MemoryUse, ModelFiles, resident_mib
from inference.model import read_model


class Predict:
    """A Keras model, called by `predict`. See `inference.loading.Backend`."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def run(self, images: npt.NDArray[np.uint8]) -> Sequence[Floats]:
        maps = self._model.predict(images.astype(np.float32) * np.float32(1 / 255), verbose=0)
        return maps if isinstance(maps, list) else [maps]

    def memory_mib(self) -> MemoryUse:
        return MemoryUse(resident_mib(), None, None)


def load(files: ModelFiles, options: EngineOptions) -> Predict:
    """Reads and builds the model, on the CPU in float32 whatever else the options say. Raises ModelUnusable."""
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.set_visible_devices([], "GPU")
    model = read_model(files, options.input_wh)
    return Predict(build_model(model.network, model.weights))
