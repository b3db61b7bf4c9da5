"""Events beside the truth: lines, zones, speeds and visits on eight scenes of the simulator, by day and by night."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

import itertools

import numpy as np

from bench.mosaics import Seen, seen_in_mosaic
from bench.sites import FPS, SIZE_WH, Site, actuals, site_of
from bench.tracked import CACHE
from bench.visits import Tally, judge
from daemon.rulefields import LineEntry, StretchEntry, ZoneEntry, rules_of
from events.analyst import Analyst, CameraRules
from events.words import Batch, Ending, Event, Kind
from simulator.world.clip import ClipSpec, read_truths, render_clip

ROUND_S = 60.0
MOSAICS = {"day": (1_000_013, 1_000_010, 1_000_005, 1_000_007), "night": (1_000_012, 1_000_003, 1_000_002, 1_000_017)}


def rules(site: Site) -> CameraRules:
    """As the roster makes them."""
    zones = {name: ZoneEntry.model_validate(each) for name, each in site.rules["zones"].items()}
    lines = {name: LineEntry.model_validate(each) for name, each in site.rules["lines"].items()}
    speed = {name: StretchEntry.model_validate(each) for name, each in site.rules["speed"].items()}
    return rules_of((), zones, lines, speed, 10.0)


def events_of(site: Site, seen: Seen, step: int, start: int = 0) -> list[Event]:
    """What an analyst tells of every ``step``-th picture."""
    chance = itertools.count()
    analyst = Analyst(str(site.seed), rules(site), lambda: next(chance))
    kept = Batch()
    for frame in range(start, len(seen), step):
        kept += analyst.see(1.0 + frame / FPS, 1.0 + frame / FPS, SIZE_WH, seen[frame])
    kept += analyst.close(Ending.STOPPED)
    return [shifted(event, -1.0) for event in kept.events if event.kind is Kind.END]


def shifted(event: Event, by_s: float) -> Event:
    import msgspec
    e = msgspec.structs.replace
    return e(event, started_at=event.started_at + by_s, updated_at=event.updated_at + by_s,
        zones=tuple(e(v, entered_at=v.entered_at + by_s, left_at=None if v.left_at is None else v.left_at + by_s) for v in event.zones),
        crossings=tuple(e(c, at=c.at + by_s) for c in event.crossings))


def main() -> int:
    verbose = "-v" in sys.argv
    steps = [2]
    for step in steps:
        total = Tally()
        for name, seeds in MOSAICS.items():
            clips = [render_clip(ClipSpec(seed, duration_s=ROUND_S), CACHE) for seed in seeds]
            frames = round(ROUND_S * FPS)
            part = Tally()
            for seed, clip, seen in zip(seeds, clips, seen_in_mosaic(clips, frames), strict=True):
                site = site_of(seed, ROUND_S)
                there = actuals(site, read_truths(clip), frames)
                one = Tally()
                for start in range(step):
                    t = judge(site, there, events_of(site, seen, step, start), (start / FPS, ROUND_S))
                    if verbose and start == 0:
                        print("\n".join(t.notes))
                    one += t
                show(f"{seed} {site.title}", one)
                part += one
            show(name, part)
            total += part
        show("all", total)
    return 0


def show(name: str, t: Tally) -> None:
    e = np.array(t.speed_errors or [np.nan])
    n = np.array(t.events_of_visits)
    print(f"{name:28} lines {t.crossings} told {t.counted} missed {t.missed_crossings} false {t.false_crossings} (double {t.double_crossings}) | zones {t.stays} missed {t.missed_stays} false {t.false_stays} | speed {len(e)}/{t.passages} med|e| {np.median(abs(e)):.3f} bias {np.median(e):+.3f} | visits {t.visits} none {(n==0).sum()} one {(n==1).sum()} more {(n>1).sum()} strays {t.strays}")


if __name__ == "__main__":
    sys.exit(main())
