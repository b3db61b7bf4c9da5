"""What has been counted of events, over all generations of the process that reports it. Pure.

The process reports what it has counted since its own start; what its predecessors had is added here, as
:mod:`daemon.ledger` does with cameras. Of cameras and lines that have left the roster nothing is kept.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from capture.words import Shortfall
from daemon.statistics import FigureSums
from events.analyst import CameraRules
from events.mediapaths import SUFFIXES
from events.messages import Follow
from events.series import DISCARDS, GAUGES, LABELS, Figure, Key, Series, size, total
from events.words import Kind


class EventSums:
    """Sums of all series. One thread uses it."""

    def __init__(self) -> None:
        self._before: dict[Key, tuple[float, ...]] = {}
        """Of all earlier generations."""
        self._now: dict[Key, tuple[float, ...]] = {}
        self._sums: dict[Key, tuple[float, ...]] = {}
        self._cameras: Mapping[str, Follow] = {}

    def adopt(self, cameras: Mapping[str, Follow], wanted: Mapping[str, Sequence[str]]) -> None:
        """Keep sums of these cameras from now on; of others no more.

        ``wanted`` are the labels that are known in advance to be looked for, by camera: their series begin at 0.
        """
        self._cameras = cameras
        for sums in (self._before, self._now, self._sums):
            for key in [key for key in sums if not self._is_ours(key)]:
                del sums[key]
        for key in foreseen(cameras, wanted):
            self._sums.setdefault(key, (0.0,) * size(key[0]))

    def note(self, series: Iterable[Series]) -> None:
        """Take note of what has changed; numbers that fell have begun anew, and what they had is kept."""
        for each in series:
            key = (each.figure, each.labels)
            if not self._is_ours(key):
                continue
            now = self._now.get(key)
            if each.figure not in GAUGES:
                if now is not None and any(new < old for new, old in zip(each.numbers, now, strict=True)):
                    self._keep(key, now)
                before = self._before.get(key)
                self._sums[key] = total(before, each.numbers) if before else each.numbers
            else:
                self._sums[key] = each.numbers
            self._now[key] = each.numbers

    def turn_over(self) -> None:
        """The process has ended: keep what it counted."""
        for key, numbers in self._now.items():
            if key[0] not in GAUGES:
                self._keep(key, numbers)
        self._now = {}

    def sums(self) -> FigureSums:
        """Return what was counted so far."""
        found: FigureSums = {figure: {} for figure in Figure}
        for (figure, labels), numbers in self._sums.items():
            found[figure][labels] = numbers
        return found

    def _keep(self, key: Key, numbers: tuple[float, ...]) -> None:
        before = self._before.get(key)
        self._before[key] = total(before, numbers) if before else numbers

    def _is_ours(self, key: Key) -> bool:
        """Whether camera and line are of the roster; what is of no camera always is."""
        figure, labels = key
        of = dict(zip(LABELS[figure], labels, strict=True))
        if "camera" not in of:
            return True
        follow = self._cameras.get(of["camera"])
        return follow is not None and ("line" not in of or (of["line"], of["direction"]) in _directions(follow.rules))


def foreseen(cameras: Mapping[str, Follow], wanted: Mapping[str, Sequence[str]]) -> Iterator[Key]:
    """Yield all series that can be named in advance, so that the first of each is seen to be one more."""
    yield Figure.LOST, ()
    for media in SUFFIXES:
        yield Figure.MADE, (media,)
        for shortfall in Shortfall:
            yield Figure.SHORTFALLS, (media, shortfall.value)
    for camera, follow in cameras.items():
        labels = wanted.get(camera, ())
        for label in sorted({*labels, *_labels(follow.rules)}):
            for kind in Kind:
                yield Figure.EVENTS, (camera, label, kind.value)
        for line in follow.rules.lines:
            for label in sorted(line.labels) or labels:
                for direction in (line.to_right, line.to_left):
                    yield Figure.CROSSINGS, (camera, line.name, direction, label)
        for stretch in follow.rules.stretches:
            for label in sorted(stretch.labels) or labels:
                yield Figure.SPEEDS, (camera, label)
                yield Figure.HEADWAYS, (camera, label)
        for reason in DISCARDS:
            yield Figure.DISCARDED, (camera, reason)
        yield Figure.CROWDED, (camera,)
        yield Figure.LATE, (camera,)


def _labels(rules: CameraRules) -> Iterator[str]:
    """Yield the labels that some rule names, perhaps more than once."""
    yield from (label for zone in rules.zones for label in zone.labels)
    yield from (label for line in rules.lines for label in line.labels)
    yield from (label for stretch in rules.stretches for label in stretch.labels)


def _directions(rules: CameraRules) -> set[tuple[str, str]]:
    return {(line.name, direction) for line in rules.lines for direction in (line.to_right, line.to_left)}
