"""How fast vehicles go, and how close behind each other, on a stretch of road that was measured. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from events.geometry import Ground, Point
from events.tracks import Track, TrackUpdate

LEAST_SIGHTINGS = 2
LEAST_PART = 0.4
"""Of the stretch: who was seen on less of it has no speed."""
MOST_SIGHTINGS = 600
"""A minute or more of one track: who stands in a queue that long is thinned out."""
KMH = 3.6


@dataclass(frozen=True, slots=True)
class Stretch:
    """A lane's stretch of road."""

    name: str
    corners: tuple[Point, Point, Point, Point]
    """A rectangle on the ground, 0..1 of the picture: near left, near right, far right, far left."""
    width_m: float
    length_m: float
    labels: frozenset[str] = frozenset()
    """None: all."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A track has passed the stretch."""

    stretch: str
    track: Track
    at_s: float
    """When it was half-way, monotonic."""
    speed_kmh: float
    """Along the road, above 0 away from the near edge."""
    headway_s: float | None
    """After the one before; None for the first, and for one that is told of after one that came later."""
    headway_m: float | None
    """... as a distance, at its own speed."""


class SpeedMeter:
    """Measures on one stretch. Belongs to one thread; times come with the tracks."""

    def __init__(self, stretch: Stretch, source_wh: tuple[int, int]) -> None:
        """``source_wh`` is the size of the picture in pixels. Raises ValueError for corners of no rectangle."""
        corners = [(x * source_wh[0], y * source_wh[1]) for x, y in stretch.corners]
        self._stretch = stretch
        self._ground = Ground.of(corners, stretch.width_m, stretch.length_m)
        self._seen: dict[int, list[tuple[float, float]]] = {}
        """For each track on the stretch: when it was seen, and how far along."""
        self._last_s: float | None = None
        """When the vehicle before was half-way."""

    def __len__(self) -> int:
        """How many tracks are on the stretch."""
        return len(self._seen)

    def judge(self, update: TrackUpdate) -> list[Passed]:
        """Return who has passed: who has left the stretch, or ended on it."""
        gone = [end.track for end in update.ended]
        for track in update.new + update.updated:
            # As seen: the line through all sightings smooths enough, and no filter has to catch up first.
            x1, _, x2, y2 = track.box
            across, along = self._ground.metres(((x1 + x2) / 2, y2))
            stretch = self._stretch
            if stretch.labels and track.label not in stretch.labels:
                continue
            if 0.0 <= across <= stretch.width_m and 0.0 <= along <= stretch.length_m:
                seen = self._seen.setdefault(track.id, [])
                seen.append((track.seen_s, along))
                if len(seen) > MOST_SIGHTINGS:
                    del seen[1::2]
            else:
                gone.append(track)
        passed = [done for track in gone if (done := self._measure(track, self._seen.pop(track.id, ())))]
        return [self._after_the_one_before(each) for each in sorted(passed, key=lambda each: each.at_s)]

    def _measure(self, track: Track, seen: Sequence[tuple[float, float]]) -> Passed | None:
        """By the straight line that fits best: no two sightings alone decide."""
        stretch = self._stretch
        if len(seen) < LEAST_SIGHTINGS or abs(seen[-1][1] - seen[0][1]) < LEAST_PART * stretch.length_m:
            return None
        times, along = np.array(seen).T
        speed, start = np.polyfit(times - times[0], along, 1).tolist()
        if speed == 0.0:
            return None
        at_s = float(times[0]) + (stretch.length_m / 2 - start) / speed
        return Passed(stretch.name, track, at_s, speed * KMH, None, None)

    def _after_the_one_before(self, passed: Passed) -> Passed:
        before_s = self._last_s
        if before_s is not None and passed.at_s <= before_s:
            return passed
        self._last_s = passed.at_s
        if before_s is None:
            return passed
        headway_s = passed.at_s - before_s
        headway_m = headway_s * abs(passed.speed_kmh) / KMH
        return Passed(passed.stretch, passed.track, passed.at_s, passed.speed_kmh, headway_s, headway_m)
