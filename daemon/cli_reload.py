"""The command `mosaicd reload`: what may be typed, what a person reads, the exit code. Light: only typer at the top."""

from typing import TYPE_CHECKING, Annotated

import typer

from capture.exits import ExitCode
from daemon.cli_models import SettingsOption, StateDirOption
from daemon.cliask import ask_daemon, fail
from daemon.clioutput import print_json

if TYPE_CHECKING:
    from daemon.orders import Difference

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "mosaicd reload --dry-run\n\n"
    "mosaicd reload\n\n"
    "mosaicd reload --settings mosaicd.yaml --json | jq .added\n\n"
    "The daemon reads the roster again by itself when it is saved. Settings need a restart.\n\n"
    "Exit code: 0 if the roster is applied (or would be), 1 if it is not valid, or no daemon runs."
)

_KINDS = {
    "added": "cameras added",
    "removed": "cameras removed",
    "changed": "cameras read anew",
    "moved": "cameras moved to another mosaic",
    "opened": "mosaics opened",
    "closed": "mosaics closed",
    "judged": "mosaics with other labels, scores or priority",
    "followed": "cameras with other rules for events",
}


def reload(
    *,
    is_trial: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    settings: SettingsOption = None,
    state_dir: StateDirOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
) -> None:
    """Let the daemon that runs read its roster again, and wait until it is applied or refused."""
    from daemon.orders import Reloaded, ReloadRoster, RosterRefused

    reply = ask_daemon("reload", settings, state_dir, ReloadRoster(is_trial))
    match reply:
        case RosterRefused(problems):
            for problem in problems:
                typer.echo(problem, err=True)
            typer.echo("mosaicd reload: the roster is not valid; nothing was changed", err=True)
            raise typer.Exit(ExitCode.FAILURE)
        case Reloaded():
            for warning in reply.warnings:
                typer.echo(warning, err=True)
            if as_json:
                print_json({"is_trial": is_trial} | {kind: getattr(reply.difference, kind) for kind in _KINDS})
            else:
                _print(reply.difference, is_trial)
        case _:
            fail("reload", f"an answer to another question: {reply}")


def _print(difference: "Difference", is_trial: bool) -> None:
    lines = [f"{_KINDS[kind]}: {', '.join(names)}" for kind, names in difference.by_kind().items()]
    if not lines:
        typer.echo("nothing would change" if is_trial else "applied; nothing has changed")
        return
    typer.echo("would be done:" if is_trial else "applied:")
    for line in lines:
        typer.echo(f"  {line}")
