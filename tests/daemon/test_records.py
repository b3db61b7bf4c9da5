"""What is counted of one child: by worker's answers, and over generations."""

import pytest

from capture.messages import Answer
from daemon.records import Record
from daemon.verdict import Cause


def test_an_answer_counts_its_time_in_the_engine_and_how_long_its_canvas_lay():
    record = Record()
    record.note_answer(Answer("m1", 1, 3, composed_mono_s=10.0, inference_s=0.25, tiles=()), now_s=10.5, at=1.7e9)
    # Its clock says that it was answered before it could be: that is no wait.
    record.note_answer(Answer("m1", 1, 4, composed_mono_s=11.0, inference_s=0.25, tiles=()), now_s=11.1, at=1.7e9 + 1)
    record.turn_over(Cause.CRASH)
    inference, wait = record.inference.histogram(), record.wait.histogram()
    assert (inference.total, inference.sum) == (2, 0.5)
    assert (wait.total, wait.sum) == (2, pytest.approx(0.25))
    assert record.last_answer_at == 1.7e9 + 1
