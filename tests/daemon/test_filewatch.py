"""When a file is said to have changed: on real folders, through links, and not for what happens beside it."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.filewatch import VANISHED_S, FileWatch, _entries

DEADLINE_S = 20.0
QUIET_S = 0.8
SETTLE_S = 0.05


class Heard:
    def __init__(self) -> None:
        self.times = 0
        self.look_at = Path("/")
        self.was_there: list[bool] = []

    def __call__(self) -> None:
        self.was_there.append(self.look_at.exists())
        self.times += 1

    def wait_for(self, times: int) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while self.times < times:
            assert time.monotonic() < end_s, f"{self.times} of {times}"
            time.sleep(0.02)

    def wait_quiet(self) -> int:
        """Wait until nothing was heard for a while; return how often it was heard."""
        times, since_s = self.times, time.monotonic()
        while time.monotonic() < since_s + QUIET_S:
            time.sleep(0.02)
            if self.times != times:
                times, since_s = self.times, time.monotonic()
        return times


Start = Callable[..., Heard]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that watches a file, and has been called back once for what was before."""
    watches: list[FileWatch] = []

    def begin(path: Path, patterns: Callable[[], tuple[Path, ...]] = tuple, vanished_s: float = 0.1) -> Heard:
        heard = Heard()
        watches.append(FileWatch(path, heard, patterns, settle_s=SETTLE_S, vanished_s=vanished_s))
        watches[-1].start()
        heard.wait_for(1)
        return heard

    yield begin
    assert all(watch.stop(5.0) for watch in watches)


def test_what_happens_beside_it_is_nothing(start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "cameras.yaml").write_text("a")
    (tmp_path / "cameras.d").mkdir()
    heard = start(tmp_path / "cameras.yaml", lambda: (tmp_path / "cameras.d" / "*.yaml",))
    beside = ("log", "cameras.d/.yard.yaml.swp", "cameras.d/yard.yaml~", "cameras.d/log")
    for number in range(12):
        (tmp_path / beside[number % len(beside)]).write_text(str(number))
        time.sleep(QUIET_S / 12)
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
    heard.wait_for(3)
    times = heard.wait_quiet()
    (tmp_path / "site" / "cameras.yaml").write_text("a")
    heard.wait_for(times + 1)


def written(path: Path) -> None:
    path.write_text("a")


def renamed(path: Path) -> None:
    new = path.with_name(".new.swp")
    new.write_text("b")
    new.replace(path)


def removed(path: Path) -> None:
    path.unlink()


def test_files_that_fit_a_pattern_come_change_and_go(start: Start, tmp_path: Path) -> None:
    (tmp_path / "cameras.yaml").write_text("a")
    heard = start(tmp_path / "cameras.yaml", lambda: (tmp_path / "cameras.d" / "*.yaml",))
    (tmp_path / "cameras.d").mkdir()
    heard.wait_for(2)
    for change in (written, renamed, removed):
        times = heard.wait_quiet()
        change(tmp_path / "cameras.d" / "yard.yaml")
        heard.wait_for(times + 1)


def test_a_folder_that_another_replaces_is_watched(start: Start, tmp_path: Path) -> None:
    (tmp_path / "cameras.yaml").write_text("a")
    (tmp_path / "cameras.d").mkdir()
    heard = start(tmp_path / "cameras.yaml", lambda: (tmp_path / "cameras.d" / "*.yaml",))
    (tmp_path / "cameras.d").rmdir()
    (tmp_path / "cameras.d").mkdir()
    heard.wait_for(2)
    times = heard.wait_quiet()
    (tmp_path / "cameras.d" / "yard.yaml").write_text("a")
    heard.wait_for(times + 1)


def test_a_link_on_the_way_to_a_file_that_fits_is_watched(start: Start, tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap over cameras.d."""
    (tmp_path / "cameras.yaml").write_text("a")
    folder = tmp_path / "cameras.d"
    for number in range(2):
        (folder / f"..{number}").mkdir(parents=True)
        (folder / f"..{number}" / "yard.yaml").write_text(str(number))
    os.symlink("..0", folder / "..data")
    os.symlink("..data/yard.yaml", folder / "yard.yaml")
    heard = start(tmp_path / "cameras.yaml", lambda: (folder / "*.yaml",))
    os.symlink("..1", folder / "..new")
    (folder / "..new").replace(folder / "..data")
    heard.wait_for(2)
    times = heard.wait_quiet()
    (folder / "..1" / "yard.yaml").write_text("2")
    heard.wait_for(times + 1)


def test_patterns_that_become_others_are_watched(start: Start, tmp_path: Path) -> None:
    (tmp_path / "cameras.yaml").write_text("a")
    patterns: list[Path] = []
    heard = start(tmp_path / "cameras.yaml", lambda: tuple(patterns))
    patterns.append(tmp_path / "cameras.d" / "yard.yaml")
    heard.wait_for(2)
    times = heard.wait_quiet()
    (tmp_path / "cameras.d").mkdir()
    (tmp_path / "cameras.d" / "yard.yaml").write_text("a")
    heard.wait_for(times + 1)


def test_a_file_that_vanishes_for_a_moment_is_waited_for(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "cameras.d" / "yard.yaml"
    path.parent.mkdir()
    path.write_text("a")
    (tmp_path / "cameras.yaml").write_text("a")
    heard = start(tmp_path / "cameras.yaml", lambda: (path.with_name("*.yaml"),), VANISHED_S)
    heard.look_at = path
    path.unlink()
    time.sleep(0.5)
    path.write_text("b")
    heard.wait_for(2)
    heard.wait_quiet()
    assert all(heard.was_there[1:])


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
