"""The commands `mosaicd status` and `mosaicd tail`: what the daemon shows over HTTP, for a person in a terminal.

Light on purpose: only typer is imported at the top. The environment comes as the context's object.
"""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli_models import SETTINGS, may_be_there
from daemon.cliask import fail
from daemon.clioutput import print_tables

if TYPE_CHECKING:
    from rich.table import Table

    from daemon.secrets import Secret

UrlOption = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Where the daemon answers; the settings say it otherwise."),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token-env", metavar="NAME", help="The environment variable that holds the token; the settings' otherwise."
    ),
]
SettingsOption = Annotated[
    Path, typer.Option("--settings", metavar="FILE", help="The daemon's settings, which name its address.")
]
DEFAULT_URL = "http://127.0.0.1:9109"
ANSWER_S = 5.0

STATUS_EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "mosaicd status\n\n"
    "mosaicd status --watch\n\n"
    "mosaicd status --json | jq '.cameras[] | select(.is_up | not).name'\n\n"
    "Exit code: 0 if every mosaic is answered, 1 if not, or if no daemon answers."
)
TAIL_EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "mosaicd tail\n\n"
    "mosaicd tail --camera gate --label person\n\n"
    "mosaicd tail --json | jq -r .camera"
)


@dataclass(frozen=True, slots=True)
class Where:
    """Where the daemon answers, the token that it may ask for, and which command asks."""

    command: str
    base: str
    token: "Secret | None" = None


def status(
    context: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every second, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole document instead of tables.")] = False,
    settings: SettingsOption = SETTINGS,
    url: UrlOption = None,
    token_env: TokenOption = None,
) -> None:
    """Show cameras, mosaics and workers of the daemon that runs."""
    where = find_daemon("status", settings, url, token_env, context.obj if context.obj is not None else {})
    if watch:
        _watch(where)
        return
    found = _get(where)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo(_heading(found))
        for each in _tables(found):
            typer.echo("")
            print_tables(each)
        for notice in found["notices"]:
            typer.echo(f"notice: {notice}")
    raise typer.Exit(0 if found["is_ready"] else 1)


