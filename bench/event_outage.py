"""A broker's outage: the real process of events, fed with visitors, while a real Mosquitto is killed and stays away.

    python bench/event_outage.py [--outage-s 600] [--cameras 32] [--out bench/results/event_outage.md]

Visitors walk past the cameras in real time, before the outage, in it, and once the broker is there again. Exit code 1
if an event was lost, told out of its order, or told twice beyond what a connection that broke explains.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from paho.mqtt.client import Client, MQTTMessage
from rich.console import Console

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from events.sinks.courier import CourierPolicy
from events.sinks.options import MqttOptions
from events.words import Event, Kind
from tests.events.broker import Broker, Subscriber
from tests.events.child import EventsChild
from tests.events.visits import GAP_S, Visits

STAY_S, SPEED = 12.0, 60.0
BEFORE_S, AFTER_S = 20.0, 240.0
LOOK_S = 5.0
YOUNG_S = 1.0
QUIET_S = 30.0
"""When nothing has come for so long, nothing more will: the courier waits for a minute at most, and only in between."""


@dataclass(frozen=True, slots=True)
class Look:
    """The process at one moment."""

    at_s: float
    memory_mib: float
    database_mib: float
    """With its log."""


@dataclass(slots=True)
class Course:
    """What happened when; monotonic seconds."""

    began_s: float = 0.0
    ended_s: float = 0.0
    looks: list[Look] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)
    """Of messages about events, as :attr:`Witness.messages`."""
    caught_up_s: float = 0.0
    """When somebody was told of again who had just come."""


class Witness(Subscriber):
    """Also remembers when."""

    def __init__(self, port: int) -> None:
        self.arrivals_s: list[float] = []
        super().__init__(port, "mosaicd/events")

    def _received(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        self.arrivals_s.append(time.monotonic())
        super()._received(client, userdata, message)


@dataclass(frozen=True, slots=True)
class Told:
    """What a subscriber knows, against what the database holds."""

    events: int
    messages: int
    repeats: int
    lost: int
    """Beginnings and ends that did not come."""
    unordered: int
    """Events whose revisions came in another order."""
    stale: int
    """Updates that were left out, because a later message tells more."""


def judge(kept: Sequence[Event], payloads: Sequence[bytes]) -> Told:
    """Compare; a message that came twice counts by its first coming."""
    told: dict[str, list[tuple[int, str]]] = defaultdict(list)
    states = [json.loads(payload) for payload in payloads]
    for state in states:
        change = (state["after"]["mosaicd"]["revision"], state["type"])
        if change not in told[state["after"]["id"]]:
            told[state["after"]["id"]].append(change)
    count = sum(map(len, told.values()))
    kinds = {id_: Counter(kind for _, kind in changes) for id_, changes in told.items()}
    wanted = {Kind.NEW: 1, Kind.END: 1}
    return Told(
        events=len(kept),
        messages=len(states),
        repeats=len(states) - count,
        lost=sum(kinds.get(event.id, Counter())[kind] != often for event in kept for kind, often in wanted.items()),
        unordered=sum(changes != sorted(changes) for changes in told.values()),
        stale=sum(event.revision + 1 for event in kept) - count,
    )


def caught_up(course: Course, payloads: Sequence[bytes], ahead_s: float) -> float:
    """Return when the first beginning came that was no older than it has to be; infinite if none did."""
    for at_s, state in zip(course.arrivals_s, map(json.loads, payloads), strict=True):
        is_young = at_s + ahead_s - state["after"]["frame_time"] <= YOUNG_S
        if at_s > course.ended_s and state["type"] == Kind.NEW and is_young:
            return at_s
    return float("inf")


def busiest(arrivals_s: Sequence[float], span_s: float) -> int:
    """The most messages within any span of this length."""
    first, most = 0, 0
    for last, at_s in enumerate(arrivals_s):
        while at_s - arrivals_s[first] > span_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def feed(child: EventsChild, visits: Visits, course: Course, for_s: float, *, is_quiet: bool = False) -> None:
    """Show the process what is before the cameras, as time passes."""
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        for frame in visits.step(is_quiet=is_quiet):
            child.see(frame)
        while time.monotonic() < visits.now_s:
            child.listen(max(0.0, visits.now_s - time.monotonic()))
        if child.report and (not course.looks or time.monotonic() - course.looks[-1].at_s >= LOOK_S):
            files = [child.path, child.path.with_name(child.path.name + "-wal")]
            size = sum(file.stat().st_size for file in files if file.exists())
            course.looks.append(Look(time.monotonic(), child.report.memory_mib, size / (1 << 20)))


def run(folder: Path, cameras: int, outage_s: float, console: Console) -> tuple[Course, Told, list[str], int]:
    """Let it happen; returns also what a person was told, and how many events fell into the outage."""
    broker, course = Broker(folder / "broker"), Course()
    broker.start()
    names = tuple(f"cam-{number:02}" for number in range(cameras))
    mqtt = MqttOptions("127.0.0.1", broker.port, cameras=frozenset(names))
    with Witness(broker.port) as witness, EventsChild(folder / "events", names, mqtt=mqtt) as child:
        child.spawn()
        child.wait_ready()
        now_s = time.monotonic()
        visits = Visits(names, now_s, time.time() - now_s, stay_s=STAY_S, speed=SPEED)
        feed(child, visits, course, BEFORE_S)
        broker.end()
        course.began_s = time.monotonic()
        console.print(f"the broker is gone, {len(witness.messages)} messages told")
        feed(child, visits, course, outage_s)
        broker.start()
        course.ended_s = time.monotonic()
        console.print(f"the broker is back, {len(child.kept())} events kept")
        feed(child, visits, course, AFTER_S)
        feed(child, visits, course, STAY_S + GAP_S, is_quiet=True)
        while time.monotonic() - max([course.ended_s, *witness.arrivals_s[-1:]]) < QUIET_S:
            feed(child, visits, course, LOOK_S, is_quiet=True)
        assert child.stop().returncode == 0
        kept = child.kept()
        course.arrivals_s = witness.arrivals_s
        payloads = [payload for _, payload in witness.messages]
    course.caught_up_s = caught_up(course, payloads, visits.ahead_s)
    broker.end()
    from_at, until_at = (moment + visits.ahead_s for moment in (course.began_s, course.ended_s))
    within = sum(from_at <= event.started_at and (event.ended_at or 0.0) <= until_at for event in kept)
    assert {visits.visit_of(event) for event in kept} == visits.begun and len(kept) == len(visits.begun)
    return course, judge(kept, payloads), child.messages, within


def report(course: Course, told: Told, messages: list[str], within: int, command: str) -> str:
    """All of it as Markdown."""
    after_s = [at_s - course.ended_s for at_s in course.arrivals_s if at_s > course.ended_s]
    policy, looks = CourierPolicy(), course.looks
    before, during, after = (
        [look for look in looks if begin_s <= look.at_s < end_s]
        for begin_s, end_s in (
            (looks[0].at_s, course.began_s),
            (course.ended_s - 60.0, course.ended_s),
            (looks[-1].at_s - 20.0, looks[-1].at_s + 1.0),
        )
    )
    memory = " | ".join(f"{median(look.memory_mib for look in part):.1f}" for part in (before, during, after))
    size = " | ".join(f"{median(look.database_mib for look in part):.1f}" for part in (before, during, after))
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores"
    return f"""
