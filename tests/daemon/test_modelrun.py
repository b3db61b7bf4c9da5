"""How the model is run, decided from settings on this very machine: real files, real measuring."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.devices import Device, DeviceKind
from daemon.modelrun import CannotRunError, model_files, plan_runs
from daemon.settings import Device as WantedDevice
from daemon.settings import Settings, parse_settings
from inference.cache import model_digest
from inference.engines import NATIVE_BFLOAT16, cpu_flags
from inference.evaluation.verdicts import Verdict, remember
from tests.system.colours import Model, write_model

CPU = Device("cpu", DeviceKind.CPU, "", 16_000, cores=2)
GPU = Device("gpu-0", DeviceKind.GPU, "GPU-5c1e", 8192)
ONE_THREAD = {"cpu": WantedDevice(threads=1)}
AUTO = {"cpu": WantedDevice()}
ON_GPU = {"gpu-0": WantedDevice()}


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return write_model(tmp_path)


def settings_of(model: Model, **changes: object) -> Settings:
    files = {"cfg": str(model.cfg), "weights": str(model.weights), "names": str(model.names)}
    text = {
        "model": {**files, "input": "mosaic", **changes},
        "mosaic": {"canvas": "128x64"},
        "state_dir": str(model.cfg.parent),
    }
    return parse_settings(json.dumps(text), file="s", base=Path()).require()


def test_what_is_set_is_taken(model: Model):
    settings = settings_of(model, engine="tensorflow", precision="float32", input="tiles", batch=3)
    run = plan_runs(settings, [CPU], {"cpu": WantedDevice(threads=2)}, mosaics=8)[DeviceKind.CPU]
    assert run.files == model_files(settings)
    assert (run.engine, run.precision, run.input, run.batch, run.threads) == ("tensorflow", "float32", "tiles", 3, 2)


def test_auto_on_a_cpu(model: Model):
    run = plan_runs(settings_of(model), [CPU], ONE_THREAD, mosaics=8)[DeviceKind.CPU]
    native = bool(NATIVE_BFLOAT16 & cpu_flags())
    assert (run.engine, run.precision, run.batch) == ("openvino", "bfloat16" if native else "float32", 1)
    assert run.spoken["why"] == run.why


def test_auto_on_a_gpu_batches_no_more_than_there_are_mosaics(model: Model):
    run = plan_runs(settings_of(model), [GPU], ON_GPU, mosaics=8)[DeviceKind.GPU]
    assert (run.engine, run.precision, run.batch, run.threads) == ("tensorflow", "float16", 4, 1)
    assert plan_runs(settings_of(model), [GPU], ON_GPU, mosaics=2)[DeviceKind.GPU].batch == 2
    assert plan_runs(settings_of(model), [GPU], ON_GPU, mosaics=0)[DeviceKind.GPU].batch == 1


@pytest.mark.skipif(not NATIVE_BFLOAT16 & cpu_flags(), reason="this CPU has no unit for bfloat16")
def test_a_precision_that_was_measured_to_be_worse_is_not_taken(model: Model):
    settings = settings_of(model)
    digest = model_digest(model_files(settings))
    verdict = Verdict(digest, "openvino", "bfloat16", -2.0, -3.0, -1.0, 64, datetime.now(UTC))
    remember(settings.cache_folder, verdict)
    run = plan_runs(settings, [CPU], ONE_THREAD, mosaics=8)[DeviceKind.CPU]
    assert (run.precision, "measured to be worse" in run.why) == ("float32", True)
    (settings.cache_folder / "verdict-other.json").write_text("{")
    run = plan_runs(settings, [CPU], ONE_THREAD, mosaics=8)[DeviceKind.CPU]
    assert run.precision == "float32"
    asked = settings_of(model, precision="bfloat16")
    assert plan_runs(asked, [CPU], ONE_THREAD, mosaics=8)[DeviceKind.CPU].precision == "bfloat16"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "openvino"}, "model.engine: engine openvino does not run on a GPU"),
        ({"precision": "bfloat16"}, "model.precision: precision bfloat16 is not to be had from tensorflow on a GPU"),
        ({"name": "yolov3", "cfg": None, "weights": None, "names": None}, "model.name: .*mosaicd models fetch yolov3"),
    ],
)
def test_what_cannot_be_had_is_named_with_its_key(model: Model, changes: dict[str, object], words: str):
    with pytest.raises(CannotRunError, match=words):
        plan_runs(settings_of(model, **changes), [GPU], ON_GPU, mosaics=1)


def test_files_that_are_gone_are_named(model: Model):
    settings = settings_of(model)
    model.weights.unlink()
    with pytest.raises(CannotRunError, match=f"{model.weights}: No such file"):
        plan_runs(settings, [CPU], ONE_THREAD, mosaics=1)


@pytest.mark.slow
def test_auto_is_measured_once(model: Model, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    settings = settings_of(model, input="auto")
    first = plan_runs(settings, [CPU], AUTO, mosaics=8)[DeviceKind.CPU]
    assert first.input in ("mosaic", "tiles")
    assert first.threads in (1, 2)
    assert "measured mosaics: threads=1" in first.why
    assert plan_runs(settings, [CPU], AUTO, mosaics=8)[DeviceKind.CPU] == first
    assert [record.message for record in caplog.records] == ["measuring how the model runs best on this machine"]


@pytest.mark.slow
def test_what_cannot_be_measured_is_run_plainly(model: Model, caplog: pytest.LogCaptureFixture):
    """Weights of another network: the worker will say so in full."""
    settings = settings_of(model, input="auto")
    model.weights.write_bytes(b"short")
    run = plan_runs(settings, [CPU], AUTO, mosaics=8)[DeviceKind.CPU]
    assert (run.input, run.threads) == ("mosaic", 1)
    assert [record.message for record in caplog.records] == [
        "not measured, so the plainest way is taken",
        "the model was not built",
    ]
