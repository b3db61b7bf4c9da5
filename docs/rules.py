"""The pictures of rules in docs/EVENTS.md, made anew.

    python docs/rules.py [--to docs/rules] [--only zones]

A scene of the simulator's world is painted, its truth goes through the code that follows a camera's sightings in
mosaicd, by the rules that stand in the manual above the picture, and what came of it is drawn: where somebody stood
when, which events began and ended, how fast they were. Needs chromium (make clients).
"""

import argparse
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, sync_playwright

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from daemon.roster import Camera, parse_roster
from daemon.secrets import SecretSources
from docs.drawing import GOOD, QUIET, RULE, Drawing, Point
from docs.film import FPS, SIZE_WH, Film, Moment
from events.analyst import CameraRules
from events.geometry import contains
from events.words import Event

MANUAL = Path(__file__).parent / "EVENTS.md"
_PARKED_Y = 228.675
"""By its foot the parked car is known that is spoken of."""
_LEAVES = f'marker-end="url(#{GOOD.strip("#")})"'


def _pixels(point: Point) -> Point:
    return point[0] * SIZE_WH[0], point[1] * SIZE_WH[1]


def _clock(at: float) -> str:
    seconds = round(at) % 86400
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def rules_in_manual(picture: str) -> CameraRules:
    """The rules of the example that stands above a picture."""
    return camera_in_manual(picture).rules


def camera_in_manual(picture: str) -> Camera:
    """The camera of that example."""
    before, _, _ = MANUAL.read_text().partition(f"(rules/{picture}.webp)")
    example = re.findall(r"```yaml\n(cameras:.*?)```", before, re.DOTALL)[-1]
    roster = parse_roster(example, file=str(MANUAL), mosaic_fps=None, sources=SecretSources.from_environ({})).require()
    return roster.cameras[0]


def zones() -> Drawing:
    """Who walks into a zone, and who stands beside it."""
    rules = rules_in_manual("zones")
    film = Film(1_000_005, rules, range(78, 168), lambda number, parked: (parked and number != 8) or number == 23)
    (zone,) = rules.zones
    event = max(film.last.values(), key=lambda each: each.started_at)
    walk = film.follow("person", (466.0, 540.0), 78)
    entered = film.index(event.zones[0].entered_at)
    before = [each for each in walk if each.index <= entered]
    after = [each for each in walk if each.index >= entered]
    shown = [before[16], after[0], after[-1]]
    drawing = Drawing(film.exposed(shown, after[-1].index))
    drawing.polygon([_pixels(corner) for corner in zone.corners], RULE)
    drawing.line([each.foot for each in before], QUIET, 3, 'stroke-dasharray="9 6"')
    drawing.line([each.foot for each in after], GOOD)
    drawing.ring(after[0].foot, GOOD)
    for each in shown:
        drawing.box(each.truth.xyxy, GOOD if each.index >= entered else QUIET)
    drawing.words((790, 460), f"zone {zone.name}", colour=RULE, anchor="middle", size=22)
    x, y = after[0].foot
    drawing.words((x + 24, y + 18), "enters: event begins", _clock(event.started_at), colour=GOOD)
    x, y = after[-1].foot
    drawing.words((x + 40, y - 24), "and is followed", colour=GOOD)
    drawing.words((before[16].foot[0] - 34, before[16].foot[1] - 10), "no event yet", colour=QUIET, anchor="end")
    drawing.words((412, 300), "stays outside:", "no event", colour=QUIET, anchor="end")
    (beside,) = film.follow("person", (442.0, 373.0), 160)[:1]
    drawing.box(beside.truth.xyxy, QUIET, 'stroke-dasharray="7 5"')
    return drawing


