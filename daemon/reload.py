"""The roster while the daemon runs: read again when it is saved, on SIGHUP, and when somebody asks; cameras switched.

A thread of its own reads, checks and plans, so that the supervisor's loop only has to carry out what came of it. A
roster that is not valid changes nothing. What was applied is remembered as what the daemon last ran on. Settings are
not read again: what they say is decided at the start. A camera is switched in the roster that was last applied,
whatever its file has become since.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol

from daemon.job import Job
from daemon.logs import fields
from daemon.orders import Difference, Refused, Reloaded, Reply, RosterRefused, SwitchCamera, Switched
from daemon.problems import Checked, Problem, has_errors
from daemon.roster import Roster
from daemon.rostertext import RosterText
from daemon.statistics import Reloads
from daemon.switches import Switches, after, switched

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""How long it waits for a request before it looks whether it is to end."""
APPLIED_WITHIN_S = 5.0
"""The loop turns ten times a second; one that does not take a job for so long is stuck."""
_NOT_TAKEN = f"the daemon did not take it within {APPLIED_WITHIN_S:g} s"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one reading."""

    difference: Difference | None
    """What was applied, or would be; None where the roster is not valid."""
    problems: tuple[Problem, ...] = ()
    """Errors and warnings."""
    failure: str = ""
    """Why it was not applied, though it is valid; empty where it was."""

    @property
    def is_applied(self) -> bool:
        """Whether the daemon now runs on what the file says."""
        return self.difference is not None and not self.failure


class Applier(Protocol):
    """Whoever carries out jobs."""

    def submit(self, job: Job, *, is_trial: bool) -> "Future[Difference]":
        """Let the loop change over to this job, or only tell what that would mean; any thread may call it."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why the roster is to be read."""

    why: str
    is_trial: bool = False
    """Only tell what would be done."""
    is_quiet: bool = False
    """Only if something else was read than at the last reading: an editor may have touched a file."""
    answer: Callable[[Outcome], None] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Switching:
    """A camera is to be switched, and somebody waits for that."""

    order: SwitchCamera
    answer: Callable[[Reply], None] = field(compare=False)


class Source(Protocol):
    """The roster's files, and what is made of them. Each of its methods may block, and none raises."""

    @property
    def name(self) -> str:
        """The file's, for sentences."""

    def read(self) -> RosterText:
        """Read the files."""

    def check(self, text: RosterText) -> Checked[Roster]:
        """Return the roster that this is, with all that is wrong with it."""

    def plan(self, roster: Roster) -> Job:
        """Return the job that this roster makes of the present one."""

    def settle(self, job: Job) -> None:
        """Take note that this job is the present one, for the next plan and the next start."""

    def remember(self, text: RosterText, job: Job) -> None:
        """Keep what was applied: it is the present one now, and for the next start."""


class Reloader:
    """The thread. Requests come from any thread, and from signal handlers."""

    def __init__(self, source: Source, applier: Applier, roster: Roster, switches: Switches) -> None:
        """``roster`` is what the daemon begins with, without regard to what is switched off."""
        self._source = source
        self._applier = applier
        self._roster = roster
        self._switches = switches
        switches.keep(switches.off, roster)
        self._triggers: SimpleQueue[Trigger | Switching] = SimpleQueue()
        self._digest = b""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reloader", daemon=True)
        self.reloads = Reloads(last_success_at=time.time())
        """Replaced whole; read by other threads."""

    def start(self, running_on: bytes) -> None:
        """Start the thread; ``running_on`` is the digest of what the daemon began with."""
        self._digest = running_on
        self._thread.start()

    def request(self, trigger: Trigger | Switching) -> None:
        """Ask for the roster to be read, or for a camera to be switched; never blocks."""
        self._triggers.put(trigger)

    def stop(self, within_s: float) -> bool:
        """End the thread after what it is at; return whether it has ended in time."""
        self._stop.set()
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                trigger = self._triggers.get(timeout=LOOK_S)
            except Empty:
                continue
            if isinstance(trigger, Switching):
                trigger.answer(self._switch(trigger.order))
                continue
            outcome = self._reload(trigger)
            if outcome is not None and trigger.answer is not None:
                trigger.answer(outcome)

    def _reload(self, trigger: Trigger) -> Outcome | None:
        text = self._source.read()
        if trigger.is_quiet and text.digest == self._digest:
            return None
        if trigger.is_trial:
            return self._judge(text, is_trial=True)
        self._digest = text.digest
        log.info("roster read", extra=fields(why=trigger.why))
        outcome = self._judge(text, is_trial=False)
        was = self.reloads
        if outcome.is_applied:
            self.reloads = Reloads(was.succeeded + 1, was.failed, last_success_at=time.time())
        else:
            self.reloads = Reloads(was.succeeded, was.failed + 1, False, was.last_success_at)
        self._tell(outcome)
        return outcome

    def _judge(self, text: RosterText, *, is_trial: bool) -> Outcome:
        roster = self._source.check(text)
        problems = roster.problems
        if roster.value is None or has_errors(problems):
            return Outcome(None, problems)
        job = self._source.plan(switched(roster.value, self._switches.off))
        difference = self._submit(job, is_trial=is_trial)
        if difference is None:
            return Outcome(None, problems, _NOT_TAKEN)
        if not is_trial:
            self._source.remember(text, job)
            self._roster = roster.value
            self._switches.keep(self._switches.off, roster.value)
        return Outcome(difference, problems)

    def _switch(self, order: SwitchCamera) -> Reply:
        off = after(order, self._roster, self._switches.off, self._source.name)
        if not isinstance(off, frozenset):
            return off
        if off == self._switches.off:
            return Switched(order.name, order.is_on)
        job = self._source.plan(switched(self._roster, off))
        difference = self._submit(job, is_trial=False)
        if difference is None:
            return Refused(_NOT_TAKEN)
        self._source.settle(job)
        self._switches.keep(off, self._roster)
        log.info("camera switched on" if order.is_on else "camera switched off", extra=fields(camera=order.name))
        return Switched(order.name, order.is_on, difference)

    def _submit(self, job: Job, *, is_trial: bool) -> Difference | None:
        """Return what the job makes different; None if the loop is stuck."""
        try:
            return self._applier.submit(job, is_trial=is_trial).result(APPLIED_WITHIN_S)
        except TimeoutError:
            return None

    def _tell(self, outcome: Outcome) -> None:
        for problem in outcome.problems:
            log.log(logging.ERROR if has_errors([problem]) else logging.WARNING, str(problem))
        if outcome.difference is None:
            log.error("roster refused", extra=fields(reason=outcome.failure or "it is not valid; nothing was changed"))
        else:
            changed = {kind: " ".join(names) for kind, names in outcome.difference.by_kind().items()}
            log.info("roster applied", extra=fields(**changed))


def reply_to(outcome: Outcome) -> Reply:
    """Return what whoever asked for it is told."""
    lines = tuple(map(str, outcome.problems))
    if outcome.failure:
        return Refused(outcome.failure)
    if outcome.difference is None:
        return RosterRefused(lines)
    return Reloaded(outcome.difference, lines)
