"""The live page open for a day, in fast motion: what comes goes again, in the browser and in the daemon's HTTP side.

The HTTP side is the daemon's own; what it shows is made up here, since real cameras and workers take their time.
"""

import gc
import http.client
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from capture.messages import Picture, Sighting
from daemon.api import make_api
from daemon.apistream import make_stream
from daemon.page import make_page
from daemon.pictures import Pictures
from daemon.recent import Recent, Transition
from daemon.sinks.jsonl import SightedTile
from daemon.statistics import Statistics
from daemon.web import HttpServer, bind, make_app
from inference.pictures import sealed
from tests.daemon.test_metrics import FRONT, MOSAIC, SNAPSHOT
from tests.system.stage import wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.slow

MOSAICS, STEP_S = 8, 0.02
PICTURES, STAGES = 250, 4
"""Shown in each stage; by the end of the first all lists are full."""
COUNT_URLS = """
window.urls = {made: 0, revoked: 0};
const {createObjectURL, revokeObjectURL} = URL;
URL.createObjectURL = (of) => { window.urls.made++; return createObjectURL.call(URL, of); };
URL.revokeObjectURL = (url) => { if (url) window.urls.revoked++; revokeObjectURL.call(URL, url); };
"""


class Busy:
    """A daemon to look at: pictures, sightings, transitions and mosaics come and go all the time, in its own thread."""

    def __init__(self) -> None:
        self.recent, self.pictures = Recent(), Pictures()
        self._shown = SNAPSHOT
        api = make_api(lambda: self._shown, self.recent, self.pictures, "1")
        routers = [make_page(), api, make_stream(self.recent, None)]
        app = make_app(lambda: self._shown, lambda: b"", lambda: 0.0, routers=routers)
        self.server = HttpServer(app, bind("127.0.0.1", 0))
        self._jpeg = cv2.imencode(".jpg", np.full((128, 208, 3), 90, np.uint8))[1].tobytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Busy":
        self.server.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert self.server.stop(5.0)

    @property
    def port(self) -> int:
        return self.server.address[1]

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(STEP_S):
            turn += 1
            self._step(turn)

    def _step(self, turn: int) -> None:
        # The last mosaic is there every other second.
        self._shown = snapshot(MOSAICS - int(turn * STEP_S) % 2)
        for number in range(MOSAICS):
            fd = sealed(self._jpeg)
            self.pictures.put(Picture(f"m{number}", turn), fd)
            os.close(fd)
        seen = (Sighting("dog", 0.9, (1.0, 2.0, 3.0, 4.0)),)
        self.recent.offer([SightedTile(f"cam-{turn % 40}", "m1", "w1", 1.0, time.time(), (640, 360), seen, 0.0)])
        self.recent.note(Transition(time.time(), "camera", f"cam-{turn % 40}", "down", "timeout", "no answer"))


def snapshot(mosaics: int) -> Statistics:
    """Return what is shown of so many mosaics of four cameras."""
    names = [tuple(f"cam-{4 * mosaic + tile}" for tile in range(4)) for mosaic in range(mosaics)]
    cameras = tuple(
        replace(FRONT, name=name, mosaic=f"m{index}", tile=tile)
        for index, each in enumerate(names)
        for tile, name in enumerate(each)
    )
    shown = tuple(replace(MOSAIC, name=f"m{index}", cameras=each) for index, each in enumerate(names))
    return replace(SNAPSHOT, cameras=cameras, mosaics=shown)


@pytest.fixture
def busy() -> Iterator[Busy]:
    with Busy() as busy:
        yield busy


@dataclass(frozen=True, slots=True)
class Held:
    """What a page holds once its garbage is collected."""

    heap_bytes: float
    nodes: float
    listeners: float
    urls: int


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: make clients")
def test_a_page_open_for_a_day_holds_no_more_than_at_first(busy: Busy):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make setup")
    script = (Path(__file__).parents[2] / "daemon" / "static" / "page.js").read_text()
    fast, count = re.subn(r"\b(PICTURE|SIGHTINGS|PAUSE)_MS = \d+", rf"\1_MS = {STEP_S * 1000:g}", script)
    assert count == 3
    fast = fast.replace("STATUS_MS = 2000", "STATUS_MS = 100").replace("PATIENCE_MS = 10000", "PATIENCE_MS = 2000")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        # So tall that all mosaics are seen.
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.add_init_script(COUNT_URLS)
        page.route("**/page.js", lambda route: route.fulfill(body=fast, content_type="text/javascript"))
        page.goto(f"http://127.0.0.1:{busy.port}/")
        debugger = page.context.new_cdp_session(page)
        debugger.send("Performance.enable")

        def held_after(pictures: int) -> Held:
            # Asked seldom: what is evaluated from outside is kept in the page's heap.
            while page.evaluate("window.urls.made") < pictures:
                page.wait_for_timeout(1000)
            for _ in range(2):
                debugger.send("HeapProfiler.collectGarbage")
            found = {each["name"]: each["value"] for each in debugger.send("Performance.getMetrics")["metrics"]}
            urls = page.evaluate("window.urls.made - window.urls.revoked")
            return Held(found["JSHeapUsedSize"], found["Nodes"], found["JSEventListeners"], urls)

        stages = [held_after((stage + 1) * PICTURES) for stage in range(STAGES)]
        assert page.locator("#transitions li").count() == page.locator("#sightings li").count() == 100
        browser.close()
    print(*stages, sep="\n")
    early, late = stages[:2], stages[2:]

    def grown(name: str) -> float:
        """Return what there is more; it goes up and down with what is on its way."""
        return min(getattr(each, name) for each in late) - max(getattr(each, name) for each in early)

    assert max(each.urls for each in stages) <= MOSAICS
    assert grown("listeners") < 2 * MOSAICS
    # Of what comes in one stage, which is some hundred sightings and thousands of table rows, this is little.
    assert grown("nodes") < 1500
    assert grown("heap_bytes") < 300_000


def held() -> tuple[int, int, float]:
    """Return this process's descriptors, threads and resident MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(os.listdir("/proc/self/fd")), threading.active_count(), pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def test_two_hundred_visits_leave_nothing_with_the_daemon(busy: Busy):
    def visit(streams: int = 10) -> None:
        """Open pages side by side, look at them, and leave in the middle of their streams."""
        opened = [http.client.HTTPConnection("127.0.0.1", busy.port, timeout=10) for _ in range(streams)]
        for connection in opened:
            for path in ("/", "/page.js", "/api/v1/status", "/api/v1/mosaics/m1/picture?within_s=0"):
                connection.request("GET", path)
                assert connection.getresponse().read() or path.endswith("within_s=0")
            connection.request("GET", "/api/v1/stream")
            answer = connection.getresponse()
            assert (answer.status, answer.readline()) == (200, b": mosaicd\n")
            answer.close()
            connection.close()

    def leave_nothing(descriptors: int, threads: int) -> None:
        wait_until(lambda: held()[0] <= descriptors and held()[1] <= threads, lambda: f"{held()}")

    before = held()
    for _ in range(5):
        visit()
        leave_nothing(*before[:2])
    warm = held()
    for _ in range(20):
        visit()
        leave_nothing(*before[:2])
    print(before, warm, held())
    assert held()[2] - warm[2] < 10
