"""`mosaicd bench`: what may be typed, what is printed, what is remembered."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from daemon.cli_bench import app
from daemon.measurement import kind_of, parse_measurement
from daemon.planner import demand_of, plan
from inference.cache import model_digest
from inference.engine import ModelFiles
from inference.engines import NATIVE_BFLOAT16, cpu_flags, installed_engines
from inference.evaluation.verdicts import load_verdicts
from tests.system.colours import CELL, COLOURS, GROUND, LABELS, Model, write_clip, write_model

TILE = f"{4 * CELL}x{3 * CELL}"


def invoke(*args: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``mosaicd bench ARGS``."""
    result = CliRunner().invoke(
        app, [str(arg) for arg in args], terminal_width=200, env={"COLUMNS": "200"}, obj=os.environ
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def write_photos(folder: Path, number: int) -> Path:
    """Photos of one square each, and a label that no model of colours knows in the first."""
    folder.mkdir(exist_ok=True)
    for item in range(number):
        colour = item % len(LABELS)
        photo = np.full((3 * CELL, 4 * CELL, 3), GROUND, np.uint8)
        photo[2 : CELL - 2, 2 : CELL - 2] = COLOURS[LABELS[colour]][::-1]
        assert cv2.imwrite(str(folder / f"{item}.png"), photo)
        side = f"{(CELL - 4) / (4 * CELL)} {(CELL - 4) / (3 * CELL)}"
        (folder / f"{item}.txt").write_text(f"{colour} {1 / 8} {1 / 6} {side}\n")
    return folder


@pytest.mark.parametrize("command", ["accuracy", "infer", "share"])
def test_help_has_examples(command: str) -> None:
    code, out, _ = invoke(command, "--help")
    assert code == 0
    assert out.count(f"mosaicd bench {command}") >= 3
    assert "Exit code" in out


def test_the_command_line_itself_loads_nothing_heavy() -> None:
    heavy = "{'cv2', 'keras', 'msgspec', 'numpy', 'openvino', 'rich', 'tensorflow'}"
    program = f"import sys, daemon.cli_bench; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['rich']")  # which typer may load


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--input", "single,mosiac"], "'mosiac' is none of single, tiles, mosaic"),
        (["--precision", "int7"], "'int7' is none of float32, bfloat16, float16"),
        (["--precision", "float16"], "cannot do float16 on a CPU"),
        (["--engine", "caffe"], "'caffe' is none of auto"),
        (["--tile", "416"], "is no number from 1 to 16384"),
        (["--tile", "axb"], "'a' is no number"),
        (["--device", "tpu"], "'tpu' is none of cpu, gpu"),
        (["--weights", "nowhere.weights"], "no such file: nowhere.weights"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(tmp_path: Path, model: Model, args: list[str], words: str) -> None:
    code, _, errors = invoke("accuracy", write_photos(tmp_path / "p", 1), "--model", model.cfg, *args)
    assert code == 2
    assert words in errors


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--size", "415x416"], "no four equal tiles"),
        (["--batch", "1,0"], "'0' is no number"),
        (["--input", "single"], "'single' is none of mosaic, tiles"),
        (["--photos", "."], "no photo in"),
        (["--photos", "nowhere"], "does not exist"),
    ],
)
def test_a_wrong_measurement_of_speed_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Model, args: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, errors = invoke("infer", "--model", model.cfg, *args)
    assert code == 2
    assert words in errors


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--memory", "all,some"], "'some' is none of fraction, growth, all, nor a fraction over 0 and at most 1"),
        (["--memory", "1.5"], "'1.5' is none of"),
        (["--workers", "1,x"], "'x' is no number"),
        (["--engine", "auto,tensorflow"], "takes one only"),
        (["--input", "mosaic,tiles"], "takes one only"),
        (["--size", "415x416"], "no four equal tiles"),
        (["--device", "tpu"], "'tpu' is none of cpu, gpu"),
        (["--plot", "nowhere/plot.png"], "no such folder"),
    ],
)
def test_a_wrong_experiment_is_a_usage_error(model: Model, args: list[str], words: str) -> None:
    code, _, errors = invoke("share", "--model", model.cfg, *args)
    assert code == 2
    assert words in " ".join(errors.replace("│", " ").split())


