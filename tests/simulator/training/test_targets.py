"""Which slots are to say what."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.training.targets import IGNORED, NEGATIVE, POSITIVE, Grid, Labelled, assign

FINE = Grid(rows=8, columns=12, stride=8, anchors_wh=((10.0, 20.0), (20.0, 10.0)))
COARSE = Grid(rows=4, columns=6, stride=16, anchors_wh=((60.0, 40.0),))


def labelled(*boxes, classes=None, learned=None):
    count = len(boxes)
    return Labelled(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(classes if classes is not None else range(count), np.int64),
        np.array(learned if learned is not None else [True] * count, np.bool_),
    )


def around(x, y, w, h):
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def slots(target, state):
    """Return (row, column, anchor) of all slots in a state."""
    return {tuple(map(int, at)) for at in np.argwhere(target[..., 5] == state)}


def test_nothing_there_is_negative_everywhere():
    fine, coarse = assign(labelled(), (FINE, COARSE))
    assert fine.shape == (8, 12, 2, 6)
    assert coarse.shape == (4, 6, 1, 6)
    assert (fine[..., 5] == NEGATIVE).all() and (coarse[..., 5] == NEGATIVE).all()


def test_a_box_goes_to_its_cell_and_the_two_nearest_of_the_anchor_of_its_shape():
    # Centre (42, 29): column 5.25, row 3.6; left of its cell's middle and below it.
    box = around(42, 29, 10, 20)
    fine, coarse = assign(labelled(box, classes=[4]), (FINE, COARSE))
    # The other anchor is twice as wide and half as high: within the limit of 2.5 as well.
    assert slots(fine, POSITIVE) == {(row, column, a) for row, column in ((3, 5), (3, 4), (4, 5)) for a in (0, 1)}
    np.testing.assert_allclose(fine[3, 5, 0], (*box, 4, POSITIVE))
    assert slots(coarse, POSITIVE) == set()


def test_a_box_unlike_all_anchors_gets_the_most_similar_one():
    fine, coarse = assign(labelled(around(50, 30, 90, 6)), (FINE, COARSE))
    assert slots(fine, POSITIVE) | slots(coarse, POSITIVE)
    assert len({a for _, _, a in slots(fine, POSITIVE)}) + bool(slots(coarse, POSITIVE)) == 1


def test_cells_outside_of_the_map_are_left_out():
    fine, _ = assign(labelled(around(2, 2, 10, 20)), (FINE, COARSE))
    assert {(row, column) for row, column, _ in slots(fine, POSITIVE)} == {(0, 0)}


def test_two_boxes_in_one_cell_both_get_a_slot_there():
    rider, machine = around(44, 28, 10, 22), around(44, 29, 11, 19)
    fine, _ = assign(labelled(rider, machine, classes=[0, 1]), (FINE, COARSE))
    assert {fine[3, 5, 0, 4], fine[3, 5, 1, 4]} == {0.0, 1.0}


def test_an_unlearned_box_silences_the_cells_around_it():
    fine, coarse = assign(labelled(around(44, 28, 10, 20), learned=[False]), (FINE, COARSE))
    assert slots(fine, IGNORED) == {(row, column, a) for row in (2, 3, 4) for column in (4, 5, 6) for a in (0, 1)}
    assert slots(fine, POSITIVE) | slots(coarse, POSITIVE) | slots(coarse, IGNORED) == set()


def test_an_unlearned_box_takes_nothing_from_a_learned_one():
    box = around(44, 28, 10, 20)
    fine, _ = assign(labelled(box, box, learned=[False, True]), (FINE, COARSE))
    alone, _ = assign(labelled(box), (FINE, COARSE))
    assert slots(fine, POSITIVE) == slots(alone, POSITIVE)


boxes = st.tuples(st.floats(0, 96), st.floats(0, 64), st.floats(1, 90), st.floats(1, 60)).map(lambda b: around(*b))


@settings(deadline=None)
@given(st.lists(boxes, max_size=8), st.data())
def test_positive_slots_hold_learned_boxes_near_them(drawn, data):
    learned = [data.draw(st.booleans()) for _ in drawn]
    things = labelled(*drawn, learned=learned)
    for grid, target in zip((FINE, COARSE), assign(things, (FINE, COARSE)), strict=True):
        for row, column, anchor in slots(target, POSITIVE):
            *box, class_id, _ = target[row, column, anchor]
            assert learned[int(class_id)]
            np.testing.assert_allclose(box, things.xyxy[int(class_id)])
            x, y = (box[0] + box[2]) / 2 / grid.stride, (box[1] + box[3]) / 2 / grid.stride
            # What scale_x_y = 2 can reach; a centre on the very edge belongs to the last cell.
            assert column - 0.5 <= x <= column + 1.5 and row - 0.5 <= y <= row + 1.5


cells = st.tuples(st.integers(0, 11), st.integers(0, 7))
places = st.lists(st.tuples(cells, st.sampled_from([(9, 22), (19, 11)])), max_size=6, unique_by=lambda place: place[0])


@settings(deadline=None)
@given(places, st.floats(0.5, 7.5), st.floats(0.5, 7.5))
def test_boxes_of_different_cells_all_get_their_own_cell(placed, x, y):
    drawn = [around(8 * column + x, 8 * row + y, *wh) for (column, row), wh in placed]
    fine, _ = assign(labelled(*drawn), (FINE, COARSE))
    for box, ((column, row), _) in enumerate(placed):
        at_home = fine[row, column][fine[row, column, :, 5] == POSITIVE]
        assert box in at_home[:, 4]