`{command}`, ended {when}

The broker was away for {course.ended_s - course.began_s:.0f} s; {within} events began and ended meanwhile, of \
{told.events} in all.

| told | |
|---|---|
| messages | {told.messages} |
| beginnings and ends that are missing | {told.lost} |
| events told out of order | {told.unordered} |
| messages that came twice, by id and revision | {told.repeats} |
| updates left out, as a later message tells more | {told.stale} |
| first message after the broker was back | {after_s[0]:.1f} s |
| caught up after | {course.caught_up_s - course.ended_s:.1f} s |
| messages in the busiest second, ten seconds | {busiest(after_s, 1.0)}, {busiest(after_s, 10.0)} |
| ... at most, by its policy | {policy.burst + policy.rate_hz:.0f}, {policy.burst + 10 * policy.rate_hz:.0f} |

| process of events | before | last minute of the outage | at the end |
|---|---|---|---|
| memory, MiB | {memory} |
| database with its log, MiB | {size} |

The log said: {"; ".join(messages)}.
"""


def main() -> int:
    """Run it and write what it came to."""
    parser = argparse.ArgumentParser(description="a broker's outage, and what becomes of the events meanwhile")
    parser.add_argument("--outage-s", type=float, default=600.0)
    parser.add_argument("--cameras", type=int, default=32)
    parser.add_argument("--out", type=Path, default=None, help="append the results to this file")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        course, told, messages, within = run(Path(folder), arguments.cameras, arguments.outage_s, console)
    text = report(course, told, messages, within, f"python bench/event_outage.py --outage-s {arguments.outage_s:g}")
    print(text)
    if arguments.out:
        with arguments.out.open("a") as file:
            file.write(text)
    return 1 if told.lost or told.unordered or told.repeats > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
