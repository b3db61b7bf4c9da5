from dataclasses import replace
from pathlib import Path

import pytest

from inference.engine import ModelFiles, ModelUnusable
from inference.model import read_model
from tests.inference.darknet_examples import SMALL_CFG, write_small_model


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    return write_small_model(tmp_path)


def test_the_three_files_make_a_model(files: ModelFiles):
    model = read_model(files, (160, 96))
    assert model.labels == ("person", "dog")
    assert (model.network.input_shape.width, model.network.input_shape.height) == (160, 96)
    assert len(model.weights.convolutions) == len(model.network.convolutions)


@pytest.mark.parametrize("name", ["cfg", "weights", "names"])
def test_a_missing_file_is_named(files: ModelFiles, name: str):
    path = files.cfg.with_name("absent")
    with pytest.raises(ModelUnusable, match=f"^{path}: No such file or directory. Check path and permissions$"):
        read_model(replace(files, **{name: path}), None)


def test_a_folder_is_no_file(files: ModelFiles):
    with pytest.raises(ModelUnusable, match="Is a directory"):
        read_model(replace(files, weights=files.cfg.parent), None)


def test_what_is_wrong_in_each_file_is_told_with_a_remedy(files: ModelFiles):
    with pytest.raises(ModelUnusable, match=r"small\.cfg: an input of 100x96 .*multiples of 16.*canvas or the tile"):
        read_model(files, (100, 96))
    files.names.write_text("person\n")
    with pytest.raises(ModelUnusable, match=r"small\.names: 1 names, .* 2 classes\. Give the names"):
        read_model(files, None)
    files.names.write_text("person\ndog\n")
    files.weights.write_bytes(files.weights.read_bytes() + b"more")
    with pytest.raises(
        ModelUnusable, match=r"small\.weights: \d+ bytes, but .*small\.cfg wants \d+.* Give the weights"
    ):
        read_model(files, None)
    files.cfg.write_text(SMALL_CFG + "newer_coords=1\n")
    with pytest.raises(ModelUnusable, match=r"small\.cfg:\d+: \[yolo\] newer_coords=1 is not supported\. Give a cfg"):
        read_model(files, None)


def test_heads_of_different_classes_are_refused(files: ModelFiles):
    cfg = SMALL_CFG.rstrip()
    start = cfg.rindex("classes=2")
    cfg = cfg[:start] + "classes=1" + cfg[start + 9 :]
    start = cfg.rindex("filters=21")
    files.cfg.write_text(cfg[:start] + "filters=18" + cfg[start + 10 :])
    with pytest.raises(ModelUnusable, match=r"small\.cfg:\d+: \[yolo\] has 1 classes, the first \[yolo\] has 2"):
        read_model(files, None)
