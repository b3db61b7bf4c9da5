"""The live page in a real browser: what a person sees of a running daemon, and what stays outside."""

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator

import pytest

from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.system.colours import LABELS, Model
from tests.system.stage import Daemon, running, wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make setup")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: make clients")]

NAMES = tuple(f"cam-{n}" for n in range(6))
OTHERS = NAMES[1:5]
ANALYZED = "mosaicd_camera_frames_analyzed_total"
SEEN_MS = 20_000


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, colour_model: Model, colour_footage: dict[str, Footage]
) -> Iterator[Daemon]:
    """Six cameras on two mosaics, one of which is not there."""
    with ServerThread([CameraSpec(n, colour_footage[LABELS[i % 4]]) for i, n in enumerate(NAMES[:5])]) as server:
        cameras = {name: {"url": server.url(NAMES[0]).replace(NAMES[0], name)} for name in NAMES}
        with running(tmp_path_factory.mktemp("page"), colour_model, cameras) as daemon:
            daemon.wait_ready()
            yield daemon


@pytest.fixture
def page(daemon: Daemon) -> Iterator["playwright.Page"]:
    """The page, open, with nothing said on its console."""
    said: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"http://127.0.0.1:{daemon.port}/")
        yield page
        browser.close()
    assert said == []


def test_mosaics_cameras_and_workers_are_shown_live(page, daemon: Daemon):
    expect = playwright.expect
    expect(page.locator("#words")).to_contain_text("5/6 cameras up", timeout=SEEN_MS)
    assert page.locator("figure").count() == 2
    for mosaic in ("m1", "m2"):
        image = page.locator(f"#mosaic-{mosaic} img")
        expect(image).to_have_attribute("src", re.compile("^blob:"), timeout=SEEN_MS)
        expect(image).to_have_js_property("naturalWidth", 832, timeout=SEEN_MS)  # between two pictures it has none
        before = image.get_attribute("src")
        expect(image).not_to_have_attribute("src", before, timeout=SEEN_MS)
    expect(page.locator("#camera-rows tr")).to_have_count(6)
    expect(page.locator("#camera-rows tr", has_text="cam-0").locator("td").nth(1)).to_have_text("live")
    expect(page.locator("#camera-rows tr", has_text="cam-5").locator("td").nth(1)).to_have_text("down: not_found")
    expect(page.locator("#mosaic-m2 .tiles a i")).to_have_text(["live", "down: not_found", "empty", "empty"])
    rows = page.locator("#worker-rows tr")
    expect(rows.filter(has_text="w1").locator("progress")).to_be_visible()
    expect(page.locator("#sightings li").first).to_be_visible(timeout=SEEN_MS)
    expect(page.locator("#transitions")).to_contain_text("camera cam-0 up")


def test_one_camera_is_reached_by_the_keyboard(page):
    expect = playwright.expect
    link = page.locator("#camera-rows a", has_text="cam-3")
    expect(link).to_be_visible(timeout=SEEN_MS)
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#camera-title")).to_have_text("cam-3")
    expect(page.locator("#camera-facts")).to_contain_text("m1, tile 4")
    painted = """canvas => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]
        .some((value, index) => index % 4 < 3 && value !== 0)"""
    wait_until(lambda: page.locator("#camera-picture").evaluate(painted), "its picture", SEEN_MS / 1000)


