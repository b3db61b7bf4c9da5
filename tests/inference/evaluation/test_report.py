"""What is made of outcomes."""

from datetime import UTC, datetime

import numpy as np
import pytest

from inference.engine import Precision
from inference.evaluation.arrangement import Input
from inference.evaluation.bootstrap import Difference
from inference.evaluation.precision import Judged, judge
from inference.evaluation.report import AccuracyRow, Combination, Outcome, rows, verdicts_of
from inference.evaluation.tables import accuracy_table, problems, recall_table
from tests.inference.evaluation.examples import Box, found, objects

HERE: Box = (0, 0, 40, 40)
FAR: Box = (60, 60, 99, 99)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def pictures(number: int, missed: int) -> list[Judged]:
    """Each with one object, which is found but in the first ones."""
    seen = [found((FAR if index < missed else HERE, 0.9, 0)) for index in range(number)]
    return [judge(one, objects((HERE, 0))) for one in seen]


def outcome(way: Input, missed: int, precision: Precision = "float32", number: int = 40) -> Outcome:
    judged = pictures(number, missed)
    crosses = [np.array([index % 4 == 0]) for index in range(number)]
    return Outcome(Combination("openvino", precision, way), tuple(judged), ((0.25, 0.25),) * number, tuple(crosses))


def test_a_row_has_the_figures_of_its_outcome() -> None:
    [row] = rows([outcome(Input.SINGLE, missed=10)], np.arange(40), 0.25)
    assert row.recall_ratio == row.precision_ratio == 0.75
    assert 55 < row.map_points < 80
    assert row.crossing_ratio == 0.25
    assert [item.objects for item in row.by_picture_size] == [0, 40, 0]
    assert [(item.size, item.found) for item in row.by_tile_size if item.objects] == [("<12", 30)]
    assert (row.tax, row.loss, row.refuted) == (None, None, None)


def test_a_threshold_takes_weak_boxes_out_of_recall_but_not_out_of_map() -> None:
    at_half, above = (rows([outcome(Input.SINGLE, 0)], np.arange(40), score)[0] for score in (0.5, 0.95))
    assert (at_half.recall_ratio, above.recall_ratio) == (1.0, 0.0)
    assert above.precision_ratio is None
    assert at_half.map_points == above.map_points == 100


def test_precision_is_of_the_classes_that_have_ground_truth() -> None:
    seen = found((HERE, 0.9, 0), (FAR, 0.8, 0), (FAR, 0.7, 5))
    one = Outcome(
        Combination("openvino", "float32", Input.SINGLE),
        (judge(seen, objects((HERE, 0))),),
        ((1, 1),),
        (np.zeros(3, np.bool_),),
    )
    [row] = rows([one], np.arange(1), 0.25)
    assert row.precision_ratio == 0.5


def test_the_tax_is_against_the_single_frame_of_the_same_precision() -> None:
    outcomes = [
        outcome(Input.SINGLE, 0),
        outcome(Input.MOSAIC, 20),
        outcome(Input.SINGLE, 20, "bfloat16"),
        outcome(Input.MOSAIC, 20, "bfloat16"),
    ]
    table = rows(outcomes, np.arange(40), 0.25)
    assert table[0].tax is None
    assert table[1].tax is not None
    assert table[1].tax.high < -10
    assert table[3].tax == Difference(0.0, 0.0, 0.0)


def test_a_precision_is_held_against_float32_of_the_same_input() -> None:
    outcomes = [
        outcome(Input.SINGLE, 0),
        outcome(Input.MOSAIC, 0),
        outcome(Input.SINGLE, 0, "bfloat16"),
        outcome(Input.MOSAIC, 20, "bfloat16"),
    ]
    table = rows(outcomes, np.arange(40), 0.25)
    assert [row.refuted for row in table] == [None, None, False, True]
    [verdict] = verdicts_of(table, "ab", 40, NOW)
    assert (verdict.engine, verdict.precision, verdict.pictures, verdict.measured_at) == (
        "openvino",
        "bfloat16",
        40,
        NOW,
    )
    assert verdict.refutes
    assert (verdict.points, verdict.high) == (table[3].loss.points, table[3].loss.high)  # type: ignore[union-attr]


def test_a_loss_that_is_not_sure_refutes_nothing() -> None:
    outcomes = [outcome(Input.SINGLE, 0, number=8), outcome(Input.SINGLE, 1, "bfloat16", number=8)]
    table = rows(outcomes, np.arange(8), 0.25)
    assert table[1].loss is not None
    assert table[1].loss.points < -5
    assert table[1].refuted is False


def test_what_failed_has_its_problem_and_the_others_stand() -> None:
    failed = Outcome(Combination("openvino", "float32", Input.SINGLE), (), (), (), "out of memory")
    table = rows([failed, outcome(Input.MOSAIC, 0)], np.arange(40), 0.25)
    assert (table[0].problem, table[1].problem) == ("out of memory", "")
    assert table[1].tax is None
    assert problems(table) == ["openvino float32 single: out of memory"]
    assert verdicts_of(table, "ab", 40, NOW) == ()


def test_tables_show_every_row() -> None:
    failed = Outcome(Combination("tensorflow", "float32", Input.SINGLE), (), (), (), "out of memory")
    table = rows([outcome(Input.SINGLE, 4), outcome(Input.MOSAIC, 20), failed], np.arange(40), 0.25)
    shown = accuracy_table(table, "title")
    assert shown.row_count == 3
    by_size = recall_table(table[:2], "title")
    assert by_size.row_count == 2
    tax = list(shown.columns[4].cells)
    assert tax[0] == tax[2] == "-"
    assert tax[1].startswith("-")
    assert " to " in tax[1]
    assert len(by_size.columns) == 3 + 3 + 5


@pytest.mark.parametrize("way", list(Input))
def test_pictures_without_objects_give_no_number(way: Input) -> None:
    empty = Outcome(
        Combination("openvino", "float32", way), (judge(found(), objects()),), ((1, 1),), (np.zeros(0, np.bool_),)
    )
    [row] = rows([empty], np.arange(1), 0.25)
    assert isinstance(row, AccuracyRow)
    assert np.isnan(row.map_points)
    assert (row.recall_ratio, row.precision_ratio, row.crossing_ratio) == (None, None, None)
