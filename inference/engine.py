"""What an engine is: the thing that turns images into detections, and the ways in which it fails. Nouns only.

`inference.loading` makes one. An engine belongs to the thread that loaded it, and its process holds no other:
frameworks keep their limits a process.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

DeviceKind = Literal["cpu", "gpu"]
MemoryMode = Literal["fraction", "growth", "all"]
Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A Darknet detector: network definition, weights, class names."""

    cfg: Path
    weights: Path
    names: Path


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine runs; fixed for its life."""

    input_wh: tuple[int, int]
    """Width and height of the images in pixels, multiples of the model's stride."""
    batch: int = 1
    """The most images that a call brings; each number of images is compiled at its first call."""
    threads: int = 1
    """How many cores one call may use on the CPU."""
    device: DeviceKind = "cpu"
    """On "gpu" the process's first visible one: whoever spawns it chooses by CUDA_VISIBLE_DEVICES."""
    precision: Precision = "float32"
    """Of the arithmetic; images and boxes are the same with each."""
    cache_dir: Path | None = None
    """Where built graphs are kept; None builds this one for this load only."""
    memory_mode: MemoryMode = "growth"
    """On a GPU: take `memory_limit_mib` and no more, grow on demand, or take all. Nothing on the CPU."""
    memory_limit_mib: int | None = None
    """Needed for "fraction". On a GPU what the framework may take, not counting the CUDA context and libraries; on the
    CPU the data of the whole process (RLIMIT_DATA), set when the engine is loaded."""
    score_threshold: float = 0.25
    """Boxes below are not reported; above 0, at most 1."""
    iou_threshold: float = 0.45
    """Of two boxes of one class that overlap by more, the better one stays."""
    max_detections: int = 300
    """At most so many boxes an image, the best ones."""

    def __post_init__(self) -> None:
        """Raises ValueError where a value can mean nothing."""
        checks = {
            f"input_wh={self.input_wh}": min(self.input_wh) > 0,
            f"batch={self.batch}": self.batch > 0,
            f"threads={self.threads}": self.threads > 0,
            f"device={self.device!r}": self.device in ("cpu", "gpu"),
            f"memory_mode={self.memory_mode!r}": self.memory_mode in ("fraction", "growth", "all"),
            f"memory_limit_mib={self.memory_limit_mib}": self.memory_mode != "fraction"
            or (self.memory_limit_mib or 0) > 0,
            f"score_threshold={self.score_threshold}": 0 < self.score_threshold <= 1,
            f"iou_threshold={self.iou_threshold}": 0 < self.iou_threshold <= 1,
            f"max_detections={self.max_detections}": self.max_detections > 0,
        }
        if wrong := [name for name, holds in checks.items() if not holds]:
            raise ValueError(f"engine options out of range: {', '.join(wrong)}")


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What was found in one image, best score first.

    A box may reach over the image's edge: clipping would move its centre, by which it is credited to a tile.
    """

    xyxy: npt.NDArray[np.float32]
    """(n, 4), pixels of the input image, origin top left, half-open."""
    scores: npt.NDArray[np.float32]
    """(n,), 0 to 1."""
    class_ids: npt.NDArray[np.int32]
    """(n,), indices of the engine's labels."""

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What the process holds now."""

    resident_mib: float
    """Of host memory (VmRSS)."""
    device_mib: float | None
    """Of GPU memory, by the framework's own count: without CUDA context and libraries. None on the CPU."""
    device_peak_mib: float | None
    """The most that it has been."""


class Engine(Protocol):
    """A loaded model on its device. Its methods are for the thread that loaded it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names that `Detections.class_ids` index."""

    @property
    def options(self) -> EngineOptions:
        """What it was loaded with."""

    def detect(self, images: npt.NDArray[np.uint8]) -> list[Detections]:
        """What is in each image of a uint8 (batch, height, width, 3) RGB array; the first call is slow, so warm up.

        Raises ValueError for another shape or dtype, OutOfMemory, EngineFailed. Does not keep the array.
        """

    def memory_mib(self) -> MemoryUse:
        """What the process holds now; cheap."""


class EngineError(Exception):
    """Whatever keeps an engine from working. After any of them the engine is not to be used again."""


class ModelUnusable(EngineError):  # noqa: N818 - reads as a verdict
    """The files or the options will never work: starting again does not help. The message names file and remedy."""


class DeviceUnavailable(EngineError):  # noqa: N818
    """The device that was asked for is not there, or does not start."""


class OutOfMemory(EngineError):  # noqa: N818
    """Memory of the device or the host ran out. It comes back only when the process ends."""


class EngineFailed(EngineError):  # noqa: N818
    """The framework failed in some other way while loading or running."""


def resident_mib(proc: Path = Path("/proc/self")) -> float:
    """This process's resident memory; `proc` is its folder in procfs."""
    return status_mib("VmRSS", proc)


def status_mib(name: str, proc: Path = Path("/proc/self")) -> float:
    """A line of a process's status, such as VmRSS or VmHWM, in MiB; `proc` is its folder in procfs (proc(5))."""
    for line in (proc / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{proc}/status has no {name} line")