def lines() -> Drawing:
    """Who crosses a line, and which way."""
    rules = rules_in_manual("lines")
    film = Film(1_000_013, rules, range(40, 150), lambda number, parked: parked or number in (10, 16, 22), {16: 13.0})
    (line,) = rules.lines
    shown: list[Moment] = []
    ways: list[tuple[list[Moment], Event]] = []
    for label, near, first, when in (("car", (414, 511), 64, (64, 72)), ("motorcycle", (572, 149), 100, (116, 122))):
        way = film.follow(label, near, first)
        shown += [each for each in way if each.index in when]
        ways.append((way, next(each for each in film.last.values() if each.label == label)))
    drawing = Drawing(film.exposed(shown, 50))
    for way, event in ways:
        drawing.line([each.foot for each in way], GOOD, 3.5, _LEAVES)
        at = film.index(event.crossings[0].at)
        drawing.ring(next(each for each in way if each.index == at).foot, GOOD)
    start, end = _pixels(line.start), _pixels(line.end)
    drawing.line([start, end], RULE, 5)
    drawing.dots([start, end], RULE, 8)
    for each in shown:
        drawing.box(each.truth.xyxy, GOOD)
    drawing.words((590, 178), f"{ways[0][1].label}: {ways[0][1].crossings[0].direction}", colour=GOOD)
    drawing.words((60, 424), f"{ways[1][1].label}: {ways[1][1].crossings[0].direction}", colour=GOOD)
    drawing.words((start[0] - 14, start[1]), "start", colour=RULE, anchor="end")
    drawing.words((end[0] + 14, end[1]), "end", colour=RULE)
    x, y = end[0] - 46, end[1]
    for name, down in ((line.to_left, -1), (line.to_right, 1)):
        drawing.pointer((x, y + 12 * down), (x, y + 60 * down), RULE, 6)
        drawing.words((x + 18, y + 46 * down), name, colour=RULE)
    return drawing


def masks() -> Drawing:
    """Who passes behind the fence, and who is in the yard."""
    rules = rules_in_manual("masks")
    film = Film(1_000_005, rules, range(100, 124), lambda number, parked: number in (4, 5, 6, 12, 18, 23))
    index = 112
    drawing = Drawing(film.exposed([], index))
    (mask,) = rules.masks
    corners = [_pixels(corner) for corner in mask]
    drawing.polygon(corners, "url(#hatch)", 0.5)
    drawing.polygon(corners, RULE, 0.0)
    for moment in film.moments(index):
        x, y = moment.foot
        if contains(corners, moment.foot):
            drawing.box(moment.truth.xyxy, QUIET, 'stroke-dasharray="7 5"')
            drawing.dots([moment.foot], QUIET, 6)
            if moment.truth.label == "truck":
                drawing.words((x, 200), "its foot is in the mask: not seen", colour=QUIET, anchor="middle")
        elif moment.truth.label == "person" and any(each.event.label == "person" for each in film.told):
            drawing.box(moment.truth.xyxy, GOOD)
            drawing.dots([moment.foot], GOOD, 6)
            drawing.words((x + 40, y - 20), "an event", colour=GOOD)
    drawing.words((880, 100), "mask", colour=RULE, anchor="middle", size=22)
    return drawing


def speed() -> Drawing:
    """How fast, and how close behind."""
    rules = rules_in_manual("speed")
    film = Film(1_000_010, rules, range(55, 110), lambda number, parked: parked or number in (14, 19, 30), {14: 2.2})
    (stretch,) = rules.stretches
    corners = [_pixels(corner) for corner in stretch.corners]
    first, second = (film.follow("car", near, index) for near, index in (((479, 230), 63), ((519, 190), 63)))
    shown = [each for each in (*first, *second) if each.index == 83]
    drawing = Drawing(film.exposed([], 83))
    drawing.polygon(corners, RULE)
    for way, event in zip((first, second), film.last.values(), strict=True):
        assert event.speed is not None
        drawing.dots([each.foot for each in way if contains(corners, each.foot)], GOOD)
        drawing.box(next(each for each in shown if each in way).truth.xyxy, GOOD)
        head = [f"{event.speed.median_kmh:.0f} km/h"]
        if event.headway is not None:
            drawing.words(
                (476, 196), *head, f"{event.headway.seconds:.1f} s, {event.headway.metres:.0f} m behind", colour=GOOD
            )
        else:
            drawing.words((158, 366), *head, colour=GOOD, anchor="end")
    names = ("1 near left", "2 near right", "3 far right", "4 far left")
    for (x, y), name, anchor in zip(corners, names, ("end", "start", "start", "end"), strict=True):
        drawing.dots([(x, y)], RULE, 8)
        drawing.words((x + (14 if anchor == "start" else -14), y + 4), name, colour=RULE, anchor=anchor, size=15)
    (x1, y1), (x2, y2), (x3, y3), _ = corners
    drawing.words(((x1 + x2) / 2, (y1 + y2) / 2 + 28), f"width_m: {stretch.width_m:g}", colour="#fff", anchor="middle")
    drawing.words(((x2 + x3) / 2 + 14, (y2 + y3) / 2), f"length_m: {stretch.length_m:g}", colour="#fff")
    return drawing


