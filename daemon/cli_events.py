"""The command `mosaicd events`: what happened, for a person in a terminal and for programs.

It reads the file of events, whether or not the daemon runs, and changes nothing; what comes is taken from the file of
lines beside it. Light on purpose: only typer is imported at the top.
"""

import csv
import grp
import os
import select
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli_models import SETTINGS, SettingsOption, StateDirOption, may_be_there
from daemon.cliask import fail

if TYPE_CHECKING:
    from events.reading import EventReader, HourCount, Page, Wanted

LOOK_S = 0.5
"""How often the file is looked at for what comes."""
PAGE = 500
DEFAULT_LIMIT = 50
EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "mosaicd events\n\n"
    "mosaicd events --camera yard --label person --since 22:00\n\n"
    "mosaicd events --since yesterday --until today --zone door --limit 0\n\n"
    "mosaicd events --follow\n\n"
    "mosaicd events 20261130T021305.123Z-yard-7k3f9a\n\n"
    "mosaicd events --since 7d --limit 0 --json | jq -r 'select(.speed.max_kmh > 50).id'\n\n"
    "mosaicd events --crossings --since today\n\n"
    "mosaicd events --crossings --since 2026-11-01 --csv > november.csv\n\n"
    "The file of events may be read by root, by the daemon's user, and by members of its group (mosaicd).\n\n"
    "Exit code: 0, or 1 if there is no such event, no file of events, or no right to read it."
)


