"""What the commands of ``mosaicd bench`` share: options, the model's files, the cache folder, progress, the end.

Light: what knows engines is imported by the function that needs it.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from capture.exits import ExitCode
from daemon.cli_models import SETTINGS

if TYPE_CHECKING:
    from inference.engine import ModelFiles

ModelOption = Annotated[
    Path, typer.Option("--model", metavar="CFG|NAME", help="A Darknet network, or the name of a stored model.")
]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="Its weights; stored or beside the cfg otherwise.")
]
NamesOption = Annotated[
    Path | None, typer.Option("--names", metavar="FILE", help="Its labels; stored or beside the cfg otherwise.")
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="cpu|gpu", help="What executes the model.")]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", metavar="FOLDER", help="Keep built graphs there for the next time."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")]


def files_of(model: Path, weights: Path | None, names: Path | None, state_dir: Path) -> "ModelFiles":
    """Of a stored model, or of a cfg with what lies beside it; absolute, and all there."""
    from daemon.models.errors import ModelsError
    from daemon.models.store import resolve
    from inference.engine import ModelFiles

    if model.is_file() or model.suffix == ".cfg" or len(model.parts) != 1:
        beside = [model.with_suffix(".names"), model.with_name("coco.names"), *sorted(model.parent.glob("*.names"))]
        labels = next((path for path in beside if path.is_file()), beside[0])
        found = ModelFiles(model, model.with_suffix(".weights"), labels)
    else:
        try:
            paths = resolve(model.name, state_dir)
        except ModelsError as error:
            raise typer.BadParameter(str(error), param_hint="--model") from None
        found = ModelFiles(paths.cfg, paths.weights, paths.names)
    files = ModelFiles(found.cfg.absolute(), (weights or found.weights).absolute(), (names or found.names).absolute())
    named = ((files.cfg, model, "--model"), (files.weights, weights, "--weights"), (files.names, names, "--names"))
    for path, word, option in named:
        if not path.is_file():
            raise typer.BadParameter(f"no such file: {word or path}", param_hint=option)
    return files


def state_dir_of(settings: Path | None, state_dir: Path | None) -> Path:
    from daemon.check import find_state_dir

    return (state_dir or find_state_dir(settings or SETTINGS, (), {})).absolute()


@contextmanager
def cache_folder(folder: Path | None) -> Iterator[Path]:
    """The folder for built graphs; without one, a folder for this run: all combinations share it."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="mosaicd-bench-") as place:
        yield Path(place)


@contextmanager
def progress(unit: str) -> Iterator[Callable[[str, float, float], None]]:
    """A progress bar on stderr, where that is a terminal; gives the function that is told what is done, and of what."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} " + unit),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        tasks: dict[str, Any] = {}

        def advance(description: str, done: float, total: float) -> None:
            if description not in tasks:
                tasks[description] = progress.add_task(description, total=total)
            progress.update(tasks[description], completed=min(done, total))

        yield advance


def end(problems: Sequence[str]) -> None:
    for problem in problems:
        typer.echo(f"mosaicd bench: {problem}", err=True)
    raise typer.Exit(ExitCode.FAILURE if problems else ExitCode.OK)


def fail(message: str) -> NoReturn:
    typer.echo(f"mosaicd bench: {message}", err=True)
    raise typer.Exit(ExitCode.FAILURE)
