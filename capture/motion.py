"""Whether anything moves before a camera: from its decoded luma, and from the sizes of packets not decoded. Pure.

:class:`MotionGate` compares a picture, shrunk to about 14,400 cells, with a background. A cell is *changed* when it is
further from the background than noise and light explain. Three things keep that honest:

- *light*: gain and offset between background and picture are fitted over all cells (Tukey's resistant line: medians
  of the outer thirds) before they are compared, so a lamp, a cloud or automatic exposure changes no cell;
- *candidate*: what a cell has shown since it last jumped. A changed cell whose candidate is ``absorb_s`` old becomes
  background: a parked car, or the ground that it leaves behind;
- *flutter*: how much a cell usually departs from its candidate: leaves and compression pulses raise their own limits.

:class:`SizeHint` needs no picture: undecoded packets grow when something moves.

One thread uses each; numpy starts no other for what is done here.
"""

from collections import deque
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
import numpy.typing as npt

from capture.masks import Grid, Luma, Plane, Polygon, Sums

GAP_S = 60.0
"""After a longer pause than this the background is no longer believed."""


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What counts as motion. ``bench/motion.py`` measures the defaults."""

    threshold: float = 0.0006
    """Score from which something moves: 9 cells of 14,400. A walker of 1/35 of the width makes 0.003."""
    contrast: float = 8.0
    """Grey levels (of 255) by which a cell must differ from the background, at least."""
    absorb_s: float = 30.0
    """What stays as it is for this long becomes background."""
    background_s: float = 10.0
    """Time constant with which unchanged cells follow slow change."""
    flutter_s: float = 60.0
    """Time constant with which the limits of restless cells adapt."""


@dataclass(frozen=True, slots=True)
class Motion:
    """What one observation found."""

    score: float
    """Part of the unmasked cells that moves, 0..1."""
    is_moving: bool
    is_fresh: bool
    """Nothing to compare with: the first picture, or the first after a pause or of another size. Not moving."""
    is_identical: bool
    """Exactly the same as the picture before in all sampled rows. Frozen, or a still scene whose encoder skips."""
    mean_luma: float
    """Of the unmasked cells, 0..255; of all if every cell is masked."""
    contrast: float
    """Standard deviation of the same cells: near 0 for a covered, black or blinded camera."""


# Limits of a cell, in units of what they multiply.
_NOISE_SIGMAS = 6.0
_NOISE_MOST = 4.0
"""Grey levels. More is no noise but another scene, or a crowd."""
_FLUTTERS = 4.0
_FLUTTER_MOST = 7.0
"""Grey levels. Where people pass all day the limit must not climb over their contrast."""
_LIGHT_LEVELS = 2.0
"""From this change of light on, in grey levels, the background is carried over to it."""
_NEIGHBOURS = 4
"""Cells of the nine around and with a changed one that must be changed for it to count."""
_CANDIDATE_S = 2.0
_SCENE_RATIO = 0.35
"""More changed cells than this: the whole scene is another one (a lamp, infrared, a turned camera)."""
_SCENE_ABSORB_S = 1.0
_SCENE_SETTLES_S = 4.0

_HINT_PACKETS = 8
"""0.3 s at 25 frames a second, and two periods of the usual pattern of B frames."""
_HINT_OUTLIERS = 2
_HINT_BYTES = 50
_HINT_LEARNS = 50
_HINT_FORGETS = 500
"""Packets: 20 s at 25 frames a second."""
_HINT_LEAST = 0.25
"""In logarithms, as the next: a quarter more. A small walker before a still room makes half to all as much again."""
_HINT_SPREADS = 6.0
_HINT_STEP = 1.0


@dataclass(slots=True)
class _Memory:
    """What is known of the cells of one grid."""

    sums: Sums
    background: Plane
    candidate: Plane
    since_s: npt.NDArray[np.float64]
    flutter: Plane
    at_s: float
    settled_s: float
    """Until then the scene is taken to be another one, and absorbed at once."""


@dataclass(frozen=True, slots=True)
class _Light:
    """A change of light: ``slope * x + offset`` is added to each level x."""

    slope: float
    offset: float

    @property
    def is_steady(self) -> bool:
        """Whether no level changes by as much as half a level."""
        return abs(self.offset) < 0.5 and abs(self.offset + 255.0 * self.slope) < 0.5

    def on(self, levels: Plane) -> Plane:
        """Return the levels in this light."""
        changed: Plane = levels * np.float32(1.0 + self.slope)
        changed += np.float32(self.offset)
        np.minimum(changed, np.float32(255.0), out=changed)
        np.maximum(changed, np.float32(0.0), out=changed)
        return changed


class MotionGate:
    """Notices motion before one camera."""

    def __init__(self, masks: tuple[Polygon, ...] = (), options: GateOptions = GateOptions()) -> None:
        self._masks = masks
        self._options = options
        self._shape: tuple[int, ...] = ()
        self._grid = Grid((1, 1), masks)
        self._memory: _Memory | None = None

    def observe(self, luma: Luma, at_s: float) -> Motion:
        """Take note of a picture, and say what moves. ``at_s`` is monotonic; the intervals need not be regular."""
        if luma.shape != self._shape:
            self._grid, self._shape, self._memory = Grid(luma.shape, self._masks), luma.shape, None
        grid, memory = self._grid, self._memory
        sums = grid.shrink(luma)
        cells: Plane = sums * grid.weight
        if memory is None or at_s - memory.at_s > GAP_S:
            since_s = np.full(cells.shape, at_s)
            self._memory = _Memory(sums, cells, cells.copy(), since_s, np.zeros_like(cells), at_s, at_s)
            return self._motion(cells, 0.0, is_fresh=True, is_identical=False)
        is_identical = np.array_equal(sums, memory.sums)
        changed = self._compare(memory, cells, at_s)
        memory.sums = sums
        score = _company(changed) / max(1, grid.unmasked)
        return self._motion(cells, score, is_fresh=False, is_identical=is_identical)

    def _motion(self, cells: Plane, score: float, *, is_fresh: bool, is_identical: bool) -> Motion:
        share = self._grid.share
        # Not a dot product: OpenBLAS would start threads for it.
        mean = float(np.einsum("ij,ij->", cells, share))
        deviation = cells - np.float32(mean)
        spread = float(np.einsum("ij,ij,ij->", deviation, deviation, share))
        is_moving = score > 0.0 and score >= self._options.threshold
        return Motion(score, is_moving, is_fresh, is_identical, mean, sqrt(spread))

    def _compare(self, memory: _Memory, cells: Plane, at_s: float) -> npt.NDArray[np.bool_]:
        """Return which cells are changed, and learn."""
        options = self._options
        elapsed_s = max(0.0, at_s - memory.at_s)
        memory.at_s = at_s
        light, noise = self._light(memory.background, cells)
        limit = memory.flutter * np.float32(_FLUTTERS)
        np.maximum(limit, np.float32(max(options.contrast, _NOISE_SIGMAS * min(noise, _NOISE_MOST))), out=limit)
        expected = memory.background if light.is_steady else light.on(memory.background)
        away = cells - expected
        changed: npt.NDArray[np.bool_] = np.abs(away) > limit
        changed &= self._grid.counts
        if np.count_nonzero(changed) > _SCENE_RATIO * self._grid.unmasked:
            if at_s >= memory.settled_s:
                memory.candidate = cells.copy()
                memory.since_s.fill(at_s)
            memory.settled_s = at_s + _SCENE_SETTLES_S
        is_settling = at_s < memory.settled_s
        if not (light.is_steady or is_settling) and float(np.abs(expected - memory.background).mean()) > _LIGHT_LEVELS:
            # Most cells agree on the light: carry all over to it, or it would be fitted for ever.
            memory.background, memory.candidate = expected, light.on(memory.candidate)
        self._follow(memory, cells, limit, elapsed_s)
        away *= _part(elapsed_s, options.background_s)
        np.add(memory.background, away, out=memory.background, where=~changed)
        if is_settling:
            # All alike, the changed or not: some old cells resemble the new scene, and would be ghosts in it.
            absorbed = memory.since_s <= at_s - _SCENE_ABSORB_S
        else:
            absorbed = changed & (memory.since_s <= at_s - options.absorb_s)
        np.copyto(memory.background, memory.candidate, where=absorbed)
        return changed & ~absorbed

    def _follow(self, memory: _Memory, cells: Plane, limit: Plane, elapsed_s: float) -> None:
        """Bring candidates and flutter up to a picture of the time ``memory.at_s``."""
        departure = cells - memory.candidate
        size = np.abs(departure)
        jumped = size > limit
        departure *= _part(elapsed_s, _CANDIDATE_S)
        memory.candidate += departure
        if jumped.any():
            np.copyto(memory.candidate, cells, where=jumped)
            np.copyto(memory.since_s, memory.at_s, where=jumped)
        np.minimum(size, np.float32(_FLUTTER_MOST), out=size)
        size -= memory.flutter
        size *= _part(elapsed_s, self._options.flutter_s)
        memory.flutter += size

    def _light(self, background: Plane, cells: Plane) -> tuple[_Light, float]:
        """Return what light did to the background, and the standard deviation of the noise that is left."""
        x = background.ravel()[self._grid.fitted]
        y = cells.ravel()[self._grid.fitted] - x
        third = len(x) // 3
        bounds = np.partition(x, (third, len(x) - 1 - third))
        low, high = x <= bounds[third], x >= bounds[len(x) - 1 - third]
        x0, y0, x1, y1 = (_median(v) for v in (x[low], y[low], x[high], y[high]))
        # A scene without bright and dark tells nothing of gain.
        slope = (y1 - y0) / (x1 - x0) if x1 - x0 > 16.0 else 0.0
        slope = min(max(slope, -0.75), 3.0)
        y -= np.float32(slope) * x
        offset = _median(y)
        # 1.4826 makes the median of absolute deviations a standard deviation (of a normal distribution).
        noise = 1.4826 * _median(np.abs(y - np.float32(offset)))
        return _Light(slope, offset), noise


def _part(elapsed_s: float, constant_s: float) -> np.float32:
    """Return how far an exponential average goes towards a new value."""
    return np.float32(1.0 - exp(-elapsed_s / constant_s))


def _median(values: npt.NDArray[np.float32]) -> float:
    """Return the upper median: a tenth of the cost of np.median."""
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


def _company(changed: npt.NDArray[np.bool_]) -> int:
    """Return how many changed cells have others beside them."""
    rows, columns = changed.shape
    padded = np.zeros((rows + 2, columns + 2), np.uint8)
    padded[1:-1, 1:-1] = changed
    sums = padded[:-2] + padded[1:-1]
    sums += padded[2:]
    around = sums[:, :-2] + sums[:, 1:-1]
    around += sums[:, 2:]
    return int(np.count_nonzero((around >= _NEIGHBOURS) & changed))


class SizeHint:
    """Notices motion from the sizes of undecoded packets, all but the key frames'.

    The level of a moment is the logarithm of the mean of the last eight sizes without the two largest: those are the
    pictures that others refer to, and the pulses of encoders with long or gradual refresh. The usual level and its
    spread are learned while it is quiet. It needs an encoder that spends bits where something happens: one of
    constant bit rate hides it, and so does much noise.
    """

    def __init__(self) -> None:
        self._sizes: deque[int] = deque(maxlen=_HINT_PACKETS)
        self._learned = 0
        self._usual = 0.0
        self._spread = 0.0

    def observe(self, size: int, *, is_quiet: bool = True) -> bool:
        """Take note of a packet of ``size`` bytes; return whether recent ones are unusually large.

        ``is_quiet`` is what the gate last found: motion is not learned, but what it denies soon is.
        """
        self._sizes.append(size)
        if len(self._sizes) < _HINT_PACKETS:
            return False
        kept = sorted(self._sizes)[:-_HINT_OUTLIERS]
        # The constant keeps empty packets (everything skipped, some 20 to 40 bytes) from making a large ratio.
        level = log(sum(kept) / len(kept) + _HINT_BYTES)
        if not self._learned:
            self._usual = level
        departure = level - self._usual
        is_hint = self._learned >= _HINT_LEARNS and departure > max(_HINT_LEAST, _HINT_SPREADS * self._spread)
        if is_quiet:
            self._learned += 1
            # First an average of all, then one that forgets; a single burst moves it little.
            part = max(1.0 / self._learned, 1.0 / _HINT_FORGETS)
            if self._learned > _HINT_LEARNS:
                departure = min(max(departure, -_HINT_STEP), _HINT_STEP)
            self._usual += part * departure
            self._spread += part * (abs(departure) - self._spread)
        return is_hint
