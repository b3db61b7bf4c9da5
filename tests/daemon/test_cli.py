"""The command line: help, exit codes, what is printed, what is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.cli import app, main, unexpected
from tests.system.colours import write_model

COMMANDS = ("run", "check", "plan", "simulate", "demo")
CONSOLE_SCRIPT = Path(sys.executable).with_name("mosaicd")

MODEL_FILES = ("net.cfg", "net.weights", "coco.names")


def invoke(*args: str) -> tuple[int, str]:
    """Exit code and all output of ``mosaicd ARGS``, unwrapped."""
    result = CliRunner().invoke(app, args, terminal_width=200, env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def write_site(folder: Path, cameras: int = 5) -> Path:
    """Write settings, roster, model files and state folder that are all valid; return the settings' path."""
    model = write_model(folder)
    for path, name in zip((model.cfg, model.weights, model.names), MODEL_FILES, strict=True):
        path.rename(folder / name)
    (folder / "state").mkdir()
    settings = folder / "mosaicd.yaml"
    settings.write_text("state_dir: state\nmodel: {cfg: net.cfg, weights: net.weights, names: coco.names}\n")
    lines = [f"  cam-{number}: {{url: 'rtsp://192.0.2.1/{number}'}}" for number in range(cameras)]
    (folder / "cameras.yaml").write_text("\n".join(("cameras:", *lines, "")))
    return settings


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_examples(command: str) -> None:
    code, output = invoke(command, "--help")
    assert code == 0
    assert "Examples" in output
    assert output.count(f"mosaicd {command}") >= 3


def test_help_names_every_command() -> None:
    code, output = invoke("--help")
    assert code == 0
    assert all(command in output for command in (*COMMANDS, "version"))


@pytest.mark.parametrize("args", [("version",), ("--version",)])
def test_version_is_that_of_the_package(args: tuple[str, ...]) -> None:
    code, output = invoke(*args)
    assert code == 0
    assert output.startswith("mosaicd 0.")


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys, daemon.cli\n"
        "try: daemon.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'av', 'cv2', 'numpy', 'tensorflow', 'keras', 'fastapi', 'uvicorn', 'pydantic', 'prometheus_client',"
        " 'simulator', 'msgspec'}\n"
        "print('LOADED', sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_console_script_is_installed() -> None:
    done = subprocess.run([CONSOLE_SCRIPT, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("mosaicd ")


def test_check_of_a_good_site_says_what_it_makes(tmp_path: Path) -> None:
    code, output = invoke("check", "--settings", str(write_site(tmp_path)))
    assert (code, output.splitlines()[-1]) == (0, "5 cameras, 2 mosaics, 0 errors, 0 warnings")


def test_check_prints_each_problem_with_its_place_and_exits_78(tmp_path: Path) -> None:
    settings = write_site(tmp_path, cameras=1)
    settings.write_text(settings.read_text() + "htttp: {port: 1}\n")
    (tmp_path / "net.weights").unlink()
    code, output = invoke("check", "--settings", str(settings))
    *problems, summary = output.splitlines()
    assert code == 78
    assert any(line.startswith(f"{settings}:3:") and "htttp" in line for line in problems)
    assert summary == f"1 camera, 1 mosaic, {len(problems)} error{'s' if len(problems) > 1 else ''}, 0 warnings"


def test_check_takes_another_roster_and_overrides(tmp_path: Path) -> None:
    settings = write_site(tmp_path)
    roster = tmp_path / "other.yaml"
    roster.write_text("cameras:\n  gate: {url: 'rtsp://192.0.2.1/'}\n")
    args = ("check", "--settings", str(settings), "--roster", str(roster))
    code, output = invoke(*args, "--set", "mosaic.fps=4", "--set", "http.port=0")
    assert (code, output.splitlines()[-1]) == (0, "1 camera, 1 mosaic, 0 errors, 0 warnings")
    code, output = invoke(*args, "--set", "mosaic.fps=0")
    assert code == 78
    assert "fps" in output


def test_check_as_json_is_one_object(tmp_path: Path) -> None:
    settings = write_site(tmp_path)
    code, output = invoke("check", "--settings", str(settings), "--json")
    told = json.loads(output)
    [quota] = told.pop("quotas")
    assert (code, told) == (0, {"cameras": 5, "mosaics": 2, "errors": 0, "warnings": 0, "problems": []})
    assert (quota["mode"], quota["fits"], quota["note"]) == ("fraction", True, "")
    assert quota["workers"] * (quota["limit_mib"] + quota["overhead_mib"]) + quota["reserve_mib"] == quota["needed_mib"]
    (tmp_path / "net.cfg").unlink()
    code, output = invoke("check", "--settings", str(settings), "--json")
    assert code == 78
    assert [problem["path"] for problem in json.loads(output)["problems"]] == ["model.cfg"]


def test_check_refuses_workers_that_do_not_fit_with_the_numbers(tmp_path: Path) -> None:
    settings = write_site(tmp_path)
    crowded = "devices.cpu={workers: 2, memory: {mode: fraction, fraction: 0.5}}"
    code, output = invoke("check", "--settings", str(settings), "--set", crowded)
    assert code == 78
    assert "refused: largest fraction 0.4" in output
    assert f"{settings}: devices: device cpu: 2 workers of 0.50 of " in output
    assert output.splitlines()[-1] == "5 cameras, 2 mosaics, 1 error, 0 warnings"
    code, output = invoke("check", "--settings", str(settings), "--set", "devices.GPU-aaaa.workers=1")
    assert code == 78
    assert "device GPU-aaaa was not found" in output


def test_check_never_prints_a_password(tmp_path: Path) -> None:
    settings = write_site(tmp_path)
    (tmp_path / "cameras.yaml").write_text(
        "cameras:\n  gate: {url: 'rtsp://u:hunter2@192.0.2.1/', password: [hunter2], wrong: hunter2}\n"
    )
    for extra in ((), ("--json",)):
        code, output = invoke("check", "--settings", str(settings), *extra)
        assert code == 78
        assert "hunter2" not in output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--scene", "street"), "names no scene"),
        (("--scene", "7:0"), "gives the scene no camera"),
        (("--video", "a.mp4", "--cameras", "0"), "--cameras"),
        (("--video", "a.mp4", "--username", "viewer"), "needs --password-env NAME as well"),
        (("--video", "a.mp4", "--password-env", "NOT_SET"), "needs --username as well"),
        (("--video", "a.mp4", "--username", "u", "--password-env", "NOT_SET"), "NOT_SET is empty or not set"),
        (("--video", "a.mp4", "--password", "hunter2"), "No such option"),
    ],
)
def test_simulate_refuses_what_makes_no_sense(args: tuple[str, ...], message: str) -> None:
    code, output = invoke("simulate", *args)
    assert code == 2
    assert message in output


