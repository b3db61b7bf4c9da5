"""The command ``mosaicd bench share``: what may be typed, what a person reads, the exit code.

Light: what measures is imported when it is needed, and runs in processes of its own. The environment comes in the
context's object.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args

import typer

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
from daemon.benchwords import canvas_of, device_of, engines_of, precisions_of, ways_of, whole_of, words_of
from daemon.cli_models import SettingsOption, StateDirOption
from daemon.clioutput import print_json, print_tables

if TYPE_CHECKING:
    from daemon.devices import Device
    from daemon.measurement import Measurement, Row
    from daemon.sharing import Trial
    from inference.engine import DeviceKind, Precision
    from inference.evaluation.process import Measurer
    from inference.evaluation.share import SharePlan

T = TypeVar("T")

MOST_ON_GPU = 4
"""Workers, unless --workers says otherwise; on a CPU one a core."""
LEAST_MOST = 2
"""Of workers: less were no sharing."""

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "mosaicd bench share --model demo\n\n"
    "mosaicd bench share --model yolov4 --memory all,growth,fraction --workers 1,2,3 --seconds 30 --plot share.png\n\n"
    "mosaicd bench share --model net.cfg --device gpu --memory growth,0.25,0.30 --json > share.json\n\n"
    "Then [bold]mosaicd plan --measured share.json[/bold]. A team that memory does not admit is not started.\n\n"
    "Exit code: 0 if all that was admitted was measured, 1 if not."
)


def share(
    context: typer.Context,
    *,
    model: ModelOption,
    weights: WeightsOption = None,
    names: NamesOption = None,
    memory: Annotated[
        str,
        typer.Option(
            metavar="WAY,...",
            help="all, growth, fraction (the largest that fits so many), or fractions of the memory, as 0.25.",
        ),
    ] = "all,growth,fraction",
    workers: Annotated[
        str, typer.Option(metavar="N,...", help="How many at once; 1 to the number of cores, on a GPU to 4, otherwise.")
    ] = "",
    engine: Annotated[str, typer.Option(metavar="NAME", help="auto, or an engine by name.")] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="NAME", help="float32, bfloat16, float16; auto is what this device is quick with.")
    ] = "auto",
    way: Annotated[str, typer.Option("--input", metavar="NAME", help="mosaic or tiles.")] = "tiles",
    size: Annotated[
        str, typer.Option(metavar="WxH", help="Pixels of a mosaic; its tiles are half as wide.")
    ] = "832x512",
    seconds: Annotated[float, typer.Option(min=0.1, metavar="N", help="How long each is measured.")] = 10.0,
    threads: Annotated[
        int, typer.Option(min=0, metavar="N", help="Of each worker, on a CPU; 0 shares all cores between them.")
    ] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the gains into this PNG.")] = None,
    device: DeviceOption = "cpu",
    cache: CacheOption = None,
    settings: SettingsOption = None,
    state_dir: StateDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure workers that share a device: each one's speed, all together against one after the other, memory."""
    from daemon.devices import DEFAULT_OVERHEAD_MIB
    from daemon.job import inherit
    from daemon.measurement import MeasuredDevice, Measurement
    from daemon.quota import RESERVE_MIB, DeviceMemory
    from daemon.sharing import trials
    from inference.evaluation.process import Measurer
    from inference.evaluation.share import SharePlan
    from inference.inputs import InputKind

    files = files_of(model, weights, names, state_dir_of(settings, state_dir))
    on = device_of(device)
    chosen = _one(engines_of(engine, on), "--engine")
    inputs: tuple[InputKind, ...] = get_args(InputKind)
    if plot is not None and not plot.absolute().parent.is_dir():
        raise typer.BadParameter(f"no such folder: {plot.absolute().parent}", param_hint="--plot")
    ways, numbers = ways_of(memory, "--memory"), [whole_of(item, "--workers") for item in workers.split(",") if workers]
    found = _device(on, context.obj)
    room = DeviceMemory(found.total_mib, found.foreign_mib, DEFAULT_OVERHEAD_MIB[found.kind], RESERVE_MIB)
    most = max(LEAST_MOST, found.cores) if on == "cpu" else MOST_ON_GPU
    teams = trials(room, ways, sorted(set(numbers)) or range(1, most + 1), found.cores or 1, threads)
    with cache_folder(cache) as folder, progress("s") as advance:
        plan = SharePlan(
            files=files,
            engine=chosen,
            precision=_precision(precision, chosen, on),
            way=_one(words_of(way, inputs, "--input"), "--input"),
            canvas_wh=canvas_of(size, "--size"),
            seconds=seconds,
            device=on,
            cache_dir=folder,
        )
        start = partial(Measurer, environment={**inherit(context.obj), "CUDA_VISIBLE_DEVICES": found.uuid or "-1"})
        rows = tuple(_measured(trial, plan, partial(_show, advance, str(trial), seconds), start) for trial in teams)
    name = f"CPU of {found.cores} cores" if on == "cpu" else f"GPU of {found.total_mib} MiB"
    measured = Measurement(
        device=MeasuredDevice(name, room.total_mib, room.overhead_mib, room.reserve_mib, room.foreign_mib, found.cores),
        rows=rows,
        model=str(files.cfg),
        engine=plan.engine,
        precision=plan.precision,
        input=plan.way,
        canvas_wh=plan.canvas_wh,
        seconds=seconds,
    )
    _tell(measured, files.cfg.stem, as_json)
    if plot is not None:
        _draw(plot, measured, files.cfg.stem)
    for row in rows:
        if row.is_refused:
            typer.echo(f"mosaicd bench: not started: {row.problem}", err=True)
    told = zip(teams, rows, strict=True)
    end([f"{trial}: {row.problem}" for trial, row in told if row.problem and not row.is_refused])


