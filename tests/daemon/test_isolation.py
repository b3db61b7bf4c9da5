"""Isolation by value: which mosaics are kept apart, for how long, and that the innocent are not."""

from daemon.isolation import HOLD, ISOLATED_FROM, Suspects

STABLE_S = 600.0


def killer(deaths: int, *, can_isolate: bool = True) -> Suspects:
    suspects = Suspects(STABLE_S)
    for number in range(deaths):
        suspects.note_death({"m1"}, float(number), 0.0, can_isolate=can_isolate)
    return suspects


def test_in_hand_at_three_deaths_in_a_row_is_isolated():
    assert not killer(ISOLATED_FROM - 1).isolated
    assert killer(ISOLATED_FROM).isolated == {"m1"}
    assert not killer(ISOLATED_FROM).held(2.0)


def test_an_answer_between_clears_a_mosaic():
    suspects = killer(ISOLATED_FROM - 1)
    suspects.note_answer("m1")
    suspects.note_death({"m1"}, 5.0, 0.0, can_isolate=True)
    assert not suspects.isolated


def test_deaths_with_others_in_hand_count_for_each_that_was_not_answered():
    suspects = Suspects(STABLE_S)
    for in_hand in ({"m1", "m2"}, {"m1", "m3"}, {"m1", "m2"}):
        suspects.note_death(in_hand, 0.0, 0.0, can_isolate=True)
    assert suspects.isolated == {"m1"}


def test_one_that_kills_the_worker_it_has_to_itself_is_held_ever_longer():
    suspects = killer(ISOLATED_FROM + 1)
    died_s = float(ISOLATED_FROM)
    assert suspects.held(died_s + HOLD.first_s - 1) == {"m1"}
    assert not suspects.held(died_s + HOLD.first_s)
    suspects.note_death({"m1"}, 1000.0, 0.0, can_isolate=True)
    assert suspects.held(1000.0 + 2 * HOLD.first_s - 1) == {"m1"}
    assert not suspects.held(1000.0 + 2 * HOLD.first_s)


def test_where_nobody_can_be_spared_it_is_held_at_once():
    assert killer(ISOLATED_FROM, can_isolate=False).held(ISOLATED_FROM) == {"m1"}


def test_after_long_enough_without_harm_it_is_released_once():
    suspects = killer(ISOLATED_FROM)
    assert suspects.released(1e9) == [], "it was never answered"
    suspects.note_answer("m1")
    assert suspects.released(2.0 + STABLE_S - 0.1) == []
    assert suspects.isolated == {"m1"}
    assert suspects.released(2.0 + STABLE_S) == ["m1"]
    assert not suspects.isolated
    assert suspects.released(1e9) == []
