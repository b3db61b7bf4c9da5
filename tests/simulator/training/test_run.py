"""A tiny run, from scenes to weights."""

from dataclasses import replace

import numpy as np
import pytest

from inference.darknet.cfg import read_cfg
from inference.darknet.network import resolve_network
from simulator.train import EMBEDDED
from simulator.training.boxes import TILE_WH
from simulator.training.plan import Plan
from simulator.training.quality import Judgement, balanced_threshold, quality_at
from simulator.training.run import SCORE_THRESHOLD, calibrated, grids_of, judge_scenes, train
from tests.simulator.training.scenes import draw_scene

pytestmark = pytest.mark.slow

TINY = Plan(worlds=0, validation_worlds=0, pictures_a_world=0, steps=4, batch=4, peak_rate=2e-3, reports=2)
NETWORK = resolve_network(read_cfg(EMBEDDED / "demo.cfg"), TILE_WH)
SCENES = [draw_scene(seed) for seed in range(24)]
VALIDATION = [draw_scene(seed) for seed in range(1000, 1008)]


def finished(plan):
    """Return what a run yields at its last step."""
    *_, last = train(NETWORK, plan, SCENES, VALIDATION[:1])
    return last


def test_grids_are_those_of_the_heads():
    coarse, fine = grids_of(NETWORK)
    assert (coarse.stride, coarse.rows, coarse.columns) == (16, 16, 26)
    assert (fine.stride, fine.rows, fine.columns) == (8, 32, 52)
    assert len(coarse.anchors_wh) == len(fine.anchors_wh) == 4
    assert max(w * h for w, h in fine.anchors_wh) < min(w * h for w, h in coarse.anchors_wh)


def test_the_same_seed_gives_the_same_weights_and_another_others():
    short = replace(TINY, steps=2)
    first, same, other = finished(short), finished(short), finished(replace(short, seed=2))
    assert first.losses == same.losses
    for one, two in zip(first.convolutions, same.convolutions, strict=True):
        np.testing.assert_array_equal(one.kernel, two.kernel)
        np.testing.assert_array_equal(one.biases, two.biases)
    assert first.losses != other.losses


def test_every_step_is_reported_and_the_validation_looked_at_now_and_then():
    seen = list(train(NETWORK, TINY, SCENES, VALIDATION))
    assert [stand.step for stand in seen] == [1, 2, 3, 4]
    assert [stand.judgements is not None for stand in seen] == [False, False, False, True]
    assert sum(item.there.sum() for item in seen[-1].judgements) == sum(len(s.truths.xyxy) for s in VALIDATION)


def test_a_short_run_lowers_the_loss():
    plan = replace(TINY, steps=24)
    losses = [stand.losses[0] for stand in train(NETWORK, plan, SCENES, VALIDATION[:1])]
    assert losses[-1] < 0.75 * losses[0]


def test_scores_are_shifted_to_the_default_threshold():
    """All objects are taken as found at 0.6 and false alarms lie at 0.4, so 0.6 is to become the default."""
    stand = finished(replace(TINY, steps=1))
    ones = np.ones(4, np.int64)
    fake = Judgement(np.array([0.7, 0.6, 0.4, 0.3], np.float32), ones, np.array([1, 1, 0, 0], bool), np.array([0, 2]))
    best = balanced_threshold([fake], (0.35, 0.45, 0.55, 0.65))
    assert best == 0.45
    shifted = calibrated(NETWORK, stand.convolutions, [fake])
    changed = [at for at, (a, b) in enumerate(zip(stand.convolutions, shifted, strict=True)) if a is not b]
    heads = [at for at, layer in enumerate(NETWORK.convolutions) if layer.index in {h.source for h in NETWORK.heads}]
    assert changed == heads
    classes = NETWORK.heads[0].classes
    for at in heads:
        moved = (shifted[at].biases - stand.convolutions[at].biases).reshape(-1, 5 + classes)
        np.testing.assert_allclose(np.delete(moved, 4, axis=1), 0)
        # The run's own steps of 0.01: 0.41 is the lowest that keeps the false alarms out.
        logit = np.log(SCORE_THRESHOLD / (1 - SCORE_THRESHOLD)) - np.log(0.41 / 0.59)
        np.testing.assert_allclose(moved[:, 4], logit, rtol=1e-5)


def test_what_is_judged_is_what_the_weights_find():
    """Weights that say nothing find nothing, and miss all."""
    stand = finished(replace(TINY, steps=1))
    judgements = judge_scenes(NETWORK, stand.convolutions, VALIDATION)
    quality = quality_at(judgements, 0.5)
    assert (quality.right, quality.false) == (0, 0)
    assert quality.there == sum(len(scene.truths.xyxy) for scene in VALIDATION)
