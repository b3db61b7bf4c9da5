"""A file of boxes: whole or not at all, at every moment."""

import errno
import os
from pathlib import Path

import pytest

from capture.boxfile import BoxFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "boxes"
    path.touch()
    return path


class Disk:
    """Writes at most so much at once, and nothing any more when it is full."""

    def __init__(self, room: int = 10**9, at_once: int = 10**9) -> None:
        self.room, self.at_once = room, at_once
        self.places: list[tuple[int, int]] = []

    def __call__(self, fd: int, data: memoryview, offset: int, /) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "full")
        count = min(self.room, self.at_once, len(data))
        self.room -= count
        self.places.append((offset, count))
        return os.pwrite(fd, data[:count], offset)


def opened(path: Path, disk: Disk) -> BoxFile:
    return BoxFile(os.open(path, os.O_RDWR), disk)


def test_the_head_of_what_is_committed_is_written_last(path: Path) -> None:
    disk = Disk()
    file = opened(path, disk)
    file.write(b"12345678abcd")
    file.write(b"efgh")
    assert (disk.places, file.tell()) == ([], 16)
    file.commit()
    assert disk.places == [(8, 8), (0, 8)]
    file.write(b"short")
    file.commit()
    file.commit()
    assert path.read_bytes() == b"12345678abcdefghshort"
    assert file.size() == 21
    file.close()


def test_what_is_written_over_comes_after_what_is_added(path: Path) -> None:
    disk = Disk()
    file = opened(path, disk)
    file.write(b"12345678abcd")
    file.commit()
    file.write(b"index")
    assert file.seek(0) == 0
    file.write(b"87654321")
    assert file.seek(0, os.SEEK_END) == 17
    assert file.seek(-5, os.SEEK_CUR) == 12
    file.commit()
    assert disk.places[2:] == [(12, 5), (0, 8)]
    assert path.read_bytes() == b"87654321abcdindex"
    file.close()


@pytest.mark.parametrize("room", range(13))
def test_of_what_finds_no_room_nothing_stays(path: Path, room: int) -> None:
    disk = Disk(12 + room)
    file = opened(path, disk)
    file.write(b"12345678abcd")
    file.commit()
    file.write(b"12345678wxyz?")
    with pytest.raises(OSError, match="full"):
        file.commit()
    assert path.read_bytes() == b"12345678abcd"
    disk.room = 1000
    file.write(b"an index that tells of what is not there")
    with pytest.raises(OSError, match="full"):
        file.commit()
    assert path.read_bytes() == b"12345678abcd"
    file.close()


def test_a_disk_that_takes_little_at_once_gets_it_all(path: Path) -> None:
    file = opened(path, Disk(at_once=3))
    file.write(b"12345678abcd")
    file.commit()
    assert path.read_bytes() == b"12345678abcd"
    file.close()
