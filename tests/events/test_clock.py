"""A wall clock that leaps: how long it is doubted, also by who is started again meanwhile."""

import json

import pytest

from events.clock import DOUBT_S, BelievedClock
from events.retention import DAY_S
from tests.events.sample import NIGHT

YEAR_S = 365 * DAY_S


class Machine:
    """A wall clock that can be set, and a monotonic one."""

    def __init__(self, path):
        self.path = path
        self.told = []
        self.now_s = 1000.0
        self.off_s = 0.0
        self.start()

    def start(self):
        self.clock = BelievedClock(self.path, self.told.append, lambda: self.now_s)

    def wait(self, seconds):
        self.now_s += seconds
        return self.clock.judge(NIGHT + self.now_s + self.off_s) - NIGHT - self.now_s


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "clock.json")


@pytest.mark.parametrize("step_s", [-YEAR_S, -3600.0, 3600.0, DAY_S])
def test_a_step_back_or_a_small_one_is_believed_at_once(machine, step_s):
    assert machine.wait(60) == 0
    machine.off_s = step_s
    assert machine.wait(60) == step_s
    assert machine.told == []


def test_a_leap_is_believed_after_an_hour_and_a_correction_at_once(machine):
    machine.wait(60)
    machine.off_s = YEAR_S
    assert machine.wait(60) == machine.wait(DOUBT_S - 1) == 0
    machine.off_s = 5.0
    assert machine.wait(60) == 5.0
    machine.off_s = YEAR_S
    assert machine.wait(60) == 5.0
    assert machine.wait(DOUBT_S) == YEAR_S
    assert len(machine.told) == 2


def test_who_is_started_again_meanwhile_doubts_it_again(machine):
    machine.wait(60)
    machine.off_s = YEAR_S
    for _ in range(3):
        assert machine.wait(DOUBT_S - 1) == 0
        machine.start()
    assert machine.wait(60) == 0
    assert machine.wait(DOUBT_S) == YEAR_S
    machine.start()
    assert machine.wait(60) == YEAR_S
    assert len(machine.told) == 4


def test_a_leap_while_nobody_looks_is_doubted_by_who_is_started_after_it(machine):
    machine.wait(60)
    machine.off_s = YEAR_S
    machine.start()
    assert machine.wait(60) == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot": "another", "ahead_s": 1.0}', '{"ahead_s": 1.0}'])
def test_what_another_boot_has_left_or_nobody_is_not_gone_by(machine, text):
    machine.path.write_text(text)
    machine.off_s = YEAR_S
    machine.start()
    assert machine.wait(60) == YEAR_S


def test_what_is_kept_is_written_seldom_and_follows(machine):
    machine.wait(60)
    assert json.loads(machine.path.read_text())["ahead_s"] == NIGHT
    machine.path.unlink()
    for _ in range(60):
        machine.off_s += 1.0
        machine.wait(60)
    assert not machine.path.exists()
    machine.off_s += 1.0
    machine.wait(60)
    assert json.loads(machine.path.read_text())["ahead_s"] == NIGHT + 61.0


def test_where_nothing_can_be_kept_it_works_for_this_life(tmp_path):
    machine = Machine(tmp_path / "missing" / "clock.json")
    machine.wait(60)
    machine.off_s = YEAR_S
    assert machine.wait(60) == 0