def events(
    *,
    id_: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="One event in full, and where its picture and clip are.", show_default=False),
    ] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Of this camera alone.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Of this label alone.")] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="That entered this zone.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="That began then or later: 2h (ago), 7d, today, yesterday, 22:00, 2026-11-30T02:00.",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="That began before then.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="The newest so many; 0: all.")
    ] = DEFAULT_LIMIT,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what begins and ends, until Ctrl-C.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With --follow: what changes between begin and end, too.")
    ] = False,
    crossings: Annotated[
        bool, typer.Option("--crossings", help="Who crossed which line instead, by the hour; of today, or --since.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line; with --follow each change of an event.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="With --crossings: CSV.")] = False,
    settings: SettingsOption = None,
    state_dir: StateDirOption = None,
    database: Annotated[
        Path | None,
        typer.Option(
            "--database", metavar="FILE", help="The file of events itself, such as one of `mosaicd analyze`'s."
        ),
    ] = None,
) -> None:
    """Show events, the newest last: who was where, for how long, and what came of it."""
    from events.database import UnavailableError
    from events.reading import EventReader, Wanted
    from inference.labels import modern_label

    now = time.time()
    first, last = _moment(since, now, "--since"), _moment(until, now, "--until")
    if follow and (until or id_ or crossings):
        raise typer.BadParameter("does not go with --until, --crossings or one event", param_hint="--follow")
    if crossings and (id_ or label or zone):
        raise typer.BadParameter("is narrowed by --camera, --since and --until alone", param_hint="--crossings")
    if as_csv and (as_json or not crossings):
        raise typer.BadParameter("goes with --crossings, and not with --json", param_hint="--csv")
    wanted = Wanted(camera, modern_label(label) if label else None, zone, first, last)
    path = database.absolute() if database else _find_database(settings, state_dir)
    _check(path, settings, is_named=bool(database))
    try:
        with EventReader(path) as reader:
            if id_ is not None:
                _show_one(reader, id_, path.parent, as_json)
            elif crossings:
                from_s = _moment("today", now, "") if first is None else first
                # The hour that begins just then is not meant.
                to_s = now if last is None else last - 0.001
                counts = reader.crossings(from_s or 0.0, to_s, camera)
                _show_crossings(counts, as_json, as_csv)
            elif follow:
                show = _Printed(as_json, more_comes=True)
                _follow(reader, wanted, limit, path.parent, show, updates=as_json or verbose)
            else:
                _list(reader, wanted, limit, _Printed(as_json))
    except UnavailableError as error:
        fail("events", f"the file of events cannot be read just now: {error}")


class _Printed:
    """Events on stdout, under each other."""

    def __init__(self, as_json: bool, *, more_comes: bool = False) -> None:
        from daemon.eventview import HEADINGS, ROOM, Columns

        self._columns = None if as_json else Columns(HEADINGS)
        self._headings = [HEADINGS]
        if self._columns and more_comes:
            self._columns.fit([ROOM])

    def __call__(self, documents: Sequence[dict[str, Any]]) -> None:
        """Print some; headings stand above the first."""
        from daemon.eventview import row

        if self._columns is None:
            for each in documents:
                typer.echo(_json(each))
        elif documents:
            rows = [*self._headings, *map(row, documents)]
            self._headings = []
            self._columns.fit(rows)
            for cells in rows:
                typer.echo(self._columns.line(cells))


def _list(reader: "EventReader", wanted: "Wanted", limit: int, show: _Printed) -> None:
    """Print those that were kept, the newest last."""
    from events.reading import Wanted
    from events.words import document

    count, has_more = 0, False
    for part in _kept(reader, wanted, limit):
        show([document(event) for event in part.events])
        count, has_more = count + len(part.events), bool(limit) and part.cursor is not None
    if not count:
        typer.echo("no events yet" if wanted == Wanted() else "no such events", err=True)
    elif has_more:
        typer.echo(f"the newest {count} are shown, --limit 0 shows all", err=True)


def _kept(reader: "EventReader", wanted: "Wanted", limit: int) -> "Iterator[Page]":
    """Yield the newest ``limit`` at once, the oldest of them first; or all (0), page by page."""
    from events.reading import Page

    page = reader.page(wanted, min(PAGE, limit or PAGE), upwards=not limit)
    if not limit:
        yield page
        while page.cursor is not None:
            page = reader.page(wanted, PAGE, page.cursor, upwards=True)
            yield page
        return
    found = page.events
    while page.cursor is not None and len(found) < limit:
        page = reader.page(wanted, min(PAGE, limit - len(found)), page.cursor)
        found += page.events
    yield Page(found[::-1], page.cursor)


def _follow(
    reader: "EventReader", wanted: "Wanted", limit: int, folder: Path, show: _Printed, *, updates: bool
) -> None:
    """Print the newest, and then what comes, until Ctrl-C or until nobody reads it."""
    from daemon.eventfollow import Follower
    from events.words import document

    try:
        with closing(Follower(folder, wanted, updates=updates)) as follower:
            for part in _kept(reader, wanted, limit):
                follower.saw(part.events)
                show([document(event) for event in part.events])
            while _is_read(LOOK_S):
                show(follower.step())
                sys.stdout.flush()
    except (KeyboardInterrupt, BrokenPipeError):
        # What is left in the buffer must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        fail("events", f"{folder / 'events.jsonl'} cannot be read: {error.strerror}")


def _is_read(within_s: float) -> bool:
    """Whether somebody reads what is printed, after so long: `| head` has gone without a word."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)
    return not watch.poll(within_s * 1000.0)


def _show_one(reader: "EventReader", id_: str, folder: Path, as_json: bool) -> None:
    from daemon.eventview import details
    from events.mediapaths import MEDIA, MediaKind, media_path
    from events.words import document

    event = reader.event(id_)
    if event is None:
        fail("events", f"there is no event {id_}: it may be too old by now (events.max_age_days)")
    if as_json:
        typer.echo(_json(document(event)))
        return
    kinds: tuple[tuple[str, MediaKind, bool], ...] = (
        ("picture", "snapshot", event.has_snapshot),
        ("clip", "clip", event.has_clip),
    )
    files = {}
    for name, kind, was_made in kinds:
        path = folder / MEDIA / media_path(event.id, event.camera, kind)
        files[name] = (
            str(path)
            if os.path.exists(path)
            else "deleted since, as it was too old or too much"
            if was_made
            else "none"
        )
    for line in details(document(event), files):
        typer.echo(line)


def _show_crossings(counts: "Sequence[HourCount]", as_json: bool, as_csv: bool) -> None:
    from daemon.eventview import CROSSING_FIELDS, crossing_cells, crossings_table

    if as_json:
        for count in counts:
            typer.echo(_json(dict(zip(CROSSING_FIELDS, crossing_cells(count), strict=True)) | {"count": count.count}))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([CROSSING_FIELDS, *map(crossing_cells, counts)])
    elif counts:
        for line in crossings_table(counts):
            typer.echo(line)
    else:
        typer.echo("nobody crossed a line", err=True)


def _json(document: dict[str, Any]) -> str:
    import msgspec

    return msgspec.json.encode(document).decode()


def _moment(text: str | None, now: float, option: str) -> float | None:
    from daemon.timewords import moment

    try:
        return None if text is None else moment(text, now)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _find_database(settings: Path | None, state_dir: Path | None) -> Path:
    """Return where the daemon of these settings keeps events; other mistakes in them are no matter here."""
    from daemon.check import find_state_dir
    from daemon.eventplan import FOLDER
    from events.messages import DATABASE

    path = settings or SETTINGS
    if state_dir is None and may_be_there(path) and not os.access(path, os.R_OK):
        fail("events", f"you may not read {path}: {_remedy(path)}")
    return (state_dir or find_state_dir(path, (), {})).absolute() / FOLDER / DATABASE


def _check(path: Path, settings: Path | None, *, is_named: bool) -> None:
    """End the command if there is no file, or none that this user may read."""
    try:
        is_there = path.is_file()
    except OSError:
        is_there = True
    if is_there and not os.access(path, os.R_OK):
        fail("events", f"you may not read {path}: {_remedy(path)}")
    if is_there:
        return
    if is_named:
        fail("events", f"there is no file {path}")
    if _are_off(settings or SETTINGS):
        fail(
            "events",
            f"events are off: write events: {{enabled: true}} into {settings or SETTINGS} and restart the daemon",
        )
    where = "--settings FILE, --state-dir DIR or --database FILE says where it is otherwise"
    fail("events", f"there is no {path}: the daemon makes it when it starts, if events.enabled is true; {where}")


def _are_off(settings: Path) -> bool:
    from daemon.problems import ConfigError
    from daemon.settings import load_settings

    with suppress(ConfigError):
        return not load_settings(settings).events.enabled
    return False


def _remedy(path: Path) -> str:
    """Who may read it: by the group of the first folder above that can be looked at."""
    for each in (path, *path.parents):
        with suppress(OSError, KeyError):
            group = grp.getgrgid(each.stat().st_gid).gr_name
            break
    else:
        return "sudo mosaicd events"
    if group == "root":
        return "sudo mosaicd events"
    return f"sudo mosaicd events, or be a member of its group (sudo usermod -aG {group} $USER, and log in anew)"
