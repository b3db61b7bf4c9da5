"""From a seed to a scene: kind of place, time of day, weather, camera, and everybody in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.world.cycles import Cycle, pick_cycle
from simulator.world.layouts import Layout, Place, Way
from simulator.world.lens import Lens, aim
from simulator.world.light import Light, toward
from simulator.world.motion import Actor, Cast, Figure, plan_route, standing
from simulator.world.people import pick_dress
from simulator.world.street import street
from simulator.world.vehicles import Vehicle, build_bus, build_car, build_truck
from simulator.world.yard import yard

KINDS = ("street", "yard")
TIMES = ("day", "dusk", "night")
FIRST_TEST_SEED = 1_000_000

SHOWCASE = (1_000_013, 1_000_005, 1_000_002, 1_000_010, 1_000_012, 1_000_017)
"""Six scenes that show what there is: streets and yards by day, at dusk, by night and in the rain."""

_SPEEDS_MPS = {"car": 8.5, "truck": 7.0, "bus": 7.0, "motorcycle": 9.0, "bicycle": 4.6, "person": 1.35}
_YARD_SPEEDS_MPS = {**_SPEEDS_MPS, "car": 5.5, "truck": 4.5, "motorcycle": 5.0, "bicycle": 3.8}


@dataclass(frozen=True, slots=True)
class Mood:
    """What a seed stands for in words.

    Attributes:
        kind: street or yard.
        time: day, dusk or night.
        rains: whether it rains.
    """

    kind: str
    time: str
    rains: bool

    @property
    def title(self) -> str:
        """Such as "street, dusk, rain"."""
        return ", ".join((self.kind, self.time, *(("rain",) if self.rains else ())))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Everything that a painter needs.

    Attributes:
        mood: kind, time and weather.
        layout: the place.
        lens: the camera.
        light: how it is lit.
        actors: who is there.
        noise_rms: sensor noise, in grey levels.
        shake_px: how far the camera moves.
    """

    mood: Mood
    layout: Layout
    lens: Lens
    light: Light
    actors: tuple[Actor, ...]
    noise_rms: float
    shake_px: float


def is_test_scene(seed: int) -> bool:
    """Whether a scene is for tests only: nothing may be trained on it."""
    return seed >= FIRST_TEST_SEED


def mood_of(seed: int) -> Mood:
    """What a seed stands for, without building it."""
    rng = np.random.default_rng([seed, 1])
    kind = KINDS[int(rng.random() < 0.42)]
    time = TIMES[int(rng.choice(3, p=[0.5, 0.25, 0.25]))]
    return Mood(kind, time, bool(rng.random() < 0.28))


def build_scene(seed: int, size_wh: tuple[int, int], duration_s: float) -> Scene:
    """The scene of a seed for a canvas of this size (with its margin)."""
    mood = mood_of(seed)
    rng = np.random.default_rng([seed, 2])
    layout = street(rng) if mood.kind == "street" else yard(rng)
    lens = _camera(rng, layout, mood.kind, size_wh)
    light = _light(rng, mood, layout)
    actors = _cast(np.random.default_rng([seed, 3]), layout, mood, duration_s)
    noise = {"day": 2.2, "dusk": 4.5, "night": 7.0}[mood.time] * float(rng.uniform(0.7, 1.3))
    shake = float(rng.uniform(0.8, 2.4)) * size_wh[0] / 1280 if rng.random() < 0.35 else 0.0
    return Scene(mood, layout, lens, light, actors, noise, shake)


def _camera(rng: np.random.Generator, layout: Layout, kind: str, size_wh: tuple[int, int]) -> Lens:
    focal = float(rng.uniform(0.78, 1.12)) * size_wh[0]
    height = float(rng.uniform(4.6, 6.6) if kind == "street" else rng.uniform(5.0, 7.5))
    half = np.arctan(size_wh[1] / 2 / focal)
    horizon = float(rng.uniform(0.04, 0.2))  # where it lies on the picture, from the top
    pitch = float(np.arctan((0.5 - horizon) * size_wh[1] / focal))
    if kind == "yard":
        pitch = float(np.clip(pitch, 0.14, half + 0.05))
    yaw = float(rng.uniform(*layout.yaws_rad))
    position = (layout.foot[0], layout.foot[1], height)
    return aim(position=position, yaw_rad=yaw, pitch_rad=pitch, focal_px=focal, size_wh=size_wh)


