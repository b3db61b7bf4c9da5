"""The command ``mosaicd plan``: what may be typed, what a person reads, the exit code.

Light: only typer is imported at the top. The environment comes in the context's object. Without a measurement it tells
quotas only, of this machine's devices by the settings.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from capture.exits import ExitCode
from daemon.cli_models import SETTINGS
from daemon.clioptions import OverridesOption, RosterOption, SettingsOption
from daemon.clioutput import print_json, print_tables

if TYPE_CHECKING:
    from daemon.planner import Demand, Kind, Outlook
    from daemon.quota import Quota
    from daemon.roster import Roster
    from daemon.settings import Settings

FPS = 5.0
"""Mosaics a second where no settings are read; the settings' default is the same."""
MOST_DEVICES = 1000

_COUNTED = re.compile(r"(.+):(\d{1,6})", re.DOTALL)
"""A file and how many: as with `mosaicd simulate --video`."""

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "mosaicd plan\n\n"
    "mosaicd plan --settings mosaicd.yaml --cameras 64\n\n"
    "mosaicd plan --measured share.json --decode-ms 30\n\n"
    "mosaicd plan --measured gtx1080.json:3 --cameras 32 --fps 3 --json | jq .needs\n\n"
    "Exit code: 0 if all workers fit and, where it was measured, the rate is met; 1 if not; 78 if settings or roster "
    "are wrong."
)


