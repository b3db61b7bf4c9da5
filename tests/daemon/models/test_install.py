"""Fetching and adding: what is stored, what is refused, what a failure leaves; and whether verifying sees damage."""

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.models.catalog import CATALOG, CatalogModel, Digest
from daemon.models.errors import (
    DigestError,
    DownloadError,
    FilesRefusedError,
    NameRefusedError,
    NoSpaceError,
    StoreError,
    UnknownModelError,
)
from daemon.models.install import add, fetch, find_offered, is_installed
from daemon.models.listing import Row, rows
from daemon.models.store import ModelPaths, models_dir, read_source, resolve, stage_of
from daemon.models.verify import faults
from inference.engine import ModelFiles
from inference.labels import read_labels
from tests.daemon.models.fileserver import FileServer, offer, some_bytes
from tests.system.colours import LABELS, write_model

NOON = datetime(2024, 2, 3, 12, tzinfo=UTC)


def model_files(folder: Path) -> ModelFiles:
    """A small model that is one."""
    folder.mkdir(exist_ok=True)
    model = write_model(folder)
    return ModelFiles(model.cfg, model.weights, model.names)


def offered_model(server: FileServer, folder: Path, name: str = "colours") -> CatalogModel:
    """The same, to be fetched."""
    files = model_files(folder)
    return offer(server, name, files.cfg.read_bytes(), files.weights.read_bytes(), LABELS)


def fetched(model: CatalogModel, state: Path) -> ModelPaths:
    return fetch(model, state, lambda remote, done: None, stored_at=NOON, user_agent="mosaicd/test")


