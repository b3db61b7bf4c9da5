"""What the supervisor hands sightings to."""

from typing import Protocol

from daemon.sinks.jsonl import SightedTile
from daemon.statistics import SinkStatistics


class Sink(Protocol):
    """Where sightings go; it never blocks."""

    def offer(self, tiles: list[SightedTile]) -> None:
        """Take these tiles, or count them as dropped."""

    def statistics(self) -> SinkStatistics:
        """Return its counters."""
