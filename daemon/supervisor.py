"""The supervisor: keeps capture processes and workers running, and brings mosaics, workers and sinks together.

Owns the crew, the seating and the ledger. One thread, whose loop nothing may block: sinks and HTTP have
threads of their own and are given frozen values. Decisions are made by pure parts (lifecycle, placement, verdict).
"""

import logging
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

import msgspec

from capture.mediamessages import MediaMessage
from capture.messages import (
    Answer,
    Assign,
    CameraNotice,
    CameraTransition,
    CaptureReport,
    CloseMosaic,
    Picture,
    Ready,
    SlotOpened,
    Taking,
    Unassign,
    WorkerReport,
)
from daemon import lifecycle
from daemon.captureforce import CaptureForce
from daemon.change import Change, plan_change
from daemon.child import Child, FromAnyChild
from daemon.control import Control
from daemon.crew import Born, Crew, Died, Event, Heard, Quota
from daemon.desk import Desk
from daemon.eventforce import EventForce
from daemon.inbox import Inbox
from daemon.job import Job
from daemon.ledger import Ledger
from daemon.lifecycle import Phase
from daemon.mediadesk import MediaDesk
from daemon.news import News
from daemon.notify import Herald, Notifier
from daemon.orders import Difference
from daemon.overheads import Overheads
from daemon.pictures import Pictures
from daemon.recent import Recent
from daemon.records import Record
from daemon.recovery import Recovery
from daemon.reload import Reloader
from daemon.seating import Seating
from daemon.sinks.sink import Sink
from daemon.statistics import NOTHING_YET, Reloads, Statistics
from daemon.trust import UntrustworthyError, check_fits
from daemon.verdict import Cause
from daemon.workforce import Workforce
from events.messages import EventsNotice, EventsReport

log = logging.getLogger(__name__)

TURN_S = 0.1
PUBLISH_S = 1.0
CAPTURE, EVENTS = "capture", "events"


