"""Events beside the truth: lines, zones, speeds and visits on eight scenes of the simulator, by day and by night.

    .venv/bin/python bench/events_truth.py [--chain] [--minutes 3] [--out bench/results/events.md]

Four cameras by day are one mosaic, four at dusk and by night another. The rules are drawn on the scenes' ground, and
the truth of them is the painter's (`bench/sites.py`); what counts is said in `bench/visits.py`. Two ways to ask:

- without a daemon: each mosaic's every second picture, seen whole by the model in the box and followed by
  `events.analyst`. Deterministic; what was seen is kept in the user's cache. With --tiles each tile is seen by itself:
  what is counted more often without it is counted because of the seams.
- with --chain: `mosaicd simulate` serves the clips over RTSP again and again, `mosaicd run` with its defaults and
  events switched on makes events of them, and what is judged is what is in its database. A camera's seconds of
  recording come from the answered frames' own time stamps (`sightings.jsonl`): one offset a camera from its stream to
  the wall clock. Mosaics are looked at whole (`model.input: mosaic`), so that boxes may cross seams.

Renders the scenes the first time, a minute each.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
import yaml
from rich.console import Console
from rich.progress import track

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.main_job import scrape, total
from bench.mosaics import Seen, seen_in_mosaic
from bench.simulated import START_S, run_daemon, simulated
from bench.sites import FPS, SIZE_WH, Site, actuals, site_of
from bench.tracked import CACHE
from bench.visits import Tally, judge
from daemon.demo import free_port
from daemon.rulefields import LineEntry, StretchEntry, ZoneEntry, rules_of
from events.analyst import Analyst
from events.reading import MAX_PAGE, EventReader
from events.words import Batch, Ending, Event, Kind
from inference.evaluation.arrangement import Input
from simulator.world.clip import ClipSpec, read_truths, render_clip

ROUND_S = 60.0
MOSAICS = {"day": (1_000_013, 1_000_010, 1_000_005, 1_000_007), "night": (1_000_012, 1_000_003, 1_000_002, 1_000_017)}
"""The six scenes of the showcase and two more streets."""
STEP = 2
"""Without a daemon every second picture is looked at: five a second, as a daemon does by default."""
BEGAN_S = 1.0
"""When a recording without a daemon begins: 0 is no time for an id."""

Results = dict[str, dict[Site, Tally]]
"""By the mosaic's name."""


def clip_of(seed: int) -> Path:
    """A scene's clip, rendered where it is not kept yet."""
    return render_clip(ClipSpec(seed, SIZE_WH, FPS, ROUND_S), CACHE)


def followed(site: Site, seen: Seen, start: int) -> list[Event]:
    """The events that an analyst makes of a camera's pictures, by the recording's seconds."""
    rules = rules_of(
        (),
        {name: ZoneEntry.model_validate(each) for name, each in site.rules["zones"].items()},
        {name: LineEntry.model_validate(each) for name, each in site.rules["lines"].items()},
        {name: StretchEntry.model_validate(each) for name, each in site.rules["speed"].items()},
        10.0,
    )
    chance = itertools.count()
    analyst = Analyst(str(site.seed), rules, lambda: next(chance))
    kept = Batch()
    for frame in range(start, len(seen), STEP):
        at_s = BEGAN_S + frame / FPS
        kept += analyst.see(at_s, at_s, SIZE_WH, seen[frame])
    kept += analyst.close(Ending.STOPPED)
    return [moved(event, -BEGAN_S) for event in kept.events if event.kind is Kind.END]


def moved(event: Event, by_s: float) -> Event:
    """The same, at another time."""
    replace = msgspec.structs.replace
    return replace(
        event,
        started_at=event.started_at + by_s,
        updated_at=event.updated_at + by_s,
        zones=tuple(
            replace(visit, entered_at=visit.entered_at + by_s, left_at=visit.left_at and visit.left_at + by_s)
            for visit in event.zones
        ),
        crossings=tuple(replace(crossing, at=crossing.at + by_s) for crossing in event.crossings),
    )


