"""The events page in a real browser, on a database and media that were made without a daemon."""

import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from capture.clip import Clip
from capture.mediamessages import Record
from capture.ring import Ring
from daemon.access import make_access
from events.analyst import CameraRules
from events.rules import Line, Zone
from events.store import Store
from events.words import Batch, Event, Kind, stamp
from simulator.world.clip import ClipSpec
from tests.daemon.test_guard import TOKEN, serving
from tests.events.sample import event
from tests.system.stage import wait_until
from tests.system.visits import Watched, fill, media_file

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make setup")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: make clients")]

SEEN_MS = 20_000
RULES = CameraRules(
    zones=(Zone("crossing", ((0.3, 0.4), (0.62, 0.4), (0.62, 0.5), (0.3, 0.5)), dwell_s=0.5, loiter_s=4.0),),
    lines=(Line("road", (0.2, 0.55), (0.55, 0.55), "north", "south"),),
)
STREET = Watched("street", ClipSpec(5, (320, 180), 10, 12.0), RULES)
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


@dataclass
class Shown:
    """A site with events, and what it knows."""

    port: int
    store: Store
    events: list[Event]
    """The oldest first."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A street on two days, and many visits to a yard of which nothing but the event is kept."""
    folder = tmp_path_factory.mktemp("events")
    hour = time.time() // HOUR_S * HOUR_S
    with closing(Store(folder / "events.sqlite", hour, print)) as store:
        path = STREET.render(folder)
        events = [each for began in (hour - DAY_S, hour - 2 * HOUR_S) for each in fill(store, STREET, path, began)]
        yard = [event(n, at=hour - 5 * HOUR_S - n * 60, kind=Kind.END, ended_at=hour - 5 * HOUR_S) for n in range(40)]
        store.keep(Batch(tuple(yard)), hour)
        with serving(events=store.path) as site:
            yield Shown(site.port, store, sorted([*events, *yard], key=lambda each: each.id))


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, shown: Shown) -> Iterator["playwright.Page"]:
    """The page, open, with nothing said on its console."""
    said: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB")
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(shown.url)
    yield page
    page.close()
    assert said == []


def cards(page):
    return page.locator("#list li:not(.day)")


def visit(shown: Shown, wanted: Callable[[Event], object]) -> Event:
    return next(each for each in reversed(shown.events) if wanted(each))


def test_events_are_listed_with_their_best_moment_the_newest_first(page, shown: Shown):
    expect = playwright.expect
    newest = shown.events[-1]
    first = cards(page).first
    expect(first).to_contain_text(f"{newest.label} · street", timeout=SEEN_MS)
    expect(first.locator("img")).to_have_js_property("naturalWidth", 320, timeout=SEEN_MS)
    expect(first.locator("time")).to_have_attribute("datetime", re.compile(stamp(newest.started_at)[:19]))
    expect(first.locator("rect.box")).to_be_visible()
    expect(cards(page).filter(has_text="→ ").first).to_contain_text("over road")
    expect(cards(page).filter(has_text="zone crossing").first).to_be_visible()
    cards(page).last.scroll_into_view_if_needed()
    page.locator("#more-line").scroll_into_view_if_needed()
    expect(cards(page)).not_to_have_count(24, timeout=SEEN_MS)


def test_what_is_chosen_stands_in_the_address_and_shows_the_same_to_others(page, browser, shown: Shown):
    expect = playwright.expect
    page.locator("[name=label]").select_option("car", timeout=SEEN_MS)
    page.get_by_label("Zone").select_option("crossing")
    cars = [each for each in shown.events if each.label == "car"]
    wanted = [each for each in cars if any(visit.zone == "crossing" for visit in each.zones)]
    expect(cards(page)).to_have_count(len(wanted), timeout=SEEN_MS)
    expect(page).to_have_url(f"{shown.url}#label=car&zone=crossing")
    with closing(browser.new_page()) as other:
        other.goto(page.url)
        expect(cards(other)).to_have_count(len(wanted), timeout=SEEN_MS)
        expect(other.get_by_label("Zone")).to_have_value("crossing")
    page.get_by_label("Time").select_option("hour")
    expect(page.locator("#empty")).to_contain_text("No event is like that.", timeout=SEEN_MS)
    page.get_by_text("Show all", exact=True).click()
    expect(page.locator("[name=label]")).to_have_value("")
    expect(cards(page).filter(has_text="yard").first).to_be_visible(timeout=SEEN_MS)


