"""Statistics as Prometheus metrics.

Owns: the names, labels and help texts of all metrics (children's are in :mod:`daemon.childmetrics`), and the way to
and from the text format. Nothing is counted here:
each scrape reads one frozen :class:`~daemon.statistics.Statistics` and turns it into samples. Must not know: HTTP.
Every series that can be named in advance (each reason, each cause) is shown from its start with 0, so that ``rate()``
sees the first event. ``deploy/METRICS.md`` documents every metric; a test compares the two.

Naming: https://prometheus.io/docs/practices/naming/. Labels come from closed sets only.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from capture.words import CameraState, Flaw, Reason
from daemon.childmetrics import children_metrics, worker_metrics
from daemon.eventmetrics import event_metrics
from daemon.metricfamilies import counter, gauge, histogram
from daemon.statistics import (
    APART,
    ENDINGS,
    SINK_DROPS,
    CameraStatistics,
    MosaicStatistics,
    SinkStatistics,
    Statistics,
)
from daemon.verdict import Cause

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Of what :func:`render` returns."""

CAUSES = tuple(cause.value for cause in Cause)
"""Why a child ended: the closed set of the ``cause`` label."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the text format, as a reader of ``/metrics`` gets it."""

    name: str
    labels: dict[str, str]
    value: float


class SupervisorCollector(Collector):
    """All metrics of the supervisor, made from one snapshot at each scrape. Any thread may call it."""

    def __init__(self, read: Callable[[], Statistics], causes: Sequence[str] = CAUSES, version: str = "") -> None:
        self._read = read
        self._causes = tuple(causes)
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Yield each metric once, in the order of ``deploy/METRICS.md``."""
        now = self._read()
        captures = [child for child in now.children if child.kind == "capture"]
        workers = [child for child in now.children if child.kind == "worker"]
        yield from _cameras(now.cameras)
        yield from _mosaics(now.mosaics)
        yield histogram(
            "mosaicd_mosaic_recovery_seconds",
            "From the death of a mosaic's worker to the mosaic's next answer, by whomever.",
            (),
            [((), now.mosaic_recovery)],
        )
        yield from children_metrics("capture", "process", "Capture process", captures, self._causes)
        yield from children_metrics("worker", "worker", "Worker", workers, self._causes)
        yield from worker_metrics(workers)
        followers = [child for child in now.children if child.kind == "events"]
        yield from children_metrics("event_process", "process", "Process of events", followers, self._causes)
        yield from event_metrics(now.events)
        yield from _sinks(now.sinks)
        yield histogram(
            "mosaicd_sighting_latency_seconds",
            "From the capture of a frame to the sightings on it.",
            (),
            [((), now.latency)],
        )
        yield from _daemon(now, self._version)


def make_registry(
    read: Callable[[], Statistics], causes: Sequence[str] = CAUSES, version: str = "", proc: str = "/proc"
) -> CollectorRegistry:
    """Return a registry of our own with the supervisor's metrics and the standard ``process_*`` of this process."""
    registry = CollectorRegistry()
    registry.register(SupervisorCollector(read, causes, version))
    ProcessCollector(registry=registry, proc=proc)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """Return the text format, UTF-8; serve it as :data:`CONTENT_TYPE`. Any thread may call it."""
    return generate_latest(registry)


