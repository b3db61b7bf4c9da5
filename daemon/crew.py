"""All children of the supervisor: their lifecycles are turned, their commands performed, their words collected.

Owns every :class:`Child` and the selector. What a child says or how it died is returned as values; what that means is
the supervisor's business. Knows neither cameras nor mosaics.
"""

import logging
import os
import selectors
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

from capture.channel import ProtocolError
from capture.child import wait_readable
from capture.messages import Loading, Ready, Stop
from daemon import lifecycle
from daemon.cgroup import OomKills
from daemon.child import Child, Death, FromAnyChild
from daemon.lifecycle import Command, Phase, Policy, Step
from daemon.logs import fields
from daemon.verdict import Cause, Evidence, is_permanent, judge
from daemon.verdict import Phase as Doing

log = logging.getLogger(__name__)

KILL_S = 2.0
"""A killed process that is there after so long hangs in a driver."""

HEARD_A_TURN = 64
"""Messages of one child in one turn: who talks without a pause must not keep the loop from all others."""


@dataclass(frozen=True, slots=True)
class Born:
    """A new generation was spawned and waits for its first message."""

    child: Child


@dataclass(frozen=True, slots=True)
class Heard:
    """A child said something. The receiver owns the descriptors."""

    child: Child
    message: FromAnyChild
    fds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Died:
    """A generation has ended, and its lifecycle has moved on."""

    child: Child
    cause: Cause | None
    """None if it was asked to stop."""
    stderr: tuple[str, ...] = ()
    """Its last lines."""


Event = Born | Heard | Died


@dataclass(frozen=True, slots=True)
class Quota:
    """What is known of a child's memory, for the verdict on its death."""

    limit_mib: int | None = None
    last_mib: float | None = None
    """Of what the limit counts, when it was last looked at."""
    on_gpu: bool = False
    rise_mib: float = 0.0
    """By how much `last_mib` was more than at the look before."""
    peak_mib: float | None = None
    """The most that was seen of any generation."""


