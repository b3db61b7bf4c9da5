"""Visitors one after the other before some cameras, as answered frames: who came when is known exactly."""

from dataclasses import dataclass

from capture.messages import Sighting
from events.messages import SeenFrame
from events.words import Event

WH = (1920, 1080)
GAP_S = 6.0
"""Between two visitors: the tracker lets go of the first, and its event ends."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The camera's visitor of this number, from 0."""

    camera: str
    number: int

    def sighting(self, way: float = 0.0) -> Sighting:
        """As it is seen, so many pixels from where it came in: in a place that the last three had not."""
        x, y = 200.0 + 400.0 * (self.number % 4) + way, 300.0 + self.number % 4
        return Sighting("person", 0.9, (x, y, x + 100.0, y + 300.0))


class Visits:
    """``stay_s`` long each, who walk ``speed`` pixels a second, told ``rate_hz`` times a second.

    ``ahead_s`` is the wall clock before the monotonic one.
    """

    def __init__(
        self,
        cameras: tuple[str, ...],
        start_s: float,
        ahead_s: float,
        *,
        stay_s: float = 3.0,
        speed: float = 0.0,
        rate_hz: float = 4.0,
    ) -> None:
        self.cameras = cameras
        self.now_s = start_s
        self.ahead_s = ahead_s
        self.begun: set[Visit] = set()
        """Those that were there so far."""
        self._start_s = start_s
        self._stay_s, self._speed, self._period_s = stay_s, speed, 1.0 / rate_hz

    def step(self, *, is_quiet: bool = False) -> tuple[SeenFrame, ...]:
        """One frame of each camera; ``is_quiet``: nobody comes any more."""
        self.now_s += self._period_s
        return tuple(self._frame(camera, is_quiet) for camera in self.cameras)

    def visit_of(self, event: Event) -> Visit:
        """Whose event this is: fails if it is nobody's."""
        into_s, visit = self._moment(event.camera, event.started_at - self.ahead_s)
        assert event.best_box[1] == visit.sighting().box[1], event
        left_at = event.started_at - into_s + self._stay_s
        assert event.started_at <= event.updated_at <= left_at + 1e-3, event
        assert event.ended_at is None or event.ended_at == event.updated_at, event
        return visit

    def _frame(self, camera: str, is_quiet: bool) -> SeenFrame:
        into_s, visit = self._moment(camera, self.now_s)
        is_there = into_s <= self._stay_s and (not is_quiet or visit in self.begun)
        if is_there:
            self.begun.add(visit)
        there = (visit.sighting(into_s * self._speed),) if is_there else ()
        return SeenFrame(camera, self.now_s + self.ahead_s, self.now_s, WH, there)

    def _moment(self, camera: str, at_s: float) -> tuple[float, Visit]:
        """Who came last, and how long before; cameras take turns."""
        whole_s = self._stay_s + GAP_S
        turn_s = self.cameras.index(camera) * GAP_S / len(self.cameras)
        number, into_s = divmod(at_s - self._start_s - turn_s + 1e-6, whole_s)
        return into_s, Visit(camera, int(number))
