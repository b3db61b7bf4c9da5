"""What the demo shows: readings of ``/metrics`` and lines of sightings as text, a table and a verdict. Pure.

Must not know: processes, sockets, terminals. Times are monotonic seconds and come in as arguments.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from capture.exits import ExitCode
from daemon.metrics import Sample

LATEST = 10
"""Sightings shown."""

WINDOW = 6
"""Readings that rates are taken over."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at ``/metrics``. Sets hold names; the rest are totals since the daemon started."""

    at_s: float
    cameras: frozenset[str] = frozenset()
    cameras_up: frozenset[str] = frozenset()
    mosaics: frozenset[str] = frozenset()
    mosaics_up: frozenset[str] = frozenset()
    workers: frozenset[str] = frozenset()
    workers_up: frozenset[str] = frozenset()
    answered: float = 0.0
    """Mosaics answered."""
    analyzed: float = 0.0
    """Frames of cameras analyzed."""
    sightings: tuple[tuple[str, float], ...] = ()
    """Label and count, most frequent first."""
    restarts: float = 0.0
    """Of workers and capture processes."""

    @property
    def sighted(self) -> float:
        """Sightings of all labels."""
        return sum(count for _, count in self.sightings)


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened a second, between two readings."""

    answered_hz: float = 0.0
    analyzed_hz: float = 0.0
    sightings_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One sighting, as a person reads it."""

    time: str
    camera: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that the demo has seen so far."""

    cameras_expected: int
    started_s: float
    cameras_ever_up: frozenset[str] = frozenset()
    mosaics_ever_up: frozenset[str] = frozenset()
    last: Reading | None = None
    """None until the daemon has answered once."""
    window: tuple[Reading, ...] = ()
    """The last readings: rates come from the oldest to the newest, as the daemon's own snapshots are a second apart."""
    latest: tuple[Seen, ...] = ()
    """The newest sightings, newest last."""

    @property
    def rates(self) -> Rates:
        """What happens a second, lately."""
        return rates(self.window[0], self.window[-1]) if self.window else Rates()

    @property
    def never_up(self) -> tuple[str, ...]:
        """What never came up, as a person reads it."""
        if self.last is None:
            return ("the daemon",)
        cameras = sorted(self.last.cameras - self.cameras_ever_up)
        absent = self.cameras_expected - len(self.last.cameras)
        mosaics = sorted(self.last.mosaics - self.mosaics_ever_up) if self.last.mosaics else ["every mosaic"]
        return (*cameras, *([f"{absent} cameras that the daemon does not know"] if absent > 0 else []), *mosaics)


def reading(samples: Iterable[Sample], at_s: float) -> Reading:
    """Return what the demo wants to know of one scrape."""
    found = list(samples)

    def names(metric: str, label: str, *, only_up: bool = False) -> frozenset[str]:
        return frozenset(s.labels[label] for s in found if s.name == metric and (s.value or not only_up))

    def total(*metrics: str) -> float:
        return sum(s.value for s in found if s.name in metrics)

    labels: Counter[str] = Counter()
    for sample in found:
        if sample.name == "mosaicd_sightings_total":
            labels[sample.labels["label"]] += int(sample.value)
    return Reading(
        at_s=at_s,
        cameras=names("mosaicd_camera_up", "camera"),
        cameras_up=names("mosaicd_camera_up", "camera", only_up=True),
        mosaics=names("mosaicd_mosaic_up", "mosaic"),
        mosaics_up=names("mosaicd_mosaic_up", "mosaic", only_up=True),
        workers=names("mosaicd_worker_up", "worker"),
        workers_up=names("mosaicd_worker_up", "worker", only_up=True),
        answered=total("mosaicd_mosaic_answered_total"),
        analyzed=total("mosaicd_camera_frames_analyzed_total"),
        sightings=tuple(labels.most_common()),
        restarts=total("mosaicd_worker_restarts_total", "mosaicd_capture_restarts_total"),
    )


def rates(before: Reading, now: Reading) -> Rates:
    """Return rates between two readings; never negative, as a daemon that restarted counts from 0."""
    span_s = now.at_s - before.at_s
    if span_s <= 0:
        return Rates()
    return Rates(
        answered_hz=max(0.0, now.answered - before.answered) / span_s,
        analyzed_hz=max(0.0, now.analyzed - before.analyzed) / span_s,
        sightings_hz=max(0.0, now.sighted - before.sighted) / span_s,
    )


def after(outcome: Outcome, now: Reading) -> Outcome:
    """Return the outcome with one more reading."""
    return replace(
        outcome,
        cameras_ever_up=outcome.cameras_ever_up | now.cameras_up,
        mosaics_ever_up=outcome.mosaics_ever_up | now.mosaics_up,
        last=now,
        window=(*outcome.window, now)[-WINDOW:],
    )


