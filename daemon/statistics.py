"""What the supervisor shows of itself: frozen values, replaced whole, read by metrics and HTTP. Pure.

The supervisor builds one :class:`Statistics` about once a second; nobody else changes it. No value here may hold a
camera's URL, user name or password.
"""

from dataclasses import dataclass, field

from capture.messages import CameraCounts
from capture.words import CameraState, Flaw, Reason
from events.messages import SinkReport
from events.series import LABELS, Figure

SINK_DROPS = ("queue_full", "disk", "invalid")
"""Why a line was lost: the closed set of the ``reason`` label of sinks."""

ENDINGS = tuple(reason for reason in Reason if reason not in (Reason.FROZEN, Reason.CRASHED))
"""Why an attempt to read a camera ended. A frozen picture ends none, and whose decoder crashed makes no attempt."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """A cumulative histogram as Prometheus has it: ``counts[i]`` observations were <= ``bounds[i]``."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: int
    sum: float


APART = ("isolated", "held")
"""What a mosaic that killed workers may be: the closed set of the ``how`` label."""

SHED_FROM = 0.1
"""A mosaic of which more than this part is left out for want of time is told of; less is a hiccup."""

NOTHING_YET = Histogram((), (), 0, 0.0)
"""Of what is not measured, or not of this kind of child."""


@dataclass(frozen=True, slots=True)
class CameraStatistics:
    """One enabled camera."""

    name: str
    mosaic: str
    tile: int
    state: CameraState
    reason: Reason | None
    since_s: float
    """Seconds in this condition (up, or down for this reason)."""
    counts: CameraCounts
    """Summed over all generations of its capture process."""
    failures: dict[Reason, int]
    analyzed: int
    """Frames that a worker answered."""
    unread: int
    """Frames on canvases that no worker read before the next one."""
    outdated: int
    """Frames answered for a layout that no longer holds."""
    sightings: dict[str, int]
    """By label."""
    source_wh: tuple[int, int]
    last_frame_at: float
    """Wall clock of the newest frame, 0 before the first."""
    flaws: tuple[Flaw, ...] = ()
    is_asleep: bool = False
    """Only key frames are decoded, because nothing moves."""
    motion_ratio: float = 0.0
    gop_s: float = 0.0
    """Longest of the last key frame intervals; 0 while it is not known."""
    cpu_s: float = 0.0
    """CPU time of its threads so far."""
    crashes: int = 0
    """Times its decoder ended the capture process."""
    ring_bytes: int = 0
    """Of packets kept for clips now."""
    ring_s: float = 0.0
    """Seconds from the oldest of those to the newest."""

    @property
    def is_up(self) -> bool:
        """Whether frames come."""
        return self.state is CameraState.STREAMING

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that were not used, by reason: every reason that there is."""
        counts = self.counts
        return {
            "rate": counts.rate,
            "undecoded": counts.undecoded,
            "behind": counts.behind,
            "damaged": counts.damaged,
            "superseded": counts.superseded,
            "still": counts.still,
            "unread": self.unread,
            "outdated": self.outdated,
        }


@dataclass(frozen=True, slots=True)
class DisabledCamera:
    """A camera of the roster that is not read."""

    name: str
    by_hand: bool
    """A person has switched it off; else the roster disables it."""

    @property
    def words(self) -> str:
        """Why it is not read."""
        return "switched off" if self.by_hand else "disabled in the roster"


@dataclass(frozen=True, slots=True)
class MosaicStatistics:
    """One mosaic."""

    name: str
    cameras: tuple[str | None, ...]
    composed: int
    skipped: int
    answered: int
    live_tiles: int
    worker: str | None
    """Who answers it now."""
    last_answer_age_s: float | None
    is_answered: bool
    """Whether it was answered recently enough for ``/readyz``."""
    still: int = 0
    """Ticks at which it was left out because nothing moved."""
    shed_ratio: float = 0.0
    """Part of its canvases of the last seconds that no worker had time for, 0 to 1."""
    apart: str = ""
    """Of :data:`APART`, because it killed workers; empty for all others."""
    tile_age: Histogram = NOTHING_YET
    """How old each tile was when its canvas was answered, seconds; those that were shown before count again."""

    @property
    def missing_tiles(self) -> int:
        """Cameras whose tile held no fresh frame at the last tick."""
        return max(0, sum(camera is not None for camera in self.cameras) - self.live_tiles)


@dataclass(frozen=True, slots=True)
class ChildStatistics:
    """One child process, capture or worker."""

    name: str
    kind: str
    """``capture`` or ``worker``."""
    phase: str
    generation: int
    pid: int | None
    is_up: bool
    restarts: dict[str, int]
    """By cause."""
    cpu_s: float
    memory_mib: float
    device: str = ""
    """Workers only."""
    memory_limit_mib: int | None = None
    overhead_mib: int | None = None
    """What it takes of its device beyond that, as measured; None until it was."""
    memory_used_mib: float | None = None
    """Workers only: what the limit counts, when it was last looked at; None on a GPU, whose limit is of its memory."""
    memory_peak_mib: float | None = None
    """The most of it that was seen."""
    answered: int = 0
    last_answer_at: float = 0.0
    """Wall clock, 0 before the first."""
    stale: int = 0
    inference: Histogram = NOTHING_YET
    """Seconds in the engine, of each answer."""
    wait: Histogram = NOTHING_YET
    """Seconds from a canvas's composition to its answer, less those in the engine: how long it lay unread."""
    last_cause: str = ""
    steps: tuple[str, ...] = ()
    """Workers only: what was changed for it after deaths, and is in force (:class:`daemon.escalation.Step`)."""
    steps_taken: dict[str, int] = field(default_factory=dict)
    """Workers only: how often each was taken."""
    capacity: float | None = None
    """Workers only: mosaics a second, as measured on its device; None while that is not known."""
    recovery: Histogram = NOTHING_YET
    """Workers only: its death to its next generation's first answer, seconds."""

    @property
    def inference_s(self) -> float:
        """Seconds in the engine, summed over all answers."""
        return self.inference.sum


