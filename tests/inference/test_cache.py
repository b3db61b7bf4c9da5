"""The cache with real folders, real processes that are killed, and a real lock."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.cache import (
    MAX_ENTRIES,
    digest_of,
    drop,
    kept,
    model_digest,
    read_json,
    source_digest,
    write_json,
)
from inference.engine import ModelFiles


def write(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "graph").write_text(text) and None


def never(folder: Path) -> None:
    raise AssertionError("it is there already")


def test_an_entry_is_made_once(tmp_path: Path):
    with kept(tmp_path / "cache", "a", write("first")) as entry:
        assert (entry / "graph").read_text() == "first"
    with kept(tmp_path / "cache", "a", never) as entry:
        assert (entry / "graph").read_text() == "first"


def test_what_fails_to_be_made_is_not_there(tmp_path: Path):
    def fail(folder: Path) -> None:
        (folder / "graph").write_text("half")
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"), kept(tmp_path, "a", fail):
        pass
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    with kept(tmp_path, "a", write("whole")) as entry:
        assert (entry / "graph").read_text() == "whole"


def test_without_a_folder_it_is_made_for_this_once(tmp_path: Path):
    with kept(None, "a", write("once")) as entry:
        assert (entry / "graph").read_text() == "once"
    assert not entry.exists()


def test_a_folder_that_cannot_be_written_keeps_nobody_from_working(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("in the way")
    with kept(tmp_path / "file" / "cache", "a", write("once")) as entry:
        assert (entry / "graph").read_text() == "once"
    assert not entry.exists()
    assert "cannot be written, so a is not kept" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_folders_owner(tmp_path: Path):
    daemon = 65534
    os.chown(tmp_path, daemon, daemon)
    with kept(tmp_path / "cache", "a", write("graph")) as entry:
        write_json(tmp_path / "cache", "tuned", {})
    made = [tmp_path / "cache", entry, entry / "graph", tmp_path / "cache" / "tuned.json"]
    assert {path.stat().st_uid for path in [*made, *(tmp_path / "cache").glob(".*.lock")]} == {daemon}


def test_a_disk_that_fills_up_while_it_is_made_is_tried_elsewhere(tmp_path: Path):
    def make(folder: Path) -> None:
        if folder.is_relative_to(tmp_path):
            raise OSError(28, "No space left on device")
        write("elsewhere")(folder)

    with kept(tmp_path, "a", make) as entry:
        assert (entry / "graph").read_text() == "elsewhere"


def test_a_dropped_entry_is_made_anew(tmp_path: Path):
    with kept(tmp_path, "a", write("damaged")):
        pass
    drop(tmp_path, "a")
    with kept(tmp_path, "a", write("new")) as entry:
        assert (entry / "graph").read_text() == "new"


def test_the_entries_used_last_stay(tmp_path: Path):
    for number in range(MAX_ENTRIES + 1):
        with kept(tmp_path, f"e{number}", write("x")) as entry:
            os.utime(entry, (number, number))
    with kept(tmp_path, "e1", never):  # the oldest but for e0, which is gone already
        pass
    with kept(tmp_path, "new", write("x")):
        pass
    left = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert len(left) == MAX_ENTRIES
    assert {"e1", "new"} <= left
    assert not {"e0", "e2"} & left


PROGRAM = """
import sys, time
from pathlib import Path
from inference.cache import kept

def make(folder):
    (folder / "graph").write_text("by " + sys.argv[2])
    print("making", flush=True)
    time.sleep(float(sys.argv[3]))

with kept(Path(sys.argv[1]), "a", make) as entry:
    print((entry / "graph").read_text(), flush=True)
"""


def start(folder: Path, name: str, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder), name, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_make_it_once(tmp_path: Path):
    first = start(tmp_path, "first", 0.5)
    assert first.stdout and first.stdout.readline() == "making\n"
    second = start(tmp_path, "second", 0)
    assert second.communicate(timeout=20)[0] == "by first\n"
    assert first.communicate(timeout=20)[0] == "by first\n"


def test_a_maker_that_is_killed_leaves_nothing_in_the_way(tmp_path: Path):
    killed = start(tmp_path, "killed", 60)
    assert killed.stdout and killed.stdout.readline() == "making\n"
    waiting = start(tmp_path, "waiting", 0)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(10) == -signal.SIGKILL
    killed.stdout.close()
    assert waiting.communicate(timeout=20)[0] == "making\nby waiting\n"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["a"]


def test_small_values_are_kept_whole(tmp_path: Path):
    write_json(tmp_path / "cache", "tuned", {"input": "tiles"})
    assert read_json(tmp_path / "cache", "tuned") == {"input": "tiles"}
    assert read_json(tmp_path / "cache", "other") is None
    (tmp_path / "cache" / "tuned.json").write_text('{"input"')
    assert read_json(tmp_path / "cache", "tuned") is None


def test_a_model_is_its_cfg_and_weights(tmp_path: Path):
    files = ModelFiles(tmp_path / "a.cfg", tmp_path / "a.weights", tmp_path / "a.names")
    files.cfg.write_text("[net]")
    files.weights.write_bytes(bytes(3 << 20))
    before = model_digest(files)
    files.weights.write_bytes(bytes(3 << 20))
    assert model_digest(files) == before
    files.weights.write_bytes(bytes((3 << 20) - 1) + b"\1")
    assert model_digest(files) != before


def test_names_tell_their_parts_apart(tmp_path: Path):
    assert digest_of("ab", "c") != digest_of("a", "bc")
    assert digest_of((1, 2)) == digest_of((1, 2))
    source = tmp_path / "code.py"
    source.write_text("x = 1")
    before = source_digest([source])
    source.write_text("x = 2")
    assert source_digest([source]) != before
