"""How well and how cheaply motion is noticed: on real footage, and on streams with a walker at known times.

    .venv/bin/python bench/motion.py [--only NAME] [--keep FOLDER] [--json]

Each stream shows an empty room (a still of one-by-one-person-detection.mp4), with sensor noise and slowly changing
light, encoded as a camera would. Walkers of 1/35 of the picture's width cross it at known times.
The gate sees it three ways: five frames a second; key frames only; and key frames until it moves, or until the
sizes of the other packets hint at motion (then five frames a second for a while). Figures: wakes while
nothing moves, and the delay from the first visible pixel of a walker. On footage: the part of pictures that move.
Processor times are of this thread, at 1920x1080. Needs ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from capture.motion import MotionGate, SizeHint

VIDEOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "videos"
ROOM = "one-by-one-person-detection.mp4"
EMPTY_S = 48.5
FPS = 25
SAMPLE_S = 0.2
LEARNED_S = 5.0
"""Wakes are counted from here on."""
AFTER_S = 2.0
"""After a walker has gone wakes are not counted for so long."""
AWAKE_S = 5.0
"""How long it looks on after motion."""
HINTED_S = 1.0
"""And after a hint."""

Luma = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A camera."""

    name: str
    height: int
    noise: float
    gop_s: float
    options: dict[str, str]
    bit_rate: int = 0
    light: float = 0.01
    """Part by which it becomes brighter and darker, once a minute."""


RECIPES = (
    Recipe("1080p crf 28", 1080, 3.0, 2.0, {"crf": "28", "bf": "0"}),
    Recipe("720p crf 23, 1 s", 720, 2.0, 1.0, {"crf": "23", "bf": "0"}),
    Recipe("720p crf 34, cloud", 720, 3.0, 4.0, {"crf": "34", "bf": "0"}, light=0.12),
    Recipe("720p crf 28, b", 720, 4.0, 2.0, {"crf": "28", "bf": "3"}),
    Recipe("720p 600 kbps", 720, 4.0, 2.0, {"bf": "0", "maxrate": "600k", "bufsize": "600k"}, 600_000),
    Recipe("720p night", 720, 8.0, 2.0, {"crf": "28", "bf": "0"}),
    Recipe("720p no key frames", 720, 3.0, 2.0, {"crf": "28", "bf": "0", "intra-refresh": "1"}),
)


@dataclass(frozen=True, slots=True)
class Walk:
    """When a walker is in the picture, and how fast, in its own widths a second."""

    begin_s: float
    end_s: float
    widths_s: float


@dataclass(slots=True)
class Found:
    """What one way of looking found."""

    wakes: int = 0
    """Times that it began to see motion, or that a hint woke it, while nothing moved."""
    still_s: float = 0.0
    delays_s: list[float | None] = field(default_factory=list)
    most_still: float = 0.0
    """The highest score while nothing moved."""
    walking: list[float] = field(default_factory=list)
    """Scores while something did."""
    looked: int = 0
    """Pictures that it looked at."""


def luma_of(frame: av.VideoFrame) -> Luma:
    """The luma plane, without a copy."""
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]


