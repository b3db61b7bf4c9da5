"""Trains the detector in the box: `python -m simulator.train`. Shell: a process' entry point.

Renders the worlds, finds anchors, trains, shifts the scores to the settings' default threshold, and writes demo.cfg,
demo.weights, demo.names and the run's log.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from inference.darknet.cfg import read_cfg
from inference.darknet.layers import Network
from inference.darknet.network import resolve_network
from inference.darknet.weights import Header, write_weights
from simulator.training.anchors import find_anchors, mean_overlap
from simulator.training.augment import LEARNED_SIZE, LEARNED_VISIBLE
from simulator.training.boxes import TILE_WH, Floats, sizes
from simulator.training.pictures import Order, Scene, render
from simulator.training.plan import FULL, QUICK, VALIDATION_SEED, Plan, shortened
from simulator.training.quality import Judgement, quality_at
from simulator.world import LABELS

if TYPE_CHECKING:
    from simulator.training import run

EMBEDDED: Final = Path(__file__).parents[1] / "inference" / "models"
ANCHORS: Final = 8
"""In both heads of the cfg together."""
BFLOAT16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16"})

_HELP = """Trains the small detector that comes with mosaicd on the simulator's synthetic world.

It is for the demo and the tests only: it has never seen a real picture. The whole run took 50 minutes on two cores that
had other work beside it.

[bold]Examples[/]

    python -m simulator.train --out /tmp/model               the whole run, as the embedded weights were made

    python -m simulator.train --out /tmp/model --quick       one minute, to see that everything works

    python -m simulator.train --out /tmp/model --minutes 10  fewer worlds and steps
"""

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(help=_HELP)
def train(  # noqa: PLR0917 - options of a command line
    out: Annotated[Path, typer.Option(help="Folder for demo.cfg, demo.weights, demo.names and training.md.")],
    cfg: Annotated[Path, typer.Option(help="The network; its anchors are replaced.")] = EMBEDDED / "demo.cfg",
    quick: Annotated[bool, typer.Option("--quick", help="A minute, to see that everything works.")] = False,
    minutes: Annotated[float | None, typer.Option(min=1, help="About so long, by fewer worlds and steps.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance in the run.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="For rendering.")] = 2,
    precision: Annotated[
        str, typer.Option(help="float32, mixed_bfloat16, or auto: 16 bits where the CPU has them.")
    ] = "auto",
) -> None:
    """Run it and write the files."""
    plan = QUICK if quick else FULL if minutes is None else shortened(FULL, minutes)
    plan = replace(plan, seed=seed, precision=_precision(precision))
    out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    began_s = monotonic()
    with _progress(console) as progress:
        scenes = _rendered(range(plan.worlds), plan, processes, progress)
        validation_seeds = range(VALIDATION_SEED, VALIDATION_SEED + plan.validation_worlds)
        validation = _rendered(validation_seeds, plan, processes, progress)
        boxes = learned_wh(scenes)
        anchors = find_anchors(boxes, ANCHORS, plan.seed)
        text = with_anchors(cfg.read_text(), anchors)
        (out / "demo.cfg").write_text(text)
        log = Log(began_s, _setting(plan, scenes, validation, boxes, anchors))
        network = resolve_network(read_cfg(out / "demo.cfg"), TILE_WH)
        final = _run(network, plan, (scenes, validation), log, progress)
        write_weights(out / "demo.weights", network, final, Header(seen=plan.steps * plan.batch))
    (out / "demo.names").write_text("\n".join(LABELS) + "\n")
    (out / "training.md").write_text(log.text)
    print(log.text)


class Log:
    """What is said of the run, as Markdown."""

    def __init__(self, began_s: float, setting: Sequence[str]) -> None:
        self._began_s = began_s
        self._lines = [f"Started {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.", "", *setting, ""]
        self._lines += ["| step | minutes | rate | loss | box | objectness | classes | recall | precision |"]
        self._lines += ["|---" * 9 + "|"]

    def add(self, stand: "run.Progress", score_threshold: float) -> str:
        """A row of the table; returned too."""
        minutes = (monotonic() - self._began_s) / 60
        losses = " | ".join(f"{loss:.3f}" for loss in stand.losses)
        found = " | "
        if stand.judgements is not None:
            quality = quality_at(stand.judgements, score_threshold)
            found = f"{quality.recall:.3f} | {quality.precision:.3f}"
        self._lines.append(f"| {stand.step} | {minutes:.1f} | {stand.rate:.1e} | {losses} | {found} |")
        return self._lines[-1]

    def conclude(self, judgements: Sequence[Judgement], score_threshold: float) -> None:
        """The end: quality by class on the validation scenes."""
        self._lines += ["", f"Validation scenes at a score of {score_threshold:g}, after the shift of scores:", ""]
        self._lines += ["| label | objects | recall | precision |", "|---|---|---|---|"]
        for class_id, label in [*enumerate(LABELS), (None, "all")]:
            quality = quality_at(judgements, score_threshold, class_id)
            self._lines.append(f"| {label} | {quality.there} | {quality.recall:.3f} | {quality.precision:.3f} |")
        self._lines += ["", f"Took {(monotonic() - self._began_s) / 60:.1f} minutes."]

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([*self._lines, ""])


def with_anchors(cfg: str, anchors_wh: Floats) -> str:
    """The cfg's text with these anchors (n, 2), smallest first, in each of its [yolo] layers. Pure."""
    text = ",  ".join(f"{width:.1f},{height:.1f}" for width, height in anchors_wh)
    return re.sub(r"^anchors=.*$", f"anchors={text}", cfg, flags=re.MULTILINE)


