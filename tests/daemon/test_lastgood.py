"""The last valid texts: kept whole, privately, and never half."""

import os
import stat
from pathlib import Path

import pytest

from daemon.lastgood import FILE_NAME, LastGood, LastGoodError, StoredText, load, save

KEPT = LastGood(
    settings=StoredText("/etc/mosaicd/mosaicd.yaml", "model: {cfg: a}\n"),
    roster=StoredText("/etc/mosaicd/cameras.yaml", "cameras: {é: {password: hunter2-${X}}}\n"),
    overrides=("mosaic.fps=3",),
    included=(StoredText("/etc/mosaicd/cameras.d/yard.yaml", "cameras: {yard: {password: hunter2}}\n"),),
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    save(tmp_path, KEPT)
    assert load(tmp_path) == KEPT


def test_a_file_of_before_rosters_could_include_is_loaded(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(
        '{"settings": {"path": "a", "text": "b"}, "roster": {"path": "c", "text": "d"}, "overrides": [], "version": 1}'
    )
    assert load(tmp_path) == LastGood(StoredText("a", "b"), StoredText("c", "d"))


def test_the_file_is_its_owners_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch(mode=0o644)
    save(tmp_path, KEPT)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [FILE_NAME]


def test_texts_are_not_shown() -> None:
    assert "hunter2" not in repr(KEPT)


def test_a_text_that_cannot_be_saved_leaves_the_old_one(tmp_path: Path) -> None:
    save(tmp_path, KEPT)
    with pytest.raises(LastGoodError, match="not UTF-8 text"):
        save(tmp_path, LastGood(StoredText("a", "\ud800"), KEPT.roster))
    assert load(tmp_path) == KEPT
    assert os.listdir(tmp_path) == [FILE_NAME]


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LastGoodError, match="cannot be written: No such file or directory"):
        save(tmp_path / "none", KEPT)
    assert load(tmp_path / "none") is None


def test_a_rename_that_fails_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(LastGoodError, match="cannot be written: Is a directory"):
        save(tmp_path, KEPT)
    assert os.listdir(tmp_path) == [FILE_NAME]
    with pytest.raises(LastGoodError, match="cannot be read: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged; delete it"),
        (b'{"settings": {"path": "hunter2"', "is damaged; delete it"),
        (b'{"settings": "hunter2"}', "is damaged; delete it"),
        (b"\xff\xfe", "is damaged; delete it"),
        (b"[" * 100_000, "is damaged; delete it"),
        (
            b'{"settings": {"path": "a", "text": "b"}, "roster": {"path": "a", "text": "hunter2"}, "version": 9}',
            "has version 9, not 1; delete it",
        ),
    ],
)
def test_a_damaged_file_is_an_error_that_quotes_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(LastGoodError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path / FILE_NAME} {message}"
    assert caught.value.__cause__ is None
