"""The process of events, as the supervisor has it: what it is told of cameras and answers, and what it says.

A sink like any other: what it does not take in time is dropped and counted, never waited for. Where no events are
wanted there is no process, and nothing is done. One thread uses it.
"""

import logging
from collections.abc import Mapping, Sequence

import msgspec

from capture.messages import CameraTransition
from capture.words import CameraState
from daemon.child import Child
from daemon.eventplan import EventsPlan
from daemon.eventsums import EventSums
from daemon.lifecycle import Phase
from daemon.logs import fields
from daemon.sinks.jsonl import SightedTile
from daemon.statistics import EventStatistics, SinkStatistics
from events.messages import Away, EventsNotice, EventsReport, Leave, Seen, SeenFrame, SinkReport

log = logging.getLogger(__name__)


class EventForce:
    """See the module. ``plan`` is what the process is to do; None where there is none.

    ``wanted`` are the labels that are known in advance to be looked for, by camera.
    """

    def __init__(self, plan: EventsPlan | None, wanted: Mapping[str, Sequence[str]]) -> None:
        self._plan = plan
        self.children = [Child(plan.spec)] if plan else []
        """One, or none."""
        self._taken = 0
        self._dropped = 0
        self._sums = EventSums()
        self._sums.adopt(plan.cameras if plan else {}, wanted)
        self._report: EventsReport | None = None
        self._sinks: tuple[SinkReport, ...] = ()

    def briefing(self) -> list[msgspec.Struct]:
        """Return what a new generation is to be told."""
        return [self._plan.setup, *self._plan.cameras.values()] if self._plan else []

    def adopt(self, plan: EventsPlan | None, wanted: Mapping[str, Sequence[str]]) -> None:
        """Go by this plan from now on, and tell the process: who is the same is followed on."""
        before = self._plan.cameras if self._plan else {}
        after = plan.cameras if plan else {}
        self._plan = plan
        self._sums.adopt(after, wanted)
        for camera in before.keys() - after.keys():
            self.send(Leave(camera))
        for camera, follow in after.items():
            if before.get(camera) != follow:
                self.send(follow)

    def send(self, message: msgspec.Struct) -> None:
        """Tell the process something, if there is one that takes it."""
        for child in self.children:
            child.send(message)

    def offer(self, tiles: list[SightedTile]) -> None:
        """Hand over answered tiles, or count them as dropped."""
        frames = tuple(
            SeenFrame(tile.camera, tile.captured_at, tile.captured_mono_s, tile.source_wh, tile.sightings)
            for tile in tiles
        )
        for child in self.children if frames else ():
            if child.life.phase is Phase.UP and child.send(Seen(frames)):
                self._taken += len(frames)
            else:
                self._dropped += len(frames)

    def note_transition(self, transition: CameraTransition) -> None:
        """Take note of a camera that came up or went down."""
        if transition.state is not CameraState.STREAMING:
            self.send(Away(transition.camera))  # one that does not take it ends its tracks for want of frames

    def note_report(self, report: EventsReport) -> None:
        """Take note of what it counts."""
        self._report, self._sinks = report, report.sinks
        self._sums.note(report.series)

    def note_notice(self, notice: EventsNotice) -> None:
        """Write into the log what a person should know."""
        log.log(logging.WARNING if notice.is_bad else logging.INFO, notice.message, extra=fields(**notice.fields))

    def note_death(self) -> None:
        """Its process has ended: keep what it counted. Nobody is told of events meanwhile."""
        self._sums.turn_over()
        self._report = None
        self._sinks = tuple(SinkReport(sink.name, sink.waiting, is_well=False) for sink in self._sinks)

    def statistics(self) -> SinkStatistics:
        """Frames handed over, and those that were not taken."""
        return SinkStatistics("events", self._taken, {"queue_full": self._dropped})

    def events(self) -> EventStatistics | None:
        """Return what has been counted; None where no events are wanted."""
        if self._plan is None:
            return None
        report = self._report
        return EventStatistics(
            sums=self._sums.sums(),
            tracks=report.tracks if report else 0,
            open_events=report.open_events if report else 0,
            held=report.held if report else 0,
            is_followed=report is not None,
            is_kept=report.is_kept if report else False,
            sinks=self._sinks,
            other_media_bytes=report.other_media_bytes if report else 0,
            database_bytes=report.database_bytes if report else 0,
            free_bytes=report.free_bytes if report else 0,
            reserve_bytes=self._plan.setup.keep.min_free_bytes,
        )
