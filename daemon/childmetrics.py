"""The metrics of children: what capture processes and workers have in common, and what only workers have. Pure."""

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric

from daemon.lifecycle import Phase
from daemon.metricfamilies import counter, gauge, histogram
from daemon.statistics import ChildStatistics

BYTES_A_MIB = 1024 * 1024


def children_metrics(
    prefix: str, label: str, noun: str, children: Sequence[ChildStatistics], causes: Sequence[str]
) -> Iterator[Metric]:
    """Yield what capture processes and workers have in common; ``causes`` are all that are known."""
    is_worker = prefix == "worker"
    yield gauge(
        f"mosaicd_{prefix}_up",
        f"{noun}: whether it is up and able to work (1) or not (0).",
        (label, "device") if is_worker else (label,),
        (((c.name, c.device) if is_worker else (c.name,), c.is_up) for c in children),
    )
    yield gauge(
        f"mosaicd_{prefix}_state",
        f"{noun}: 1 for the phase of its life that it is in, 0 for the others.",
        (label, "state"),
        (((c.name, phase.value), c.phase == phase.value) for c in children for phase in Phase),
    )
    yield gauge(
        f"mosaicd_{prefix}_generation",
        f"{noun}: number of the process that does its work, the first being 1.",
        (label,),
        (((c.name,), c.generation) for c in children),
    )
    yield counter(
        f"mosaicd_{prefix}_restarts",
        f"{noun}: times it ended and was to be started again, by cause.",
        (label, "cause"),
        (((c.name, cause), c.restarts.get(cause, 0)) for c in children for cause in _with_unforeseen(causes, c)),
    )
    yield counter(
        f"mosaicd_{prefix}_cpu_seconds",
        f"{noun}: CPU time used.",
        (label,),
        (((c.name,), c.cpu_s) for c in children),
    )
    yield gauge(
        f"mosaicd_{prefix}_resident_memory_bytes",
        f"{noun}: resident memory.",
        (label,),
        (((c.name,), c.memory_mib * BYTES_A_MIB) for c in children),
    )


def _with_unforeseen(causes: Sequence[str], child: ChildStatistics) -> tuple[str, ...]:
    """The known causes, then any that is counted without being known: never hide a restart."""
    return (*causes, *sorted(child.restarts.keys() - set(causes)))


def worker_metrics(workers: Sequence[ChildStatistics]) -> Iterator[Metric]:
    """Yield what only workers have."""
    one = ("worker",)
    yield gauge(
        "mosaicd_worker_memory_limit_bytes",
        "Worker: memory that its engine may take on its device; absent where there is no limit.",
        one,
        (((w.name,), w.memory_limit_mib * BYTES_A_MIB) for w in workers if w.memory_limit_mib is not None),
    )
    yield gauge(
        "mosaicd_worker_memory_used_bytes",
        "Worker: memory that counts against its limit; absent on a GPU, and while it has no process.",
        one,
        (((w.name,), w.memory_used_mib * BYTES_A_MIB) for w in workers if w.memory_used_mib is not None),
    )
    yield gauge(
        "mosaicd_worker_memory_peak_bytes",
        "Worker: the most memory that was seen to count against its limit; absent on a GPU.",
        one,
        (((w.name,), w.memory_peak_mib * BYTES_A_MIB) for w in workers if w.memory_peak_mib is not None),
    )
    yield gauge(
        "mosaicd_worker_overhead_bytes",
        "Worker: memory that it takes of its device beyond that limit; absent until it was measured.",
        one,
        (((w.name,), w.overhead_mib * BYTES_A_MIB) for w in workers if w.overhead_mib is not None),
    )
    yield counter(
        "mosaicd_worker_answered",
        "Worker: canvases answered.",
        one,
        (((w.name,), w.answered) for w in workers),
    )
    yield counter(
        "mosaicd_worker_stale",
        "Worker: canvases dropped because they were too old when read.",
        one,
        (((w.name,), w.stale) for w in workers),
    )
    yield gauge(
        "mosaicd_worker_last_answer_timestamp_seconds",
        "Worker: wall clock of its last answer, 0 before the first.",
        one,
        (((w.name,), w.last_answer_at) for w in workers),
    )
    yield histogram(
        "mosaicd_worker_inference_seconds",
        "Worker: time in the engine, of each canvas.",
        one,
        (((w.name,), w.inference) for w in workers),
    )
    yield histogram(
        "mosaicd_worker_wait_seconds",
        "Worker: time from a canvas's composition to its answer, less that in the engine.",
        one,
        (((w.name,), w.wait) for w in workers),
    )
    yield gauge(
        "mosaicd_worker_capacity",
        "Worker: mosaics a second that it can do, as measured on its device; absent while that is not known.",
        one,
        (((w.name,), w.capacity) for w in workers if w.capacity is not None),
    )
    yield counter(
        "mosaicd_worker_escalations",
        "Worker: what its next generation got after a death, by step.",
        ("worker", "step"),
        (((w.name, step), count) for w in workers for step, count in w.steps_taken.items()),
    )
    yield gauge(
        "mosaicd_worker_escalated",
        "Worker: steps in force, that is, by how much it is not as it was planned.",
        one,
        (((w.name,), len(w.steps)) for w in workers),
    )
    yield histogram(
        "mosaicd_worker_recovery_seconds",
        "Worker: from its death to the first answer of its next generation.",
        one,
        (((w.name,), w.recovery) for w in workers),
    )
