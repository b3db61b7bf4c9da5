"""Measures accuracy: each engine, precision and input in a process of its own, all on the same pictures.

Shell; what is made of the detections is `report`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from inference.engine import Detections, DeviceKind, ModelFiles, Precision
from inference.engines import ENGINES
from inference.evaluation.arrangement import Arrangement, Input
from inference.evaluation.messages import Load, Loaded, Look, Seen
from inference.evaluation.precision import judge
from inference.evaluation.process import LOAD_WITHIN_S, Measurer, MeasurerError
from inference.evaluation.report import Combination, Outcome
from inference.evaluation.truth import TruthSet, objects_of
from inference.labels import modern_label

LEAST_SCORE: Final = 0.005
"""Detections below are not looked at: low enough that precision at high recalls is seen, as Darknet's own `detector
valid` does it (detector.c, validate_detector: thresh .005)."""
MAX_DETECTIONS: Final = 300
"""A picture; a mosaic may have four times as many."""

Tell = Callable[[Combination, int], None]
"""Is told of how many pictures a combination has been measured on."""


@dataclass(frozen=True, slots=True)
class AccuracyPlan:
    """What is to be measured."""

    files: ModelFiles
    truths: TruthSet
    combinations: tuple[Combination, ...]
    tile_wh: tuple[int, int]
    stretch: bool = False
    device: DeviceKind = "cpu"
    threads: int = 1
    cache_dir: Path | None = None


def combinations(
    engines: Sequence[str], precisions: Sequence[Precision], inputs: Sequence[Input], device: DeviceKind = "cpu"
) -> tuple[Combination, ...]:
    """All of them that the engines can do, with what the others are compared with: float32, first."""
    wanted: list[Precision] = ["float32", *(precision for precision in precisions if precision != "float32")]
    return tuple(
        Combination(*item)
        for item in product(engines, wanted, inputs)
        if item[1] in ENGINES[item[0]].precisions[device]
    )


def measure(plan: AccuracyPlan, tell: Tell, start: Callable[[], Measurer] = Measurer) -> Iterator[Outcome]:
    """One outcome a combination, one after the other; what fails has its problem in it, and the others go on."""
    for combination in plan.combinations:
        try:
            yield _measured(plan, combination, tell, start)
        except MeasurerError as error:
            yield Outcome(combination, (), (), (), str(error))


def _measured(plan: AccuracyPlan, combination: Combination, tell: Tell, start: Callable[[], Measurer]) -> Outcome:
    arrangement = Arrangement(combination.way, plan.tile_wh, plan.stretch)
    load = Load(
        engine=combination.engine,
        cfg=str(plan.files.cfg),
        weights=str(plan.files.weights),
        names=str(plan.files.names),
        input_wh=arrangement.model_input.input_wh,
        batch=arrangement.batch,
        threads=plan.threads,
        device=plan.device,
        precision=combination.precision,
        cache_dir=str(plan.cache_dir) if plan.cache_dir else None,
        score_threshold=LEAST_SCORE,
        max_detections=MAX_DETECTIONS * (4 if combination.way is Input.MOSAIC else 1),
    )
    look = Look(
        photos=tuple(map(str, plan.truths.photos)),
        video=str(plan.truths.video) if plan.truths.video else "",
        frames=plan.truths.frames,
        way=combination.way,
        tile_wh=plan.tile_wh,
        stretch=plan.stretch,
    )
    seen: dict[int, Seen] = {}
    with start() as measurer:
        tell(combination, 0)
        labels = measurer.ask(load, Loaded, LOAD_WITHIN_S).labels
        for item in measurer.look(look):
            seen[item.picture] = item
            tell(combination, len(seen))
    if sorted(seen) != list(range(len(plan.truths))):
        raise MeasurerError(f"{len(seen)} of {len(plan.truths)} pictures were answered")
    in_order = [seen[picture] for picture in range(len(plan.truths))]
    judged = []
    for item, truth in zip(in_order, plan.truths.truths, strict=True):
        judged.append(judge(_detections(item), objects_of(truth, item.source_wh, labels, modern_label)))
    places = [arrangement.place(item.source_wh) for item in in_order]
    scales = [
        (place.w / item.source_wh[0], place.h / item.source_wh[1]) for place, item in zip(places, in_order, strict=True)
    ]
    crosses = tuple(np.array(item.crosses, np.bool_) for item in in_order)
    return Outcome(combination, tuple(judged), tuple(scales), crosses)


def _detections(seen: Seen) -> Detections:
    return Detections(
        np.array(seen.xyxy, np.float32).reshape(-1, 4),
        np.array(seen.scores, np.float32),
        np.array(seen.class_ids, np.int32),
    )