def test_a_bar_leads_to_the_events_that_it_counts_and_back(page, shown: Shown):
    expect = playwright.expect
    recent = [each for each in shown.events if each.started_at > time.time() - 4 * HOUR_S]
    bar = page.locator("#plot a").last
    bar.wait_for(timeout=SEEN_MS)
    assert re.search(r"\d+ (person|car|truck)", bar.get_attribute("aria-label"))
    bar.focus()
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(len(recent), timeout=SEEN_MS)
    assert "time=range" in page.url
    page.locator("#plot a").last.click()
    expect(cards(page)).not_to_have_count(len(recent), timeout=SEEN_MS)
    page.locator("#legend button", has_text="car").click()
    expect(page.locator("[name=label]")).to_have_value("car")


def test_an_event_is_opened_played_and_left_by_the_keyboard(page, shown: Shown):
    expect = playwright.expect
    crossed = visit(shown, lambda each: each.crossings and each.path)
    link = page.locator(f"#list a[href$='{quote(crossed.id)}']")
    link.focus(timeout=SEEN_MS)
    page.keyboard.press("Enter")
    expect(page.locator("#one-title")).to_contain_text(f"{crossed.label} · street")
    expect(page.locator("#steps")).to_contain_text(f"crossed line road: {crossed.crossings[0].direction}")
    expect(page.locator("#facts")).to_contain_text("it left, or was lost from sight")
    expect(page.locator("#picture img")).to_have_js_property("naturalWidth", 320, timeout=SEEN_MS)
    points = page.locator("#picture polyline.way").get_attribute("points").split()
    assert len(points) == len(crossed.path)
    video = page.locator("#clip")
    video.evaluate("video => video.play()")
    wait_until(lambda: video.evaluate("video => video.currentTime") > 0.5, "it plays", SEEN_MS / 1000)
    assert video.evaluate("video => video.videoWidth") == 320
    at = [each.id for each in shown.events].index(crossed.id)
    page.locator("#one-title").focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(f"{shown.url}#event={quote(shown.events[at - 1].id)}")
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(f"{shown.url}#event={quote(crossed.id)}")
    page.keyboard.press("Escape")
    expect(link).to_be_focused()
    expect(page.locator("#one")).to_be_hidden()


def test_a_link_to_an_event_shows_it_and_its_neighbours(page, shown: Shown):
    expect = playwright.expect
    oldest = shown.events[0]
    page.goto("about:blank")
    page.goto(f"{shown.url}#{shown.events[1].id}")
    expect(page.locator("#one-title")).to_contain_text(shown.events[1].label, timeout=SEEN_MS)
    expect(page.locator("#older")).to_have_attribute("href", re.compile(quote(oldest.id)))
    page.locator("#older").click()
    expect(page).to_have_url(f"{shown.url}#event={quote(oldest.id)}")
    expect(page.locator("#older")).not_to_have_attribute("href", re.compile(".*"))
    expect(page.locator("#newer")).to_have_attribute("href", re.compile(quote(shown.events[1].id)))


def test_events_come_in_by_themselves_and_do_not_move_what_somebody_reads(page, shown: Shown):
    expect = playwright.expect
    now = time.time()
    expect(cards(page)).not_to_have_count(0, timeout=SEEN_MS)
    page.wait_for_timeout(500)  # the stream is open a moment after the list is there
    first = event(1, camera="hall", at=now)
    shown.store.keep(Batch((first,)), now)
    top = cards(page).first
    expect(top).to_contain_text("person · hall", timeout=SEEN_MS)
    expect(top.locator(".now")).to_be_visible()
    top.locator("a").focus()
    over = msgspec.structs.replace(first, revision=1, kind=Kind.END, ended_at=now + 65.0)
    shown.store.keep(Batch((over, event(2, camera="hall", at=now + 1.0))), now)
    expect(page.locator("#fresh")).to_have_text("↑ Show 1 new event", timeout=SEEN_MS)
    expect(top.locator("a")).to_be_focused()
    expect(top).to_contain_text("1 min 5 s")
    expect(top.locator(".now")).to_have_count(0)
    page.locator("#fresh").click()
    expect(cards(page).filter(has_text="hall")).to_have_count(2)
    shown.store.forget_events([each.id for each in (first, event(2, camera="hall", at=now + 1.0))])


