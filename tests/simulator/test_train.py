"""The training command, and the files that it made."""

import numpy as np
import pytest
from typer.testing import CliRunner

from inference.darknet.cfg import read_cfg
from inference.darknet.network import resolve_network
from inference.darknet.weights import read_weights
from inference.engine import ModelFiles
from inference.labels import read_labels
from inference.model import inspect_model
from simulator.train import EMBEDDED, app, learned_wh, with_anchors
from simulator.training.boxes import TILE_WH
from simulator.world import LABELS
from tests.simulator.training.scenes import draw_scene

MAX_WEIGHTS_BYTES = 2_000_000


def test_embedded_files_belong_together():
    files = ModelFiles(EMBEDDED / "demo.cfg", EMBEDDED / "demo.weights", EMBEDDED / "demo.names")
    network, labels = inspect_model(files, None)
    assert labels == LABELS
    assert (network.input_shape.width, network.input_shape.height) == (832, 512)
    assert resolve_network(read_cfg(files.cfg), TILE_WH).heads[0].classes == len(LABELS)
    assert files.weights.stat().st_size <= MAX_WEIGHTS_BYTES


def test_embedded_weights_were_trained():
    network = resolve_network(read_cfg(EMBEDDED / "demo.cfg"))
    weights = read_weights(EMBEDDED / "demo.weights", network)
    assert weights.header.seen >= 50_000
    for layer, item in zip(network.convolutions, weights.convolutions, strict=True):
        assert item.kernel.std() > 1e-3, f"layer {layer.index}"


def test_model_card_quotes_the_log_of_the_run():
    card = (EMBEDDED / "README.md").read_text()
    network = resolve_network(read_cfg(EMBEDDED / "demo.cfg"))
    steps = read_weights(EMBEDDED / "demo.weights", network).header.seen // 16
    assert f"\n| {steps} |" in card
    assert all(f"\n| {label} |" in card for label in (*LABELS, "all"))


def test_anchors_are_replaced_in_every_head_and_nowhere_else():
    cfg = "[net]\nwidth=32\n[yolo]\nanchors=1,2, 3,4\nmask=0\n[yolo]\nmask=1\nanchors=1,2, 3,4\n"
    changed = with_anchors(cfg, np.array([[10, 20], [33.33, 5]], np.float32))
    assert changed == cfg.replace("1,2, 3,4", "10.0,20.0,  33.3,5.0")


def test_boxes_that_are_learned_from():
    scenes = [draw_scene(seed) for seed in range(5)]
    wh = learned_wh(scenes)
    assert wh.shape == (sum(len(scene.truths.xyxy) for scene in scenes), 2)
    assert wh.min() >= 20 and wh.max() < 80


def test_help_shows_examples():
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert "python -m simulator.train --out /tmp/model --quick" in shown.output


def test_a_precision_that_does_not_exist_is_refused(tmp_path):
    shown = CliRunner().invoke(app, ["--out", str(tmp_path / "new"), "--precision", "float8"])
    assert shown.exit_code == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_quick_run_writes_a_model_that_loads(tmp_path):
    shown = CliRunner().invoke(app, ["--out", str(tmp_path), "--quick", "--precision", "float32"])
    assert shown.exit_code == 0, shown.output
    network, labels = inspect_model(
        ModelFiles(tmp_path / "demo.cfg", tmp_path / "demo.weights", tmp_path / "demo.names"), TILE_WH
    )
    assert labels == LABELS == read_labels(tmp_path / "demo.names")
    assert len(network.heads) == 2
    log = (tmp_path / "training.md").read_text()
    assert "30 steps of 8" in log and "| 30 |" in log and "| all |" in log
