"""The commands of `mosaicd models`: what may be typed, what a person reads, the exit code.

Light on purpose: only typer is imported at the top. What is offered comes from the context's object where a caller of
`app` gives one (a test, with a server of its own), else it is the catalog.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from capture.exits import ExitCode

if TYPE_CHECKING:
    from daemon.models.catalog import Catalog, CatalogModel, RemoteFile
    from daemon.models.listing import Row

SETTINGS = Path("/etc/mosaicd/mosaicd.yaml")

app = typer.Typer(
    name="models",
    help="Detectors: list, fetch, verify, add. They are stored in the state folder, under models/.",
    epilog="The model that comes with mosaicd is for demonstrations; real cameras want one of the others.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

SettingsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help=f"The daemon's settings, which name its state folder; {SETTINGS} otherwise.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
StateDirOption = Annotated[
    Path | None,
    typer.Option(
        "--state-dir", metavar="DIR", help="The daemon's state folder, if not the settings'.", show_default=False
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.", show_default=False)]


@app.command(
    "list",
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd models list\n\n"
    "mosaicd models list --settings mosaicd.yaml\n\n"
    "mosaicd models list --json | jq '.[] | select(.state == \"installed\").name'",
)
def list_models(
    context: typer.Context,
    *,
    settings: SettingsOption = None,
    state_dir: StateDirOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array instead of a table.")] = False,
) -> None:
    """Show which models there are, and which of them are on this machine."""
    from daemon.models.listing import rows

    with _told():
        found = rows(find_folder(settings, state_dir), _catalog(context))
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in found], indent=2))
    else:
        _print_table(found)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "sudo mosaicd models fetch yolo-fastest-1.1-xl\n\n"
    "mosaicd models fetch yolov4 --settings mosaicd.yaml\n\n"
    "mosaicd models fetch yolov3 --state-dir /var/lib/mosaicd\n\n"
    "When it was interrupted, run it again: it goes on where it stopped. A proxy is taken from https_proxy."
)
def fetch(
    context: typer.Context, name: NameArgument, settings: SettingsOption = None, state_dir: StateDirOption = None
) -> None:
    """Fetch a model, check its digests, and store it."""
    from daemon.models.errors import UnreachableError
    from daemon.models.install import fetch as fetch_model
    from daemon.models.install import find_offered, is_installed
    from daemon.models.store import check_state_dir

    with _told():
        model, state = find_offered(name, _catalog(context)), find_folder(settings, state_dir)
        check_state_dir(state)
        if is_installed(model, state):
            typer.echo(f"{name} is stored already, and as it should be.")
            return
        agent = f"mosaicd/{installed_version('mosaicd')}"
        try:
            with _progress() as on_fetch:
                paths = fetch_model(model, state, on_fetch, stored_at=datetime.now(UTC), user_agent=agent)
        except KeyboardInterrupt:
            typer.echo(f"\nStopped. To go on: mosaicd models fetch {name} --state-dir {state}", err=True)
            raise typer.Exit(130) from None
        except UnreachableError as error:
            typer.echo(f"mosaicd models: {error}\n{_by_hand(model)}", err=True)
            raise typer.Exit(ExitCode.FAILURE) from None
    typer.echo(f"{name} is stored in {paths.cfg.parent}. {_how_to_use(name)}")


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd models verify\n\n"
    "mosaicd models verify yolov4 demo\n\n"
    "mosaicd models verify --settings mosaicd.yaml\n\n"
    "Exit code: 0 if all is well, 1 if not."
)
def verify(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models; all that are stored, if none is named.")
    ] = None,
    settings: SettingsOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Read stored models again: are their bytes as they were, do their files belong together?"""
    from daemon.models.store import stored_names
    from daemon.models.verify import faults

    is_well = True
    with _told():
        state = find_folder(settings, state_dir)
        chosen = names or stored_names(state)
        if not chosen:
            typer.echo(f"No model is stored in {state}.")
        for name in chosen:
            found = faults(name, state, _catalog(context))
            is_well = is_well and not found
            for line in found or ("ok",):
                typer.echo(f"{name}: {line}")
    raise typer.Exit(ExitCode.OK if is_well else ExitCode.FAILURE)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "sudo mosaicd models add forklifts --cfg forklifts.cfg --weights forklifts_best.weights --names forklifts.names\n\n"
    "mosaicd models add forklifts --force --cfg a.cfg --weights a.weights --names a.names --settings mosaicd.yaml\n\n"
    "On a machine without Internet, the files of a catalog's model are brought in under its name:\n\n"
    "mosaicd models add yolov4 --cfg yolov4.cfg --weights yolov4.weights"
)
def add(
    context: typer.Context,
    name: NameArgument,
    *,
    cfg: Annotated[Path, typer.Option(metavar="FILE", help="A Darknet network.", exists=True, dir_okay=False)],
    weights: Annotated[
        Path, typer.Option(metavar="FILE", help="Its weights, or a .keras file.", exists=True, dir_okay=False)
    ],
    names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its labels, one a line; those of the catalog's models are known.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model of this name.")] = False,
    settings: SettingsOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Copy a model of your own into the store."""
    from daemon.models.install import add as add_model
    from daemon.models.install import labels_file
    from inference.engine import ModelFiles

    with _told(), labels_file(name, names, _catalog(context)) as labels:
        paths = add_model(
            name,
            ModelFiles(cfg, weights, labels),
            find_folder(settings, state_dir),
            stored_at=datetime.now(UTC),
            replace=force,
            catalog=_catalog(context),
        )
    typer.echo(f"{name} is stored in {paths.cfg.parent}. {_how_to_use(name)}")


def _by_hand(model: "CatalogModel") -> str:
    """Return how to go on without a network. Pure."""
    cfg, weights = (remote.url.rsplit("/", 1)[-1] for remote in (model.cfg, model.weights))
    return (
        "A machine without Internet gets these two files from another one:\n"
        f"  {model.cfg.url}\n  {model.weights.url}\n"
        f"and then: mosaicd models add {model.name} --cfg {cfg} --weights {weights}\n"
        "To try everything else until then: model: {name: demo} in the settings"
    )


def _how_to_use(name: str) -> str:
    return f"In the settings: model: {{name: {name}}}"


def _catalog(context: typer.Context) -> "Catalog":
    from daemon.models.catalog import CATALOG

    offered: Catalog = CATALOG if context.obj is None else context.obj
    return offered


def find_folder(settings: Path | None, state_dir: Path | None) -> Path:
    """The state folder as the daemon would find it. Settings that cannot be read end the command: guessing would
    store a model where no daemon looks."""
    from daemon import yamltext
    from daemon.check import find_state_dir
    from daemon.problems import ConfigError

    if state_dir is not None:
        return state_dir.absolute()
    path = settings or SETTINGS
    if settings is not None or may_be_there(path):
        try:
            yamltext.load(path).require()
        except ConfigError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(ExitCode.CONFIG) from None
    return find_state_dir(path, (), {}).absolute()


def may_be_there(path: Path) -> bool:
    """Whether a file is there, as far as this user can see."""
    try:
        return path.exists()
    except OSError:  # its folder is closed to this user: reading it says so
        return True


@contextmanager
def _told() -> Iterator[None]:
    """End the command with one line where the store or the network fails."""
    from daemon.models.errors import ModelsError

    try:
        yield
    except ModelsError as error:
        typer.echo(f"mosaicd models: {error}", err=True)
        raise typer.Exit(ExitCode.FAILURE) from None


def _print_table(rows: "tuple[Row, ...]") -> None:
    from rich.console import Console
    from rich.table import Table

    from daemon.models.errors import shown_mib

    table = Table(box=None, pad_edge=False)
    for heading, justify in (("name", "left"), ("state", "left"), ("size", "right"), ("input", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("licence")
    for row in rows:
        percent = f" {100 * row.here_bytes // row.size_bytes} %" if row.state == "partial" else ""
        size = shown_mib(row.size_bytes) if row.size_bytes else "-"
        input_size = "{}x{}".format(*row.input_wh) if row.input_wh else "-"
        table.add_row(row.name, row.state + percent, size, input_size, row.licence or "not stated")
    Console().print(table)


@contextmanager
def _progress() -> "Iterator[Callable[[RemoteFile, int], None]]":
    """A bar for each file, on standard error; gives what is to be told of each step."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Speed

    bars: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def on_fetch(remote: "RemoteFile", done: int) -> None:
            if remote.url not in bars:
                bars[remote.url] = progress.add_task(remote.url.rsplit("/", 1)[-1], total=remote.size_bytes)
            progress.update(bars[remote.url], completed=done)

        yield on_fetch
