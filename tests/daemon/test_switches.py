"""Cameras switched off by hand: an overlay on the roster, by value and in its file."""

from pathlib import Path

import pytest

from daemon.orders import NoSuchCamera, Refused, SwitchCamera
from daemon.switches import FILE_NAME, Switches, after, switched
from tests.daemon.test_job import roster_of

ROSTER = roster_of(
    "cameras:\n  gate: {url: 'rtsp://h/1'}\n  yard: {url: 'rtsp://h/2'}\n  roof: {url: 'rtsp://h/3', enabled: false}\n"
)


def test_what_is_switched_off_is_not_read_and_says_so() -> None:
    found = switched(ROSTER, {"yard", "roof", "nobody"})
    assert [camera.name for camera in found.enabled] == ["gate"]
    assert [camera.name for camera in found.cameras if camera.is_switched_off] == ["yard"]
    assert switched(ROSTER, ()) == ROSTER


@pytest.mark.parametrize(
    ("name", "is_on", "off", "expected"),
    [
        ("gate", False, set(), {"gate"}),
        ("gate", False, {"gate"}, {"gate"}),
        ("gate", False, {"yard"}, {"gate", "yard"}),
        ("gate", True, {"gate", "yard"}, {"yard"}),
        ("gate", True, set(), set()),
        ("roof", False, set(), set()),
    ],
)
def test_an_order_makes_what_is_off(name: str, is_on: bool, off: set[str], expected: set[str]) -> None:
    assert after(SwitchCamera(name, is_on), ROSTER, frozenset(off), "cameras.yaml") == expected


def test_what_the_roster_disables_is_enabled_there() -> None:
    found = after(SwitchCamera("roof", True), ROSTER, frozenset(), "cameras.yaml")
    assert isinstance(found, Refused)
    assert found.why == "camera roof is disabled in cameras.yaml: it has `enabled: false` there"


@pytest.mark.parametrize("is_on", [True, False])
def test_who_is_not_in_the_roster_is_not_switched(is_on: bool) -> None:
    expected = NoSuchCamera("gaet", ", did you mean 'gate'?")
    assert after(SwitchCamera("gaet", is_on), ROSTER, frozenset(), "cameras.yaml") == expected


def test_it_outlives_a_restart_and_names_that_are_gone_do_not(tmp_path: Path) -> None:
    Switches(tmp_path).keep({"yard", "old"}, ROSTER)
    again = Switches(tmp_path)
    assert again.off == {"yard"}
    again.keep(again.off, roster_of("cameras: {gate: {url: 'rtsp://h/1'}}\n"))
    assert Switches(tmp_path).off == frozenset()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}'])
def test_a_damaged_file_is_forgotten(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    assert Switches(tmp_path).off == frozenset()


def test_a_disk_that_is_full_keeps_nobody_from_switching(tmp_path: Path) -> None:
    found = Switches(tmp_path / "gone")
    found.keep({"yard"}, ROSTER)
    assert found.off == {"yard"}
