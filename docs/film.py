"""Some frames of a painted scene, and what mosaicd's own code makes of them by a camera's rules."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from capture.messages import Sighting
from docs.drawing import Point
from events.analyst import Analyst, CameraRules
from events.words import Event
from simulator.world.painter import MARGIN, Painter
from simulator.world.scene import build_scene
from simulator.world.truth import Picture, Truth

SIZE_WH = (960, 540)
ROUND_S = 20.0
FPS = 5
NOON = 1796047985.0
"""2026-11-30T14:13:05Z, when each film begins."""
LEAST_VISIBLE = 0.4
_REACH_PX = 30.0
"""So far, and its own height, an object moves from one frame to the next."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An object on one frame."""

    index: int
    truth: Truth

    @property
    def foot(self) -> Point:
        """Where it stands, pixels."""
        x1, _, x2, y2 = self.truth.xyxy
        return (x1 + x2) / 2, y2

    @property
    def height(self) -> float:
        """Of its box, pixels."""
        return self.truth.xyxy[3] - self.truth.xyxy[1]


@dataclass(frozen=True, slots=True)
class Told:
    """A change of an event, and on which frame it was told."""

    index: int
    event: Event


class Film:
    """Some frames of a scene, and what the rules make of them."""

    def __init__(
        self,
        seed: int,
        rules: CameraRules,
        frames: range,
        cast: Callable[[int, bool], bool],
        later: Mapping[int, float] = MappingProxyType({}),
    ) -> None:
        """``cast`` says by an actor's number and whether it is parked who is there, ``later`` when somebody starts."""
        scene = build_scene(seed, (SIZE_WH[0] + 2 * MARGIN, SIZE_WH[1] + 2 * MARGIN), ROUND_S)
        actors = [
            replace(each, start_s=later.get(number, each.start_s))
            for number, each in enumerate(scene.actors)
            if cast(number, each.is_parked)
        ]
        painter = Painter(replace(scene, actors=tuple(actors), shake_px=0.0), seed, ROUND_S)
        turn = round(ROUND_S * FPS)
        self.frames = frames
        self._pictures: dict[int, Picture] = {i: painter.paint(i % turn, i % turn / FPS) for i in frames}
        self.told: list[Told] = []
        draw = itertools.count()
        analyst = Analyst("yard", rules, lambda: next(draw))
        for index in frames:
            at_s = index / FPS
            seen = [Sighting(each.label, 0.9, each.xyxy) for each in self._seen(index)]
            batch = analyst.see(at_s, self.at(index), SIZE_WH, seen)
            self.told += [Told(index, event) for event in batch.events]
        self.last = {each.event.id: each.event for each in self.told}

    def at(self, index: int) -> float:
        """The wall clock of a frame."""
        return NOON + (index - self.frames.start) / FPS

    def index(self, at: float) -> int:
        """The frame at a time."""
        return min(self.frames.start + round((at - NOON) * FPS), self.frames.stop - 1)

    def _seen(self, index: int) -> list[Truth]:
        return [each for each in self._pictures[index].truths if each.visible_ratio >= LEAST_VISIBLE]

    def moments(self, index: int) -> list[Moment]:
        """What is to be seen on a frame."""
        return [Moment(index, each) for each in self._seen(index)]

    def follow(self, label: str, near: Point, index: int) -> list[Moment]:
        """One object's moments, forwards from where it stands on a frame."""
        found: list[Moment] = []
        for each in range(index, self.frames.stop):
            moments = [moment for moment in self.moments(each) if moment.truth.label == label]
            nearest = min(moments, key=lambda moment: _distance(moment.foot, near), default=None)
            if found and each - found[-1].index > FPS:
                break
            if nearest is not None and _distance(nearest.foot, near) < _REACH_PX + nearest.height:
                found.append(nearest)
                near = nearest.foot
        return found

    def exposed(self, moments: Sequence[Moment], base: int) -> npt.NDArray[np.uint8]:
        """One picture that shows an object at several moments, RGB."""
        rgb = self._pictures[base].rgb.copy()
        for moment in moments:
            x1, y1, x2, y2 = (round(number) for number in moment.truth.xyxy)
            y1 -= round(moment.height * 0.6) if moment.truth.label in ("motorcycle", "bicycle") else 0
            part = np.s_[max(0, y1 - 3) : y2 + 6, max(0, x1 - 14) : x2 + 14]
            rgb[part] = self._pictures[moment.index].rgb[part]
        return rgb


def _distance(a: Point, b: Point) -> float:
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))