def _measured(
    trial: "Trial", plan: "SharePlan", tell: Callable[[float], None], start: "Callable[[], Measurer]"
) -> "Row":
    """What came of one team; one that is not admitted is not started."""
    from daemon.quota import Denied
    from daemon.sharing import row_of
    from inference.evaluation.share import Team, measure

    if isinstance(trial.decision, Denied):
        return row_of(trial, (), (), str(trial.decision))
    tell(0.0)
    team = Team(trial.workers, trial.batch, trial.threads, trial.way.mode.value, trial.decision.limit_mib)
    found = measure(plan, team, tell, start)
    return row_of(trial, found.frame_s, found.peak_mib, found.problem)


def _show(advance: Callable[[str, float, float], None], what: str, seconds: float, spent_s: float) -> None:
    advance(what, spent_s, seconds)


def _tell(measured: "Measurement", model: str, as_json: bool) -> None:
    from daemon.shareview import rows_table, ways_table

    if as_json:
        print_json(measured)
        return
    w, h = measured.canvas_wh
    how = f"{measured.engine} {measured.precision}, input {measured.input}"
    title = f"{model} on a {measured.device.name}: mosaics of {w}x{h}, {how}"
    print_tables(ways_table(measured.rows, title), rows_table(measured.rows))


def _draw(path: Path, measured: "Measurement", model: str) -> None:
    """Write the plot; ends with the reason if it cannot be written."""
    from daemon.shareview import lines
    from inference.evaluation.plot import draw, png

    title = f"{model} on a {measured.device.name}, {measured.engine} {measured.precision}"
    picture = draw(lines(measured.rows), title, "workers, or mosaics in a batch", "gain over one after the other")
    try:
        path.write_bytes(png(picture))
    except OSError as error:
        fail(f"{path}: {error.strerror}")


def _device(kind: "DeviceKind", environ: Mapping[str, str]) -> "Device":
    """The CPU, or the first GPU; ends with what was found where there is none."""
    from daemon.devices import find_devices, run_inventory
    from daemon.job import inherit

    found = find_devices(partial(run_inventory, environ=inherit(environ)))
    for device in found.devices:
        if device.kind == kind:
            return device
    raise typer.BadParameter(f"no GPU was found: {'; '.join(found.notices) or 'see nvidia-smi'}", param_hint="--device")


def _precision(text: str, engine: str, on: "DeviceKind") -> "Precision":
    """The last of those meant by "auto" is the quick one."""
    found = precisions_of(text, [engine], on)
    return found[-1] if text == "auto" else _one(found, "--precision")


def _one(found: "list[T]", option: str) -> "T":
    if len(found) != 1:
        raise typer.BadParameter("takes one only", param_hint=option)
    return found[0]
