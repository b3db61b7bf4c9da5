"""The process of events as the supervisor has it: what is shown of it, also while it is not there."""

from pathlib import Path
from typing import Any

from daemon.child import ChildSpec
from daemon.eventforce import EventForce
from daemon.eventplan import KIND, NAME, EventsPlan
from daemon.statistics import EventStatistics
from events.analyst import CameraRules
from events.messages import EventsReport, EventsSetup, Follow, Leave, SinkReport
from events.retention import Retention
from events.series import Figure, Series
from tests.daemon.test_trust import EVENTS

YARD, GATE = CameraRules(), CameraRules(still_s=5.0)


def plan(tmp_path: Path, **rules: CameraRules) -> EventsPlan:
    spec = ChildSpec(NAME, KIND, "events.process", {})
    cameras = {name: Follow(name, each) for name, each in rules.items()}
    return EventsPlan(spec, EventsSetup(str(tmp_path), Retention(min_free_mib=2.0)), cameras)


class Listener:
    """In place of the process."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def send(self, message: object) -> bool:
        self.told.append(message)
        return True


def report(**changes: object) -> EventsReport:
    counted = Series(Figure.EVENTS, ("yard", "person", "new"), (3.0,))
    values = {name: getattr(EVENTS, name) for name in EVENTS.__struct_fields__}
    return EventsReport(**(values | {"series": (counted,)} | changes))


def shown(force: EventForce) -> EventStatistics:
    found = force.events()
    assert found is not None
    return found


def test_nothing_is_shown_where_no_events_are_wanted():
    force = EventForce(None, {})
    assert (force.events(), force.children, force.briefing()) == (None, [], [])


def test_what_a_process_has_counted_outlives_it_and_what_it_has_in_hand_does_not(tmp_path):
    force = EventForce(plan(tmp_path, yard=YARD), {})
    assert shown(force).troubles == ["nobody follows events"]
    force.note_report(report(open_events=2, tracks=5))
    now = shown(force)
    assert (now.sum(Figure.EVENTS), now.open_events, now.tracks, now.reserve_bytes) == (3, 2, 5, 2 << 20)
    assert (now.sinks, now.troubles) == ((SinkReport("mqtt", 4, is_well=True),), [])
    force.note_death()
    gone = shown(force)
    assert (gone.sum(Figure.EVENTS), gone.open_events, gone.tracks, gone.is_kept) == (3, 0, 0, False)
    assert gone.sinks == (SinkReport("mqtt", 4, is_well=False),)
    force.note_report(report())
    assert shown(force).sum(Figure.EVENTS) == 6


def test_a_new_plan_tells_the_process_what_is_new_and_forgets_who_has_left(tmp_path):
    force = EventForce(plan(tmp_path, yard=YARD, gate=GATE), {"gate": ("car",)})
    force.note_report(report())
    listener: Any = Listener()
    force.children = [listener]
    force.adopt(plan(tmp_path, gate=YARD, attic=YARD), {"attic": ("person",)})
    assert listener.told == [Leave("yard"), Follow("gate", YARD), Follow("attic", YARD)]
    assert shown(force).sums[Figure.EVENTS] == {
        (camera, label, kind): (0.0,)
        for camera, label in (("gate", "car"), ("attic", "person"))
        for kind in ("new", "update", "end")
    }
    force.note_report(report())  # on its way when the camera left
    assert shown(force).sum(Figure.EVENTS) == 0
