"""One run: puts the stage up, performs the schedule, watches, and says what came of it. Shell.

The main thread does all of it; signals that ask for an end are held back and looked for between steps.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.chaos.invariants import due_s, judge_growth, longest_pause_s, unsettled
from daemon.chaos.kinds import Kind, Timing
from daemon.chaos.observations import Hit
from daemon.chaos.outcome import Figures, Outcome, Progress, Scored
from daemon.chaos.plan import Burst, plan
from daemon.chaos.stage import STARTS_WITHIN_S, STOPS_WITHIN_S, Options, Stage, StageError, keep_state, staged
from daemon.chaos.strike import Striker
from daemon.chaos.watch import Watch
from daemon.demo import signals_held_back
from daemon.demo_material import DemoError

STEP_S = 0.1
LEAK_WITHIN_S = 10.0
LEAST_START_S = 3.0
"""What deadlines count with: a machine that is quiet at the beginning may be busy later."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run was asked for."""

    events: int
    seed: int
    kinds: tuple[Kind, ...]
    keep: Path | None = None
    """An empty folder, or one to be made, for what is left to look at; None: only after a violation."""
    leak_kib_s: float = 0.0
    """Planted in the supervisor."""
    leak_descriptors_s: float = 0.0


Say = Callable[[Progress], None]


class Interrupted(Exception):  # noqa: N818 - no error
    """A person asked for the end."""


def run(wanted: Wanted, options: Options, say: Say) -> Outcome:
    """Run chaos; return the outcome. Raises StageError or DemoError if the setup does not come up. Main thread only.

    A setup that does not come up leaves nothing but its error, which holds the end of the log.
    """
    folder = (wanted.keep or Path(tempfile.mkdtemp(prefix="mosaicd-chaos-"))).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise StageError(f"{folder} is not empty; give --keep a folder for this run alone")
    except OSError as error:
        raise StageError(f"{folder}: {error.strerror}") from error
    outcome = None
    # Sockets' names are short, so they have a folder of their own.
    with tempfile.TemporaryDirectory(prefix="chaos-") as orders, signals_held_back() as wait_stop:
        try:
            outcome = _on_stage(wanted, options, folder, Path(orders), wait_stop=wait_stop, say=say)
        finally:
            if wanted.keep is None and (outcome is None or not outcome.violations):
                shutil.rmtree(folder, ignore_errors=True)
    is_kept = wanted.keep is not None or bool(outcome.violations)
    return replace(outcome, folder=str(folder) if is_kept else "")


def _on_stage(
    wanted: Wanted, options: Options, folder: Path, orders: Path, *, wait_stop: Callable[[float], bool], say: Say
) -> Outcome:
    with staged(folder, orders, options, wait_stop) as stage:
        if stage is None:
            return Outcome(wanted.seed, wanted.events, was_interrupted=True)
        left_out = {Kind.DISK: stage.no_disk} if stage.no_disk and Kind.DISK in wanted.kinds else {}
        kinds = [kind for kind in wanted.kinds if kind not in left_out]
        if not kinds:
            raise StageError(f"nothing that was asked for can be done here: {'; '.join(left_out.values())}")
        performance = Performance(wanted, options, stage, wait_stop, say)
        try:
            performance.play(plan(wanted.seed, wanted.events, kinds, stage.setup))
        finally:
            performance.end()
        return replace(performance.outcome(), left_out=left_out)


