"""Messages in Frigate's form, by value."""

import json

import pytest

from events.outbox import Letter
from events.sinks.frigate import discovery, level, message
from events.store import ended
from events.words import Crossing, Ending, Headway, Kind, Speed, Visit, Waypoint
from tests.events.sample import NIGHT, event


def test_a_new_event_has_been_its_own_unbelieved_self_before():
    found = json.loads(message(Letter(1, None, event(1))))
    assert (found["type"], found["before"]["false_positive"], found["after"]["false_positive"]) == ("new", True, False)
    assert {**found["before"], "false_positive": False} == found["after"]
    assert found["after"]["id"] == event(1).id
    assert (found["after"]["start_time"], found["after"]["end_time"]) == (NIGHT, None)
    assert (found["after"]["box"], found["after"]["area"], found["after"]["ratio"]) == (
        [100, 100, 200, 400],
        30000,
        0.33,
    )
    assert found["after"]["snapshot"] == {
        "frame_time": NIGHT + 0.5,
        "box": [100, 100, 200, 400],
        "area": 30000,
        "score": 0.9,
    }


def test_an_end_tells_what_was_before_and_all_that_there_was():
    last = event(
        1,
        kind=Kind.UPDATE,
        zones=(Visit("gate", NIGHT, NIGHT + 1), Visit("yard", NIGHT + 1), Visit("gate", NIGHT + 2)),
        crossings=(Crossing("fence", "in", NIGHT + 1),),
        path=(Waypoint(0.5, 0.25, 0.75),),
        speed=Speed(41.26, 50.0),
        headway=Headway(1.5, 18.0),
        is_stationary=True,
    )
    found = json.loads(message(Letter(3, last, ended(last, Ending.GONE))))
    before, after = found["before"], found["after"]
    assert found["type"] == "end"
    assert (before["current_zones"], before["entered_zones"]) == (["yard", "gate"], ["gate", "yard"])
    assert (after["current_zones"], after["entered_zones"]) == ([], ["gate", "yard"])
    assert (before["end_time"], after["end_time"]) == (None, NIGHT + 1)
    assert (before["stationary"], after["active"], after["average_estimated_speed"]) == (True, False, 41.3)
    assert after["path_data"] == [[[0.25, 0.75], NIGHT + 0.5]]
    assert after["mosaicd"]["ending"] == "gone"
    assert after["mosaicd"]["crossings"] == [{"line": "fence", "direction": "in", "at": NIGHT + 1}]
    assert after["mosaicd"]["headway"] == {"seconds": 1.5, "metres": 18.0}


def test_a_box_without_height_has_no_ratio():
    found = json.loads(message(Letter(1, None, event(1, best_box=(5.0, 5.0, 5.0, 5.0)))))
    assert (found["after"]["area"], found["after"]["ratio"]) == (0, 0.0)


@pytest.mark.parametrize(
    ("label", "topic"),
    [("person", "person"), ("traffic light", "traffic_light"), ("a/b", "a_b"), ("+#", "_"), ("", "_"), ("\n\0", "_")],
)
def test_a_label_is_one_level_of_a_topic(label, topic):
    assert level(label) == topic


def test_home_assistant_is_told_what_there_is():
    found = discovery("homeassistant", "mosaicd", "yard", "traffic light")
    assert sorted(found) == [
        "homeassistant/binary_sensor/mosaicd_yard/traffic_light/config",
        "homeassistant/image/mosaicd_yard/traffic_light/config",
        "homeassistant/sensor/mosaicd_yard/traffic_light/config",
    ]
    occupancy, picture, count = (json.loads(found[topic]) for topic in sorted(found))
    assert occupancy["state_topic"] == count["state_topic"] == "mosaicd/yard/traffic_light"
    assert occupancy["availability_topic"] == "mosaicd/available"
    assert picture["image_topic"] == "mosaicd/yard/traffic_light/snapshot"
    assert len({each["unique_id"] for each in (occupancy, picture, count)}) == 3
    assert occupancy["device"] == picture["device"] == count["device"]
    assert occupancy["name"] == "Traffic light occupancy"
