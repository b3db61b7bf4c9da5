"""What being watched costs the daemon: the live page in a browser, and a scrape of /metrics, on this machine.

    python bench/watching.py [--rounds 5] [--seconds 12] [--json]

32 simulated cameras of rendered scenes on 8 mosaics, the demo's model, two workers. Key frames alone are decoded, every
two seconds of each camera: the machine has time left, and what looking adds is not lost in what decoding takes now
and then. In turn nobody looks and the live page is open in chromium, tall enough that all 8 mosaics are seen. Measured
is the CPU time of the daemon and all of its children (proc(5)), not that of browser and simulator, in per cent of one
core; the rounds' medians are shown:

- open_percent: what the page adds, against the rounds with nobody just before and after each
- after_percent: what is left of it once nobody looks any more, against the time before anybody ever did
- scrape_ms, scrape_kb: a scrape by a client on this machine, median, and its size
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.main_job import cpu_s, descendants, scrape, total
from bench.simulated import run_daemon, simulated
from daemon.clioptions import cache_folder
from daemon.demo import Process, free_port, settings_text
from daemon.demo_material import DemoError, DemoOptions, find_material

CAMERAS = 32
MOSAICS = 8
HTTP_PORT = 9109
START_S = 600.0
"""The first time, scenes are rendered and the model is built and measured."""
SETTLE_S = 6.0
"""Workers draw for as long after somebody has looked last."""
SCRAPES = 40
ALL_SEEN = {"width": 1280, "height": 1400}


@dataclass(frozen=True, slots=True)
class Watching:
    """What was measured. Per cent are of one core."""

    nobody_percent: tuple[float, ...]
    """One more than of the open page: before each, and after the last."""
    watched_percent: tuple[float, ...]
    pictures_hz: float
    """New pictures a second of each mosaic, as the page showed them."""
    scrape_ms: float
    scrape_kb: float

    @property
    def open_percent(self) -> float:
        """Return what the open page adds."""
        around = zip(self.nobody_percent, self.nobody_percent[1:], strict=False)
        return median(
            watched - (before + after) / 2
            for watched, (before, after) in zip(self.watched_percent, around, strict=True)
        )

    @property
    def after_percent(self) -> float:
        """Return what is left of it when nobody looks any more."""
        return median(self.nobody_percent[1:]) - self.nobody_percent[0]


@contextmanager
def staged(folder: Path) -> Iterator[tuple[Process, int]]:
    """Run simulator and daemon in ``folder``; yield the daemon and its HTTP port. Raises TimeoutError, DemoError."""
    port, cache = free_port(HTTP_PORT), cache_folder(os.environ)
    (folder / "state").mkdir()
    material = find_material(DemoOptions(cache_dir=cache))
    settings = json.loads(settings_text(material, folder, cache, port))
    settings |= {
        "roster": "calm.yaml",
        "mosaic": {"fps": 2},
        "devices": {"cpu": {"workers": 2, "threads": 1}},
        "sinks": {},
    }
    (folder / "mosaicd.yaml").write_text(json.dumps(settings))
    with ExitStack() as started:
        started.enter_context(simulated(folder, CAMERAS, ["--scenes-folder", str(cache / "scenes")], START_S))
        roster = (folder / "cameras.yaml").read_text()
        (folder / "calm.yaml").write_text(f"defaults: {{decode: keyframes}}\n{roster}")
        daemon = started.enter_context(run_daemon(folder))
        ends_s = time.monotonic() + START_S
        while not (samples := scrape(port)) or total(samples, "mosaicd_camera_up") < CAMERAS or not is_ready(port):
            daemon.check()
            if time.monotonic() > ends_s:
                raise TimeoutError("not all cameras came up")
            time.sleep(0.5)
        yield daemon, port


def is_ready(port: int) -> bool:
    """Return whether every mosaic is answered, and all workers are up."""
    samples = scrape(port)
    return total(samples, "mosaicd_ready") == 1 and total(samples, "mosaicd_worker_up") == 2


def tree_cpu_s(root: int) -> float:
    """Return the CPU time of a process and all below it."""
    return sum(map(cpu_s, descendants(root)))


def busy_percent(daemon: Process, seconds: float) -> float:
    """Return what the daemon takes in so many seconds, once things have settled."""
    time.sleep(SETTLE_S)
    before_s, began_s = tree_cpu_s(daemon.pid), time.monotonic()
    time.sleep(seconds)
    daemon.check()
    return 100 * (tree_cpu_s(daemon.pid) - before_s) / (time.monotonic() - began_s)


def open_page(browser: Browser, port: int) -> Page:
    """Return the live page, which counts the pictures that it shows."""
    page = browser.new_page(viewport=ALL_SEEN)
    page.goto(f"http://127.0.0.1:{port}/")
    page.locator("#wall img[src]").nth(MOSAICS - 1).wait_for(state="attached")
    page.evaluate(
        """() => { window.shown = 0; const count = new MutationObserver(found => window.shown += found.length);
        count.observe(document.getElementById("wall"), {subtree: true, attributeFilter: ["src"]}); }"""
    )
    return page


def measure(folder: Path, rounds: int, seconds: float, progress: Progress) -> Watching:
    """Measure in turn. Raises TimeoutError, DemoError."""
    task = progress.add_task("watching", total=2 * rounds + 1)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with staged(folder) as (daemon, port), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        time.sleep(SETTLE_S)
        nobody, watched, pictures_hz = [busy_percent(daemon, seconds)], [], []
        progress.advance(task)
        for _ in range(rounds):
            page = open_page(browser, port)
            began_s = time.monotonic()
            watched.append(busy_percent(daemon, seconds))
            pictures_hz.append(page.evaluate("window.shown") / (time.monotonic() - began_s) / MOSAICS)
            page.close()
            progress.advance(task)
            nobody.append(busy_percent(daemon, seconds))
            progress.advance(task)
        browser.close()
        times_s, size = scrapes(port)
    return Watching(
        tuple(round(each, 1) for each in nobody),
        tuple(round(each, 1) for each in watched),
        round(median(pictures_hz), 2),
        round(median(times_s) * 1000, 1),
        round(size / 1000, 1),
    )


def scrapes(port: int) -> tuple[list[float], int]:
    """Return how long scrapes took, in seconds, and the size of the last."""
    times_s, size = [], 0
    for _ in range(SCRAPES):
        began_s = time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            size = len(answer.read())
        times_s.append(time.monotonic() - began_s)
        time.sleep(0.25)
    return times_s, size


def show(found: Watching) -> Table:
    """Return the table that a person reads."""
    table = Table("what", "measured", title="what being watched costs", title_justify="left")
    rows = {
        "nobody looks, of a core": ", ".join(f"{each:.1f} %" for each in found.nobody_percent),
        "the live page is open": ", ".join(f"{each:.1f} %" for each in found.watched_percent),
        "it adds (median)": f"{found.open_percent:+.1f} %",
        "and leaves behind when it is closed": f"{found.after_percent:+.1f} %",
        "pictures of each mosaic": f"{found.pictures_hz:.2f}/s",
        "a scrape of /metrics (median)": f"{found.scrape_ms:.1f} ms, {found.scrape_kb:.0f} kB",
    }
    for what, value in rows.items():
        table.add_row(what, value)
    return table


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often the page is opened (5)")
    parser.add_argument("--seconds", type=float, default=12.0, metavar="N", help="how long each round is measured (12)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        print("watching: needs chromium: make clients", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="mosaicd-bench-") as folder:
        try:
            with Progress(console=Console(stderr=True), transient=True) as progress:
                found = measure(Path(folder), arguments.rounds, arguments.seconds, progress)
        except (DemoError, TimeoutError) as error:
            print(f"watching: {error}", file=sys.stderr)
            return 1
    if arguments.json:
        figures = {"open_percent": round(found.open_percent, 1), "after_percent": round(found.after_percent, 1)}
        print(json.dumps(asdict(found) | figures, indent=2))
    else:
        Console().print(show(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