class Supervisor:
    """Carries out one job until it is asked to stop."""

    def __init__(
        self,
        job: Job,
        sinks: tuple[Sink, ...],
        notifier: Notifier,
        *,
        notices: tuple[str, ...] = (),
        control: Control | None = None,
        inbox: Inbox | None = None,
        recent: Recent | None = None,
        pictures: Pictures | None = None,
        overheads: Overheads | None = None,
        after_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job = job
        self._events = EventForce(job.events, job.wanted_labels)
        self._sinks = (*sinks, self._events) if self._events.children else sinks
        self._herald = Herald(notifier)
        self._notices = notices
        self._recent = recent or Recent()
        self._pictures = pictures or Pictures()
        self._overheads = overheads
        self._after_s = after_s
        self._clock = clock
        groups = {CAPTURE: [Child(spec) for spec, _ in job.captures.values()], EVENTS: self._events.children}
        for worker in job.workers:
            groups.setdefault(worker.plan.device.name, []).append(Child(worker.spec))
        concurrency = dict.fromkeys(groups.keys() - {CAPTURE, EVENTS}, job.start_concurrency)
        self._crew = Crew(groups, job.policies, concurrency, clock, random.random)
        if overheads is not None:
            self._crew.watch(overheads.fileno(), lambda: self._take_overheads(overheads))
        self._records = {child.spec.name: Record() for child in self._crew.children}
        self._lives = {child.spec.name: child for child in self._crew.children}
        self._ledger = Ledger(job.plans, job.labels, job.answered_within_s, clock(), job.wanted_labels)
        self._seating = Seating(job.wanted, job.assignments, self._tell_worker)
        self._workforce = Workforce(job, self._crew, self._seating, now_s=clock(), chance=random.random)
        inlets = [inlet for inlet in (control, inbox) if inlet is not None]
        self._desk = Desk(inlets, self._workforce, self._records, self._lives, self._crew.restart)
        self._recovery = Recovery(self._workforce.workers)
        self._captures = CaptureForce(job)
        self._media = MediaDesk(self._captures, self._events, self._lives)
        self._news = News(self._recent, self._ledger)
        self._submitted: SimpleQueue[tuple[Job, bool, Future[Difference]]] = SimpleQueue()
        self.reloader: Reloader | None = None
        """Who reads the roster again; set before the loop turns."""
        self._stop_asked = False
        self._published_s = clock()
        self._started_at = time.time()
        self.turned_s = clock()
        """When the loop last turned; read by other threads."""
        self.statistics = self._snapshot(clock(), 0.0)
        """Replaced whole, about once a second; read by other threads."""

    def watch(self, fd: int, drain: Callable[[], object]) -> None:
        """Let a descriptor (of signals, say) wake the loop, which then calls ``drain``."""
        self._crew.watch(fd, drain)

    def show(self, notices: tuple[str, ...]) -> None:
        """Show these notices from now on; any thread may call it."""
        self._notices = notices

    def stop(self) -> None:
        """Ask the loop to end; may be called from a signal handler."""
        self._stop_asked = True

    def submit(self, job: Job, *, is_trial: bool) -> Future[Difference]:
        """Let the loop change over to this job, or only tell what that would mean; any thread may call it."""
        future: Future[Difference] = Future()
        self._submitted.put((job, is_trial, future))
        return future

    def run(self) -> None:
        """Turn until asked to stop and all children have ended."""
        try:
            while not self._stop_asked:
                self.turn()
            # One kind of child after the other; then ``after_s`` for whatever its owner has still to end.
            within_s = sum(policy.stop_timeout_s for policy in self._crew.policies)
            self._herald.stopping(within_s + self._after_s)
            while not self._have_stopped():
                self.turn()
        finally:
            self._crew.close()
            self._seating.close()
            self._workforce.close()

    def turn(self) -> None:
        """Do one turn of the loop."""
        for event in self._crew.turn(TURN_S):
            self._handle(event)
        self._desk.serve(self.reloader, is_stopping=self._stop_asked)
        if not self._stop_asked:
            while not self._submitted.empty():
                self._consider(*self._submitted.get())
            self._workforce.place(self._clock())
            for name, order in self._pictures.orders(self._seating.seats).items():
                self._tell(self._lives[name], order)
        now_s = self._clock()
        if now_s - self._published_s >= PUBLISH_S:
            lag_s = now_s - self._published_s - PUBLISH_S
            self._published_s = now_s
            self.statistics = self._snapshot(now_s, lag_s)
            self._herald.tell(self.statistics.words)
        self._herald.feed(now_s)
        self.turned_s = now_s

    def _have_stopped(self) -> bool:
        """Stop capture, then the workers, then who follows what they see; return whether all have ended."""
        if not self._crew.stop(CAPTURE):
            return False
        ended = [self._crew.stop(device) for device in self._workforce.devices]  # all of them at once
        return all(ended) and self._crew.stop(EVENTS)

    # --- what children say and do ---

    def _handle(self, event: Event) -> None:
        match event:
            case Born(child):
                self._brief(child)
            case Heard(child, message, fds):
                kept = False
                try:
                    check_fits(child.spec.kind, message)
                    self._captures.check_own(child.spec.name, message)
                    kept = self._hear(child, message, fds)
                except UntrustworthyError as error:
                    self._crew.condemn(child, str(error))
                finally:
                    for fd in () if kept else fds:
                        os.close(fd)
            case Died(child, cause, stderr):
                if child.spec.kind == CAPTURE and cause is Cause.CRASH:
                    self._blame(child.spec.name, stderr)
                self._records[child.spec.name].turn_over(cause)
                self._news.child_has_ended(child.spec.kind, child.spec.name, cause)
                self._clear_away(child, cause)

    def _brief(self, child: Child) -> None:
        """Tell a new generation what it is to do."""
        for message in self._briefing(child.spec.name, child.spec.kind):
            self._tell(child, message)

    def _briefing(self, name: str, kind: str) -> list[msgspec.Struct]:
        if (worker := self._workforce.workers.get(name)) is not None:
            return [worker.load]
        if kind == EVENTS:
            return self._events.briefing()
        return [self._job.setup, *self._captures.openings(self._captures.mosaics(name), self._clock())]

    def _hear(self, child: Child, message: FromAnyChild, fds: tuple[int, ...]) -> bool:
        """Act on what a child said; return whether its descriptors were kept."""
        name, now_s = child.spec.name, self._clock()
        record = self._records[name]
        match message:
            case SlotOpened(mosaic) if len(fds) == 2 and mosaic in self._captures.mosaics(name):
                self._seating.open(mosaic, name, *fds)
                return True
            case Ready(memory_mib, detail):
                record.memory_mib = memory_mib
                self._news.child_is_ready(child.spec.kind, name, memory_mib, detail)
                if child.spec.kind in (CAPTURE, EVENTS):
                    child.life = lifecycle.owe(child.life, now_s)
                elif self._overheads is not None:
                    self._overheads.ask(self._workforce.pids, self._workforce.plans)
            case CameraTransition():
                self._news.camera_changed(message, now_s)
                self._events.note_transition(message)
            case CameraNotice():
                self._news.camera_noticed(message)
            case CaptureReport():
                for each in message.cameras:
                    self._ledger.note_camera(each)
                for report in message.mosaics:
                    debtor = self._seating.debtor(report)
                    if self._ledger.note_mosaic(report) > 0 and debtor is not None:
                        self._lives[debtor].life = lifecycle.owe(self._lives[debtor].life, now_s)
                self._note_report(child, message)
            case Taking():
                self._workforce.note_taking(name, message)
            case Answer():
                slot_id = self._seating.slot_id(message.mosaic)
                tiles = self._ledger.note_answer(name, message, slot_id, now_s)
                if message.slot_id == slot_id and self._seating.note_answer(message.mosaic, message.canvas_number):
                    self._recovery.note_answer(name, message.mosaic, now_s)
                    child.life = lifecycle.settle(child.life)  # one that repeats itself does no work
                self._workforce.note_answer(name, message)
                record.note_answer(message, now_s, time.time())
                self._recent.offer(tiles)
                for sink in self._sinks:
                    sink.offer(tiles)
            case Picture() if len(fds) == 1:
                if self._seating.seats.get(message.mosaic) == name:
                    self._pictures.put(message, fds[0])
            case EventsReport():
                self._events.note_report(message)
                self._note_report(child, message)
            case EventsNotice():
                self._events.note_notice(message)
            case MediaMessage():
                self._media.hear(name, message, fds)
            case WorkerReport():
                record.cpu_s, record.memory_mib, record.stale = message.cpu_s, message.memory_mib, message.stale
                # Not for those it says it answered: an answer is credited when it is here.
                self._credit(child, message.stale)
        return False

    def _take_overheads(self, overheads: Overheads) -> None:
        for name in overheads.take():
            self._crew.retire(self._lives[name])
        for name, mib in overheads.by_worker.items():
            self._records[name].overhead_mib = mib

    def _consider(self, job: Job, is_trial: bool, future: "Future[Difference]") -> None:
        """Change over to another job of the same settings, unless it is only to be told what that would mean."""
        change = plan_change(self._job, job)
        if not is_trial:
            self._adopt(change)
        future.set_result(change.difference)

    def _adopt(self, change: Change) -> None:
        now_s = self._clock()
        self._herald.reloading(now_s)
        self._job = job = change.job
        epochs = {camera.name: camera.epoch for each in job.openings.values() for camera in each.cameras if camera}
        self._captures.adopt(job)
        self._ledger.adopt(job.plans, epochs, job.answered_within_s, now_s, job.wanted_labels)
        self._seating.adopt(job.wanted, job.assignments)
        self._workforce.adopt(job)
        self._events.adopt(job.events, job.wanted_labels)
        self._recovery.note_slots_gone(change.difference.closed)
        self._news.cameras_left(change.difference.removed, job.disabled)
        for name in job.captures:
            child = self._lives[name]
            if child.pid is None:
                continue  # the next generation is told all of it
            closings = map(CloseMosaic, change.closings.get(name, ()))
            for order in (*closings, *self._captures.openings(change.openings.get(name, ()), now_s)):
                self._tell(child, order)
        self.statistics = self._snapshot(now_s, self.statistics.loop_lag_s)  # whoever ordered it sees it at once
        self._herald.reloaded()

    def _note_report(self, child: Child, report: CaptureReport | EventsReport) -> None:
        """A sign of life of a child that always has work: it owes another."""
        record = self._records[child.spec.name]
        record.cpu_s, record.memory_mib = report.cpu_s, report.memory_mib
        self._credit(child, report.steps)
        child.life = lifecycle.owe(child.life, self._clock())

    def _credit(self, child: Child, work: int) -> None:
        """Take note of a child's progress: liveness is work done."""
        record = self._records[child.spec.name]
        if work != record.work:
            record.work = work
            child.life = lifecycle.settle(child.life)

    def _clear_away(self, child: Child, cause: Cause | None) -> None:
        """Forget what a dead generation held; one that was asked to end has died of nothing (None)."""
        name, now_s = child.spec.name, self._clock()
        if child.spec.kind == CAPTURE:
            mosaics = list(self._captures.mosaics(name))
            self._captures.note_death(name)
            self._media.note_death(name)
            self._seating.forget_capture(name)
            self._recovery.note_slots_gone(mosaics)
            self._ledger.note_capture_gone(mosaics, now_s)
            return
        if child.spec.kind == EVENTS:
            self._events.note_death()
            return
        self._pictures.forget(name)
        self._workforce.note_death(name, cause, now_s)
        if cause is not None:
            self._recovery.note_death(name, self._seating.answered_by(name), now_s)
        if child.life.phase is Phase.GIVEN_UP:
            self._recovery.note_given_up(name)
        self._seating.forget_worker(name)

    def _blame(self, capture: str, stderr: tuple[str, ...]) -> None:
        """Find the camera whose decoder crashed its process, and keep it away if it was not the first time."""
        if (blamed := self._captures.blame(capture, stderr, self._clock(), random.random())) is not None:
            camera, hold_s = blamed
            self._news.camera_crashed(camera, capture, hold_s)

    def _tell(self, child: Child, message: msgspec.Struct, fds: tuple[int, ...] = ()) -> None:
        if not child.send(message, fds) and child.life.phase in (Phase.STARTING, Phase.UP):
            # It is gone (which its pidfd will tell), or has not read for hundreds of messages.
            self._crew.condemn(child, "it does not take its messages")

    def _tell_worker(self, name: str, message: Assign | Unassign, fds: tuple[int, ...]) -> None:
        child = self._lives[name]
        self._tell(child, message, fds)
        if isinstance(message, Unassign):
            # What it owed may have been of this mosaic; if not, the next canvas makes it owe again.
            child.life = lifecycle.settle(child.life)

    # --- what it shows ---

    def _snapshot(self, now_s: float, lag_s: float) -> Statistics:
        recoveries, force = self._recovery.of_workers(), self._workforce
        return Statistics(
            cameras=self._ledger.cameras(now_s),
            mosaics=self._ledger.mosaics(self._seating.seats, force.apart(now_s), now_s),
            children=tuple(
                self._records[name].statistics(
                    child,
                    force.workers.get(name),
                    force.standing(name),
                    recoveries.get(name, NOTHING_YET),
                    self._crew.quotas.get(name, Quota()),
                )
                for name, child in self._lives.items()
            ),
            sinks=tuple(sink.statistics() for sink in self._sinks),
            latency=self._ledger.latency(),
            started_at=self._started_at,
            loop_lag_s=max(0.0, lag_s),
            mosaic_recovery=self._recovery.of_mosaics(),
            devices=force.devices,
            reloads=self.reloader.reloads if self.reloader else Reloads(),
            roster=self._job.roster_digest,
            config=self._job.config,
            disabled=self._job.disabled,
            events=self._events.events(),
            notices=(*self._notices, *(self._overheads.notices if self._overheads else ())),
        )
