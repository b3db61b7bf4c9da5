"""Whatever is wrong, a person is told the thing and the remedy, never a traceback; exit codes are 78 and 1."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.colours import Model
from tests.system.stage import Daemon, settings_text, wait_until

CAMERAS = "cameras:\n  yard: {url: 'rtsp://127.0.0.1:9/yard'}\n"


@pytest.fixture
def folder(tmp_path: Path, colour_model: Model) -> Path:
    """A folder with settings and a roster that are valid."""
    (tmp_path / "state").mkdir()
    (tmp_path / "mosaicd.yaml").write_text(settings_text(tmp_path, colour_model, {}))
    (tmp_path / "cameras.yaml").write_text(CAMERAS)
    return tmp_path


def run(folder: Path, command: str = "run", *arguments: str, before=()) -> subprocess.CompletedProcess[str]:
    settings = ("--settings", str(folder / "mosaicd.yaml"))
    return subprocess.run(
        [*before, sys.executable, "-m", "daemon.cli", command, *settings, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def change(folder: Path, **values) -> None:
    path = folder / "mosaicd.yaml"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def said(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr + result.stdout
    return result.stderr + result.stdout


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("roster", "place", "words"),
    [
        ("cameras: [", r"cameras\.yaml:\d+:\d+", ""),
        ("cameras:\n  yard: {url: 'rtsp://h/x', usrname: a}\n", r"cameras\.yaml:2:\d+", "did you mean 'username'"),
        (CAMERAS + "  yard: {url: 'rtsp://h/x'}\n", r"cameras\.yaml:3:3", "yard"),
        ("cameras:\n  yard: {url: 'exec:/bin/sh'}\n", r"cameras\.yaml:2:\d+", "exec"),
        ("cameras:\n  yard: {url: 'rtsp://h/x', username: a, password: '${NOWHERE_X}'}\n", r":2:\d+", "NOWHERE_X"),
    ],
)
def test_a_broken_roster_is_refused_with_its_place(folder, command, roster, place, words):
    (folder / "cameras.yaml").write_text(roster)
    result = run(folder, command)
    assert result.returncode == 78
    assert re.search(place, said(result))
    assert words in said(result)


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mosaik": {}}, "did you mean 'mosaic'"),
        ({"devices": {"cpu": {"workers": 3, "memory": {"fraction": 0.5}}}}, "at most fraction: 0.33"),
        ({"model": {"cfg": "/nowhere/a.cfg", "weights": "/nowhere/a.weights", "names": "/x"}}, "/nowhere/a.cfg"),
        ({"state_dir": "/nowhere/state"}, "no such folder: /nowhere/state"),
        ({"mosaic": {"canvas": "831x512"}}, "canvas"),
    ],
)
def test_broken_settings_are_refused_with_the_remedy(folder, command, values, words):
    change(folder, **values)
    result = run(folder, command)
    assert result.returncode == 78
    assert words in said(result)


def test_all_problems_are_told_at_once(folder):
    change(folder, mosaik={}, http={"port": "x"})
    (folder / "cameras.yaml").write_text("cameras:\n  a: {url: 'rtsp://h/x', fsp: 5}\n  b: {}\n")
    text = said(run(folder, "check"))
    assert all(word in text for word in ("mosaik", "http.port", "fps", "cameras.b"))


def test_missing_settings_are_named(tmp_path):
    result = run(tmp_path)
    assert result.returncode == 78
    assert "no such file" in said(result)
    assert str(tmp_path / "mosaicd.yaml") in said(result)


def test_a_port_in_use_ends_it_before_anything_starts(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(folder, "run", "--set", f"http.port={port}")
    assert result.returncode == 1
    assert str(port) in said(result)
    assert "child started" not in said(result)


def test_a_state_folder_without_permission_is_named(folder):
    (folder / "state").chmod(0o555)
    # Root passes over permissions by a capability, which it can lay down.
    powerless = ("setpriv", "--bounding-set", "-dac_override") if os.getuid() == 0 else ()
    result = run(folder, "run", before=powerless)
    assert result.returncode == 78
    assert "no permission" in said(result)
    assert str(folder / "state") in said(result)


def test_whoever_may_not_read_the_settings_asks_at_the_usual_address(folder):
    """`mosaicd status` of an ordinary user, to whom /etc/mosaicd is closed."""
    (folder / "closed").mkdir()
    shutil.copy(folder / "mosaicd.yaml", folder / "closed")
    (folder / "closed").chmod(0)
    capabilities = "-dac_override,-dac_read_search"
    powerless = ("setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities) if os.getuid() == 0 else ()
    code = (
        "import sys, pathlib, daemon.cli_status as cli; "
        "print(cli.find_daemon('status', pathlib.Path(sys.argv[1]), None, None, {}).base)"
    )
    command = (*powerless, sys.executable, "-c", code, folder / "closed" / "mosaicd.yaml")
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    (folder / "closed").chmod(0o700)
    assert said(result) == "http://127.0.0.1:9109\n"


@pytest.mark.parametrize("command", ["check", "run"])
def test_weights_of_another_model_are_refused_with_both_byte_counts(folder, colour_model, command):
    short = folder / "short.weights"
    short.write_bytes(colour_model.weights.read_bytes()[:-4])
    change(folder, model={"cfg": str(colour_model.cfg), "weights": str(short), "names": str(colour_model.names)})
    result = run(folder, command)
    assert result.returncode == 78
    size = colour_model.weights.stat().st_size
    assert str(size) in said(result)
    assert str(size - 4) in said(result)


def start(folder: Path) -> Daemon:
    """Start the daemon on the folder's settings; the test stops it."""
    command = [sys.executable, "-m", "daemon.cli", "run", "--settings", str(folder / "mosaicd.yaml")]
    with (folder / "log").open("w") as log:
        return Daemon(folder, subprocess.Popen(command, stderr=log))


def test_a_broken_roster_after_a_good_start_runs_on_the_last_good_one(folder):
    """As after a reboot: the daemon runs, and says so."""

    daemon = start(folder)
    wait_until(lambda: daemon.get("/healthz")[0] == 200, "alive")
    assert daemon.stop() == 0
    (folder / "cameras.yaml").write_text("cameras: {")
    daemon = start(folder)
    try:
        wait_until(lambda: daemon.get("/healthz")[0] == 200, "alive")
        assert "running on the last valid settings and roster" in daemon.log
        assert "cameras.yaml:1:" in daemon.log
        assert "running on the last valid" in daemon.get("/readyz")[1]
        assert daemon.by("camera", "mosaicd_camera_up") == {"yard": 0.0}
    finally:
        assert daemon.stop() == 0


def test_mistakes_of_a_person_at_work_are_not_answered_with_the_last_good_roster(folder):
    """Only the very command line that was valid before is recalled: another one is somebody trying something."""
    daemon = start(folder)
    wait_until(lambda: daemon.get("/healthz")[0] == 200, "alive")
    assert daemon.stop() == 0
    for arguments in (("--roster", str(folder / "none.yaml")), ("--set", "mosaic.fps=abc")):
        result = run(folder, "run", *arguments)
        assert result.returncode == 78
        assert "last valid" not in said(result)


def test_broken_settings_find_the_last_good_ones_in_their_own_state_folder(folder):
    daemon = start(folder)
    wait_until(lambda: daemon.get("/healthz")[0] == 200, "alive")
    assert daemon.stop() == 0
    change(folder, mosaik={})
    daemon = start(folder)
    try:
        wait_until(lambda: daemon.get("/healthz")[0] == 200, "alive")
        assert "running on the last valid settings" in daemon.log
    finally:
        assert daemon.stop() == 0
