"""Placement by value: who answers which mosaic, and that nobody moves without a reason."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from daemon import placement
from daemon.placement import Owner, Wanted, find_cells, find_staff

names = st.lists(st.integers(0, 40).map(lambda n: f"m{n}"), max_size=20, unique=True)
owners = st.lists(st.integers(1, 8).map(lambda n: f"w{n}"), max_size=6, unique=True)


def find_homes(mosaics, owners, before):
    """Of mosaics and owners that are all alike."""
    return placement.find_homes(list(map(Wanted, mosaics)), list(map(Owner, owners)), before)


def find_seats(homes, up, before):
    return placement.find_seats(list(map(Wanted, homes)), homes, list(map(Owner, up)), before)


def moved(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {mosaic for mosaic in before if mosaic in after and after[mosaic] != before[mosaic]}


def spread(places: dict[str, str], among: list[str]) -> int:
    burdens = Counter(places.values())
    return max(burdens[owner] for owner in among) - min(burdens[owner] for owner in among)


@pytest.mark.parametrize(
    ("mosaics", "staff", "before", "homes"),
    [
        ([], [], {}, {}),
        ([], ["w1"], {}, {}),
        (["m1", "m2"], [], {"m1": "w1"}, {}),
        (["m1"], ["w1", "w2"], {}, {"m1": "w1"}),
        (["m1", "m2", "m3"], ["w1", "w2"], {}, {"m1": "w1", "m2": "w2", "m3": "w1"}),
        # whoever is gone leaves everything, the others keep theirs
        (["m1", "m2"], ["w2"], {"m1": "w1", "m2": "w2"}, {"m1": "w2", "m2": "w2"}),
        # one more than another is no reason to move
        (["m1", "m2", "m3"], ["w1", "w2"], dict.fromkeys(["m1", "m2"], "w2"), {"m1": "w2", "m2": "w2", "m3": "w1"}),
        # two more is: the last one moves
        (["m1", "m2"], ["w1", "w2"], dict.fromkeys(["m1", "m2"], "w1"), {"m1": "w1", "m2": "w2"}),
        # mosaics that are no more are forgotten
        (["m2"], ["w1", "w2"], {"m1": "w1", "m2": "w1"}, {"m2": "w1"}),
    ],
)
def test_homes(mosaics, staff, before, homes):
    assert find_homes(mosaics, staff, before) == homes


@pytest.mark.parametrize(
    ("workers", "spares", "given_up", "staff"),
    [
        ("", "", "", ""),
        ("w1 w2", "", "", "w1 w2"),
        ("w1 w2", "", "w1", "w2"),
        # a spare has no mosaics of its own
        ("w1 w2 w3", "w3", "", "w1 w2"),
        # ... until somebody is given up
        ("w1 w2 w3", "w3", "w1", "w2 w3"),
        ("w1 w2 w3", "w2", "w3", "w1 w2"),
        ("w1 w2 w3", "w3", "w1 w2", "w3"),
        # ... and it is not given up itself
        ("w1 w2 w3", "w3", "w1 w3", "w2"),
        ("w1 w2 w3", "w3", "w3", "w1 w2"),
        ("w1 w2 w3", "w3", "w1 w2 w3", ""),
        # of several, no more than are needed
        ("w1 w2 w3 w4", "w2 w4", "w3", "w1 w2"),
        ("w1 w2 w3 w4", "w2 w4", "w2 w3", "w1 w4"),
    ],
)
def test_staff(workers, spares, given_up, staff):
    assert find_staff(workers.split(), set(spares.split()), set(given_up.split())) == staff.split()


def test_a_spare_takes_what_a_dead_worker_had_and_gives_it_back():
    spare_first = ["w3", "w1", "w2"]
    homes = find_homes(["m1", "m2", "m3"], find_staff(["w1", "w2", "w3"], {"w3"}, set()), {})
    before = find_seats(homes, spare_first, {})
    assert before == homes == {"m1": "w1", "m2": "w2", "m3": "w1"}
    meanwhile = find_seats(homes, ["w3", "w2"], before)
    assert meanwhile == {"m1": "w3", "m2": "w2", "m3": "w3"}
    assert find_seats(homes, spare_first, meanwhile) == before


@pytest.mark.parametrize(
    ("homes", "up", "before", "seats"),
    [
        ({}, ["w1"], {}, {}),
        ({"m1": "w1"}, [], {"m1": "w1"}, {}),
        ({"m1": "w1", "m2": "w2"}, ["w1", "w2"], {}, {"m1": "w1", "m2": "w2"}),
        # a guest goes to the least burdened, and stays there
        ({"m1": "w1", "m2": "w2", "m3": "w3"}, ["w2", "w3"], {}, {"m1": "w2", "m2": "w2", "m3": "w3"}),
        ({"m1": "w1", "m2": "w2", "m3": "w3"}, ["w2", "w3"], {"m1": "w3"}, {"m1": "w3", "m2": "w2", "m3": "w3"}),
        # home is up again
        ({"m1": "w1", "m2": "w2"}, ["w1", "w2"], {"m1": "w2", "m2": "w2"}, {"m1": "w1", "m2": "w2"}),
        # whoever had it is down too
        ({"m1": "w1", "m2": "w2"}, ["w3"], {"m1": "w2"}, {"m1": "w3", "m2": "w3"}),
        # guests that stay are burdens for those who come
        ({"m1": "w1", "m2": "w1"}, ["w2", "w3"], {"m1": "w4", "m2": "w2"}, {"m1": "w3", "m2": "w2"}),
    ],
)
def test_seats(homes, up, before, seats):
    assert find_seats(homes, up, before) == seats


def test_a_worker_that_goes_and_comes_moves_only_its_own_mosaics_and_each_twice():
    mosaics, staff = [f"m{n}" for n in range(8)], ["w1", "w2", "w3"]
    homes = find_homes(mosaics, staff, {})
    seats, moves = find_seats(homes, staff, {}), Counter()
    for up in (["w1", "w3"], ["w1", "w3"], staff, staff):
        after = find_seats(homes, up, seats)
        moves.update(moved(seats, after))
        seats = after
    assert moves == dict.fromkeys([m for m in mosaics if homes[m] == "w2"], 2)
    assert seats == homes


@given(names, owners, st.dictionaries(st.integers(0, 40).map(lambda n: f"m{n}"), st.integers(1, 9).map("w{}".format)))
def test_homes_are_whole_and_balanced_within_one(mosaics, staff, before):
    homes = find_homes(mosaics, staff, before)
    assert set(homes) == (set(mosaics) if staff else set())
    assert set(homes.values()) <= set(staff)
    if homes:
        assert spread(homes, staff) <= 1
    assert find_homes(mosaics, staff, homes) == homes, "settled"


@given(names, owners, st.data())
def test_when_one_is_gone_for_good_only_its_mosaics_move(mosaics, staff, data):
    homes = find_homes(mosaics, staff, {})
    if len(staff) < 2:
        return
    gone = data.draw(st.sampled_from(staff))
    after = find_homes(mosaics, [owner for owner in staff if owner != gone], homes)
    assert moved(homes, after) == {m for m in mosaics if homes[m] == gone}


@given(names, owners, owners)
def test_a_newcomer_takes_no_more_than_its_share(mosaics, staff, others):
    homes = find_homes(mosaics, staff, {})
    if not staff:
        return
    everybody = [*staff, *(owner for owner in others if owner not in staff)]
    after = find_homes(mosaics, everybody, homes)
    assert {after[m] for m in moved(homes, after)} <= set(everybody) - set(staff)


@given(names, owners, st.lists(owners, max_size=8))
def test_seats_whoever_is_up(mosaics, staff, shifts):
    homes = find_homes(mosaics, staff, {})
    seats: dict[str, str] = {}
    was_up: list[str] = []
    for shift in shifts:
        up = [owner for owner in staff if owner in shift]
        after = find_seats(homes, up, seats)
        assert set(after) == (set(homes) if up else set())
        for mosaic, seat in after.items():
            assert seat in up
            if homes[mosaic] in up:
                assert seat == homes[mosaic], "who is up has its own"
            elif seats.get(mosaic) in up:
                assert seat == seats[mosaic], "a guest's host does not change"
        if seats and was_up == up:
            assert after == seats
        seats, was_up = after, up


@given(names, owners)
def test_after_one_goes_down_burdens_are_as_even_as_least_movement_lets_them(mosaics, staff):
    homes = find_homes(mosaics, staff, {})
    if len(staff) < 2:
        return
    up = staff[1:]
    seats = find_seats(homes, up, homes)
    if seats:
        assert spread(seats, up) <= 1


def owners_of(**capacities: float) -> list[Owner]:
    return [Owner(name, capacity=capacity) for name, capacity in capacities.items()]


def test_who_can_do_more_has_more():
    mosaics = [Wanted(f"m{n}", 5.0) for n in range(8)]
    homes = placement.find_homes(mosaics, owners_of(slow=10.0, fast=30.0), {})
    assert Counter(homes.values()) == {"fast": 6, "slow": 2}


def test_a_slow_mosaic_weighs_less():
    mosaics = [Wanted("busy", 10.0), Wanted("a", 2.0), Wanted("b", 2.0), Wanted("c", 2.0)]
    homes = placement.find_homes(mosaics, owners_of(w1=20.0, w2=20.0), {})
    assert homes == {"busy": "w1", "a": "w2", "b": "w2", "c": "w2"}


def test_of_two_equal_workers_the_one_on_the_emptier_device_is_chosen():
    owners = [Owner("w1", "cpu:0"), Owner("w2", "cpu:0"), Owner("w3", "cpu:1")]
    homes = placement.find_homes([Wanted("m1"), Wanted("m2")], owners, {})
    assert homes == {"m1": "w1", "m2": "w3"}


def test_a_capacity_that_wavers_moves_nobody():
    mosaics = [Wanted(f"m{n}", 5.0) for n in range(8)]
    homes = placement.find_homes(mosaics, owners_of(w1=20.0, w2=20.0), {})
    for wavering in (16.5, 24.0, 18.0, 22.0):
        assert placement.find_homes(mosaics, owners_of(w1=20.0, w2=wavering), homes) == homes


def test_the_least_important_moves_first():
    mosaics = [Wanted("high"), Wanted("normal"), Wanted("low")]
    before = dict.fromkeys(("high", "normal", "low"), "w1")
    assert placement.find_homes(mosaics, owners_of(w1=1.0, w2=1.0), before) == before | {"low": "w2"}


@pytest.mark.parametrize(
    ("isolated", "staff", "spares", "before", "cells"),
    [
        ("", "w1 w2", "", {}, {}),
        # nobody can be spared
        ("m1", "w1", "", {}, {}),
        ("m1", "w1 w2", "", {}, {"m1": "w2"}),
        # a spare first
        ("m1", "w1 w2", "w3", {}, {"m1": "w3"}),
        ("m1", "w1", "w3", {}, {"m1": "w3"}),
        # it keeps what it had
        ("m1", "w1 w2 w3", "", {"m1": "w2"}, {"m1": "w2"}),
        # each its own, while there are enough
        ("m1 m2", "w1 w2 w3", "", {}, {"m1": "w3", "m2": "w2"}),
        ("m1 m2", "w1 w2 w3", "", {"m2": "w3"}, {"m2": "w3", "m1": "w2"}),
        ("m1 m2", "w1 w2", "", {}, {"m1": "w2", "m2": "w2"}),
        # whose cell was given up gets another
        ("m1", "w1 w2", "", {"m1": "w3"}, {"m1": "w2"}),
    ],
)
def test_cells(isolated, staff, spares, before, cells):
    assert find_cells(isolated.split(), staff.split(), spares.split(), before) == cells


class Shifts(RuleBasedStateMachine):
    """Workers come, go, are given up and measured anew; mosaics are isolated and released; in any order."""

    @initialize(
        workers=st.integers(1, 6),
        spares=st.integers(0, 2),
        devices=st.integers(1, 3),
        rates=st.lists(st.sampled_from([0.5, 1.0, 5.0]), max_size=12),
    )
    def plan(self, workers, spares, devices, rates):
        self.workers = [f"w{n}" for n in range(1, workers + spares + 1)]
        self.spares = self.workers[workers:]
        self.device = {name: f"d{n % devices}" for n, name in enumerate(self.workers)}
        self.mosaics = [Wanted(f"m{n}", rate) for n, rate in enumerate(rates)]
        self.capacity = dict.fromkeys(self.device.values(), 20.0)
        self.given_up: set[str] = set()
        self.up = set(self.workers)
        self.isolated: set[str] = set()
        self.homes: dict[str, str] = {}
        self.seats: dict[str, str] = {}
        self.cells: dict[str, str] = {}
        self.place()

    def owners(self, names) -> list[Owner]:
        return [Owner(name, self.device[name], self.capacity[self.device[name]]) for name in names]

    def compute(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        staff = find_staff(self.workers, self.spares, self.given_up)
        free = [name for name in self.spares if name not in self.given_up]
        cells = find_cells(self.isolated, staff, free, self.cells)
        shut = set(cells.values())
        others = [mosaic for mosaic in self.mosaics if mosaic.name not in cells]
        homes = placement.find_homes(others, self.owners(name for name in staff if name not in shut), self.homes)
        up = self.owners(name for name in self.workers if name in self.up - shut)
        seats = placement.find_seats(others, homes, up, self.seats) if homes else {}
        return cells, homes, seats

    def place(self) -> set[str]:
        """Place, and return the mosaics whose seat or cell has changed."""
        before = self.seats | self.cells
        self.cells, self.homes, self.seats = self.compute()
        return moved(before, self.seats | self.cells)

    @rule(data=st.data())
    def one_goes_down(self, data):
        if self.up:
            name = data.draw(st.sampled_from(sorted(self.up)))
            had = {mosaic for mosaic, seat in self.seats.items() if seat == name}
            self.up.discard(name)
            assert self.place() <= had, "nobody else's mosaics move"

    @rule(data=st.data())
    def one_comes_back(self, data):
        down = sorted(set(self.workers) - self.up - self.given_up)
        if down:
            name = data.draw(st.sampled_from(down))
            self.up.add(name)
            moved = self.place()
            assert all(self.homes[mosaic] == name for mosaic in moved), "only its own come back"
            assert all(self.seats[mosaic] == name for mosaic, home in self.homes.items() if home == name)

    @rule(data=st.data())
    def one_is_given_up_or_revived(self, data):
        name = data.draw(st.sampled_from(self.workers))
        self.given_up ^= {name}
        self.up.discard(name)
        self.place()

    @rule(data=st.data(), capacity=st.sampled_from([5.0, 10.0, 20.0, 40.0]))
    def one_is_measured(self, data, capacity):
        self.capacity[data.draw(st.sampled_from(sorted(self.capacity)))] = capacity
        self.place()

    @rule(data=st.data())
    def one_is_isolated_or_released(self, data):
        if self.mosaics:
            self.isolated ^= {data.draw(st.sampled_from(self.mosaics)).name}
            self.place()

    @invariant()
    def everybody_is_placed_once_if_anybody_is_there(self):
        able = [name for name in self.workers if name not in self.given_up and name not in self.cells.values()]
        assert not self.cells.keys() & self.homes.keys()
        if find_staff(self.workers, self.spares, self.given_up):
            assert self.cells.keys() | self.homes.keys() == {mosaic.name for mosaic in self.mosaics}
        assert self.cells.keys() <= self.isolated
        assert set(self.seats.values()) <= self.up & set(able)
        if self.up & set(able):
            assert self.seats.keys() == self.homes.keys()

    @invariant()
    def nothing_oscillates(self):
        assert self.compute() == (self.cells, self.homes, self.seats)


TestShifts = Shifts.TestCase
TestShifts.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
