"""The files of a roster, read: the main one, and those that its `include:` names.

Owns which files those are. Each is parsed by itself, so that its problems have its own name; what they say together is
:mod:`daemon.roster`'s business. All of them together are bounded as one file is.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemon import globs, yamltext
from daemon.problems import Checked, KeyPath, Problem, in_order, problem_at
from daemon.yamltext import MAX_BYTES, YamlDocument


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file as it was read."""

    path: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RosterText:
    """A roster as it was read."""

    files: tuple[WrittenFile, ...]
    """Those that could be read, the main one first."""
    documents: Checked[tuple[YamlDocument, ...]]
    """Those of them that could be parsed, with what is wrong with any; None without the main one."""
    patterns: tuple[Path, ...] | None = None
    """What it includes; None where that could not be read."""

    @property
    def digest(self) -> bytes:
        """What differs if another text, or another problem, was found."""
        return digest((file.content for file in self.files), self.documents.problems)


def digest(contents: Iterable[bytes], problems: Sequence[Problem] = ()) -> bytes:
    """The digest of a roster that was read as this. Pure."""
    found = hashlib.sha256("\n".join(map(str, problems)).encode("utf-8", "replace"))
    for content in contents:
        found.update(hashlib.sha256(content).digest())
    return found.digest()


def read(path: Path) -> RosterText:
    """Read the roster at `path`, and what it includes. What cannot be read is a problem, not an exception."""
    content = yamltext.read(path)
    if content.value is None:
        return RosterText((), Checked(None, content.problems))
    main = WrittenFile(str(path), content.value)
    document = yamltext.parse(main.content, main.path)
    if document.value is None:
        return RosterText((main,), Checked(None, document.problems))
    patterns = {where: path.parent / pattern for where, pattern in _patterns(document.value)}
    found, problems = _included(path, document.value, patterns)
    files = (main, *found)
    if sum(len(file.content) for file in files) > MAX_BYTES:
        too_large = Problem(main.path, 0, 0, "", f"larger than {MAX_BYTES >> 10} KiB with the files that it includes")
        return RosterText(files, Checked(None, (too_large,)), tuple(patterns.values()))
    documents = _parsed(found)
    return RosterText(
        files,
        Checked(
            (document.value, *(each.value for each in documents if each.value is not None)),
            in_order([*document.problems, *problems, *(problem for each in documents for problem in each.problems)]),
        ),
        tuple(patterns.values()),
    )


def parse(files: Sequence[WrittenFile]) -> Checked[tuple[YamlDocument, ...]]:
    """The documents in the files of a roster, the main one first; None if one of them cannot be read. Pure."""
    documents = _parsed(files)
    values = tuple(each.value for each in documents if each.value is not None)
    problems = in_order(problem for each in documents for problem in each.problems)
    return Checked(values if len(values) == len(files) else None, problems)


def _parsed(files: Iterable[WrittenFile]) -> list[Checked[YamlDocument]]:
    return [yamltext.parse(file.content, file.path) for file in files]


def _patterns(document: YamlDocument) -> Iterator[tuple[KeyPath, str]]:
    """What `include:` names, as far as it is right, and where each stands."""
    written = document.value.get("include") if isinstance(document.value, dict) else None
    for index, pattern in enumerate(written if isinstance(written, list) else [written]):
        if isinstance(pattern, str) and not globs.wrong(pattern):
            yield ("include", index) if isinstance(written, list) else ("include",), pattern


def _included(
    main: Path, document: YamlDocument, patterns: dict[KeyPath, Path]
) -> tuple[list[WrittenFile], list[Problem]]:
    """The files that the patterns stand for, each once and never the main one, and why some cannot be read."""
    found: dict[Path, WrittenFile] = {}
    problems: list[Problem] = []
    for where, pattern in patterns.items():
        place = document.value_place(where)
        try:
            files = globs.files(pattern)
        except OSError as error:
            message = f"{pattern.parent} cannot be listed: {error.strerror}"
            problems.append(problem_at(place, where, message, "the daemon's user needs to read the folder"))
            continue
        for path in files:
            if path in found or path == main:
                continue
            if not globs.is_wild(pattern.name) and not path.exists():
                problems.append(problem_at(place, where, f"no such file: {path}", "make it, or take it out here"))
                continue
            content = yamltext.read(path)
            problems += content.problems
            if content.value is not None:
                found[path] = WrittenFile(str(path), content.value)
    return list(found.values()), problems
