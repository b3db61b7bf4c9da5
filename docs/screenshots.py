"""The pictures in the README, made anew: the demo with a few faults, in a real browser, as a visitor sees it.

    python docs/screenshots.py [--seconds 150] [--to docs]

Starts 32 simulated cameras that show rendered scenes, the daemon with the demo's own settings, and a Prometheus that
scrapes it each second, lets them run for so long, breaks five cameras and a worker, and takes pictures of the live
page, of the events page, of the console and of what `mosaicd status` prints. Needs chromium and prometheus (make
clients).
"""

import argparse
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, Page, expect, sync_playwright
from rich.console import Console
from rich.text import Text

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from bench.main_job import scrape, total
from bench.recovery import total_mib, worker_pid
from bench.simulated import run_daemon, simulated
from daemon.clioptions import cache_folder
from daemon.demo import Process, free_port, settings_text
from daemon.demo_material import DemoError, DemoOptions, find_material
from tests.system.prometheus import watching

CAMERAS = 32
HTTP_PORT = 9109
START_S = 600.0
"""The first time, scenes are rendered and the model is built and measured."""
FAULTS = {
    "cam-07": {"kind": "not_found"},
    "cam-12": {"kind": "freeze"},
    "cam-18": {"kind": "blind"},
    "cam-21": {"kind": "hang"},
    "cam-30": {"kind": "unauthorized"},
}
SHOWN_BY_S = 60.0
"""By then all faults are told of."""
QUOTA_MIB = 512
"""Of each worker, so that there is a bar to be seen."""
EVENTS = {
    "record": {"pre_s": 2, "post_s": 3, "max_s": 30},
    "zones": {"near": {"corners": [[0, 0.5], [1, 0.5], [1, 1], [0, 1]], "loiter_s": 8}},
    "lines": {"middle": {"start": [0.5, 1], "end": [0.5, 0.35], "to_right": "right", "to_left": "left"}},
}
"""Of each camera: a clip of whoever comes near, or crosses the middle."""
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def staged(folder: Path) -> Iterator[tuple[Process, int, int]]:
    """Run simulator and daemon; yield the daemon, its HTTP port and the simulator's, for faults."""
    cache, port, control = cache_folder(os.environ), free_port(HTTP_PORT), free_port(8555)
    scenes = ["--scenes-folder", str(cache / "scenes"), "--control", str(control)]
    (folder / "state").mkdir()
    material = find_material(DemoOptions(cache_dir=cache))
    memory = {"fraction": QUOTA_MIB / total_mib()}
    settings = json.loads(settings_text(material, folder, cache, port))
    settings |= {"roster": "shown.yaml", "mosaic": {"fps": 1}, "devices": {"cpu": {"workers": 2, "memory": memory}}}
    (folder / "mosaicd.yaml").write_text(json.dumps(settings))
    with ExitStack() as started:
        started.enter_context(simulated(folder, CAMERAS, scenes, START_S))
        roster = (folder / "cameras.yaml").read_text()
        (folder / "shown.yaml").write_text(f"defaults: {json.dumps({'frozen_s': 10, **EVENTS})}\n{roster}")
        daemon = started.enter_context(run_daemon(folder))
        wait(lambda: total(scrape(port), "mosaicd_camera_up") == CAMERAS, START_S)
        wait(lambda: total(scrape(port), "mosaicd_ready") == 1, START_S)
        yield daemon, port, control


def wait(condition: Callable[[], object], within_s: float) -> None:
    """Wait for a condition. Raises TimeoutError."""
    ends_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends_s:
            raise TimeoutError(f"not within {within_s:g} s")
        time.sleep(0.5)


def break_some(daemon: Process, port: int, control: int) -> None:
    """Break cameras and a worker, and wait until it is seen."""
    for camera, fault in FAULTS.items():
        url = f"http://127.0.0.1:{control}/cameras/{camera}/fault"
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(fault).encode(), headers), timeout=10).close()
    os.kill(worker_pid(daemon.pid), signal.SIGKILL)

    def is_seen() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/status", timeout=10) as answer:
            cameras = {each["name"]: each for each in json.load(answer)["cameras"]}
        return all(not cameras[name]["is_up"] or cameras[name]["flaws"] for name in FAULTS)

    wait(is_seen, SHOWN_BY_S)
    time.sleep(10.0)


def open_page(browser: Browser, url: str, size: dict[str, int], colours: str, scale: float = 1.0) -> Page:
    """Return a page of this size and in these colours, whose addresses begin with this one."""
    return browser.new_page(
        viewport=size, color_scheme=colours, device_scale_factor=scale, locale="en-GB", base_url=url
    )


