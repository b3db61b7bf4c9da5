"""What must always hold, as functions from what was seen to what was violated. Pure."""

import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from daemon.chaos.kinds import TRAITS, Kind, Timing, deadline_s
from daemon.chaos.observations import Census, Death, Evidence, Hit, Process, Sample, Truth, Violation

INVARIANTS = {
    "loop": "the loop turns, HTTP answers",
    "answered": "mosaics answered in time",
    "back": "children back in time",
    "deaths": "deaths of what was done",
    "credit": "sightings credited rightly",
    "events": "events kept, told and ended once",
    "processes": "no orphan, no zombie",
    "descriptors": "descriptors flat",
    "memory": "supervisor's memory flat",
    "end": "ends in order, leaves nothing",
}
"""What is checked, in the order in which it is shown."""

SILENT_S = 10.0
"""Without an answer for so long the daemon counts as stuck, as its own /healthz has it."""
LINE_LATE_S = 0.75
"""A line that is seen so long after an event may be of an answer before it: the sink writes four times a second, and is
read as often."""
LINGERS_S = 3.0
"""A process that nobody owns may be seen for so long: between its end and its burial, say."""

WARM_UP_RATIO = 0.5
"""Part of the samples that are not judged: caches, pools and the allocator's arenas fill up, ever more slowly."""
MEMORY_MIB = 2.0
"""So much the supervisor's memory may grow in the rest of a run, by the line through its samples. What one event leaves
behind shows in a run that is long enough: 8 KiB each in one of 500."""
DESCRIPTORS = 2
"""So many more may be open than at the beginning: a file that is being rotated, a connection that is closing."""
CHILDREN_DESCRIPTORS = 12
"""... in all children together: cameras that connect, files that a library opens when it first needs them."""


def due_s(hits: Iterable[Hit], timing: Timing) -> float:
    """Return when all mosaics must be answered again after these events, the last of whose deadlines counts.

    Each event may undo what the daemon had mended after those before it, so they are not judged one by one.
    """
    return max(hit.at_s + deadline_s(hit.event.kind, timing) for hit in hits)


def unsettled(
    hits: Sequence[Hit], census: Census, children: Collection[str], evidence: Evidence
) -> dict[str, list[str]]:
    """Return what is still missing after these events, by invariant; nothing is once all is well.

    Everybody who had to die is dead, every child is up, and since then, and since the last event's end, every mosaic
    was answered.
    """
    missing: dict[str, list[str]] = {}
    if alive := [f"{hit.event}: its victim lives" for hit in hits if must_die(hit) and hit.pid not in census.ended]:
        missing["deaths"] = alive
    if down := [f"{child} is not up" for child in children if child not in census.up]:
        missing["back"] = down
    since_s = LINE_LATE_S + max(census.returned_s, *map(ended_s, hits))
    if late := [f"{mosaic} is not answered" for mosaic, times in evidence.items() if not times or times[-1] < since_s]:
        missing["answered"] = late
    return missing


def ended_s(hit: Hit) -> float:
    """Return when an event was over. A camera's fault is not waited for: its mosaic has others."""
    return hit.at_s + (TRAITS[hit.event.kind].lasts_s if hit.event.kind is Kind.DISK else 0.0)


def must_die(hit: Hit) -> bool:
    """Whether its victim has to end of it."""
    return bool(TRAITS[hit.event.kind].causes) and not hit.missed


def judge_deaths(deaths: Iterable[Death], hits: Sequence[Hit]) -> Iterator[Violation]:
    """Yield the deaths that nothing explains, and those that were judged as something else."""
    for death in deaths:
        mine = [hit for hit in hits if hit.pid == death.pid]
        allowed = {cause for hit in mine for cause in TRAITS[hit.event.kind].causes}
        numbers = tuple(hit.event.number for hit in mine)
        if death.is_for_good:
            yield Violation("back", f"{death.child} was given up", death.at_s, numbers)
        elif not allowed:
            yield Violation("deaths", f"{death.child} died of {death.cause}: nobody touched it", death.at_s, numbers)
        elif death.cause not in allowed:
            done = ", ".join(hit.event.kind for hit in mine)
            yield Violation("deaths", f"{death.child} was hit by {done} and judged {death.cause}", death.at_s, numbers)


