"""What a process that runs the model is told of it, and the environment in which it does: workers, and those that look
at recorded footage. Pure.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from capture.messages import Load
from daemon.devices import Device, DeviceKind
from daemon.modelrun import ModelRun
from daemon.settings import Settings

_NO_GPU = "-1"


def load_of(
    run: ModelRun,
    settings: Settings,
    device: Device,
    *,
    batch: int,
    threads: int,
    score: float,
    memory_mode: Literal["fraction", "growth", "all"],
    memory_limit_mib: int | None,
) -> Load:
    """Return the first message; ``score`` is the lowest that any camera wants."""
    canvas = settings.mosaic.canvas
    return Load(
        engine=run.engine,
        precision=run.precision,
        input=run.input,
        cfg=str(run.files.cfg),
        weights=str(run.files.weights),
        names=str(run.files.names),
        cache_dir=str(settings.cache_folder),
        canvas_wh=(canvas.width, canvas.height),
        batch=batch,
        threads=threads,
        on_gpu=device.kind is DeviceKind.GPU,
        memory_mode=memory_mode,
        memory_limit_mib=memory_limit_mib,
        score=max(0.01, score),
        iou=settings.model.iou,
        stale_s=settings.mosaic.stale_s,
    )


def environ_of(inherited: Mapping[str, str], device: Device, *, threads: int, keras_home: Path) -> dict[str, str]:
    """Return the environment; Keras, which builds the graph, writes to ``keras_home``: a user may have no home."""
    return {
        **inherited,
        "CUDA_VISIBLE_DEVICES": visible(device),
        # At 2 or more TensorFlow hides the evidence of how it died.
        "TF_CPP_MIN_LOG_LEVEL": "1",
        "OMP_NUM_THREADS": str(threads),
        "KERAS_HOME": str(keras_home),
    }


def visible(device: Device) -> str:
    """Return what CUDA is to see of the machine."""
    return device.uuid if device.kind is DeviceKind.GPU else _NO_GPU
