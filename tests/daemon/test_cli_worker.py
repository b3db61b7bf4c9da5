"""`mosaicd worker` against a control socket: what is printed, the exit code, and what is said where nobody answers."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.cli import app
from daemon.control import FILE_NAME
from daemon.orders import (
    ListWorkers,
    NoSuchWorker,
    Refused,
    Reply,
    Restarting,
    RestartWorker,
    WorkerList,
    WorkerState,
)
from tests.daemon.conftest import Answering

TWO = WorkerList(
    (
        WorkerState("w1", "cpu", False, "given_up", 6, "host_oom", 6, ("smaller_batch", "larger_limit")),
        WorkerState("w2", "cpu", True, "up", 1, "", 0),
    )
)


def invoke(folder: Path, *args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``mosaicd worker ARGS`` for a state folder."""
    result = CliRunner().invoke(
        app, ["worker", *args, "--state-dir", str(folder)], terminal_width=200, env={"COLUMNS": "200"}
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("command", ["list", "restart"])
def test_help_has_examples(command: str) -> None:
    result = CliRunner().invoke(app, ["worker", command, "--help"], terminal_width=200, env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert result.stdout.count(f"mosaicd worker {command}") >= 3


def test_a_list_is_a_table(tmp_path: Path, answering: Answering) -> None:
    asked = answering(TWO)
    code, out, _ = invoke(tmp_path, "list")
    assert (code, asked) == (0, [ListWorkers()])
    assert [line.split() for line in out.splitlines()] == [
        ["name", "device", "phase", "generation", "last", "cause", "restarts", "changed"],
        ["w1", "cpu", "given_up", "6", "host_oom", "6", "smaller", "batch,", "larger", "limit"],
        ["w2", "cpu,", "spare", "up", "1", "-", "0", "-"],
    ]


def test_a_list_is_json_for_programs(tmp_path: Path, answering: Answering) -> None:
    answering(TWO)
    code, out, _ = invoke(tmp_path, "list", "--json")
    assert code == 0
    assert json.loads(out)[0] == {
        "name": "w1",
        "device": "cpu",
        "is_spare": False,
        "phase": "given_up",
        "generation": 6,
        "last_cause": "host_oom",
        "restarts": 6,
        "changed": ["smaller_batch", "larger_limit"],
    }


@pytest.mark.parametrize(
    ("was", "words"),
    [
        ("given_up", "had been given up"),
        ("waiting", "it is started now"),
        ("up", "asked to stop"),
        ("starting", "asked to stop"),
        ("stopping", "stopping already"),
    ],
)
def test_a_restart_says_what_happens(tmp_path: Path, answering: Answering, was: str, words: str) -> None:
    asked = answering(Restarting("w1", was))
    code, out, _ = invoke(tmp_path, "restart", "w1")
    assert (code, asked) == (0, [RestartWorker("w1")])
    assert out.startswith("w1: ")
    assert words in out


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (NoSuchWorker("w9", ("w1", "w2")), "mosaicd worker: there is no worker 'w9', only w1, w2"),
        (Refused("the daemon is stopping"), "mosaicd worker: the daemon is stopping"),
        (TWO, "mosaicd worker: an answer to another question"),
    ],
)
def test_what_is_not_done_is_said(tmp_path: Path, answering: Answering, reply: Reply, words: str) -> None:
    answering(reply)
    code, out, err = invoke(tmp_path, "restart", "w9")
    assert (code, out) == (1, "")
    assert err.startswith(words)


@pytest.mark.parametrize("args", [("list",), ("restart", "w1")])
def test_without_a_daemon_its_socket_and_how_to_start_it_are_said(tmp_path: Path, args: tuple[str, ...]) -> None:
    code, _, err = invoke(tmp_path, *args)
    assert code == 1
    assert err.count("\n") == 1
    assert str(tmp_path / FILE_NAME) in err
    assert "mosaicd run" in err


def test_the_settings_name_the_folder(tmp_path: Path) -> None:
    settings = tmp_path / "mosaicd.yaml"
    settings.write_text("state_dir: elsewhere\nmodel: {name: x}\n")
    result = CliRunner().invoke(app, ["worker", "list", "--settings", str(settings)])
    assert result.exit_code == 1
    assert str(tmp_path / "elsewhere" / FILE_NAME) in result.stderr
