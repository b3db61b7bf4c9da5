"""Exact objects on exact paths, as a camera would see them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from events.tracker import Tracker
from events.tracks import TrackUpdate


@dataclass(frozen=True)
class Walker:
    """Somebody who walks straight on: middle of the feet at time 0, pixels a second, size."""

    start: tuple[float, float]
    speed: tuple[float, float] = (0.0, 0.0)
    size: tuple[float, float] = (40.0, 100.0)
    label: str = "person"
    score: float = 0.8

    def box(self, at_s: float) -> tuple[float, float, float, float]:
        x, y = (a + v * at_s for a, v in zip(self.start, self.speed, strict=True))
        w, h = self.size
        return (x - w / 2, y - h, x + w / 2, y)


def see(tracker: Tracker, at_s: float, walkers: Iterable[Walker], *, from_s: float = 0.0) -> TrackUpdate:
    """One answer with all of them on it, where they are ``at_s - from_s`` after their start."""
    there = list(walkers)
    boxes = np.array([each.box(at_s - from_s) for each in there], np.float32).reshape(-1, 4)
    scores = np.array([each.score for each in there], np.float32)
    return tracker.update(at_s, boxes, scores, [each.label for each in there], wall_s=1.8e9 + at_s)


def run(
    tracker: Tracker, times: Sequence[float], visible: Callable[[float], Iterable[Walker]]
) -> list[tuple[float, TrackUpdate]]:
    """Answers at these times, with whoever is visible then."""
    return [(at_s, see(tracker, at_s, visible(at_s))) for at_s in times]
