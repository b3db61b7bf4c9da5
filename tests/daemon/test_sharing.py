"""Which teams are measured, and what their figures say: by value, with those of 2019."""

from pathlib import Path

import pytest
from rich.console import Console

from daemon.measurement import Row, parse_measurement
from daemon.quota import Denied, DeviceMemory, Granted, MemoryMode
from daemon.shareview import lines, rows_table, ways_table
from daemon.sharing import Way, figures, row_of, trials

ROWS = parse_measurement((Path(__file__).parent / "data" / "gtx1080.json").read_bytes()).rows
GTX_1080 = DeviceMemory(8192, 0, 500, 512)


def test_each_way_is_tried_with_each_number_then_one_worker_with_a_batch() -> None:
    ways = [Way(MemoryMode.ALL), Way(MemoryMode.GROWTH), Way(MemoryMode.FRACTION), Way(MemoryMode.FRACTION, 0.3)]
    assert [
        (str(trial), trial.fraction, trial.threads, isinstance(trial.decision, Granted))
        for trial in trials(GTX_1080, ways, (1, 3), cores=4)
    ] == [
        ("all, 1 worker", None, 4, True),
        ("growth, 1 worker", None, 4, True),
        ("growth, 3 workers", None, 1, True),
        ("fraction, 1 worker", 0.87, 4, True),
        ("fraction, 3 workers", 0.25, 1, True),
        ("fraction 0.3, 1 worker", 0.3, 4, True),
        ("fraction 0.3, 3 workers", 0.3, 1, False),
        ("all, 1 worker, batch 3", None, 4, True),
    ]


def test_threads_may_be_given_and_where_no_fraction_fits_that_is_refused() -> None:
    [trial] = trials(DeviceMemory(1000, 900), [Way(MemoryMode.FRACTION)], (1,), cores=4, threads=2)
    assert trial.threads == 2
    assert isinstance(trial.decision, Denied)
    assert str(trial.decision).endswith("no fraction fits so many")


def test_a_row_keeps_its_trial() -> None:
    [trial] = trials(GTX_1080, [Way(MemoryMode.FRACTION, 0.25)], (3,), cores=2)[:1]
    row = row_of(trial, (0.1, 0.2, 0.3), (9.0,), "")
    assert row == Row(MemoryMode.FRACTION, 3, 0.25, 1, 1, 2048, (0.1, 0.2, 0.3), (9.0,))
    [refused] = trials(GTX_1080, [Way(MemoryMode.FRACTION, 0.3)], (3,), cores=2)[:1]
    assert row_of(refused, (), (), str(refused.decision)).is_refused


def test_figures_are_those_of_2019() -> None:
    known = [figures(row, ROWS) for row in ROWS]
    assert known[3] is None  # it did not start
    each = [100 * item.each_ratio for item in known if item]
    assert each == pytest.approx([100, 71.55, 57.28, 72.0, 9.22], abs=0.01)
    assert known[2] is not None
    assert known[2].gain == pytest.approx(3 * 0.5728, rel=1e-3)
    assert known[2].frame_s == pytest.approx(0.2577)


def test_one_alone_in_the_same_way_is_what_a_row_is_compared_with() -> None:
    rows = [
        Row(MemoryMode.ALL, 1, frame_s=(0.1,)),
        Row(MemoryMode.FRACTION, 1, 0.9, frame_s=(0.2,)),
        Row(MemoryMode.FRACTION, 1, 0.4, frame_s=(0.4,)),
        Row(MemoryMode.FRACTION, 2, 0.4, frame_s=(0.4, 0.4)),
        Row(MemoryMode.GROWTH, 2, frame_s=(0.1, 0.1)),
        Row(MemoryMode.ALL, 1, batch=2, frame_s=(0.05,)),
    ]
    gains = [found.gain for row in rows if (found := figures(row, rows))]
    assert gains == pytest.approx([1, 1, 1, 2, 2, 2])
    assert figures(rows[4], rows[3:]) is None


def printed(table: object) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(table)
        return console.export_text()


def test_the_table_of_2019_is_made_again() -> None:
    text = " ".join(printed(ways_table(ROWS, "GTX 1080")).split())
    assert "memory fraction │ 0.1476 s (0.25) │ 71.55 % (0.30) │ 57.28 % (0.25) / failed (0.30)" in text
    assert "grow on demand │ - │ 72.00 % │ 9.22 %" in text


def test_every_row_is_in_the_second_table() -> None:
    text = printed(rows_table((*ROWS, Row(MemoryMode.ALL, 1, None, 4, 2, 7000, (0.05,), (812.0,)))))
    assert text.count("fraction 0.") == 4
    assert text.count("failed") == 1
    assert "refused" in printed(rows_table([Row(MemoryMode.FRACTION, 3, 0.3, problem="too much", is_refused=True)]))
    assert "812" in text


def test_lines_have_the_fastest_of_each_way_and_nothing_where_it_failed() -> None:
    drawn = lines((*ROWS, Row(MemoryMode.ALL, 1, batch=2, frame_s=(0.1476,)), Row(MemoryMode.GROWTH, 4, problem="x")))
    assert drawn["memory fraction"] == pytest.approx({1: 1.0, 2: 1.431, 3: 1.718}, abs=0.001)
    assert drawn["grow on demand"] == pytest.approx({2: 1.44, 3: 0.2766, 4: 0.0}, abs=0.001)
    assert drawn["one worker, a batch"] == {2: pytest.approx(1.0)}
