"""What is appended to a file of lines is read once and in order, through rotations and half lines."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from daemon.linetail import LineTail
from events.linefile import LineFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def writer(path: Path) -> Iterator[LineFile]:
    with closing(LineFile(path, 30, lambda: 1796004785.0)) as writer:
        yield writer


def test_only_what_comes_from_now_on_is_read(path: Path, writer: LineFile) -> None:
    writer.append([b"old\n"])
    with closing(LineTail(path)) as tail:
        assert tail.read() == []
        writer.append([b"one\n", b"two\n"])
        assert tail.read() == [b"one", b"two"]
        assert tail.read() == []


def test_a_file_that_comes_later_is_read_from_its_beginning(path: Path, writer: LineFile) -> None:
    with closing(LineTail(path)) as tail:
        assert tail.read() == []
        writer.append([b"one\n"])
        assert tail.read() == [b"one"]


def test_a_rotation_loses_nothing(path: Path, writer: LineFile) -> None:
    with closing(LineTail(path)) as tail:
        lines = [b"line %02d\n" % number for number in range(20)]
        read = []
        for line in lines:
            writer.append([line])
            read += tail.read()
        assert writer.rotations > 3
        assert [each + b"\n" for each in read] == lines


def test_what_came_just_before_a_rotation_is_read_too(path: Path, writer: LineFile) -> None:
    with closing(LineTail(path)) as tail:
        writer.append([b"a" * 20 + b"\n"])
        writer.append([b"b" * 20 + b"\n"])
        assert writer.rotations == 1
        assert tail.read() == [b"b" * 20]  # made before there was a file: what had been rotated by then is past
        writer.append([b"c\n"])
        writer.append([b"d" * 20 + b"\n"])
        assert writer.rotations == 2
        assert tail.read() == [b"c", b"d" * 20]


def test_a_half_line_waits_for_its_other_half(path: Path) -> None:
    path.write_bytes(b"old\nhal")
    with closing(LineTail(path)) as tail:
        assert tail.read() == []
        with path.open("ab") as file:
            file.write(b"f\nnext")
        assert tail.read() == [b"half"]


def test_a_half_line_that_is_cut_off_is_never_read(path: Path, writer: LineFile) -> None:
    path.write_bytes(b"old\nhal")
    with closing(LineTail(path)) as tail:
        writer.append([b"one\n"])
        assert tail.read() == [b"one"]


def test_from_the_start_whole_lines_are_given_once_and_a_new_file_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("zero\n")
    with closing(LineTail(path, from_start=True)) as tail:
        assert tail.read() == [b"zero"]
        with path.open("a") as file:
            file.write("one\ntw")
            file.flush()
            assert tail.read() == [b"one"]
            file.write("o\n")
        assert tail.read() == [b"two"]
        assert tail.read() == []
        path.rename(tmp_path / "lines.old")
        path.write_text("three\n")
        assert tail.read() == [b"three"]
