"""The filter of boxes by value."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.motion import Motion, sizes, to_corners, to_middles

BOX = np.array([[100.0, 200.0, 40.0, 90.0]])
sides = st.floats(1.0, 2000.0)
boxes = st.tuples(st.floats(-2000.0, 4000.0), st.floats(-2000.0, 4000.0), sides, sides)


def test_corners_and_middle_are_the_same_box():
    assert to_corners(BOX).tolist() == [[80.0, 155.0, 120.0, 245.0]]
    assert to_middles(to_corners(BOX)).tolist() == BOX.tolist()
    assert sizes(BOX) == pytest.approx(60.0)


@given(box=boxes, first=st.floats(0.01, 3.0), second=st.floats(0.01, 3.0))
def test_two_steps_say_what_one_of_the_same_length_says(box, first, second):
    once, twice = Motion.of(np.array([box])), Motion.of(np.array([box]))
    once.advance(first + second)
    twice.advance(first)
    twice.advance(second)
    for field in fields(Motion):
        assert getattr(twice, field.name) == pytest.approx(getattr(once, field.name), rel=1e-9)


def test_a_steady_walk_is_known_after_a_few_answers_at_any_rate():
    for steps_s in ([0.1] * 20, [0.5] * 5, [0.1, 0.9, 0.3, 0.2, 0.7, 0.5, 0.4]):
        motion, at_s = Motion.of(BOX.copy()), 0.0
        for step_s in steps_s:
            at_s += step_s
            motion.advance(step_s)
            motion.see(np.array([0]), BOX + np.array([50.0 * at_s, -20.0 * at_s, 0.0, 0.0]))
        assert motion.rate[0, :2] == pytest.approx([50.0, -20.0], rel=0.2)
        assert motion.at[0] == pytest.approx(BOX[0] + [50.0 * at_s, -20.0 * at_s, 0.0, 0.0], abs=5.0)


@given(box=boxes, steps=st.lists(st.tuples(st.floats(0.01, 30.0), boxes, st.booleans()), max_size=30))
def test_no_box_is_turned_inside_out_and_no_variance_falls_below_zero(box, steps):
    motion = Motion.of(np.array([box]))
    for step_s, seen, is_seen in steps:
        motion.advance(step_s)
        assert (motion.at[:, 2:] >= 1.0).all()
        if is_seen:
            motion.see(np.array([0]), np.array([seen]))
        assert (motion.var > 0).all()
        assert (motion.var * motion.var_rate >= np.square(motion.covar) * (1 - 1e-6)).all()


def test_what_was_seen_once_is_surer_with_every_look():
    motion = Motion.of(BOX.copy())
    doubts = []
    for _ in range(5):
        motion.advance(0.2)
        motion.see(np.array([0]), BOX)
        doubts.append(motion.var[0, 0])
    assert doubts == sorted(doubts, reverse=True)


def test_rows_are_kept_and_added_together():
    motion = Motion.of(np.array([BOX[0], 2 * BOX[0], 3 * BOX[0]]))
    motion.keep(np.array([True, False, True]))
    motion.append(Motion.of(4 * BOX))
    assert len(motion) == 3
    assert motion.at[:, 0].tolist() == [100.0, 300.0, 400.0]
    assert {getattr(motion, field.name).shape for field in fields(Motion)} == {(3, 4)}