def plan(
    context: typer.Context,
    *,
    settings: SettingsOption = SETTINGS,
    roster: RosterOption = None,
    overrides: OverridesOption = None,
    measured: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:COUNT]",
            help="What `bench share --json` printed, for COUNT such devices (1); several make one machine.",
        ),
    ] = None,
    cameras: Annotated[
        int | None, typer.Option(min=1, max=10000, metavar="N", help="So many cameras; the roster's otherwise.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=30, metavar="HZ", help=f"Mosaics a second; the settings' otherwise, {FPS:g} without them."
        ),
    ] = None,
    decode_ms: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="MS",
            help="CPU milliseconds a second that decoding one camera takes; `camera test` measures it. 0: not counted.",
        ),
    ] = 0.0,
    cores: Annotated[
        int, typer.Option(min=0, metavar="N", help="Of the machine that decodes; 0 takes this one's.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Tell which workers fit and, from what was measured: each camera's rate, what binds, what a lost device costs, and
    how many devices are needed."""
    from daemon.planner import Host
    from daemon.planner import plan as plan_devices

    devices = _devices(measured or ())
    site = seen = None
    if not devices or cameras is None:
        site, seen = _site(settings, roster, overrides or (), context.obj, wants_roster=cameras is None)
    demand = _demand(cameras, fps or (site.mosaic.fps if site else FPS), seen)
    if devices:
        host = Host(cores or len(os.sched_getaffinity(0)), decode_ms / 1000)
        is_enough = _tell(plan_devices(devices, demand, host), demand, bool(decode_ms), as_json)
    else:
        assert site is not None, "without a measurement the settings are read"
        is_enough = _tell_quotas(site, demand, context.obj, as_json)
    raise typer.Exit(ExitCode.OK if is_enough else ExitCode.FAILURE)


def print_quotas(quotas: "Sequence[Quota]") -> None:
    """Print the quotas and what is to be said of them: for `mosaicd plan` and `mosaicd check` alike."""
    from daemon.planview import notes, quota_table

    if quotas:
        print_tables(quota_table(quotas))
    for note in notes(quotas):
        typer.echo(note)


def _devices(measured: "Sequence[str]") -> "dict[str, Kind]":
    """The devices of which measurements are given, by a name made of the file's."""
    from daemon.measurement import MeasurementError, kind_of, parse_measurement

    devices: dict[str, Kind] = {}
    for text in measured:
        named = _COUNTED.fullmatch(text)
        path, count = (Path(named[1]), int(named[2])) if named else (Path(text), 1)
        try:
            kind = kind_of(parse_measurement(path.read_bytes()))
        except OSError as error:
            _refuse(f"{path}: {error.strerror}", "--measured")
        except MeasurementError as error:
            _refuse(f"{path}: {error}", "--measured")
        if not 1 <= count <= MOST_DEVICES:
            _refuse(f"{text}: the count must be from 1 to {MOST_DEVICES}", "--measured")
        devices |= {f"{path.stem}-{len(devices) + place}": kind for place in range(count)}
    return devices


def _site(
    settings: Path, roster: Path | None, overrides: "Sequence[str]", environ: Mapping[str, str], *, wants_roster: bool
) -> "tuple[Settings, Roster | None]":
    """The settings and, where it is wanted, the roster; ends with all that is wrong with them."""
    from daemon.check import check
    from daemon.problems import Severity
    from daemon.secrets import SecretSources

    found, cameras, problems = check(settings, roster, tuple(overrides), SecretSources.from_environ(environ))
    if found is None or (wants_roster and cameras is None):
        for problem in problems:
            if problem.severity is Severity.ERROR:
                typer.echo(str(problem), err=True)
        typer.echo("mosaicd plan: mend what is named above, or give --measured FILE and --cameras N", err=True)
        raise typer.Exit(ExitCode.CONFIG)
    return found, cameras


def _demand(cameras: int | None, hz: float, roster: "Roster | None") -> "Demand":
    from daemon.job import plan_groups
    from daemon.planner import Demand, demand_of

    if cameras is not None:
        return demand_of(cameras, hz)
    assert roster is not None, "it was wanted, and is valid"
    if not roster.enabled:
        typer.echo("mosaicd plan: the roster has no enabled camera; give --cameras N", err=True)
        raise typer.Exit(ExitCode.CONFIG)
    return Demand(plan_groups(roster, ()), hz, {one.name: one.fps for one in roster.enabled if one.fps is not None})


def _tell_quotas(site: "Settings", demand: "Demand", environ: Mapping[str, str], as_json: bool) -> bool:
    """Say what the settings give this machine's workers, and whether all fit."""
    from daemon.devices import Unplannable
    from daemon.planview import quota_row
    from daemon.site import plan_site

    planned = plan_site(site, len(demand.mosaics), environ)
    problems = planned.workers.problems if isinstance(planned.workers, Unplannable) else ()
    if as_json:
        rows = [asdict(quota_row(quota)) for quota in planned.workers.quotas]
        print_json({**_counts(demand), "quotas": rows, "notices": planned.notices, "problems": problems})
        return not problems
    print_quotas(planned.workers.quotas)
    for line in (*planned.notices, *problems):
        typer.echo(line)
    typer.echo(
        f"{len(demand.cameras)} cameras, {len(demand.mosaics)} mosaics. How fast they are answered was not measured: "
        "mosaicd bench share --model NAME --json > share.json, then mosaicd plan --measured share.json"
    )
    return not problems


def _tell(outlook: "Outlook", demand: "Demand", is_decoding_known: bool, as_json: bool) -> bool:
    """Say what the plan is and what comes of it, and whether the rate is met."""
    from daemon.planview import outlook_tables, quota_row, verdict

    if as_json:
        rows = [asdict(quota_row(quota)) for quota in outlook.quotas]
        print_json({**_counts(demand), **asdict(outlook), "quotas": rows})
    else:
        print_quotas(outlook.quotas)
        print_tables(*outlook_tables(outlook, demand))
        typer.echo(verdict(outlook, demand, is_decoding_known))
    return outlook.is_met


def _counts(demand: "Demand") -> dict[str, float]:
    return {"cameras_wanted": len(demand.cameras), "mosaics": len(demand.mosaics), "mosaic_hz": demand.hz}


def _refuse(message: str, option: str) -> NoReturn:
    raise typer.BadParameter(message, param_hint=option)
