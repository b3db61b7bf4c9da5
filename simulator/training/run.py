"""The run: steps over samples drawn by chance, a running mean of the weights, and what that mean finds elsewhere.

Shell: imports keras and tensorflow. One thread; TensorFlow's own prepare the next batch and share the arithmetic. The
same plan and scenes give the same weights on the same machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from inference.darknet.build import build_model
from inference.darknet.layers import Network
from inference.darknet.weights import ConvolutionWeights, DarknetWeights, Header
from inference.decode import Suppression, decode_image
from simulator.training.augment import plain, scene_weights, vary
from simulator.training.boxes import CONTENT_TOP, TILE_WH, Floats
from simulator.training.loss import Parts, detection_loss
from simulator.training.network import build_trainable, to_darknet
from simulator.training.pictures import Scene
from simulator.training.plan import Plan
from simulator.training.quality import Found, Judgement, balanced_threshold, judge
from simulator.training.schedule import Schedule, memory
from simulator.training.targets import Grid, assign

LONGEST_MEMORY: Final = 0.998
WEIGHT_DECAY: Final = 0.02
"""Decoupled (AdamW, arXiv:1711.05101), of kernels only."""
MAX_NORM: Final = 10.0
"""Of all gradients together."""
SCORE_THRESHOLD: Final = 0.25
"""The settings' default: the weights are shifted so that recall and precision balance there."""
LOWEST_SCORE: Final = 0.02
IOU_THRESHOLD: Final = 0.45
"""Of suppression; the settings' default."""
MAX_DETECTIONS: Final = 100
_THRESHOLDS: Final = tuple(round(0.04 + 0.01 * step, 2) for step in range(87))

