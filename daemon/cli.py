"""The command line: entry point of the console script ``mosaicd``.

Owns: what may be typed, what a person reads, the exit code. It is an entry point, so it reads the environment and hands
it on. Light on purpose: only typer is imported at the top; each command imports what it needs, so ``--help`` is quick.
"""

import json
import os
import re
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version as installed_version
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Annotated

import typer

from capture.exits import ExitCode
from daemon import (
    cli_analyze,
    cli_bench,
    cli_camera,
    cli_chaos,
    cli_events,
    cli_models,
    cli_plan,
    cli_reload,
    cli_schema,
    cli_status,
    cli_worker,
)
from daemon.cli_models import SETTINGS
from daemon.clioptions import OverridesOption, RosterOption, SettingsOption, cache_folder

if TYPE_CHECKING:
    from daemon.problems import Problem
    from daemon.quota import Quota
    from daemon.roster import Roster
    from daemon.settings import Settings

app = typer.Typer(
    name="mosaicd",
    help="Many RTSP cameras, few GPUs: 2x2 mosaics, supervised inference workers, sightings.",
    epilog="Try it without a camera: [bold]mosaicd demo[/bold]. Each command has a --help with examples.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


VideosOption = Annotated[
    list[str],
    typer.Option("--video", metavar="FILE[:COUNT]", help="Footage, for COUNT cameras; may be given several times."),
]


def main(args: Sequence[str] | None = None) -> None:
    """Run one command and exit; an exception that nobody expected is one line, and exit code 70."""
    # A core would hold passwords, of the children that inherit this too; systemd-coredump asks for this limit as well.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        app(args=args, prog_name="mosaicd")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("MOSAICD_DEBUG") == "1":
            raise
        typer.echo(unexpected(error), err=True)
        sys.exit(ExitCode.BROKEN)


def unexpected(error: Exception) -> str:
    """Return the one line that a person reads about a bug: no traceback, no password. Pure."""
    frames = extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    lines = str(error).splitlines()
    said = f": {re.sub(r'//[^/@ ]*@', '//***@', lines[0])}" if lines else ""
    return (
        f"mosaicd: unexpected {type(error).__name__}{where}{said}. This is a bug: run it again with MOSAICD_DEBUG=1 "
        "and report what it prints"
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mosaicd {installed_version('mosaicd')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd run\n\n"
    "mosaicd run --settings mosaicd.yaml --roster cameras.yaml\n\n"
    "mosaicd run --set http.port=9200 --set logging.level=debug"
)
def run(settings: SettingsOption = SETTINGS, roster: RosterOption = None, overrides: OverridesOption = None) -> None:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C."""
    from daemon.main import run as run_daemon

    raise typer.Exit(
        run_daemon(settings_path=settings, roster_path=roster, overrides=tuple(overrides or ()), environ=os.environ)
    )


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd check\n\n"
    "mosaicd check --settings mosaicd.yaml --roster cameras.yaml\n\n"
    "mosaicd check --json | jq .problems\n\n"
    "Exit code: 0 if the daemon would run with it on this machine (warnings or not), 78 if not."
)
def check(
    *,
    settings: SettingsOption = SETTINGS,
    roster: RosterOption = None,
    overrides: OverridesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
) -> None:
    """Check settings and roster, print every problem as file:line:column, and how workers share the devices' memory."""
    from daemon.check import check as check_files
    from daemon.planview import quota_row
    from daemon.problems import Severity
    from daemon.secrets import SecretSources

    found, cameras, problems = check_files(
        settings, roster, tuple(overrides or ()), SecretSources.from_environ(os.environ)
    )
    quotas: Sequence[Quota] = ()
    if found and cameras:
        quotas, more = _quotas(settings, found, _mosaic_count(cameras))
        problems += more
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    counts = {
        "cameras": len(cameras.enabled) if cameras else 0,
        "mosaics": _mosaic_count(cameras) if cameras else 0,
        "errors": errors,
        "warnings": len(problems) - errors,
    }
    if as_json:
        rows = {
            "problems": [asdict(problem) for problem in problems],
            "quotas": [asdict(quota_row(quota)) for quota in quotas],
        }
        typer.echo(json.dumps({**counts, **rows}, indent=2))
    else:
        cli_plan.print_quotas(quotas)
        for problem in problems:
            typer.echo(str(problem))
        typer.echo(", ".join(_counted(number, noun) for noun, number in counts.items()))
    raise typer.Exit(ExitCode.CONFIG if errors else ExitCode.OK)


def _quotas(path: Path, settings: "Settings", mosaics: int) -> "tuple[Sequence[Quota], list[Problem]]":
    """What each device's workers would have, and what stands against it."""
    from daemon.devices import Unplannable
    from daemon.problems import Place, Severity, problem_at
    from daemon.site import plan_site

    planned = plan_site(settings, mosaics, os.environ)
    wrong = planned.workers.problems if isinstance(planned.workers, Unplannable) else ()
    place, key = Place(str(path)), ("devices",)
    return planned.workers.quotas, [
        *(problem_at(place, key, what) for what in wrong),
        *(problem_at(place, key, what, severity=Severity.WARNING) for what in planned.notices),
    ]


def _mosaic_count(cameras: "Roster") -> int:
    """How many mosaics the enabled cameras make, when none was there before."""
    from capture.grouping import Seat, group

    try:
        return len(group([Seat(camera.name, camera.mosaic) for camera in cameras.enabled]))
    except ValueError:  # five cameras ask for one mosaic: that is among the problems already
        return 0


def _counted(number: int, plural: str) -> str:
    return f"{number} {plural.removesuffix('s') if number == 1 else plural}"


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd simulate --roster cameras.yaml\n\n"
    "mosaicd simulate --cameras 8 --scene 7:4 --scene 1000012\n\n"
    "mosaicd simulate --cameras 32 --video shop.mp4 --roster cameras.yaml\n\n"
    "mosaicd simulate --cameras 32 --video shop.mp4:4 --video street.mp4 --port 8554\n\n"
    "CAMERA_PASSWORD=… mosaicd simulate --cameras 4 --video shop.mp4 --username viewer "
    "--password-env CAMERA_PASSWORD\n\n"
    "mosaicd simulate --cameras 8 --faults faults.yaml --port-per-camera\n\n"
    "mosaicd simulate --cameras 2 --video old.avi --mjpeg-port 8556\n\n"
    "mosaicd simulate --cameras 8 --control 8555\n\n"
    'curl --json \'{"kind": "freeze", "for_s": 20}\' http://127.0.0.1:8555/cameras/3/fault\n\n'
    "A schedule of faults is a list in YAML:\n\n"
    "- {at_s: 10, camera: cam-03, kind: hang, for_s: 20}\n\n"
    "- {at_s: 60, every_s: 30, cameras: all, kind: loss, ratio: 0.05, for_s: 10}\n\n"
    "- random: {seed: 1, rate_hz: 1, for_s: 10}\n\n"
    "Chance draws all kinds but refuse and redirect; with kinds: [hang, {kind: loss, ratio: 0.2}] it draws those.\n\n"
    "Kinds: refuse (with --port-per-camera), silent, unauthorized, not_found, redirect, not_video; hang, close, drip; "
    "loss, reorder, jitter, corrupt; freeze, black, blind, switch; jump, wrap, fast, pause, flood."
)
def simulate(
    *,
    videos: VideosOption = [],  # noqa: B006 - typer copies it
    scenes: Annotated[
        list[str],
        typer.Option(
            "--scene", metavar="SEED[:COUNT]", help="A scene of the synthetic world, for COUNT cameras; repeatable."
        ),
    ] = [],  # noqa: B006 - typer copies it
    scenes_folder: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keeps rendered scenes; in the user's cache otherwise.")
    ] = None,
    cameras: Annotated[int, typer.Option(min=1, metavar="N", help="How many cameras.")] = 32,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="RTSP port; 0 takes any free one.")
    ] = 8554,
    username: Annotated[str | None, typer.Option(metavar="NAME", help="Who may watch; anybody otherwise.")] = None,
    password_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="The environment variable that holds the password.")
    ] = None,
    roster: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a roster with these cameras to FILE; it goes to stdout otherwise."),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.1, metavar="N", help="Frames a second, in place of the footage's own.")
    ] = None,
    port_per_camera: Annotated[
        bool, typer.Option("--port-per-camera", help="Give each camera a TCP port of its own, which it can close.")
    ] = False,
    mjpeg: Annotated[
        int | None,
        typer.Option(
            "--mjpeg-port", min=0, max=65535, metavar="PORT", help="Serve MJPEG footage over HTTP on 127.0.0.1 as well."
        ),
    ] = None,
    faults: Annotated[Path | None, typer.Option(metavar="FILE", help="A schedule of what goes wrong when.")] = None,
    control: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="Set faults over HTTP on 127.0.0.1; 0 takes any free port."
        ),
    ] = None,
) -> None:
    """Serve footage and synthetic scenes as RTSP cameras, until SIGTERM or Ctrl-C; with neither given, six scenes."""
    from simulator.errors import ShareError
    from simulator.run import SimulateOptions
    from simulator.run import run as run_simulator
    from simulator.shares import parse_scene_share

    try:
        scene_shares = tuple(parse_scene_share(scene) for scene in scenes)
    except ShareError as error:
        raise typer.BadParameter(str(error)) from error

    options = SimulateOptions(
        cameras=cameras,
        videos=tuple(Path(video) for video in videos),
        host=host,
        port=port,
        username=username,
        password=_password(username, password_env, os.environ),
        password_name=password_env or "SIM_PASSWORD",
        roster=roster,
        fps=fps,
        scenes=scene_shares,
        scenes_folder=scenes_folder or cache_folder(os.environ) / "scenes",
        own_ports=port_per_camera,
        mjpeg=mjpeg,
        faults=faults,
        control=control,
    )
    raise typer.Exit(run_simulator(options))