def learned_wh(scenes: Sequence[Scene]) -> Floats:
    """Sizes (n, 2) of all boxes that are learned from. Pure."""
    boxes = []
    for scene in scenes:
        truths = scene.truths
        chosen = truths.xyxy[(sizes(truths.xyxy) >= LEARNED_SIZE) & (truths.visible_ratio >= LEARNED_VISIBLE)]
        boxes.append(chosen[:, 2:] - chosen[:, :2])
    out: Floats = np.concatenate(boxes)
    return out


def _run(
    network: Network,
    plan: Plan,
    scenes: tuple[Sequence[Scene], Sequence[Scene]],
    log: Log,
    progress: Progress,
) -> "run.Convolutions":
    """Train and write the log; `scenes` are those to learn from and those to look at. Returns the shifted weights."""
    from simulator.training import run  # loads TensorFlow, for which --help should not wait

    task = progress.add_task("train", total=plan.steps)
    stand: run.Progress | None = None
    for stand in run.train(network, plan, *scenes):
        progress.update(task, completed=stand.step)
        if stand.step % max(plan.steps // plan.reports, 1) == 0 or stand.step == plan.steps:
            progress.console.print(log.add(stand, run.SCORE_THRESHOLD), markup=False, highlight=False)
    assert stand is not None and stand.convolutions is not None and stand.judgements is not None
    final = run.calibrated(network, stand.convolutions, stand.judgements)
    log.conclude(run.judge_scenes(network, final, scenes[1]), run.SCORE_THRESHOLD)
    return final


def _rendered(seeds: Sequence[int], plan: Plan, processes: int, progress: Progress) -> list[Scene]:
    task = progress.add_task(f"render worlds from {seeds[0]}", total=len(seeds))
    scenes: list[Scene] = []
    for some in render([Order(seed, plan.pictures_a_world) for seed in seeds], processes):
        scenes += some
        progress.advance(task)
    progress.console.print(f"{len(scenes)} scenes of {len(seeds)} worlds, from seed {seeds[0]}")
    return scenes


def _setting(
    plan: Plan, scenes: Sequence[Scene], validation: Sequence[Scene], boxes_wh: Floats, anchors_wh: Floats
) -> list[str]:
    anchors = ", ".join(f"{width:.0f}x{height:.0f}" for width, height in anchors_wh)
    counts = np.bincount(np.concatenate([scene.truths.class_ids for scene in scenes]), minlength=len(LABELS))
    return [
        f"- seed {plan.seed}, {plan.precision}, {plan.steps} steps of {plan.batch}, peak rate {plan.peak_rate:g}",
        f"- {len(scenes)} scenes of {plan.worlds} worlds; validation: {len(validation)} of {plan.validation_worlds}",
        f"- objects: {', '.join(f'{label} {count}' for label, count in zip(LABELS, counts, strict=True))}",
        f"- {len(boxes_wh)} boxes learned; anchors {anchors} (mean overlap {mean_overlap(boxes_wh, anchors_wh):.3f})",
    ]


def _precision(wanted: str) -> str:
    if wanted in ("float32", "mixed_bfloat16"):
        return wanted
    if wanted != "auto":
        raise typer.BadParameter("should be float32, mixed_bfloat16 or auto", param_hint="--precision")
    words = set(Path("/proc/cpuinfo").read_text().split())
    return "mixed_bfloat16" if words & BFLOAT16_FLAGS else "float32"


def _progress(console: Console) -> Progress:
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


if __name__ == "__main__":
    app()
