"""Scenes of the simulator as sites with rules, and what truly happens there: for `bench/events_truth.py`. Pure.

The rules are drawn on the ground, where the scene's ways are known: a line across the carriageway (or the yard's
drive), lines across the pavements, a zone on the crossing (or in the middle of the yard), and a measured stretch for
each lane. What is true of them comes from the painter's timetables, not from any box: who stands where on the ground is
the middle of its footprint, exactly.

A scene repeats without a gap: who is on the way when a round ends goes on in the next. So an object is known by its
actor and the round in which it set out, and footage that is played again and again has a truth of any length.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.tracked import LEAST_PX, LEAST_VISIBLE, TILE_WH
from simulator.world.lens import Lens
from simulator.world.motion import Actor
from simulator.world.painter import MARGIN
from simulator.world.scene import Scene, build_scene, mood_of
from simulator.world.truth import Truth

Floats = npt.NDArray[np.float64]
Ground = tuple[float, float]
"""Metres to the right and ahead."""

SIZE_WH = (640, 360)
FPS = 10
WHEELS = ("car", "truck", "bus", "motorcycle")
EDGE = 0.005
"""Of the picture: so far from its edges all rules stay."""
AROUND_M = 2.5
"""So much of the ground on either side of a line is in the picture: nobody comes into it just there."""
DWELL_S = 1.5
"""Of all zones: the crossing takes four seconds or more, and a box that jumps over for a moment has not entered."""
LANE_M = 3.6
LEAST_LINE_M = 1.5
LEAST_STRETCH_M, MOST_STRETCH_M = 12.0, 30.0


@dataclass(frozen=True, slots=True)
class Lane:
    """A measured stretch, on the ground as in the picture."""

    x0: float
    x1: float
    y0: float
    y1: float


@dataclass(frozen=True, slots=True, eq=False)
class Actual:
    """One object on one camera, from the first to the last picture on which its actor is on the way."""

    name: str
    label: str
    frames: npt.NDArray[np.int64]
    """(n,), counted from the first round's first picture."""
    ground: Floats
    """(n, 2) metres: the middle of its footprint."""
    foot: Floats
    """(n, 2): that point, 0..1 of the picture."""
    boxes: Floats
    """(n, 4) pixels; NaN where nothing of it is in the picture."""
    is_judged: npt.NDArray[np.bool_]
    """(n,): visible and large enough to be asked of a detector (`bench.tracked`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A camera's scene: its rules, and how to know what is true."""

    seed: int
    title: str
    scene: Scene
    duration_s: float
    rules: dict[str, Any]
    """zones, lines and speed, as the roster writes them."""
    lanes: dict[str, Lane] = field(default_factory=dict)
    lengths_m: dict[str, float] = field(default_factory=dict)
    """Of the lines."""

    @property
    def is_dark(self) -> bool:
        """Dusk or night."""
        return "day" not in self.title


def site_of(seed: int, duration_s: float) -> Site:
    """A scene's site."""
    canvas_wh = (SIZE_WH[0] + 2 * MARGIN, SIZE_WH[1] + 2 * MARGIN)
    scene = build_scene(seed, canvas_wh, duration_s)
    drawn = _street(scene) if scene.mood.kind == "street" else _yard(scene)
    return Site(seed, mood_of(seed).title, scene, duration_s, drawn.rules(), drawn.lanes, drawn.lengths_m)


def in_picture(lens: Lens, ground: Floats) -> Floats:
    """(n, 2) metres on the ground as (n, 2), 0..1 of the picture."""
    points = np.column_stack([ground, np.zeros(len(ground))])
    return (lens.project(points) - MARGIN) / np.array(SIZE_WH)


class _Drawing:
    """Rules drawn on a scene's ground, cut off where its picture ends."""

    def __init__(self, lens: Lens) -> None:
        self._lens = lens
        self._zones: dict[str, Any] = {}
        self._lines: dict[str, Any] = {}
        self._speed: dict[str, Any] = {}
        self.lanes: dict[str, Lane] = {}
        self.lengths_m: dict[str, float] = {}

    def rules(self) -> dict[str, Any]:
        return {"zones": self._zones, "lines": self._lines, "speed": self._speed}

    def line(self, name: str, start: Ground, end: Ground, labels: Sequence[str]) -> None:
        """The part of it that is well within the picture."""
        ground = np.linspace(start, end, 400)
        ahead = (np.array(end) - start) / np.hypot(end[0] - start[0], end[1] - start[1])
        aside = AROUND_M * np.array([-ahead[1], ahead[0]])
        shown = ground[self._is_shown(ground + aside) & self._is_shown(ground - aside)]
        length_m = float(np.hypot(*(shown[-1] - shown[0]))) if len(shown) else 0.0
        if length_m >= LEAST_LINE_M:
            self.lengths_m[name] = length_m
            a, b = _rounded(in_picture(self._lens, shown[[0, -1]]))
            self._lines[name] = {"start": a, "end": b, "to_right": "near", "to_left": "far", "labels": [*labels]}

    def zone(self, name: str, low: Ground, high: Ground, labels: Sequence[str]) -> None:
        """A rectangle along the axes; where the picture does not hold all of it, what of its outline it holds."""
        corners = np.array([low, (high[0], low[1]), high, (low[0], high[1]), low], float)
        outline = np.concatenate([np.linspace(a, b, 100, endpoint=False) for a, b in pairwise(corners)])
        shown = self._is_shown(outline)
        if shown.sum() < 100:
            return
        kept = outline[shown]
        turns = [0, *(i for i in range(1, len(kept) - 1) if _bends(kept[i - 1], kept[i], kept[i + 1])), len(kept) - 1]
        corners_01 = _rounded(in_picture(self._lens, kept[turns]))
        self._zones[name] = {"corners": corners_01, "labels": [*labels], "dwell_s": DWELL_S}

    def stretch(self, name: str, x0: float, x1: float, near: float, far: float) -> None:
        """The nearest part of a lane of which all four corners are in the picture."""
        for y0 in np.arange(near, far - LEAST_STRETCH_M, 0.5).tolist():
            y1 = min(far, y0 + MOST_STRETCH_M)
            corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
            if self._is_shown(corners).all():
                self._speed[name] = {
                    "corners": _rounded(in_picture(self._lens, corners)),
                    "width_m": round(x1 - x0, 3),
                    "length_m": round(y1 - y0, 3),
                    "labels": [*WHEELS],
                }
                self.lanes[name] = Lane(x0, x1, y0, y1)
                return

    def _is_shown(self, ground: Floats) -> npt.NDArray[np.bool_]:
        ahead = self._lens.to_camera(np.column_stack([ground, np.zeros(len(ground))]))[:, 2] > 1.0
        at = in_picture(self._lens, ground)
        return ahead & ((at >= EDGE) & (at <= 1 - EDGE)).all(axis=1)


