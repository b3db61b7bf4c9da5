"""What the supervisor and its children say to each other: typed structs, msgpack on the wire. Pure.

Every message is validated on receipt; a child is not trusted. msgspec accepts NaN and infinities, so whoever uses a
number from a child checks its range. A message that carries descriptors says so; they come in the order named.
"""

from typing import Literal

import msgspec

from capture.masks import Polygon
from capture.mediamessages import Prolong, Record, Recorded, Snapped, Snapshot
from capture.words import CameraState, DecodeMode, Flaw, HwAccel, Reason, Transport


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages."""


# --- supervisor -> capture -------------------------------------------------------------------------------------------


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a camera is read and decoded: what the roster's keys of these names say."""

    transport: Transport = Transport.TCP
    hwaccel: HwAccel = HwAccel.NONE
    decode: DecodeMode = DecodeMode.ALL
    idle_fps: float = 0.5
    """Adaptive: key frames must come at this rate at least, else the camera is always decoded."""
    quiet_s: float = 5.0
    """Adaptive: only key frames are decoded after so long without motion."""
    catch_up_frames: int = 25
    """Adaptive: so many frames at most are decoded at once when motion begins."""
    masks: tuple[Polygon, ...] = ()
    """Where motion does not count."""
    frozen_s: float = 60.0
    """A picture that is the same for so long is frozen."""


class CameraSpec(Reading, frozen=True, forbid_unknown_fields=True):
    """All that a reader needs. Holds the password: only the wire and the reader ever see it."""

    name: str
    url: str
    """Without credentials."""
    fps: float
    """Frames analyzed a second, at most."""
    username: str = ""
    password: str = ""
    epoch: int = 0
    """Changes whenever the supervisor changes this camera; travels with each tile."""
    hold_s: float = 0.0
    """Wait so long before the first connection: its decoder has crashed before."""
    ring_s: float = 0.0
    """So many of the last seconds are kept as received, for clips and pictures; 0 keeps nothing, and costs nothing."""
    ring_mib: float = 16.0
    """... in so much memory at most."""

    def __repr__(self) -> str:
        return f"CameraSpec(name={self.name!r}, epoch={self.epoch})"


class CaptureSetup(Message, frozen=True):
    """First message to a capture process."""

    canvas_wh: tuple[int, int]
    fps: float
    """Mosaics composed a second, for each mosaic."""
    stale_s: float
    open_timeout_s: float
    read_timeout_s: float
    skip_still: bool = False
    """Leave out mosaics in which nothing moves."""
    refresh_s: float = 10.0
    """... but not for longer than this."""


class OpenMosaic(Message, frozen=True):
    """Start (or change) a mosaic. A changed mosaic keeps its slot and the readers whose camera did not change."""

    name: str
    cameras: tuple[CameraSpec | None, ...]
    """One for each tile."""
    phase_ratio: float = 0.0
    """Where in its period a new mosaic is composed, 0 to 1, so that many mosaics do not fall on one moment."""


class CloseMosaic(Message, frozen=True):
    """End a mosaic, its readers and its slot."""

    name: str


class Stop(Message, frozen=True):
    """To any child: finish and exit with code 0."""


# --- capture -> supervisor -------------------------------------------------------------------------------------------


class Ready(Message, frozen=True):
    """From any child: set up, and able to work."""

    memory_mib: float = 0.0
    """Resident memory of the process."""
    detail: str = ""
    """What a person wants to read in the log: engine, versions."""


class SlotOpened(Message, frozen=True):
    """A mosaic's slot. Carries two descriptors: the sealed memfd and the eventfd that wakes its reader."""

    mosaic: str


class CameraTransition(Message, frozen=True):
    """A camera came up, or went down for a new reason. Sent once for each change, not for each try."""

    camera: str
    epoch: int
    state: CameraState
    reason: Reason | None = None
    detail: str = ""
    """One line for a person; never holds a URL."""


class CameraNotice(Message, frozen=True):
    """A flaw of a camera came or went, or something else about it that is worth one line of log."""

    camera: str
    epoch: int
    detail: str
    """One line for a person; never holds a URL."""
    flaw: Flaw | None = None
    is_over: bool = False


class CameraCounts(msgspec.Struct, frozen=True):
    """Counters of one camera since its process started."""

    connects: int = 0
    packets: int = 0
    bytes: int = 0
    frames: int = 0
    """Frames decoded."""
    rate: int = 0
    """Dropped: above the analysis rate."""
    superseded: int = 0
    """Dropped: a newer tile came before the mosaic was composed."""
    damaged: int = 0
    """Dropped: the decoder could not use it, or it follows one that was damaged."""
    undecoded: int = 0
    """Received and left undecoded, by the camera's decode policy."""
    behind: int = 0
    """Received too late and left undecoded, to catch up with what is new."""
    still: int = 0
    """Left out by its mosaic, because nothing moved in that."""
    jumps: int = 0
    """Times the camera's clock was set; no drop."""
    unkept: int = 0
    """Left the ring before their time, for want of room; no drop of the analysis."""


