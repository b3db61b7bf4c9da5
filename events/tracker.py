"""From one camera's sightings to its tracks. Pure.

ByteTrack (Zhang et al. 2022, arXiv:2110.06864): strong sightings are matched with tracks first, then the weak ones with
what is left, so that what is half hidden keeps its track and a doubtful box begins none. Since answers come once to
ten times a second, not thirty times, time is in seconds (`motion`), and what may be a track's box is the wider the less
is known of where it should be by now (`association.buffered_overlaps`): at two answers a second whoever walks has left
the place where it was. `bench/tracking.py` compares this with other ways and with the libraries that there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt

import numpy as np
import numpy.typing as npt

from events.association import Rows, assign, buffered_overlaps, overlaps, overlaps_of_pairs
from events.motion import Corners, Floats, Motion, to_corners, to_middles
from events.tracks import End, EndCause, Track, TrackerOptions, TrackerStatistics, TrackUpdate

DOUBT_SIGMAS = 0.7
"""A box is made larger by so many standard deviations of its place. With 0, plain overlap, IDF1 at two answers a second
falls from 68 to 32 on PETS; with 2, neighbours are confused with each other (61)."""
LEAST_OVERLAP = 0.2
"""Of a track's box and a seen one, both made larger."""
SAME_OVERLAP = 0.7
"""Boxes of different labels that overlap by so much, not made larger, are one object: a detector takes a van for a car
now and a truck then, or for both at once. Who leans on a car, or rides, is less like it than that."""
OTHER_LABEL_COST = 0.2
EDGE_PX = 2.0
"""A box that ends this near to the picture's edge is cut off by it; detectors' boxes are clipped there."""
LEAVES_RATIO = 0.2
"""Sizes a second: who is cut off by an edge, and moves over it that fast, leaves."""
STILL_OVERLAP = 0.5
"""What overlaps its earlier self by less has moved."""
_NEVER = 1e6


@dataclass(slots=True, eq=False)
class _Life:
    """What is known of a track besides its motion."""

    label: str
    votes: dict[str, float]
    score: float
    box: tuple[float, float, float, float]
    origin: tuple[float, float]
    began_s: float
    began_at: float
    seen_s: float
    seen_at: float
    still_since_s: float
    leaves: bool = False
    """When seen last it was on its way out of the picture."""
    sightings: int = 1
    missed: int = 0
    """Answers since it was seen last."""
    id: int = 0
    """From when it is told of."""

    @property
    def is_told(self) -> bool:
        return self.id > 0


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """One answer."""

    at_s: float
    wall_s: float
    corners: Corners
    scores: npt.NDArray[np.floating]
    labels: Sequence[str]
    within_wh: tuple[int, int] | None


