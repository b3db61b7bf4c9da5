"""The folder of an analysis: what is in it, and that nothing else is ever replaced."""

import csv
import json
from pathlib import Path

import motmetrics
import pytest

from daemon.analysis.clips import Clip, Given, clips_of
from daemon.analysis.follower import Follower
from daemon.analysis.results import FolderError, Results, check, prepare, track_names
from events.reading import EventReader
from tests.daemon.analysis.test_clips import facts
from tests.daemon.analysis.test_follower import GATE, walk


def clips(*cameras: str) -> tuple[Clip, ...]:
    """Files of these cameras, thirty seconds each."""
    files = [Given(camera, Path(f"{number}.mp4"), 1000.0) for number, camera in enumerate(cameras)]
    return clips_of(files, [facts(30.0)] * len(files), [0.0] * len(files))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of somebody who walks through a gate."""
    folder = tmp_path / "out"
    prepare(folder, force=False)
    mine = clips("yard")
    with Results(folder, mine, has_tracks=True) as results:
        follower = Follower(mine, GATE, lambda: 7, results.take)
        for answer in walk(0, 0.0, 25.0):
            follower.give(answer)
        follower.end(0)
        results.finish({"is_finished": True})
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table."""
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_database_is_the_daemons(folder: Path) -> None:
    with EventReader(folder / "events" / "events.sqlite") as reader:
        [event] = reader.page().events
        [count] = reader.crossings(0.0, 2000.0)
    assert (event.camera, event.label, event.kind, event.ending) == ("yard", "person", "end", "camera_down")
    assert (count.line, count.direction, count.count) == ("gate", "out", 1)


def test_tables_say_the_same_and_where_in_which_file_it_was(folder: Path) -> None:
    [event] = rows(folder / "events.csv")
    assert event["id"].endswith("-yard-000007")
    assert (event["camera"], event["label"], event["crossings"]) == ("yard", "person", "gate:out")
    assert (event["file"], float(event["file_s"])) == ("0.mp4", pytest.approx(15.0, abs=0.5))
    assert event["started_at"].startswith("1970-01-01T00:16:5")
    [crossing] = rows(folder / "crossings.csv")
    assert (crossing["line"], crossing["direction"], crossing["label"]) == ("gate", "out", "person")
    assert float(crossing["file_s"]) == pytest.approx(15.0, abs=0.5)


@pytest.mark.filterwarnings("ignore:Operation with tuple is deprecated")  # of pandas, in motmetrics
def test_tracks_are_read_by_other_programs(folder: Path) -> None:
    frames = motmetrics.io.loadtxt(folder / "tracks" / "yard.txt", fmt="mot15-2D")
    assert set(frames.index.get_level_values("Id")) == {1}
    numbers = list(frames.index.get_level_values("FrameId"))
    assert (numbers[0], numbers[-1], len(numbers)) == (6, 621, 124), "it is told of from its second sighting on"
    first = frames.iloc[0]
    assert [first.X, first.Y, first.Width, first.Height] == pytest.approx([4.0, 100.0, 40.0, 100.0])
    [label] = rows(folder / "tracks" / "yard.labels.csv")
    assert label == {"id": "1", "label": "person", "first_frame": "6", "last_frame": "621", "boxes": "124"}


def test_the_same_footage_again_replaces_an_analysis_only_if_told_to(folder: Path) -> None:
    other = folder / "notes.txt"
    other.write_text("mine")
    with pytest.raises(FolderError, match="holds an analysis already; --force replaces it"):
        prepare(folder, force=False)
    assert (folder / "events.csv").exists()
    prepare(folder, force=True)
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "summary.json"]
    assert json.loads((folder / "summary.json").read_text()) == {"is_finished": False}


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, force: bool) -> None:
    (tmp_path / "events").mkdir()
    with pytest.raises(FolderError, match="holds something else"):
        check(tmp_path, force=force)
    with pytest.raises(FolderError, match="holds something else"):
        prepare(tmp_path, force=force)
    assert (tmp_path / "events").is_dir()


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="--out names another folder"):
        prepare(tmp_path / "file" / "out", force=False)


def test_several_files_of_a_camera_have_tracks_of_their_own() -> None:
    assert track_names(clips("yard", "gate", "yard")) == {0: "yard-1", 2: "yard-2", 1: "gate"}
