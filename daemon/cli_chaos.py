"""The command ``mosaicd chaos``: what may be typed, what a person reads, the exit code.

Light: only typer is imported at the top. The environment comes in the context's object.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from capture.exits import ExitCode
from daemon.clioptions import cache_folder
from daemon.clioutput import print_json, print_tables

if TYPE_CHECKING:
    from daemon.chaos.kinds import Kind
    from daemon.chaos.outcome import Outcome, Progress

LINE_EVERY = 10
"""Events, where there is no bar."""

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "mosaicd chaos\n\n"
    "mosaicd chaos --events 500 --hang-s 3 --keep /tmp/chaos\n\n"
    "mosaicd chaos --seed 4711 --kind exhaust --kind mute\n\n"
    "mosaicd chaos --events 10 --leak 512          # a leak that must be caught: exit code 1\n\n"
    "mosaicd chaos --json | jq '.invariants, .violations'\n\n"
    "Kinds: kill, segv, stop (SIGKILL, SIGSEGV, SIGSTOP); exhaust (memory, up to the worker's quota), mute (answers "
    "nothing); garbage, nan, half (on the socket), hangup (the socket closed half-way); disk (full; needs root), clock "
    "(set), camera (16 faults).\n\n"
    "The same seed, number and kinds give the same schedule; what the machine does beside is not in it. It needs about "
    "3 s an event with --hang-s 3, and the machine for itself.\n\n"
    "Exit code: 0 if every invariant held, 1 if not or if the setup does not come up."
)


def chaos(
    context: typer.Context,
    *,
    events: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="How many things go wrong.")] = 30,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="S", help="Of the schedule; random otherwise, and printed.")
    ] = None,
    hang_s: Annotated[
        float,
        typer.Option("--hang-s", min=1, max=600, metavar="S", help="The daemon's supervision.hang_s."),
    ] = 3.0,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Only this kind; may be given several times.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Keep log, settings, sightings and events there; after a violation they are kept."
        ),
    ] = None,
    leak: Annotated[
        float, typer.Option(min=0, max=65536, metavar="KIB", help="Plant a leak of KIB a second in the supervisor.")
    ] = 0.0,
    leak_fd: Annotated[
        float, typer.Option("--leak-fd", min=0, max=100, metavar="N", help="Plant one of N descriptors a second.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Break a daemon of its own by chance, over and over, and check that what must always hold does hold."""
    from daemon.chaos.outcome import document as document_of
    from daemon.chaos.outcome import events_table, invariants_table, verdict, violation_lines
    from daemon.chaos.run import Wanted, random_seed, run
    from daemon.chaos.stage import Options, StageError, program_of
    from daemon.demo_material import DemoError

    wanted = Wanted(
        events=events,
        seed=random_seed() if seed is None else seed,
        kinds=_kinds(kinds or ()),
        keep=keep,
        leak_kib_s=leak,
        leak_descriptors_s=leak_fd,
    )
    options = Options(tuple(program_of(sys.executable)), context.obj, cache_folder(context.obj), hang_s)
    typer.echo(f"mosaicd chaos: seed {wanted.seed}", err=True)
    try:
        with _shown(events) as say:
            outcome: Outcome = run(wanted, options, say)
    except (StageError, DemoError) as error:
        typer.echo(f"mosaicd chaos: {error}", err=True)
        raise typer.Exit(ExitCode.FAILURE) from None
    if as_json:
        print_json(document_of(outcome))
    else:
        print_tables(events_table(outcome))
        typer.echo()
        print_tables(invariants_table(outcome))
        typer.echo()
        for line in violation_lines(outcome):
            typer.echo(line)
        typer.echo(verdict(outcome))
    if outcome.folder:
        typer.echo(
            f"mosaicd chaos: the daemon's log is {outcome.folder}/run.log; sightings and events beside it", err=True
        )
    raise typer.Exit(ExitCode.OK if outcome.is_well else ExitCode.FAILURE)


def _kinds(names: "list[str] | tuple[str, ...]") -> "tuple[Kind, ...]":
    from daemon.chaos.kinds import Kind

    if strange := [name for name in names if name not in list(Kind)]:
        raise typer.BadParameter(f"no kind {strange[0]!r}; there are {', '.join(Kind)}", param_hint="--kind")
    return tuple(Kind(name) for name in names) or tuple(Kind)


@contextmanager
def _shown(events: int) -> "Iterator[Callable[[Progress], None]]":
    """Show how far it has come, on stderr: a bar on a terminal, elsewhere a line now and then.

    Only from the first word on: until then the process has one thread.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    if not sys.stderr.isatty():
        yield _say_line
        return
    columns = (
        TextColumn("chaos"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[violations]} violations"),
        TextColumn("{task.description}"),
    )
    bar = Bar(*columns, console=Console(stderr=True))
    task = bar.add_task("", total=events, violations=0)

    def say(progress: "Progress") -> None:
        bar.start()
        bar.update(task, completed=progress.done, description=progress.last, violations=progress.violations)

    try:
        yield say
    finally:
        bar.stop()


def _say_line(progress: "Progress") -> None:
    if progress.done % LINE_EVERY == 0:
        done = f"{progress.done} of {progress.events} events, {progress.violations} violations"
        typer.echo(f"mosaicd chaos: {done}; {progress.last}", err=True)