@dataclass(frozen=True, slots=True)
class SinkStatistics:
    """One sink."""

    name: str
    written: int
    """Lines written."""
    dropped: dict[str, int]
    """Lines lost, by reason (``queue_full``, ``disk``)."""
    disk: "DiskSpace | None" = None
    """Of the file system that it writes to; None until it was looked at, and while that fails."""


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """How much room a file system has."""

    free_bytes: int
    """For a user without rights."""
    size_bytes: int


FigureSums = dict[Figure, dict[tuple[str, ...], tuple[float, ...]]]
"""Numbers by figure, and by the values of its labels (:data:`events.series.LABELS`)."""


@dataclass(frozen=True, slots=True)
class EventStatistics:
    """What the process of events has counted, over all its generations, and has in hand."""

    sums: FigureSums = field(default_factory=dict)
    tracks: int = 0
    """Objects followed now."""
    open_events: int = 0
    held: int = 0
    """Changes that wait for the disk."""
    is_followed: bool = True
    """The process is up, and has reported."""
    is_kept: bool = True
    """... and the disk takes events."""
    sinks: tuple[SinkReport, ...] = ()
    other_media_bytes: int = 0
    """Of cameras that have left the roster."""
    database_bytes: int = 0
    """0 until the disk was looked at, and while there is no process."""
    free_bytes: int = 0
    """On the disk that media are on."""
    reserve_bytes: float = 0.0
    """What is to stay free there."""

    def sum(self, figure: Figure, **labels: str) -> float:
        """Return the sum of a figure's first numbers, over all series that carry these labels."""
        wanted = [(LABELS[figure].index(label), value) for label, value in labels.items()]
        found = self.sums.get(figure, {}).items()
        return sum(numbers[0] for of, numbers in found if all(of[place] == value for place, value in wanted))

    @property
    def troubles(self) -> list[str]:
        """What is not as it was planned."""
        if not self.is_followed:
            return ["nobody follows events"]
        down = [sink.name for sink in self.sinks if not sink.is_well]
        return [
            *([] if self.is_kept else ["events are not kept"]),
            *([f"events do not reach {', '.join(down)}"] if down else []),
        ]


@dataclass(frozen=True, slots=True)
class ConfigStatistics:
    """What it runs on, as settings and roster became: on one kind of device."""

    kind: str
    """``cpu`` or ``gpu``."""
    model: str
    """Its name in the settings, or its file's."""
    engine: str
    precision: str
    input: str


@dataclass(frozen=True, slots=True)
class Reloads:
    """How reading the roster again went so far."""

    succeeded: int = 0
    failed: int = 0
    last_succeeded: bool = True
    """Whether what the daemon runs on is what the file says."""
    last_success_at: float = 0.0
    """Wall clock; that of the start before the first."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """All of it at one moment."""

    cameras: tuple[CameraStatistics, ...]
    mosaics: tuple[MosaicStatistics, ...]
    children: tuple[ChildStatistics, ...]
    sinks: tuple[SinkStatistics, ...]
    latency: Histogram
    """Capture to sighting, seconds."""
    started_at: float
    """Wall clock at which the daemon started."""
    loop_lag_s: float
    """How late the supervisor's last turn was."""
    mosaic_recovery: Histogram = NOTHING_YET
    """A worker's death to the next answer of each of its mosaics, seconds."""
    reloads: Reloads = Reloads()
    devices: dict[str, bool] = field(default_factory=dict)
    """Whether each device is there."""
    roster: str = ""
    """Begin of a hash of the roster, which holds nothing secret."""
    config: tuple[ConfigStatistics, ...] = ()
    """One for each kind of device in use."""
    disabled: tuple[DisabledCamera, ...] = ()
    """Cameras of the roster that are not read, in its order."""
    events: EventStatistics | None = None
    """None where none are wanted."""
    notices: tuple[str, ...] = field(default=())
    """Standing conditions that a person should know: running on the last good roster, say."""

    @property
    def words(self) -> str:
        """What a person reads first: how many are up, then whatever is not as it was planned."""
        workers = [child for child in self.children if child.kind == "worker"]
        off = sum(camera.by_hand for camera in self.disabled)
        shed = [mosaic.name for mosaic in self.mosaics if mosaic.shed_ratio > SHED_FROM and not mosaic.apart]
        return ", ".join(
            [
                f"{sum(c.is_up for c in self.cameras)}/{len(self.cameras)} cameras up",
                f"{sum(m.is_answered for m in self.mosaics)}/{len(self.mosaics)} mosaics answered",
                f"{sum(w.is_up for w in workers)}/{len(workers)} workers up",
                *([f"{off} switched off"] if off else []),
                *(f"device {name} lost" for name, is_there in self.devices.items() if not is_there),
                *(f"{w.name}: {step.replace('_', ' ')}" for w in workers for step in w.steps),
                *(f"{m.name} {m.apart}" for m in self.mosaics if m.apart),
                *([f"no time for all of {', '.join(shed)}"] if shed else []),
                *(self.events.troubles if self.events else []),
            ]
        )

    @property
    def is_ready(self) -> bool:
        """Whether every enabled mosaic is being answered."""
        return bool(self.mosaics) and all(m.is_answered for m in self.mosaics)
