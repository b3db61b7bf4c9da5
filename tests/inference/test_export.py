"""What a built graph is called, and that the worker's memory chooses its form."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference.engine import ModelFiles, ModelUnusable
from inference.engines import ENGINES
from inference.export import exported, graph_name
from tests.inference.darknet_examples import SMALL_CFG, write_small_model

SIZE_WH = (96, 64)


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    return write_small_model(tmp_path)


@pytest.mark.parametrize("engine", list(ENGINES))
def test_a_graphs_name_changes_with_all_that_it_is_made_from(engine: str, files: ModelFiles, tmp_path: Path):
    def name(files: ModelFiles, input_wh: tuple[int, int] = SIZE_WH, keras: str = "3") -> str:
        return graph_name(engine, files, input_wh, version_of=lambda package: keras if package == "keras" else "1")

    weights = bytearray(files.weights.read_bytes())
    weights[100] ^= 1
    (tmp_path / "other.weights").write_bytes(weights)
    (tmp_path / "other.cfg").write_text(SMALL_CFG + "\n")
    (tmp_path / "other.names").write_text("cat\ndog\n")
    others = [
        name(replace(files, weights=tmp_path / "other.weights")),
        name(replace(files, cfg=tmp_path / "other.cfg")),
        name(files, (128, 64)),
        name(files, (64, 96)),
        name(files, keras="4"),
        graph_name(engine, files, SIZE_WH),  # other versions of both packages
    ]
    assert len({name(files), *others}) == 1 + len(others)
    # Labels are not in it.
    assert name(replace(files, names=tmp_path / "other.names")) == name(files)


def test_a_small_quota_is_another_graph_only_where_the_form_is_another(files: ModelFiles):
    names = [graph_name("tensorflow", files, SIZE_WH, memory_mib) for memory_mib in (None, 8000, 4000, 500)]
    assert names[0] == names[1] == names[2] != names[3]
    assert len({graph_name("openvino", files, SIZE_WH, memory_mib) for memory_mib in (None, 8000, 500)}) == 1


def test_files_that_are_not_there_are_told(files: ModelFiles):
    with pytest.raises(ModelUnusable, match=r"nowhere\.weights: No such file"):
        graph_name("openvino", replace(files, weights=Path("nowhere.weights")), SIZE_WH)


@pytest.mark.slow
@pytest.mark.parametrize(("memory_mib", "holds"), [(None, False), (500, True)])
def test_the_workers_memory_chooses_the_form(files: ModelFiles, memory_mib: int | None, holds: bool):
    with exported("tensorflow", files, SIZE_WH, None, memory_mib) as graph:
        kept = sum(path.stat().st_size for path in graph.glob("variables/*.data-*"))
        assert (kept > files.weights.stat().st_size / 2) == holds
