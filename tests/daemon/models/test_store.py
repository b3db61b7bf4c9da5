"""The store: what a name stands for, who may make a model, and that a model's folder is whole or not there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.models.catalog import CATALOG
from daemon.models.errors import BusyError, ModelsError, NotInstalledError, StoreError, UnknownModelError
from daemon.models.store import (
    FileSource,
    Source,
    embedded_paths,
    models_dir,
    paths_in,
    publish,
    read_source,
    resolve,
    staged,
    stored_names,
)


def put(state: Path, name: str, content: str = "x") -> Path:
    """Store a model of three small files."""
    with staged(name, state) as stage:
        stage.mkdir()
        for path in paths_in(stage, name).files:
            path.write_text(content)
        return publish(stage, name)


def entries(state: Path) -> list[str]:
    return sorted(entry.name for entry in models_dir(state).iterdir())


def test_a_stored_name_gives_its_files(tmp_path: Path) -> None:
    folder = put(tmp_path, "mine")
    paths = resolve("mine", tmp_path)
    assert paths.files == (folder / "model.cfg", folder / "model.weights", folder / "model.names")
    assert stored_names(tmp_path) == ("mine",)


def test_demo_is_the_model_that_comes_with_mosaicd() -> None:
    cfg, weights, names = embedded_paths().files
    assert (cfg.name, weights.name, names.name) == ("demo.cfg", "demo.weights", "demo.names")
    assert cfg.parent == Path(__file__).parents[3] / "inference" / "models"


@pytest.mark.parametrize("name", [model.name for model in CATALOG])
def test_a_model_that_was_not_fetched_names_the_command(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotInstalledError, match=f"Run: mosaicd models fetch {name} --state-dir {tmp_path}"):
        resolve(name, tmp_path)


@pytest.mark.parametrize("name", ["yolov5", "", "../mine", "/etc", ".mine.part", "mine/", "a\nb"])
def test_an_unknown_name_says_which_there_are(tmp_path: Path, name: str) -> None:
    put(tmp_path, "mine")
    with pytest.raises(UnknownModelError, match=r"There are: demo, mine, yolo-fastest-1\.1, .*mosaicd models add"):
        resolve(name, tmp_path)


def test_a_missing_file_is_named_with_the_command(tmp_path: Path) -> None:
    for name, command in (("mine", "models add mine --force"), ("yolov3", "models fetch yolov3")):
        (put(tmp_path, name) / "model.weights").unlink()
        with pytest.raises(NotInstalledError, match=rf"{name}/model\.weights is missing\. Run: mosaicd {command}"):
            resolve(name, tmp_path)


def test_an_unpublished_model_is_not_there(tmp_path: Path) -> None:
    with staged("yolov3", tmp_path) as stage:
        stage.mkdir()
        for path in paths_in(stage, "yolov3").files:
            path.write_text("x")
    assert stored_names(tmp_path) == ()
    with pytest.raises(NotInstalledError):
        resolve("yolov3", tmp_path)
    with staged("yolov3", tmp_path) as again:
        assert (again / "model.cfg").read_text() == "x"  # kept for the next try


def test_one_at_a_time_makes_a_model(tmp_path: Path) -> None:
    with staged("mine", tmp_path):
        with pytest.raises(BusyError, match="another process is fetching or adding 'mine'"), staged("mine", tmp_path):
            pass
        with staged("other", tmp_path):
            pass
    with staged("mine", tmp_path):
        pass


def test_a_newer_model_takes_the_place_of_the_older(tmp_path: Path) -> None:
    put(tmp_path, "mine", "old")
    folder = put(tmp_path, "mine", "new")
    assert (folder / "model.cfg").read_text() == "new"
    assert entries(tmp_path) == [".mine.lock", "mine"]
    assert folder.stat().st_mode & 0o777 == 0o755


def test_what_a_killed_replacement_left_is_mended(tmp_path: Path) -> None:
    folder = put(tmp_path, "mine", "old")
    folder.rename(folder.with_name(".mine.old"))  # killed between its two renames
    with staged("mine", tmp_path):
        assert (folder / "model.cfg").read_text() == "old"
    put(tmp_path, "other").rename(folder.with_name(".mine.old"))  # killed before it had deleted the old one
    with staged("mine", tmp_path):
        assert (folder / "model.cfg").read_text() == "old"
    assert entries(tmp_path) == [".mine.lock", ".other.lock", "mine"]


def test_a_missing_state_folder_is_the_installers_to_make(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(StoreError, match=f"install -d -m 0700 -o mosaicd {missing}"), staged("mine", missing):
        pass
    assert not missing.exists()
    assert stored_names(missing) == ()


def test_a_store_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    models_dir(tmp_path).write_text("")
    with pytest.raises(StoreError, match="Check the folder and its disk"), staged("mine", tmp_path):
        pass


SOURCE = Source(
    name="mine",
    kind="added",
    stored_at=datetime(2024, 2, 3, tzinfo=UTC).isoformat(),
    input_wh=(416, 256),
    licence=None,
    cfg=FileSource("/a", 1, "00"),
    weights=FileSource("/b", 2, "11"),
    names=FileSource("mosaicd", 3, "22"),
)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"name": 5}', b"\xff", b"[" * 100_000, None])
def test_a_damaged_source_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "source.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelsError, match=r"source\.json is missing or damaged. Fetch or add the model again"):
        read_source(path)