class Crew:
    """The children, in groups that each start at most so many at a time."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[Child]],
        policies: Mapping[str, Policy],
        start_concurrency: Mapping[str, int],
        clock: Callable[[], float],
        chance: Callable[[], float],
        *,
        oom_kills: OomKills | None = None,
    ) -> None:
        self.children = tuple(child for group in groups.values() for child in group)
        self._groups = {name: list(group) for name, group in groups.items()}
        self._suspended: set[str] = set()
        self.quotas: dict[str, Quota] = {}
        """By child, of those that have one."""
        self._policies = policies
        self._start_concurrency = start_concurrency
        self._clock = clock
        self._chance = chance
        self._oom_kills = oom_kills or OomKills()
        self._selector = selectors.DefaultSelector()
        self._start_ticks: dict[str, int] = {}
        """CPU time of children that are starting, when it last changed."""

    @property
    def policies(self) -> list[Policy]:
        """One for each kind of child that there is."""
        return [self._policies[kind] for kind in sorted({child.spec.kind for child in self.children})]

    def watch(self, fd: int, drain: Callable[[], object]) -> None:
        """Let a descriptor that becomes readable end the wait; ``drain`` makes it unreadable again."""
        self._selector.register(fd, selectors.EVENT_READ, drain)

    def turn(self, timeout_s: float) -> list[Event]:
        """Wait at most so long for something to happen; return what did, in order."""
        ready: list[tuple[Child, str]] = []
        for key, _ in self._selector.select(timeout_s):
            if callable(key.data):
                key.data()
            else:
                ready.append(key.data)
        events: list[Event] = []
        # The dead first hear out: a pidfd may be readable together with the last words.
        ended = [child for child, what in ready if what == "pidfd"]
        for child, what in ready:
            if child in ended:
                continue
            if what == "channel":
                events += self._hear(child)
            elif what == "stderr":
                self._read_stderr(child)
        for child in ended:
            events += self._bury(child)
        for child in self.children:
            # Whoever died in this turn is born in the next: what is decided on its last words must not hit its heir.
            if child not in ended:
                events += self._tick(child)
        return events

    def stop(self, group: str) -> bool:
        """Stop this group's children for good; return whether all have ended. Call until it does."""
        for child in self._groups[group]:
            if child.life.phase is not Phase.STOPPED:
                self._perform(child, lifecycle.stop(child.life, self._clock()))
        return all(child.life.phase is Phase.STOPPED for child in self._groups[group])

    def restart(self, child: Child) -> None:
        """Start a child anew, because a person wants that: even one that was given up; it has failed in nothing."""
        log.info("child restart ordered", extra=fields(child=child.spec.name, phase=child.life.phase))
        self._perform(child, lifecycle.restart(child.life, self._clock()))

    def suspend(self, group: str) -> None:
        """End this group's children in order, and start none until :meth:`resume`; they have failed in nothing."""
        self._suspended.add(group)
        for child in self._groups[group]:
            if child.life.phase in (Phase.STARTING, Phase.UP):
                self._perform(child, lifecycle.restart(child.life, self._clock()))

    def resume(self, group: str) -> None:
        """Start this group's children again, at once; those that were given up stay so."""
        self._suspended.discard(group)
        for child in self._groups[group]:
            if child.life.phase is Phase.WAITING:
                child.life = lifecycle.restart(child.life, self._clock()).life

    def move(self, child: Child, group: str) -> None:
        """Put a child into another group, to be started among those."""
        for children in self._groups.values():
            if child in children:
                children.remove(child)
        self._groups[group].append(child)

    def retire(self, child: Child) -> None:
        """Stop a child for which there is no room; it counts as given up, until a person starts it again."""
        log.warning("child retired", extra=fields(child=child.spec.name))
        self._perform(child, lifecycle.retire(child.life, self._clock()))

    def condemn(self, child: Child, why: str) -> None:
        """Kill a child that cannot be trusted or does not listen; it is restarted as after any other death."""
        log.error("child condemned", extra=fields(child=child.spec.name, why=why))
        child.obey(Command.KILL)
        if child.pid is not None:
            self._disregard(child.descriptors[0])

    def close(self) -> None:
        """Kill and reap whatever still lives; what the kernel does not let die is left to it."""
        living = [child for child in self.children if child.pid is not None]
        for child in living:
            child.obey(Command.KILL)
        for child in living:
            *_, pidfd = child.descriptors
            if not wait_readable([pidfd], KILL_S):
                log.error("child does not die", extra=fields(child=child.spec.name, pid=child.pid))
                continue
            for received in child.bury().received:
                for fd in received.fds:
                    os.close(fd)
        self._selector.close()

    def _tick(self, child: Child) -> Iterator[Event]:
        now_s = self._clock()
        if child.life.phase is Phase.STARTING:
            self._look_at_start(child, now_s)
        if child.spec.name in self.quotas:
            self._look_at_memory(child)
        before = child.life
        self._perform(child, lifecycle.tick(child.life, now_s, self._policy(child), self._may_start(child)))
        if child.life.generation == before.generation:
            return
        try:
            child.spawn()
        except OSError as error:
            log.error("child not spawned", extra=fields(child=child.spec.name, error=error.strerror))
            yield self._after_death(child, Cause.HOST_OOM, now_s)
            return
        for fd, what in zip(child.descriptors, ("channel", "stderr", "pidfd"), strict=True):
            self._selector.register(fd, selectors.EVENT_READ, (child, what))
        log.info("child started", extra=fields(child=child.spec.name, pid=child.pid, generation=child.life.generation))
        yield Born(child)

    def _look_at_start(self, child: Child, now_s: float) -> None:
        """A child that loads uses the CPU; one that stands still would hold up everybody who waits to start."""
        ticks = child.cpu_ticks()
        if ticks != self._start_ticks.get(child.spec.name):
            self._start_ticks[child.spec.name] = ticks
            child.life = lifecycle.get_on(child.life, now_s)

    def _look_at_memory(self, child: Child) -> None:
        """From outside and each turn: how near the wall it was tells what a signal meant, and reports are too rare."""
        quota = self.quotas[child.spec.name]
        # A GPU worker's limit is of the device's memory: no two to compare.
        if quota.limit_mib is not None and not quota.on_gpu and (data_mib := child.data_mib()) is not None:
            rise_mib = 0.0 if quota.last_mib is None else max(0.0, data_mib - quota.last_mib)
            self.quotas[child.spec.name] = replace(
                quota, last_mib=data_mib, rise_mib=rise_mib, peak_mib=max(data_mib, quota.peak_mib or 0.0)
            )

    def _policy(self, child: Child) -> Policy:
        return self._policies[child.spec.kind]

    def _may_start(self, child: Child) -> bool:
        for name, children in self._groups.items():
            if child in children:
                if name in self._suspended:
                    return False
                starting = sum(c.life.phase is Phase.STARTING for c in children)
                return starting < self._start_concurrency.get(name, len(children))
        return False

    def _perform(self, child: Child, step: Step) -> None:
        child.life = step.life
        if step.command is Command.ASK_STOP:
            child.send(Stop())
        elif step.command in (Command.TERMINATE, Command.KILL):
            child.obey(step.command)
            log.warning("child pressed", extra=fields(child=child.spec.name, command=step.command))

    def _hear(self, child: Child) -> Iterator[Event]:
        try:
            for received in islice(child.receive(), HEARD_A_TURN):
                if isinstance(received.message, Ready):
                    child.life = lifecycle.become_ready(child.life, self._clock())
                elif isinstance(received.message, Loading):
                    child.life = lifecycle.load(child.life, received.message.step, self._clock())
                yield Heard(child, received.message, received.fds)
        except ProtocolError as error:
            self.condemn(child, str(error))
        if child.has_hung_up:
            self._disregard(child.descriptors[0])

    def _read_stderr(self, child: Child) -> None:
        for line in child.read_stderr():
            log.debug("child says", extra=fields(child=child.spec.name, line=line))
        if child.has_closed_stderr:
            self._disregard(child.descriptors[1])

    def _disregard(self, fd: int) -> None:
        """Watch a descriptor no longer: one that has ended stays readable, and the loop would spin."""
        with suppress(KeyError):
            self._selector.unregister(fd)

    def _bury(self, child: Child) -> Iterator[Event]:
        was = child.life
        for fd in child.descriptors:
            self._disregard(fd)
        death = child.bury()
        for received in death.received:
            yield Heard(child, received.message, received.fds)
        now_s = self._clock()
        if was.phase is Phase.STOPPING:
            child.life = lifecycle.die(was, now_s, self._policy(child), is_permanent=False, chance=0.0)
            log.info("child stopped", extra=fields(child=child.spec.name, returncode=death.returncode))
            yield Died(child, None)
            return
        cause = judge(self._evidence(child, death))
        if (quota := self.quotas.get(child.spec.name)) is not None:
            self.quotas[child.spec.name] = replace(quota, last_mib=None, rise_mib=0.0)
        words = death.last_words.message if death.last_words else ""
        log.error(
            "child died",
            extra=fields(child=child.spec.name, cause=cause, returncode=death.returncode, words=words),
        )
        if not words:
            for line in death.stderr[-10:]:
                log.error("child's last lines", extra=fields(child=child.spec.name, line=line))
        yield replace(self._after_death(child, cause, now_s), stderr=death.stderr)

    def _after_death(self, child: Child, cause: Cause, now_s: float) -> Died:
        child.life = lifecycle.die(
            child.life, now_s, self._policy(child), is_permanent=is_permanent(cause), chance=self._chance()
        )
        if child.life.phase is Phase.GIVEN_UP:
            log.error("child given up", extra=fields(child=child.spec.name, cause=cause))
        else:
            delay_s = round(max(0.0, child.life.retry_at_s - now_s), 1)
            log.info("child restarts", extra=fields(child=child.spec.name, delay_s=delay_s))
        return Died(child, cause)

    def _evidence(self, child: Child, death: Death) -> Evidence:
        quota = self.quotas.get(child.spec.name, Quota())
        return replace(
            Evidence.of_returncode(death.returncode),
            stderr=death.stderr,
            last_words=death.last_words,
            phase=Doing.LOADING if child.life.phase is Phase.STARTING else Doing.WORKING,
            was_killed_by_us_for_hang=child.life.is_condemned,
            oom_kills=self._oom_kills.explain() if death.returncode == -signal.SIGKILL else None,
            # Since the last look it may have gained as much again as before it.
            memory_mib=None if quota.last_mib is None else quota.last_mib + quota.rise_mib,
            memory_limit_mib=None if quota.on_gpu else quota.limit_mib,
            on_gpu=quota.on_gpu,
        )