@pytest.mark.parametrize("named", ["{}/cache", ""])
def test_simulate_keeps_scenes_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", named.format(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = tmp_path / ("cache" if named else "home/.cache")
    place.mkdir(parents=True)
    (place / "mosaicd").write_text("")  # a file where the folder should be
    code, output = invoke("simulate", "--scene", "7", "--port", "0")
    assert code == 1
    assert f"cannot write {place}/mosaicd/scenes/" in output.replace("\n", "")


def test_simulate_names_footage_that_is_not_there(tmp_path: Path) -> None:
    code, output = invoke("simulate", "--video", str(tmp_path / "none.mp4"))
    assert code == 1
    assert str(tmp_path / "none.mp4") in output


def test_unexpected_error_is_one_line_without_password() -> None:
    try:
        raise ValueError("cannot open rtsp://viewer:hunter2@cam/1\nmore")
    except ValueError as error:
        line = unexpected(error)
    assert line.startswith("mosaicd: unexpected ValueError at test_cli.py:")
    assert "rtsp://***@cam/1. This is a bug" in line
    assert "MOSAICD_DEBUG=1" in line
    assert "\n" not in line


def broken_program(error: str) -> str:
    """A program that runs ``mosaicd broken``, a command that raises ``error``."""
    return (
        "import daemon.cli\n"
        "@daemon.cli.app.command()\n"
        "def broken() -> None:\n"
        f"    raise {error}\n"
        "daemon.cli.main(['broken'])\n"
    )


@pytest.mark.parametrize(
    ("error", "debug", "code", "shown"),
    [
        ("KeyError('x')", "", 70, "mosaicd: unexpected KeyError"),
        ("KeyError('x')", "1", 1, "Traceback (most recent call last)"),
        ("KeyboardInterrupt", "", 130, ""),
    ],
)
def test_unexpected_end_of_a_command(error: str, debug: str, code: int, shown: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", broken_program(error)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MOSAICD_DEBUG": debug},
    )
    assert done.returncode == code
    assert shown in done.stderr
    assert ("Traceback" in done.stderr) == (debug == "1")
    assert done.stdout == ""


def test_main_without_a_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "Usage: mosaicd" in "".join(capsys.readouterr())


def test_the_shell_completes_commands() -> None:
    environ = {"_MOSAICD_COMPLETE": "complete_bash", "COMP_WORDS": "mosaicd wor", "COMP_CWORD": "1"}
    result = subprocess.run(
        [Path(sys.executable).with_name("mosaicd")],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.stdout.split() == ["worker"], result.stderr