def with_lines(outcome: Outcome, lines: Iterable[str]) -> Outcome:
    """Return the outcome with the sightings on new lines of the JSON Lines file; what is no sighting is left out."""
    return replace(outcome, latest=(*outcome.latest, *(seen for line in lines for seen in _seen(line)))[-LATEST:])


def _seen(line: str) -> Iterator[Seen]:
    try:
        record = json.loads(line)
        time = datetime.fromisoformat(record["captured_at"]).astimezone().strftime("%H:%M:%S")
        # The best of each frame: one crowded camera would fill the list.
        for sighting in sorted(record["sightings"], key=lambda s: float(s["score"]))[-1:]:
            yield Seen(time, str(record["camera"]), str(sighting["label"]), float(sighting["score"]))
    except (ValueError, KeyError, TypeError):
        return  # half a line, or a sink of another version: the demo only looks on


def stage(outcome: Outcome) -> str:
    """Return what the demo is waiting for, or ``running``."""
    last = outcome.last
    if last is None:
        return "the daemon is starting"
    if last.workers and not last.workers_up:
        return "the workers are loading the model"
    if len(last.cameras_up) < outcome.cameras_expected:
        return "cameras are coming up"
    if not last.mosaics or last.mosaics_up < last.mosaics:
        return "waiting for the first answers"
    return "running"


def plain_line(outcome: Outcome, now_s: float) -> str:
    """Return one line for a log."""
    last = outcome.last or Reading(now_s)
    rates_now = outcome.rates
    line = (
        f"{now_s - outcome.started_s:4.0f} s  cameras {len(last.cameras_up)}/{outcome.cameras_expected}"
        f"  mosaics {len(last.mosaics_up)}/{len(last.mosaics)}  workers {len(last.workers_up)}/{len(last.workers)}"
        f"  {rates_now.analyzed_hz:.1f} frames/s  {rates_now.answered_hz:.1f} mosaics/s"
        f"  {rates_now.sightings_hz:.1f} sightings/s"
    )
    if outcome.latest:
        line += f"  last: {_sighting(outcome.latest[-1])}"
    return line if stage(outcome) == "running" else f"{line}  ({stage(outcome)})"


def view(outcome: Outcome, now_s: float, addresses: Sequence[str]) -> Group:
    """Return what a terminal shows; ``addresses`` are the lines about where to look."""
    last = outcome.last or Reading(now_s)
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim")
    grid.add_column(justify="right")
    grid.add_column()
    grid.add_row("cameras up", f"{len(last.cameras_up)}/{outcome.cameras_expected}")
    grid.add_row("mosaics answered", f"{len(last.mosaics_up)}/{len(last.mosaics)}", _hz(outcome.rates.answered_hz))
    grid.add_row("workers up", f"{len(last.workers_up)}/{len(last.workers)}", ", ".join(sorted(last.workers)))
    grid.add_row("frames analyzed", f"{last.analyzed:.0f}", _hz(outcome.rates.analyzed_hz))
    grid.add_row("sightings", f"{last.sighted:.0f}", _hz(outcome.rates.sightings_hz))
    grid.add_row("restarts", f"{last.restarts:.0f}")
    seen = [Text("  " + _sighting(sighting)) for sighting in reversed(outcome.latest)]
    return Group(
        Text(f"mosaicd demo, {now_s - outcome.started_s:.0f} s: {stage(outcome)}", style="bold"),
        grid,
        Text("latest sightings", style="dim"),
        *(seen or [Text("  none yet")]),
        *(Text(address, style="dim") for address in addresses),
    )


def summary(outcome: Outcome, now_s: float) -> str:
    """Return the one line at the end."""
    last = outcome.last or Reading(now_s)
    span_s = now_s - outcome.started_s
    labels = ", ".join(f"{label} {count:.0f}" for label, count in last.sightings[:5])
    line = (
        f"{span_s:.0f} s: {len(outcome.cameras_ever_up)}/{outcome.cameras_expected} cameras and "
        f"{len(outcome.mosaics_ever_up)}/{len(last.mosaics)} mosaics came up, {last.analyzed:.0f} frames analyzed, "
        f"{last.sighted:.0f} sightings{f' ({labels})' if labels else ''}, {last.restarts:.0f} restarts"
    )
    return f"{line}; never up: {', '.join(outcome.never_up)}" if outcome.never_up else line


def exit_code(outcome: Outcome, *, was_interrupted: bool) -> ExitCode:
    """A person who pressed Ctrl-C has seen enough; a demo that ran its time is judged by what came up."""
    return ExitCode.OK if was_interrupted or not outcome.never_up else ExitCode.FAILURE


def _hz(rate: float) -> str:
    return f"{rate:.1f}/s"


def _sighting(seen: Seen) -> str:
    return f"{seen.time} {seen.camera} {seen.label} {seen.score:.2f}"