def test_wrong_ground_truth_is_told_by_file_and_line(tmp_path: Path, model: Model) -> None:
    folder = write_photos(tmp_path / "p", 2)
    (folder / "1.txt").write_text("0 0.5 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n")
    code, _, errors = invoke("accuracy", folder, "--model", model.cfg)
    assert code == 1
    assert f"{folder / '1.txt'}:2: class 7" in errors
    code, _, errors = invoke("accuracy", tmp_path / "nowhere.mp4", "--model", model.cfg)
    assert code == 1
    assert "give a folder of photos, or a video" in errors


def test_labels_that_the_model_does_not_know_are_told(tmp_path: Path, model: Model) -> None:
    folder = write_photos(tmp_path / "p", 2)
    names = tmp_path / "other.names"
    names.write_text("zebra\ngiraffe\n")
    code, _, errors = invoke("accuracy", folder, "--model", model.cfg, "--truth-names", names)
    assert code == 1
    assert "no object that the model knows; it knows red, green" in errors


def test_a_verdict_wants_many_photos(tmp_path: Path, model: Model) -> None:
    folder = write_photos(tmp_path / "p", 4)
    code, _, errors = invoke("accuracy", folder, "--model", model.cfg, "--remember", tmp_path / "cache")
    assert code == 2
    assert "at least 32 photos" in errors
    assert not (tmp_path / "cache").exists()


def store(state: Path, name: str, model: Model) -> Path:
    """A state folder with a model under this name."""
    folder = state / "models" / name
    folder.mkdir(parents=True)
    for path in (model.cfg, model.weights, model.names):
        (folder / f"model{path.suffix}").write_bytes(path.read_bytes())
    return state


def test_a_stored_model_has_a_name(tmp_path: Path, model: Model) -> None:
    state = store(tmp_path / "state", "mine", model)
    settings = tmp_path / "mosaicd.yaml"
    settings.write_text(f"state_dir: {state}\n")
    photos = write_photos(tmp_path / "p", 1)
    names = tmp_path / "other.names"
    names.write_text("zebra\ngiraffe\n")
    for where in (("--state-dir", state), ("--settings", settings)):
        # As far as the photos' labels: the model's have been read.
        code, _, errors = invoke("accuracy", photos, "--model", "mine", *where, "--truth-names", names)
        assert code == 1
        assert "it knows red, green" in errors
    code, _, errors = invoke("accuracy", photos, "--model", "demo", "--truth-names", names)
    assert code == 1
    assert "it knows person, bicycle" in errors


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine", "there is no model 'mine'. There are: "),
        ("yolov4", "Run: mosaicd models fetch yolov4 --state-dir"),
        ("mine.cfg", "no such file: mine.cfg"),
        ("models/mine", "no such file: models/mine"),
    ],
)
def test_a_model_that_is_not_there_is_a_usage_error(tmp_path: Path, name: str, words: str) -> None:
    code, _, errors = invoke("infer", "--model", name, "--state-dir", tmp_path)
    assert code == 2
    assert words in " ".join(errors.replace("│", " ").split())


@pytest.mark.slow
def test_the_tax_is_printed_and_precisions_are_remembered(tmp_path: Path, model: Model, cache: Path) -> None:
    folder = write_photos(tmp_path / "p", 36)
    args = ("--model", model.cfg, "--tile", TILE, "--engine", installed_engines()[0], "--cache", cache)
    code, out, _ = invoke("accuracy", folder, *args, "--input", "single,mosaic")
    assert code == 0
    assert "colours: 36 pictures" in out
    assert out.count("100.00") == 2
    assert "+0.00 (+0.00 to +0.00)" in out

    remembered = tmp_path / "remembered"
    args = (*args, "--input", "tiles", "--precision", "bfloat16", "--remember", remembered)
    code, out, _ = invoke("accuracy", folder, *args, "--json")
    assert code == 0
    told = json.loads(out)
    assert [(row["precision"], row["way"], row["refuted"]) for row in told["rows"]] == [
        ("float32", "tiles", None),
        ("bfloat16", "tiles", False),
    ]
    assert told["objects"] == told["pictures"] == 36
    [verdict] = load_verdicts(remembered)
    assert verdict.model_digest == model_digest(ModelFiles(model.cfg, model.weights, model.names))
    assert (verdict.precision, verdict.pictures, verdict.refutes) == ("bfloat16", 36, False)
    assert told["verdicts"][0]["points"] == verdict.points


