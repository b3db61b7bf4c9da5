"""What has been counted of cameras and mosaics, over all generations of the children that report it. Pure.

Children report totals since their own start; the ledger adds what their predecessors had. Answers are checked here,
since a worker is not trusted, and repeated or outdated tiles are told from new ones.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from capture.grouping import MosaicPlan
from capture.messages import Answer, CameraCounts, CameraReport, CameraTransition, MosaicReport, TileAnswer
from capture.slot import MAX_SIDE
from capture.words import CameraState, Reason
from daemon.sinks.jsonl import SightedTile
from daemon.statistics import CameraStatistics, Histogram, MosaicStatistics
from daemon.tally import Tally
from daemon.trust import UntrustworthyError

LATENCY_BOUNDS_S = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
SHED_REPORTS = 11
"""Reports, one a second, over which it is counted what workers had no time for."""
LEAST_CANVASES = 10
UNREPORTED_CANVASES = 3000
"""So many may have been composed since the last report: a hundred seconds at the highest rate."""
LAST_AT = 250_000_000_000.0
"""In the year 9892: a frame's wall clock beyond, or before 1970, is no time, and calendars end with the year 9999."""
AHEAD_S = 60.0
"""All processes have one monotonic clock; whoever believed a frame from later than this would wait for that time."""


def _add(a: CameraCounts, b: CameraCounts) -> CameraCounts:
    return CameraCounts(*(getattr(a, name) + getattr(b, name) for name in CameraCounts.__struct_fields__))


def _has_fallen(before: CameraCounts, now: CameraCounts) -> bool:
    return any(getattr(now, name) < getattr(before, name) for name in CameraCounts.__struct_fields__)


@dataclass(slots=True)
class _Camera:
    name: str
    mosaic: str
    tile: int
    epoch: int
    state: CameraState = CameraState.CONNECTING
    reason: Reason | None = None
    since_s: float = 0.0
    before: CameraCounts = field(default_factory=CameraCounts)
    """Of all earlier generations."""
    counts: CameraCounts = field(default_factory=CameraCounts)
    failures_before: dict[Reason, int] = field(default_factory=dict)
    failures: dict[Reason, int] = field(default_factory=dict)
    slot_id: int = 0
    last_number: int = 0
    """Of the newest frame answered in this slot."""
    analyzed: int = 0
    unread: int = 0
    outdated: int = 0
    sightings: dict[str, int] = field(default_factory=dict)
    report: CameraReport | None = None
    """The last one of this generation."""
    last_frame_at: float = 0.0
    cpu_before_s: float = 0.0
    crashes: int = 0

    def turn_over(self, now_s: float) -> None:
        """Its capture process has ended: keep what it counted."""
        self.before, self.counts = _add(self.before, self.counts), CameraCounts()
        self.failures_before, self.failures = self.all_failures(), {}
        if self.state is CameraState.STREAMING:
            self.since_s = now_s
        self.state, self.reason = CameraState.BACKOFF, Reason.BROKEN
        self.cpu_before_s += self.report.cpu_s if self.report else 0.0
        self.report = None

    def statistics(self, now_s: float) -> CameraStatistics:
        now = self.report or CameraReport(self.name, self.state, self.reason, self.counts, {})
        return CameraStatistics(
            name=self.name,
            mosaic=self.mosaic,
            tile=self.tile,
            state=self.state,
            reason=self.reason,
            since_s=now_s - self.since_s,
            counts=_add(self.before, self.counts),
            failures=self.all_failures(),
            analyzed=self.analyzed,
            unread=self.unread,
            outdated=self.outdated,
            sightings=dict(self.sightings),
            source_wh=now.source_wh,
            last_frame_at=self.last_frame_at,
            flaws=now.flaws,
            is_asleep=now.is_asleep,
            motion_ratio=now.motion_ratio,
            gop_s=now.gop_s,
            cpu_s=self.cpu_before_s + now.cpu_s,
            crashes=self.crashes,
            ring_bytes=now.ring_bytes,
            ring_s=now.ring_s,
        )

    def all_failures(self) -> dict[Reason, int]:
        return {
            reason: self.failures_before.get(reason, 0) + self.failures.get(reason, 0)
            for reason in self.failures_before | self.failures
        }


@dataclass(slots=True)
class _Mosaic:
    plan: MosaicPlan
    before: MosaicReport
    report: MosaicReport
    answered: int = 0
    last_answer_s: float | None = None
    """When a canvas was answered that is newer than all before."""
    newest: tuple[int, int] = (0, 0)
    """Slot and number of that canvas."""
    tile_age: Tally = field(default_factory=lambda: Tally(LATENCY_BOUNDS_S))
    recent: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=SHED_REPORTS))
    """Canvases composed and answered in all, at its last reports."""

    def shed_ratio(self) -> float:
        """Return the part of its latest canvases that nobody answered, 0 where there are too few to say."""
        if len(self.recent) < SHED_REPORTS:
            return 0.0
        (composed, answered), *_, (composed_now, answered_now) = self.recent
        if composed_now - composed < LEAST_CANVASES:
            return 0.0
        return max(0.0, 1.0 - (answered_now - answered) / (composed_now - composed))

    def turn_over(self) -> None:
        """Its counters begin anew: keep what was counted."""
        name, b, r = self.plan.name, self.before, self.report
        self.before = MosaicReport(name, b.composed + r.composed, b.skipped + r.skipped, 0, b.still + r.still)
        self.report = MosaicReport(name, 0, 0, 0)