class Tracker:
    """The tracks of one camera. Belongs to one thread; knows no clock, times are passed in."""

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self._options = options or TrackerOptions()
        self._lives: list[_Life] = []
        nothing = np.empty((0, 4))
        self._motion = Motion.of(nothing)
        """Row by row as the lives."""
        self._places: Corners = nothing
        """Where each was when it moved last; row by row as the lives."""
        self._last_s = -inf
        self._begun = 0
        self._late = 0

    def update(
        self,
        at_s: float,
        xyxy: npt.NDArray[np.floating],
        scores: npt.NDArray[np.floating],
        labels: Sequence[str],
        *,
        wall_s: float = 0.0,
        within_wh: tuple[int, int] | None = None,
    ) -> TrackUpdate:
        """Take in an answer: all that was seen on a frame captured at ``at_s`` (monotonic seconds), nothing included.

        Boxes are (n, 4) pixels, scores (n,) 0 to 1; ``within_wh`` is the picture's size, by which it is known who
        leaves. An answer that is no newer than the one before is dropped and
        counted. Raises ValueError for numbers that are not finite, and where there are not as many of each.
        """
        corners = np.asarray(xyxy, np.float64).reshape(-1, 4)
        if not len(corners) == len(scores) == len(labels):
            raise ValueError(f"{len(corners)} boxes, {len(scores)} scores, {len(labels)} labels")
        if not (isfinite(at_s) and np.isfinite(corners).all() and np.isfinite(scores).all()):
            raise ValueError("a time, box or score is not finite")
        if at_s <= self._last_s:
            self._late += 1
            return TrackUpdate()
        silent = self.expire(at_s)
        if self._lives:
            self._motion.advance(at_s - self._last_s)
        self._last_s = at_s
        seen = _Seen(at_s, wall_s, corners, scores, labels, within_wh)
        tracks, boxes = self._match(seen)
        new, updated = self._continue(tracks, boxes, seen)
        lost = self._drop(tracks, at_s)
        new += self._begin(boxes, seen)
        return TrackUpdate(tuple(new), tuple(updated), silent + lost)

    def expire(self, now_s: float) -> tuple[End, ...]:
        """Close all tracks if no answer has come for ``silence_s``: to be asked for now and then, so that they end."""
        return self.close() if now_s - self._last_s > self._options.silence_s else ()

    def close(self) -> tuple[End, ...]:
        """End all tracks: the camera is away, or back. What it shows next is new; ids and time go on."""
        ended = tuple(End(self._track(row), EndCause.CLOSED) for row, life in enumerate(self._lives) if life.is_told)
        self._keep(np.zeros(len(self._lives), bool))
        return ended

    def statistics(self) -> TrackerStatistics:
        """Counts since the start."""
        return TrackerStatistics(len(self._lives), self._begun, self._late)

    def _match(self, seen: _Seen) -> tuple[Rows, Rows]:
        """Return the tracks and the boxes that belong together."""
        costs = self._costs(seen)
        told = np.array([life.is_told for life in self._lives], bool)
        strong = np.asarray(seen.scores) >= self._options.strong_score
        free_tracks, free_boxes = np.ones(len(told), bool), np.ones(len(strong), bool)
        pairs = []
        for some_tracks, some_boxes in ((told, strong), (told, ~strong), (~told, strong)):
            rows, columns = np.flatnonzero(free_tracks & some_tracks), np.flatnonzero(free_boxes & some_boxes)
            if len(rows) and len(columns):
                a, b = assign(costs[rows[:, None], columns], 1 - LEAST_OVERLAP)
                free_tracks[rows[a]] = free_boxes[columns[b]] = False
                pairs.append((rows[a], columns[b]))
        if not pairs:
            return np.empty(0, np.intp), np.empty(0, np.intp)
        return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])

    def _costs(self, seen: _Seen) -> Floats:
        """Return (tracks, boxes): what it costs that they are the same."""
        tracks = to_corners(self._motion.at)
        doubt_wh = DOUBT_SIGMAS * np.sqrt(self._motion.var[:, :2])
        costs = 1 - buffered_overlaps(tracks, doubt_wh, seen.corners)
        codes = {label: code for code, label in enumerate(dict.fromkeys(seen.labels))}
        own = np.array([codes.get(life.label, -1) for life in self._lives], np.intp)
        other = own[:, None] != np.array([codes[label] for label in seen.labels], np.intp)
        if other.any():
            is_far = overlaps(tracks, seen.corners) < SAME_OVERLAP
            costs = np.where(other, np.where(is_far, _NEVER, costs + OTHER_LABEL_COST), costs)
        return costs

    def _continue(self, tracks: Rows, boxes: Rows, seen: _Seen) -> tuple[list[Track], list[Track]]:
        """Let tracks go on with the boxes that are theirs; return those to be told of now, and those told before."""
        if not len(tracks):
            return [], []
        self._motion.see(tracks, to_middles(seen.corners[boxes]))
        now = to_corners(self._motion.at[tracks])
        has_moved = overlaps_of_pairs(self._places[tracks], now) < STILL_OVERLAP
        self._places[tracks[has_moved]] = now[has_moved]
        new, updated = [], []
        for row, box, moved in zip(tracks.tolist(), boxes.tolist(), has_moved.tolist(), strict=True):
            life = self._lives[row]
            _sight(life, box, seen)
            if moved:
                life.still_since_s = seen.at_s
            life.leaves = seen.within_wh is not None and self._leaves(row, life.box, seen.within_wh)
            if life.is_told:
                updated.append(self._track(row))
            elif life.sightings >= self._options.confirm_sightings:
                new.append(self._tell(row))
        return new, updated

    def _drop(self, tracks: Rows, at_s: float) -> tuple[End, ...]:
        """Forget those who were not seen for too long; return the ends of those that were told of."""
        kept = np.zeros(len(self._lives), bool)
        kept[tracks] = True
        ended = []
        for row in np.flatnonzero(~kept).tolist():
            life = self._lives[row]
            life.missed += 1
            kept[row] = life.is_told and not self._is_lost(life, at_s)
            if life.is_told and not kept[row]:
                ended.append(End(self._track(row), EndCause.LOST))
        if not kept.all():
            self._keep(kept)
        return tuple(ended)

    def _leaves(self, row: int, box: tuple[float, float, float, float], within_wh: tuple[int, int]) -> bool:
        """Whether it is cut off by an edge of the picture, and moves over it."""
        (x1, y1, x2, y2), (width, height) = box, within_wh
        out = LEAVES_RATIO * sqrt(max(1.0, (x2 - x1) * (y2 - y1)))
        dx, dy, dw, dh = self._motion.rate[row].tolist()
        # What is cut off shrinks: the far side tells how fast it goes.
        return (
            (x1 <= EDGE_PX and dx + dw / 2 < -out)
            or (y1 <= EDGE_PX and dy + dh / 2 < -out)
            or (x2 >= width - EDGE_PX and dx - dw / 2 > out)
            or (y2 >= height - EDGE_PX and dy - dh / 2 > out)
        )

    def _is_lost(self, life: _Life, at_s: float) -> bool:
        options = self._options
        stood = life.seen_s - life.still_since_s >= options.still_s
        patience_s = options.left_s if life.leaves else options.still_lost_s if stood else options.lost_s
        return at_s - life.seen_s > patience_s and life.missed >= options.lost_answers

    def _begin(self, taken: Rows, seen: _Seen) -> list[Track]:
        """Begin tracks with the strong boxes that are left; return those to be told of at once."""
        is_left = np.asarray(seen.scores) >= self._options.strong_score
        is_left[taken] = False
        left = np.flatnonzero(is_left)
        if not len(left):
            return []
        left = left[np.argsort(-np.asarray(seen.scores)[left], kind="stable")]
        before = np.concatenate([taken, left])
        twin = overlaps(seen.corners[left], seen.corners[before]) >= SAME_OVERLAP
        # Of those that are left, only the better ones come before.
        twin &= np.arange(len(before)) < len(taken) + np.arange(len(left))[:, None]
        born = left[~twin.any(axis=1)]
        first = len(self._lives)
        self._motion.append(Motion.of(to_middles(seen.corners[born])))
        self._places = np.concatenate([self._places, seen.corners[born]])
        for box in born.tolist():
            self._lives.append(_life_of(box, seen))
        if self._options.confirm_sightings > 1:
            return []
        return [self._tell(row) for row in range(first, len(self._lives))]

    def _tell(self, row: int) -> Track:
        self._begun += 1
        self._lives[row].id = self._begun
        return self._track(row)

    def _keep(self, kept: npt.NDArray[np.bool_]) -> None:
        self._motion.keep(kept)
        self._places = self._places[kept]
        self._lives = [life for life, is_kept in zip(self._lives, kept.tolist(), strict=True) if is_kept]

    def _track(self, row: int) -> Track:
        life = self._lives[row]
        x, y, _, h = self._motion.at[row].tolist()
        dx, dy, _, dh = self._motion.rate[row].tolist()
        return Track(
            id=life.id,
            label=life.label,
            score=life.score,
            box=life.box,
            foot=(x, y + h / 2),
            origin=life.origin,
            velocity=(dx, dy + dh / 2),
            began_s=life.began_s,
            seen_s=life.seen_s,
            began_at=life.began_at,
            seen_at=life.seen_at,
            sightings=life.sightings,
            still_s=life.seen_s - life.still_since_s,
        )


def _life_of(box: int, seen: _Seen) -> _Life:
    label, score = seen.labels[box], float(seen.scores[box])
    x1, y1, x2, y2 = seen.corners[box].tolist()
    at_s, wall_s = seen.at_s, seen.wall_s
    origin = ((x1 + x2) / 2, y2)
    return _Life(label, {label: score}, score, (x1, y1, x2, y2), origin, at_s, wall_s, at_s, wall_s, at_s)


def _sight(life: _Life, box: int, seen: _Seen) -> None:
    label, score = seen.labels[box], float(seen.scores[box])
    x1, y1, x2, y2 = seen.corners[box].tolist()
    life.score, life.box = score, (x1, y1, x2, y2)
    life.seen_s, life.seen_at = seen.at_s, seen.wall_s
    life.sightings += 1
    life.missed = 0
    life.votes[label] = life.votes.get(label, 0.0) + score
    if life.votes[label] > life.votes[life.label]:
        life.label = label
