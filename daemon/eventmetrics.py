"""The metrics of events; without a sample where no events are wanted. Pure."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import Metric

from daemon.metricfamilies import Row, counter, gauge, histogram
from daemon.statistics import EventStatistics, Histogram
from events.series import BOUNDS, LABELS, Figure


def event_metrics(events: EventStatistics | None) -> Iterator[Metric]:
    """Yield what the process of events has counted, and has in hand."""
    found = [events] if events else []
    yield _counter(found, "mosaicd_events", "changes of events (new, update, end)", Figure.EVENTS)
    yield _counter(found, "mosaicd_line_crossings", "objects that crossed a line", Figure.CROSSINGS)
    yield _histogram(found, "mosaicd_speed_kmh", "speed of those that passed a measured stretch", Figure.SPEEDS)
    yield _histogram(found, "mosaicd_headway_seconds", "time to the one before on a stretch", Figure.HEADWAYS)
    yield _counter(found, "mosaicd_tracks_discarded", "objects that became no event", Figure.DISCARDED)
    yield _counter(found, "mosaicd_sightings_crowded", "sightings of one object too many", Figure.CROWDED)
    yield _counter(found, "mosaicd_event_frames_late", "frames answered after a newer one", Figure.LATE)
    yield _gauge("mosaicd_events_open", "those that have begun and not ended", [e.open_events for e in found])
    yield _gauge("mosaicd_tracks", "objects followed now", [e.tracks for e in found])
    yield _gauge("mosaicd_events_held", "changes that wait in memory for the disk", [e.held for e in found])
    yield _gauge("mosaicd_events_kept", "whether the disk takes them (1) or not (0)", [e.is_kept for e in found])
    yield _counter(found, "mosaicd_events_lost", "changes that were never kept", Figure.LOST)
    yield from _sinks(found)
    yield from _disk(found)


def _sinks(found: list[EventStatistics]) -> Iterator[Metric]:
    sinks = [sink for each in found for sink in each.sinks]
    yield gauge(
        "mosaicd_event_sink_up",
        "Events: whether the sink's last try went well (1) or not (0).",
        ("sink",),
        (((sink.name,), sink.is_well) for sink in sinks),
    )
    yield gauge(
        "mosaicd_event_sink_waiting",
        "Events: changes in the sink's outbox.",
        ("sink",),
        (((sink.name,), sink.waiting) for sink in sinks),
    )
    yield _counter(found, "mosaicd_event_sink_told", "changes that the sink has told", Figure.TOLD)
    yield _counter(found, "mosaicd_event_sink_dropped", "changes for which its outbox had no room", Figure.DROPPED)
    yield _counter(found, "mosaicd_event_sink_stale", "updates left out because a later one tells more", Figure.STALE)
    yield _counter(found, "mosaicd_event_sink_refused", "changes that the recipient does not take", Figure.REFUSED)
    yield _counter(found, "mosaicd_event_sink_failures", "tries that failed", Figure.FAILURES)


def _disk(found: list[EventStatistics]) -> Iterator[Metric]:
    yield _counter(found, "mosaicd_event_media_made", "pictures (snapshot) and clips that were made", Figure.MADE)
    short = "pictures and clips that are not there, or less than was asked for"
    yield _counter(found, "mosaicd_event_media_shortfalls", short, Figure.SHORTFALLS)
    yield gauge(
        "mosaicd_event_media_bytes",
        "Events: pictures and clips of the camera.",
        LABELS[Figure.MEDIA_BYTES],
        _rows(found, Figure.MEDIA_BYTES),
    )
    known = [each for each in found if each.database_bytes]
    others = "pictures and clips of cameras that are not followed any more"
    yield _gauge("mosaicd_event_other_media_bytes", others, [e.other_media_bytes for e in known])
    yield _gauge("mosaicd_event_database_bytes", "size of the database", [e.database_bytes for e in known])
    free = "what is free on the disk of pictures and clips"
    yield _gauge("mosaicd_event_disk_free_bytes", free, [e.free_bytes for e in known])
    yield _gauge("mosaicd_event_disk_reserve_bytes", "what is to stay free there", [e.reserve_bytes for e in known])
    for place, (name, words) in enumerate(
        (
            ("mosaicd_event_files_removed", "pictures and clips removed"),
            ("mosaicd_event_removed_bytes", "bytes of those"),
            ("mosaicd_events_removed", "events removed from the database"),
        )
    ):
        yield _counter(found, name, words, Figure.REMOVED, place)


def _gauge(name: str, words: str, values: Sequence[float]) -> Metric:
    """Of what has no labels: one value, or none."""
    return gauge(name, f"Events: {words}.", (), (((), value) for value in values))


def _counter(found: list[EventStatistics], name: str, words: str, figure: Figure, place: int = 0) -> Metric:
    return counter(name, f"Events: {words}.", LABELS[figure], _rows(found, figure, place))


def _rows(found: list[EventStatistics], figure: Figure, place: int = 0) -> Iterator[Row]:
    for each in found:
        for labels, numbers in each.sums.get(figure, {}).items():
            yield labels, numbers[place]


def _histogram(found: list[EventStatistics], name: str, words: str, figure: Figure) -> Metric:
    rows = ((of, _made(figure, numbers)) for each in found for of, numbers in each.sums.get(figure, {}).items())
    return histogram(name, f"Events: {words}.", LABELS[figure], rows)


def _made(figure: Figure, numbers: tuple[float, ...]) -> Histogram:
    """Return a series' numbers as a cumulative histogram."""
    *counts, total = accumulate(map(int, numbers[:-1]))
    return Histogram(BOUNDS[figure], tuple(counts), total, numbers[-1])
