"""Patterns of files, such as `cameras.d/*.yaml`: `*`, `?` and `[...]` in the file's name, never in its folder.

A wildcard stands for no hidden file and no editor's backup. Pure, but for `files`, which lists a folder.
"""

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path

_WILDCARD = re.compile(r"[*?[]")


def is_wild(pattern: str) -> bool:
    """Whether it stands for any number of files, none too; else it is the path of one."""
    return _WILDCARD.search(pattern) is not None


def fits(name: str, pattern: str) -> bool:
    """Whether a file's name is one that the pattern's last part stands for."""
    if not is_wild(pattern):
        return name == pattern
    return fnmatchcase(name, pattern) and not name.startswith((".", "#")) and not name.endswith("~")


def wrong(pattern: str) -> str:
    """What is wrong with a pattern; empty if nothing is."""
    folder, _, name = pattern.rpartition("/")
    if name in ("", ".", "..") or not pattern.isprintable() or not pattern.strip():
        return "should be the path of a file, such as cameras.d/*.yaml"
    if is_wild(folder):
        return "a wildcard (*, ?, [) may stand in the file's name only, not in its folder"
    return ""


def files(pattern: Path) -> list[Path]:
    """Return the files that a pattern stands for, sorted: of a wildcard those that are there, links to nowhere too.

    No folder is no file; raises OSError where there is one that cannot be listed.
    """
    if not is_wild(pattern.name):
        return [pattern]
    try:
        names = os.listdir(pattern.parent)
    except FileNotFoundError:
        return []
    found = (pattern.parent / name for name in names if fits(name, pattern.name))
    return sorted(path for path in found if path.is_file() or (path.is_symlink() and not path.exists()))