def _password(username: str | None, name: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the password from the environment: an argument would show in the process list."""
    if name is None:
        if username is not None:
            raise typer.BadParameter("needs --password-env NAME as well", param_hint="--username")
        return None
    if username is None:
        raise typer.BadParameter("needs --username as well", param_hint="--password-env")
    if not environ.get(name):
        raise typer.BadParameter(f"the environment variable {name} is empty or not set", param_hint="--password-env")
    return environ[name]


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd demo\n\n"
    "mosaicd demo --seconds 60\n\n"
    "mosaicd demo --video shop.mp4:4 --video street.mp4 --model yolo-fastest-1.1-xl.cfg --names coco.names\n\n"
    "Exit code with --seconds: 0 if every camera and mosaic came up, 1 if not."
)
def demo(
    *,
    seconds: Annotated[
        float, typer.Option(min=0, metavar="N", help="End by itself after so long; 0 waits for Ctrl-C.")
    ] = 0,
    videos: VideosOption = [],  # noqa: B006 - typer copies it
    model: Annotated[Path | None, typer.Option(metavar="CFG", help="A Darknet network.")] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Its weights; beside the cfg otherwise.")] = None,
    names: Annotated[Path | None, typer.Option(metavar="FILE", help="Its labels; beside the cfg otherwise.")] = None,
    cameras: Annotated[int, typer.Option(min=1, metavar="N", help="How many cameras.")] = 32,
) -> None:
    """Start simulated cameras and the daemon, and show what happens: synthetic scenes, unless told otherwise."""
    from daemon.demo import run as run_demo
    from daemon.demo_material import DemoOptions

    options = DemoOptions(
        cache_dir=cache_folder(os.environ),
        seconds=seconds,
        videos=tuple(videos),
        cfg=model,
        weights=weights,
        names=names,
        cameras=cameras,
    )
    raise typer.Exit(run_demo(options))


@app.command()
def version() -> None:
    """Show the version."""
    _print_version(True)


# Those of other files, after the ones above.
app.command(epilog=cli_status.STATUS_EPILOG, context_settings={"obj": os.environ})(cli_status.status)
app.command(epilog=cli_status.TAIL_EPILOG, context_settings={"obj": os.environ})(cli_status.tail)
app.command(epilog=cli_events.EPILOG)(cli_events.events)
app.command(epilog=cli_reload.EPILOG)(cli_reload.reload)
app.command(epilog=cli_schema.EPILOG)(cli_schema.schema)
app.command(epilog=cli_plan.EPILOG, context_settings={"obj": os.environ})(cli_plan.plan)
app.command(epilog=cli_analyze.EPILOG, context_settings={"obj": os.environ})(cli_analyze.analyze)
app.command(epilog=cli_chaos.EPILOG, context_settings={"obj": os.environ})(cli_chaos.chaos)
app.add_typer(cli_models.app)
app.add_typer(cli_bench.app, context_settings={"help_option_names": ["-h", "--help"], "obj": os.environ})
app.add_typer(cli_worker.app)
app.add_typer(cli_camera.app, context_settings={"help_option_names": ["-h", "--help"], "obj": os.environ})


if __name__ == "__main__":
    main()
