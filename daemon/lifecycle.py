"""The life of a child process over its generations: state, event, now -> state and command. Pure.

Both kinds of child live by it. The supervisor performs the commands; clock and jitter are passed in.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from capture.backoff import Backoff

RESTARTS = Backoff(first_s=1.0, limit_s=60.0)


class Phase(StrEnum):
    """Where a child is."""

    WAITING = "waiting"
    """No process: before the first, or between two; starts at ``retry_at_s`` if it may."""
    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"
    GIVEN_UP = "given_up"
    """Died too often, or of something that no restart mends."""
    STOPPED = "stopped"


class Command(StrEnum):
    """What the supervisor is to do now."""

    SPAWN = "spawn"
    ASK_STOP = "ask_stop"
    TERMINATE = "terminate"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Policy:
    """When a child is too slow, and when it died too often. Seconds."""

    start_timeout_s: float = 120.0
    """Of each step of a start."""
    hang_s: float = 30.0
    stop_timeout_s: float = 10.0
    stable_s: float = 600.0
    max_restarts: int | None = 5
    """Within the window; None is any number."""
    restart_window_s: float = 600.0
    backoff: Backoff = RESTARTS


@dataclass(frozen=True, slots=True)
class Life:
    """State of one child. Times are monotonic seconds."""

    phase: Phase = Phase.WAITING
    since_s: float = 0.0
    """When this phase began."""
    generation: int = 0
    """Processes spawned so far."""
    failures: int = 0
    """Deaths in a row without ``stable_s`` of health between them."""
    deaths_s: tuple[float, ...] = ()
    """When it died, within the restart window."""
    retry_at_s: float = 0.0
    loaded: frozenset[str] = frozenset()
    """Steps of its start that it has named."""
    owed_since_s: float | None = None
    """Since when work has been waiting for it unanswered."""
    is_condemned: bool = False
    """Killed by us, because it hung."""
    last_order: Command | None = None
    """How far the stop has gone."""
    is_returning: bool = False
    """It stops only to be started again, because a person wants that."""
    is_retiring: bool = False
    """It stops to be given up: there is no room for it."""


@dataclass(frozen=True, slots=True)
class Step:
    """The life after an event, and what to do."""

    life: Life
    command: Command | None = None


def tick(life: Life, now_s: float, policy: Policy, may_start: bool) -> Step:
    """Let time pass: start what waits (if it may), condemn what hangs, press what should stop."""
    age_s = now_s - life.since_s
    match life.phase:
        case Phase.WAITING if may_start and now_s >= life.retry_at_s:
            born = replace(
                life,
                phase=Phase.STARTING,
                since_s=now_s,
                generation=life.generation + 1,
                owed_since_s=None,
                is_condemned=False,
                is_returning=False,
                loaded=frozenset(),
            )
            return Step(born, Command.SPAWN)
        case Phase.STARTING if age_s > policy.start_timeout_s and not life.is_condemned:
            return Step(replace(life, is_condemned=True), Command.KILL)
        case Phase.STARTING | Phase.UP if (
            life.owed_since_s is not None and now_s - life.owed_since_s > policy.hang_s and not life.is_condemned
        ):
            return Step(replace(life, is_condemned=True), Command.KILL)
        case Phase.STOPPING if age_s > policy.stop_timeout_s and life.last_order is not Command.KILL:
            return Step(replace(life, last_order=Command.KILL), Command.KILL)
        case Phase.STOPPING if age_s > policy.stop_timeout_s / 2 and life.last_order is Command.ASK_STOP:
            return Step(replace(life, last_order=Command.TERMINATE), Command.TERMINATE)
    return Step(life)


def become_ready(life: Life, now_s: float) -> Life:
    """Take note that it said Ready."""
    if life.phase is not Phase.STARTING:
        return life
    return replace(life, phase=Phase.UP, since_s=now_s, owed_since_s=None)


def get_on(life: Life, now_s: float) -> Life:
    """Take note that it is getting on with its start: one that stands still for ``hang_s`` is not waited for."""
    return replace(life, owed_since_s=now_s) if life.phase is Phase.STARTING else life


def load(life: Life, step: str, now_s: float) -> Life:
    """Take note that it has come to another step of its start, which has ``start_timeout_s`` to itself."""
    if life.phase is not Phase.STARTING or step in life.loaded:
        return life
    return replace(life, since_s=now_s, loaded=life.loaded | {step})


def owe(life: Life, now_s: float) -> Life:
    """Take note that work is waiting for it."""
    return replace(life, owed_since_s=now_s) if life.phase is Phase.UP and life.owed_since_s is None else life


def settle(life: Life) -> Life:
    """Take note that it has done work, or that none is waiting any more."""
    return replace(life, owed_since_s=None) if life.owed_since_s is not None else life


def die(life: Life, now_s: float, policy: Policy, *, is_permanent: bool, chance: float) -> Life:
    """Take note that its process has ended; ``chance`` in [0, 1) spreads the restart."""
    if life.phase is Phase.STOPPING and life.is_returning:
        return replace(life, phase=Phase.WAITING, since_s=now_s, owed_since_s=None, retry_at_s=now_s)
    if life.phase is Phase.STOPPING and life.is_retiring:
        return replace(life, phase=Phase.GIVEN_UP, since_s=now_s, owed_since_s=None, is_retiring=False)
    if life.phase in (Phase.STOPPING, Phase.STOPPED):
        return replace(life, phase=Phase.STOPPED, since_s=now_s, owed_since_s=None)
    was_stable = life.phase is Phase.UP and now_s - life.since_s >= policy.stable_s
    failures = 1 if was_stable else life.failures + 1
    deaths = (*(at for at in life.deaths_s if now_s - at < policy.restart_window_s), now_s)
    gone = replace(life, since_s=now_s, failures=failures, deaths_s=deaths, owed_since_s=None)
    if is_permanent or (policy.max_restarts is not None and len(deaths) > policy.max_restarts):
        return replace(gone, phase=Phase.GIVEN_UP)
    # The first restart is at once: most deaths are single.
    delay_s = policy.backoff.delay_s(failures - 1, chance) if failures > 1 else 0.0
    return replace(gone, phase=Phase.WAITING, retry_at_s=now_s + delay_s)


def stop(life: Life, now_s: float) -> Step:
    """Begin to stop it for good."""
    if life.phase in (Phase.STARTING, Phase.UP):
        ending = replace(life, phase=Phase.STOPPING, since_s=now_s, last_order=Command.ASK_STOP)
        return Step(ending, Command.ASK_STOP)
    if life.phase is Phase.STOPPING:
        return Step(replace(life, is_returning=False, is_retiring=False))
    return Step(replace(life, phase=Phase.STOPPED, since_s=now_s))


def retire(life: Life, now_s: float) -> Step:
    """Begin to stop it in order, for there is no room for it; in the end it is given up, and a person may revive it."""
    if life.phase in (Phase.STARTING, Phase.UP) and not life.is_condemned:
        return Step(replace(stop(life, now_s).life, is_retiring=True), Command.ASK_STOP)
    return Step(life)  # whoever has died meanwhile has an heir, and that is measured too


def restart(life: Life, now_s: float) -> Step:
    """Begin to start it anew, because a person wants that: no failure of its own, and without a delay.

    Whoever is stopping for good, or was killed and comes back anyway, is left alone.
    """
    match life.phase:
        case Phase.STARTING | Phase.UP if not life.is_condemned:
            return Step(replace(stop(life, now_s).life, is_returning=True), Command.ASK_STOP)
        case Phase.WAITING:
            return Step(replace(life, retry_at_s=min(life.retry_at_s, now_s)))
        case Phase.GIVEN_UP:
            return Step(revive(life, now_s))
    return Step(life)


def revive(life: Life, now_s: float) -> Life:
    """Let one that was given up begin again, all its failures forgotten: a person has mended what it died of."""
    if life.phase is not Phase.GIVEN_UP:
        return life
    return replace(life, phase=Phase.WAITING, since_s=now_s, failures=0, deaths_s=(), retry_at_s=now_s)
