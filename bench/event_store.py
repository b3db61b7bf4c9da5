"""What it costs to keep events: a commit with and without fsync, and the check of a file as it is opened.

    python bench/event_store.py [--folder DIR]

The folder should lie on the disk that the state folder will lie on.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parents[1]))

from events.database import CHECKED_MIB
from events.store import Store
from events.words import Batch, Event, Kind, Waypoint, event_id

COMMITS = 200
START = 1_800_000_000.0
WAY = tuple(Waypoint(number / 10, 0.5, 0.5) for number in range(40))


def events() -> Iterator[Event]:
    """As long as usual: one that has walked through the picture."""
    for number in range(1 << 30):
        yield Event(
            id=event_id("yard", START + number, number),
            camera="yard",
            label="person",
            kind=Kind.NEW,
            revision=0,
            started_at=START + number,
            updated_at=START + number + 4,
            best_score=0.9,
            best_box=(100.0, 100.0, 200.0, 400.0),
            best_at=START + number + 1,
            frame_wh=(1920, 1080),
            path=WAY,
        )


def commit(store: Store, some: list[Event]) -> float:
    """Milliseconds to keep these at once."""
    begun_s = time.perf_counter()
    store.keep(Batch(events=tuple(some)), START)
    return (time.perf_counter() - begun_s) * 1000


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description="what it costs to keep events")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured")
    source = events()
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as folder:
        path = Path(folder) / "events.sqlite"
        with closing(Store(path, START, print)) as store:
            for mode in ("FULL", "NORMAL"):
                with store.transaction() as connection:
                    pass
                connection.execute(f"PRAGMA synchronous = {mode}")
                for count in (1, 10):
                    took = [commit(store, [next(source) for _ in range(count)]) for _ in range(COMMITS)]
                    figures = f"{median(took):.2f} ms, p95 {quantiles(took, n=20)[-1]:.2f} ms"
                    print(f"commit of {count:2} events, {mode:6}: {figures}")
            while path.stat().st_size < (CHECKED_MIB - 8) << 20:
                commit(store, [next(source) for _ in range(5000)])
        begun_s = time.perf_counter()
        Store(path, START, print).close()
        print(f"open and check {path.stat().st_size >> 20} MiB: {time.perf_counter() - begun_s:.2f} s")


if __name__ == "__main__":
    main()
