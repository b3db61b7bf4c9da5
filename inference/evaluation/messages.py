"""What the measuring process is asked and what it answers: one JSON document a line, on its stdin and stdout.

Pure.
"""

import msgspec

from inference.engine import DeviceKind, MemoryMode, Precision
from inference.evaluation.arrangement import Input

PREDICT = "predict"
"""Named as an engine: a plain loop of Keras's `model.predict`, which is what engines are compared with."""


class Load(msgspec.Struct, tag=True, frozen=True):
    """Load a model; once, before all else. Answered by Loaded. Fields as in ModelFiles and EngineOptions."""

    engine: str
    cfg: str
    weights: str
    names: str
    input_wh: tuple[int, int]
    batch: int = 1
    threads: int = 1
    device: DeviceKind = "cpu"
    precision: Precision = "float32"
    cache_dir: str | None = None
    memory_mode: MemoryMode = "growth"
    memory_limit_mib: int | None = None
    score_threshold: float = 0.25
    max_detections: int = 300


class Look(msgspec.Struct, tag=True, frozen=True):
    """Detect in these pictures, arranged in this way. Answered by one Seen a picture in any order, then Done."""

    photos: tuple[str, ...]
    """Files, or none for a video."""
    video: str
    frames: tuple[int, ...]
    """Of the video, from 1, rising."""
    way: Input
    tile_wh: tuple[int, int]
    stretch: bool = False


class Time(msgspec.Struct, tag=True, frozen=True):
    """Detect so many times. Answered by Timed."""

    calls: int
    photos: tuple[str, ...] = ()
    """What to detect in, letterboxed, in turns; noise where none is named."""


class Work(msgspec.Struct, tag=True, frozen=True):
    """Detect in noise without pause, from now until `until_s`. Answered by Worked.

    Times are of CLOCK_MONOTONIC, which all processes of a machine share: so several can be measured together.
    """

    from_s: float
    """Calls that began before are not counted: others may not be at work yet."""
    until_s: float
    """Nor are calls that ended after."""


class Multiply(msgspec.Struct, tag=True, frozen=True):
    """Multiply large matrices; loads TensorFlow, and is for a process without a model. Answered by Multiplied."""

    precision: Precision
    threads: int
    device: DeviceKind
    seconds: float


class Loaded(msgspec.Struct, tag=True, frozen=True):
    """The model is there and warm."""

    labels: tuple[str, ...]
    load_s: float


class Seen(msgspec.Struct, tag=True, frozen=True):
    """One picture's detections, best first, in its own pixels."""

    picture: int
    """Its position in the order."""
    source_wh: tuple[int, int]
    xyxy: tuple[tuple[float, float, float, float], ...]
    scores: tuple[float, ...]
    class_ids: tuple[int, ...]
    crosses: tuple[bool, ...]
    """Whether the box reached over what is a seam in a mosaic."""


class Done(msgspec.Struct, tag=True, frozen=True):
    """All pictures have been seen."""


class Timed(msgspec.Struct, tag=True, frozen=True):
    """How long each call took, and what the process holds."""

    forward_s: tuple[float, ...]
    """Images to raw maps."""
    postprocess_s: tuple[float, ...]
    """Raw maps to boxes."""
    resident_mib: float
    peak_mib: float
    """Of host memory, the most that it has been (VmHWM)."""
    device_mib: float | None
    device_peak_mib: float | None


class Worked(msgspec.Struct, tag=True, frozen=True):
    """How long each call that counts took, and the most memory that the process has held."""

    call_s: tuple[float, ...]
    is_late: bool
    """Whether its first call began after `from_s`."""
    peak_mib: float
    """Of host memory (VmHWM)."""
    device_peak_mib: float | None


class Multiplied(msgspec.Struct, tag=True, frozen=True):
    """How fast the fastest multiplication was; a multiply-add is two operations."""

    operations_per_s: float


class Failed(msgspec.Struct, tag=True, frozen=True):
    """It cannot be done; the process ends."""

    kind: str
    """The error's type: ModelUnusable, OutOfMemory, ..."""
    message: str


Request = Load | Look | Time | Work | Multiply
Reply = Loaded | Seen | Done | Timed | Worked | Multiplied | Failed