def added(name: str, files: ModelFiles, state: Path, *, force: bool = False, catalog: tuple[CatalogModel, ...] = ()):
    return add(name, files, state, stored_at=NOON, replace=force, catalog=catalog)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def test_a_fetched_model_is_whole_and_says_where_it_came_from(server: FileServer, state: Path, tmp_path: Path) -> None:
    model = offered_model(server, tmp_path / "model")
    assert not is_installed(model, state)
    told: list[tuple[str, int]] = []
    paths = fetch(model, state, lambda remote, done: told.append((remote.url, done)), stored_at=NOON)
    assert is_installed(model, state)
    assert paths == resolve("colours", state, (model,))
    assert read_labels(paths.names) == LABELS
    assert faults("colours", state, (model,)) == ()
    assert told[-1] == (model.weights.url, model.weights.size_bytes)
    folder = paths.cfg.parent
    assert sorted(path.name for path in folder.iterdir()) == [
        "model.cfg",
        "model.names",
        "model.weights",
        "source.json",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o755
    source = read_source(paths.source)
    assert (source.name, source.kind, source.stored_at) == ("colours", "fetched", "2024-02-03T12:00:00+00:00")
    assert (source.cfg.source, source.names.source) == (model.cfg.url, "mosaicd")
    assert source.cfg.sha256 == model.cfg.digest.value
    assert json.loads(paths.source.read_text())["input_wh"] == [416, 416]


def test_what_an_earlier_try_has_fetched_is_not_fetched_again(server: FileServer, state: Path) -> None:
    model = offer(server, "big", b"[net]", some_bytes(300_000))
    server.files["/big.weights"].cut_at = 200_000
    with pytest.raises(DownloadError):
        fetched(model, state)
    server.files["/big.weights"].cut_at = None
    fetched(model, state)
    assert server.ranges("/big.cfg") == [None]
    assert server.ranges("/big.weights") == [None, "bytes=200000-"]
    assert not stage_of("big", state).exists()


def test_a_wrong_digest_installs_nothing(server: FileServer, state: Path, tmp_path: Path) -> None:
    model = offered_model(server, tmp_path / "model")
    wrong = replace(model, weights=replace(model.weights, digest=Digest("sha1", "0" * 40)))
    with pytest.raises(DigestError):
        fetched(wrong, state)
    assert not (models_dir(state) / "colours").exists()
    assert [path.name for path in stage_of("colours", state).iterdir()] == ["model.cfg"]


def test_fetching_mends_a_damaged_model(server: FileServer, state: Path, tmp_path: Path) -> None:
    model = offered_model(server, tmp_path / "model")
    paths = fetched(model, state)
    for path in paths.files:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert not is_installed(model, state)
        fetched(model, state)
        assert is_installed(model, state)
    paths.source.unlink()
    assert not is_installed(model, state)


def test_only_the_catalogs_models_can_be_fetched() -> None:
    assert find_offered("yolov4") in CATALOG
    with pytest.raises(UnknownModelError, match="comes with mosaicd"):
        find_offered("demo")
    with pytest.raises(UnknownModelError, match=r"these can: yolo-fastest-1\.1-xl, .*mosaicd models add"):
        find_offered("yolov5")


def test_an_added_model_is_a_copy(state: Path, tmp_path: Path) -> None:
    files = model_files(tmp_path / "model")
    paths = added("my-colours.2", files, state)
    for copy, original in zip(paths.files, (files.cfg, files.weights, files.names), strict=True):
        assert copy.read_bytes() == original.read_bytes()
        assert stat.S_IMODE(copy.stat().st_mode) == 0o644
    source = read_source(paths.source)
    assert (source.kind, source.input_wh, source.licence) == ("added", (832, 512), None)
    assert source.weights.source == str(files.weights)
    assert faults("my-colours.2", state, ()) == ()


def test_a_name_in_use_is_replaced_only_on_request(state: Path, tmp_path: Path) -> None:
    files = model_files(tmp_path / "model")
    added("mine", files, state)
    files.names.write_text("a\nb\nc\nd\ne\nf\n")
    with pytest.raises(NameRefusedError, match=r"there is a model 'mine' already.*--force"):
        added("mine", files, state)
    assert read_labels(resolve("mine", state, ()).names) == LABELS
    added("mine", files, state, force=True)
    assert read_labels(resolve("mine", state, ()).names) == ("a", "b", "c", "d", "e", "f")
    assert sorted(path.name for path in models_dir(state).iterdir()) == [".mine.lock", "mine"]


def test_what_an_earlier_try_left_is_no_part_of_an_added_model(state: Path, tmp_path: Path) -> None:
    stage_of("mine", state).mkdir(parents=True)
    (stage_of("mine", state) / "model.weights.part").write_text("half")
    folder = added("mine", model_files(tmp_path / "model"), state).cfg.parent
    assert not (folder / "model.weights.part").exists()
    assert faults("mine", state, ()) == ()


@pytest.mark.parametrize("name", ["demo", "", ".x", "-x", "a/b", "../x", "a b", "ü", "x" * 64, "x\n"])
def test_a_name_that_is_none_is_refused(state: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(NameRefusedError, match="name"):
        added(name, model_files(tmp_path / "model"), state)
    assert list(state.iterdir()) == []


def test_files_that_make_no_model_are_refused(state: Path, tmp_path: Path) -> None:
    files = model_files(tmp_path / "model")
    files.names.write_text("one\n")
    with pytest.raises(FilesRefusedError, match="1 names, but the network has 6 classes"):
        added("mine", files, state)
    files = model_files(tmp_path / "model")
    files.weights.write_bytes(files.weights.read_bytes()[:-4])
    with pytest.raises(FilesRefusedError, match="too short"):
        added("mine", files, state)
    with pytest.raises(FilesRefusedError, match="there is no such file"):
        added("mine", replace(files, cfg=Path("/dev/null")), state)
    assert list(state.iterdir()) == []


def test_a_catalogs_name_is_for_the_catalogs_files(server: FileServer, state: Path, tmp_path: Path) -> None:
    model = offered_model(server, tmp_path / "model")
    model = replace(model, labels=("motorcycle", *LABELS[1:]))
    files = model_files(tmp_path / "model")
    with pytest.raises(NameRefusedError, match=r"another file than .*colours\.names"):
        added("colours", files, state, catalog=(model,))
    files.names.write_text("\n".join(("motorbike", *LABELS[1:])))
    cfg = files.cfg.read_text()
    files.cfg.write_text(cfg + "# mine\n")
    with pytest.raises(NameRefusedError, match=r"another file than .*colours\.cfg"):
        added("colours", files, state, catalog=(model,))
    assert [path.name for path in models_dir(state).iterdir()] == [".colours.lock"]
    files.cfg.write_text(cfg)
    paths = added("colours", files, state, catalog=(model,))
    assert is_installed(model, state)
    assert read_source(paths.source).licence == "public domain"


def test_a_disk_without_room_for_a_copy_keeps_nothing_of_it(small_disk: Path, tmp_path: Path) -> None:
    files = model_files(tmp_path / "model")
    (small_disk / "ballast").write_bytes(bytes((1 << 20) - 24576))
    cfg = files.cfg.read_text()
    files.cfg.write_text(cfg + "#" * 30_000)
    with pytest.raises(NoSpaceError, match="Make room and run it again"):
        added("mine", files, small_disk)
    assert [path.name for path in models_dir(small_disk).iterdir()] == [".mine.lock"]


def test_a_missing_state_folder_is_said(state: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no state folder"):
        added("mine", model_files(tmp_path / "model"), state / "none")


def test_verifying_names_each_changed_file_and_the_remedy(server: FileServer, state: Path, tmp_path: Path) -> None:
    model = offered_model(server, tmp_path / "model")
    paths = fetched(model, state)
    files = model_files(tmp_path / "model")
    added("mine", files, state)
    for path in (paths.weights, paths.names):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = faults("colours", state, (model,))
    assert len(found) == 3  # the weights both ways: they are neither what was stored nor the catalog's
    assert str(paths.weights) in found[0] and str(paths.names) in found[1] and "sha1" in found[2]
    assert all("Run: mosaicd models fetch colours" in line for line in found)
    mine = resolve("mine", state, ())
    mine.cfg.write_text("")
    (found_in_mine,) = faults("mine", state, ())
    assert "has changed since it was stored" in found_in_mine and "models add mine --force" in found_in_mine
    mine.cfg.unlink()
    assert "is missing" in faults("mine", state, ())[0]
    assert "there is no model 'nothing'" in faults("nothing", state, ())[0]


def test_verifying_sees_files_that_were_stored_but_make_no_model(server: FileServer, state: Path) -> None:
    model = offer(server, "rubbish", b"[net]\n", some_bytes(1000))
    fetched(model, state)
    (found,) = faults("rubbish", state, (model,))
    assert "model.cfg" in found


def test_verifying_sees_that_the_catalog_has_changed(server: FileServer, state: Path, tmp_path: Path) -> None:
    model = offered_model(server, tmp_path / "model")
    fetched(model, state)
    newer = replace(model, weights=replace(model.weights, digest=Digest("sha256", "0" * 64)))
    (found,) = faults("colours", state, (newer,))
    assert "is not the catalog's" in found


def test_rows_say_what_is_there(server: FileServer, state: Path, tmp_path: Path) -> None:
    whole, absent = offered_model(server, tmp_path / "model"), offer(server, "absent", b"[net]", some_bytes(1000))
    part = offer(server, "part", b"[net]", some_bytes(995))
    server.files["/part.weights"].cut_at = 495
    paths = fetched(whole, state)
    with pytest.raises(DownloadError):
        fetched(part, state)
    added("mine", model_files(tmp_path / "model"), state)
    (added("broken", model_files(tmp_path / "model"), state).weights).unlink()
    demo, *others = rows(state, (whole, absent, part))
    assert demo.name == "demo"
    size = sum(path.stat().st_size for path in paths.files)
    assert others == [
        Row("colours", "installed", size, size, (416, 416), "public domain", str(paths.cfg.parent)),
        Row("absent", "absent", 0, 1005, (416, 416), "public domain", None),
        Row("part", "partial", 500, 1000, (416, 416), "public domain", None),
        Row("broken", "damaged", 0, 0, None, None, None),
        Row("mine", "installed", size, size, (832, 512), None, str(models_dir(state) / "mine")),
    ]


def test_rows_without_a_state_folder_show_the_catalog(tmp_path: Path) -> None:
    found = rows(tmp_path / "none")
    assert [row.name for row in found[1:]] == [model.name for model in CATALOG]
    assert {row.state for row in found[1:]} == {"absent"}


def test_the_model_that_comes_with_mosaicd_is_in_order(state: Path) -> None:
    paths = resolve("demo", state)
    assert faults("demo", state) == ()
    demo = rows(state)[0]
    assert (demo.name, demo.state, demo.folder) == ("demo", "embedded", str(paths.cfg.parent))
    assert demo.size_bytes == sum(path.stat().st_size for path in paths.files)