def still() -> Drawing:
    """What stands is quiet; what moves is told of."""
    rules = rules_in_manual("still")
    film = Film(1_000_005, rules, range(500), lambda number, parked: number in (3, 4, 5, 6, 14))
    way = film.follow("car", (113, 351), 5)
    shown = [each for each in way if each.index in (8, 24, 55)]
    drawing = Drawing(film.exposed(shown, 92))
    parked = next(each for each in film.moments(92) if each.truth.xyxy[3] == _PARKED_Y)
    drawing.box(parked.truth.xyxy, GOOD)
    kinds = [each.event.kind for each in film.told if each.event.best_box[3] == _PARKED_Y]
    seen = f"parked: seen {len(film.frames)} times in {len(film.frames) / FPS:.0f} s,"
    drawing.line([(78, 229), (78, 420)], GOOD, 2)
    drawing.words(
        (14, 430), seen, f"told of {len(kinds)} times: {kinds[0]},", f"and {kinds[1]} once it stands", colour=GOOD
    )
    drawing.line([each.foot for each in way], GOOD, 3.5, _LEAVES)
    for each in shown:
        drawing.box(each.truth.xyxy, GOOD)
    driver = next(each.event.id for each in film.told if each.index == way[0].index)
    for told in (each for each in film.told if each.event.id == driver):
        if (at := next((each for each in way if each.index == told.index), None)) is not None:
            drawing.ring(at.foot, GOOD)
            drawing.words((at.foot[0] + 22, at.foot[1] + 14), told.event.kind, colour=GOOD)
    drawing.words((330, 264), "moves: told of at first,", "and then every 5 s", colour=GOOD)
    return drawing


def record() -> Drawing:
    """What is in a clip, and what the picture shows."""
    rules, order = rules_in_manual("record"), camera_in_manual("record").recording
    assert order is not None
    cast = (3, 4, 5, 6, 25)
    film = Film(1_000_005, rules, range(74, 230), lambda number, parked: number in cast)
    event = next(each for each in film.last.values() if each.ended_at is not None)
    assert event.ended_at is not None
    drawing = Drawing(np.full((330, 960, 3), (16, 21, 28), np.uint8))
    start, end = event.started_at - order.pre_s, event.ended_at + order.post_s
    times = (start, event.started_at, event.best_at, event.ended_at - 0.6, end)

    def x(at: float) -> float:
        return 40.0 + 880.0 * (at - start) / (end - start)

    bands = (
        (start, times[1], RULE, f"pre_s: {order.pre_s:g}"),
        (times[1], event.ended_at, GOOD, "event"),
        (event.ended_at, end, RULE, f"post_s: {order.post_s:g}"),
    )
    for since, until, colour, words in bands:
        drawing.add(
            f'<rect x="{x(since)}" y="236" width="{x(until) - x(since)}" height="30" fill="{colour}" stroke="#10151c"/>'
            f'<text x="{x((since + until) / 2)}" y="257" font-size="17" text-anchor="middle">{words}</text>'
        )
    for number, at in enumerate(times):
        left = 12 + 188 * number
        rgb = np.ascontiguousarray(film.exposed([], film.index(at))[120:, 480:])
        drawing.picture(rgb, (left, 14), 184)
        drawing.line([(left + 92, 176), (x(at), 234)], "#fff", 1.5)
        drawing.words((left + 92, 190), _clock(at), size=14, anchor="middle")
    drawing.add(f'<rect x="388" y="14" width="184" height="161" fill="none" stroke="{GOOD}" stroke-width="4"/>')
    drawing.words((480, 30), "snapshot.jpg", colour=GOOD, anchor="middle", size=14)
    drawing.line([(x(start), 282), (x(start), 292), (x(end), 292), (x(end), 282)], "#fff", 2)
    drawing.words((480, 306), "clip.mp4", anchor="middle", size=15)
    return drawing


PICTURES: dict[str, Callable[[], Drawing]] = {
    "zones": zones,
    "lines": lines,
    "masks": masks,
    "speed": speed,
    "still": still,
    "record": record,
}


def keep(browser: Browser, drawing: Drawing, path: Path) -> None:
    """Write a picture."""
    width, height = drawing.size_wh
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_content(f'<body style="margin:0">{drawing.svg()}</body>')
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    page.close()
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_WEBP_QUALITY, 72])
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> int:
    """Make all of them, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "rules", help="where they go (docs/rules)")
    parser.add_argument("--only", choices=PICTURES, action="append", help="this one; may be given several times")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        print("rules: needs chromium: make clients", file=sys.stderr)
        return 1
    arguments.to.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in arguments.only or PICTURES:
            keep(browser, PICTURES[name](), arguments.to / f"{name}.webp")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
