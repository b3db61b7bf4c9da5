"""`mosaicd analyze`: real footage, a real model, real processes; what is said, and what is left behind."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from daemon.cli import app
from events.reading import EventReader
from tests.daemon.analysis.footage import BOX, spoil, write_square
from tests.system.colours import COLOURS, Model, write_model

DEADLINE_S = 60.0
LONG_S = 30.0
EVERYWHERE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
ROSTER = {
    "defaults": {"min_score": 0.3},
    "cameras": {
        "gate": {
            "url": "rtsp://nowhere/${NO_SUCH_SECRET}",
            "zones": {"yard": {"corners": EVERYWHERE}, "corner": {"corners": [[0, 0], [0.2, 0], [0, 0.2]]}},
        },
        "blind": {"url": "rtsp://nowhere/2", "labels": ["green"]},
        "away": {"url": "rtsp://nowhere/3", "zones": {"corner": {"corners": [[0, 0], [0.2, 0], [0, 0.2]]}}},
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the detector of colours, footage, and settings that keep what is built."""
    folder = tmp_path_factory.mktemp("site")
    model = write_model(folder)
    write_square(folder / "red.mp4", 10.0)
    write_square(folder / "green.mp4", 5.0, "green")
    write_square(folder / "long.mp4", LONG_S)
    (folder / "none.mp4").write_bytes(b"no video" * 99)
    (folder / "cameras.yaml").write_text(json.dumps(ROSTER))
    (folder / "mosaicd.yaml").write_text(json.dumps(_settings(folder, model)))
    return folder


def _settings(folder: Path, model: Model) -> dict[str, Any]:
    files = {"cfg": str(model.cfg), "weights": str(model.weights), "names": str(model.names)}
    return {
        "state_dir": str(folder),
        "model": files | {"input": "tiles"},
        "devices": {"cpu": {"threads": 1}},
    }


