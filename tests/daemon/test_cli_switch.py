"""`mosaicd camera disable` and `enable` against a control socket: what is asked, what is printed, the exit code."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.cli import app
from daemon.orders import Difference, NoSuchCamera, Refused, Reply, SwitchCamera, Switched
from tests.daemon.conftest import Answering

GONE, BACK = Difference(removed=("gate",)), Difference(added=("gate",))


def invoke(*args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["camera", *args], env={"COLUMNS": "200"})
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("command", ["disable", "enable"])
def test_help_has_examples(command: str) -> None:
    code, out, _ = invoke(command, "--help")
    assert code == 0
    assert f"mosaicd camera {command} gate" in out


@pytest.mark.parametrize(
    ("command", "reply", "code", "said"),
    [
        ("disable", Switched("gate", False, GONE), 0, "gate: switched off\n"),
        ("disable", Switched("gate", False), 0, "gate: it is off already\n"),
        ("enable", Switched("gate", True, BACK), 0, "gate: switched on\n"),
        ("enable", Switched("gate", True), 0, "gate: it is on already\n"),
        ("enable", Refused("camera gate is disabled in x"), 1, "mosaicd camera: camera gate is disabled in x\n"),
        (
            "disable",
            NoSuchCamera("gate", ", did you mean 'gates'?"),
            1,
            "mosaicd camera: there is no camera 'gate' in the roster, did you mean 'gates'?\n",
        ),
    ],
)
def test_it_says_what_came_of_it(
    tmp_path: Path, answering: Answering, command: str, reply: Reply, code: int, said: str
) -> None:
    asked = answering(reply)
    found = invoke(command, "gate", "--state-dir", str(tmp_path))
    assert (found[0], found[1] + found[2]) == (code, said)
    assert asked == [SwitchCamera("gate", command == "enable")]


def test_without_a_daemon_the_remedy_is_named(tmp_path: Path) -> None:
    code, out, err = invoke("disable", "gate", "--state-dir", str(tmp_path))
    assert (code, out) == (1, "")
    assert "start it (mosaicd run, or systemctl start mosaicd)" in err
