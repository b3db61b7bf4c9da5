"""From judged pictures to what a person wants to know: accuracy by input and precision, and how sure that is.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from inference.engine import Precision
from inference.evaluation.arrangement import Input
from inference.evaluation.bootstrap import POINTS, RESAMPLES, Difference, compare, draw
from inference.evaluation.matching import Match
from inference.evaluation.precision import Judged, Ranked, every_picture_once, mean_average_precision, rank
from inference.evaluation.sizes import PICTURE_SIZES, TILE_SIZES, Recall, recalls
from inference.evaluation.verdicts import REFUTED_BELOW, Verdict


@dataclass(frozen=True, slots=True)
class Combination:
    """One way to run a model."""

    engine: str
    precision: Precision
    way: Input


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one combination gave, picture by picture."""

    combination: Combination
    judged: tuple[Judged, ...]
    scales: tuple[tuple[float, float], ...]
    """Tile pixels by picture pixels, horizontally and vertically, of each picture."""
    crosses: tuple[npt.NDArray[np.bool_], ...]
    """For each detection of each picture, whether it reached over what is a seam in a mosaic."""
    problem: str = ""
    """Why it could not be measured; the rest is empty then."""


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """One combination's figures; ratios are None where there is nothing to divide by."""

    engine: str
    precision: Precision
    way: Input
    map_points: float
    """mAP@.5 over the classes that have objects, 0 to 100; not a number where there are none."""
    recall_ratio: float | None
    """Objects found, of all, by detections of at least the score asked for."""
    precision_ratio: float | None
    """Detections of at least that score that are right, of all of those classes that have objects: ground truth of
    persons says nothing about cars."""
    by_picture_size: tuple[Recall, ...]
    by_tile_size: tuple[Recall, ...]
    crossing_ratio: float | None
    """Detections of at least that score that reach over a seam, of all; for a single frame and for tiles: over the side
    where a mosaic would have a seam."""
    tax: Difference | None = None
    """mAP points more than the single frame's with the same engine and precision: below 0, the input costs so much."""
    loss: Difference | None = None
    """mAP points more than float32's with the same engine and input."""
    problem: str = ""

    @property
    def refuted(self) -> bool | None:
        """Whether the precision is proved to be clearly worse than float32; None for float32 itself."""
        return self.loss.high < REFUTED_BELOW if self.loss else None


def rows(
    outcomes: Sequence[Outcome],
    units: npt.NDArray[np.intp],
    score_threshold: float,
    resamples: int = RESAMPLES,
    seed: int = 1,
) -> tuple[AccuracyRow, ...]:
    """One row an outcome, in their order; `units` as in `bootstrap.draw`."""
    weights = draw(units, resamples, seed)
    ranked = {item.combination: rank(item.judged) for item in outcomes if not item.problem}
    result = []
    for item in outcomes:
        one = item.combination
        if item.problem:
            nothing = (float("nan"), None, None, (), (), None)
            result.append(AccuracyRow(one.engine, one.precision, one.way, *nothing, problem=item.problem))
            continue
        alone = ranked.get(Combination(one.engine, one.precision, Input.SINGLE)) if one.way != Input.SINGLE else None
        exact = ranked.get(Combination(one.engine, "float32", one.way)) if one.precision != "float32" else None
        result.append(
            AccuracyRow(
                engine=one.engine,
                precision=one.precision,
                way=one.way,
                map_points=POINTS * float(mean_average_precision(ranked[one], every_picture_once(len(units)))[0]),
                recall_ratio=_recall(item.judged, score_threshold),
                precision_ratio=_precision(item.judged, ranked[one], score_threshold),
                by_picture_size=recalls(item.judged, [(1.0, 1.0)] * len(units), PICTURE_SIZES, score_threshold),
                by_tile_size=recalls(item.judged, item.scales, TILE_SIZES, score_threshold),
                crossing_ratio=_crossing(item, score_threshold),
                tax=compare(ranked[one], alone, weights) if alone is not None else None,
                loss=compare(ranked[one], exact, weights) if exact is not None else None,
            )
        )
    return tuple(result)


def verdicts_of(table: Sequence[AccuracyRow], digest: str, pictures: int, now: datetime) -> tuple[Verdict, ...]:
    """For each engine and precision but float32 the difference that speaks most against it, of all inputs measured."""
    result = []
    for engine, precision in dict.fromkeys((row.engine, row.precision) for row in table):
        losses = [row.loss for row in table if (row.engine, row.precision) == (engine, precision) and row.loss]
        if losses:
            loss = min(losses, key=lambda item: item.high)
            result.append(Verdict(digest, engine, precision, loss.points, loss.low, loss.high, pictures, now))
    return tuple(result)


def _recall(judged: Sequence[Judged], score_threshold: float) -> float | None:
    found = sum(item.found for item in recalls(judged, [(1.0, 1.0)] * len(judged), PICTURE_SIZES, score_threshold))
    objects = sum(int((~item.objects.ignored).sum()) for item in judged)
    return found / objects if objects else None


def _precision(judged: Sequence[Judged], classes: Sequence[Ranked], score_threshold: float) -> float | None:
    known = [ranked.class_id for ranked in classes]
    right = counted = 0
    for item in judged:
        kept = (item.found.scores >= score_threshold) & np.isin(item.found.class_ids, known)
        right += int((item.matches[kept] >= 0).sum())
        counted += int((item.matches[kept] != Match.IGNORED).sum())
    return right / counted if counted else None


def _crossing(outcome: Outcome, score_threshold: float) -> float | None:
    kept = [
        crosses[item.found.scores >= score_threshold]
        for item, crosses in zip(outcome.judged, outcome.crosses, strict=True)
    ]
    number = sum(len(item) for item in kept)
    return sum(int(item.sum()) for item in kept) / number if number else None
