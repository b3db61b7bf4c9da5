"""The whole topology as data: which processes, mosaics and cameras there will be, and what each is told. Pure.

Made once from settings, roster and devices; the supervisor only carries it out.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from msgspec import structs

from capture.grouping import MosaicPlan, Seat, group
from capture.messages import Assign, CameraSpec, CaptureSetup, Load, OpenMosaic
from capture.words import DecodeMode
from daemon.child import ChildSpec
from daemon.devices import Device, DeviceKind, Plan, WorkerPlan
from daemon.escalation import Grant
from daemon.eventplan import EventsPlan, kept_s, plan_events
from daemon.lifecycle import Policy
from daemon.modelload import environ_of, load_of, visible
from daemon.modelrun import ModelRun
from daemon.placement import Owner, Wanted, find_homes
from daemon.quota import DeviceMemory
from daemon.recipients import NOBODY, Recipients
from daemon.roster import Camera, Roster
from daemon.settings import Settings, Supervision
from daemon.statistics import ConfigStatistics, DisabledCamera
from inference.labels import modern_label

_INHERITED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_INHERITED_PREFIXES = ("LC_", "PYTHON", "CUDA_", "NVIDIA_", "TF_", "XLA_")
"""What a child's environment takes over; the rest may hold the roster's secrets."""

ALLOCATOR = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Of a capture process (mallopt(3)). By default glibc keeps an arena for nearly each reader, and raises thresholds up
to 32 MiB once a picture was freed, so that free memory stays: eight small cameras that fail every few seconds took
64 MiB where they take 52 with these. No cost in CPU time was found."""

PRIORITIES = {"low": -1, "normal": 0, "high": 1}
CAPTURE_START_S = 10.0
DIGEST_CHARS = 12
ANSWERED_WITHIN_S = 5.0
"""Shortest time after which a mosaic is no longer being answered; slow ones have three of their periods."""

KEY_FRAMES_S = 10.0
"""So far apart may key frames be where only they are wanted: few cameras send them less often."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process and what it loads."""

    spec: ChildSpec
    plan: WorkerPlan
    load: Load


@dataclass(frozen=True, slots=True)
class Job:
    """All that the supervisor is to keep running."""

    plans: tuple[MosaicPlan, ...]
    captures: Mapping[str, tuple[ChildSpec, tuple[str, ...]]]
    """Capture processes by name, and the mosaics of each."""
    setup: CaptureSetup
    openings: Mapping[str, OpenMosaic]
    """By mosaic."""
    assignments: Mapping[str, Assign]
    """By mosaic; the slot's number is filled in when there is one."""
    wanted: tuple[Wanted, ...]
    """The mosaics with their rates, those of the highest priority first."""
    workers: tuple[Worker, ...]
    labels: frozenset[str]
    """Of the model."""
    policies: Mapping[str, Policy]
    """By kind of child."""
    answered_within_s: Mapping[str, float]
    """By mosaic: one whose last answer is older is not being answered."""
    start_concurrency: int
    memories: Mapping[str, DeviceMemory] = field(default_factory=dict)
    """By device."""
    events: EventsPlan | None = None
    disabled: tuple[DisabledCamera, ...] = ()
    """Cameras of the roster that are not read, in its order."""
    epoch: int = 0
    """The last that was given to a camera."""
    roster_digest: str = ""
    """Equal for equal rosters, whatever their secrets."""
    config: tuple[ConfigStatistics, ...] = ()
    """What all of it came to, for people."""

    @property
    def wanted_labels(self) -> dict[str, tuple[str, ...]]:
        """Labels of the model that the roster names for a camera; cameras that want all are left out."""
        named = (pair for assignment in self.assignments.values() for pair in assignment.labels.items())
        return {camera: tuple(map(modern_label, labels)) for camera, labels in named}


def plan_groups(roster: Roster, previous: Sequence[MosaicPlan]) -> tuple[MosaicPlan, ...]:
    """Return the mosaics of the enabled cameras."""
    return group([Seat(camera.name, camera.mosaic) for camera in roster.enabled], previous)


