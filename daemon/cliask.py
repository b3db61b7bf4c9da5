"""How commands speak to the daemon that runs, through its control socket. Light: imports when it asks."""

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from capture.exits import ExitCode
from daemon.cli_models import find_folder

if TYPE_CHECKING:
    from daemon.orders import Reply, Request


def ask_daemon(command: str, settings: Path | None, state_dir: Path | None, request: "Request") -> "Reply":
    """Return the daemon's reply; end the command with one line where there is none, or it refuses."""
    from daemon.control import ControlError, ask
    from daemon.orders import Refused

    try:
        reply = ask(find_folder(settings, state_dir), request)
    except ControlError as error:
        fail(command, str(error))
    if isinstance(reply, Refused):
        fail(command, reply.why)
    return reply


def fail(command: str, message: str) -> NoReturn:
    """End the command with one line on stderr and exit code 1."""
    typer.echo(f"mosaicd {command}: {message}", err=True)
    raise typer.Exit(ExitCode.FAILURE)
