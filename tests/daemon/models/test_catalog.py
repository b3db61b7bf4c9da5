"""The catalog: what it says agrees with the files at hand, and with itself."""

import hashlib
import re
from pathlib import Path

import pytest

from daemon.models.catalog import CATALOG, EMBEDDED, NAME, CatalogModel, offered
from inference.darknet.cfg import read_cfg
from inference.darknet.network import resolve_network
from inference.darknet.weights import Header, expected_bytes
from inference.labels import COCO
from tests.inference.darknet_examples import DATA, YOLO_FASTEST, needs_data

LENGTHS = {"sha256": 64, "sha1": 40}


@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_an_entry_is_in_order(model: CatalogModel) -> None:
    assert NAME.fullmatch(model.name) and model.name != EMBEDDED
    assert model.labels == COCO
    assert model.input_px % 32 == 0 and model.licence
    for remote, suffix in ((model.cfg, ".cfg"), (model.weights, ".weights")):
        assert remote.url.startswith("https://") and remote.url.endswith(f"/{model.name}{suffix}")
        assert re.fullmatch(f"[0-9a-f]{{{LENGTHS[remote.digest.algorithm]}}}", remote.digest.value)
        assert 1000 < remote.size_bytes < 1 << 30
    assert model.size_bytes == model.cfg.size_bytes + model.weights.size_bytes


def test_names_are_unique_and_found() -> None:
    assert len({model.name for model in CATALOG}) == len(CATALOG) == 5
    assert offered("yolov3", CATALOG) in CATALOG
    assert offered("demo", CATALOG) is None


def at_hand() -> dict[str, Path]:
    """Files of the catalog that the test data hold, by name."""
    places = ("cfg/pjreddie/yolov3.cfg", "cfg/alexeyab/yolov4.cfg", "cfg/alexeyab/yolov4-tiny.cfg")
    fastest = [YOLO_FASTEST / f"yolo-fastest-1.1{end}" for end in ("-xl.cfg", "-xl.weights", ".cfg", ".weights")]
    return {path.name: path for path in (*(DATA / place for place in places), *fastest)}


@needs_data
@pytest.mark.data
def test_digests_are_those_of_the_files_at_hand() -> None:
    files = at_hand()
    checked = 0
    for model in CATALOG:
        for remote in (model.cfg, model.weights):
            path = files.get(remote.url.rsplit("/", 1)[-1])
            if path is None:
                assert remote.digest.algorithm == "sha1"  # 500 MB that are not there
                continue
            content = path.read_bytes()
            assert len(content) == remote.size_bytes
            assert hashlib.new(remote.digest.algorithm, content).hexdigest() == remote.digest.value
            checked += 1
    assert checked == len(files) == 7


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_weights_are_as_long_as_the_cfg_asks(model: CatalogModel) -> None:
    path = at_hand()[f"{model.name}.cfg"]
    assert expected_bytes(resolve_network(read_cfg(path)), Header()) == model.weights.size_bytes