class CameraReport(msgspec.Struct, frozen=True):
    """One camera, once a second."""

    camera: str
    state: CameraState
    reason: Reason | None
    counts: CameraCounts
    failures: dict[Reason, int]
    """Attempts that ended, by reason, since the process started."""
    source_wh: tuple[int, int] = (0, 0)
    last_frame_at: float = 0.0
    """Wall clock of the newest frame, 0 before the first."""
    flaws: tuple[Flaw, ...] = ()
    is_asleep: bool = False
    """Only key frames are decoded now, because nothing moves."""
    motion_ratio: float = 0.0
    """Part of the picture that moves, 0 to 1, as last looked at."""
    gop_s: float = 0.0
    """Longest of the last key frame intervals, seconds; 0 while it is not known."""
    cpu_s: float = 0.0
    """CPU time of its thread: receiving, decoding, scaling."""
    ring_bytes: int = 0
    """Of packets kept for clips now."""
    ring_s: float = 0.0
    """Seconds from the oldest of those to the newest."""


class MosaicReport(msgspec.Struct, frozen=True):
    """One mosaic, once a second."""

    mosaic: str
    composed: int
    """Canvases published since the process started."""
    skipped: int
    """Ticks at which nothing was new."""
    live_tiles: int
    """Tiles that were valid at the last tick."""
    still: int = 0
    """Ticks at which something was new but nothing moved, so that it was left out."""


class CaptureReport(Message, frozen=True):
    """Sign of life and counters of a capture process, about once a second."""

    cameras: tuple[CameraReport, ...]
    mosaics: tuple[MosaicReport, ...]
    steps: int
    """Turns of the compositor since the process started: the work by which it is judged alive."""
    cpu_s: float
    memory_mib: float


# --- supervisor -> worker --------------------------------------------------------------------------------------------


class Load(Message, frozen=True):
    """First message to a worker: what to load, and what it may use."""

    engine: str
    precision: Literal["float32", "bfloat16", "float16"]
    input: Literal["mosaic", "tiles"]
    cfg: str
    weights: str
    names: str
    cache_dir: str
    """Where built graphs are kept."""
    canvas_wh: tuple[int, int]
    batch: int
    """How many mosaics are answered at once, where so many wait; 1 or more."""
    threads: int
    on_gpu: bool
    memory_mode: Literal["fraction", "growth", "all"]
    memory_limit_mib: int | None
    score: float
    iou: float
    stale_s: float


class Assign(Message, frozen=True):
    """Answer this mosaic from now on. Carries two descriptors: memfd and eventfd.

    An assignment with the ``slot_id`` of an earlier one is ignored; a mosaic is assigned anew when its capture process
    has been replaced.
    """

    mosaic: str
    slot_id: int
    labels: dict[str, tuple[str, ...]]
    """For each camera the labels wanted; a camera that is not named here wants all."""
    min_score: dict[str, float]
    """For each camera its own threshold, where it has one."""
    priority: int = 0
    """Of those that wait the higher is answered first, where there is not time for all."""


class Unassign(Message, frozen=True):
    """Leave this slot alone from now on."""

    slot_id: int


class Watch(Message, frozen=True):
    """Draw pictures of these mosaics now and then, of no others: somebody looks at them."""

    mosaics: tuple[str, ...]


# --- worker -> supervisor --------------------------------------------------------------------------------------------


class Sighting(msgspec.Struct, frozen=True):
    """One thing seen, in its camera's own pixels."""

    label: str
    score: float
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2."""


class TileAnswer(msgspec.Struct, frozen=True):
    """One tile answered: all that was seen on one frame of one camera."""

    camera: str
    epoch: int
    composed_number: int
    """Running number of this camera's frames that were put on a canvas; repeats and gaps show by it."""
    frame_time_s: float
    """The frame's pts."""
    captured_at: float
    """Wall clock, seconds since 1970."""
    captured_mono_s: float
    source_wh: tuple[int, int]
    sightings: tuple[Sighting, ...]


class Loading(Message, frozen=True):
    """How far a worker's start has come: each step, the first time that it is named, has the whole time to itself."""

    step: Literal["engine", "warm_up"]


class Taking(Message, frozen=True):
    """What the worker takes in hand now: if it dies before it answers, it was one of these that it died of."""

    slot_ids: tuple[int, ...]


class Answer(Message, frozen=True):
    """One mosaic answered. Tiles that were blank or stale are left out."""

    mosaic: str
    slot_id: int
    canvas_number: int
    composed_mono_s: float
    inference_s: float
    """Time in the engine alone; of several mosaics answered at once each has an equal share."""
    tiles: tuple[TileAnswer, ...]


class Picture(Message, frozen=True):
    """A mosaic for people to look at. Carries a descriptor: sealed memory that holds a JPEG."""

    mosaic: str
    canvas_number: int


class WorkerReport(Message, frozen=True):
    """Sign of life and counters of a worker, about once a second."""

    answered: int
    stale: int
    """Canvases that were dropped because they were too old when read."""
    torn: int
    """Reads that the writer overtook; each was read again."""
    cpu_s: float
    memory_mib: float
    """Resident."""


class LastWords(Message, frozen=True):
    """Why a child ends, in its own words. Its exit code says the same; this adds the sentence."""

    exit_code: int
    message: str


FromSupervisor = (
    CaptureSetup | OpenMosaic | CloseMosaic | Record | Prolong | Snapshot | Load | Assign | Unassign | Watch | Stop
)
FromCapture = Ready | SlotOpened | CameraTransition | CameraNotice | CaptureReport | Recorded | Snapped | LastWords
FromWorker = Loading | Ready | Taking | Answer | Picture | WorkerReport | LastWords
FromChild = FromCapture | FromWorker
