"""The metrics of events, by value."""

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from daemon.eventmetrics import event_metrics
from daemon.metrics import render
from daemon.statistics import EventStatistics
from events.messages import SinkReport
from events.series import LABELS, Figure, observed, size, total

OF = ("gate", "car")
SPEEDS = total(observed(Figure.SPEEDS, OF, 50.0).numbers, observed(Figure.SPEEDS, OF, 250.0).numbers)
EVENTS = EventStatistics(
    {
        Figure.EVENTS: {("gate", "person", "new"): (3,), ("gate", "person", "end"): (0,)},
        Figure.CROSSINGS: {("gate", "drive", "in", "car"): (7,)},
        Figure.SPEEDS: {OF: SPEEDS},
        Figure.HEADWAYS: {OF: observed(Figure.HEADWAYS, OF, 0.9).numbers},
        Figure.DISCARDED: {("gate", "brief"): (11,)},
        Figure.CROWDED: {("gate",): (12,)},
        Figure.LATE: {("gate",): (13,)},
        Figure.LOST: {(): (5,)},
        Figure.TOLD: {("mqtt", "new"): (14,)},
        Figure.DROPPED: {("mqtt", "update"): (15,)},
        Figure.STALE: {("mqtt",): (16,)},
        Figure.REFUSED: {("mqtt",): (17,)},
        Figure.FAILURES: {("mqtt",): (18,)},
        Figure.REMOVED: {("age",): (19, 20, 21)},
        Figure.MADE: {("clip",): (28,)},
        Figure.SHORTFALLS: {("snapshot", "down"): (29,)},
        Figure.MEDIA_BYTES: {("gate",): (22,)},
    },
    tracks=2,
    open_events=1,
    held=4,
    sinks=(SinkReport("mqtt", 23, is_well=False, cause="connection refused"),),
    other_media_bytes=24,
    database_bytes=25,
    free_bytes=26,
    reserve_bytes=27.5,
)


class Alone(Collector):
    """The metrics of events, and no others."""

    def __init__(self, events: EventStatistics | None) -> None:
        self.events = events

    def collect(self):
        return event_metrics(self.events)


def lines(events: EventStatistics | None) -> list[str]:
    registry = CollectorRegistry()
    registry.register(Alone(events))
    return [line for line in render(registry).decode().splitlines() if not line.startswith("#")]


def test_every_figure_by_value():
    assert [line for line in lines(EVENTS) if "_bucket" not in line] == [
        'mosaicd_events_total{camera="gate",kind="new",label="person"} 3.0',
        'mosaicd_events_total{camera="gate",kind="end",label="person"} 0.0',
        'mosaicd_line_crossings_total{camera="gate",direction="in",label="car",line="drive"} 7.0',
        'mosaicd_speed_kmh_count{camera="gate",label="car"} 2.0',
        'mosaicd_speed_kmh_sum{camera="gate",label="car"} 300.0',
        'mosaicd_headway_seconds_count{camera="gate",label="car"} 1.0',
        'mosaicd_headway_seconds_sum{camera="gate",label="car"} 0.9',
        'mosaicd_tracks_discarded_total{camera="gate",reason="brief"} 11.0',
        'mosaicd_sightings_crowded_total{camera="gate"} 12.0',
        'mosaicd_event_frames_late_total{camera="gate"} 13.0',
        "mosaicd_events_open 1.0",
        "mosaicd_tracks 2.0",
        "mosaicd_events_held 4.0",
        "mosaicd_events_kept 1.0",
        "mosaicd_events_lost_total 5.0",
        'mosaicd_event_sink_up{sink="mqtt"} 0.0',
        'mosaicd_event_sink_waiting{sink="mqtt"} 23.0',
        'mosaicd_event_sink_told_total{kind="new",sink="mqtt"} 14.0',
        'mosaicd_event_sink_dropped_total{kind="update",sink="mqtt"} 15.0',
        'mosaicd_event_sink_stale_total{sink="mqtt"} 16.0',
        'mosaicd_event_sink_refused_total{sink="mqtt"} 17.0',
        'mosaicd_event_sink_failures_total{sink="mqtt"} 18.0',
        'mosaicd_event_media_made_total{kind="clip"} 28.0',
        'mosaicd_event_media_shortfalls_total{kind="snapshot",reason="down"} 29.0',
        'mosaicd_event_media_bytes{camera="gate"} 22.0',
        "mosaicd_event_other_media_bytes 24.0",
        "mosaicd_event_database_bytes 25.0",
        "mosaicd_event_disk_free_bytes 26.0",
        "mosaicd_event_disk_reserve_bytes 27.5",
        'mosaicd_event_files_removed_total{cause="age"} 19.0',
        'mosaicd_event_removed_bytes_total{cause="age"} 20.0',
        'mosaicd_events_removed_total{cause="age"} 21.0',
    ]


def test_a_speed_on_a_bound_is_within_it_and_one_above_all_is_counted():
    buckets = {
        line.split('le="')[1].split('"')[0]: float(line.split()[-1])
        for line in lines(EVENTS)
        if line.startswith("mosaicd_speed_kmh_bucket")
    }
    assert [buckets[bound] for bound in ("40.0", "50.0", "200.0", "+Inf")] == [0, 1, 1, 2]


def test_nothing_is_shown_where_no_events_are_wanted():
    assert lines(None) == []


def test_what_the_disk_holds_is_not_shown_before_it_was_looked_at():
    shown = {line.split("{")[0].split()[0] for line in lines(EventStatistics())}
    assert shown == {"mosaicd_events_open", "mosaicd_tracks", "mosaicd_events_held", "mosaicd_events_kept"}


def test_every_figure_has_labels_and_a_size():
    assert set(LABELS) == set(Figure)
    assert all(size(figure) >= 1 for figure in Figure)
    assert set(EVENTS.sums) == set(Figure), "all of them are tested above"
