"""What is OpenVINO's own: precision by load, and its ways to run out of memory."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.engine import EngineFailed, EngineOptions, OutOfMemory
from inference.engine_openvino import OpenVinoBackend
from inference.engines import NATIVE_BFLOAT16, cpu_flags
from inference.loading import load_engine
from tests.inference.darknet_examples import write_small_model


@pytest.mark.slow
@pytest.mark.skipif(
    not NATIVE_BFLOAT16 & cpu_flags(), reason="this CPU has no unit for bfloat16, so OpenVINO uses none"
)
def test_precision_changes_the_arithmetic_and_hardly_the_result(tmp_path: Path):
    files = write_small_model(tmp_path)
    image = np.random.default_rng(2).integers(0, 256, (1, 64, 96, 3), np.uint8)

    def best(precision: Any) -> np.ndarray:
        options = EngineOptions((96, 64), precision=precision, score_threshold=0.01, cache_dir=tmp_path)
        [found] = load_engine("openvino", files, options).detect(image)
        return found.scores[:3]

    exact, rounded = best("float32"), best("bfloat16")
    assert (exact != rounded).any()
    np.testing.assert_allclose(rounded, exact, rtol=0.1)


class Failing:
    """In place of a graph: whatever is asked of it fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def clone(self) -> object:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError("std::bad_alloc"), OutOfMemory),
        (RuntimeError("Exception from src/core: std::bad_alloc"), OutOfMemory),
        (RuntimeError("could not create a memory object"), OutOfMemory),
        # What OpenVINO said of YOLOv3 under limits of 200 and 300 MiB.
        (RuntimeError("Exception from src/inference/src/dev/plugin.cpp:54: can't alloc"), OutOfMemory),
        (RuntimeError("cpu_memory.cpp:257: Failed to allocate 4718592 bytes of memory"), OutOfMemory),
        (RuntimeError("shapes differ"), EngineFailed),
    ],
)
def test_failures_are_told_apart(error: Exception, kind: type[Exception]):
    backend = OpenVinoBackend(None, Failing(error), EngineOptions((32, 32)))
    with pytest.raises(kind) as caught:
        backend.run(np.zeros((1, 32, 32, 3), np.uint8))
    assert caught.value.__cause__ is error


@pytest.mark.slow
def test_nobody_is_told_that_openvino_was_imported():
    program = """
import sys
from inference import engine_openvino
import openvino
print([name for name in sys.modules if name.startswith("openvino_telemetry.")], openvino.Core().available_devices[:1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['CPU']"
