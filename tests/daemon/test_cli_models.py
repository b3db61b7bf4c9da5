"""`mosaicd models`: help, exit codes, what is printed; and real processes that are stopped, killed, and meet."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from daemon.cli_models import app
from daemon.models.catalog import CATALOG, CatalogModel
from daemon.models.store import models_dir, resolve
from daemon.models.verify import faults
from tests.daemon.models.fileserver import DEADLINE_S, FileServer, offer, serving, some_bytes, wait_until
from tests.system.colours import LABELS, write_model

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, msgspec
from daemon.cli_models import app
from daemon.models.catalog import CatalogModel
app(sys.argv[2:], obj=msgspec.json.decode(sys.argv[1], type=list[CatalogModel]), prog_name="mosaicd models")
"""


def invoke(*args: str | Path, catalog: list[CatalogModel] | None = None) -> tuple[int, str]:
    """Exit code and all output of ``mosaicd models ARGS``, unwrapped."""
    result = CliRunner().invoke(app, list(map(str, args)), obj=catalog, terminal_width=200, env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def start(catalog: list[CatalogModel], *args: str | Path, is_mortal: bool = False) -> subprocess.Popen[str]:
    """Start ``mosaicd models ARGS`` as a process; a mortal one obeys the modes of files even if root starts it."""
    without_powers = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    return subprocess.Popen(
        [
            *(without_powers if is_mortal and os.geteuid() == 0 else ()),
            sys.executable,
            "-P",
            "-W",
            "error",
            "-c",
            PROGRAM,
            msgspec.json.encode(catalog).decode(),
            *map(str, args),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "no_proxy": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit code, what it printed, and what it said on standard error."""
    output, errors = process.communicate(timeout=DEADLINE_S)
    return process.returncode, output, errors


@pytest.fixture(name="server")
def running_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A file server that no proxy stands before."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def colours(server: FileServer, tmp_path: Path) -> CatalogModel:
    """A small real model on the server."""
    model = write_model(tmp_path)
    return offer(server, "colours", model.cfg.read_bytes(), model.weights.read_bytes(), LABELS)


@pytest.mark.parametrize("command", ["list", "fetch", "verify", "add"])
def test_help_has_examples(command: str) -> None:
    code, output = invoke(command, "--help")
    assert code == 0
    assert "Examples" in output
    assert output.count(f"mosaicd models {command}") >= 3


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys, daemon.cli_models\n"
        "heavy = {'numpy', 'pydantic', 'msgspec', 'rich', 'urllib.request', 'inference'}\n"
        "print('LOADED', sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_list_shows_every_model(state: Path) -> None:
    code, output = invoke("list", "--state-dir", state)
    assert code == 0
    heading, demo, *rows = output.splitlines()
    assert heading.split() == ["name", "state", "size", "input", "licence"]
    assert demo.startswith("demo")
    assert [row.split()[0] for row in rows] == [model.name for model in CATALOG]
    assert rows[3].split() == ["yolov4", "absent", "245.8", "MiB", "608x608", "public", "domain"]


def test_list_as_json_is_one_array(state: Path) -> None:
    code, output = invoke("list", "--state-dir", state, "--json")
    assert code == 0
    found = {row["name"]: row for row in json.loads(output)}
    assert found["yolo-fastest-1.1"] == {
        "name": "yolo-fastest-1.1",
        "state": "absent",
        "here_bytes": 0,
        "size_bytes": 1_393_953,
        "input_wh": [320, 320],
        "licence": "public domain",
        "folder": None,
    }


def test_a_model_is_fetched_listed_and_verified(server: FileServer, colours: CatalogModel, state: Path) -> None:
    catalog = [colours]
    code, output = invoke("fetch", "colours", "--state-dir", state, catalog=catalog)
    assert code == 0, output
    assert output.endswith(f"colours is stored in {state}/models/colours. In the settings: model: {{name: colours}}\n")
    assert "colours.weights" in output and "100%" not in output
    assert server.requests[0].user_agent is not None and server.requests[0].user_agent.startswith("mosaicd/0.")
    asked = len(server.requests)
    assert invoke("fetch", "colours", "--state-dir", state, catalog=catalog) == (
        0,
        "colours is stored already, and as it should be.\n",
    )
    assert len(server.requests) == asked
    assert "installed" in invoke("list", "--state-dir", state, catalog=catalog)[1]
    assert invoke("verify", "--state-dir", state, catalog=catalog) == (0, "colours: ok\n")


def test_a_fetch_that_fails_is_one_line_and_exit_code_1(colours: CatalogModel, server: FileServer, state: Path) -> None:
    server.files["/colours.weights"].content += b"?"
    code, output = invoke("fetch", "colours", "--state-dir", state, catalog=[colours])
    assert code == 1
    last = output.splitlines()[-1]
    assert last.startswith(f"mosaicd models: {colours.weights.url}: the server has a file of ")
    code, output = invoke("list", "--state-dir", state, catalog=[colours])
    assert "partial" in output and " %" in output


def test_a_machine_without_a_network_is_told_how_to_go_on(colours: CatalogModel, state: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        away = f"http://127.0.0.1:{taken.getsockname()[1]}/colours"
        cut_off = replace(colours, cfg=replace(colours.cfg, url=f"{away}.cfg"))
        code, output = invoke("fetch", "colours", "--state-dir", state, catalog=[cut_off])
    assert code == 1
    assert "Connection refused" in output
    assert f"  {away}.cfg\n  {colours.weights.url}\n" in output
    [line] = [line for line in output.splitlines() if line.startswith("and then: mosaicd models add ")]
    # As told, in the folder with the two files, which the server's are copies of.
    model = write_model(tmp_path)
    here = {"colours.cfg": str(model.cfg), "colours.weights": str(model.weights)}
    words = [here.get(word, word) for word in line.split()[4:]]
    assert invoke(*words, "--state-dir", state, catalog=[colours])[0] == 0
    assert invoke("verify", "colours", "--state-dir", state, catalog=[colours]) == (0, "colours: ok\n")


def test_verify_of_a_damaged_model_exits_1(colours: CatalogModel, state: Path) -> None:
    invoke("fetch", "colours", "--state-dir", state, catalog=[colours])
    weights = resolve("colours", state, [colours]).weights
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    code, output = invoke("verify", "--state-dir", state, catalog=[colours])
    assert code == 1
    assert output.startswith(f"colours: {weights} has changed since it was stored")
    assert "mosaicd models fetch colours" in output
    assert invoke("fetch", "colours", "--state-dir", state, catalog=[colours])[0] == 0
    assert invoke("verify", "colours", "--state-dir", state, catalog=[colours]) == (0, "colours: ok\n")


def test_verify_of_nothing(state: Path) -> None:
    assert invoke("verify", "--state-dir", state) == (0, f"No model is stored in {state}.\n")
    code, output = invoke("verify", "yolov3", "--state-dir", state)
    assert code == 1
    assert "Run: mosaicd models fetch yolov3" in output


def test_a_model_of_ones_own_is_added(state: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path)
    files = ("--cfg", model.cfg, "--weights", model.weights, "--names", model.names, "--state-dir", state)
    assert invoke("add", "mine", *files) == (
        0,
        f"mine is stored in {state}/models/mine. In the settings: model: {{name: mine}}\n",
    )
    code, output = invoke("add", "mine", *files)
    assert (code, output) == (
        1,
        "mosaicd models: there is a model 'mine' already. Choose another name, or use --force\n",
    )
    assert invoke("add", "mine", "--force", *files)[0] == 0
    assert invoke("verify", "mine", "--state-dir", state) == (0, "mine: ok\n")
    code, output = invoke("add", "yolov3", *files)
    assert code == 1
    assert "'yolov3' is the catalog's name for another file" in output


@pytest.mark.parametrize("missing", ["--cfg", "--weights"])
def test_add_wants_network_and_weights(state: Path, tmp_path: Path, missing: str) -> None:
    model = write_model(tmp_path)
    files = {"--cfg": model.cfg, "--weights": model.weights, "--names": model.names}
    del files[missing]
    code, output = invoke("add", "mine", "--state-dir", state, *(word for pair in files.items() for word in pair))
    assert code == 2
    assert f"Missing option '{missing}'" in output


def test_add_wants_the_labels_of_what_is_not_in_the_catalog(state: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path)
    code, output = invoke("add", "mine", "--state-dir", state, "--cfg", model.cfg, "--weights", model.weights)
    assert (code, output.splitlines()[-1].startswith("mosaicd models: 'mine' is not in the catalog")) == (1, True)


def test_settings_name_the_state_folder(colours: CatalogModel, tmp_path: Path) -> None:
    settings = tmp_path / "mosaicd.yaml"
    settings.write_text("state_dir: here\nmodel: {}\n")
    code, output = invoke("fetch", "colours", "--settings", settings, catalog=[colours])
    assert code == 1
    assert f"there is no state folder {tmp_path}/here. As root: install -d" in output
    (tmp_path / "here").mkdir()
    assert invoke("fetch", "colours", "--settings", settings, catalog=[colours])[0] == 0
    assert (tmp_path / "here" / "models" / "colours" / "model.cfg").is_file()


def test_settings_that_cannot_be_read_end_the_command(tmp_path: Path) -> None:
    settings = tmp_path / "mosaicd.yaml"
    settings.write_text("state_dir: [\n")
    code, output = invoke("list", "--settings", settings)
    assert code == 78
    assert output.startswith(f"{settings}:")
    code, output = invoke("list", "--settings", tmp_path / "none.yaml")
    assert code == 2
    assert "does not exist" in output


@pytest.fixture
def big(server: FileServer) -> Iterator[CatalogModel]:
    """A model of 3 MB whose server falls silent after 2 MB, until released."""
    model = offer(server, "big", b"[net]", some_bytes(3_000_000))
    server.files["/big.weights"].hold_at = 2_000_000
    yield model
    server.files["/big.weights"].released.set()


def part_size(state: Path) -> int:
    part = models_dir(state) / ".big.part" / "model.weights.part"
    return part.stat().st_size if part.exists() else 0


def release(server: FileServer) -> None:
    server.files["/big.weights"].hold_at = None
    server.files["/big.weights"].released.set()


@pytest.mark.slow
def test_a_killed_fetch_goes_on_where_it_stopped(server: FileServer, big: CatalogModel, state: Path) -> None:
    process = start([big], "fetch", "big", "--state-dir", state)
    wait_until(lambda: part_size(state) == 2_000_000)
    process.kill()
    assert end(process)[0] == -signal.SIGKILL
    assert part_size(state) == 2_000_000
    assert not (models_dir(state) / "big").exists()
    release(server)
    code, output, errors = end(start([big], "fetch", "big", "--state-dir", state))
    assert (code, output) == (0, f"big is stored in {state}/models/big. In the settings: model: {{name: big}}\n"), (
        errors
    )
    assert server.ranges("/big.weights") == [None, "bytes=2000000-"]
    assert resolve("big", state, [big]).weights.read_bytes() == some_bytes(3_000_000)


@pytest.mark.slow
def test_an_interrupted_fetch_says_how_to_go_on(server: FileServer, big: CatalogModel, state: Path) -> None:
    process = start([big], "fetch", "big", "--state-dir", state)
    wait_until(lambda: part_size(state) == 2_000_000)
    process.send_signal(signal.SIGINT)
    code, output, errors = end(process)
    assert (code, output) == (130, "")
    assert errors.endswith(f"Stopped. To go on: mosaicd models fetch big --state-dir {state}\n")
    assert "Traceback" not in errors
    assert part_size(state) == 2_000_000


@pytest.mark.slow
def test_a_second_fetch_leaves_the_first_alone(server: FileServer, big: CatalogModel, state: Path) -> None:
    first = start([big], "fetch", "big", "--state-dir", state)
    wait_until(lambda: part_size(state) == 2_000_000)
    code, output, errors = end(start([big], "fetch", "big", "--state-dir", state))
    assert (code, output) == (1, "")
    assert errors.endswith("another process is fetching or adding 'big'. Wait for it to end\n")
    release(server)
    assert end(first)[0] == 0
    assert server.ranges("/big.weights") == [None]
    assert resolve("big", state, [big]).weights.read_bytes() == some_bytes(3_000_000)


@pytest.mark.slow
def test_fetches_that_race_fetch_one_whole_model(server: FileServer, colours: CatalogModel, state: Path) -> None:
    racers = [start([colours], "fetch", "colours", "--state-dir", state) for _ in range(3)]
    results = [end(process) for process in racers]
    assert 0 in [code for code, _, _ in results], results
    assert all(code == 0 or "another process is fetching" in errors for code, _, errors in results), results
    assert faults("colours", state, [colours]) == ()
    assert server.ranges("/colours.weights") == [None]


@pytest.mark.slow
def test_a_user_who_may_only_read_is_told_so(colours: CatalogModel, state: Path) -> None:
    def fetched() -> tuple[int, str, str]:
        return end(start([colours], "fetch", "colours", "--state-dir", state, is_mortal=True))

    state.chmod(0o500)
    code, output, errors = fetched()
    assert (code, output) == (1, "")
    assert f"{state}/models: no permission. Run it as root or as the daemon's user: sudo mosaicd models" in errors
    state.chmod(0o700)
    assert fetched()[0] == 0
    models_dir(state).chmod(0o500)
    assert fetched()[1] == "colours is stored already, and as it should be.\n"
    resolve("colours", state, [colours]).names.unlink()
    code, output, errors = fetched()
    assert (code, output) == (1, "")
    assert ".colours.part: no permission" in errors
    models_dir(state).chmod(0)
    code, output, errors = end(start([colours], "list", "--state-dir", state, is_mortal=True))
    models_dir(state).chmod(0o700)
    assert (code, output) == (1, "")
    assert "no permission" in errors