def tail(
    context: typer.Context,
    *,
    camera: Annotated[str | None, typer.Option("--camera", help="Of this camera alone.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="With this label alone.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    settings: SettingsOption = SETTINGS,
    url: UrlOption = None,
    token_env: TokenOption = None,
) -> None:
    """Print sightings, and cameras and workers that come and go, as they happen; until Ctrl-C."""
    where = find_daemon("tail", settings, url, token_env, context.obj if context.obj is not None else {})
    try:
        for kind, data in _events(where):
            event = json.loads(data)
            if line := _line(kind, event, camera, label):
                typer.echo(data if as_json else line)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    fail("tail", f"the daemon at {where.base} has ended the stream")


def _line(kind: str, event: dict[str, Any], camera: str | None, label: str | None) -> str:
    """Return what a person reads of an event; empty if it is not wanted."""
    if kind == "transition":
        if label is not None or camera not in (None, event["name"]):
            return ""
        stamp = time.strftime("%H:%M:%S", time.localtime(event["at"]))
        why = ": ".join(text for text in (event["reason"], event["detail"]) if text)
        return f"{stamp} {event['kind']} {event['name']} {event['state']}{f' ({why})' if why else ''}"
    if camera not in (None, event["camera"]):
        return ""
    best: dict[str, list[float]] = {}
    for seen in event["sightings"]:
        if label in (None, seen["label"]):
            best.setdefault(seen["label"], []).append(seen["score"])
    if not best:
        return ""
    words = (f"{len(scores)} {name} ({max(scores):.2f})" for name, scores in best.items())
    captured_at = datetime.fromisoformat(event["captured_at"]).astimezone()
    return f"{captured_at:%H:%M:%S} {event['camera']}: {', '.join(words)}"


def _events(where: Where) -> Iterator[tuple[str, str]]:
    """Yield kind and data of each server-sent event."""
    kind = ""
    with _open(where, "/api/v1/stream?what=sighting&what=transition", within_s=60.0) as stream:
        for raw in stream:
            key, _, value = raw.decode().rstrip("\n").partition(": ")
            if key == "event":
                kind = value
            elif key == "data":
                yield kind, value


def _watch(where: Where) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    try:
        with Live(refresh_per_second=4, screen=True) as live:
            while True:
                found = _get(where)
                live.update(Group(Text(_heading(found)), "", *_tables(found)))
                time.sleep(1.0)
    except KeyboardInterrupt:
        return


def _heading(found: dict[str, Any]) -> str:
    """Return how all of it is, in a line or two."""
    return "\n".join([found["words"], *([f"events: {found['events']['words']}"] if found["events"] else [])])


def _tables(found: dict[str, Any]) -> "list[Table]":
    from rich.table import Table

    def table(*headings: str) -> Table:
        made = Table(box=None, pad_edge=False, header_style="bold")
        for heading in headings:
            made.add_column(heading.strip("#"), justify="right" if heading.startswith("#") else "left", no_wrap=True)
        return made

    cameras = table("camera", "mosaic", "state", "#for", "#received", "#analyzed", "#dropped", "#seen", "flaws")
    for c in found["cameras"]:
        state = "[green]up[/green]" if c["is_up"] else f"[red]{c['reason'] or c['state']}[/red]"
        state = "[green]asleep[/green]" if c["is_up"] and c["is_asleep"] else state
        dropped = sum(n for reason, n in c["frames_dropped"].items() if reason not in ("rate", "undecoded"))
        seen = sum(c["sightings"].values())
        numbers = (c["frames_received"], c["frames_analyzed"], dropped, seen)
        flaws = f"[yellow]{', '.join(c['flaws'])}[/yellow]" if c["flaws"] else "-"
        cameras.add_row(c["name"], c["mosaic"], state, _age(c["since_s"]), *map(str, numbers), flaws)
    for c in found["disabled"]:
        cameras.add_row(c["name"], "-", f"[yellow]{c['why']}[/yellow]", *["-"] * 6)
    mosaics = table("mosaic", "worker", "state", "#last answer", "#answered", "#shed")
    for m in found["mosaics"]:
        state = m["apart"] or ("answered" if m["is_answered"] else "not answered")
        state = f"[green]{state}[/green]" if state == "answered" else f"[red]{state}[/red]"
        age = "-" if m["last_answer_age_s"] is None else f"{m['last_answer_age_s']:.1f} s"
        mosaics.add_row(m["name"], m["worker"] or "-", state, age, str(m["answered"]), f"{m['shed_ratio']:.0%}")
    workers = table("process", "device", "state", "#generation", "#memory", "#of", "#deaths", "last cause", "changed")
    for p in found["processes"]:
        state = f"[green]{p['phase']}[/green]" if p["is_up"] else f"[red]{p['phase']}[/red]"
        limit = "-" if p["memory_limit_mib"] is None else f"{p['memory_limit_mib']} MiB"
        row = (str(p["generation"]), f"{p['memory_mib']:.0f} MiB", limit, str(sum(p["restarts"].values())))
        changed = ", ".join(p["changed"]).replace("_", " ") or "-"
        workers.add_row(p["name"], p["device"] or "-", state, *row, p["last_cause"] or "-", changed)
    return [cameras, mosaics, workers]


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def find_daemon(
    command: str, settings: Path, url: str | None, token_env: str | None, environ: Mapping[str, str]
) -> Where:
    """Return where the daemon of these settings answers; end the command where they do not say it."""
    from daemon.httpsettings import find_token
    from daemon.problems import ConfigError
    from daemon.secrets import Secret, SecretSources
    from daemon.settings import load_settings

    if token_env is not None and not environ.get(token_env):
        why = f"the environment variable {token_env} is empty or not set"
        raise typer.BadParameter(why, param_hint="--token-env")
    token = Secret(environ[token_env]) if token_env is not None else None
    if url is not None:
        return Where(command, url.rstrip("/"), token)
    try:
        found = load_settings(settings)
    except ConfigError as error:
        if may_be_there(settings) and not os.access(settings, os.R_OK):
            return Where(command, DEFAULT_URL, token)  # only root and the daemon may read them
        fail(command, f"{error}\nor say --url http://ADDRESS:PORT")
    if not found.http.port:
        fail(command, f"{settings} lets the port be chosen at the start: say --url http://ADDRESS:PORT")
    sources = SecretSources.from_environ(environ).with_secrets_dir(found.secrets_dir)
    return Where(command, _base(found.http.address, found.http.port), token or find_token(found.http, sources).secret)


def _base(address: str, port: int) -> str:
    """Return the URL by which this machine reaches what listens there."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


def _get(where: Where) -> dict[str, Any]:
    with _open(where, "/api/v1/status", within_s=ANSWER_S) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _open(where: Where, path: str, within_s: float) -> HTTPResponse:
    url = f"{where.base}{path}"
    headers = {"Authorization": f"Bearer {where.token.reveal()}"} if where.token else {}
    try:
        answer: HTTPResponse = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=within_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 401:
            fail(
                where.command, f"{url} wants the daemon's token: become a user who may read it, or say --token-env NAME"
            )
        fail(where.command, f"{url} answers {error.code} {error.reason}: is it a mosaicd of this version?")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        fail(where.command, f"no daemon answers at {url}: {reason}; is it running (systemctl status mosaicd)?")
    return answer