class Ledger:
    """Counters of all cameras and mosaics. One thread uses it; times are monotonic seconds passed in."""

    def __init__(
        self,
        plans: tuple[MosaicPlan, ...],
        labels: frozenset[str],
        answered_within_s: Mapping[str, float],
        now_s: float,
        wanted: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._labels = labels
        self._cameras: dict[str, _Camera] = {}
        self._mosaics: dict[str, _Mosaic] = {}
        self._latency = Tally(LATENCY_BOUNDS_S)
        self.adopt(plans, {}, answered_within_s, now_s, wanted)

    def adopt(
        self,
        plans: tuple[MosaicPlan, ...],
        epochs: Mapping[str, int],
        answered_within_s: Mapping[str, float],
        now_s: float,
        wanted: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Keep count of these from now on, by camera under this epoch (0 where none is given); of others no more.

        ``wanted`` are the labels that are known in advance to be looked for, by camera.
        """
        self._answered_within_s = answered_within_s
        was, self._cameras = self._cameras, {}
        for plan in plans:
            for tile, name in enumerate(plan.cameras):
                if name is None:
                    continue
                epoch = epochs.get(name, 0)
                camera = was.get(name) or _Camera(name, plan.name, tile, epoch, since_s=now_s)
                self._cameras[name] = camera
                if camera.epoch != epoch:
                    # Its frames are numbered anew; its other counters are found to have begun anew when they fall.
                    camera.slot_id, camera.last_number = 0, 0
                camera.mosaic, camera.tile, camera.epoch = plan.name, tile, epoch
                camera.sightings = dict.fromkeys((wanted or {}).get(name, ()), 0) | camera.sightings
        mosaics = self._mosaics
        self._mosaics = {
            plan.name: mosaics.get(plan.name)
            or _Mosaic(plan, MosaicReport(plan.name, 0, 0, 0), MosaicReport(plan.name, 0, 0, 0))
            for plan in plans
        }
        for plan in plans:
            self._mosaics[plan.name].plan = plan

    def note_transition(self, told: CameraTransition, now_s: float) -> bool:
        """Take note of a camera's transition; return False if it is of no camera that we know."""
        camera = self._cameras.get(told.camera)
        if camera is None or told.epoch != camera.epoch:
            return False
        camera.state, camera.reason, camera.since_s = told.state, told.reason, now_s
        return True

    def note_camera(self, report: CameraReport) -> None:
        """Take note of a camera's own counters; those that fell have begun anew, and what they had is kept."""
        camera = self._cameras.get(report.camera)
        if camera is None:
            return
        if _has_fallen(camera.counts, report.counts):
            camera.before = _add(camera.before, camera.counts)
        if any(report.failures.get(reason, 0) < count for reason, count in camera.failures.items()):
            camera.failures_before = camera.all_failures()
        camera.counts, camera.failures = report.counts, report.failures
        camera.state, camera.reason = report.state, report.reason
        if camera.report is not None and report.cpu_s < camera.report.cpu_s:
            camera.cpu_before_s += camera.report.cpu_s  # a new reader in the same process
        camera.report, camera.last_frame_at = report, report.last_frame_at

    def is_current(self, camera: str, epoch: int) -> bool:
        """Whether this is a camera of ours, under its present settings."""
        return camera in self._cameras and self._cameras[camera].epoch == epoch

    def note_crash(self, camera: str) -> None:
        """Take note that this camera's thread has crashed its process."""
        self._cameras[camera].crashes += 1

    def note_mosaic(self, report: MosaicReport) -> int:
        """Take note of a mosaic's counters; return how many canvases were composed since the last report."""
        mosaic = self._mosaics.get(report.mosaic)
        if mosaic is None:
            return 0
        was = mosaic.report
        if report.composed < was.composed or report.skipped < was.skipped or report.still < was.still:
            mosaic.turn_over()
        composed = report.composed - mosaic.report.composed
        mosaic.report = report
        mosaic.recent.append((mosaic.before.composed + report.composed, mosaic.answered))
        return composed

    def note_capture_gone(self, mosaics: list[str], now_s: float) -> None:
        """Take note that the process that captured these mosaics has ended."""
        for name in mosaics:
            mosaic = self._mosaics[name]
            mosaic.turn_over()
            for camera in mosaic.plan.cameras:
                if camera:
                    self._cameras[camera].turn_over(now_s)

    def note_answer(self, worker: str, answer: Answer, current_slot_id: int, now_s: float) -> list[SightedTile]:
        """Take note of a mosaic answered; return the tiles that are new and current.

        Raises UntrustworthyError if the answer cannot be true.
        """
        mosaic = self._mosaics.get(answer.mosaic)
        if mosaic is None:
            return []
        # All of it before any of it is counted: half an answer would be counted and never delivered.
        for tile in answer.tiles:
            self._check(tile, now_s)
            if tile.composed_number > answer.canvas_number:
                raise UntrustworthyError(f"{answer.mosaic} has shown more frames of {tile.camera} than canvases")
        is_current = answer.slot_id == current_slot_id
        if is_current:
            if answer.canvas_number > mosaic.report.composed + UNREPORTED_CANVASES:
                raise UntrustworthyError(f"{answer.mosaic} has not composed so many canvases")
            mosaic.answered += 1
            if (answer.slot_id, answer.canvas_number) > mosaic.newest:
                mosaic.newest = (answer.slot_id, answer.canvas_number)
                mosaic.last_answer_s = now_s
        sighted = []
        for tile in answer.tiles:
            if is_current:
                mosaic.tile_age.observe(max(0.0, now_s - tile.captured_mono_s))
            camera = self._cameras.get(tile.camera)
            if camera is None or not is_current or tile.epoch != camera.epoch or camera.mosaic != answer.mosaic:
                if camera:
                    camera.outdated += 1
                continue
            if self._is_new(camera, answer.slot_id, tile.composed_number):
                self._count(camera, tile, now_s)
                sighted.append(
                    SightedTile(
                        camera=tile.camera,
                        mosaic=answer.mosaic,
                        worker=worker,
                        frame_time_s=tile.frame_time_s,
                        captured_at=tile.captured_at,
                        source_wh=tile.source_wh,
                        sightings=tile.sightings,
                        captured_mono_s=tile.captured_mono_s,
                    )
                )
        return sighted

    def cameras(self, now_s: float) -> tuple[CameraStatistics, ...]:
        """Return every camera's statistics, in the roster's grouping."""
        return tuple(camera.statistics(now_s) for camera in self._cameras.values())

    def mosaics(self, seats: Mapping[str, str], apart: Mapping[str, str], now_s: float) -> tuple[MosaicStatistics, ...]:
        """Return every mosaic's statistics; ``seats`` says who answers it, ``apart`` what keeps it from the others."""
        return tuple(
            MosaicStatistics(
                name=name,
                cameras=m.plan.cameras,
                composed=m.before.composed + m.report.composed,
                skipped=m.before.skipped + m.report.skipped,
                still=m.before.still + m.report.still,
                answered=m.answered,
                live_tiles=m.report.live_tiles,
                worker=seats.get(name),
                last_answer_age_s=None if m.last_answer_s is None else now_s - m.last_answer_s,
                is_answered=m.last_answer_s is not None and now_s - m.last_answer_s <= self._answered_within_s[name],
                shed_ratio=m.shed_ratio(),
                apart=apart.get(name, ""),
                tile_age=m.tile_age.histogram(),
            )
            for name, m in self._mosaics.items()
        )

    def latency(self) -> Histogram:
        """Return the histogram of seconds from capture to sighting."""
        return self._latency.histogram()

    def _is_new(self, camera: _Camera, slot_id: int, number: int) -> bool:
        """Whether this frame was not answered before; what was skipped on the way is counted as unread."""
        if camera.slot_id != slot_id:
            camera.slot_id, camera.last_number = slot_id, 0
        if number <= camera.last_number:
            return False
        camera.unread += number - camera.last_number - 1
        camera.last_number = number
        return True

    def _count(self, camera: _Camera, tile: TileAnswer, now_s: float) -> None:
        camera.analyzed += 1
        for sighting in tile.sightings:
            camera.sightings[sighting.label] = camera.sightings.get(sighting.label, 0) + 1
        self._latency.observe(max(0.0, now_s - tile.captured_mono_s))

    def _check(self, tile: TileAnswer, now_s: float) -> None:
        """Raise UntrustworthyError unless every number is finite and in range, and every label is the model's."""
        w, h = tile.source_wh
        # Comparisons with NaN are false, so these also refuse it.
        is_then = 0 <= tile.captured_at <= LAST_AT and 0 <= tile.captured_mono_s <= now_s + AHEAD_S
        if not (isfinite(tile.frame_time_s) and is_then and 0 < w <= MAX_SIDE and 0 < h <= MAX_SIDE):
            raise UntrustworthyError(f"a tile of {tile.camera} has impossible times or size")
        for s in tile.sightings:
            x1, y1, x2, y2 = s.box
            if not (0 <= x1 < x2 <= w and 0 <= y1 < y2 <= h and 0 <= s.score <= 1 and s.label in self._labels):
                raise UntrustworthyError(f"a sighting of {tile.camera} has an impossible box, score or label")
