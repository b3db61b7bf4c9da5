"""The commands of `mosaicd camera`: what may be typed, what a person reads, the exit code.

Light on purpose: only typer is imported at the top. The environment comes as the context's object, from the entry
point.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from capture.exits import ExitCode
from daemon.cli_models import SettingsOption, StateDirOption
from daemon.cliask import ask_daemon, fail

if TYPE_CHECKING:
    from capture.probemessages import ProbeReport, Refusal, Step
    from daemon.cameratarget import Target, Typed
    from daemon.cameratest import Outcome

app = typer.Typer(
    name="camera",
    help="One camera at a time: test it, switch it off and on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(
    "test",
    epilog="[bold]Examples[/bold]\n\n"
    "mosaicd camera test gate\n\n"
    "mosaicd camera test gate --settings mosaicd.yaml --seconds 30\n\n"
    "CAM=… mosaicd camera test rtsp://192.0.2.11:554/stream2 --username viewer --password-env CAM\n\n"
    "mosaicd camera test rtsp://192.0.2.12/h264 --transport udp --snapshot yard.jpg --force\n\n"
    "mosaicd camera test gate --json | jq .report.key_frames\n\n"
    "Exit code: 0 if it gave video, 1 if not, 78 if settings or roster are wrong.",
)
def try_camera(
    context: typer.Context,
    camera: Annotated[
        str,
        typer.Argument(metavar="NAME|URL", help="A camera of the roster, or the url of any.", show_default=False),
    ],
    *,
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The settings: timeouts, roster, secrets; /etc/mosaicd/mosaicd.yaml otherwise.",
            show_default=False,
        ),
    ] = None,
    roster: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The cameras; the settings name it otherwise.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=600, metavar="N", help="How long it is measured.")] = 10.0,
    snapshot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jpg", help="Where its picture goes; CAMERA-snapshot.jpg otherwise."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
    transport: Annotated[
        str | None, typer.Option(metavar="tcp|udp|auto", help="How RTSP carries the video; the roster's otherwise.")
    ] = None,
    username: Annotated[str | None, typer.Option(metavar="NAME", help="With a url: who may watch.")] = None,
    password_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="The environment variable that holds the password.")
    ] = None,
) -> None:
    """Connect to one camera as the daemon would; say what it sends, what that costs, and what its roster wants."""
    from capture.words import Transport
    from daemon.cameratarget import Typed

    environ: Mapping[str, str] = context.obj if context.obj is not None else {}
    if transport is not None and transport not in tuple(Transport):
        raise typer.BadParameter(f"{transport!r} is none of tcp, udp, auto", param_hint="--transport")
    typed = Typed(
        what=camera,
        settings=settings,
        roster=roster,
        transport=Transport(transport) if transport else None,
        username=username or "",
        password=_password(username, password_env, environ),
        password_name=password_env or "",
        seconds=seconds,
    )
    target = _target(typed, environ)
    picture = snapshot or Path(f"{target.name}-snapshot.jpg")
    _check_place(picture, force)
    outcome = _run(target, environ)
    raise typer.Exit(_tell(outcome, target, _saved(outcome.jpeg, picture, force), as_json))


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A camera of the roster.", show_default=False)]
_SWITCH_EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "mosaicd camera disable gate\n\n"
    "mosaicd camera enable gate --settings mosaicd.yaml\n\n"
    "The roster stays as it is. What is switched off stays so over reloads and restarts; `mosaicd status` lists it.\n\n"
    "Exit code: 0 if the camera is as was ordered, 1 if there is none of that name, the roster disables it, or no "
    "daemon runs."
)


@app.command(epilog=_SWITCH_EPILOG)
def disable(name: NameArgument, *, settings: SettingsOption = None, state_dir: StateDirOption = None) -> None:
    """Switch a camera of the daemon that runs off, until somebody switches it on; the others lose no frame."""
    _switch(name, settings, state_dir, is_on=False)


@app.command(epilog=_SWITCH_EPILOG)
def enable(name: NameArgument, *, settings: SettingsOption = None, state_dir: StateDirOption = None) -> None:
    """Switch a camera on that was switched off."""
    _switch(name, settings, state_dir, is_on=True)


def _switch(name: str, settings: Path | None, state_dir: Path | None, *, is_on: bool) -> None:
    from daemon.orders import NoSuchCamera, SwitchCamera, Switched

    words = "on" if is_on else "off"
    match ask_daemon("camera", settings, state_dir, SwitchCamera(name, is_on)):
        case Switched(_, _, difference) if difference.by_kind():
            typer.echo(f"{name}: switched {words}")
        case Switched():
            typer.echo(f"{name}: it is {words} already")
        case NoSuchCamera(_, hint):
            fail("camera", f"there is no camera {name!r} in the roster{hint}")
        case reply:
            fail("camera", f"an answer to another question: {reply}")


def _password(username: str | None, name: str | None, environ: Mapping[str, str]) -> str:
    """The password from the environment: an argument would show in the process list."""
    if (username is None) != (name is None):
        given, missing = ("--username", "--password-env") if name is None else ("--password-env", "--username")
        raise typer.BadParameter(f"needs {missing} NAME as well", param_hint=given)
    if name is not None and not environ.get(name):
        raise typer.BadParameter(f"the environment variable {name} is empty or not set", param_hint="--password-env")
    return environ[name] if name is not None else ""


def _target(typed: "Typed", environ: Mapping[str, str]) -> "Target":
    from daemon.cameratarget import TargetError, find_target
    from daemon.problems import ConfigError
    from daemon.secrets import SecretSources

    try:
        return find_target(typed, SecretSources.from_environ(environ))
    except TargetError as error:
        raise typer.BadParameter(str(error), param_hint="NAME|URL") from None
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.CONFIG) from None


def _check_place(picture: Path, force: bool) -> None:
    """End the command before anybody is connected to, if the picture could not be kept."""
    if os.path.lexists(picture) and not force:
        message = f"{picture} is there already; --force replaces it, --snapshot FILE.jpg names another"
        raise typer.BadParameter(message, param_hint="--snapshot")
    if picture.is_dir() or not picture.absolute().parent.is_dir():
        raise typer.BadParameter(f"{picture} cannot be a file: is its folder there?", param_hint="--snapshot")


def _run(target: "Target", environ: Mapping[str, str]) -> "Outcome":
    from daemon.cameratest import ProbeError, run_probe
    from daemon.job import inherit

    try:
        with _progress(target) as on_step:
            return run_probe(target.order, inherit(environ), on_step)
    except ProbeError as error:
        _fail(str(error))


def _saved(jpeg: bytes | None, picture: Path, force: bool) -> Path | None:
    """Write the picture, whole or not at all."""
    if not jpeg:
        return None
    try:
        if force:
            with tempfile.NamedTemporaryFile(dir=picture.parent, prefix=f".{picture.name}.", delete=False) as file:
                try:
                    file.write(jpeg)
                    file.close()
                    Path(file.name).chmod(0o600)
                    Path(file.name).replace(picture)
                except BaseException:
                    with suppress(OSError):
                        Path(file.name).unlink()
                    raise
        else:
            # Of a place that people must not look into, perhaps: for its owner alone.
            descriptor = os.open(picture, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as created:
                created.write(jpeg)
    except OSError as error:
        _fail(f"{picture} cannot be written: {error.strerror}")
    return picture


def _tell(outcome: "Outcome", target: "Target", picture: Path | None, as_json: bool) -> ExitCode:
    from capture.probemessages import Refusal

    answer = outcome.answer
    failure = answer if isinstance(answer, Refusal) else _failure(answer, target)
    if as_json:
        _print_json(answer, failure, target, picture)
    else:
        if not isinstance(answer, Refusal):
            _print_report(answer, target, picture)
        if failure is not None:
            _print_failure(failure, target)
    is_blank = not isinstance(answer, Refusal) and answer.first_frame_s is None
    return ExitCode.FAILURE if failure is not None or is_blank else ExitCode.OK


def _failure(report: "ProbeReport", target: "Target") -> "Refusal | None":
    """What ended the stream before its time; a file may end."""
    from capture.words import Reason

    end = report.end
    is_file = target.address.startswith("file:")
    return None if end is None or (is_file and end.reason is Reason.ENDED) else end


def _print_report(report: "ProbeReport", target: "Target", picture: Path | None) -> None:
    from daemon.cameraadvice import advise
    from daemon.cameraview import heading, secrets_needed, snippet, table

    advice = advise(report, target)
    typer.echo(heading(target, report.transport))
    typer.echo(table(report, target))
    typer.echo(f"  {'snapshot':<14}{picture or 'none'}")
    for sentence in advice.sentences:
        typer.echo(f"\n- {sentence}" if sentence == advice.sentences[0] else f"- {sentence}")
    lines = snippet(target, advice)
    if not lines:
        typer.echo("\nIts lines in the roster may stay as they are.")
        return
    typer.echo(f"\n{'For the roster:' if target.is_new else 'To change in the roster:'}\n\n{lines}")
    if names := secrets_needed(lines):
        are = "are" if len(names) > 1 else "is"
        typer.echo(f"\n{', '.join(names)} {are} looked up in secrets_dir (a file of that name), or the environment.")


def _print_failure(failure: "Refusal", target: "Target") -> None:
    from daemon.cameraremedies import remedies
    from daemon.problems import printable

    typer.echo(f"mosaicd camera: {target.name} at {target.address}: {_said(failure)}", err=True)
    for line in remedies(failure, target):
        typer.echo(f"  {printable(line)}", err=True)


def _said(failure: "Refusal") -> str:
    from daemon.problems import printable

    return printable(f"{failure.reason.value}: {failure.detail}")


def _print_json(
    answer: "ProbeReport | Refusal", failure: "Refusal | None", target: "Target", picture: Path | None
) -> None:
    import msgspec

    from capture.probemessages import Refusal
    from daemon.cameraadvice import advise, picture_fault, would_sleep
    from daemon.cameraremedies import remedies
    from daemon.cameraview import snippet

    document: dict[str, Any] = {"camera": target.name, "address": target.address, "is_detect_url": target.is_small}
    if not isinstance(answer, Refusal):
        advice = advise(answer, target)
        report = msgspec.to_builtins(answer)
        document |= {
            "report": {key: value for key, value in report.items() if key not in ("type", "end")},
            "would_sleep": would_sleep(answer, target),
            "picture_fault": picture_fault(answer) or None,
            "snapshot": str(picture) if picture else None,
            "advice": advice.sentences,
            "roster": snippet(target, advice),
        }
    if failure is not None:
        document |= {"reason": failure.reason, "detail": failure.detail, "remedies": remedies(failure, target)}
    typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


@contextmanager
def _progress(target: "Target") -> "Iterator[Callable[[Step], None]]":
    """A bar on stderr, where that is a terminal; gives the function that is told each step."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[seconds]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(target.address, total=None, seconds="")

        def on_step(step: "Step") -> None:
            total = target.order.seconds if step.doing == "measuring" else None
            seconds = f"{min(step.done_s, target.order.seconds):.0f} of {target.order.seconds:g} s" if total else ""
            described = f"{step.doing} {target.address} ({step.transport.value})"
            progress.update(task, description=described, total=total, completed=step.done_s, seconds=seconds)

        yield on_step


def _fail(message: str) -> NoReturn:
    typer.echo(f"mosaicd camera: {message}", err=True)
    raise typer.Exit(ExitCode.FAILURE)
