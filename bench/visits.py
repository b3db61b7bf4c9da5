"""Events beside the truth of a site: crossings, visits of zones, speeds, and how many events an object has. Pure.

What an object truly does at a rule counts if a detector could be asked to see it there: visible by 40 % and 12 pixels
large in the tile for at least half of the time around it. What is less clear (hidden, tiny, at a line's very end,
hardly longer in a zone than it takes to enter, begun before or ended after the recording) counts neither as missed
nor as false.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from bench.sites import DWELL_S, FPS, SIZE_WH, WHEELS, Actual, Floats, Lane, Site
from events.association import assign
from events.geometry import Point, contains, crossing, offset
from events.words import Event

AROUND_S = 1.0
"""Before and after something happens, in which its object has to be seen."""
SHORT_S = DWELL_S + 0.5
END_M = 0.5
"""Who crosses a line that near to one of its ends may be counted or not."""
EDGE_S = 2.0
"""At the recording's begin and end."""
LATE_S = 2.0
"""A crossing that is told is the true one if it is that close: a long vehicle's box crosses before its middle does."""
LEAST_SHARED = 0.3
"""Of the time of two stays that are one: their intersection over union."""
FAR = 1.0
"""Sizes (root of the box's area) between a path's point and the object's box, beyond which it is another's."""
HIDDEN_S = 2.0
"""Who cannot be seen for so long in a zone, behind a lorry, may count as one stay, or two, or none."""
AWAY_S = 4.0
"""An object that is not to be seen for so long comes again: another visit."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that an object did, in seconds of the recording."""

    actual: Actual
    rule: str
    """A line and a direction, a zone, or a stretch."""
    start_s: float
    end_s: float
    counts: bool
    """Whether it has to be told of."""
    kmh: float = 0.0


@dataclass(slots=True)
class Tally:
    """One site's figures, or several sites' together."""

    crossings: int = 0
    """True ones that count."""
    counted: int = 0
    """Told of, but those of what does not count."""
    missed_crossings: int = 0
    false_crossings: int = 0
    double_crossings: int = 0
    """Among the false: told again of what was told of."""
    stays: int = 0
    missed_stays: int = 0
    false_stays: int = 0
    passages: int = 0
    """True ones along a stretch."""
    speed_errors: list[float] = field(default_factory=list)
    """Of those measured, as a part of the true speed; below 0: too slow."""
    visits: int = 0
    """Objects' visits that have to become events."""
    events_of_visits: list[int] = field(default_factory=list)
    """For each, how many events."""
    strays: int = 0
    """Events of no object that is there."""
    by_rule: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each line and direction: true, told."""
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            *(
                {**mine, **theirs} if isinstance(mine, dict) else mine + theirs
                for mine, theirs in zip(_values(self), _values(other), strict=True)
            )
        )


def _values(tally: Tally) -> list:
    return [getattr(tally, name) for name in Tally.__slots__]


def judge(site: Site, there: Sequence[Actual], events: Sequence[Event], span_s: tuple[float, float]) -> Tally:
    """Compare a camera's ended events, whose times are seconds of the recording, with what happened within a span."""
    judgement = _Judgement(site, there, events, span_s)
    judgement.judge_lines()
    judgement.judge_zones()
    judgement.judge_speeds()
    judgement.judge_visits()
    return judgement.tally


def crossings(site: Site, there: Iterable[Actual], span_s: tuple[float, float]) -> list[Fact]:
    """True crossings of the site's lines; their rules are ``line, direction``."""
    found = []
    for actual in there:
        for name, line in site.rules["lines"].items():
            if actual.label not in line["labels"]:
                continue
            a, b = tuple(line["start"]), tuple(line["end"])
            margin = END_M / site.lengths_m[name]
            longer, shorter = _scaled(a, b, margin), _scaled(a, b, -margin)
            for row in range(len(actual.frames) - 1):
                before, after = tuple(actual.foot[row]), tuple(actual.foot[row + 1])
                part = crossing(*longer, before, after)
                if part is None:
                    continue
                direction = line["to_right"] if offset(a, b, after) > 0 else line["to_left"]
                at_s = (actual.frames[row] + part) / FPS
                fact = _fact(actual, f"{name}, {direction}", at_s, at_s, span_s)
                is_seen = all(_is_seen(actual, at_s + a, at_s + a + AROUND_S) for a in (-AROUND_S, 0.0))
                found.append(_unless(fact, not is_seen or crossing(*shorter, before, after) is None))
    return found


