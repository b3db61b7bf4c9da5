"""The measuring process itself, with real engines: accuracy and speed of a detector whose truth is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.engine import ModelFiles
from inference.engines import installed_engines
from inference.evaluation import accuracy, speed
from inference.evaluation.arrangement import Input
from inference.evaluation.messages import PREDICT, Load, Loaded, Multiplied, Multiply, Time, Timed
from inference.evaluation.process import Measurer, MeasurerFailed
from inference.evaluation.report import Combination, rows
from inference.evaluation.truth import TruthSet, read_photos
from tests.system.colours import CELL, COLOURS, GROUND, LABELS, write_model

pytestmark = pytest.mark.slow

TILE_WH = (4 * CELL, 3 * CELL)
MARGIN = 4
ENGINES = installed_engines()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    model = write_model(tmp_path_factory.mktemp("model"))
    return ModelFiles(model.cfg, model.weights, model.names)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> TruthSet:
    """Six photos twice the tile's size, each with squares of two colours; one square's label is of another colour."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    width, height = 2 * TILE_WH[0], 2 * TILE_WH[1]
    for number in range(6):
        photo = np.full((height, width, 3), GROUND, np.uint8)
        lines = []
        cells = rng.choice(12, 2, replace=False)
        for cell, colour in zip(cells, rng.choice(len(LABELS), 2, replace=False), strict=True):
            x, y = 2 * CELL * (cell % 4), 2 * CELL * (cell // 4)
            # Smaller than its cell: the detector wants to see some ground as well.
            photo[y + MARGIN : y + 2 * CELL - MARGIN, x + MARGIN : x + 2 * CELL - MARGIN] = COLOURS[LABELS[colour]][
                ::-1
            ]
            side = 2 * (CELL - MARGIN)
            box = ((x + CELL) / width, (y + CELL) / height, side / width, side / height)
            wrong = number == 0 and not lines
            lines.append(" ".join(map(str, ((colour + wrong) % len(LABELS), *box))))
        assert cv2.imwrite(str(folder / f"{number}.png"), photo)
        (folder / f"{number}.txt").write_text("\n".join(lines))
    return read_photos(folder, LABELS)


def load(files: ModelFiles, engine: str, cache: Path, batch: int = 1) -> Load:
    names = (str(files.cfg), str(files.weights), str(files.names))
    return Load(engine, *names, input_wh=TILE_WH, batch=batch, cache_dir=str(cache))


@pytest.mark.parametrize("engine", ENGINES)
def test_every_input_finds_what_is_there(files: ModelFiles, photos: TruthSet, cache: Path, engine: str) -> None:
    """Also in a last mosaic of two, and never in another picture."""
    told: list[tuple[Combination, int]] = []
    plan = accuracy.AccuracyPlan(
        files, photos, accuracy.combinations([engine], ["float32"], list(Input)), TILE_WH, cache_dir=cache
    )
    outcomes = list(accuracy.measure(plan, lambda one, done: told.append((one, done))))
    assert [item.problem for item in outcomes] == [""] * 3
    assert told == [(one, done) for one in plan.combinations for done in range(7)]
    table = rows(outcomes, photos.units, 0.25)
    for row in table:
        assert (row.recall_ratio, row.precision_ratio) == (11 / 12, 11 / 12)
        assert [(item.size, item.objects) for item in row.by_tile_size if item.objects] == [("24-48", 12)]
        assert [(item.size, item.objects) for item in row.by_picture_size if item.objects] == [("medium", 12)]
        assert row.map_points == pytest.approx(table[0].map_points)
        assert row.crossing_ratio == 0


def test_a_combination_that_fails_leaves_the_others_alone(files: ModelFiles, photos: TruthSet, cache: Path) -> None:
    """An engine that is not there at all is the plainest failure."""
    good = Combination(ENGINES[0], "float32", Input.SINGLE)
    bad = Combination("no such engine", "float32", Input.SINGLE)
    plan = accuracy.AccuracyPlan(files, photos, (bad, good), TILE_WH, cache_dir=cache)
    failed, measured = accuracy.measure(plan, lambda *_: None)
    assert "no such engine" in failed.problem
    assert len(measured.judged) == 6


def test_a_photo_that_cannot_be_read_is_named(files: ModelFiles, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no photo")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.1 0.1")
    plan = accuracy.AccuracyPlan(
        files,
        read_photos(tmp_path, LABELS),
        (Combination(ENGINES[0], "float32", Input.MOSAIC),),
        TILE_WH,
        cache_dir=cache,
    )
    [outcome] = accuracy.measure(plan, lambda *_: None)
    assert outcome.problem == f"{tmp_path / 'a.jpg'}: not a photo that can be read"


def test_a_model_that_is_none_is_told(tmp_path: Path, files: ModelFiles, cache: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text("[net]\nwidth=32\nheight=32\n[lstm]\n")
    with Measurer() as measurer, pytest.raises(MeasurerFailed, match="lstm") as caught:
        measurer.ask(load(ModelFiles(cfg, files.weights, files.names), ENGINES[0], cache), Loaded)
    assert caught.value.kind == "ModelUnusable"


def test_a_question_without_a_model_is_refused() -> None:
    with Measurer() as measurer, pytest.raises(MeasurerFailed, match="no model is loaded"):
        measurer.ask(Time(1), Timed)


@pytest.mark.parametrize("engine", [PREDICT, *ENGINES])
def test_calls_are_timed_one_by_one(files: ModelFiles, photos: TruthSet, cache: Path, engine: str) -> None:
    with Measurer() as measurer:
        loaded = measurer.ask(load(files, engine, cache, batch=2), Loaded)
        assert loaded.labels == LABELS
        for pictures in ((), tuple(map(str, photos.photos))):
            timed = measurer.ask(Time(5, pictures), Timed)
            assert len(timed.forward_s) == len(timed.postprocess_s) == 5
            assert min(timed.forward_s + timed.postprocess_s) > 0
            assert timed.peak_mib >= timed.resident_mib > 50
            assert timed.device_mib is None


def test_speed_is_measured_for_every_combination(files: ModelFiles, cache: Path) -> None:
    told: list[float] = []
    plan = speed.SpeedPlan(
        files,
        speed.combinations(ENGINES[:1], ["float32"], ["mosaic", "tiles"], [1, 2]),
        (2 * TILE_WH[0], 2 * TILE_WH[1]),
        seconds=0.1,
        cache_dir=cache,
    )
    table = list(speed.measure(plan, lambda _, spent_s: told.append(spent_s)))
    assert [(row.way, row.batch, row.problem) for row in table] == [
        ("mosaic", 1, ""),
        ("mosaic", 2, ""),
        ("tiles", 1, ""),
        ("tiles", 2, ""),
    ]
    for row in table:
        assert row.median_s is not None
        assert row.p99_s is not None
        assert row.images_per_s is not None
        assert row.peak_ratio is not None
        assert 0 < row.median_s <= row.p99_s
        assert row.images_per_s == pytest.approx(row.batch * (4 if row.way == "tiles" else 1) / row.median_s)
        assert row.mosaics_per_s == pytest.approx(row.batch / row.median_s)
        assert 0 < row.peak_ratio < 1
    assert max(told) >= 0.1


def test_a_size_that_the_model_cannot_have_is_a_problem_of_its_row(files: ModelFiles, cache: Path) -> None:
    plan = speed.SpeedPlan(
        files, speed.combinations(ENGINES[:1], ["float32"], ["tiles"], [1]), (CELL, CELL), 0.1, cache_dir=cache
    )
    [row] = speed.measure(plan, lambda *_: None)
    assert "multiple" in row.problem
    assert row.median_s is None


def test_the_peak_is_that_of_a_matrix_product() -> None:
    with Measurer() as measurer:
        [one, again] = [measurer.ask(Multiply("float32", 1, "cpu", 0.1), Multiplied) for _ in range(2)]
    # Any CPU of this century does a billion operations a second, and none a hundred trillion on one core.
    assert 1e9 < one.operations_per_s < 1e14
    assert again.operations_per_s == pytest.approx(one.operations_per_s, rel=0.9)
