"""The command ``mosaicd analyze``: what may be typed, what a person reads, the exit code.

Light: what decodes and detects runs in processes of its own. The environment comes in the context's object.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from capture.exits import ExitCode
from daemon.benchcli import NamesOption, WeightsOption, files_of, state_dir_of
from daemon.cli_models import SETTINGS
from daemon.clioptions import OverridesOption, cache_folder
from daemon.clioutput import print_json, print_tables

if TYPE_CHECKING:
    from daemon.analysis.run import Outcome
    from inference.engine import ModelFiles

INTERRUPTED = 130
"""128 and SIGINT, as shells have it."""

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "mosaicd analyze gate=night.mp4 --roster cameras.yaml\n\n"
    "mosaicd analyze *.mp4 --model yolo-fastest-1.1-xl --fps 2 --out /tmp/monday\n\n"
    "mosaicd analyze gate=02.mp4 gate=03.mp4 --start 2026-11-30T02:00:00 --roster cameras.yaml --mot\n\n"
    "mosaicd analyze clip.mp4 --model demo --json | jq .real_time_factor\n\n"
    "Exit code: 0 if all was analysed; 1 if some of it could not be, or nothing could; 78 if settings or roster are "
    "wrong; 130 after Ctrl-C, with what was analysed by then."
)


def analyze(
    context: typer.Context,
    *,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[CAMERA=]FILE...",
            help="Recorded video. Without a name its camera is called as the file; several of one camera follow "
            "each other.",
        ),
    ],
    roster: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Rules, labels and rates of the cameras by name, and its defaults for others; urls are ignored. "
            "Without it each object is an event.",
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=f"Model, canvas, rate, devices; {SETTINGS} otherwise, if it is there.", dir_okay=False
        ),
    ] = None,
    overrides: OverridesOption = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="CFG|NAME", help="A Darknet network, or the name of a stored model; the settings' otherwise."
        ),
    ] = None,
    weights: WeightsOption = None,
    names: NamesOption = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, max=30, metavar="HZ", help="Frames looked at a second of footage, of each camera."),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[CAMERA=]TIME",
            help="When the first file of a camera, or of each, begins, as 2026-11-30T02:00:00; the time in the file "
            "otherwise, else the file's date.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = Path("analysis"),
    force: Annotated[bool, typer.Option("--force", help="Replace an analysis that is there already.")] = False,
    mot: Annotated[bool, typer.Option("--mot", help="Write tracks as MOTChallenge files, too.")] = False,
    snapshots: Annotated[
        bool,
        typer.Option("--snapshots", help="Make a picture of each event's best moment, too: the footage is read again."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Analyze recorded video as fast as the machine goes: events, crossings and tracks of files in place of cameras.

    The folder then holds events.csv, crossings.csv, with --mot tracks/, and a daemon's database, events/events.sqlite.

    There are no clips. `mosaicd events --state-dir FOLDER` lists the events.
    """
    from daemon.analysis.clips import NamingError, given
    from daemon.analysis.lookers import LookersError
    from daemon.analysis.results import FolderError, check
    from daemon.analysis.run import UnreadableError, Wanted, carry_out
    from daemon.analysis.site import places_of, read_site
    from daemon.modelrun import CannotRunError
    from daemon.problems import ConfigError
    from events.database import UnavailableError

    settings = settings or (SETTINGS if SETTINGS.is_file() and model is None else None)
    if settings is None and model is None:
        raise typer.BadParameter("no model is named: give --model NAME, or --settings FILE", param_hint="--model")
    try:
        wanted = given(files, start or ())
    except NamingError as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from None
    try:
        check(out, force=force)
        site = read_site(
            settings,
            roster,
            _model(model, weights, names, settings),
            tuple(overrides or ()),
            cache=cache_folder(context.obj),
            fps=fps,
        )
        _, places = places_of(site, [each.camera for each in wanted], context.obj, _say)
        outcome = carry_out(Wanted(wanted, site, places, out, force, mot, snapshots), _say)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.CONFIG) from None
    except CannotRunError as error:
        _say(str(error))
        raise typer.Exit(ExitCode.CONFIG) from None
    except UnreadableError as error:
        for line in error.lines:
            _say(line)
        raise typer.Exit(ExitCode.FAILURE) from None
    except (FolderError, LookersError, UnavailableError) as error:
        _say(str(error))
        raise typer.Exit(ExitCode.FAILURE) from None
    except OSError as error:
        _say(f"{error.filename or out}: {error.strerror}")
        raise typer.Exit(ExitCode.FAILURE) from None
    _tell(outcome, out, as_json)
    if outcome.is_interrupted:
        raise typer.Exit(INTERRUPTED)
    is_bad = bool(outcome.error) or any(each.error for each in outcome.results)
    raise typer.Exit(ExitCode.FAILURE if is_bad else ExitCode.OK)


def _model(model: Path | None, weights: Path | None, names: Path | None, settings: Path | None) -> "ModelFiles | None":
    if model is None:
        if given := "--weights" if weights else "--names" if names else "":
            raise typer.BadParameter("needs --model as well", param_hint=given)
        return None
    return files_of(model, weights, names, state_dir_of(settings, None))


def _tell(outcome: "Outcome", out: Path, as_json: bool) -> None:
    from daemon.analysis.view import clock, table

    if outcome.error:
        _say(outcome.error)
    if not outcome.results:
        _say("nothing was looked at")
        return
    if as_json:
        print_json({"out": str(out), **outcome.summary})
        return
    print_tables(table(outcome.results))
    footage_s = sum(each.analysed_s for each in outcome.results)
    factor = outcome.summary["real_time_factor"]
    typer.echo(
        f"{clock(footage_s)} of footage in {outcome.took_s:.1f} s: {factor:.1f}x real time. Results are in {out}"
    )


def _say(line: str) -> None:
    typer.echo(f"mosaicd analyze: {line}", err=True)
