"""The live page in a real browser: what a person sees of a running daemon, and what stays outside."""

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
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 832
        before = image.get_attribute("src")
        expect(image).not_to_have_attribute("src", before, timeout=SEEN_MS)
    expect(page.locator("#camera-rows tr")).to_have_count(6)
    expect(page.locator("#camera-rows tr", has_text="cam-0").locator("td").nth(1)).to_have_text("live")
    expect(page.locator("#camera-rows tr", has_text="cam-5").locator("td").nth(1)).to_have_text("not_found")
    expect(page.locator("#mosaic-m2 .tiles a", has_text="cam-5").locator("i")).to_have_text("not_found")
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