def live_page(browser: Browser, port: int, to: Path) -> None:
    """Take the live page: the wall, a camera, the workers, on a phone."""
    url = f"http://127.0.0.1:{port}/"
    page = open_page(browser, url, DESK, "light")
    page.goto("")
    seen(page, CAMERAS // 4)
    keep(page.screenshot(), to / "page.jpg")
    page.goto("#camera=cam-03")
    expect(page.locator("#camera-picture")).to_be_visible()
    time.sleep(3.0)
    keep(page.screenshot(), to / "camera.jpg")
    page.goto("#workers")
    time.sleep(1.0)
    keep(page.screenshot(), to / "workers.webp")
    page.close()
    page = open_page(browser, url, PHONE, "dark", 2.0)
    page.goto("")
    seen(page, 2)
    keep(page.screenshot(), to / "phone.jpg")
    page.close()


def events_page(browser: Browser, port: int, to: Path) -> None:
    """Take the events page: the list, and one event that crossed a line and is over."""
    page = open_page(browser, f"http://127.0.0.1:{port}/", {"width": 1440, "height": 1000}, "light")
    # Pictures of the last ones may still be on their way.
    since, until = (datetime.fromtimestamp(time.time() - ago_s, UTC).isoformat()[:19] for ago_s in (3600.0, 20.0))
    page.goto(f"events#time=range&since={since}Z&until={until}Z")
    cards = page.locator("#list li:has(img)")
    cards.nth(8).wait_for()
    time.sleep(4.0)
    keep(page.screenshot(), to / "events.jpg")
    # In such a crowd not all have a clip.
    crossed = cards.filter(has_text="over middle")
    for index in range(crossed.count()):
        crossed.nth(index).locator("a").click()
        expect(page.locator("#picture img")).to_be_visible()
        if page.locator("#clip").is_visible():
            break
        page.go_back()
    expect(page.locator("#clip")).to_be_visible()
    page.locator("#clip").evaluate("video => { video.play(); }")
    time.sleep(3.0)
    keep(page.screenshot(), to / "event.jpg")
    page.close()


def seen(page: Page, mosaics: int) -> None:
    """Wait until so many mosaics have their picture, and some sightings are shown."""
    page.locator("#wall img[src]").nth(mosaics - 1).wait_for(state="attached")
    time.sleep(4.0)


def console_page(browser: Browser, url: str, range_s: float, to: Path) -> None:
    """Take Prometheus' console."""
    page = open_page(browser, url, DESK, "light")
    page.goto(f"/consoles/mosaicd.html?range={range_s:.0f}")
    expect(page.locator("figure svg path").first).to_be_attached(timeout=30_000)
    time.sleep(2.0)
    keep(page.screenshot(full_page=True), to / "console.webp")
    page.close()


def terminal(browser: Browser, port: int, to: Path) -> None:
    """Take what `mosaicd status` prints to a terminal."""
    command = [sys.executable, "-m", "daemon.cli", "status", "--url", f"http://127.0.0.1:{port}"]
    environ = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "110"}
    printed = subprocess.run(command, capture_output=True, text=True, env=environ, check=False).stdout
    console = Console(record=True, width=110, file=io.StringIO())
    console.print(Text("$ mosaicd status"), Text.from_ansi(printed), sep="\n")
    page = browser.new_page()
    page.set_content(console.export_svg(title="mosaicd status"))
    keep(page.locator("svg").screenshot(), to / "status.webp")
    page.close()


def keep(png: bytes, path: Path) -> None:
    """Write a picture as its name says: JPEG where it shows scenes, else WebP without loss."""
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    parameters = [cv2.IMWRITE_JPEG_QUALITY, 80] if path.suffix == ".jpg" else [cv2.IMWRITE_WEBP_QUALITY, 101]
    cv2.imwrite(str(path), picture, parameters)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> int:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=150.0, help="how much past the graphs have (150)")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent, help="where they go (docs)")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium or not shutil.which("prometheus"):
        print("screenshots: needs chromium and prometheus: make clients", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="mosaicd-screenshots-") as name:
        try:
            with (
                staged(Path(name)) as (daemon, port, control),
                watching(Path(name) / "prometheus", port) as prometheus,
                sync_playwright() as driver,
            ):
                time.sleep(arguments.seconds)
                break_some(daemon, port, control)
                browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                live_page(browser, port, arguments.to)
                events_page(browser, port, arguments.to)
                console_page(browser, prometheus.url, arguments.seconds + 30.0, arguments.to)
                terminal(browser, port, arguments.to)
                browser.close()
        except (DemoError, TimeoutError) as error:
            print(f"screenshots: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
