"""Looks at the stage again and again, and keeps what was seen and what was violated. Shell.

Its owner calls :meth:`Watch.look` a few times a second. What a violation is, is decided in
:mod:`daemon.chaos.invariants`.
"""

import json
import time
from collections.abc import Sequence

from daemon.chaos.invariants import (
    LINGERS_S,
    SILENT_S,
    judge_deaths,
    misjudged_line,
    strangers,
)
from daemon.chaos.look import Lines, Log, fetch, kept_events, processes, sample, told_changes
from daemon.chaos.observations import Census, Hit, Sample, Violation
from daemon.chaos.stage import Stage
from daemon.chaos.told import misjudged_events

_FETCH_S = 0.5
_SCAN_S = 1.0
_QUIET_SAMPLES = 3
_LEFT_S = 3.0


class Watch:
    """All that was seen of one run."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._log = Log(stage.daemon.log)
        self._lines = Lines(stage.state / "sightings.jsonl")
        self._answered: dict[str, float] = {}
        self._fetched_s = self._scanned_s = 0.0
        self._heard_s = time.monotonic()
        self._is_silent = False
        self._since_s: dict[int, float] = {}
        """Processes that belong to nobody, since when."""
        self._judged = 0
        self._recent: tuple[int, ...] = ()
        self._acknowledged: dict[str, int] = {}
        """Revisions of the events that were in the database."""
        self._began_s = time.monotonic()
        self.census = Census()
        self.evidence: dict[str, list[float]] = {}
        self.samples: list[Sample] = []
        self.quiet: list[Sample] = []
        self.violations: list[Violation] = []
        self.seen: set[str] = set()
        """Cameras of which something was sighted: of others nothing can be credited to anybody."""
        self.lines = 0
        self.sightings = 0
        self.kept_events = 0
        self.lost_lines = 0.0
        self.loop_lag_s = 0.0

    @property
    def port(self) -> int | None:
        """Where the daemon answers HTTP, once it has said so."""
        return self._log.port

    @property
    def started_s(self) -> float | None:
        """When the daemon started its first child."""
        return self._log.started_s

    def look(self) -> None:
        """Take in what is new. Raises DemoError if one of the processes has ended by itself."""
        now_s = time.monotonic()
        for told in self._log.read():
            self.census.note(told)
        for line in self._lines.read():
            self._read(line, now_s)
        if self.port is not None and now_s - self._fetched_s >= _FETCH_S:
            self._fetch(self.port, now_s)
        if now_s - self._scanned_s >= _SCAN_S:
            self._scan(now_s)
        self._stage.daemon.check()
        self._stage.simulator.check()

    def accuse(self, invariant: str, what: str, hits: Sequence[Hit] = ()) -> None:
        """Note a violation that shows only in what did not happen."""
        self.violations.append(
            Violation(invariant, what, time.monotonic(), tuple(hit.event.number for hit in hits) or self._recent)
        )

    def note_recent(self, hits: Sequence[Hit]) -> None:
        """Say which events a violation may come from, from now on."""
        self._recent = tuple(hit.event.number for hit in hits)

    def settle(self, hits: Sequence[Hit]) -> None:
        """All is quiet: judge who has died, and count descriptors."""
        self.violations += judge_deaths(self.census.deaths[self._judged :], hits)
        self._judged = len(self.census.deaths)
        self._acknowledged |= {event.id: event.revision for event in kept_events(self._stage.events)}
        # Our own questions' connections close a moment after the answer.
        counted = []
        for _ in range(_QUIET_SAMPLES):
            time.sleep(0.05)
            counted.append(sample(self._stage.daemon.pid, self.census.current))
        if seen := [each for each in counted if each is not None]:
            self.quiet.append(min(seen, key=lambda each: (each.descriptors, each.children_descriptors)))

    def look_for_remains(self) -> None:
        """The daemon has ended: nothing of it may be left."""
        end_s = time.monotonic() + _LEFT_S
        while left := processes(str(self._stage.orders), self._stage.daemon.pid):
            if time.monotonic() > end_s:
                for process in left:
                    self.accuse("end", f"process {process.pid} is left: {' '.join(process.command)[:120]}")
                return
            time.sleep(0.1)

    def judge_events(self) -> None:
        """The daemon has ended: judge what it has kept and told of events."""
        folder, seconds = self._stage.events, time.monotonic() - self._began_s
        kept = kept_events(folder)
        self.kept_events = len(kept)
        wrong = misjudged_events(kept, told_changes(folder), self._acknowledged, self._stage.truths, seconds)
        for what in wrong:
            self.accuse("events", what)

    def close(self) -> None:
        """Let go of all files."""
        self._log.close()
        self._lines.close()

    def _read(self, line: bytes, now_s: float) -> None:
        try:
            said = json.loads(line)
            wrong = misjudged_line(said, self._stage.truths)
            self.sightings += len(said["sightings"])
            if said["sightings"]:
                self.seen.add(said["camera"])
            self._note_answer(said["mosaic"], now_s)
        except (ValueError, KeyError, TypeError, AttributeError):
            wrong = f"no whole line: {line[:200]!r}"
        self.lines += 1
        if wrong is not None:
            self.accuse("credit", wrong)

    def _fetch(self, port: int, now_s: float) -> None:
        shown = fetch(port)
        self._fetched_s = time.monotonic()
        if shown is None:
            if now_s - self._heard_s > SILENT_S and not self._is_silent:
                self._is_silent = True
                self.accuse("loop", f"no answer over HTTP, or a stuck loop, for {now_s - self._heard_s:.1f} s")
            return
        self._heard_s, self._is_silent = self._fetched_s, False
        self.lost_lines = shown.lost_lines
        self.loop_lag_s = max(self.loop_lag_s, shown.loop_lag_s)
        for mosaic, count in shown.answered.items():
            if count > self._answered.get(mosaic, 0.0):
                self._note_answer(mosaic, now_s)
            self.evidence.setdefault(mosaic, [])
        self._answered = shown.answered

    def _note_answer(self, mosaic: str, now_s: float) -> None:
        times = self.evidence.setdefault(mosaic, [])
        if not times or times[-1] < now_s:
            times.append(now_s)

    def _scan(self, now_s: float) -> None:
        self._scanned_s = now_s
        daemon = self._stage.daemon.pid
        if seen := sample(daemon, self.census.current):
            self.samples.append(seen)
        found = strangers(processes(str(self._stage.orders), daemon), daemon, self.census.current)
        # One that was accused is not accused again; one that is gone may come back as another.
        self._since_s = {pid: self._since_s.get(pid, now_s) for pid in found}
        for pid, since_s in self._since_s.items():
            if LINGERS_S < now_s - since_s < float("inf"):
                self.accuse("processes", found[pid])
                self._since_s[pid] = float("-inf")