def test_a_clip_that_grows_plays_on(page, shown: Shown):
    """Half of it is written when it is opened; the rest comes once that has been played."""
    expect = playwright.expect
    now = time.time()
    grown = event(3, camera="street", at=now, has_clip=True, frame_wh=(320, 180))
    shown.store.keep(Batch((grown,)), now)
    ring: Ring = Ring(1e6, 2**30)
    kept = [STREET.ring.get(number) for number in range(STREET.ring.end)]
    path = media_file(shown.store, grown, "clip")
    clip = Clip(Record("street", 1, grown.id, 0.0, 100.0), ring, os.open(path, os.O_CREAT | os.O_RDWR, 0o640), (0, 0))
    for each in kept[:40]:
        ring.append(each.packet, each.track, each.captured_s, each.arrived_s)
    assert clip.step(0.0) is None
    page.goto(f"{shown.url}#{grown.id}")
    page.reload()
    expect(page.locator("#clip-words")).to_contain_text("Still being recorded", timeout=SEEN_MS)
    video = page.locator("#clip")
    video.evaluate("video => video.play()")
    wait_until(lambda: video.evaluate("video => video.ended"), "it has played what there is", SEEN_MS / 1000)
    until = video.evaluate("video => video.currentTime")
    for each in kept[40:]:
        ring.append(each.packet, each.track, each.captured_s, each.arrived_s)
    assert clip.step(0.0) is None
    wait_until(lambda: video.evaluate("video => video.currentTime") > until + 1.0, "it plays on", SEEN_MS / 1000)
    clip.end(None)
    shown.store.forget_events([grown.id])


def test_what_cannot_be_played_can_be_downloaded(page, shown: Shown):
    expect = playwright.expect
    odd = event(
        4, camera="street", at=time.time() - 5 * DAY_S, kind=Kind.END, ended_at=time.time() - 5 * DAY_S, has_clip=True
    )
    shown.store.keep(Batch((odd,)), odd.started_at)
    media_file(shown.store, odd, "clip").write_bytes(random.Random(1).randbytes(5000))
    page.goto(f"{shown.url}#{odd.id}")
    page.reload()
    expect(page.locator("#clip-words")).to_contain_text("This browser cannot play this clip", timeout=SEEN_MS)
    with page.expect_download() as download:
        page.get_by_text("Download", exact=True).click()
    assert download.value.suggested_filename == f"{odd.id}.mp4"
    shown.store.forget_events([odd.id])


def test_on_a_phone_nothing_is_wider_than_the_screen(page, shown: Shown):
    page.set_viewport_size({"width": 390, "height": 844})
    playwright.expect(cards(page)).not_to_have_count(0, timeout=SEEN_MS)
    page.locator("#plot svg").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    cards(page).first.locator("a").click()
    page.locator("#facts dt").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_where_events_are_off_it_is_said_how_they_are_switched_on(browser):
    with serving() as site, closing(browser.new_page()) as page:
        page.goto(f"http://127.0.0.1:{site.port}/events")
        playwright.expect(page.locator("#notice")).to_contain_text("enabled: true", timeout=SEEN_MS)
        playwright.expect(page.locator("#filters")).to_be_hidden()


def test_a_link_to_an_event_survives_the_login(browser, tmp_path: Path):
    seen = event()
    with closing(Store(tmp_path / "events.sqlite", time.time(), print)) as store:
        store.keep(Batch((seen,)), time.time())
        access = make_access("127.0.0.1", (), TOKEN)
        with serving(access, TOKEN, events=store.path) as site, closing(browser.new_page()) as page:
            page.goto(f"http://127.0.0.1:{site.port}/events#{seen.id}")
            page.get_by_label("Token").fill(TOKEN.reveal())
            page.get_by_text("Enter").click()
            playwright.expect(page.locator("#one-title")).to_contain_text("person · yard", timeout=SEEN_MS)
            assert page.url.endswith(f"/events#{seen.id}")
