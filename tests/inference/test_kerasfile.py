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
from inference.darknet.weights import read_weights, write_weights, zero_weights
from inference.engine import EngineFailed, EngineOptions, ModelFiles, ModelUnusable, resident_mib
from inference.engines import ENGINES
from inference.kerasfile import KerasFileError, load_weights
from inference.loading import load_engine
from inference.model import inspect_model
from tests.inference.darknet_examples import SMALL_CFG, network_of, random_convolutions

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, when it saves

KERNEL = "layers/conv2d/vars/0"
IMAGE = np.random.default_rng(2).integers(0, 256, (1, 64, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """Weights in a `.keras` file, and the same beside it as `small.weights`."""
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


def small_model() -> keras.Model:
    network = network_of(SMALL_CFG)
    return build_model(network, zero_weights(network))


def with_arrays(files: ModelFiles, folder: Path, change: Callable[[h5py.File, str], None]) -> Path:
    """The archive with its first kernel deleted, and made anew under the same name by `change`."""
    content = folder / "changed.h5"

    def changed(name: str, old: bytes) -> bytes:
        if not name.endswith(".h5"):
            return old
        content.write_bytes(old)
        with h5py.File(content, "r+") as file:
            del file[KERNEL]
            change(file, KERNEL)
        return content.read_bytes()

    return rewritten(files, folder, changed).weights


def test_arrays_of_more_than_the_network_has_are_refused(files: ModelFiles, tmp_path: Path):
    huge = with_arrays(files, tmp_path, lambda file, name: file.create_dataset(name, shape=(1 << 26,), dtype="f4"))
    with pytest.raises(KerasFileError, match=r"its arrays are 2684\d+ bytes"):
        load_weights(huge, small_model())


def in_large_pieces(file: h5py.File, name: str) -> None:
    """A piece may be larger than its array: here 1 GB for 864 bytes."""
    pieces = (4, 4, 4, 1 << 22)
    file.create_dataset(name, shape=(3, 3, 3, 8), dtype="f4", chunks=pieces, maxshape=pieces)


def in_another_file(file: h5py.File, name: str) -> None:
    file.create_dataset(name, shape=(3, 3, 3, 8), dtype="f4", external=[("/proc/self/maps", 0, 864)])


def in_another_hdf5_file(file: h5py.File, name: str) -> None:
    layout = h5py.VirtualLayout((3, 3, 3, 8), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (3, 3, 3, 8))
    file.create_virtual_dataset(name, layout)


def as_text(file: h5py.File, name: str) -> None:
    file.create_dataset(name, data=["1" * 1000] * 10)


@pytest.mark.parametrize("change", [in_large_pieces, in_another_file, in_another_hdf5_file, as_text])
def test_arrays_stored_in_other_ways_than_keras_does_are_refused(
    files: ModelFiles, tmp_path: Path, change: Callable[[h5py.File, str], None]
):
    other = with_arrays(files, tmp_path, change)
    model = small_model()
    before = resident_mib()
    with pytest.raises(KerasFileError, match=r"other\.keras: its array layers/.* is not stored as Keras does"):
        load_weights(other, model)
    assert resident_mib() < before + 100


@pytest.mark.slow
def test_a_file_of_strange_arrays_is_the_models_fault(files: ModelFiles, tmp_path: Path):
    strange = replace(files, weights=with_arrays(files, tmp_path, in_large_pieces))
    with pytest.raises(ModelUnusable, match="save it with Keras again"):
        load_engine("openvino", strange, EngineOptions((96, 64)))


@pytest.mark.slow
def test_a_damaged_archive_is_the_models_fault(files: ModelFiles, tmp_path: Path):
    damaged = rewritten(files, tmp_path, lambda name, content: content[: len(content) // 2])
    with pytest.raises(ModelUnusable, match="Keras does not load it") as caught:
        load_engine("openvino", damaged, EngineOptions((96, 64)))
    assert not isinstance(caught.value, EngineFailed)