def misjudged_line(line: Mapping[str, Any], truths: Mapping[str, Truth]) -> str | None:
    """Return what is wrong with a line of sightings, if anything: whatever a camera shows has one colour and place."""
    camera = str(line["camera"])
    if camera not in truths:
        return f"a line of {camera}, which is no camera"
    truth = truths[camera]
    x1, y1, x2, y2 = truth.box
    for seen in line["sightings"]:
        if seen["label"] != truth.label:
            return f"{camera} shows {truth.label}, but {seen['label']} was credited to it"
        left, top, right, bottom = seen["box"]
        slack = truth.slack
        if left < x1 - slack or top < y1 - slack or right > x2 + slack or bottom > y2 + slack:
            return f"{camera} shows its square at {truth.box}, but one at {seen['box']} was credited to it"
    return None


def strangers(processes: Sequence[Process], daemon: int, current: Mapping[str, int]) -> dict[int, str]:
    """Return processes of this run that are neither the daemon, nor its present children, nor below those."""
    by_pid = {process.pid: process for process in processes}
    owned = {daemon, *current.values()}
    found = {}
    for process in processes:
        if process.pid in owned and not process.is_zombie:
            continue
        above, seen = process.parent, {process.pid}
        while above in by_pid and above not in owned and above not in seen:
            seen.add(above)
            above = by_pid[above].parent
        if process.is_zombie:
            found[process.pid] = f"process {process.pid} is a zombie"
        elif above not in current.values():
            what = " ".join(process.command)[:120]
            found[process.pid] = f"process {process.pid} belongs to nobody: {what}"
    return found


def longest_pause_s(times: Sequence[float], since_s: float, until_s: float) -> float:
    """Return the longest time without an answer, of those that overlap with a span."""
    inner = [time_s for time_s in times if since_s < time_s < until_s]
    before = max((time_s for time_s in times if time_s <= since_s), default=since_s)
    after = min((time_s for time_s in times if time_s >= until_s), default=until_s)
    return max(b - a for a, b in pairwise((before, *inner, after)))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of a line through (x, y): the median of all slopes (Theil 1950, Sen 1968)."""
    thinned = points[:: max(1, len(points) // 200)]
    slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in combinations(thinned, 2) if x1 > x0]
    return statistics.median(slopes) if slopes else 0.0


def memory_growth_mib(samples: Sequence[Sample]) -> float:
    """Return by how much the supervisor's memory has grown, by the line through what followed the warm-up."""
    late = samples[int(len(samples) * WARM_UP_RATIO) :]
    if len(late) < 2:
        return 0.0
    rate = slope([(sample.at_s, sample.memory_kib) for sample in late])
    return rate * (late[-1].at_s - late[0].at_s) / 1024


def descriptors_growth(counts: Sequence[int]) -> int:
    """Return by how many the descriptors have grown between quiet moments, from the first few to the last few."""
    few = max(1, len(counts) // 4)
    return min(counts[-few:]) - min(counts[:few]) if counts else 0


def judge_growth(looks: Sequence[Sample], quiet: Sequence[Sample]) -> Iterator[Violation]:
    """Yield what has grown; memory is judged by all samples, descriptors by those of quiet moments."""
    if not looks:
        return
    at_s = looks[-1].at_s
    if (mib := memory_growth_mib(looks)) > MEMORY_MIB:
        yield Violation("memory", f"the supervisor's memory grew by {mib:.1f} MiB", at_s)
    grown = descriptors_growth([sample.descriptors for sample in quiet])
    if grown > DESCRIPTORS:
        yield Violation("descriptors", f"the supervisor has {grown} descriptors more", at_s)
    grown = descriptors_growth([sample.children_descriptors for sample in quiet])
    if grown > CHILDREN_DESCRIPTORS:
        yield Violation("descriptors", f"its children have {grown} descriptors more", at_s)
