"""A network that was saved by Keras, run by both engines; and files that pretend to be one."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from inference.darknet.build import build_model
from inference.darknet.weights import read_weights, write_weights
from inference.engine import EngineFailed, EngineOptions, ModelFiles, ModelUnusable
from inference.engines import ENGINES
from inference.loading import load_engine
from inference.model import inspect_model
from tests.inference.darknet.parity import on_one_thread
from tests.inference.darknet_examples import SMALL_CFG, network_of, random_convolutions

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, when it saves

IMAGE = np.random.default_rng(2).integers(0, 256, (1, 64, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """Weights in a `.keras` file, and the same beside it as `small.weights`."""
    on_one_thread()
    folder = tmp_path_factory.mktemp("keras")
    (folder / "small.cfg").write_text(SMALL_CFG)
    (folder / "small.names").write_text("person\ndog\n")
    network = network_of(SMALL_CFG)
    write_weights(folder / "small.weights", network, random_convolutions(network))
    build_model(network, read_weights(folder / "small.weights", network)).save(folder / "small.keras")
    return ModelFiles(folder / "small.cfg", folder / "small.keras", folder / "small.names")


@pytest.mark.slow
@pytest.mark.parametrize("engine", list(ENGINES))
def test_the_files_weights_are_run(files: ModelFiles, tmp_path: Path, engine: str):
    options = EngineOptions((96, 64), score_threshold=0.3, cache_dir=tmp_path)
    [found] = load_engine(engine, files, options).detect(IMAGE)
    same = replace(files, weights=files.weights.with_suffix(".weights"))
    [expected] = load_engine(engine, same, options).detect(IMAGE)
    assert len(found) == len(expected) > 3
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    np.testing.assert_allclose(found.xyxy, expected.xyxy, rtol=1e-5, atol=1e-3)


@pytest.mark.slow
def test_its_name_does_not_matter(files: ModelFiles, tmp_path: Path):
    """As `mosaicd models add` stores it."""
    stored = tmp_path / "model.weights"
    stored.write_bytes(files.weights.read_bytes())
    options = EngineOptions((96, 64), score_threshold=0.3)
    [found] = load_engine("openvino", replace(files, weights=stored), options).detect(IMAGE)
    assert len(found) > 3


def rewritten(files: ModelFiles, folder: Path, change: Callable[[str, bytes], bytes | None]) -> ModelFiles:
    """The archive with members changed, or left out."""
    path = folder / "other.keras"
    with zipfile.ZipFile(files.weights) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            if (content := change(member.filename, old.read(member))) is not None:
                new.writestr(member.filename, content)
    return replace(files, weights=path)


def test_what_is_no_keras_file_is_refused_at_a_look(files: ModelFiles, tmp_path: Path):
    inspect_model(files, (96, 64))
    cut = tmp_path / "cut.keras"
    cut.write_bytes(files.weights.read_bytes()[:1000])
    with pytest.raises(ModelUnusable, match=r"cut\.keras: not a \.keras file: File is not a zip file\. Give the"):
        inspect_model(replace(files, weights=cut), (96, 64))
    lacking = rewritten(files, tmp_path, lambda name, content: None if name == "config.json" else content)
    with pytest.raises(ModelUnusable, match=r"other\.keras: not a \.keras file of Keras 3: it has no config\.json"):
        inspect_model(lacking, (96, 64))


def test_a_bomb_is_refused_before_it_is_unpacked(files: ModelFiles, tmp_path: Path):
    bomb = rewritten(files, tmp_path, lambda name, content: bytes(64 << 20) if name.endswith(".h5") else content)
    assert bomb.weights.stat().st_size < 1 << 20
    with pytest.raises(ModelUnusable, match=r"it unpacks to 671\d+ bytes, its cfg wants \d+ at most"):
        inspect_model(bomb, (96, 64))


@pytest.mark.slow
def test_weights_of_another_network_are_refused(files: ModelFiles, tmp_path: Path):
    other = tmp_path / "other.keras"
    keras.Sequential([keras.Input((64, 96, 3)), keras.layers.Conv2D(4, 3)]).save(other)
    with pytest.raises(ModelUnusable, match=r"other\.keras: Keras does not load it: .* Give the"):
        load_engine("tensorflow", replace(files, weights=other), EngineOptions((96, 64)))


@pytest.mark.slow
def test_code_in_a_file_is_not_run(files: ModelFiles, tmp_path: Path):
    evil = tmp_path / "evil.keras"
    witness = str(tmp_path / "witness")
    layer = keras.layers.Lambda(lambda x: (open(witness, "w").close(), x)[1], output_shape=(64, 96, 3))
    keras.Sequential([keras.Input((64, 96, 3)), layer]).save(evil)
    Path(witness).unlink(missing_ok=True)
    with pytest.raises(ModelUnusable, match="does not load"):
        load_engine("tensorflow", replace(files, weights=evil), EngineOptions((96, 64)))
    assert not Path(witness).exists()


@pytest.mark.slow
def test_a_description_of_something_huge_is_not_built(files: ModelFiles, tmp_path: Path):
    """Its own weights, beside the description of a layer of 4 TB."""
    huge = json.dumps({"module": "keras", "class_name": "Dense", "config": {"units": 1 << 40}})
    described = rewritten(files, tmp_path, lambda name, content: huge.encode() if name == "config.json" else content)
    [found] = load_engine("openvino", described, EngineOptions((96, 64), score_threshold=0.3)).detect(IMAGE)
    assert len(found) > 3


@pytest.mark.slow
def test_arrays_that_unpack_to_more_than_the_network_has_are_refused(files: ModelFiles, tmp_path: Path):
    def bomb(name: str, content: bytes) -> bytes:
        if not name.endswith(".h5"):
            return content
        with h5py.File(tmp_path / "bomb.h5", "w") as file:
            file.create_dataset("zeros", shape=(1 << 26,), dtype="f4", compression="gzip", fillvalue=0)
        return (tmp_path / "bomb.h5").read_bytes()

    with pytest.raises(ModelUnusable, match="its arrays are 268435456 bytes"):
        load_engine("openvino", rewritten(files, tmp_path, bomb), EngineOptions((96, 64)))


@pytest.mark.slow
def test_a_damaged_archive_is_the_models_fault(files: ModelFiles, tmp_path: Path):
    damaged = rewritten(files, tmp_path, lambda name, content: content[: len(content) // 2])
    with pytest.raises(ModelUnusable, match="Keras does not load it") as caught:
        load_engine("openvino", damaged, EngineOptions((96, 64)))
    assert not isinstance(caught.value, EngineFailed)
