"""What came of a run, and how it is shown: a table of events, one of invariants, a verdict. Pure."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from rich.table import Table

from daemon.chaos.invariants import INVARIANTS, descriptors_growth, memory_growth_mib
from daemon.chaos.kinds import TRAITS, Kind
from daemon.chaos.observations import Sample, Violation
from daemon.chaos.plan import Event
from daemon.verdict import Cause

SHOWN = 20
"""Violations at most, in words."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    done: int
    events: int
    last: str
    violations: int


@dataclass(frozen=True, slots=True)
class Scored:
    """An event, and what it was felt as."""

    event: Event
    missed: str
    """Why it could not be performed; empty if it was."""
    pause_s: float
    """Longest time that one mosaic was not answered, from the event until all was well: what other events of its burst
    did counts too."""
    back_s: float | None
    """From the event until the next generation of its victim was ready; None where nobody had to die."""
    cause: Cause | None
    """What its victim's death was judged as."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured beside."""

    start_s: float = 0.0
    seconds: float = 0.0
    memory_mib: float = 0.0
    """Of the supervisor, median."""
    memory_growth_mib: float = 0.0
    descriptors: int = 0
    """Of the supervisor, at the end."""
    descriptors_growth: int = 0
    children_descriptors_growth: int = 0
    deaths: int = 0
    lines: int = 0
    sightings: int = 0
    kept_events: int = 0
    lost_lines: int = 0
    """Lines of sightings that the full disk cost."""
    loop_lag_s: float = 0.0
    """Worst."""

    @classmethod
    def of(
        cls, start_s: float, seconds: float, samples: Sequence[Sample], quiet: Sequence[Sample], **counted: Any
    ) -> "Figures":
        """Add what samples say."""
        counted["lost_lines"] = int(counted["lost_lines"])
        return cls(
            start_s=start_s,
            seconds=seconds,
            memory_mib=statistics.median(each.memory_kib for each in samples) / 1024 if samples else 0.0,
            memory_growth_mib=memory_growth_mib(samples),
            descriptors=quiet[-1].descriptors if quiet else 0,
            descriptors_growth=descriptors_growth([each.descriptors for each in quiet]),
            children_descriptors_growth=descriptors_growth([each.children_descriptors for each in quiet]),
            **counted,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is to be told of a run."""

    seed: int
    events: int
    """Wanted."""
    scored: tuple[Scored, ...] = ()
    violations: tuple[Violation, ...] = ()
    figures: Figures = Figures()
    left_out: dict[Kind, str] = field(default_factory=dict)
    """Kinds that could not be run here, and why."""
    was_interrupted: bool = False
    folder: str = ""
    """Where logs, sightings and events are kept; empty where they are not."""

    @property
    def is_well(self) -> bool:
        """Whether everything held, in all that was done."""
        return not self.violations and (bool(self.scored) or self.was_interrupted)


def quantile(values: Sequence[float], q: float) -> float:
    """Return the least value that this part of all values, or more, do not exceed (nearest rank)."""
    return sorted(values)[max(1, ceil(q * len(values))) - 1]


def events_table(outcome: Outcome) -> Table:
    """Return a row for each kind of event."""
    table = Table(box=None, pad_edge=False)
    for heading in ("event", "count", "missed", "longest pause p50", "worst", "back p50", "worst", "judged as"):
        table.add_column(heading, justify="left" if heading in ("event", "judged as") else "right", no_wrap=True)
    for kind in Kind:
        mine = [each for each in outcome.scored if each.event.kind is kind]
        done = [each for each in mine if not each.missed]
        if not mine:
            continue
        pauses = [each.pause_s for each in done]
        backs = [each.back_s for each in done if each.back_s is not None]
        causes = Counter(each.cause.value for each in done if each.cause)
        table.add_row(
            kind.value,
            str(len(done)),
            str(len(mine) - len(done)),
            *_quantiles(pauses),
            *_quantiles(backs),
            ", ".join(f"{cause} {count}" for cause, count in causes.most_common()) or "nobody died",
        )
    return table


def invariants_table(outcome: Outcome) -> Table:
    """Return a row for each invariant."""
    table = Table(box=None, pad_edge=False)
    for heading in ("invariant", "", "seen"):
        table.add_column(heading, no_wrap=heading != "seen")
    count = Counter(violation.invariant for violation in outcome.violations)
    seen = _seen(outcome.figures)
    for name, says in INVARIANTS.items():
        held = "held" if not count[name] else f"violated {count[name]} times"
        table.add_row(says, held, seen.get(name, ""))
    return table


def violation_lines(outcome: Outcome) -> list[str]:
    """Return a line for each violation, the first ones."""
    lines = []
    for violation in outcome.violations[:SHOWN]:
        events = f" (events {', '.join(map(str, violation.events))})" if violation.events else ""
        lines.append(f"{violation.at_s:.0f} s: {violation.invariant}: {violation.what}{events}")
    if (more := len(outcome.violations) - SHOWN) > 0:
        lines.append(f"and {more} more")
    return lines


def verdict(outcome: Outcome) -> str:
    """Return the verdict in one line."""
    done = sum(not each.missed for each in outcome.scored)
    words = [f"{done} of {outcome.events} events in {outcome.figures.seconds:.0f} s, seed {outcome.seed}"]
    if missed := len(outcome.scored) - done:
        words.append(f"{missed} missed their victim, which was down already")
    words += [f"{kind} was not run: {why}" for kind, why in outcome.left_out.items()]
    if outcome.was_interrupted:
        words.append("interrupted")
    if outcome.violations:
        found = f"{len(outcome.violations)} violations"
    else:
        found = "every invariant held" if outcome.scored else "nothing was done"
    return f"{found}: {'; '.join(words)}"


def document(outcome: Outcome) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "seed": outcome.seed,
        "events_wanted": outcome.events,
        "events_done": sum(not each.missed for each in outcome.scored),
        "is_well": outcome.is_well,
        "was_interrupted": outcome.was_interrupted,
        "invariants": {
            name: not any(violation.invariant == name for violation in outcome.violations) for name in INVARIANTS
        },
        "violations": outcome.violations,
        "left_out": outcome.left_out,
        "figures": outcome.figures,
        "events": outcome.scored,
        "folder": outcome.folder or None,
        "kinds": {kind: TRAITS[kind].does for kind in {each.event.kind for each in outcome.scored}},
    }


def _quantiles(values: Sequence[float]) -> tuple[str, str]:
    return (f"{quantile(values, 0.5):.1f} s", f"{max(values):.1f} s") if values else ("-", "-")


def _seen(figures: Figures) -> dict[str, str]:
    return {
        "loop": f"latest by {figures.loop_lag_s:.1f} s",
        "deaths": f"{figures.deaths} deaths",
        "credit": f"{figures.sightings} sightings; {figures.lost_lines} lines lost to the disk",
        "events": f"{figures.kept_events} events",
        "descriptors": f"{figures.descriptors}, {figures.descriptors_growth:+d}; children "
        f"{figures.children_descriptors_growth:+d}",
        "memory": f"{figures.memory_mib:.1f} MiB, {figures.memory_growth_mib:+.2f} MiB",
    }