def parse(text: str) -> tuple[Sample, ...]:
    """Return all samples of a text format; ValueError where it is none."""
    return tuple(
        Sample(name=sample.name, labels=sample.labels, value=sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    )


def _cameras(cameras: Sequence[CameraStatistics]) -> Iterator[Metric]:
    one = ("camera",)
    yield gauge(
        "mosaicd_camera_up",
        "Whether frames come from the camera (1) or not (0).",
        one,
        (((c.name,), c.is_up) for c in cameras),
    )
    yield gauge(
        "mosaicd_camera_state",
        "The state of the camera's reader: 1 for the state it is in, 0 for the others.",
        ("camera", "state"),
        (((c.name, state.value), c.state is state) for c in cameras for state in CameraState),
    )
    yield gauge(
        "mosaicd_camera_reason",
        "Why no frames come from the camera: 1 for the reason that holds, 0 for the others.",
        ("camera", "reason"),
        (((c.name, reason.value), c.reason is reason) for c in cameras for reason in Reason),
    )
    yield counter(
        "mosaicd_camera_connects",
        "Times the camera's stream was opened.",
        one,
        (((c.name,), c.counts.connects) for c in cameras),
    )
    yield counter(
        "mosaicd_camera_failures",
        "Attempts to read the camera that ended, by reason.",
        ("camera", "reason"),
        (((c.name, reason.value), c.failures.get(reason, 0)) for c in cameras for reason in ENDINGS),
    )
    yield counter(
        "mosaicd_camera_received_bytes",
        "Bytes of video received from the camera.",
        one,
        (((c.name,), c.counts.bytes) for c in cameras),
    )
    yield counter(
        "mosaicd_camera_frames_received",
        "Frames of the camera that were received, decoded or not.",
        one,
        (((c.name,), c.counts.packets) for c in cameras),
    )
    yield counter(
        "mosaicd_camera_frames",
        "Frames of the camera that were decoded.",
        one,
        (((c.name,), c.counts.frames) for c in cameras),
    )
    yield counter(
        "mosaicd_camera_frames_dropped",
        "Frames of the camera that were not used, by reason.",
        ("camera", "reason"),
        (((c.name, reason), count) for c in cameras for reason, count in c.dropped.items()),
    )
    yield counter(
        "mosaicd_camera_frames_analyzed",
        "Frames of the camera that a worker answered.",
        one,
        (((c.name,), c.analyzed) for c in cameras),
    )
    yield gauge(
        "mosaicd_camera_last_frame_timestamp_seconds",
        "Wall clock of the camera's newest frame, 0 before the first.",
        one,
        (((c.name,), c.last_frame_at) for c in cameras),
    )
    yield gauge(
        "mosaicd_camera_flaw",
        "Whether this is wrong with the camera's stream (1) or not (0), though it comes.",
        ("camera", "flaw"),
        (((c.name, flaw.value), flaw in c.flaws) for c in cameras for flaw in Flaw),
    )
    yield gauge(
        "mosaicd_camera_asleep",
        "Whether only key frames of the camera are decoded now, because nothing moves.",
        one,
        (((c.name,), c.is_asleep) for c in cameras),
    )
    yield gauge(
        "mosaicd_camera_motion_ratio",
        "Part of the camera's picture that moved when it was last looked at, 0 to 1.",
        one,
        (((c.name,), c.motion_ratio) for c in cameras),
    )
    yield gauge(
        "mosaicd_camera_key_frame_interval_seconds",
        "Longest of the camera's last key frame intervals, 0 while it is not known.",
        one,
        (((c.name,), c.gop_s) for c in cameras),
    )
    yield counter(
        "mosaicd_camera_clock_jumps",
        "Times the camera's clock was set.",
        one,
        (((c.name,), c.counts.jumps) for c in cameras),
    )
    yield counter(
        "mosaicd_camera_cpu_seconds",
        "CPU time of the camera's thread: receiving, decoding, scaling.",
        one,
        (((c.name,), c.cpu_s) for c in cameras),
    )
    yield counter(
        "mosaicd_camera_crashes",
        "Times the camera's decoder crashed its capture process.",
        one,
        (((c.name,), c.crashes) for c in cameras),
    )
    yield gauge(
        "mosaicd_camera_ring_bytes",
        "Video of the camera that is kept in memory for clips.",
        one,
        (((c.name,), c.ring_bytes) for c in cameras),
    )
    yield gauge(
        "mosaicd_camera_ring_seconds",
        "Length of that video.",
        one,
        (((c.name,), c.ring_s) for c in cameras),
    )
    yield counter(
        "mosaicd_camera_ring_dropped",
        "Packets of it that were given up before their time, for want of room.",
        one,
        (((c.name,), c.counts.unkept) for c in cameras),
    )
    yield counter(
        "mosaicd_sightings",
        "Sightings, by camera and label.",
        ("camera", "label"),
        (((c.name, label), count) for c in cameras for label, count in sorted(c.sightings.items())),
    )


def _mosaics(mosaics: Sequence[MosaicStatistics]) -> Iterator[Metric]:
    one = ("mosaic",)
    yield gauge(
        "mosaicd_mosaic_up",
        "Whether the mosaic is answered (1) or not (0), as /readyz sees it.",
        one,
        (((m.name,), m.is_answered) for m in mosaics),
    )
    yield counter(
        "mosaicd_mosaic_composed",
        "Canvases of the mosaic that were composed.",
        one,
        (((m.name,), m.composed) for m in mosaics),
    )
    yield counter(
        "mosaicd_mosaic_skipped",
        "Ticks at which the mosaic had no new tile.",
        one,
        (((m.name,), m.skipped) for m in mosaics),
    )
    yield counter(
        "mosaicd_mosaic_still",
        "Ticks at which the mosaic was left out because nothing moved in it.",
        one,
        (((m.name,), m.still) for m in mosaics),
    )
    yield counter(
        "mosaicd_mosaic_answered",
        "Canvases of the mosaic that a worker answered.",
        one,
        (((m.name,), m.answered) for m in mosaics),
    )
    yield gauge(
        "mosaicd_mosaic_shed_ratio",
        "Part of the mosaic's canvases of the last ten seconds that no worker had time for, 0 to 1.",
        one,
        (((m.name,), m.shed_ratio) for m in mosaics),
    )
    yield gauge(
        "mosaicd_mosaic_apart",
        "Whether the mosaic is kept from the others because it killed workers: isolated, or held back from all.",
        ("mosaic", "how"),
        (((m.name, how), m.apart == how) for m in mosaics for how in APART),
    )
    yield gauge(
        "mosaicd_mosaic_live_tiles",
        "Tiles of the mosaic that held a fresh frame at the last tick.",
        one,
        (((m.name,), m.live_tiles) for m in mosaics),
    )
    yield gauge(
        "mosaicd_mosaic_missing_tiles",
        "Cameras of the mosaic whose tile held no fresh frame at the last tick.",
        one,
        (((m.name,), m.missing_tiles) for m in mosaics),
    )
    yield histogram(
        "mosaicd_mosaic_tile_age_seconds",
        "Age of each tile of the mosaic when its canvas was answered.",
        one,
        (((m.name,), m.tile_age) for m in mosaics),
    )


def _sinks(sinks: Sequence[SinkStatistics]) -> Iterator[Metric]:
    yield counter(
        "mosaicd_sink_lines_written",
        "Sink: lines written.",
        ("sink",),
        (((s.name,), s.written) for s in sinks),
    )
    yield counter(
        "mosaicd_sink_lines_dropped",
        "Sink: lines lost, by reason.",
        ("sink", "reason"),
        (
            ((s.name, reason), s.dropped.get(reason, 0))
            for s in sinks
            for reason in (*SINK_DROPS, *sorted(s.dropped.keys() - set(SINK_DROPS)))
        ),
    )
    yield gauge(
        "mosaicd_sink_disk_free_bytes",
        "Sink: what is free on the disk that it writes to; absent while that is not known.",
        ("sink",),
        (((s.name,), s.disk.free_bytes) for s in sinks if s.disk),
    )
    yield gauge(
        "mosaicd_sink_disk_size_bytes",
        "Sink: size of that disk.",
        ("sink",),
        (((s.name,), s.disk.size_bytes) for s in sinks if s.disk),
    )


def _daemon(now: Statistics, version: str) -> Iterator[Metric]:
    yield gauge("mosaicd_build_info", "Version of the daemon; always 1.", ("version",), [((version,), 1)])
    yield gauge(
        "mosaicd_config_info",
        "What the daemon runs on, by kind of device; always 1.",
        ("kind", "model", "engine", "precision", "input", "roster"),
        (((c.kind, c.model, c.engine, c.precision, c.input, now.roster), 1) for c in now.config),
    )
    yield gauge("mosaicd_start_time_seconds", "Wall clock at which the daemon started.", (), [((), now.started_at)])
    yield gauge("mosaicd_loop_lag_seconds", "How late the supervisor's last turn was.", (), [((), now.loop_lag_s)])
    yield gauge("mosaicd_ready", "Whether every enabled mosaic is answered, as /readyz says.", (), [((), now.is_ready)])
    yield gauge(
        "mosaicd_device_up",
        "Whether a device that has workers is there (1) or was lost (0).",
        ("device",),
        (((name,), is_there) for name, is_there in now.devices.items()),
    )
    yield counter(
        "mosaicd_config_reloads",
        "Times the roster was read again, by result.",
        ("result",),
        [(("applied",), now.reloads.succeeded), (("refused",), now.reloads.failed)],
    )
    yield gauge(
        "mosaicd_config_last_reload_successful",
        "Whether the roster was applied when it was last read (1), or refused (0).",
        (),
        [((), now.reloads.last_succeeded)],
    )
    yield gauge(
        "mosaicd_config_last_reload_success_timestamp_seconds",
        "Wall clock at which the roster that the daemon runs on was applied.",
        (),
        [((), now.reloads.last_success_at)],
    )
    yield gauge(
        "mosaicd_cameras_switched_off",
        "Cameras of the roster that a person has switched off: they have no series.",
        (),
        [((), sum(camera.by_hand for camera in now.disabled))],
    )
    yield gauge(
        "mosaicd_notices",
        "Standing conditions that a person should know; the log names them.",
        (),
        [((), len(now.notices))],
    )
