"""The report of the process of events: what each part has counted, under its name."""

from dataclasses import replace

import msgspec

from capture.channel import MAX_MESSAGE_BYTES
from capture.messages import Sighting
from capture.words import Shortfall
from events.album import AlbumStatistics
from events.analyst import Analyst, CameraRules
from events.keeping import KeepingStatistics, Removed
from events.messages import EventsReport, SinkReport
from events.outbox import Waiting
from events.reporting import Reporting
from events.retention import Cause
from events.series import BOUNDS, MOST_BYTES, Figure
from events.sinks.courier import CourierStatistics
from events.words import Batch, Count, Ending, Headway, Kind, Speed
from events.writer import WriterStatistics
from tests.events.sample import NIGHT, event

TOLD = CourierStatistics("mqtt", {Kind.NEW: 3, Kind.UPDATE: 2, Kind.END: 1}, 4, 5, 6, False, "connection refused")
UNMADE = CourierStatistics("alarm", dict.fromkeys(Kind, 0), 0, 0, 0, True, "")
WRITTEN = WriterStatistics(
    kept=dict.fromkeys(Kind, 1),
    lost={Kind.NEW: 0, Kind.UPDATE: 7, Kind.END: 1},
    held=8,
    is_well=True,
    outboxes={"mqtt": Waiting(9, NIGHT, {Kind.UPDATE: 10})},
)
KEPT = KeepingStatistics(
    removed={Cause.AGE: Removed(1, 2, 3), Cause.DISK: Removed()},
    media_bytes={"yard": 11, "gone": 12, "long-gone": 13},
    database_bytes=14,
    free_bytes=15,
)
ALBUM = AlbumStatistics({"snapshot": 16, "clip": 17}, {("clip", Shortfall.SLOW): 18})


def analyst(name: str) -> Analyst:
    return Analyst(name, CameraRules(), lambda: 0)


def report_of(reporting: Reporting) -> EventsReport:
    cameras = {name: analyst(name) for name in ("yard", "gate")}
    return reporting.report(cameras, WRITTEN, [TOLD, UNMADE], KEPT, ALBUM, cpu_s=1.5, memory_mib=64.0)


def numbers(report: EventsReport, figure: Figure) -> dict[tuple[str, ...], tuple[float, ...]]:
    return {series.labels: series.numbers for series in report.series if series.figure is figure}


def test_what_sinks_and_disk_have_counted_is_reported():
    report = report_of(Reporting())
    assert (report.held, report.is_kept, report.cpu_s, report.memory_mib) == (8, True, 1.5, 64.0)
    assert report.sinks == (SinkReport("mqtt", 9, False, "connection refused"), SinkReport("alarm", 0, True))
    assert numbers(report, Figure.LOST) == {(): (8,)}
    told = numbers(report, Figure.TOLD)
    assert [told["mqtt", kind.value] for kind in Kind] == [(3,), (2,), (1,)]
    assert numbers(report, Figure.DROPPED)["mqtt", "update"] == (10,)
    for figure, count in ((Figure.STALE, 4), (Figure.REFUSED, 5), (Figure.FAILURES, 6)):
        assert numbers(report, figure) == {("mqtt",): (count,), ("alarm",): (0,)}
    assert numbers(report, Figure.REMOVED) == {("age",): (1, 2, 3), ("disk",): (0, 0, 0)}
    assert numbers(report, Figure.MEDIA_BYTES) == {("yard",): (11,), ("gate",): (0,)}
    assert numbers(report, Figure.MADE) == {("snapshot",): (16,), ("clip",): (17,)}
    assert numbers(report, Figure.SHORTFALLS) == {("clip", "slow"): (18,)}
    assert (report.other_media_bytes, report.database_bytes, report.free_bytes) == (25, 14, 15)


def test_a_report_of_the_busiest_site_fits_into_a_message():
    reporting = Reporting()
    names = [f"camera-{number:03}-{'x' * 52}" for number in range(128)]
    for camera in names:
        for label in range(80):
            reporting.note(
                Batch(events=tuple(event(camera=camera, label=f"label {label}", kind=kind) for kind in Kind))
            )
    kept = replace(KEPT, media_bytes=dict.fromkeys(names, 1 << 40))
    sinks = [replace(TOLD, name=f"sink-{number:03}-{'x' * 54}", cause="y" * 600) for number in range(18)]
    report = reporting.report(
        {name: analyst(name) for name in names}, WRITTEN, sinks, kept, ALBUM, cpu_s=1.0, memory_mib=1.0
    )
    assert MOST_BYTES / 2 < len(msgspec.msgpack.encode(report)) <= MAX_MESSAGE_BYTES


def test_what_was_sent_is_not_said_again():
    reporting = Reporting()
    reporting.note_step()
    first = report_of(reporting)
    assert report_of(reporting).series == first.series
    reporting.sent(first)
    reporting.note_step()
    again = report_of(reporting)
    assert (again.steps, again.series, again.sinks) == (2, (), first.sinks)


def test_events_are_counted_by_kind_and_crossings_by_line():
    reporting = Reporting()
    for kind in (Kind.NEW, Kind.UPDATE, Kind.UPDATE, Kind.END):
        reporting.note(Batch(events=(event(kind=kind),)))
    for crossings in (1, 2):
        reporting.note(Batch(counts=(Count("yard", "drive", "in", "car", NIGHT, crossings),)))
    report = report_of(reporting)
    assert numbers(report, Figure.EVENTS) == {
        ("yard", "person", "new"): (1,),
        ("yard", "person", "update"): (2,),
        ("yard", "person", "end"): (1,),
    }
    assert numbers(report, Figure.CROSSINGS) == {("yard", "drive", "in", "car"): (3,)}


def test_a_speed_counts_once_for_each_event():
    reporting = Reporting()
    measured = {"speed": Speed(52.0, 60.0), "headway": Headway(1.0, 14.4)}
    for kind in Kind:
        reporting.note(Batch(events=(event(1, kind=kind, **measured), event(2, kind=kind))))
    report = report_of(reporting)
    [speeds], [headways] = (numbers(report, each).values() for each in (Figure.SPEEDS, Figure.HEADWAYS))
    assert (sum(speeds[:-1]), speeds[BOUNDS[Figure.SPEEDS].index(60.0)], speeds[-1]) == (1, 1, 52.0)
    assert (sum(headways[:-1]), headways[BOUNDS[Figure.HEADWAYS].index(1.2)], headways[-1]) == (1, 1, 1.0)


def test_a_camera_that_is_forgotten_is_reported_no_more():
    reporting = Reporting()
    reporting.note(Batch(events=(event(camera="attic"), event(camera="yard"))))
    reporting.forget("attic")
    assert set(numbers(report_of(reporting), Figure.EVENTS)) == {("yard", "person", "new")}


def test_objects_that_became_no_event_are_counted():
    reporting, camera = Reporting(), analyst("yard")
    person = Sighting("person", 0.9, (10.0, 10.0, 60.0, 160.0))
    for at_s in (10.0, 10.2):
        camera.see(at_s, NIGHT, (640, 480), [person])
    assert camera.close(Ending.STOPPED) == Batch()
    camera.see(5.0, NIGHT, (640, 480), [])
    report = reporting.report({"yard": camera}, WRITTEN, [], KEPT, ALBUM, cpu_s=0.0, memory_mib=0.0)
    assert numbers(report, Figure.DISCARDED) == {("yard", "brief"): (1,), ("yard", "unwanted"): (0,)}
    assert numbers(report, Figure.LATE) == {("yard",): (1,)}
    assert (report.tracks, report.open_events) == (0, 0)
