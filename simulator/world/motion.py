"""Who is where when: routes, timetables that repeat, and who would bump into whom. Pure. Metres and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.world.cycles import Cycle
from simulator.world.lens import Floats
from simulator.world.people import Dress
from simulator.world.shapes import Placing
from simulator.world.vehicles import Vehicle

_STEP_M = 0.25
_SIDEWAYS_MPS2 = 2.2
_SEPARATION_STEP_S = 0.25

Figure = Vehicle | Dress | Cycle


@dataclass(frozen=True, slots=True)
class Moment:
    """An actor at one time.

    Attributes:
        placing: where.
        travelled_m: way behind him.
        speed_mps: current speed.
        brakes: is slowing down, or stands after it.
        track: which of the actor's launches this is.
    """

    placing: Placing
    travelled_m: float
    speed_mps: float
    brakes: bool
    track: int


@dataclass(frozen=True, slots=True, eq=False)
class Timetable:
    """A route and when one is where on it: for each time (n,) the way, the place and the heading."""

    times_s: Floats
    travelled_m: Floats
    xy: Floats
    headings_rad: Floats

    @property
    def duration_s(self) -> float:
        """From the first to the last point."""
        return float(self.times_s[-1])


def standing(x: float, y: float, heading_rad: float) -> Timetable:
    """Somebody who does not move."""
    return Timetable(np.zeros(1), np.zeros(1), np.array([[x, y]]), np.array([heading_rad]))


def plan_route(
    points: Sequence[tuple[float, float]],
    speed_mps: float,
    *,
    corner_m: float = 3.0,
    stops: Sequence[tuple[float, float]] = (),
    agility_mps2: float = 2.0,
) -> Timetable:
    """Along a polyline with rounded corners.

    Args:
        points: corners of the route; its first and last stretch are longer than `corner_m`.
        speed_mps: cruising speed; less in curves and near stops.
        corner_m: how far before a corner one starts to turn.
        stops: metres from the start, and seconds that one waits there.
        agility_mps2: speeding up and braking.
    """
    corners = np.array(points, float)
    legs = np.hypot(*np.diff(corners, axis=0).T)
    marks = np.concatenate([[0.0], np.cumsum(legs)])
    steps = np.arange(0.0, marks[-1], _STEP_M)
    xy = np.stack([np.interp(steps, marks, corners[:, axis]) for axis in (0, 1)], 1)
    window = max(1, int(corner_m / _STEP_M)) * 2 + 1
    for _ in range(2):  # two box filters: the heading has no kink
        pad = window // 2
        padded = np.concatenate([2 * xy[:1] - xy[pad:0:-1], xy, 2 * xy[-1:] - xy[-2 : -pad - 2 : -1]])
        sums = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
        xy = (sums[window:] - sums[:-window]) / window
    deltas = np.gradient(xy, axis=0)
    lengths = np.hypot(deltas[:, 0], deltas[:, 1])
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    headings = np.unwrap(np.arctan2(deltas[:, 1], deltas[:, 0]))
    bend = np.abs(np.gradient(headings)) / np.maximum(lengths, 1e-6)
    speed = np.minimum(speed_mps, np.sqrt(_SIDEWAYS_MPS2 / np.maximum(bend, 1e-6)))
    for at_m, _ in stops:
        speed = np.minimum(speed, np.sqrt(2 * agility_mps2 * np.abs(travelled - at_m)) + 0.25)
    mean = (speed[1:] + speed[:-1]) / 2
    times = np.concatenate([[0.0], np.cumsum(np.diff(travelled) / mean)])
    for at_m, wait_s in stops:
        index = int(np.searchsorted(travelled, at_m))
        later = times[index:] + wait_s
        times = np.concatenate([times[: index + 1], later])
        travelled = np.insert(travelled, index, travelled[index])
        xy = np.insert(xy, index, xy[index], axis=0)
        headings = np.insert(headings, index, headings[index])
    return Timetable(times, travelled, xy, headings)


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """Somebody or something with a timetable that is launched anew every period.

    Attributes:
        figure: how it looks.
        timetable: its way.
        start_s: when it is launched in the period.
        ahead_m: half its length.
        aside_m: half its width.
        height_m: how high it is.
    """

    figure: Figure
    timetable: Timetable
    start_s: float
    ahead_m: float
    aside_m: float
    height_m: float

    @property
    def is_parked(self) -> bool:
        """Whether it never moves."""
        return len(self.timetable.times_s) == 1

    def moments(self, now_s: float, period_s: float) -> list[Moment]:
        """Where its launches are now: several where it is on the way for longer than a period."""
        table = self.timetable
        if self.is_parked:
            placing = Placing(float(table.xy[0, 0]), float(table.xy[0, 1]), float(table.headings_rad[0]))
            return [Moment(placing, self.start_s, 0.0, False, 0)]
        found: list[Moment] = []
        since = now_s - self.start_s
        first = int(np.floor(since / period_s))
        launch = first
        while (age := since - launch * period_s) < table.duration_s:
            found.append(self._at(age, 0 - launch))
            launch -= 1
        return found

    def _at(self, age_s: float, track: int) -> Moment:
        table = self.timetable
        ages = np.array([age_s - 0.25, age_s, age_s + 0.25])
        way = np.interp(ages, table.times_s, table.travelled_m)
        x, y, heading = (
            float(np.interp(age_s, table.times_s, values))
            for values in (table.xy[:, 0], table.xy[:, 1], table.headings_rad)
        )
        before, after = float(way[1] - way[0]) * 4, float(way[2] - way[1]) * 4
        brakes = after < before - 0.2 or after < 0.3
        return Moment(Placing(x, y, heading), float(way[1]), (before + after) / 2, brakes, track)

    def discs(self, times_s: Floats, period_s: float) -> Floats:
        """What it covers: centres and radii (times, discs, 3); NaN where it is not there."""
        table = self.timetable
        spots = max(1, round(self.ahead_m / max(self.aside_m, 0.3)))
        offsets = np.linspace(-1.0, 1.0, spots) * (self.ahead_m - self.aside_m) if spots > 1 else np.zeros(1)
        standing_still = self.is_parked
        launches = 1 if standing_still else int(table.duration_s // period_s) + 2
        discs = np.full((len(times_s), launches * spots, 3), np.nan)
        for launch in range(launches):
            age = np.zeros_like(times_s) if standing_still else (times_s - self.start_s) % period_s + launch * period_s
            there = np.ones(len(age), bool) if standing_still else age < table.duration_s
            x, y, heading = (
                np.interp(age, table.times_s, values) for values in (table.xy[:, 0], table.xy[:, 1], table.headings_rad)
            )
            part = slice(launch * spots, (launch + 1) * spots)
            discs[there, part, 0] = (x[:, None] + np.cos(heading)[:, None] * offsets)[there]
            discs[there, part, 1] = (y[:, None] + np.sin(heading)[:, None] * offsets)[there]
            discs[there, part, 2] = self.aside_m * 1.1
        return discs


class Cast:
    """Collects actors that never touch each other.

    Args:
        period_s: after which everything repeats.
        obstacles: what nobody touches either, centres and radii (n, 3).
        room_m: what stays between two of them at least.
    """

    def __init__(self, period_s: float, obstacles: Floats, room_m: float = 0.25) -> None:
        self._period_s = period_s
        self._room_m = room_m
        self._times = np.arange(0.0, period_s, _SEPARATION_STEP_S)
        self._taken = np.repeat(obstacles.reshape(1, -1, 3), len(self._times), axis=0)
        self.actors: list[Actor] = []

    def add(self, actor: Actor) -> bool:
        """Takes the actor if his way is free at all times; says whether."""
        discs = actor.discs(self._times, self._period_s)
        if self._touches(discs, self._taken) or self._touches_itself(discs, actor):
            return False
        self._taken = np.concatenate([self._taken, discs], axis=1)
        self.actors.append(actor)
        return True

    def _touches(self, one: Floats, other: Floats) -> bool:
        gap2 = ((one[:, :, None, :2] - other[:, None, :, :2]) ** 2).sum(axis=3)
        least = one[:, :, None, 2] + other[:, None, :, 2] + self._room_m
        return bool((gap2 < least**2).any())  # NaN compares false: nobody there

    def _touches_itself(self, discs: Floats, actor: Actor) -> bool:
        launches = 1 if actor.is_parked else int(actor.timetable.duration_s // self._period_s) + 2
        parts = np.split(discs, launches, axis=1)
        return any(self._touches(parts[i], parts[j]) for i in range(launches) for j in range(i))