def stays(site: Site, there: Iterable[Actual], span_s: tuple[float, float]) -> list[Fact]:
    """True stays in the site's zones."""
    found = []
    for actual in there:
        for name, zone in site.rules["zones"].items():
            if actual.label in zone["labels"]:
                is_in = np.array([contains(zone["corners"], tuple(foot)) for foot in actual.foot])
                for first, last in runs(is_in):
                    start_s, end_s = actual.frames[first] / FPS, actual.frames[last] / FPS
                    fact = _fact(actual, name, start_s, end_s, span_s)
                    found.append(_unless(fact, end_s - start_s < SHORT_S))
    return found


def passages(site: Site, there: Iterable[Actual], span_s: tuple[float, float]) -> list[Fact]:
    """True passages of the whole of a lane's stretch."""
    found = []
    for actual in there:
        for name, lane in site.lanes.items():
            if actual.label in WHEELS and (times := _passage_s(actual, lane)):
                start_s, end_s = times
                fact = _fact(actual, name, start_s, end_s, span_s)
                kmh = (lane.y1 - lane.y0) / (end_s - start_s) * 3.6
                found.append(Fact(actual, name, start_s, end_s, fact.counts, kmh))
    return found


def _scaled(a: Point, b: Point, by: float) -> tuple[Point, Point]:
    """A line that is longer by this part of its length at both ends."""
    dx, dy = (b[0] - a[0]) * by, (b[1] - a[1]) * by
    return (a[0] - dx, a[1] - dy), (b[0] + dx, b[1] + dy)


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each run of what is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


def _passage_s(actual: Actual, lane: Lane) -> tuple[float, float] | None:
    """When the middle comes to one end of the lane's stretch and when to the other."""
    x, y = actual.ground.T
    is_in = (x > lane.x0) & (x < lane.x1) & (y >= lane.y0) & (y <= lane.y1)
    for first, last in runs(is_in):
        if first == 0 or last == len(y) - 1:
            continue
        near, far = (lane.y0, lane.y1) if y[first - 1] < lane.y0 else (lane.y1, lane.y0)
        if (y[first - 1] - near) * (y[first] - near) > 0 or (y[last] - far) * (y[last + 1] - far) > 0:
            continue
        start = actual.frames[first] - (y[first] - near) / (y[first] - y[first - 1])
        end = actual.frames[last] + (far - y[last]) / (y[last + 1] - y[last])
        return float(start) / FPS, float(end) / FPS
    return None


def _fact(actual: Actual, rule: str, start_s: float, end_s: float, span_s: tuple[float, float]) -> Fact:
    is_within = start_s >= span_s[0] + EDGE_S and end_s <= span_s[1] - EDGE_S
    return Fact(actual, rule, start_s, end_s, is_within and _is_seen(actual, start_s, end_s))


def _is_seen(actual: Actual, start_s: float, end_s: float) -> bool:
    times = actual.frames / FPS
    is_judged = actual.is_judged[(times >= start_s - 0.5 / FPS) & (times <= end_s + 0.5 / FPS)]
    if not len(is_judged) or is_judged.mean() < 0.5:
        return False
    return all((last - first + 1) / FPS < HIDDEN_S for first, last in runs(~is_judged))


def _unless(fact: Fact, is_unclear: bool) -> Fact:
    return Fact(fact.actual, fact.rule, fact.start_s, fact.end_s, fact.counts and not is_unclear)


def _apart_s(fact: Fact, told: tuple[Event, str, float]) -> float:
    event, rule, at_s = told
    if fact.rule != rule or abs(fact.start_s - at_s) > LATE_S:
        return np.inf
    # A path may begin only after the line, where that made the event.
    return abs(fact.start_s - at_s) + 0.1 * min(5.0, _distance(event, fact.actual, (at_s - 1.0, at_s + 1.0)))


