"""Which files a pattern stands for, and what no pattern may be."""

import os
from pathlib import Path

import pytest

from daemon.globs import files, fits, is_wild, wrong


@pytest.mark.parametrize(
    ("name", "pattern", "does_fit"),
    [
        ("yard.yaml", "*.yaml", True),
        ("yard.yaml", "yard.yaml", True),
        ("yard.yml", "*.yaml", False),
        ("Yard.yaml", "yard.yaml", False),
        ("cam-1.yaml", "cam-[0-9].yaml", True),
        ("cam-1.yaml", "cam-?.yaml", True),
        (".yard.yaml", "*.yaml", False),
        (".yard.yaml.swp", "*", False),
        (".#yard.yaml", "*.yaml", False),
        ("#yard.yaml#", "*", False),
        ("yard.yaml~", "*", False),
        (".yard.yaml", ".yard.yaml", True),
    ],
)
def test_names_that_a_pattern_stands_for(name: str, pattern: str, does_fit: bool) -> None:
    assert fits(name, pattern) is does_fit


@pytest.mark.parametrize("pattern", ["*.yaml", "a/b/*.yaml", "/etc/mosaicd/cameras.d/*.yaml", "../yard.yaml", "a"])
def test_patterns_that_may_be(pattern: str) -> None:
    assert wrong(pattern) == ""


@pytest.mark.parametrize("pattern", ["", " ", "cameras.d/", ".", "..", "a/..", "a\nb", "a\0b"])
def test_what_is_no_path_of_a_file_is_wrong(pattern: str) -> None:
    assert "should be the path of a file" in wrong(pattern)


@pytest.mark.parametrize("pattern", ["*/yard.yaml", "sites/**/a.yaml", "[ab]/*.yaml"])
def test_a_wildcard_in_the_folder_is_wrong(pattern: str) -> None:
    assert "not in its folder" in wrong(pattern)


def test_only_wildcards_may_stand_for_nothing() -> None:
    assert [is_wild(pattern) for pattern in ("*.yaml", "?", "[a]", "yard.yaml")] == [True, True, True, False]


def test_files_are_sorted_and_folders_are_none(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml", ".c.yaml", "d.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.yaml").mkdir()
    os.symlink("b.yaml", tmp_path / "link.yaml")
    os.symlink("nowhere", tmp_path / "lost.yaml")
    assert [path.name for path in files(tmp_path / "*.yaml")] == ["a.yaml", "b.yaml", "link.yaml", "lost.yaml"]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert files(tmp_path / "none" / "*.yaml") == []
    assert files(tmp_path / "none" / "a.yaml") == [tmp_path / "none" / "a.yaml"]


def test_what_is_no_folder_cannot_be_listed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        files(tmp_path / "file" / "*.yaml")
