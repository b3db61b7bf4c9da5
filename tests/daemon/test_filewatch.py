"""When a file is said to have changed: on real folders, through links, and not for what happens beside it."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.filewatch import FileWatch, _entries

DEADLINE_S = 10.0
QUIET_S = 1.5


class Heard:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1

    def wait_for(self, times: int) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while self.times < times:
            assert time.monotonic() < end_s, f"{self.times} of {times}"
            time.sleep(0.02)


Start = Callable[[Path], Heard]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that watches a file, and has been called back once for what was before."""
    watches: list[FileWatch] = []

    def begin(path: Path) -> Heard:
        heard = Heard()
        watches.append(FileWatch(path, heard))
        watches[-1].start()
        heard.wait_for(1)
        time.sleep(0.5)  # until inotify is set up: what is saved before is seen by the first call, or not at all
        return heard

    yield begin
    assert all(watch.stop(5.0) for watch in watches)


def test_what_happens_beside_it_is_nothing(start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "cameras.yaml").write_text("a")
    heard = start(tmp_path / "cameras.yaml")
    for number in range(10):
        (tmp_path / "log").write_text(str(number))
        time.sleep(QUIET_S / 10)
    assert heard.times == 1
    assert caplog.records == []
    (tmp_path / "cameras.yaml").write_text("b")
    heard.wait_for(2)


def test_a_file_that_comes_is_seen(start: Start, tmp_path: Path) -> None:
    heard = start(tmp_path / "cameras.yaml")
    (tmp_path / "cameras.yaml").write_text("a")
    heard.wait_for(2)


def test_a_folder_that_comes_is_seen(start: Start, tmp_path: Path) -> None:
    heard = start(tmp_path / "site" / "cameras.yaml")
    (tmp_path / "site").mkdir()
    heard.wait_for(2)
    time.sleep(0.5)
    (tmp_path / "site" / "cameras.yaml").write_text("a")
    heard.wait_for(3)


def test_every_link_on_the_way_counts(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "cameras.yaml").write_text("a")
    os.symlink("one", tmp_path / "..data")
    os.symlink("..data/cameras.yaml", tmp_path / "cameras.yaml")
    found = {entry.relative_to(tmp_path) for entry in _entries(tmp_path / "cameras.yaml") if tmp_path in entry.parents}
    assert found == {Path("cameras.yaml"), Path("..data"), Path("one/cameras.yaml")}


def test_a_link_to_itself_is_no_reason_to_hang(tmp_path: Path) -> None:
    os.symlink("cameras.yaml", tmp_path / "cameras.yaml")
    assert tmp_path / "cameras.yaml" in _entries(tmp_path / "cameras.yaml")
