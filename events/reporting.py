"""From what the parts of the process of events have counted to its report. Pure."""

from collections.abc import Mapping, Sequence

from events.album import AlbumStatistics
from events.analyst import Analyst
from events.keeping import KeepingStatistics
from events.messages import EventsReport, SinkReport
from events.outbox import Waiting
from events.series import Figure, Series, Tallies, observed
from events.sinks.courier import CourierStatistics
from events.words import Batch, Kind
from events.writer import WriterStatistics


class Reporting:
    """What is to be reported. Belongs to the main thread."""

    def __init__(self) -> None:
        self._tallies = Tallies()
        self._steps = 0

    def note_step(self) -> None:
        """Take note of a turn of the loop."""
        self._steps += 1

    def note(self, batch: Batch) -> None:
        """Count what has happened."""
        for event in batch.events:
            self._tallies.add(Series(Figure.EVENTS, (event.camera, event.label, event.kind.value), (1,)))
            if event.kind is not Kind.END:
                continue
            of = (event.camera, event.label)
            if event.speed is not None:
                self._tallies.add(observed(Figure.SPEEDS, of, event.speed.median_kmh))
            if event.headway is not None:
                self._tallies.add(observed(Figure.HEADWAYS, of, event.headway.seconds))
        for count in batch.counts:
            labels = (count.camera, count.line, count.direction, count.label)
            self._tallies.add(Series(Figure.CROSSINGS, labels, (count.crossings,)))

    def forget(self, camera: str) -> None:
        """Count nothing of this camera any more; it is of the roster no longer."""
        self._tallies.forget(camera)

    def report(
        self,
        analysts: Mapping[str, Analyst],
        written: WriterStatistics,
        sinks: Sequence[CourierStatistics],
        kept: KeepingStatistics,
        album: AlbumStatistics,
        *,
        cpu_s: float,
        memory_mib: float,
    ) -> EventsReport:
        """Return the next report; say :meth:`sent` once it is on its way."""
        tracks = 0
        for camera, analyst in analysts.items():
            tracked = analyst.tracker.statistics()
            tracks += tracked.live
            self._put_camera(camera, analyst, tracked.late)
        self._put(Figure.LOST, (), sum(written.lost.values()))
        for sink in sinks:
            self._put_sink(sink, written.outboxes.get(sink.name, Waiting()))
        for cause, removed in kept.removed.items():
            self._put(Figure.REMOVED, (cause.value,), removed.files, removed.file_bytes, removed.events)
        for kind, made in album.made.items():
            self._put(Figure.MADE, (kind,), made)
        for (kind, reason), count in album.shortfalls.items():
            self._put(Figure.SHORTFALLS, (kind, reason.value), count)
        for camera in analysts:
            self._put(Figure.MEDIA_BYTES, (camera,), kept.media_bytes.get(camera, 0))
        return EventsReport(
            steps=self._steps,
            tracks=tracks,
            open_events=sum(len(analyst.lives.open()) for analyst in analysts.values()),
            series=self._tallies.changed(),
            held=written.held,
            is_kept=written.is_well,
            sinks=tuple(
                SinkReport(sink.name, written.outboxes.get(sink.name, Waiting()).count, sink.is_well, sink.cause)
                for sink in sinks
            ),
            other_media_bytes=sum(size for camera, size in kept.media_bytes.items() if camera not in analysts),
            database_bytes=kept.database_bytes,
            free_bytes=kept.free_bytes,
            cpu_s=cpu_s,
            memory_mib=memory_mib,
        )

    def sent(self, report: EventsReport) -> None:
        """Take note that this report is on its way: what is in it need not be said again."""
        self._tallies.reported(report.series)

    def _put_camera(self, camera: str, analyst: Analyst, late: int) -> None:
        counts = analyst.lives.counts()
        self._put(Figure.DISCARDED, (camera, "brief"), counts.brief)
        self._put(Figure.DISCARDED, (camera, "unwanted"), counts.unwanted)
        self._put(Figure.CROWDED, (camera,), counts.crowded)
        self._put(Figure.LATE, (camera,), late)

    def _put_sink(self, sink: CourierStatistics, waiting: Waiting) -> None:
        for kind in Kind:
            self._put(Figure.TOLD, (sink.name, kind.value), sink.told[kind])
            self._put(Figure.DROPPED, (sink.name, kind.value), waiting.dropped.get(kind, 0))
        self._put(Figure.STALE, (sink.name,), sink.stale)
        self._put(Figure.REFUSED, (sink.name,), sink.refused)
        self._put(Figure.FAILURES, (sink.name,), sink.failures)

    def _put(self, figure: Figure, labels: tuple[str, ...], *numbers: float) -> None:
        self._tallies.put(Series(figure, labels, numbers))