class _Judgement:
    """One camera's events beside what happened there."""

    def __init__(
        self, site: Site, there: Sequence[Actual], events: Sequence[Event], span_s: tuple[float, float]
    ) -> None:
        self.site, self.there, self.events, self.span_s = site, there, events, span_s
        self.owners = [_owner(event, there) for event in events]
        self.tally = Tally()

    def judge_lines(self) -> None:
        true = crossings(self.site, self.there, self.span_s)
        told = [(event, f"{each.line}, {each.direction}", each.at) for event in self.events for each in event.crossings]
        owners = assigned(len(true), len(told), lambda i, j: _apart_s(true[i], told[j]), LATE_S + 0.5)
        of_told = {j: i for i, j in owners.items()}
        kept = [
            j
            for j, (_, _, at_s) in enumerate(told)
            if (true[of_told[j]].counts if j in of_told else self.span_s[0] + EDGE_S <= at_s <= self.span_s[1] - EDGE_S)
        ]
        for i, fact in enumerate(true):
            if fact.counts and i not in owners:
                self.tally.notes.append(
                    f"missed: {fact.actual.label} {fact.actual.name} over {fact.rule} at {fact.start_s:.1f}"
                )
        false = [told[j] for j in kept if j not in of_told]
        for event, rule, at_s in false:
            again = any(_apart_s(fact, (event, rule, at_s)) <= LATE_S and i in owners for i, fact in enumerate(true))
            self.tally.double_crossings += again
            self.tally.notes.append(
                f"{'double' if again else 'false'}: {event.label} over {rule} at {at_s:.1f}, {event.id}"
            )
        self.tally.crossings = sum(fact.counts for fact in true)
        self.tally.counted, self.tally.false_crossings = len(kept), len(false)
        self.tally.missed_crossings = sum(fact.counts and i not in owners for i, fact in enumerate(true))
        for rule in sorted({fact.rule for fact in true} | {rule for _, rule, _ in told}):
            pair = (sum(fact.counts and fact.rule == rule for fact in true), sum(told[j][1] == rule for j in kept))
            self.tally.by_rule[f"{self.site.seed} {rule}"] = pair

    def judge_zones(self) -> None:
        true = stays(self.site, self.there, self.span_s)
        told = [
            (event, visit.zone, visit.entered_at, visit.left_at if visit.left_at is not None else self.span_s[1])
            for event in self.events
            for visit in event.zones
        ]

        def cost(i: int, j: int) -> float:
            fact, (event, zone, start_s, end_s) = true[i], told[j]
            shared = min(fact.end_s, end_s) - max(fact.start_s, start_s)
            union = max(fact.end_s, end_s) - min(fact.start_s, start_s)
            if fact.rule != zone or shared <= 0 or shared / union < (LEAST_SHARED if fact.counts else 0.0):
                return np.inf
            far = _distance(event, fact.actual, (max(fact.start_s, start_s), min(fact.end_s, end_s)))
            return 1 - shared / union + 0.1 * far if far <= FAR else np.inf

        owners = assigned(len(true), len(told), cost, 2.0)
        of_told = {j: i for i, j in owners.items()}
        for i, fact in enumerate(true):
            if fact.counts and i not in owners:
                self.tally.missed_stays += 1
                who = f"{fact.actual.label} {fact.actual.name}"
                self.tally.notes.append(f"missed: {who} in {fact.rule} from {fact.start_s:.1f} to {fact.end_s:.1f}")
        for j, (event, zone, start_s, end_s) in enumerate(told):
            is_within = start_s >= self.span_s[0] + EDGE_S and end_s <= self.span_s[1] - EDGE_S
            is_clear = not any(np.isfinite(cost(i, j)) for i, fact in enumerate(true) if not fact.counts)
            if j not in of_told and is_within and is_clear:
                self.tally.false_stays += 1
                self.tally.notes.append(f"false: {event.label} in {zone} from {start_s:.1f} to {end_s:.1f}, {event.id}")
        self.tally.stays = sum(fact.counts for fact in true)

    def judge_speeds(self) -> None:
        for fact in passages(self.site, self.there, self.span_s):
            if not fact.counts:
                continue
            self.tally.passages += 1
            told = [
                event.speed.median_kmh
                for event, owner in zip(self.events, self.owners, strict=True)
                if owner is fact.actual
                and event.speed
                and event.started_at <= fact.end_s
                and event.updated_at >= fact.start_s
            ]
            if told:
                self.tally.speed_errors.append(told[-1] / fact.kmh - 1)
            note = f"speed: {fact.actual.label} {fact.actual.name} {fact.rule} at {fact.start_s:.1f}: "
            self.tally.notes.append(f"{note}{fact.kmh:.1f} km/h, told {[round(each, 1) for each in told]}")

    def judge_visits(self) -> None:
        wanted = [
            fact
            for fact in crossings(self.site, self.there, self.span_s) + stays(self.site, self.there, self.span_s)
            if fact.counts
        ]
        wanted += [fact for fact in passages(self.site, self.there, self.span_s) if fact.counts]
        for actual in {id(fact.actual): fact.actual for fact in wanted}.values():
            for start_s, end_s in _presences(actual):
                if not any(
                    start_s - AROUND_S <= each.start_s <= end_s + AROUND_S for each in wanted if each.actual is actual
                ):
                    continue
                mine = [
                    event
                    for event, owner in zip(self.events, self.owners, strict=True)
                    if owner is actual
                    and event.started_at <= end_s + AROUND_S
                    and event.updated_at >= start_s - AROUND_S
                ]
                self.tally.visits += 1
                self.tally.events_of_visits.append(len(mine))
                if len(mine) != 1:
                    who = f"{actual.label} {actual.name} from {start_s:.1f} to {end_s:.1f}"
                    ids = [f"{event.label} {event.started_at:.1f}-{event.updated_at:.1f} {event.id}" for event in mine]
                    self.tally.notes.append(f"{len(mine)} events: {who} {ids}")
        for event, owner in zip(self.events, self.owners, strict=True):
            if owner is None:
                self.tally.strays += 1
                self.tally.notes.append(
                    f"stray: {event.label} from {event.started_at:.1f} to {event.updated_at:.1f}, {event.id}"
                )