def without_daemon(way: Input) -> Results:
    """Both ways to take every second picture, together."""
    frames = round(ROUND_S * FPS)
    results: Results = {}
    for name, seeds in MOSAICS.items():
        results[name] = {}
        clips = [clip_of(seed) for seed in seeds]
        for seed, clip, seen in zip(seeds, clips, seen_in_mosaic(clips, frames, way), strict=True):
            site = site_of(seed, ROUND_S)
            there = actuals(site, read_truths(clip), frames)
            tally = Tally()
            for start in range(STEP):
                tally += judge(site, there, followed(site, seen, start), (start / FPS, ROUND_S))
            results[name][site] = tally
    return results


def through_the_chain(folder: Path, minutes: float) -> Results:
    """Simulator, daemon, database."""
    sites = {name: [site_of(seed, ROUND_S) for seed in seeds] for name, seeds in MOSAICS.items()}
    cameras = {f"cam-{turn:02d}": site for turn, site in enumerate(itertools.chain(*sites.values()), 1)}
    videos = [word for site in cameras.values() for word in ("--video", f"{clip_of(site.seed)}:1")]
    port = free_port(9109)
    settings = {
        "state_dir": str(folder),
        "http": {"port": port},
        "model": {"name": "demo", "input": "mosaic"},
        "events": {"enabled": True},
    }
    (folder / "mosaicd.yaml").write_text(json.dumps(settings))
    with simulated(folder, len(cameras), videos):
        roster = yaml.safe_load((folder / "cameras.yaml").read_text())
        for mosaic, members in sites.items():
            for name, site in cameras.items():
                if site in members:
                    roster["cameras"][name] |= site.rules | {"mosaic": mosaic}
        (folder / "cameras.yaml").write_text(json.dumps(roster))
        with run_daemon(folder) as daemon:
            end_s = time.monotonic() + 2 * START_S
            while not (
                total(scrape(port), "mosaicd_camera_up") == len(cameras) and total(scrape(port), "mosaicd_ready")
            ):
                daemon.check()
                if time.monotonic() > end_s:
                    raise TimeoutError("not all cameras came up")
                time.sleep(0.5)
            for _ in track(range(round(minutes * 60)), "recording", console=Console(stderr=True)):
                daemon.check()
                time.sleep(1.0)
    events = list(kept_events(folder / "events" / "events.sqlite"))
    results: Results = {}
    for name, members in sites.items():
        results[name] = {}
        for camera, site in cameras.items():
            if site in members:
                offset_s, span_s = recorded(folder / "sightings.jsonl", camera)
                mine = [moved(event, -offset_s) for event in events if event.camera == camera]
                there = actuals(site, read_truths(clip_of(site.seed)), round(span_s[1] * FPS) + 1)
                results[name][site] = judge(site, there, mine, span_s)
    return results


def kept_events(database: Path) -> Iterator[Event]:
    """All events of a database."""
    with EventReader(database) as reader:
        cursor = None
        while True:
            page = reader.page(limit=MAX_PAGE, cursor=cursor, upwards=True)
            yield from page.events
            cursor = page.cursor
            if cursor is None:
                return


def recorded(sightings: Path, camera: str) -> tuple[float, tuple[float, float]]:
    """A camera's wall clock when its stream began, and the seconds of the stream that were answered.

    Raises ValueError if the two clocks do not go together: the stream began anew, and no truth fits.
    """
    pairs = []
    for text in sightings.read_text().splitlines():
        line = json.loads(text)
        if line["camera"] == camera:
            pairs.append((datetime.fromisoformat(line["captured_at"]).timestamp(), line["frame_time"]))
    offsets = [wall_s - stream_s for wall_s, stream_s in pairs]
    offset_s = median(offsets)
    if max(abs(each - offset_s) for each in offsets) > 1.0:
        raise ValueError(f"{camera}: its stream was not one")
    return offset_s, (min(stream_s for _, stream_s in pairs), max(stream_s for _, stream_s in pairs))