class Performance:
    """A schedule on a stage."""

    def __init__(
        self, wanted: Wanted, options: Options, stage: Stage, wait_stop: Callable[[float], bool], say: Say
    ) -> None:
        self._wanted = wanted
        self._options = options
        self._stage = stage
        self._wait_stop = wait_stop
        self._say = say
        self._watch = Watch(stage)
        self._striker = Striker(stage)
        self._hits: list[Hit] = []
        self._open: list[Hit] = []
        """Of the burst that is not over yet."""
        self._scored: list[Scored] = []
        self._timing = Timing(options.hang_s, 0.0)
        self._began_s = time.monotonic()
        self._was_interrupted = False

    def play(self, bursts: Sequence[Burst]) -> None:
        """Perform all bursts, as long as the daemon recovers and nobody asks for the end."""
        try:
            self._wait_for_all()
            for burst in bursts:
                if not self._perform(burst):
                    self._watch.accuse("back", "the run ends here: the daemon does not recover")
                    return
        except Interrupted:
            self._was_interrupted = True
        except DemoError as error:
            self._watch.accuse("loop", str(error))

    def end(self) -> None:
        """Stop the daemon in order, and look for what is left of it."""
        self._score()
        self._striker.mend()
        try:
            self._stage.daemon.check()
            self._stage.daemon.stop(STOPS_WITHIN_S)
        except DemoError as error:
            self._watch.accuse("end", str(error))
        self._watch.look_for_remains()
        if not self._was_interrupted:  # else the process of events may just have been killed: a next start ends all
            self._watch.judge_events()
        keep_state(self._stage)
        self._watch.close()

    def outcome(self) -> Outcome:
        """What came of it."""
        watch = self._watch
        grown = list(judge_growth(watch.samples, watch.quiet))
        return Outcome(
            seed=self._wanted.seed,
            events=self._wanted.events,
            scored=tuple(self._scored),
            violations=tuple(replace(each, at_s=each.at_s - self._began_s) for each in (*watch.violations, *grown)),
            figures=Figures.of(
                self._timing.start_s,
                time.monotonic() - self._began_s,
                watch.samples,
                watch.quiet,
                deaths=len(watch.census.deaths),
                lines=watch.lines,
                sightings=watch.sightings,
                kept_events=watch.kept_events,
                lost_lines=watch.lost_lines,
                loop_lag_s=watch.loop_lag_s,
            ),
            was_interrupted=self._was_interrupted,
        )

    def _wait_for_all(self) -> None:
        """Wait until every child is up, every mosaic answered and something of each camera seen; take the time."""
        watch, end_s = self._watch, time.monotonic() + STARTS_WITHIN_S
        self._say(Progress(0, self._wanted.events, "starting", 0))
        while not (
            set(self._stage.setup.children) <= watch.census.up.keys()
            and watch.evidence
            and all(watch.evidence.values())
            and set(self._stage.setup.cameras) <= watch.seen
            and watch.started_s is not None
        ):
            if time.monotonic() > end_s:
                raise DemoError(
                    f"not every mosaic was answered, with something of each camera, in {STARTS_WITHIN_S:g} s"
                )
            self._step()
        assert watch.started_s is not None
        self._timing = Timing(self._options.hang_s, max(LEAST_START_S, time.monotonic() - watch.started_s))
        self._plant_leaks()
        self._rest(1.0)
        watch.settle(())

    def _plant_leaks(self) -> None:
        wanted, end_s = self._wanted, time.monotonic() + LEAK_WITHIN_S
        if not (wanted.leak_kib_s or wanted.leak_descriptors_s):
            return
        leak = {"do": "leak", "kib_a_s": wanted.leak_kib_s, "descriptors_a_s": wanted.leak_descriptors_s}
        while not self._stage.order(self._stage.daemon.pid, **leak):
            if time.monotonic() > end_s:
                raise StageError("no leak can be planted: the daemon takes no orders")
            self._step()

    def _perform(self, burst: Burst) -> bool:
        """Perform a burst, wait until all is well; return whether it is."""
        watch, hits = self._watch, self._open
        for event in burst:
            self._rest(event.after_s)
            hits.append(self._striker.strike(event, watch.census.current, watch.census.up))
            self._hits.append(hits[-1])
            watch.note_recent(hits)
            self._say(Progress(event.number, self._wanted.events, str(event), len(watch.violations)))
        due = due_s(hits, self._timing)
        is_late = False
        while missing := unsettled(hits, watch.census, self._stage.setup.children, watch.evidence):
            if time.monotonic() > due:
                if is_late:
                    return False
                for invariant, found in missing.items():
                    for what in found:
                        watch.accuse(invariant, f"{what} {due - hits[-1].at_s:.1f} s after the last event", hits)
                # Once more as long: what comes late is told from what never comes.
                is_late, due = True, 2 * due - hits[-1].at_s
            self._step()
        watch.settle(self._hits)
        self._score()
        return True

    def _score(self) -> None:
        """Take note of what a burst's events were felt as, now that they are over."""
        now_s, census = time.monotonic(), self._watch.census
        for hit in self._open:
            pauses = [longest_pause_s(times, hit.at_s, now_s) for times in self._watch.evidence.values()]
            causes = [death.cause for death in census.deaths if hit.pid is not None and death.pid == hit.pid]
            back_s = census.back_s(hit) if causes and not hit.missed else None
            self._scored.append(Scored(hit.event, hit.missed, max(pauses), back_s, causes[0] if causes else None))
        self._open = []

    def _rest(self, rest_s: float) -> None:
        end_s = time.monotonic() + rest_s
        while time.monotonic() < end_s:
            self._step(min(STEP_S, max(0.0, end_s - time.monotonic())))

    def _step(self, wait_s: float = STEP_S) -> None:
        self._striker.tend(time.monotonic())
        self._watch.look()
        if self._wait_stop(wait_s):
            raise Interrupted


def random_seed() -> int:
    """Return a seed that a person can type again."""
    return random.SystemRandom().randint(1, 999_999)
