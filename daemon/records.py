"""What has been counted of one child over its generations. One thread uses it.

Children report totals since their own start; the record adds what their predecessors had.
"""

from dataclasses import dataclass, field

from capture.messages import Answer
from daemon.child import Child
from daemon.crew import Quota
from daemon.escalation import Step
from daemon.job import Worker
from daemon.lifecycle import Phase
from daemon.orders import WorkerState
from daemon.statistics import NOTHING_YET, ChildStatistics, Histogram
from daemon.tally import Tally
from daemon.verdict import Cause
from daemon.workforce import WorkerStanding

INFERENCE_BOUNDS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)
WAIT_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)


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
    last_answer_at: float = 0.0
    """Wall clock, 0 before the first."""
    stale_before: int = 0
    stale: int = 0
    inference: Tally = field(default_factory=lambda: Tally(INFERENCE_BOUNDS_S))
    """Seconds in the engine, of each answer."""
    wait: Tally = field(default_factory=lambda: Tally(WAIT_BOUNDS_S))
    """Seconds that a canvas lay unread, of each answer."""
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

    def note_answer(self, answer: Answer, now_s: float, at: float) -> None:
        """Take note that a worker answered at this moment, monotonic and of the wall clock."""
        self.last_answer_at = at
        self.inference.observe(answer.inference_s)
        self.wait.observe(max(0.0, now_s - answer.composed_mono_s - answer.inference_s))

    def statistics(
        self, child: Child, worker: Worker | None, standing: WorkerStanding, recovery: Histogram, quota: Quota
    ) -> ChildStatistics:
        """Return what it shows; ``child`` is whose record it is, ``worker`` the plan of one that is a worker,
        ``standing`` what it was granted, ``recovery`` how fast it came back, ``quota`` what it was seen to take."""
        inference = self.inference.histogram() if worker else NOTHING_YET
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
            memory_used_mib=quota.last_mib,
            memory_peak_mib=quota.peak_mib,
            answered=inference.total,
            last_answer_at=self.last_answer_at,
            stale=self.stale_before + self.stale,
            inference=inference,
            wait=self.wait.histogram() if worker else NOTHING_YET,
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