@pytest.mark.slow
def test_a_video_with_ground_truth_is_measured(tmp_path: Path, model: Model, cache: Path) -> None:
    clip = write_clip(tmp_path / "v.mp4", "red", (66, 66, 126, 126), (256, 192))
    names = tmp_path / "person.names"
    names.write_text("\n".join(("person", *LABELS[1:])))
    clip.with_suffix(".gt.txt").write_text("".join(f"{frame},1,66,66,60,60,1,-1\n" for frame in range(1, 101)))
    args = ("--model", model.cfg, "--names", names, "--tile", TILE, "--cache", cache, "--limit", 10)
    code, out, _ = invoke("accuracy", clip, *args, "--json")
    assert code == 0
    told = json.loads(out)
    assert told["pictures"] == 10
    assert [(row["way"], row["map_points"], row["recall_ratio"]) for row in told["rows"]] == [
        ("single", 100.0, 1.0),
        ("tiles", 100.0, 1.0),
        ("mosaic", 100.0, 1.0),
    ]


@pytest.mark.slow
def test_a_tile_that_the_model_cannot_have_ends_with_its_reason(tmp_path: Path, model: Model, cache: Path) -> None:
    folder = write_photos(tmp_path / "p", 4)
    code, out, errors = invoke("accuracy", folder, "--model", model.cfg, "--tile", "70x70", "--cache", cache)
    assert code == 1
    assert out.count("failed") == 3
    assert "multiple" in errors


@pytest.mark.slow
def test_speed_is_printed_for_what_each_engine_can_do(model: Model, cache: Path) -> None:
    engine = installed_engines()[0]
    args = ("--model", model.cfg, "--size", "256x192", "--seconds", "0.1", "--engine", engine, "--cache", cache)
    code, out, errors = invoke("infer", *args, "--batch", "1,2", "--json")
    assert (code, errors) == (0, "")
    told = json.loads(out)
    precisions = ["float32", "bfloat16"] if NATIVE_BFLOAT16 & cpu_flags() else ["float32"]
    assert [(row["precision"], row["way"], row["batch"]) for row in told["rows"]] == [
        (precision, way, batch) for precision in precisions for way in ("mosaic", "tiles") for batch in (1, 2)
    ]
    assert all(row["median_s"] > 0 and row["resident_mib"] > 0 for row in told["rows"])
    code, out, _ = invoke("infer", *args, "--precision", "float32", "--input", "mosaic")
    assert code == 0
    assert "median ms" in out
    assert "failed" not in out


@pytest.mark.slow
def test_sharing_is_measured_and_can_be_planned_with(tmp_path: Path, model: Model, cache: Path) -> None:
    engine = installed_engines()[0]
    picture = tmp_path / "share.png"
    args = ("--model", model.cfg, "--size", "256x192", "--seconds", "0.2", "--engine", engine, "--cache", cache)
    code, out, errors = invoke(
        "share", *args, "--memory", "growth,0.9,fraction", "--workers", "1,2", "--plot", picture, "--json"
    )
    told = parse_measurement(out.encode())
    assert code == 0, errors
    assert "not started: 2 workers of 0.90 of" in errors  # it is not admitted, which is no failure
    assert [(row.mode.value, row.workers, row.batch, bool(row.problem)) for row in told.rows] == [
        ("growth", 1, 1, False),
        ("growth", 2, 1, False),
        ("fraction", 1, 1, False),
        ("fraction", 2, 1, True),
        ("fraction", 1, 1, False),
        ("fraction", 2, 1, False),
        ("all", 1, 2, False),
    ]
    assert [row.is_refused for row in told.rows] == [bool(row.problem) for row in told.rows]
    for row in told.rows:
        if not row.problem:
            assert len(row.frame_s) == len(row.peak_mib) == row.workers
            assert row.limit_mib is None or max(row.peak_mib) < row.limit_mib
    assert cv2.imread(str(picture)).shape == (600, 960, 3)
    outlook = plan({"cpu-0": kind_of(told)}, demand_of(8, 0.001))
    assert outlook.is_met
    assert [need.devices for need in outlook.needs] == [1]


@pytest.mark.slow
def test_sharing_is_printed_and_a_team_that_fails_ends_with_1(tmp_path: Path, model: Model, cache: Path) -> None:
    args = ("--model", model.cfg, "--seconds", "0.2", "--engine", installed_engines()[0], "--cache", cache)
    code, out, errors = invoke("share", *args, "--size", "256x192", "--memory", "growth", "--workers", "1")
    assert (code, errors) == (0, "")
    assert "grow on demand" in out
    assert "gain" in out
    code, out, errors = invoke("share", *args, "--size", "70x70", "--memory", "growth", "--workers", "1")
    assert code == 1
    assert "failed" in out
    assert "growth, 1 worker: worker 1 of 1: " in errors
