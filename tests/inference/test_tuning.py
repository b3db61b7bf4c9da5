"""The choices by value; the measuring with real measuring processes and a small real model."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference.engine import ModelFiles
from inference.evaluation.process import Measurer, MeasurerError
from inference.tuning import Question, choose_input, choose_threads, tune
from tests.system.colours import write_model


@pytest.mark.parametrize(
    ("rates", "taken"),
    [
        ({1: 40.0, 2: 40.0}, 1),
        ({1: 40.0, 2: 45.0}, 1),
        ({1: 40.0, 2: 46.0}, 2),
        ({1: 40.0, 8: 10.0}, 1),
        ({4: 3.0}, 4),
    ],
)
def test_more_threads_have_to_earn_their_place(rates: dict[int, float], taken: int):
    assert choose_threads(rates) == taken


@pytest.mark.parametrize(
    ("mosaic", "tiles", "taken"), [(10.0, 11.0, "tiles"), (10.0, 9.0, "tiles"), (10.0, 8.9, "mosaic")]
)
def test_tiles_may_cost_a_little(mosaic: float, tiles: float, taken: str):
    assert choose_input({"mosaic": mosaic, "tiles": tiles}) == taken


def question(folder: Path) -> Question:
    model = write_model(folder)
    return Question(
        files=ModelFiles(model.cfg, model.weights, model.names),
        engine="openvino",
        precision="float32",
        device="cpu",
        canvas_wh=(128, 64),
        cores=2,
        mosaics=8,
        inputs=("mosaic", "tiles"),
        threads=(1, 2),
        cache_dir=folder / "cache",
    )


@pytest.mark.parametrize(
    ("cores", "mosaics", "threads", "copies"), [(2, 8, 1, 2), (2, 8, 2, 1), (16, 8, 1, 4), (2, 1, 1, 1), (1, 8, 2, 1)]
)
def test_copies_stand_for_the_workers_there_would_be(
    tmp_path: Path, cores: int, mosaics: int, threads: int, copies: int
):
    assert replace(question(tmp_path), cores=cores, mosaics=mosaics).copies(threads) == copies


def refuse() -> Measurer:
    raise MeasurerError("there is nothing to measure")


@pytest.mark.slow
def test_what_was_measured_is_kept(tmp_path: Path):
    asked, said = question(tmp_path), []
    tuned = tune(asked, said.append)
    assert tuned.input in asked.inputs
    assert tuned.threads in asked.threads
    assert set(tuned.mosaics_per_s) == {"threads=1", "threads=2", "input=mosaic", "input=tiles"}
    assert min(tuned.mosaics_per_s.values()) > 0
    assert said == ["measuring how the model runs best on this machine"]
    assert tune(asked, said.append, refuse) == tuned
    assert len(said) == 1
    # Another question has another answer.
    with pytest.raises(MeasurerError, match="nothing to measure"):
        tune(replace(asked, canvas_wh=(256, 64)), said.append, refuse)


@pytest.mark.slow
def test_only_what_is_open_is_measured(tmp_path: Path):
    asked = replace(question(tmp_path), threads=(1,))
    assert asked.is_open
    assert set(tune(asked, lambda what: None).mosaics_per_s) == {"input=mosaic", "input=tiles"}
    assert not replace(asked, inputs=("tiles",)).is_open


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_an_error_of_the_measurer(tmp_path: Path):
    asked = question(tmp_path)
    asked.files.weights.write_bytes(b"short")
    with pytest.raises(MeasurerError, match="bytes"):
        tune(asked, lambda what: None)