def plan_job(
    settings: Settings,
    roster: Roster,
    plans: tuple[MosaicPlan, ...],
    workers: Plan,
    *,
    labels: Sequence[str],
    runs: Mapping[DeviceKind, ModelRun],
    cores: int,
    environ: Mapping[str, str],
    told: Recipients = NOBODY,
) -> Job:
    """Return the topology for these settings; ``cores`` is what ``capture.processes: auto`` may use, ``told`` who is
    told of events."""
    cameras = {camera.name: camera for camera in roster.enabled}
    names = [plan.name for plan in plans]
    wanted = settings.capture.processes
    # One at least, for cameras that a new roster may bring.
    count = max(1, min(len(names), wanted if isinstance(wanted, int) else cores))
    captures = [f"c{i + 1}" for i in range(count)]
    shards = find_homes([Wanted(name) for name in names], [Owner(name) for name in captures], {})
    canvas = settings.mosaic.canvas
    inherited = inherit(environ)
    assignments = {plan.name: _assignment(plan, cameras, settings) for plan in plans}
    return Job(
        plans=plans,
        captures={
            name: (
                ChildSpec(name, "capture", "capture.process", {**inherited, **ALLOCATOR}),
                tuple(mosaic for mosaic in names if shards[mosaic] == name),
            )
            for name in captures
        },
        setup=CaptureSetup(
            canvas_wh=(canvas.width, canvas.height),
            fps=settings.mosaic.fps,
            stale_s=settings.mosaic.stale_s,
            open_timeout_s=settings.capture.open_timeout_s,
            read_timeout_s=settings.capture.read_timeout_s,
            skip_still=settings.mosaic.skip_still,
            refresh_s=settings.mosaic.refresh_s,
        ),
        openings={
            plan.name: OpenMosaic(
                plan.name,
                tuple(_camera_spec(cameras[name], settings) if name else None for name in plan.cameras),
                phase_ratio=i / len(plans),
            )
            for i, plan in enumerate(plans)
        },
        assignments=assignments,
        wanted=tuple(
            sorted(
                (_wanted(plan, cameras, settings) for plan in plans),
                key=lambda wanted: -assignments[wanted.name].priority,
            )
        ),
        workers=tuple(
            _worker(
                plan,
                settings,
                roster,
                run=runs[plan.device.kind],
                share=ceil(len(plans) / sum(not each.is_spare for each in workers.workers)),
                inherited=inherited,
            )
            for plan in workers.workers
        ),
        labels=frozenset(labels),
        policies=_policies(settings.supervision),
        answered_within_s={plan.name: _answered_within_s(plan, cameras, settings) for plan in plans},
        start_concurrency=settings.supervision.start_concurrency,
        memories={quota.device: quota.memory for quota in workers.quotas},
        events=plan_events(settings, roster, inherited, told),
        roster_digest=digest_of(roster),
        config=tuple(_config(kind, run, settings) for kind, run in runs.items()),
        disabled=tuple(
            DisabledCamera(camera.name, camera.is_switched_off) for camera in roster.cameras if not camera.enabled
        ),
    )


def digest_of(roster: Roster) -> str:
    """Return the begin of a hash of the roster without its secrets: a password could be guessed from one with them."""
    return hashlib.sha256(repr(roster.cameras).encode()).hexdigest()[:DIGEST_CHARS]


def _config(kind: DeviceKind, run: ModelRun, settings: Settings) -> ConfigStatistics:
    model = settings.model.name or run.files.cfg.stem
    return ConfigStatistics(kind.value, model, run.engine, run.precision, run.input)


def regrant(worker: Worker, grant: Grant, device: Device) -> Worker:
    """Return the worker with another grant; ``device`` is the one that the grant names, of the same kind."""
    environ = {**worker.spec.environ, "CUDA_VISIBLE_DEVICES": visible(device)}
    return Worker(
        replace(worker.spec, environ=environ, cores=device.core_ids),
        replace(worker.plan, device=device, limit_mib=grant.limit_mib),
        structs.replace(worker.load, batch=grant.batch, memory_limit_mib=grant.limit_mib),
    )