def _street(scene: Scene) -> _Drawing:
    layout = scene.layout
    [ahead, *_] = layout.ways
    assert ahead.stop_m is not None
    zebra, far = ahead.stop_m - 17.6, ahead.points[1][1] - 2.0
    right = layout.foot[0] - 0.3
    has_park = any("car" in place.labels for place in layout.places)
    left = -right - (2.3 if has_park else 0.0)
    drawn = _Drawing(scene.lens)
    drawn.line("road", (-right, zebra + 7.0), (right, zebra + 7.0), (*WHEELS, "bicycle"))
    drawn.line("left_walk", (left - 2.7, zebra - 4.0), (left - 0.1, zebra - 4.0), ("person",))
    drawn.line("right_walk", (right + 0.1, zebra - 4.0), (right + 2.7, zebra - 4.0), ("person",))
    drawn.zone("crossing", (-right, zebra), (right, zebra + 4.0), ("person",))
    drawn.stretch("away", 0.0, LANE_M, zebra + 1.0, far - 10.0)
    drawn.stretch("towards", -LANE_M, 0.0, 8.0, far - 10.0)
    return drawn


def _yard(scene: Scene) -> _Drawing:
    ways = scene.layout.ways
    deep, drive = ways[0].points[0][1] - 5.5, ways[4].points[3][0] - 1.8
    drawn = _Drawing(scene.lens)
    drawn.line("drive", (drive - 4.0, deep * 0.45), (drive + 4.0, deep * 0.45), WHEELS)
    drawn.line("gate", (ways[4].points[1][0] - 5.8, deep - 9.0), (ways[4].points[1][0] + 2.6, deep - 9.0), WHEELS)
    drawn.zone("middle", (-7.0, 13.0), (7.0, 27.0), ("person",))
    drawn.stretch("in", drive, drive + LANE_M, 8.0, deep - 21.0)
    drawn.stretch("out", drive - LANE_M, drive, 8.0, deep - 23.0)
    return drawn


def _bends(a: Floats, b: Floats, c: Floats) -> bool:
    first, second = b - a, c - b
    return bool(abs(first[0] * second[1] - first[1] * second[0]) > 1e-9)


def _rounded(points: Floats) -> list[list[float]]:
    return [[round(float(x), 5), round(float(y), 5)] for x, y in points]


def actuals(site: Site, truths: Sequence[tuple[Truth, ...]], frames: int) -> list[Actual]:
    """All objects on so many pictures of the site's footage, played again and again."""
    rounds = -(-frames // len(truths))
    seen: dict[tuple[int, int, int], dict[int, Truth]] = {}
    for index, there in enumerate(truths):
        for truth in there:
            number, launch = divmod(truth.track, 64)
            for turn in range(rounds):
                frame = turn * len(truths) + index
                key = (number, 0 if site.scene.actors[number].is_parked else turn - launch // 2, truth.track % 2)
                if frame < frames:
                    seen.setdefault(key, {})[frame] = truth
    return [_actual(site, key, by_frame, frames) for key, by_frame in sorted(seen.items())]


def _actual(site: Site, key: tuple[int, int, int], by_frame: dict[int, Truth], frames: int) -> Actual:
    number, launch, part = key
    actor = site.scene.actors[number]
    at = np.arange(max(0, min(by_frame) - FPS), min(frames, max(by_frame) + FPS + 1))
    ground = _places(actor, at / FPS - actor.start_s - launch * site.duration_s)
    boxes = np.full((len(at), 4), np.nan)
    is_judged = np.zeros(len(at), bool)
    scale = min(tile / source for tile, source in zip(TILE_WH, SIZE_WH, strict=True))
    for row, frame in enumerate(at.tolist()):
        if truth := by_frame.get(frame):
            x1, y1, x2, y2 = boxes[row] = truth.xyxy
            is_judged[row] = truth.visible_ratio >= LEAST_VISIBLE and (x2 - x1) * (y2 - y1) * scale**2 >= LEAST_PX**2
    label = next(iter(by_frame.values())).label
    foot = in_picture(site.scene.lens, ground)
    return Actual(f"{number}.{launch}.{part}", label, at, ground, foot, boxes, is_judged)


def _places(actor: Actor, ages_s: Floats) -> Floats:
    table = actor.timetable
    return np.stack([np.interp(ages_s, table.times_s, table.xy[:, axis]) for axis in (0, 1)], axis=1)
