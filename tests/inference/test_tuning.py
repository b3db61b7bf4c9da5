"""The choices by value; the measuring with real measuring processes and a small real model."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference.engine import ModelFiles
from inference.evaluation.messages import Time, Timed
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
        memory_mib=16_000,
        mosaics=8,
        workers=None,
        inputs=("mosaic", "tiles"),
        threads=(1, 2),
        cache_dir=folder / "cache",
    )


@pytest.mark.parametrize(
    ("cores", "mosaics", "workers", "threads", "runners"),
    [
        (2, 8, None, 1, 2),
        (2, 8, None, 2, 1),
        (16, 8, None, 1, 8),
        (2, 1, None, 1, 1),
        (1, 8, None, 2, 1),
        (8, 8, 3, 1, 3),
    ],
)
def test_as_many_workers_are_reckoned_with_as_there_would_be(
    tmp_path: Path, cores: int, mosaics: int, workers: int | None, threads: int, runners: int
):
    asked = replace(question(tmp_path), cores=cores, mosaics=mosaics, workers=workers)
    assert asked.runners(threads) == runners


@pytest.mark.parametrize(
    ("threads", "counts"),
    [((1,), (1,)), ((4,), (4,)), ((1, 2), (1, 2)), ((1, 6), (1, 2, 4, 6)), ((1, 16), (1, 2, 4, 8, 16))],
)
def test_powers_of_two_are_tried_up_to_all_cores(tmp_path: Path, threads: tuple[int, ...], counts: tuple[int, ...]):
    assert replace(question(tmp_path), threads=threads).thread_counts == counts


class Stub:
    """Stands for a measuring process that takes so many seconds a mosaic."""

    started = 0

    def __init__(self, peak_mib: float) -> None:
        self._peak_mib = peak_mib
        Stub.started += 1

    def __enter__(self) -> "Stub":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def ask(self, order: object, expected: type, within_s: float = 0.0) -> object:
        return self.receive() if isinstance(order, Time) else None

    def send(self, order: object) -> None:
        pass

    def receive(self) -> Timed:
        return Timed((0.1,), (0.0,), self._peak_mib, self._peak_mib, None, None)


@pytest.mark.parametrize(("peak_mib", "started"), [(100.0, 15), (800.0, 9), (100_000.0, 5)])
def test_no_more_processes_are_started_than_half_the_memory_holds(tmp_path: Path, peak_mib: float, started: int):
    """Each way has a tenth of 16 GB: four each of one, two and four threads, two of eight, one of sixteen."""
    Stub.started = 0
    asked = replace(question(tmp_path), cores=16, threads=(1, 16), inputs=("mosaic",))
    tuned = tune(asked, lambda what: None, lambda: Stub(peak_mib))  # type: ignore[arg-type, return-value]
    assert Stub.started == started
    # As fast each, but eight of them: what was measured of a few counts for all.
    assert tuned.threads == 1
    rates = {"threads=1": 80, "threads=2": 80, "threads=4": 40, "threads=8": 20, "threads=16": 10}
    assert tuned.mosaics_per_s == pytest.approx(rates)


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