def _presences(actual: Actual) -> list[tuple[float, float]]:
    """From when to when it can be seen."""
    times = actual.frames[actual.is_judged] / FPS
    if not len(times):
        return []
    cuts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(times)) if b - a > AWAY_S), len(times)]
    return [(float(times[a]), float(times[b - 1])) for a, b in pairwise(cuts)]


def _owner(event: Event, there: Iterable[Actual]) -> Actual | None:
    """The object that an event follows for most of its path."""
    best, most = None, 0.5
    for actual in there:
        share = _share(event, actual)
        if actual.label != event.label:
            share *= 0.8  # a rider and his machine are in one place
        if share >= most:
            best, most = actual, share
    return best


def _share(event: Event, actual: Actual) -> float:
    near = _nearness(event, actual, (-np.inf, np.inf))
    return float((near <= FAR).mean()) - 0.05 * float(np.minimum(near, 1.0).mean()) if len(near) else 0.0


def _distance(event: Event, actual: Actual, span_s: tuple[float, float]) -> float:
    """Sizes between an event's path and an object's boxes, meanwhile; infinite where one of them is not there."""
    near = _nearness(event, actual, span_s)
    near = near[np.isfinite(near)]
    return float(np.median(near)) if len(near) else np.inf


def _nearness(event: Event, actual: Actual, span_s: tuple[float, float]) -> Floats:
    """For each tenth of a second of an event's path: sizes to the object's lower edge; infinite where it is not."""
    at_s = np.array([event.started_at + point.after_s for point in event.path])
    frames = np.arange(max(at_s[0], span_s[0]) * FPS // 1, min(at_s[-1], span_s[1]) * FPS + 1)
    if not len(frames):
        return np.empty(0)
    x = np.interp(frames / FPS, at_s, [point.x * SIZE_WH[0] for point in event.path])
    y = np.interp(frames / FPS, at_s, [point.y * SIZE_WH[1] for point in event.path])
    rows = (frames - actual.frames[0]).astype(int)
    is_there = (rows >= 0) & (rows < len(actual.frames))
    boxes = np.full((len(rows), 4), np.nan)
    boxes[is_there] = actual.boxes[rows[is_there]]
    x1, y1, x2, y2 = boxes.T
    off = np.hypot(x - (x1 + x2) / 2, y - y2) / np.sqrt((x2 - x1) * (y2 - y1))
    return np.where(np.isnan(off), np.inf, off)


def assigned(rows: int, columns: int, cost: Callable[[int, int], float], limit: float) -> dict[int, int]:
    """Rows and columns that belong together for the least cost, each pair within the limit."""
    costs = np.array([[min(cost(i, j), 1e6) for j in range(columns)] for i in range(rows)]).reshape(rows, columns)
    return dict(zip(*(each.tolist() for each in assign(costs, limit)), strict=True))
