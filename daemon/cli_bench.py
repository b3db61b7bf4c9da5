"""The commands ``mosaicd bench accuracy`` and ``mosaicd bench infer``: what may be typed, what a person reads.

Light: what measures is imported by the command that needs it, and runs in processes of its own.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from daemon import cli_share
from daemon.benchcli import (
    CacheOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    NamesOption,
    WeightsOption,
    cache_folder,
    end,
    fail,
    files_of,
    progress,
    state_dir_of,
)
from daemon.benchwords import canvas_of, device_of, engines_of, precisions_of, size_of, whole_of, words_of
from daemon.cli_models import SettingsOption, StateDirOption
from daemon.clioutput import print_json, print_tables

if TYPE_CHECKING:
    from inference.engine import ModelFiles
    from inference.evaluation.truth import TruthSet

VIDEO_FRAMES = 400
"""Of a video at most so many frames are looked at, unless --limit says otherwise."""
LEAST_PICTURES = 32
"""A verdict on fewer pictures is not worth keeping: a bootstrap knows only what it was shown."""

app = typer.Typer(
    name="bench",
    help="Measure a model on this machine: how accurate it is, how fast it runs.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=cli_share.EPILOG)(cli_share.share)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd bench accuracy coco64 --model yolo-fastest-1.1-xl\n\n"
    "mosaicd bench accuracy coco64 --model net.cfg --tile 320x320 --input single,mosaic --json\n\n"
    "mosaicd bench accuracy street.mp4 --truth street.gt.txt --model net.cfg --limit 200\n\n"
    "mosaicd bench accuracy coco64 --model net.cfg --precision bfloat16 --remember /var/lib/mosaicd/cache\n\n"
    "Exit code: 0 if all was measured, 1 if not."
)
def accuracy(
    *,
    pictures: Annotated[
        Path, typer.Argument(metavar="PHOTOS|VIDEO", help="A folder of photos with YOLO labels, or a video.")
    ],
    model: ModelOption,
    weights: WeightsOption = None,
    names: NamesOption = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A video's MOTChallenge ground truth; VIDEO.gt.txt beside it otherwise."),
    ] = None,
    truth_names: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The names of the YOLO labels' classes; the model's names otherwise."),
    ] = None,
    engine: Annotated[str, typer.Option(metavar="NAME,...", help="auto, or engines by name.")] = "auto",
    precision: Annotated[
        str,
        typer.Option(metavar="NAME,...", help="float32, bfloat16, float16; float32 is measured with each."),
    ] = "float32",
    way: Annotated[
        str, typer.Option("--input", metavar="NAME,...", help="single frames, tiles, mosaic.")
    ] = "single,tiles,mosaic",
    tile: Annotated[str, typer.Option(metavar="WxH", help="Pixels of one tile, whatever the input.")] = "416x256",
    stretch: Annotated[bool, typer.Option("--stretch", help="Stretch pictures to the tile: no letterbox.")] = False,
    score: Annotated[
        float, typer.Option(min=0.01, max=1.0, metavar="RATIO", help="What counts as found, for recall and precision.")
    ] = 0.25,
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="At most so many pictures; 0 is all photos, 400 frames.")
    ] = 0,
    resamples: Annotated[int, typer.Option(min=100, metavar="N", help="Of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the bootstrap.")] = 1,
    threads: Annotated[int, typer.Option(min=0, metavar="N", help="On a CPU; 0 takes all cores.")] = 0,
    device: DeviceOption = "cpu",
    remember: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The daemon's cache folder: keep what precisions lose there."),
    ] = None,
    cache: CacheOption = None,
    settings: SettingsOption = None,
    state_dir: StateDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure mAP@.5 and recall for single frames, tiles and mosaics at the same tile size: the mosaic tax."""
    import msgspec

    from inference.cache import model_digest
    from inference.evaluation import accuracy as measuring
    from inference.evaluation.arrangement import Input
    from inference.evaluation.report import Combination, rows, verdicts_of
    from inference.evaluation.tables import accuracy_table, problems, recall_table
    from inference.evaluation.verdicts import VerdictsError
    from inference.evaluation.verdicts import remember as keep

    files = files_of(model, weights, names, state_dir_of(settings, state_dir))
    on = device_of(device)
    engines = engines_of(engine, on)
    precisions = precisions_of(precision, engines, on)
    ways = [Input(item) for item in words_of(way, tuple(Input), "--input")]
    truths = _truths(pictures, truth, truth_names, files, limit)
    if remember is not None and (truths.video or len(truths) < LEAST_PICTURES):
        why = f"a verdict wants at least {LEAST_PICTURES} photos: frames of one video all tell the same"
        raise typer.BadParameter(why, param_hint="--remember")
    with cache_folder(cache) as folder, progress("pictures") as advance:
        plan = measuring.AccuracyPlan(
            files=files,
            truths=truths,
            combinations=measuring.combinations(engines, precisions, ways, on),
            tile_wh=size_of(tile, "--tile"),
            stretch=stretch,
            device=on,
            threads=threads or len(os.sched_getaffinity(0)),
            cache_dir=folder,
        )

        def tell(one: Combination, done: int) -> None:
            advance(f"{one.engine} {one.precision} {one.way}", done, len(truths))

        outcomes = list(measuring.measure(plan, tell))
    table = rows(outcomes, truths.units, score, resamples, seed)
    verdicts = verdicts_of(table, model_digest(files), len(truths), datetime.now(UTC))
    if remember is not None:
        for verdict in verdicts:
            try:
                keep(remember, verdict)
            except (VerdictsError, ValueError) as error:
                fail(str(error))
    if as_json:
        document = {
            "model": str(files.cfg),
            "pictures": len(truths),
            "objects": sum(len(item.labels) for item in truths.truths),
            "tile_wh": plan.tile_wh,
            "stretch": stretch,
            "score": score,
            "rows": [{**msgspec.to_builtins(row), "refuted": row.refuted} for row in table],
            "verdicts": verdicts,
        }
        print_json(document)
    else:
        title = f"{files.cfg.stem}: {len(truths)} pictures, tiles of {tile}{', stretched' if stretch else ''}"
        measured = [row for row in table if not row.problem]
        by_size = [recall_table(measured, f"Recall at a score of {score:g}")] if measured else []
        print_tables(accuracy_table(table, title), *by_size)
    end(problems(table))


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd bench infer --model demo\n\n"
    "mosaicd bench infer --model net.cfg --size 640x384 --batch 1,2,4 --threads 2\n\n"
    "mosaicd bench infer --model net.cfg --engine openvino --precision bfloat16 --photos coco64/images --json\n\n"
    "Exit code: 0 if all was measured, 1 if not."
)
def infer(
    *,
    model: ModelOption,
    weights: WeightsOption = None,
    names: NamesOption = None,
    engine: Annotated[str, typer.Option(metavar="NAME,...", help="all, auto, or engines by name.")] = "all",
    precision: Annotated[
        str,
        typer.Option(metavar="NAME,...", help="float32, bfloat16, float16; auto is what this device is quick with."),
    ] = "auto",
    way: Annotated[str, typer.Option("--input", metavar="NAME,...", help="mosaic, tiles.")] = "mosaic,tiles",
    batch: Annotated[str, typer.Option(metavar="N,...", help="Mosaics a call.")] = "1",
    size: Annotated[
        str, typer.Option(metavar="WxH", help="Pixels of a mosaic; its tiles are half as wide.")
    ] = "832x512",
    seconds: Annotated[float, typer.Option(min=0.1, metavar="N", help="How long each is measured.")] = 5.0,
    threads: Annotated[int, typer.Option(min=0, metavar="N", help="On a CPU; 0 takes all cores.")] = 1,
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", exists=True, file_okay=False, help="Detect in these photos; in noise otherwise."
        ),
    ] = None,
    device: DeviceOption = "cpu",
    cache: CacheOption = None,
    settings: SettingsOption = None,
    state_dir: StateDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure speed, memory and use of the arithmetic: engine x precision x input x batch."""
    from inference.evaluation import speed as measuring
    from inference.evaluation.tables import problems, speed_table
    from inference.evaluation.truth import PHOTO_SUFFIXES
    from inference.inputs import InputKind

    files = files_of(model, weights, names, state_dir_of(settings, state_dir))
    on = device_of(device)
    engines = engines_of(engine, on)
    precisions = precisions_of(precision, engines, on)
    ways: Sequence[InputKind] = words_of(way, get_args(InputKind), "--input")
    batches = [whole_of(item, "--batch") for item in batch.split(",")]
    size_wh = canvas_of(size, "--size")
    pictures = sorted(path for path in photos.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES) if photos else []
    if photos and not pictures:
        raise typer.BadParameter(f"no photo in {photos}", param_hint="--photos")
    with cache_folder(cache) as folder, progress("s") as advance:
        plan = measuring.SpeedPlan(
            files=files,
            combinations=measuring.combinations(engines, precisions, ways, batches, on),
            canvas_wh=size_wh,
            seconds=seconds,
            threads=threads or len(os.sched_getaffinity(0)),
            device=on,
            cache_dir=folder,
            photos=tuple(pictures),
        )

        def tell(one: measuring.SpeedCombination, spent_s: float) -> None:
            advance(f"{one.engine} {one.precision} {one.way} {one.batch}", spent_s, seconds)

        table = list(measuring.measure(plan, tell))
    if as_json:
        print_json({"model": str(files.cfg), "size_wh": plan.canvas_wh, "threads": plan.threads, "rows": table})
    else:
        counted = "1 thread" if plan.threads == 1 else f"{plan.threads} threads"
        print_tables(speed_table(table, f"{files.cfg.stem}: mosaics of {size}, {counted}"))
    end(problems(table))


def _truths(pictures: Path, truth: Path | None, names: Path | None, files: "ModelFiles", limit: int) -> "TruthSet":
    """What is in the pictures that the model can find; says on stderr what it cannot."""
    from inference.evaluation.truth import TruthError, read_photos, read_video, thin_out
    from inference.labels import LabelsError, modern_label, read_labels

    try:
        known = read_labels(files.names)
        if pictures.is_dir():
            truths = read_photos(pictures.absolute(), read_labels(names) if names else known)
        else:
            truths = read_video(pictures.absolute(), truth or pictures.with_suffix(".gt.txt"))
    except (TruthError, LabelsError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    if wanted := limit or (VIDEO_FRAMES if truths.video else 0):
        truths = thin_out(truths, wanted)
    labels = [modern_label(label) for item in truths.truths for label in item.labels]
    strange = sorted({label for label in labels if label not in known})
    if len(strange) == len(set(labels)):
        fail(f"{pictures}: no object that the model knows; it knows {', '.join(known)[:200]}")
    if strange:
        number = sum(label in strange for label in labels)
        typer.echo(f"{number} objects are left out, which the model does not know: {', '.join(strange)}", err=True)
    return truths
