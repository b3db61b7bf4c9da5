"""The camera's state machine, transition by transition."""

import pytest

from capture import camerastate
from capture.camerastate import CameraLife, Condition
from capture.words import CameraState, Reason

UP = Condition(CameraState.STREAMING, None)


def down(reason, state=CameraState.BACKOFF):
    return Condition(state, reason, "why")


def test_a_frame_makes_it_streaming_and_forgets_the_reason():
    life = camerastate.frame(camerastate.fail(CameraLife(), Reason.REFUSED, "why"), now_s=5.0)
    assert (life.state, life.reason, life.streaming_since_s) == (CameraState.STREAMING, None, 5.0)


def test_failures_are_not_forgotten_at_the_first_sign_of_life():
    life = CameraLife()
    for _ in range(4):
        life = camerastate.fail(camerastate.frame(camerastate.connect(life), 1.0), Reason.ENDED, "")
    assert life.failures == 4
    assert camerastate.retry_delay_s(life, chance=0.0) == 8.0


def test_failures_are_forgotten_after_ten_minutes_of_streaming():
    life = camerastate.frame(camerastate.fail(CameraLife(), Reason.ENDED, ""), now_s=0.0)
    assert camerastate.frame(life, now_s=599.0).failures == 1
    assert camerastate.frame(life, now_s=600.0).failures == 0


@pytest.mark.parametrize(
    ("reason", "first_s", "longest_s"),
    [
        (Reason.REFUSED, 1, 10),
        (Reason.TIMEOUT, 1, 10),
        (Reason.HANG, 1, 10),
        (Reason.ENDED, 1, 10),
        (Reason.NOT_FOUND, 5, 60),
        (Reason.NOT_VIDEO, 5, 60),
        (Reason.UNAUTHORIZED, 60, 600),
    ],
)
def test_delays_by_reason(reason, first_s, longest_s):
    life = camerastate.fail(CameraLife(), reason, "")
    assert camerastate.retry_delay_s(life, 0.0) == first_s
    for _ in range(30):
        life = camerastate.fail(life, reason, "")
    assert camerastate.retry_delay_s(life, 0.0) == longest_s


def test_streaming_without_a_frame_is_a_stall():
    life = camerastate.frame(CameraLife(), now_s=10.0)
    assert camerastate.condition(life, last_seen_s=10.0, now_s=12.0, stale_s=2.0) == UP
    stalled = camerastate.condition(life, last_seen_s=10.0, now_s=12.1, stale_s=2.0)
    assert (stalled.state, stalled.reason) == (CameraState.STALLED, Reason.HANG)


def test_a_frozen_picture_is_a_stall_of_its_own():
    life = camerastate.frame(CameraLife(), now_s=10.0)
    frozen = camerastate.condition(life, last_seen_s=71.0, now_s=71.0, stale_s=2.0, frozen_s=60.0)
    assert (frozen.state, frozen.reason) == (CameraState.STALLED, Reason.FROZEN)
    assert "60 s" in frozen.detail
    hanging = camerastate.condition(life, last_seen_s=60.0, now_s=71.0, stale_s=2.0, frozen_s=60.0)
    assert hanging.reason is Reason.HANG


@pytest.mark.parametrize(
    ("told", "now", "is_news"),
    [
        (None, Condition(CameraState.CONNECTING, None), False),
        (None, UP, True),
        (None, down(Reason.REFUSED), True),
        (UP, UP, False),
        (UP, down(Reason.HANG, CameraState.STALLED), True),
        (down(Reason.HANG, CameraState.STALLED), down(Reason.HANG), False),
        (down(Reason.REFUSED), down(Reason.REFUSED, CameraState.CONNECTING), False),
        (down(Reason.REFUSED), down(Reason.TIMEOUT), True),
        (down(Reason.TIMEOUT), UP, True),
        (UP, Condition(CameraState.STOPPED, None), False),
    ],
)
def test_a_person_is_told_once_for_each_change(told, now, is_news):
    assert now.is_news_after(told) is is_news