def tables(results: Results, command: str) -> str:
    """All figures, as Markdown."""
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    when, where = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", f"{os.cpu_count()} cores"
    lines = [
        f"`{command}`, {when}, {where}, revision {revision.stdout.strip()}",
        "",
        "| scene | crossings: true / told / missed / false (double) | stays: true / missed / false "
        "| speeds: measured / true, median error, bias | visits: one event / none / more | events of nothing |",
        "|---|---|---|---|---|---|",
    ]
    everything = Tally()
    for name, sites in results.items():
        mosaic = sum(sites.values(), Tally())
        everything += mosaic
        lines += [row(f"{site.title} ({site.seed})", tally) for site, tally in sites.items()]
        lines.append(row(f"**{name}**", mosaic))
    lines += [row("**all**", everything), ""]
    off, true = everything.counted - everything.crossings, max(1, everything.crossings)
    found = everything.stays - everything.missed_stays
    lines += [
        f"Lines: counts {off / true:+.1%} of the true ones. "
        f"Zones: recall {found / max(1, everything.stays):.3f}, "
        f"precision {found / max(1, found + everything.false_stays):.3f}. "
        f"Speeds: median error {error(everything):.1%}.",
        "",
    ]
    return "\n".join(lines)


def row(name: str, tally: Tally) -> str:
    """One line of the table."""
    counts = np.array(tally.events_of_visits, int)
    bias = np.median(tally.speed_errors) if tally.speed_errors else 0.0
    cells = (
        name,
        f"{tally.crossings} / {tally.counted} / {tally.missed_crossings} / "
        f"{tally.false_crossings} ({tally.double_crossings})",
        f"{tally.stays} / {tally.missed_stays} / {tally.false_stays}",
        f"{len(tally.speed_errors)} / {tally.passages}, {error(tally):.1%}, {bias:+.1%}",
        f"{(counts == 1).sum()} / {(counts == 0).sum()} / {(counts > 1).sum()}",
        f"{tally.strays}",
    )
    return "| " + " | ".join(cells) + " |"


def error(tally: Tally) -> float:
    """The median of the speeds' errors, as a part of the true speed."""
    return float(np.median(np.abs(tally.speed_errors))) if tally.speed_errors else 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, and keeps if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", action="store_true", help="without a daemon: look at each tile by itself")
    parser.add_argument("--chain", action="store_true", help="through simulator and daemon, in real time")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long, with --chain (3)")
    parser.add_argument("--keep", type=Path, help="the chain's folder, kept for a closer look")
    parser.add_argument("--notes", action="store_true", help="print what was missed, false or double")
    parser.add_argument("--out", type=Path, help="append the tables to this file")
    chosen = parser.parse_args(arguments)
    results = _measured(chosen)
    if chosen.notes:
        for tally_of in results.values():
            for site, tally in tally_of.items():
                print(site.seed, *tally.notes, sep="\n  ")
    text = tables(results, "python " + " ".join(["bench/events_truth.py", *sys.argv[1:]]))
    print(text)
    if chosen.out:
        with chosen.out.open("a", encoding="utf-8") as file:
            file.write(f"\n{text}")
    return 0


def _measured(chosen: argparse.Namespace) -> Results:
    if not chosen.chain:
        return without_daemon(Input.TILES if chosen.tiles else Input.MOSAIC)
    if chosen.keep:
        chosen.keep.mkdir(parents=True)
        return through_the_chain(chosen.keep.absolute(), chosen.minutes)
    with tempfile.TemporaryDirectory(prefix="mosaicd-truth-") as folder:
        return through_the_chain(Path(folder), chosen.minutes)


if __name__ == "__main__":
    sys.exit(main())
