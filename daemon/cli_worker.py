"""The commands of `mosaicd worker`: what may be typed, what a person reads, the exit code.

They speak to the daemon that runs, through its control socket. Light on purpose: only typer is imported at the top.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli_models import SettingsOption, StateDirOption
from daemon.cliask import ask_daemon, fail
from daemon.clioutput import print_json, print_tables

if TYPE_CHECKING:
    from daemon.orders import WorkerState

app = typer.Typer(
    name="worker",
    help="The workers of the daemon that runs: list, restart.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_DONE = {
    "given_up": "it had been given up; it is started again, and its failures are forgotten",
    "waiting": "it was waiting for its next start; it is started now",
    "starting": "it is asked to stop, and then started again",
    "up": "it is asked to stop, and then started again; others answer its mosaics meanwhile",
    "stopping": "it is stopping already",
    "stopped": "it has been stopped for good",
}
"""What a restart does, by the phase in which it finds the worker."""


@app.command(
    "list",
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd worker list\n\n"
    "mosaicd worker list --settings mosaicd.yaml\n\n"
    "mosaicd worker list --json | jq '.[] | select(.phase == \"given_up\").name'",
)
def list_workers(
    *,
    settings: SettingsOption = None,
    state_dir: StateDirOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array instead of a table.")] = False,
) -> None:
    """Show the workers: where they run, how they are, what they last died of."""
    from daemon.orders import ListWorkers, WorkerList

    reply = ask_daemon("worker", settings, state_dir, ListWorkers())
    if not isinstance(reply, WorkerList):
        fail("worker", f"an answer to another question: {reply}")
    if as_json:
        print_json(reply.workers)
    else:
        _print_table(reply.workers)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd worker restart w1\n\n"
    "mosaicd worker restart w1 --settings mosaicd.yaml\n\n"
    "mosaicd worker restart w1 --state-dir /var/lib/mosaicd\n\n"
    "Exit code: 0 if it is being restarted, 1 if there is no such worker or no daemon runs."
)
def restart(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The worker, as `list` names it.", show_default=False)],
    *,
    settings: SettingsOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Start a worker anew: one that is up, that waits, or that was given up. It counts as no failure of its own."""
    from daemon.orders import NoSuchWorker, Restarting, RestartWorker

    match ask_daemon("worker", settings, state_dir, RestartWorker(name)):
        case Restarting(_, was):
            typer.echo(f"{name}: {_DONE.get(was, was)}")
        case NoSuchWorker(_, there_are):
            fail("worker", f"there is no worker {name!r}, only {', '.join(there_are)}")
        case reply:
            fail("worker", f"an answer to another question: {reply}")


def _print_table(workers: "tuple[WorkerState, ...]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "device", "phase", "generation", "last cause", "restarts", "changed"):
        table.add_column(heading, justify="right" if heading in ("generation", "restarts") else "left", no_wrap=True)
    for worker in workers:
        cause = worker.last_cause or "-"
        device = f"{worker.device}, spare" if worker.is_spare else worker.device
        changed = ", ".join(worker.changed).replace("_", " ") or "-"
        row = (worker.name, device, worker.phase, str(worker.generation), cause, str(worker.restarts), changed)
        table.add_row(*row)
    print_tables(table)
