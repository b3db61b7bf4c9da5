"""Grouping: every camera on one tile, and nobody moves without need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.grouping import MosaicPlan, Seat, group


def places(plans):
    return {camera: (plan.name, i) for plan in plans for i, camera in enumerate(plan.cameras) if camera}


SEATS = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([None, None, None, "gate", "yard", "m0"])), max_size=24
).map(
    lambda pairs: [
        Seat(f"cam-{i}", mosaic)
        for n, (i, mosaic) in enumerate(pairs)
        if i not in [j for j, _ in pairs[:n]] and (mosaic is None or [m for _, m in pairs[:n]].count(mosaic) < 4)
    ]
)


def test_cameras_fill_mosaics_in_roster_order():
    plans = group([Seat(name) for name in "abcdef"])
    assert plans == (MosaicPlan("m1", tuple("abcd")), MosaicPlan("m2", ("e", "f", None, None)))


def test_a_camera_that_asks_for_a_mosaic_gets_it_and_others_do_not_fill_it():
    plans = group([Seat("a", "gate"), Seat("b"), Seat("c", "gate")])
    assert plans == (MosaicPlan("gate", ("a", "c", None, None)), MosaicPlan("m1", ("b", None, None, None)))


def test_a_fifth_camera_in_one_mosaic_is_refused():
    with pytest.raises(ValueError, match="more than 4 cameras ask for mosaic gate"):
        group([Seat(name, "gate") for name in "abcde"])


@pytest.mark.parametrize("name", ["m1", "m27"])
def test_a_mosaic_named_like_an_automatic_one_is_refused(name):
    with pytest.raises(ValueError, match="automatic"):
        group([Seat("a"), Seat("b", name)])


def test_an_empty_mosaic_disappears_and_its_name_is_free_again():
    before = group([Seat(name) for name in "abcde"])
    after = group([Seat("e"), Seat("f")], before)
    assert places(after) == {"e": ("m2", 0), "f": ("m2", 1)}


@given(SEATS)
def test_everybody_sits_once_and_where_he_asked(seats):
    plans = group(seats)
    at = places(plans)
    assert set(at) == {seat.camera for seat in seats}
    assert sum(camera is not None for plan in plans for camera in plan.cameras) == len(seats)
    assert len({plan.name for plan in plans}) == len(plans)
    assert all(at[seat.camera][0] == seat.mosaic for seat in seats if seat.mosaic)


@given(SEATS, st.data())
def test_removing_a_camera_moves_no_other(seats, data):
    before = group(seats)
    if not seats:
        return
    gone = data.draw(st.sampled_from(seats))
    after = places(group([seat for seat in seats if seat != gone], before))
    assert after == {camera: place for camera, place in places(before).items() if camera != gone.camera}


@given(SEATS, st.integers(0, 24))
def test_adding_a_camera_moves_no_other(seats, where):
    before = group(seats)
    more = [*seats[:where], Seat("new"), *seats[where:]]
    after = places(group(more, before))
    assert {camera: place for camera, place in after.items() if camera != "new"} == places(before)


@given(SEATS)
def test_grouping_again_changes_nothing(seats):
    plans = group(seats)
    assert group(seats, plans) == plans
