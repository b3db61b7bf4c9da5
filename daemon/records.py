"""What has been counted of one child over its generations. One thread uses it.

Children report totals since their own start; the record adds what their predecessors had.
"""

from dataclasses import dataclass, field

from daemon.child import Child
from daemon.escalation import Step
from daemon.job import Worker
from daemon.lifecycle import Phase
from daemon.orders import WorkerState
from daemon.statistics import ChildStatistics, Histogram
from daemon.verdict import Cause
from daemon.workforce import WorkerStanding


@dataclass(slots=True)
class Record:
    """One child's."""

    restarts: dict[str, int] = field(default_factory=dict)
    """Deaths, by cause."""
    last_cause: str = ""
    cpu_before_s: float = 0.0
    cpu_s: float = 0.0
    memory_mib: float = 0.0
    overhead_mib: int | None = None
    answered: int = 0
    stale_before: int = 0
    stale: int = 0
    inference_s: float = 0.0
    work: int = 0
    """Progress as it last reported it: canvases dealt with, or turns of the compositor."""

    def turn_over(self, cause: Cause | None) -> None:
        """Its process has ended, of this cause; None if it was asked to."""
        self.cpu_before_s, self.cpu_s = self.cpu_before_s + self.cpu_s, 0.0
        self.stale_before, self.stale = self.stale_before + self.stale, 0
        self.memory_mib, self.overhead_mib, self.work = 0.0, None, 0
        if cause is not None:
            self.restarts[cause] = self.restarts.get(cause, 0) + 1
            self.last_cause = cause

    def statistics(
        self, child: Child, worker: Worker | None, standing: WorkerStanding, recovery: Histogram
    ) -> ChildStatistics:
        """Return what it shows; ``child`` is whose record it is, ``worker`` the plan of one that is a worker,
        ``standing`` what it was granted, and ``recovery`` how fast it came back."""
        return ChildStatistics(
            name=child.spec.name,
            kind=child.spec.kind,
            phase=child.life.phase,
            generation=child.life.generation,
            pid=child.pid,
            is_up=child.life.phase is Phase.UP,
            restarts=dict(self.restarts),
            cpu_s=self.cpu_before_s + self.cpu_s,
            memory_mib=self.memory_mib,
            device=worker.plan.device.name if worker else "",
            memory_limit_mib=worker.plan.limit_mib if worker else None,
            overhead_mib=self.overhead_mib,
            answered=self.answered,
            stale=self.stale_before + self.stale,
            inference_s=self.inference_s,
            last_cause=self.last_cause,
            steps=standing.steps,
            steps_taken={step: standing.taken.get(step, 0) for step in Step} if worker else {},
            capacity=standing.capacity,
            recovery=recovery,
        )

    def state(self, child: Child, worker: Worker, standing: WorkerStanding) -> WorkerState:
        """Return what a person who asks for the workers is told of this one."""
        return WorkerState(
            name=child.spec.name,
            device=worker.plan.device.name,
            is_spare=worker.plan.is_spare,
            phase=child.life.phase,
            generation=child.life.generation,
            last_cause=self.last_cause,
            restarts=sum(self.restarts.values()),
            changed=standing.steps,
        )