def _light(rng: np.random.Generator, mood: Mood, layout: Layout) -> Light:
    azimuth = float(rng.uniform(-np.pi, np.pi))
    lamps = np.array(layout.grounds.lamps).reshape(-1, 3)
    warm = np.array([1.0, 0.83, 0.56]) if rng.random() < 0.6 else np.array([0.92, 0.95, 1.0])
    white = np.ones(3)
    if mood.time == "day":
        overcast = mood.rains or rng.random() < 0.25
        sky, sun = (
            (0.92 * white, 0.0 * white) if overcast else (np.array([0.5, 0.54, 0.62]), np.array([0.72, 0.68, 0.58]))
        )
        haze, haze_m = ((168.0, 174.0, 180.0), 260.0) if overcast else ((196.0, 208.0, 222.0), 520.0)
        light = Light(
            sky, sun, toward(azimuth, float(rng.uniform(0.6, 1.0))), lamps, warm * 0, np.array(haze), haze_m, False
        )
    elif mood.time == "dusk":
        has_sun = not mood.rains and rng.random() < 0.6
        sun = np.array([0.5, 0.3, 0.14]) if has_sun else 0.0 * white
        sky = np.array([0.42, 0.42, 0.52])
        haze = (206.0, 150.0, 118.0) if has_sun else (104.0, 108.0, 128.0)
        light = Light(
            sky, sun, toward(azimuth, float(rng.uniform(0.2, 0.34))), lamps, warm * 0.42, np.array(haze), 420.0, True
        )
    else:
        sky, haze = np.array([0.19, 0.2, 0.26]), (20.0, 23.0, 34.0)
        light = Light(sky, 0.0 * white, toward(azimuth, 0.6), lamps, warm * 0.95, np.array(haze), 420.0, True)
    return replace(light, haze_m=min(light.haze_m, 170.0)) if mood.rains else light


def _figure(rng: np.random.Generator, label: str, kind: str, *, is_parked: bool = False) -> Figure:
    if label == "person":
        return pick_dress(rng, vest=bool(kind == "yard" and rng.random() < 0.45))
    if label in ("bicycle", "motorcycle"):
        return pick_cycle(rng, label, is_ridden=not is_parked)
    return {"car": build_car, "bus": build_bus, "truck": build_truck}[label](rng)


def size_of(figure: Figure) -> tuple[float, float, float]:
    """Half its length, half its width and its height, metres."""
    if isinstance(figure, Vehicle):
        return figure.size[0] / 2, figure.size[1] / 2, figure.size[2]
    if isinstance(figure, Cycle):
        return 0.95, 0.36, 1.95
    return 0.3, 0.3, figure.height + 0.08


def _cast(rng: np.random.Generator, layout: Layout, mood: Mood, duration_s: float) -> tuple[Actor, ...]:
    """Fills the place: first who stands, then who moves, as many as find a free way."""
    cast = Cast(duration_s, np.array(layout.grounds.obstacles, float))
    for place in layout.places:
        if rng.random() < (0.62 if place.labels[0] == "car" else 0.3):
            cast.add(_stander(rng, place, mood.kind))
    speeds = _SPEEDS_MPS if mood.kind == "street" else _YARD_SPEEDS_MPS
    share = duration_s / 20.0 * {"day": 1.0, "dusk": 0.85, "night": 0.7}[mood.time]
    wanted = {"person": 9.0, "bicycle": 5.0, "car": 5.0, "motorcycle": 4.0, "bus": 1.8, "truck": 1.8}
    if mood.kind == "yard":
        wanted = {"person": 7.0, "bicycle": 4.0, "car": 3.5, "motorcycle": 4.0, "bus": 1.8, "truck": 1.6}
    for label in ("bus", "truck", "car", "motorcycle", "bicycle", "person"):
        ways = [way for way in layout.ways if label in way.labels]
        weights = np.array([way.weight for way in ways])
        amount = wanted[label] * share * rng.uniform(0.6, 1.3)
        for _ in range(max(1, round(amount))):
            figure = _figure(rng, label, mood.kind)
            for _ in range(8):
                way = ways[int(rng.choice(len(ways), p=weights / weights.sum()))]
                if cast.add(_mover(rng, figure, way, speeds[label], duration_s)):
                    break
    return tuple(cast.actors)


def _stander(rng: np.random.Generator, place: Place, kind: str) -> Actor:
    label = place.labels[int(rng.integers(len(place.labels)))]
    figure = _figure(rng, label, kind, is_parked=True)
    heading = place.heading_rad + (np.pi if label == "car" and kind == "yard" and rng.random() < 0.4 else 0.0)
    heading += float(rng.normal(0.0, 0.02))
    spot = standing(place.x + float(rng.normal(0.0, 0.08)), place.y + float(rng.normal(0.0, 0.08)), heading)
    return Actor(figure, spot, float(rng.uniform(0, 5)), *size_of(figure))


def _mover(rng: np.random.Generator, figure: Figure, way: Way, speed_mps: float, duration_s: float) -> Actor:
    speed = speed_mps * float(rng.uniform(0.88, 1.14))
    ahead, aside, height = size_of(figure)
    stops: tuple[tuple[float, float], ...] = ()
    if way.stop_m is not None and rng.random() < 0.5:
        stops = ((way.stop_m - ahead + 2.4, float(rng.uniform(3.0, 7.0))),)
    table = plan_route(way.points, speed, corner_m=way.corner_m, stops=stops)
    return Actor(figure, table, float(rng.uniform(0, duration_s)), ahead, aside, height)
