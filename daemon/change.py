"""From the job that is carried out and the one that a new roster makes, to what is to be done. Pure.

A camera that is the same and lies where it lay keeps its epoch, and so its reader, its connection and its frames. All
others get a new one: what was on its way under the old epoch is credited to nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from msgspec import structs

from capture.messages import Assign, CameraSpec
from daemon.child import ChildSpec
from daemon.job import Job, Worker
from daemon.orders import Difference
from events.messages import Follow


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done."""

    job: Job
    """What is carried out afterwards."""
    difference: Difference
    closings: Mapping[str, tuple[str, ...]]
    """By capture process, the mosaics that it is to close."""
    openings: Mapping[str, tuple[str, ...]]
    """By capture process, the mosaics that it is to open, or to change."""


def plan_change(old: Job, new: Job) -> Change:
    """Return what leads from one job to the other; ``new`` is planned from scratch, with the same settings.

    Capture processes and workers stay as they are. A new mosaic is captured by the process that has fewest.
    """
    places = _places(old)
    epoch = old.epoch + 1
    openings = {
        name: structs.replace(
            opening,
            cameras=tuple(
                _with_epoch(spec, places.get(spec.name), (name, tile), epoch) if spec else None
                for tile, spec in enumerate(opening.cameras)
            ),
        )
        for name, opening in new.openings.items()
    }
    job = replace(
        new,
        captures=_captures(old, tuple(openings)),
        openings=openings,
        workers=_workers(old, new),
        memories=old.memories,
        epoch=epoch,
    )
    gone = old.openings.keys() - openings.keys()
    touched = [name for name, opening in openings.items() if _cameras(old, name) != opening.cameras]
    return Change(
        job,
        _difference(old, job),
        {
            capture: closed
            for capture, (_, mosaics) in old.captures.items()
            if (closed := tuple(mosaic for mosaic in mosaics if mosaic in gone))
        },
        {
            capture: opened
            for capture, (_, mosaics) in job.captures.items()
            if (opened := tuple(mosaic for mosaic in mosaics if mosaic in touched))
        },
    )


Place = tuple[str, int]
"""A mosaic and a tile."""


def _places(job: Job) -> dict[str, tuple[CameraSpec, Place]]:
    """Return what each camera is told, and where it lies."""
    return {
        spec.name: (spec, (name, tile))
        for name, opening in job.openings.items()
        for tile, spec in enumerate(opening.cameras)
        if spec
    }


def _cameras(job: Job, mosaic: str) -> tuple[CameraSpec | None, ...] | None:
    opening = job.openings.get(mosaic)
    return opening.cameras if opening else None


def _with_epoch(spec: CameraSpec, before: tuple[CameraSpec, Place] | None, place: Place, epoch: int) -> CameraSpec:
    if before is not None and before[1] == place and structs.replace(spec, epoch=before[0].epoch) == before[0]:
        return before[0]
    return structs.replace(spec, epoch=epoch)


def _captures(old: Job, mosaics: tuple[str, ...]) -> dict[str, tuple[ChildSpec, tuple[str, ...]]]:
    kept = {capture: [m for m in theirs if m in mosaics] for capture, (_, theirs) in old.captures.items()}
    placed = {mosaic for theirs in kept.values() for mosaic in theirs}
    for mosaic in mosaics:
        if mosaic not in placed:
            min(kept.values(), key=len).append(mosaic)
    return {capture: (spec, tuple(kept[capture])) for capture, (spec, _) in old.captures.items()}


def _workers(old: Job, new: Job) -> tuple[Worker, ...]:
    """The same, but for the lowest score that any camera wants, where that is lower now."""
    score = min((worker.load.score for worker in new.workers), default=1.0)
    return tuple(
        replace(worker, load=structs.replace(worker.load, score=min(score, worker.load.score)))
        for worker in old.workers
    )


def _difference(old: Job, job: Job) -> Difference:
    before, after = _places(old), _places(job)
    both = [name for name in after if name in before]
    moved = tuple(name for name in both if before[name][1] != after[name][1])
    return Difference(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(name for name in both if name not in moved and before[name][0] != after[name][0]),
        moved=moved,
        opened=tuple(name for name in job.openings if name not in old.openings),
        closed=tuple(name for name in old.openings if name not in job.openings),
        judged=tuple(
            name
            for name, assign in job.assignments.items()
            if name in old.assignments and _are_judged_anew(old.assignments[name], assign)
        ),
        followed=tuple(name for name in both if _rules(old, name) != _rules(job, name)),
    )


def _rules(job: Job, camera: str) -> Follow | None:
    return job.events.cameras.get(camera) if job.events else None


def _are_judged_anew(old: Assign, new: Assign) -> bool:
    """Whether other labels, scores or priorities are wanted of the cameras that stay in a mosaic."""
    stay = old.min_score.keys() & new.min_score.keys()  # each camera has one
    wishes = [[(each.labels.get(camera), each.min_score[camera]) for camera in sorted(stay)] for each in (old, new)]
    return wishes[0] != wishes[1] or old.priority != new.priority