def invoke(*args: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``mosaicd analyze ARGS``."""
    result = CliRunner().invoke(
        app, ["analyze", *map(str, args)], terminal_width=200, env={"COLUMNS": "200"}, obj=os.environ
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def analyze(place: Path, out: Path, *args: object) -> tuple[int, Mapping[str, Any], str]:
    """Exit code, the document, and stderr."""
    code, said, errors = invoke(*args, "--settings", place / "mosaicd.yaml", "--out", out, "--json")
    return code, json.loads(said), errors


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table."""
    with path.open() as file:
        return list(csv.DictReader(file))


def test_help_has_examples() -> None:
    code, out, _ = invoke("--help")
    assert code == 0
    assert out.count("mosaicd analyze") >= 4
    assert "Exit code" in out


@pytest.mark.slow
@pytest.mark.parametrize("way", [("tiles", 1), ("mosaic", 2)])
def test_files_become_events_by_the_rosters_rules(tmp_path: Path, place: Path, way: tuple[str, int]) -> None:
    out = tmp_path / "out"
    files = [f"{camera}={place / 'red.mp4'}" for camera in ("gate", "blind", "away")]
    extra = ("--roster", place / "cameras.yaml", "--start", "gate=2026-11-30T02:00:00Z", "--mot", "--snapshots")
    extra += ("--set", f"model.input={way[0]}", "--set", f"model.batch={way[1]}")
    code, told, errors = analyze(place, out, *files, place / "green.mp4", *extra)
    assert code == 0, errors
    seen = {each["camera"]: (each["frames"], list(each["events"])) for each in told["files"]}
    assert seen == {"gate": (50, ["red"]), "blind": (50, []), "away": (50, []), "green": (25, ["green"])}
    assert told["is_finished"]
    assert told["footage_s"] == pytest.approx(35.0, abs=0.5)
    with EventReader(out / "events" / "events.sqlite") as reader:
        events = reader.page().events
    assert {(event.camera, event.label, event.kind) for event in events} == {
        ("gate", "red", "end"),
        ("green", "green", "end"),
    }
    for event in events:
        assert event.best_box == pytest.approx(BOX, abs=75.0), "a box is a cell, near the square"
        assert event.has_snapshot
    table = rows(out / "events.csv")
    for row in table:
        picture = cv2.imread(str(out / row["snapshot"]))
        assert picture.shape == (384, 640, 3)
        x1, y1, x2, y2 = BOX
        middle = picture[(y1 + y2) // 2, (x1 + x2) // 2, ::-1]
        assert np.abs(middle - np.array(COLOURS[row["label"]], float)).max() < 40, "in the colour that was seen"
    assert [row["id"] for row in table] == sorted(event.id for event in events)
    mine = [row for row in table if row["camera"] == "gate"]
    assert {row["zones"] for row in mine} == {"yard"}
    assert all(row["started_at"].startswith("2026-11-30T02:00:0") for row in mine)
    assert {row["file"] for row in mine} == {str(place / "red.mp4")}
    tracks = sorted(path.name for path in (out / "tracks").glob("*.txt"))
    assert tracks == ["away.txt", "blind.txt", "gate.txt", "green.txt"]
    assert not (out / "tracks" / "blind.txt").read_text()
    assert json.loads((out / "summary.json").read_text())["files"] == told["files"]


@pytest.mark.slow
def test_the_same_footage_gives_the_same_each_time_and_is_not_replaced_unasked(tmp_path: Path, place: Path) -> None:
    out = tmp_path / "out"
    again = (place / "red.mp4", "--fps", 4, "--start", "2026-11-30T02:00:00")
    assert analyze(place, out, *again)[0] == 0
    first = (out / "events.csv").read_text()
    code, _, errors = invoke(*again, "--settings", place / "mosaicd.yaml", "--out", out)
    assert code == 1
    assert "--force replaces it" in errors
    assert analyze(place, out, *again, "--force")[0] == 0
    assert (out / "events.csv").read_text() == first


def test_an_unreadable_file_is_named_before_the_work(tmp_path: Path, place: Path) -> None:
    out = tmp_path / "out"
    files = (place / "red.mp4", place / "none.mp4", place / "gone.mp4")
    code, said, errors = invoke(*files, "--settings", place / "mosaicd.yaml", "--out", out)
    assert (code, said) == (1, "")
    assert f"{place / 'none.mp4'}: " in errors
    assert f"{place / 'gone.mp4'}: no such stream" in errors
    assert "red.mp4" not in errors
    assert not out.exists()


@pytest.mark.slow
def test_a_file_that_is_damaged_in_the_middle_is_told_of_and_the_others_go_on(tmp_path: Path, place: Path) -> None:
    path = write_square(tmp_path / "spoilt.mp4", 20.0)
    spoil(path, 8.5, 9.2)
    code, told, errors = analyze(place, tmp_path / "out", path, place / "green.mp4")
    assert code == 0, errors
    spoilt, green = told["files"]
    assert spoilt["damaged_frames"] > 0
    assert spoilt["damaged_at_s"] == pytest.approx(8.6, abs=0.2)
    assert 85 <= spoilt["frames"] < 98
    assert list(spoilt["events"]) == ["red"]
    assert (green["frames"], green["damaged_frames"], list(green["events"])) == (25, 0, ["green"])


@pytest.mark.slow
def test_a_file_that_was_cut_off_is_told_of(tmp_path: Path, place: Path) -> None:
    with av.open(place / "red.mp4") as source, av.open(tmp_path / "whole.mkv", "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "half.mkv").write_bytes(content[: len(content) // 2])
    code, told, _ = analyze(place, tmp_path / "out", tmp_path / "half.mkv")
    assert code == 1
    [half] = told["files"]
    assert "it was cut off" in half["error"]
    assert 15 < half["frames"] < 35
    assert half["analysed_s"] < 7.0


@pytest.mark.slow
def test_settings_of_another_machine_do_here(tmp_path: Path, place: Path) -> None:
    settings = json.loads((place / "mosaicd.yaml").read_text())
    settings["devices"] = {"GPU-8932f937-d72c-4106-c12f-20bd9faed9f6": {"threads": 1}}
    (tmp_path / "mosaicd.yaml").write_text(json.dumps(settings))
    code, said, errors = invoke(
        place / "green.mp4", "--settings", tmp_path / "mosaicd.yaml", "--out", tmp_path / "out", "--json"
    )
    assert code == 0, errors
    assert "so the CPU is taken" in errors
    assert list(json.loads(said)["files"][0]["events"]) == ["green"]


@pytest.mark.slow
def test_files_of_one_camera_follow_each_other(tmp_path: Path, place: Path) -> None:
    files = [f"gate={place / 'red.mp4'}"] * 2
    code, told, errors = analyze(place, tmp_path / "out", *files, "--start", "2026-11-30T02:00:00Z")
    assert code == 0, errors
    first, second = told["files"]
    assert second["starts_at"] == pytest.approx(first["starts_at"] + 10.0, abs=0.2)
    assert (list(first["events"]), second["events"]) == (["red"], {}), "who is still there is the same"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["a.mp4"], 2, "no model is named"),
        (["a/x.mp4", "b/x.mp4", "--model", "demo"], 2, "would both be camera 'x'"),
        (["a.mp4", "--model", "demo", "--start", "noon"], 2, "'noon' is no time"),
        (["a.mp4", "--names", "b.names", "--settings", "x.yaml"], 2, "needs --model as well"),
        (["a.mp4", "--model", "demo", "--roster", "gone.yaml"], 78, "gone.yaml"),
        (["a.mp4", "--settings", "gone.yaml"], 78, "gone.yaml"),
        (["a.mp4", "--model", "demo", "--set", "mosaic.fsp=2"], 78, "unknown key 'fsp'"),
        (["a.mp4", "--model", "demo", "--out", "."], 1, "holds something else"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "something").write_text("")
    found, _, errors = invoke(*args)
    assert found == code
    assert words in " ".join(errors.replace("│", " ").split())


def test_a_label_that_the_model_does_not_know_is_said(tmp_path: Path, place: Path) -> None:
    roster = tmp_path / "cameras.yaml"
    roster.write_text(json.dumps({"cameras": {"gate": {"url": "rtsp://nowhere", "labels": ["rde"]}}}))
    code, _, errors = invoke(place / "red.mp4", "--settings", place / "mosaicd.yaml", "--roster", roster)
    assert code == 78
    assert "the model has no label 'rde', did you mean 'red'?" in errors


def much(place: Path, files: int) -> list[str]:
    """Half a minute of footage, so many times."""
    return [*(f"c{number}={place / 'long.mp4'}" for number in range(files)), "--fps", "10", "--mot"]


@contextmanager
def begun(tmp_path: Path, place: Path, files: int) -> Iterator[subprocess.Popen[str]]:
    """An analysis that has begun to find something."""
    tracks = tmp_path / "out" / "tracks"
    program = [sys.executable, "-P", "-m", "daemon.cli", "analyze", *much(place, files), "--json"]
    program += ["--settings", str(place / "mosaicd.yaml"), "--out", str(tmp_path / "out")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            until_s = time.monotonic() + DEADLINE_S
            while not any(file.stat().st_size for file in tracks.glob("*.txt")):
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < until_s
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_ctrl_c_leaves_what_was_done(tmp_path: Path, place: Path) -> None:
    with begun(tmp_path, place, 8) as process:
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, errors
    told = json.loads(said)
    assert told["is_interrupted"]
    assert not told["is_finished"]
    assert 0 < sum(each["frames"] for each in told["files"]) < 8 * LONG_S * 10
    with EventReader(tmp_path / "out" / "events" / "events.sqlite") as reader:
        endings = {(event.id, event.ending) for event in reader.page().events}
    assert endings == {(row["id"], row["ending"]) for row in rows(tmp_path / "out" / "events.csv")}
    assert {ending for _, ending in endings} <= {"stopped", "camera_down"}


@pytest.mark.slow
def test_a_process_that_dies_costs_nothing_but_time(tmp_path: Path, place: Path) -> None:
    with begun(tmp_path, place, 3) as process:
        [victim, *_] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(victim), signal.SIGKILL)
        said, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    assert [each["frames"] for each in json.loads(said)["files"]] == [10 * LONG_S] * 3
    assert analyze(place, tmp_path / "undisturbed", *much(place, 3))[0] == 0
    for name in ("events.csv", *(f"tracks/c{number}.txt" for number in range(3))):
        assert (tmp_path / "out" / name).read_text() == (tmp_path / "undisturbed" / name).read_text()
