"""How well sightings become tracks, ours beside the libraries that are installed, and what it costs.

    .venv/bin/python bench/tracking.py [--only NAME] [--out bench/results/tracking.md]

On PETS 2009 S2L1 and on six scenes of the simulator (`bench/tracked.py`), at 10, 5 and 2 answers a second, over each
of the 1, 2 or 5 ways to take so many: IDF1 (Ristani et al. 2016), MOTA (Bernardin and Stiefelhagen 2008) and identity
switches by motmetrics, at IoU 0.5, whatever the label. A track counts at an answer that has it, at once, as an event
needs it: nothing is filled in afterwards. And how many tracks there are of six people who cross a room one by one.

The cost is CPU time of 32 cameras with ten objects each, seen five times a second, as a share of a core; beside it what
importing adds to a process that has numpy.

The libraries are none of mosaicd's. To compare them, in a copy of the environment:
    pip install matplotlib tqdm requests defusedxml trackforge edgefirst-tracker
    pip install --no-deps trackers supervision 'pydeprecate<0.14' norfair 'filterpy<2'
Needs ../shared/data, and renders the scenes the first time.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import motmetrics
import numpy as np
from rich.console import Console
from rich.progress import track

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.tracked import FPS, Footage, footages, one_by_one
from bench.trackers import CANDIDATES, Candidate
from events.association import overlaps

RATES_HZ = (10, 5, 2)
LEAST_IOU = 0.5
CAMERAS, OBJECTS, RATE_HZ, SECONDS = 32, 10, 5, 30
METRICS = ["idf1", "mota", "num_switches"]


def judge(footage: Sequence[Footage], candidate: Candidate, rate_hz: int) -> tuple[float, float, int]:
    """IDF1, MOTA and switches over all footage, from each possible start."""
    step = FPS // rate_hz
    accounts = [follow(each, candidate, rate_hz, start) for each in footage for start in range(step)]
    total = motmetrics.metrics.create().compute_many(accounts, metrics=METRICS, generate_overall=True).loc["OVERALL"]
    return float(total.idf1), float(total.mota), int(total.num_switches)


def follow(footage: Footage, candidate: Candidate, rate_hz: int, start: int) -> motmetrics.MOTAccumulator:
    """What a tracker tells of one camera's footage, against the truth."""
    account = motmetrics.MOTAccumulator(auto_id=True)
    update = candidate.make(float(rate_hz))
    for frame in footage.frames[start :: FPS // rate_hz]:
        # From 1: the time 0 is taken for no time by one of them.
        ids, boxes = update(1.0 + frame.at_s, frame.boxes, frame.scores, frame.labels)
        told = np.asarray(boxes, np.float64).reshape(-1, 4)
        fits = overlaps(frame.truth.astype(np.float64), told)
        if len(frame.ignored) and len(told):
            on_ignored = overlaps(frame.ignored.astype(np.float64), told).max(axis=0) >= LEAST_IOU
            counts = ~on_ignored | (fits.max(axis=0, initial=0.0) >= LEAST_IOU)
            fits, ids = fits[:, counts], np.asarray(ids)[counts]
        account.update(frame.truth_ids, ids, np.where(fits >= LEAST_IOU, 1 - fits, np.nan))
    return account


def people(footage: Footage, candidate: Candidate, rate_hz: int) -> int:
    """How many tracks are told of."""
    update = candidate.make(float(rate_hz))
    ids: set[int] = set()
    for frame in footage.frames[:: FPS // rate_hz]:
        told, _ = update(1.0 + frame.at_s, frame.boxes, frame.scores, frame.labels)
        ids.update(told)
    return len(ids)


def core_ratio(candidate: Candidate) -> float:
    """CPU time by time of the cost's scenario: objects that cross the picture, with a detector's jitter."""
    chance = np.random.default_rng(3)
    start, speed = chance.uniform(0, 1000, (OBJECTS, 2)), chance.normal(0, 40, (OBJECTS, 2))
    answers = []
    for number in range(RATE_HZ * SECONDS):
        low = (start + speed * number / RATE_HZ) % 1000 + chance.normal(0, 2, (OBJECTS, 2))
        answers.append(np.concatenate([low, low + np.array([40.0, 100.0])], axis=1).astype(np.float32))
    scores, labels = np.full(OBJECTS, 0.8, np.float32), ("person",) * OBJECTS
    trackers = [candidate.make(float(RATE_HZ)) for _ in range(CAMERAS)]
    began_s = time.process_time()
    for number, boxes in enumerate(answers):
        for update in trackers:
            update(1.0 + number / RATE_HZ, boxes, scores, labels)
    return (time.process_time() - began_s) / SECONDS


def import_mib(candidate: Candidate) -> float:
    """What importing it adds to the resident memory of a process that has numpy."""
    program = (
        "import numpy, sys; from inference.engine import resident_mib; before = resident_mib();"
        f"import {candidate.module}; print(resident_mib() - before)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def is_installed(candidate: Candidate) -> bool:
    """Whether it can be imported here."""
    return importlib.util.find_spec(candidate.module.split(".")[0]) is not None


def tables(groups: dict[str, list[Footage]], candidates: Sequence[Candidate], command: str) -> str:
    """All that was measured, as Markdown."""
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    when, where = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", f"{os.cpu_count()} cores"
    lines = [f"`{command}`, {when}, {where}, revision {revision.stdout.strip()}"]
    done = {}
    work = [(name, each, rate) for name in groups for each in candidates for rate in RATES_HZ]
    for name, candidate, rate in track(work, "tracking", console=Console(stderr=True)):
        idf1, mota, lost = judge(groups[name], candidate, rate)
        done[name, candidate.name, rate] = f"{100 * idf1:.1f} / {100 * mota:.1f} / {lost}"
    for name in groups:
        lines += [
            "",
            f"| {name}: IDF1 / MOTA / switches | " + " | ".join(f"{rate} a second" for rate in RATES_HZ) + " |",
        ]
        lines += ["|---|" + "---|" * len(RATES_HZ)]
        for each in candidates:
            lines.append(f"| {each.name} | " + " | ".join(done[name, each.name, rate] for rate in RATES_HZ) + " |")
    room, rates = one_by_one(), ", ".join(map(str, RATES_HZ))
    lines += ["", f"| six people cross a room: tracks at {rates} a second | |", "|---|---|"]
    for each in candidates:
        lines.append(f"| {each.name} | " + ", ".join(str(people(room, each, rate)) for rate in RATES_HZ) + " |")
    lines += ["", "| | installed | licence | needs beside what is here | import, MiB | of a core, 32 cameras |"]
    lines += ["|---|" + "---|" * 5]
    for candidate in candidates:
        share = sorted(core_ratio(candidate) for _ in range(3))[1]
        lines.append(
            f"| {candidate.name} | {candidate.distribution} {version(candidate.distribution)} | {candidate.licence} "
            f"| {candidate.needs} | {import_mib(candidate):.0f} | {share:.1%} |"
        )
    return "\n".join((*lines, ""))


def main() -> int:
    """Measures, prints, and keeps if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", help="candidates whose name begins so")
    parser.add_argument("--out", type=Path, help="append the tables to this file")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # the libraries' own
    groups: defaultdict[str, list[Footage]] = defaultdict(list)
    for footage in footages():
        groups[footage.group].append(footage)
    wanted = [each for each in CANDIDATES if each.name.startswith(arguments.only or "") and is_installed(each)]
    text = tables(groups, wanted, "python " + " ".join(["bench/tracking.py", *sys.argv[1:]]))
    print(text)
    if arguments.out:
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(f"\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
