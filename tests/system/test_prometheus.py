"""A real Prometheus watches a daemon with 32 cameras: whatever it is asked is answered; one that is cut is told of."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulator.camera import CameraSpec
from simulator.faults import Freeze, NotFound
from simulator.thread import ServerThread
from tests.expressions import expressions
from tests.system.colours import Model
from tests.system.prometheus import Prometheus, is_here, watching
from tests.system.stage import Daemon, moving_clip, running, small_settings, wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.skipif(not is_here(), reason="needs prometheus: make clients"),
]

NAMES = tuple(f"cam-{number:02}" for number in range(1, 33))
CUT, FROZEN = NAMES[6], NAMES[20]
RULES = {
    "lines": {"drive": {"labels": ["red"], "start": [0.0, 0.5], "end": [1.0, 0.5]}},
    "speed": {
        "lane": {
            "labels": ["red"],
            "corners": [[0.1, 0.9], [0.9, 0.9], [0.6, 0.1], [0.4, 0.1]],
            "width_m": 4,
            "length_m": 20,
        }
    },
}
"""Nobody crosses or passes, but there are series for those who would."""
SEEN_MS = 20_000

SCRAPE_BYTES = 300_000

MAY_BE_ABSENT = {
    "ALERTS": "no alert fires",
    "mosaicd_worker_capacity": "nothing was measured: the settings leave nothing to find out",
}
"""Metrics that there may be none of here, and why."""


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that runs."""

    cameras: ServerThread
    daemon: Daemon
    prometheus: Prometheus


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, colour_model: Model) -> Iterator[Site]:
    """32 cameras on 8 mosaics, two workers, and a Prometheus that has seen all of them well for some seconds."""
    folder = tmp_path_factory.mktemp("site")
    clip = moving_clip(folder / "clip.mp4", "red")
    with ServerThread([CameraSpec(name, clip) for name in NAMES]) as server:
        cameras: dict[str, dict[str, Any]] = {name: {"url": server.url(name), "frozen_s": 2} for name in NAMES}
        cameras[NAMES[0]] |= RULES
        settings = small_settings(colour_model)
        with running(folder, colour_model, cameras, settings=settings) as daemon:
            daemon.wait_ready()
            with watching(folder / "prometheus", daemon.port) as prometheus:
                # Ten scrapes with all cameras up.
                well = (
                    "sum_over_time(instance:mosaicd_cameras_up:ratio[12s]) >= 10 and on () sum(mosaicd_camera_up) == 32"
                )
                wait_until(lambda: prometheus.query(well), lambda: f"all are up:\n{daemon.log[-3000:]}")
                yield Site(server, daemon, prometheus)


def selectors(expression: str) -> set[str]:
    """Return what an expression selects, each by itself."""
    found = re.findall(
        r"\b(?:[a-z]+:)?(?:ALERTS|up|(?:mosaicd|process)_\w+(?::\w+)?)(?:\{[^}]*\})?(?![\w(])", expression
    )
    return {each for each in found if each != "up"}


def test_every_expression_has_data_or_selects_what_is_there_and_finds_nothing_wrong(site):
    """Where an expression is empty, each of its selectors must not be: then only its comparison has left all out."""
    found = {each.text: bool(site.prometheus.query(each.text)) for each in expressions()}
    empty = [text for text, has_data in found.items() if not has_data]
    unproven = {
        (text, selector)
        for text in empty
        for selector in selectors(text) or {"?"}
        if re.split(r"[{]", selector)[0] not in MAY_BE_ABSENT and not site.prometheus.query(selector)
    }
    assert unproven == set()
    assert len(empty) < len(found) / 2, empty
    rules = [rule for group in site.prometheus.api("rules")["groups"] for rule in group["rules"]]
    assert {(rule["name"], rule.get("lastError", "")) for rule in rules if rule["health"] != "ok"} == set()
    # Nothing is wrong yet.
    assert site.prometheus.firing() == set()


def test_a_scrape_of_32_cameras_is_small(site):
    """How long it takes is measured by bench/watching.py."""
    assert len(site.daemon.get("/metrics")[1].encode()) < SCRAPE_BYTES


def test_promtool_finds_nothing_wrong_with_what_a_daemon_shows(site):
    text = site.daemon.get("/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_camera_that_is_cut_and_one_that_freezes_are_told_of_and_shown(site, tmp_path):
    site.cameras.set_fault(CUT, NotFound())
    site.cameras.set_fault(FROZEN, Freeze())
    wrong = {("MosaicdCameraDown", CUT), ("MosaicdCameraFrozen", FROZEN)}
    wait_until(lambda: site.prometheus.firing() >= wrong, lambda: f"{wrong}, not {site.prometheus.firing()}")
    assert site.prometheus.firing() == wrong
    told = {alert["labels"]["alertname"]: alert["annotations"] for alert in site.prometheus.api("alerts")["alerts"]}
    assert f"`mosaicd camera test {CUT}`" in told["MosaicdCameraDown"]["description"]
    if CHROMIUM is not None:
        look_at_console(site, tmp_path)
    site.cameras.set_fault(CUT, None)
    site.cameras.set_fault(FROZEN, None)
    wait_until(lambda: site.prometheus.firing() == set(), lambda: f"still {site.prometheus.firing()}")


def look_at_console(site: Site, folder: Path) -> None:
    """Open the console while two cameras are ill; a picture of it stays in the folder."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make setup")
    expect = playwright.expect
    said: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{site.prometheus.url}/consoles/mosaicd.html?range=900")
        cards = page.locator("#overview p")
        expect(cards.filter(has_text="cameras up").locator("b")).to_have_text("30/32")
        expect(cards.filter(has_text="workers up").locator("b")).to_have_text("2/2")
        expect(cards.filter(has_text="sinks of events up").locator("b")).to_have_text("1/1")
        rows = page.locator("#cameras tbody tr")
        expect(rows).to_have_count(32)
        expect(rows.filter(has_text=CUT).locator("td").nth(1)).to_have_text("not_found")
        expect(rows.filter(has_text=FROZEN).locator("td").nth(1)).to_have_text("frozen")
        expect(rows.filter(has_text=NAMES[0]).locator("td").first).to_have_text("streaming")
        expect(page.locator("#alerts li")).to_have_count(2)
        expect(page.locator("#workers tbody tr")).to_have_count(2)
        expect(page.locator("#workers meter").first).to_be_visible()
        figures = page.locator("figure")
        for number in range(figures.count()):
            expect(figures.nth(number).locator("svg path").first).to_be_attached(timeout=SEEN_MS)
        expect(figures.first.locator("svg text").nth(2)).to_have_text("100 %")
        expect(page.locator("nav[aria-label=range] a").first).to_have_text("15m")
        page.screenshot(path=folder / "console.png", full_page=True)
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        browser.close()
    assert [text for text in said if "favicon" not in text] == []
    assert [url for url in asked if not url.startswith(site.prometheus.url)] == []


def test_a_daemon_that_is_gone_is_told_of(site):
    """The last one: nothing runs after it."""
    assert site.daemon.stop() == 0
    wait_until(lambda: ("MosaicdAbsent", "") in site.prometheus.firing(), lambda: f"not {site.prometheus.firing()}")
