"""What docs/EVENTS.md shows is true: its examples load, its commands are understood, its code works, its links lead."""

import json
import re
import shlex
import textwrap
from pathlib import Path

import pytest
import typer
from click import Context, Group

from daemon.cli import app
from daemon.eventview import HEADINGS, Columns
from daemon.roster import parse_roster
from daemon.secrets import SecretSources
from daemon.settings import parse_settings
from docs.rules import speed
from events.sinks.webhook import signature
from events.words import document
from tests.events.sample import event

ROOT = Path(__file__).parents[1]
MANUAL = ROOT / "docs" / "EVENTS.md"
TEXT = MANUAL.read_text()


def blocks(language: str, text: str = TEXT) -> list[str]:
    """The fenced examples in a language, also those that are set in."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(body) for _, of, body in found if of == language]


def yaml_blocks(begin: str) -> list[str]:
    found = [block for text in (TEXT, (ROOT / "README.md").read_text()) for block in blocks("yaml", text)]
    return [block for block in found if re.search(rf"^{begin}:", block, re.MULTILINE)]


ROSTERS, SETTINGS = yaml_blocks("cameras"), yaml_blocks("events")
COMMANDS = [
    line.removeprefix("$ ") for block in blocks("") for line in block.splitlines() if re.match(r"(\$ )?mosaicd ", line)
] + re.findall(r"`(mosaicd [^`]+)`", TEXT)


def test_there_are_examples() -> None:
    assert min(len(ROSTERS) / 8, len(SETTINGS) / 3, len(COMMANDS) / 12) >= 1


@pytest.mark.parametrize("text", ROSTERS)
def test_each_roster_loads(text: str) -> None:
    secrets = SecretSources.from_environ(dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "secret"))
    assert parse_roster(text, file="cameras.yaml", mosaic_fps=5.0, sources=secrets).problems == ()


@pytest.mark.parametrize("text", SETTINGS)
def test_each_piece_of_settings_loads(text: str) -> None:
    found = parse_settings(f"model: {{name: demo}}\n{text}", file="mosaicd.yaml", base=Path())
    assert found.problems == ()
    assert found.require().events.enabled


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_line_is_understood(line: str) -> None:
    words = shlex.split(re.split(r"[|>]", line)[0], comments=True)[1:]
    command = typer.main.get_command(app)
    context = Context(command, info_name="mosaicd")
    while isinstance(command, Group) and words:
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        context = found.make_context(name, list(words), parent=context) if not isinstance(found, Group) else context


def test_the_event_shown_has_all_that_an_event_has() -> None:
    shown = next(found for found in map(json.loads, blocks("json")) if "revision" in found)
    assert list(shown) == list(document(event()))


def test_the_tables_shown_look_as_they_are_printed() -> None:
    shown = [block.splitlines()[1:] for block in blocks("") if block.startswith("$ mosaicd events")]
    assert len(shown) == 2
    for lines in shown:
        cells = [re.split(r"\s{2,}", line) for line in lines]
        columns = Columns(cells[0], right=[each for each in cells[0] if each in ("bus", "car", "truck", "all")])
        columns.fit(cells)
        assert [columns.line(row) for row in cells] == lines
    assert tuple(re.split(r"\s{2,}", shown[1][0])) == HEADINGS


def test_the_check_of_a_signature_accepts_ours_and_nothing_else() -> None:
    (code,) = blocks("python")
    scope: dict[str, object] = {}
    exec(code, scope)
    is_genuine, now = scope["is_genuine"], int(scope["time"].time())  # type: ignore[attr-defined]
    assert callable(is_genuine)
    assert is_genuine(signature("secret", b"{}", now), b"{}", "secret")
    assert not is_genuine(signature("other", b"{}", now), b"{}", "secret")
    assert not is_genuine(signature("secret", b"{ }", now), b"{}", "secret")
    assert not is_genuine(signature("secret", b"{}", now - 3600), b"{}", "secret")


@pytest.mark.slow
def test_the_picture_of_speeds_shows_what_is_true() -> None:
    """The painted cars drive at 7.5 and 9.3 m/s."""
    drawn = re.sub(r"<[^>]+>", " ", speed().svg())
    assert all(words in drawn for words in ("27 km/h", "33 km/h", "2.0 s, 18 m behind"))


def test_links_and_pictures_lead_somewhere() -> None:
    for text, folder in ((TEXT, MANUAL.parent), ((ROOT / "README.md").read_text(), ROOT)):
        for target in re.findall(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"", text):
            path, _, anchor = (target[0] or target[1]).partition("#")
            if "://" in path:
                continue
            found = folder / path if path else MANUAL if folder == MANUAL.parent else ROOT / "README.md"
            assert found.exists(), path
            if anchor:
                titles = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