def test_a_tile_keeps_the_focus_and_opens_its_camera_alone(page):
    expect = playwright.expect
    tile, caption = page.locator("#mosaic-m1 .tiles a").nth(1), page.locator("#mosaic-m1 figcaption")
    tile.focus(timeout=SEEN_MS)
    expect(caption).not_to_have_text(caption.inner_text(), timeout=SEEN_MS)
    expect(tile).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#camera-title")).to_be_focused()
    expect(page.locator("#wall")).to_be_hidden()
    page.locator("#camera p a", has_text="Back").press("Enter")
    expect(page.locator("#wall")).to_be_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(page):
    page.set_viewport_size({"width": 390, "height": 844})
    playwright.expect(page.locator("#camera-rows tr")).to_have_count(6, timeout=SEEN_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_nothing_comes_from_elsewhere(page, daemon: Daemon):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    playwright.expect(page.locator("#mosaic-m1 img")).to_have_attribute("src", re.compile("^blob:"), timeout=SEEN_MS)
    own = (f"http://127.0.0.1:{daemon.port}/", f"blob:http://127.0.0.1:{daemon.port}/", "data:,")
    assert [url for url in asked if not url.startswith(own)] == []
    # A page that nobody sees asks for none; then workers draw none.
    page.goto("about:blank")
    url = f"http://127.0.0.1:{daemon.port}/api/v1/mosaics/m1/picture"
    wait_until(lambda: urllib.request.urlopen(url, timeout=10).read()[:3] == b"\xff\xd8\xff", "who asks is shown one")
    assert daemon.get("/api/v1/mosaics/nobody/picture")[0] == 404


def test_a_camera_is_switched_off_and_on_by_the_keyboard_and_no_other_loses_a_frame(page, daemon: Daemon):
    def places() -> dict[str, tuple[str, int]]:
        found = json.loads(daemon.get("/api/v1/cameras")[1])
        return {each["name"]: (each["mosaic"], each["tile"]) for each in found}

    def counted() -> dict[str, dict[str, float]]:
        """What grows for others if they are read anew, or their frames go lost on the way."""
        found = {
            "connects": daemon.by("camera", "mosaicd_camera_connects_total"),
            "outdated": daemon.by("camera", "mosaicd_camera_frames_dropped_total", reason="outdated"),
        }
        return {what: {name: values[name] for name in OTHERS} for what, values in found.items()}

    wait_until(lambda: daemon.total("mosaicd_camera_up") == 5, "five are up")
    wait_until(lambda: min(counted()["connects"].values()) > 0, "they have been reported")
    before, lay = counted(), places()
    expect = playwright.expect
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"http://127.0.0.1:{daemon.port}/#camera=cam-0")
    button = page.locator("#switch")
    expect(button).to_have_text("Switch off", timeout=SEEN_MS)
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_have_text("cam-0 is switched off.", timeout=SEEN_MS)
    expect(page.locator("#camera-rows tr", has_text="cam-0").locator("td").nth(1)).to_have_text("switched off")
    expect(page.locator("#camera-facts")).to_have_text("stateswitched off")
    expect(page.locator("#words")).to_contain_text("4/5 cameras up")
    expect(page.locator("#words")).to_contain_text("1 switched off")
    seen = daemon.by("camera", ANALYZED)
    assert "cam-0" not in seen
    wait_until(
        lambda: all(daemon.by("camera", ANALYZED)[name] >= seen[name] + 3 for name in OTHERS), "others are analyzed on"
    )
    assert (counted(), places()) == (before, {name: place for name, place in lay.items() if name != "cam-0"})
    expect(button).to_be_focused()
    expect(button).to_have_text("Switch on")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_have_text("cam-0 is switched on.", timeout=SEEN_MS)
    expect(page.locator("#camera-rows tr", has_text="cam-0").locator("td").nth(1)).to_have_text("live", timeout=SEEN_MS)
    assert (counted(), places()) == (before, lay)


def test_a_worker_is_restarted_once_a_person_is_sure(page, daemon: Daemon):
    asked: list[str] = []

    def decide(dialog) -> None:
        asked.append(dialog.message)
        dialog.accept() if len(asked) > 1 else dialog.dismiss()

    page.on("dialog", decide)
    button = page.locator("#restart-w1")
    playwright.expect(button).to_be_visible(timeout=SEEN_MS)
    button.click()
    assert asked == ["Restart w1? Others answer its mosaics meanwhile."]
    assert page.locator("#told").is_hidden()
    button.click()
    playwright.expect(page.locator("#told")).to_have_text("w1 is being restarted.", timeout=SEEN_MS)

    def generation() -> int:
        workers = json.loads(daemon.get("/api/v1/workers")[1])
        return max(each["generation"] for each in workers if each["name"] == "w1")

    wait_until(
        lambda: daemon.total("mosaicd_worker_up", worker="w1") == 1 and generation() == 2, lambda: daemon.log[-3000:]
    )
    assert daemon.total("mosaicd_worker_restarts_total") == 0
    assert page.locator("#worker-rows button").count() == 2, "capture processes have none"