def inherit(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment a child may have."""
    return {k: v for k, v in environ.items() if k in _INHERITED or k.startswith(_INHERITED_PREFIXES)}


def _policies(supervision: Supervision) -> dict[str, Policy]:
    worker = Policy(
        start_timeout_s=supervision.start_timeout_s,
        hang_s=supervision.hang_s,
        stop_timeout_s=supervision.stop_timeout_s,
        stable_s=supervision.stable_s,
        max_restarts=supervision.max_restarts,
        restart_window_s=supervision.restart_window_s,
    )
    # Those that load no model, and are never given up: nobody else has their cameras.
    start_s = min(worker.start_timeout_s, max(CAPTURE_START_S, worker.hang_s))
    light = replace(worker, start_timeout_s=start_s, max_restarts=None)
    return {"capture": light, "events": light, "worker": worker}


def _answered_within_s(plan: MosaicPlan, cameras: Mapping[str, Camera], settings: Settings) -> float:
    """Of the camera that is to come most often; while nothing moves, that is with its key frames."""
    mine = [cameras[name] for name in plan.cameras if name]
    periods_s = [max(_period_s(camera, settings), _rest_s(camera)) for camera in mine]
    refresh_s = settings.mosaic.refresh_s if settings.mosaic.skip_still else 0.0
    return max(ANSWERED_WITHIN_S, 3.0 * max(min(periods_s), refresh_s))


def _period_s(camera: Camera, settings: Settings) -> float:
    return 1.0 / (camera.fps or settings.mosaic.fps)


def _wanted(plan: MosaicPlan, cameras: Mapping[str, Camera], settings: Settings) -> Wanted:
    """As often as its fastest camera while something moves."""
    return Wanted(plan.name, 1.0 / min(_period_s(cameras[name], settings) for name in plan.cameras if name))


def _rest_s(camera: Camera) -> float:
    """Return how far apart the frames of a camera may be by its decode policy."""
    match camera.reading.decode:
        case DecodeMode.ADAPTIVE:
            return 1.0 / camera.reading.idle_fps
        case DecodeMode.KEYFRAMES:
            return KEY_FRAMES_S
    return 0.0


def _camera_spec(camera: Camera, settings: Settings) -> CameraSpec:
    return CameraSpec(
        name=camera.name,
        url=(camera.detect_url or camera.url).reveal(),
        fps=camera.fps or settings.mosaic.fps,
        username=camera.username.reveal() if camera.username else "",
        password=camera.password.reveal() if camera.password else "",
        ring_s=kept_s(settings, camera),
        **structs.asdict(camera.reading),
    )


def _assignment(plan: MosaicPlan, cameras: Mapping[str, Camera], settings: Settings) -> Assign:
    mine = [cameras[name] for name in plan.cameras if name]
    return Assign(
        mosaic=plan.name,
        slot_id=0,
        labels={camera.name: camera.labels for camera in mine if camera.labels is not None},
        min_score={camera.name: _threshold(camera, settings) for camera in mine},
        priority=max(PRIORITIES[camera.priority] for camera in mine),
    )


def _threshold(camera: Camera, settings: Settings) -> float:
    return settings.model.score if camera.min_score is None else camera.min_score


def _worker(
    plan: WorkerPlan,
    settings: Settings,
    roster: Roster,
    *,
    run: ModelRun,
    share: int,
    inherited: Mapping[str, str],
) -> Worker:
    """``share`` is how many mosaics are each worker's own: a larger batch would never come together."""
    environ = environ_of(inherited, plan.device, threads=plan.threads, keras_home=settings.state_dir / "keras")
    load = load_of(
        run,
        settings,
        plan.device,
        batch=max(1, min(run.batch, share)),
        threads=plan.threads,
        # The lowest that any camera wants: each camera's own threshold is applied afterwards.
        score=min([_threshold(camera, settings) for camera in roster.enabled] or [settings.model.score]),
        memory_mode=plan.memory_mode.value,
        memory_limit_mib=plan.limit_mib,
    )
    spec = ChildSpec(plan.name, "worker", "inference.worker", environ, plan.device.core_ids)
    return Worker(spec, plan, load)
