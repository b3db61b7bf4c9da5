"""Schedules by value: what happens when, and what is said of one that makes no sense."""

from collections import Counter
from itertools import islice

import pytest

from simulator.faults import Close, Hang, Loss, Switch
from simulator.schedule import (
    RANDOM_KINDS,
    Chance,
    Happening,
    Planned,
    ScheduleError,
    happenings,
    possibilities,
    read_schedule,
)

CAMERAS = ("cam-01", "cam-02", "cam-03")


def read(text: str) -> tuple[Planned | Chance, ...]:
    return read_schedule("faults.yaml", text, CAMERAS)


def test_entries_in_the_order_of_time() -> None:
    entries = read(
        """
- {at_s: 10, camera: cam-03, kind: hang, for_s: 20}
- {at_s: 5, every_s: 10, cameras: [1, cam-02, 1], kind: loss, ratio: 0.5, for_s: 1}
- {camera: all, kind: close}
"""
    )
    loss = Loss(ratio=0.5, for_s=1)
    assert [*islice(happenings(entries), 8)] == [
        *(Happening(0, name, Close()) for name in CAMERAS),
        *(Happening(5, name, loss) for name in CAMERAS[:2]),
        Happening(10, "cam-03", Hang(for_s=20)),
        *(Happening(15, name, loss) for name in CAMERAS[:2]),
    ]


def test_schedule_without_repetition_ends() -> None:
    assert len([*happenings(read("[{camera: all, kind: hang}, {camera: 2, kind: close, at_s: 3}]"))]) == 4
    assert [*happenings(read("[]"))] == []


def test_chance_hits_all_cameras_with_all_kinds_at_its_rate() -> None:
    (entry,) = read("- {at_s: 3, random: {seed: 1, rate_hz: 2, for_s: 7}}")
    drawn = [*islice(happenings([entry]), 1000)]
    assert [happening.at_s for happening in drawn[:3]] == [3, 3.5, 4]
    assert Counter(happening.camera for happening in drawn).keys() == set(CAMERAS)
    assert Counter(happening.fault.kind for happening in drawn).keys() == set(RANDOM_KINDS)
    assert {happening.fault.for_s for happening in drawn} == {7}
    assert {happening.fault.to for happening in drawn if isinstance(happening.fault, Switch)} == set(CAMERAS)
    assert drawn == [*islice(happenings(read("- {at_s: 3, random: {seed: 1, rate_hz: 2, for_s: 7}}")), 1000)]


def test_chance_among_some() -> None:
    (entry,) = read("- {cameras: [2], random: {kinds: [hang, {kind: loss, ratio: 0.25, for_s: 2}]}}")
    drawn = {(happening.camera, happening.fault) for happening in islice(happenings([entry]), 100)}
    assert drawn == {("cam-02", Hang(for_s=10)), ("cam-02", Loss(ratio=0.25, for_s=2))}
    assert {*possibilities(entry)} == drawn


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no YAML: while parsing"),
        ("[" * 5000, "no YAML: nested too deeply"),
        ("kind: hang", "should be a list, such as: - {at_s: 10, "),
        ("- hang", "entry 1: should be a mapping with a kind, is str"),
        ("- {camera: all, kind: hang}\n- {camera: all, kind: hnag}", "entry 2: no kind 'hnag'; did you mean 'hang'?"),
        ("- {camera: cam-3, kind: hang}", "entry 1: no camera 'cam-3'; did you mean 'cam-03'?"),
        ("- {camera: 4, kind: hang}", "entry 1: no camera '4'; there are cam-01, cam-02, cam-03"),
        ("- {kind: hang}", "entry 1: needs either camera (a name, a number or all) or cameras (a list)"),
        ("- {camera: 1, cameras: [2], kind: hang}", "entry 1: needs either camera"),
        ("- {cameras: 1, kind: hang}", "entry 1: cameras: should be a list"),
        ("- {camera: all, kind: hang, at: 3}", "entry 1: no field of hang 'at'; did you mean 'at_s'?"),
        ("- {camera: all, kind: hang, fro_s: 3}", "entry 1: no field of hang 'fro_s'; did you mean 'for_s'?"),
        ("- {camera: all, kind: hang, at_s: -3}", "entry 1: Expected `float` >= 0.0 - at `$.at_s`"),
        ("- {camera: all, kind: loss, ratio: much}", "entry 1: loss: ratio: Expected `float`, got `str`"),
        ("- {random: {rate: 3}}", "entry 1: no field of random 'rate'; did you mean 'rate_hz'?"),
        ("- {random: {rate_hz: 0}}", "entry 1: random: Expected `float` > 0.0 - at `$.rate_hz`"),
        ("- {random: {kinds: [hnag]}}", "entry 1: no kind 'hnag'; did you mean 'hang'?"),
        ("- {random: {kinds: []}}", "entry 1: random: kinds: names none"),
        ("- {random: 3}", "entry 1: random: should be a mapping"),
        ("- {random: {}, kind: hang}", "entry 1: no field beside random 'kind'; there are at_s, "),
    ],
)
def test_nonsense(text: str, said: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        read(text)
    assert str(caught.value).startswith(f"faults.yaml: {said}")
