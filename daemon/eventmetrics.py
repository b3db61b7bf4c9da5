"""The metrics of events; without a sample where no events are wanted. Pure."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from daemon.metricfamilies import counter, gauge
from daemon.statistics import EventStatistics


def event_metrics(events: EventStatistics | None) -> Iterator[Metric]:
    """Yield what the process of events has counted, and has in hand."""
    found = [events] if events else []
    yield counter(
        "mosaicd_events",
        "Events: changes of events, by camera, label and kind (new, update, end).",
        ("camera", "label", "kind"),
        ((key, count) for each in found for key, count in each.counts.items()),
    )
    yield gauge(
        "mosaicd_events_open",
        "Events: those that have begun and not ended.",
        (),
        (((), each.open_events) for each in found),
    )
    yield gauge("mosaicd_tracks", "Events: objects followed now.", (), (((), each.tracks) for each in found))
    yield gauge(
        "mosaicd_events_held",
        "Events: changes that wait in memory for the disk.",
        (),
        (((), each.held) for each in found),
    )
    yield counter(
        "mosaicd_events_lost",
        "Events: changes that were never kept, because the disk was of no use for too long.",
        (),
        (((), each.lost) for each in found),
    )
    yield gauge(
        "mosaicd_events_kept",
        "Events: whether the disk takes them (1) or not (0).",
        (),
        (((), each.is_kept) for each in found),
    )
