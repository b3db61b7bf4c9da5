"""The demo: what it finds, what it shows and how it judges, and a whole run with fakes in place of both processes."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from capture.exits import ExitCode
from daemon.demo import Process, fetch_metrics, free_port, run, settings_text
from daemon.demo_material import DemoError, DemoOptions, Material, find_material
from daemon.demo_view import (
    LATEST,
    Outcome,
    Reading,
    after,
    exit_code,
    plain_line,
    reading,
    stage,
    summary,
    view,
    with_lines,
)
from daemon.linetail import LineTail
from daemon.metrics import parse

CAMERAS = frozenset({"cam-1", "cam-2"})
UP = Reading(
    at_s=10.0,
    cameras=CAMERAS,
    cameras_up=CAMERAS,
    mosaics=frozenset({"m1"}),
    mosaics_up=frozenset({"m1"}),
    workers=frozenset({"cpu-0"}),
    workers_up=frozenset({"cpu-0"}),
    answered=100.0,
    analyzed=200.0,
    sightings=(("person", 30.0), ("car", 3.0)),
    restarts=1.0,
)
START = Outcome(cameras_expected=2, started_s=0.0)
LINE = json.dumps(
    {
        "camera": "cam-1",
        "captured_at": "2026-01-01T12:00:03.250Z",
        "sightings": [{"label": "person", "score": 0.8213, "box": [1, 2, 3, 4]}],
    }
)


# --- material --------------------------------------------------------------------------------------------------------


def options(tmp_path: Path, **changes: Any) -> DemoOptions:
    return DemoOptions(cache_dir=tmp_path / "cache", **changes)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_nothing_is_needed(tmp_path: Path) -> None:
    assert find_material(options(tmp_path)) == Material((), {"name": "demo"})


def test_what_is_given_wins(tmp_path: Path) -> None:
    mine = tmp_path / "net.cfg"
    touch(tmp_path, "net.cfg", "net.weights", "net.names", "body.names", "my:1.mp4")
    videos = (f"{tmp_path}/my:1.mp4", f"{tmp_path}/my:1.mp4:3")
    model = {"cfg": f"{tmp_path}/net.cfg", "weights": f"{tmp_path}/net.weights", "names": f"{tmp_path}/net.names"}
    assert find_material(options(tmp_path, videos=videos, cfg=mine)) == Material(videos, model)
    other = find_material(options(tmp_path, videos=videos, cfg=mine, names=tmp_path / "body.names"))
    assert other.model["names"] == f"{tmp_path}/body.names"


def test_footage_and_model_that_do_not_belong_together_are_pointed_at(tmp_path: Path) -> None:
    touch(tmp_path, "net.cfg", "net.weights", "net.names", "a.mp4")
    assert "--model" in find_material(options(tmp_path, videos=(f"{tmp_path}/a.mp4",))).note
    assert "--video" in find_material(options(tmp_path, cfg=tmp_path / "net.cfg")).note


def test_only_names_there_are_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "net.cfg", "net.weights", "birds.names")
    assert find_material(options(tmp_path, cfg=tmp_path / "net.cfg")).model["names"] == f"{tmp_path}/birds.names"


def test_footage_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"no such footage: nope\.mp4:3"):
        find_material(options(tmp_path, videos=("nope.mp4:3",)))


@pytest.mark.parametrize(
    ("missing", "option"), [("net.cfg", "--model"), ("net.weights", "--weights"), ("coco.names", "--names")]
)
def test_model_file_that_is_not_there_is_named_with_its_option(tmp_path: Path, missing: str, option: str) -> None:
    touch(tmp_path, "net.cfg", "net.weights", "coco.names")
    (tmp_path / missing).unlink()
    with pytest.raises(DemoError, match=rf"no such file: .* \(give it with {option}\)"):
        find_material(options(tmp_path, cfg=tmp_path / "net.cfg"))


# --- view ------------------------------------------------------------------------------------------------------------


def test_reading_takes_names_and_totals_from_metrics() -> None:
    text = (
        'mosaicd_camera_up{camera="cam-1"} 1.0\n'
        'mosaicd_camera_up{camera="cam-2"} 0.0\n'
        'mosaicd_mosaic_up{mosaic="m1"} 1.0\n'
        'mosaicd_mosaic_answered_total{mosaic="m1"} 7.0\n'
        'mosaicd_camera_frames_analyzed_total{camera="cam-1"} 5.0\n'
        'mosaicd_camera_frames_analyzed_total{camera="cam-2"} 6.0\n'
        'mosaicd_worker_up{device="cpu",worker="cpu-0"} 0.0\n'
        'mosaicd_worker_restarts_total{cause="crash",worker="cpu-0"} 1.0\n'
        'mosaicd_capture_restarts_total{cause="hang",process="capture-0"} 2.0\n'
        'mosaicd_sightings_total{camera="cam-1",label="car"} 1.0\n'
        'mosaicd_sightings_total{camera="cam-1",label="person"} 2.0\n'
        'mosaicd_sightings_total{camera="cam-2",label="person"} 3.0\n'
    )
    assert reading(parse(text), 3.5) == Reading(
        at_s=3.5,
        cameras=CAMERAS,
        cameras_up=frozenset({"cam-1"}),
        mosaics=frozenset({"m1"}),
        mosaics_up=frozenset({"m1"}),
        workers=frozenset({"cpu-0"}),
        workers_up=frozenset(),
        answered=7.0,
        analyzed=11.0,
        sightings=(("person", 5.0), ("car", 1.0)),
        restarts=3.0,
    )


def test_rates_are_those_of_the_window() -> None:
    outcome = START
    for second in range(20):
        outcome = after(outcome, replace(UP, at_s=float(second), answered=4.0 * second, analyzed=16.0 * second))
    assert (outcome.rates.answered_hz, outcome.rates.analyzed_hz, outcome.rates.sightings_hz) == (4.0, 16.0, 0.0)


def test_rates_are_never_negative_after_a_restart_of_the_daemon() -> None:
    outcome = after(after(START, UP), replace(UP, at_s=11.0, answered=0.0))
    assert outcome.rates.answered_hz == 0.0


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, "the daemon is starting"),
        (replace(UP, workers_up=frozenset()), "the workers are loading the model"),
        (replace(UP, cameras_up=frozenset({"cam-1"})), "cameras are coming up"),
        (replace(UP, mosaics_up=frozenset()), "waiting for the first answers"),
        (UP, "running"),
    ],
)
def test_stage_says_what_is_waited_for(last: Reading | None, expected: str) -> None:
    assert stage(START if last is None else after(START, last)) == expected


def test_plain_line_by_value() -> None:
    outcome = with_lines(after(after(START, UP), replace(UP, at_s=12.0, answered=120.0, analyzed=280.0)), [LINE])
    line = plain_line(outcome, 12.0)
    when = outcome.latest[0].time
    assert line == (
        "  12 s  cameras 2/2  mosaics 1/1  workers 1/1  40.0 frames/s  10.0 mosaics/s  0.0 sightings/s"
        f"  last: {when} cam-1 person 0.82"
    )
    assert plain_line(START, 3.0).endswith("  (the daemon is starting)")


def test_latest_sightings_are_kept_newest_last() -> None:
    lines = [LINE.replace("0.8213", f"0.{number:02}") for number in range(10, 40)]
    outcome = with_lines(START, lines)
    assert [seen.score for seen in outcome.latest] == [number / 100 for number in range(40 - LATEST, 40)]


@pytest.mark.parametrize("line", ["", "{", "[]", "{}", '{"captured_at": 3}', LINE.replace("person", "p")[:-4]])
def test_line_that_is_no_sighting_is_left_out(line: str) -> None:
    assert with_lines(START, [line, LINE]).latest == with_lines(START, [LINE]).latest


def test_view_shows_counts_sightings_and_where_to_look() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(view(with_lines(after(START, UP), [LINE]), 12.0, ["metrics: http://127.0.0.1:1/metrics"]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("12 s: running", "2/2", "1/1", "cpu-0", "cam-1 person 0.82", "http://127.0.0.1:1/metrics"):
        assert text in shown


# --- verdict ---------------------------------------------------------------------------------------------------------


def test_success_is_one_line_and_exit_0() -> None:
    outcome = after(START, UP)
    assert summary(outcome, 60.0) == (
        "60 s: 2/2 cameras and 1/1 mosaics came up, 200 frames analyzed, 33 sightings (person 30, car 3), 1 restarts"
    )
    assert exit_code(outcome, was_interrupted=False) is ExitCode.OK


def test_camera_that_went_down_later_counts_as_up() -> None:
    outcome = after(after(START, UP), replace(UP, at_s=11.0, cameras_up=frozenset(), mosaics_up=frozenset()))
    assert outcome.never_up == ()


@pytest.mark.parametrize(
    ("last", "never_up"),
    [
        (None, ("the daemon",)),
        (replace(UP, cameras_up=frozenset({"cam-1"})), ("cam-2",)),
        (replace(UP, mosaics_up=frozenset()), ("m1",)),
        (replace(UP, mosaics=frozenset(), mosaics_up=frozenset()), ("every mosaic",)),
        (
            replace(UP, cameras=frozenset({"cam-1"}), cameras_up=frozenset({"cam-1"})),
            ("1 cameras that the daemon does not know",),
        ),
    ],
)
def test_what_never_came_up_is_named_and_exits_1(last: Reading | None, never_up: tuple[str, ...]) -> None:
    outcome = START if last is None else after(START, last)
    assert outcome.never_up == never_up
    assert summary(outcome, 60.0).endswith(f"; never up: {', '.join(never_up)}")
    assert exit_code(outcome, was_interrupted=False) is ExitCode.FAILURE


def test_ctrl_c_is_a_good_end() -> None:
    assert exit_code(START, was_interrupted=True) is ExitCode.OK


# --- parts -----------------------------------------------------------------------------------------------------------


def test_settings_are_yaml_with_all_that_the_demo_needs(tmp_path: Path) -> None:
    model = {"cfg": "/m/a: b.cfg", "weights": "/m/w", "names": "/m/n"}
    text = settings_text(Material((), model), tmp_path, Path("/cache"), 1234)
    assert yaml.safe_load(text) == {
        "state_dir": f"{tmp_path}/state",
        "secrets_dir": f"{tmp_path}/secrets",
        "cache_dir": "/cache/models",
        "roster": f"{tmp_path}/cameras.yaml",
        "http": {"address": "127.0.0.1", "port": 1234},
        "model": {"cfg": "/m/a: b.cfg", "weights": "/m/w", "names": "/m/n"},
    }


def test_wanted_port_is_taken_if_free_and_another_if_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) not in (port, 0)
    assert free_port(port) == port


def test_nobody_at_the_port_is_no_metrics_yet() -> None:
    assert fetch_metrics(free_port(0)) is None


def test_process_that_ends_early_shows_its_last_lines(tmp_path: Path) -> None:
    program = "print('first'); print('port is taken'); raise SystemExit(3)"
    process = Process("simulate", [sys.executable, "-c", program], tmp_path)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(DemoError, match=r"simulate ended early \(exit code 3\).*\n  first\n  port is taken"):
        process.check()
    process.stop(1.0)


def test_process_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    process = Process("run", [sys.executable, "-c", program], tmp_path)
    with closing(LineTail(tmp_path / "run.log", from_start=True)) as tail:
        while tail.read() != [b"deaf"]:
            process.check()
    with pytest.raises(DemoError, match=r"run did not stop within 0\.1 s"):
        process.stop(0.1)


# --- whole run -------------------------------------------------------------------------------------------------------

FAKE = '''
"""Stands in for ``mosaicd simulate`` and ``mosaicd run``: a roster, metrics of two cameras, one sighting."""
import json, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if sys.argv[1] == "simulate":
    print("rendering a scene", flush=True)
    time.sleep(0.5)
    Path(sys.argv[sys.argv.index("--roster") + 1]).write_text("cameras: {}")
    signal.pause()
settings = json.loads(Path(sys.argv[3]).read_text())
Path(settings["state_dir"], "sightings.jsonl").write_text(LINE + "\\n")

class Metrics(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(METRICS)

HTTPServer(("127.0.0.1", settings["http"]["port"]), Metrics).serve_forever()
'''
FAKE_METRICS = (
    'mosaicd_camera_up{camera="cam-1"} 1.0\n'
    'mosaicd_camera_up{camera="cam-2"} 1.0\n'
    'mosaicd_mosaic_up{mosaic="m1"} 1.0\n'
    'mosaicd_sightings_total{camera="cam-1",label="person"} 1.0\n'
)


@pytest.fixture
def fake(tmp_path: Path) -> tuple[str, ...]:
    """The command of a mosaicd that only looks like one."""
    script = tmp_path / "fake.py"
    script.write_text(f"LINE = {LINE!r}\nMETRICS = {FAKE_METRICS.encode()!r}\n{FAKE}")
    return (sys.executable, str(script))


@pytest.mark.slow
def test_timed_demo_shows_what_happens_and_leaves_nothing(tmp_path: Path, fake: tuple[str, ...]) -> None:
    out = io.StringIO()
    assert run(options(tmp_path, seconds=2.5, cameras=2), fake, out) == 0
    lines = out.getvalue().splitlines()
    assert lines[0] == "mosaicd demo: 2 cameras showing synthetic scenes"
    assert lines[1] == "rendering a scene"
    assert lines[2].startswith("live page: http://127.0.0.1:")
    assert lines[-2] == "mosaicd demo: stopping"
    assert ": 2/2 cameras and 1/1 mosaics came up, 0 frames analyzed, 1 sightings (person 1)" in lines[-1]
    assert not Path(lines[3].rpartition(" ")[2]).exists()


@pytest.mark.slow
def test_demo_with_a_camera_too_few_fails(tmp_path: Path, fake: tuple[str, ...]) -> None:
    out = io.StringIO()
    assert run(options(tmp_path, seconds=2.0, cameras=3), fake, out) == 1
    assert out.getvalue().endswith("never up: 1 cameras that the daemon does not know\n")


def test_demo_whose_simulator_ends_shows_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = (sys.executable, "-c", "raise SystemExit('no such footage')")
    assert run(options(tmp_path, seconds=2.0), command, io.StringIO()) == 1
    assert "simulate ended early (exit code 1); its last lines:\n  no such footage" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_ends_both_processes_cleanly(tmp_path: Path, fake: tuple[str, ...]) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from daemon.demo import run; from daemon.demo_material import DemoOptions\n"
        f"sys.exit(run(DemoOptions(Path({str(tmp_path)!r}), cameras=2), {fake!r}))"
    )
    seen = []
    with subprocess.Popen([sys.executable, "-P", "-c", program], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            seen.append(line)
            if " s  cameras " in line:
                demo.send_signal(signal.SIGINT)
        assert demo.wait(10.0) == 0
    assert seen[-2] == "mosaicd demo: stopping\n"
    folder = next(line for line in seen if line.startswith("settings, logs")).split()[-1]
    assert not Path(folder).exists()
    mine = subprocess.run(["pgrep", "-f", fake[1]], capture_output=True, text=True, check=False)
    assert mine.stdout == ""
