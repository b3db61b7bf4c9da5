"""Capacity by value: what is adopted, and what is not."""

import pytest

from daemon.capacity import LEAST_ANSWERS, WINDOW_S, Capacities


def measured(*windows: tuple[int, float]) -> list[dict[str, float]]:
    """Return what each window of so many answers of so many seconds led to."""
    capacities = Capacities(["cpu:0", "cpu:1"], 0.0)
    found = []
    for number, (answers, engine_s) in enumerate(windows):
        for _ in range(answers):
            capacities.note_answer("cpu:0", engine_s)
        assert capacities.look(WINDOW_S * (number + 1) - 0.1) == {}
        found.append(capacities.look(WINDOW_S * (number + 1)))
    return found


def test_a_first_figure_is_adopted_once_there_are_enough_answers():
    assert measured((LEAST_ANSWERS - 1, 0.05), (LEAST_ANSWERS, 0.05)) == [{}, {"cpu:0": pytest.approx(20.0)}]


def test_one_that_wavers_is_not_adopted_and_one_that_changed_is():
    found = measured((100, 0.05), (100, 0.06), (100, 0.042), (100, 0.1))
    assert [list(each.values()) for each in found] == [[pytest.approx(20.0)], [], [], [pytest.approx(10.0)]]


def test_answers_that_took_no_time_are_not_counted():
    assert measured((1000, 0.0)) == [{}]


def test_a_device_that_is_not_measured_counts_as_the_slowest_that_is():
    capacities = Capacities(["a", "b", "c"], 0.0)
    assert (capacities.of("a"), capacities.measured("a")) == (1.0, None)
    for _ in range(LEAST_ANSWERS):
        capacities.note_answer("a", 0.02)
        capacities.note_answer("b", 0.1)
    capacities.look(WINDOW_S)
    assert [round(capacities.of(device)) for device in "abc"] == [50, 10, 10]
    assert capacities.measured("c") is None