Convolutions = tuple[ConvolutionWeights, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """How the run stands after a step."""

    step: int
    rate: float
    losses: tuple[float, float, float, float]
    """Total, box, objectness, classes: means since the last report."""
    judgements: tuple[Judgement, ...] | None
    """Of the validation scenes, where they were looked at."""
    convolutions: Convolutions | None
    """The mean weights by then, likewise."""


def grids_of(network: Network) -> tuple[Grid, ...]:
    """The network's heads as targets are made for them."""
    return tuple(
        Grid(head.shape.height, head.shape.width, network.input_shape.width // head.shape.width, head.anchors_wh)
        for head in network.heads
    )


def train(network: Network, plan: Plan, scenes: Sequence[Scene], validation: Sequence[Scene]) -> Iterator[Progress]:
    """Train a fresh network; yield after every step, the last with the finished weights.

    `network` is at the size of one tile.
    """
    keras.utils.set_random_seed(plan.seed)
    training = _Training(network, plan)
    schedule = Schedule(plan.steps, max(plan.steps // 20, 1), plan.peak_rate)
    every = max(plan.steps // plan.reports, 1)
    sums, counted = np.zeros(4), 0
    for step, (images, targets) in enumerate(_batches(network, plan, scenes)):
        parts = training.step(images, targets, schedule.rate(step), memory(step, LONGEST_MEMORY))
        sums, counted = (
            sums + [float(part) for part in (parts.total, parts.box, parts.objectness, parts.classes)],
            counted + 1,
        )
        is_last = step + 1 == plan.steps
        losses = tuple((sums / counted).tolist())
        judgements = convolutions = None
        if is_last or (step + 1) % (2 * every) == 0:
            convolutions = training.convolutions()
            judgements = judge_scenes(network, convolutions, validation)
        yield Progress(step + 1, schedule.rate(step), losses, judgements, convolutions)
        if (step + 1) % every == 0:
            sums, counted = np.zeros(4), 0


class _Training:
    """A model that is being trained, and the running mean of its weights."""

    def __init__(self, network: Network, plan: Plan) -> None:
        self._trainable = build_trainable(network, plan.seed, plan.precision)
        self._model = self._trainable.model
        self._optimizer = keras.optimizers.AdamW(0.0, weight_decay=WEIGHT_DECAY, global_clipnorm=MAX_NORM)
        others = [weight for weight in self._model.trainable_variables if len(weight.shape) < 4]
        self._optimizer.exclude_from_weight_decay(var_list=others)
        self._optimizer.build(self._model.trainable_variables)
        self._means = [tf.Variable(weight.value, trainable=False) for weight in self._model.weights]
        self._grids = grids_of(network)
        self._scales = tuple(head.scale_x_y for head in network.heads)
        self._classes = network.heads[0].classes
        self._compiled = tf.function(self._step)

    def step(self, images: Any, targets: Any, rate: float, share: float) -> Parts:
        """One step of the optimizer. `images` are uint8 (batch, height, width, 3)."""
        self._optimizer.learning_rate.assign(rate)
        return Parts(*self._compiled(images, targets, tf.constant(share)))

    def convolutions(self) -> Convolutions:
        """The mean of the weights so far."""
        return to_darknet(self._trainable, [mean.numpy() for mean in self._means])

    def _step(self, images: Any, targets: Any, share: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            maps = self._model(tf.cast(images, tf.float32) / 255.0, training=True)
            parts = detection_loss(maps, list(targets), self._grids, self._scales, self._classes)
        gradients = tape.gradient(parts.total, self._model.trainable_variables)
        self._optimizer.apply(gradients, self._model.trainable_variables)
        for mean, weight in zip(self._means, self._model.weights, strict=True):
            mean.assign(share * mean + (1 - share) * weight.value)
        return parts.total, parts.box, parts.objectness, parts.classes


def _batches(network: Network, plan: Plan, scenes: Sequence[Scene]) -> Any:
    """Batches of samples, made while the last step still runs: images, and the targets of each head."""
    grids = grids_of(network)
    shape = network.input_shape
    signature = (
        tf.TensorSpec((plan.batch, shape.height, shape.width, 3), tf.uint8),
        tuple(
            tf.TensorSpec((plan.batch, grid.rows, grid.columns, len(grid.anchors_wh), 6), tf.float32) for grid in grids
        ),
    )

    def make() -> Iterator[tuple[Any, tuple[Floats, ...]]]:
        rng = np.random.default_rng((plan.seed, 2))
        weights = scene_weights([scene.truths for scene in scenes], network.heads[0].classes).astype(np.float64)
        weights /= weights.sum()
        for _ in range(plan.steps):
            samples = []
            for _ in range(plan.batch):
                chosen = [scenes[index] for index in rng.choice(len(scenes), 4, p=weights)]
                samples.append(vary([item.content for item in chosen], [item.truths for item in chosen], rng))
            targets = [assign(sample.things, grids) for sample in samples]
            yield (
                np.stack([sample.pixels for sample in samples]),
                tuple(np.stack(head) for head in zip(*targets, strict=True)),
            )

    return tf.data.Dataset.from_generator(make, output_signature=signature).prefetch(4)


def judge_scenes(network: Network, convolutions: Convolutions, scenes: Sequence[Scene]) -> tuple[Judgement, ...]:
    """What the product's own model and decoding find in each scene, alone in its tile, against the truth."""
    model = build_model(network, DarknetWeights(Header(), convolutions))
    suppression = Suppression(LOWEST_SCORE, IOU_THRESHOLD, MAX_DETECTIONS)
    classes = network.heads[0].classes
    out: list[Judgement] = []
    for first in range(0, len(scenes), 16):
        part = scenes[first : first + 16]
        images = np.stack([plain(scene.content, scene.truths).pixels for scene in part])
        maps = [np.asarray(item) for item in model(images.astype(np.float32) / 255.0)]
        for index, scene in enumerate(part):
            seen = decode_image([item[index] for item in maps], network.heads, TILE_WH, suppression)
            truths = replace(scene.truths, xyxy=scene.truths.xyxy + np.array([0, CONTENT_TOP] * 2, np.float32))
            out.append(judge(Found(seen.xyxy, seen.scores, seen.class_ids.astype(np.int64)), truths, classes))
    return tuple(out)


def calibrated(network: Network, convolutions: Convolutions, judgements: Sequence[Judgement]) -> Convolutions:
    """The weights with all objectness shifted, so that recall and precision balance at SCORE_THRESHOLD.

    Exact for boxes whose class is certain, near enough for others.
    """
    best = balanced_threshold(judgements, _THRESHOLDS)
    shift = np.log(SCORE_THRESHOLD / (1 - SCORE_THRESHOLD)) - np.log(best / (1 - best))
    out = list(convolutions)
    for head in network.heads:
        at = next(index for index, layer in enumerate(network.convolutions) if layer.index == head.source)
        biases = out[at].biases.reshape(len(head.anchors_wh), 5 + head.classes).copy()
        biases[:, 4] += shift
        out[at] = replace(out[at], biases=biases.ravel().astype(np.float32))
    return tuple(out)
