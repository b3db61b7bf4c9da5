"""`mosaicd reload` against a control socket: what is printed, and the exit code."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.cli import app
from daemon.orders import Difference, Refused, Reloaded, ReloadRoster, RosterRefused
from tests.daemon.conftest import Answering

SOME = Reloaded(
    Difference(added=("yard", "gate"), changed=("door",), opened=("m2",)), warnings=("cameras.yaml:3:5: warning",)
)


def invoke(folder: Path, *args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``mosaicd reload ARGS`` for a state folder."""
    result = CliRunner().invoke(app, ["reload", *args, "--state-dir", str(folder)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_what_was_applied_is_a_line_a_kind(tmp_path: Path, answering: Answering) -> None:
    asked = answering(SOME)
    code, out, err = invoke(tmp_path)
    assert (code, asked) == (0, [ReloadRoster()])
    assert out.splitlines() == [
        "applied:",
        "  cameras added: yard, gate",
        "  cameras read anew: door",
        "  mosaics opened: m2",
    ]
    assert err == "cameras.yaml:3:5: warning\n"


@pytest.mark.parametrize(
    ("args", "words"), [((), "applied; nothing has changed"), (("--dry-run",), "nothing would change")]
)
def test_nothing_to_do_is_said(tmp_path: Path, answering: Answering, args: tuple[str, ...], words: str) -> None:
    asked = answering(Reloaded())
    assert invoke(tmp_path, *args) == (0, f"{words}\n", "")
    assert asked == [ReloadRoster(is_trial=bool(args))]


def test_a_trial_says_what_would_be_done(tmp_path: Path, answering: Answering) -> None:
    answering(SOME)
    assert invoke(tmp_path, "--dry-run")[1].startswith("would be done:\n  cameras added: yard, gate\n")


def test_json_for_programs(tmp_path: Path, answering: Answering) -> None:
    answering(SOME)
    found = json.loads(invoke(tmp_path, "--json")[1])
    assert (found["added"], found["changed"], found["removed"], found["is_trial"]) == (
        ["yard", "gate"],
        ["door"],
        [],
        False,
    )


def test_a_roster_that_is_not_valid_fails_with_every_problem(tmp_path: Path, answering: Answering) -> None:
    answering(RosterRefused(("cameras.yaml:3:5: one", "cameras.yaml:9:1: two")))
    code, out, err = invoke(tmp_path)
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "cameras.yaml:3:5: one",
        "cameras.yaml:9:1: two",
        "mosaicd reload: the roster is not valid; nothing was changed",
    ]


def test_a_daemon_that_cannot_says_why(tmp_path: Path, answering: Answering) -> None:
    answering(Refused("the daemon is stopping"))
    assert invoke(tmp_path) == (1, "", "mosaicd reload: the daemon is stopping\n")


def test_without_a_daemon_the_remedy_is_named(tmp_path: Path) -> None:
    code, _, err = invoke(tmp_path)
    assert (code, "systemctl start mosaicd" in err) == (1, True)