def empty_room(height: int) -> npt.NDArray[np.float32]:
    """A still without noise, of another size than it was filmed in."""
    with av.open(str(VIDEOS / ROOM)) as container:
        frames = [
            luma_of(frame).astype(np.float32)
            for frame in container.decode(video=0)
            if EMPTY_S <= (frame.time or 0.0) < EMPTY_S + 1.0
        ]
    return cv2.resize(np.mean(frames, axis=0), (height * 16 // 9, height), interpolation=cv2.INTER_CUBIC)


WALKS = (
    Walk(20.3, 26.3, 2.0),
    Walk(32.3, 36.3, 3.0),
    Walk(44.3, 54.3, 0.4),
    Walk(64.3, 70.3, 2.0),
)
"""Each begins 0.3 s after a key frame. The third creeps."""
SECONDS = 90.0


def encode(recipe: Recipe, place: Path) -> None:
    """Films the room."""
    rng = np.random.default_rng(1)
    room = empty_room(recipe.height)
    h, w = room.shape
    body_w = w // 35
    # Clothes: coarse texture 30 levels darker or brighter than what is behind it.
    body = cv2.resize(rng.normal(-30.0, 20.0, (10, 5)), (body_w, 2 * body_w), interpolation=cv2.INTER_LINEAR)
    rows, columns = np.arange(2 * body_w), np.arange(body_w)
    noise = rng.normal(0.0, recipe.noise, (h + 64, w + 64)).astype(np.float32)
    with av.open(str(place), "w", format="matroska") as container:
        options = {"preset": "veryfast", "threads": "1", "sc_threshold": "0", **recipe.options}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = w, h, "yuv420p"
        stream.gop_size = int(FPS * recipe.gop_s)
        if recipe.bit_rate:
            stream.bit_rate = recipe.bit_rate
        chroma = np.full((h // 2, w), 128, np.uint8)
        for i in range(int(SECONDS * FPS)):
            at_s = i / FPS
            dy, dx = rng.integers(0, 64, 2)
            picture = (
                room * np.float32(1.0 + recipe.light * np.sin(at_s * 2 * np.pi / 60.0))
                + noise[dy : dy + h, dx : dx + w]
            )
            for walk in WALKS:
                if walk.begin_s <= at_s < walk.end_s:
                    x = int((at_s - walk.begin_s) * walk.widths_s * body_w)  # its front: it comes in at the left edge
                    x0 = max(0, x - body_w)
                    # Arms and legs swing: a rigid body would cost an encoder next to nothing.
                    swing = 0.25 * body_w * np.sin(2 * np.pi * walk.widths_s * at_s + rows / (body_w / 3))
                    moved = body[rows[:, None], (columns + swing.astype(int)[:, None]) % body_w]
                    picture[h // 2 : h // 2 + 2 * body_w, x0:x] += moved[:, body_w - (x - x0) :]
            luma = np.clip(picture, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.vstack((luma, chroma)), format="yuv420p")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet, and the pictures that it completed: luma, and whether of a key frame."""

    at_s: float
    size: int
    is_key: bool
    pictures: tuple[tuple[Luma, bool], ...]


def arrivals(place: Path) -> Iterator[Arrival]:
    """All packets of a file, at its average rate."""
    with av.open(str(place)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for number, packet in enumerate(container.demux(stream)):
            pictures = tuple((luma_of(frame), frame.key_frame) for frame in packet.decode())
            yield Arrival(number / float(stream.average_rate), packet.size, packet.is_keyframe, pictures)


class Look:
    """One way of looking at a stream: all the time, or asleep but for key frames (and hints)."""

    def __init__(self, truth: tuple[Walk, ...], *, sleeps: bool, uses_hint: bool) -> None:
        self.found = Found(delays_s=[None] * len(truth))
        self.spells: list[float] = []
        """When motion began."""
        self._truth = truth
        self._gate = MotionGate()
        self._hint = SizeHint() if uses_hint else None
        self._awake_until_s = 0.0 if sleeps else float("inf")
        self._next_s = 0.0
        self._is_moving = False
        self._last_s = 0.0

    def take(self, arrival: Arrival) -> None:
        """Take one packet, and look at its pictures if they are due."""
        at_s = arrival.at_s
        if self._is_still(at_s):
            self.found.still_s += at_s - self._last_s
        self._last_s = at_s
        if self._hint and arrival.size and not arrival.is_key:
            is_awake = at_s < self._awake_until_s
            if self._hint.observe(arrival.size, is_quiet=not self._is_moving) and not is_awake:
                self.found.wakes += self._is_still(at_s)
                self._awake_until_s = at_s + HINTED_S
        for luma, is_key in arrival.pictures:
            is_due = at_s + 1e-6 >= self._next_s if at_s < self._awake_until_s else is_key
            if is_due:
                self._look(luma, at_s)

    def _look(self, luma: Luma, at_s: float) -> None:
        self.found.looked += 1
        self._next_s = at_s + SAMPLE_S
        motion = self._gate.observe(luma, at_s)
        if self._is_still(at_s):
            self.found.most_still = max(self.found.most_still, motion.score)
        elif any(walk.begin_s + 1.0 < at_s < walk.end_s for walk in self._truth):
            self.found.walking.append(round(motion.score, 5))
        if motion.is_moving:
            if self._hint:
                self._awake_until_s = at_s + AWAKE_S
            for i, walk in enumerate(self._truth):
                if walk.begin_s <= at_s < walk.end_s and self.found.delays_s[i] is None:
                    self.found.delays_s[i] = round(at_s - walk.begin_s, 2)
            if not self._is_moving:
                self.spells.append(round(at_s, 1))
                self.found.wakes += self._is_still(at_s)
        self._is_moving = motion.is_moving

    def _is_still(self, at_s: float) -> bool:
        return at_s > LEARNED_S and not any(walk.begin_s <= at_s < walk.end_s + AFTER_S for walk in self._truth)


WAYS = {
    "5 a second": {"sleeps": False, "uses_hint": False},
    "key frames": {"sleeps": True, "uses_hint": False},
    "keys, hint": {"sleeps": True, "uses_hint": True},
}


def look(place: Path, truth: tuple[Walk, ...]) -> dict[str, Look]:
    """All ways of looking at one file."""
    looks = {name: Look(truth, **way) for name, way in WAYS.items()}
    for arrival in arrivals(place):
        for each in looks.values():
            each.take(arrival)
    return looks


def cost() -> dict[str, float]:
    """Microseconds of this thread for one picture of 1920x1080; pictures rotate, so none is in a cache."""
    rng = np.random.default_rng(1)
    room = empty_room(1080)
    pictures = [np.clip(room + rng.normal(0, 3, room.shape), 0, 255).astype(np.uint8) for _ in range(12)]
    gate = MotionGate()
    times = []
    for i in range(400):
        began = time.thread_time_ns()
        gate.observe(pictures[i % len(pictures)], i * SAMPLE_S)
        times.append((time.thread_time_ns() - began) / 1000)
    hint = SizeHint()
    began = time.thread_time_ns()
    for i in range(10_000):
        hint.observe(500 + i % 7)
    packet_us = (time.thread_time_ns() - began) / 10_000_000
    return {"gate_us": round(median(times)), "gate_least_us": round(min(times)), "hint_us": round(packet_us, 2)}


def print_tables(streams: dict[str, dict[str, Found]], footage: dict[str, dict[str, object]], costs: object) -> None:
    """The figures for a person."""
    console = Console()
    table = Table(title="streams with four walkers", title_justify="left")
    for column in ("camera", "look", "wakes", "still s", "delays s", "still 1e-4", "walking 1e-4", "looked"):
        table.add_column(column, justify="left" if column in ("camera", "look") else "right", no_wrap=True)
    for name, ways in streams.items():
        for way, found in ways.items():
            delays = " ".join("miss" if delay is None else f"{delay:.2f}" for delay in found.delays_s)
            scores = (f"{found.most_still * 1e4:.1f}", f"{median(found.walking or [0.0]) * 1e4:.1f}")
            table.add_row(name, way, str(found.wakes), f"{found.still_s:.0f}", delays, *scores, str(found.looked))
    console.print(table)
    table = Table(title="footage", title_justify="left")
    for column in ("file", "look", "looked", "motion begins at s"):
        table.add_column(column)
    for name, ways_of in footage.items():
        for way, (looked, spells) in ways_of.items():  # type: ignore[misc]
            table.add_row(name, way, str(looked), " ".join(map(str, spells)))
    console.print(table, costs)


def main() -> int:
    """Prints tables, or JSON."""
    parser = argparse.ArgumentParser(description="how well and how cheaply motion is noticed")
    parser.add_argument("--only", default="", help="only recipes whose name holds this")
    parser.add_argument("--keep", type=Path, help="folder in which encoded streams are kept, and found again")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    if not VIDEOS.is_dir():
        print(f"{VIDEOS} is absent: the footage is there", file=sys.stderr)
        return 1
    streams: dict[str, dict[str, Found]] = {}
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="mosaicd-bench-") as scratch:
        chosen = [recipe for recipe in RECIPES if arguments.only in recipe.name]
        for recipe in track(chosen, "streams", console=console, disable=not sys.stderr.isatty()):
            place = (arguments.keep or Path(scratch)) / f"{recipe.name}.mkv"
            if not place.exists():
                encode(recipe, place)
            looks = look(place, WALKS)
            streams[recipe.name] = {way: each.found for way, each in looks.items()}
    footage: dict[str, dict[str, object]] = {}
    for place in sorted(VIDEOS.glob("*.mp4")):
        footage[place.stem] = {way: (each.found.looked, each.spells) for way, each in look(place, ()).items()}
    costs = cost()
    if arguments.json:
        plain = {name: {way: asdict(found) for way, found in ways.items()} for name, ways in streams.items()}
        print(json.dumps({"streams": plain, "footage": footage, "cost": costs}, indent=2))
    else:
        print_tables(streams, footage, costs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
