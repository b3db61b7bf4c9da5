"""YAML text to plain values, with the place of every key and value.

Owns the subset of YAML that settings and rosters may use: one document; mappings with text keys, lists, scalars by the
YAML 1.2 core schema (so `no`, `12:30:00` and `2024-01-01` stay text). Anchors, aliases, tags and merge keys are
refused: with them a hundred bytes can become a gigabyte, and the `defaults:` block does their work. The events of
PyYAML's pure parser are composed here: its C parser dies on deep nesting, its composer raises RecursionError,
and both accept duplicate keys. It must not know what any key means. Its messages never quote the text, since the text
may be a password. Pure, but for `load`, which reads one file.
"""

import copy
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from daemon.problems import MAX_PROBLEMS, Checked, KeyPath, Place, Problem, in_order, problem_at, shown_key

MAX_BYTES = 512 << 10
"""Size limit of one file: some thousands of cameras; the pure parser takes up to five seconds for it."""
MAX_DEPTH = 24
"""Nesting limit. Settings and rosters need six."""

_NO_ANCHORS = "anchors and aliases (&name, *name) are not supported"
_QUOTE = "quote a value that begins with a special character"


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A parsed file: dicts with text keys, lists, str, int, float, bool, None. Nothing of its content is in its repr.

    `texts` holds plain scalars as they were written where they did not become text: a password 0012 is not 12.
    """

    file: str
    value: Any = field(repr=False)
    keys: Mapping[KeyPath, Place] = field(repr=False)
    values: Mapping[KeyPath, Place] = field(repr=False)
    texts: Mapping[KeyPath, str] = field(repr=False)

    def key_place(self, path: KeyPath) -> Place:
        """Where the key (or list item) at `path` stands, else the nearest enclosing one that exists."""
        while path:
            if path in self.keys:
                return self.keys[path]
            path = path[:-1]
        return Place(self.file, 1, 1)

    def value_place(self, path: KeyPath) -> Place:
        """Where the value at `path` begins; where there is none, the key of the nearest enclosing mapping."""
        return self.values[path] if path in self.values else self.key_place(path)

    def is_blank(self, path: KeyPath) -> bool:
        """Whether the key at `path` stands there without a value."""
        return self.texts.get(path) == ""


def parse(text: str | bytes, file: str) -> Checked[YamlDocument]:
    """The document in `text`; `file` is its name in problems. Where the text cannot be read to its end the value is
    None; duplicate keys, aliases and the like are problems beside a value that lacks them. An empty text is an
    empty mapping."""
    decoded = _decoded(text, file)
    if isinstance(decoded, Problem):
        return Checked(None, (decoded,))
    composer = _Composer(decoded, file)
    try:
        value = composer.document()
    except _UnreadableError as error:
        return Checked(None, in_order([*composer.problems, error.problem]))
    document = YamlDocument(file, value, composer.keys, composer.values, composer.texts)
    return Checked(document, in_order(composer.problems))


def load(path: Path) -> Checked[YamlDocument]:
    """Reads and parses one file. A missing or unreadable file is a problem, not an exception."""
    return read(path).then(lambda content: parse(content, str(path)))


def read(path: Path) -> Checked[bytes]:
    """Reads one file, a byte more than is parsed at the most. Why it cannot be is a problem, not an exception."""
    name = str(path)
    try:
        with path.open("rb") as stream:
            return Checked(stream.read(MAX_BYTES + 1))
    except FileNotFoundError:
        return Checked(None, (Problem(name, 0, 0, "", "no such file"),))
    except PermissionError:
        return Checked(None, (Problem(name, 0, 0, "", "no permission to read it"),))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a usable file name"
        return Checked(None, (Problem(name, 0, 0, "", f"cannot be read: {reason}"),))


def with_overrides(document: YamlDocument, overrides: Sequence[str]) -> Checked[YamlDocument]:
    """The document with each `KEY.PATH=VALUE` set (the last wins), VALUE being YAML. What is wrong with one is
    reported under the name `--set KEY.PATH=VALUE`."""
    if not isinstance(document.value, dict):
        return Checked(document)
    value = copy.deepcopy(document.value)
    keys, values, texts = dict(document.keys), dict(document.values), dict(document.texts)
    problems: list[Problem] = []
    for override in overrides:
        label = f"--set {override}"
        dotted_path, equals, text = override.partition("=")
        path: KeyPath = tuple(dotted_path.strip().split("."))
        if not equals or not all(path) or len(path) > MAX_DEPTH:
            problems.append(Problem(label, 0, 0, "", "should be KEY.PATH=VALUE"))
            continue
        parsed = parse(text, label)
        problems += [replace(problem, line=0, column=0) for problem in parsed.problems]
        if parsed.value is None:
            continue
        new = parsed.value.value if text.strip() else None
        for marks in (keys, values, texts):
            for stale in [known for known in marks if known[: len(path)] == path]:
                del marks[stale]
        _put(value, path, new)
        keys[path] = values[path] = Place(label)
        for length in range(1, len(path)):
            keys.setdefault(path[:length], Place(label))
        texts |= {path + below: written for below, written in parsed.value.texts.items()}
    return Checked(YamlDocument(document.file, value, keys, values, texts), in_order(problems))


def _put(root: dict[str, Any], path: KeyPath, value: Any) -> None:
    """Sets one value, making mappings on the way; a scalar in the way gives way."""
    here = root
    for part in path[:-1]:
        if not isinstance(here.get(str(part)), dict):
            here[str(part)] = {}
        here = here[str(part)]
    here[str(path[-1])] = value


class _UnreadableError(Exception):
    """The rest of the text makes no sense."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__()


_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HIDDEN_IN_SCALAR = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _decoded(content: str | bytes, file: str) -> str | Problem:
    if len(content) > MAX_BYTES:
        return Problem(file, 0, 0, "", f"larger than {MAX_BYTES >> 10} KiB")
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8")
        return problem_at(_place_after(before, file), (), "not UTF-8 text")
    text = text.removeprefix("\ufeff")
    hidden = _UNPRINTABLE.search(text)
    if hidden:
        place = _place_after(text[: hidden.start()], file)
        return problem_at(place, (), f"a control character (U+{ord(hidden[0]):04X}) is not allowed")
    return text


def _place_after(before: str, file: str) -> Place:
    return Place(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


class _Composer:
    """Builds values from PyYAML's events; recursion is bounded by MAX_DEPTH."""

    def __init__(self, text: str, file: str) -> None:
        self._loader = yaml.SafeLoader(text)
        self._file = file
        self.keys: dict[KeyPath, Place] = {}
        self.values: dict[KeyPath, Place] = {}
        self.texts: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []

    def document(self) -> Any:
        """The value of the only document; {} where there is none."""
        self._next()
        first = self._next()
        if isinstance(first, yaml.StreamEndEvent):
            return {}
        value = self._node(self._next(), ())
        self._next()
        extra = self._next()
        if not isinstance(extra, yaml.StreamEndEvent):
            self._report(extra, (), "a second document begins here; one file holds one")
        return {} if value is None and self.texts.get(()) == "" else value

    def _next(self) -> yaml.Event:
        try:
            event: yaml.Event = self._loader.get_event()  # type: ignore[no-untyped-call]
            return event
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark or self._loader.get_mark()
            raise _UnreadableError(problem_at(self._place(mark), (), *_syntax_message(error))) from None
        except (yaml.YAMLError, ValueError, OverflowError):  # `"\UFFFFFFFF"`, `%YAML 1.<5000 digits>`
            place = self._place(self._loader.get_mark())
            raise _UnreadableError(problem_at(place, (), "not valid YAML")) from None

    def _place(self, mark: Any) -> Place:
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _report(self, event: yaml.Event, path: KeyPath, message: str, remedy: str = "") -> None:
        problem = problem_at(self._place(event.start_mark), path, message, remedy)
        if len(self.problems) >= MAX_PROBLEMS:
            raise _UnreadableError(replace(problem, path="", message="too many problems; the rest was not read"))
        self.problems.append(problem)

    def _node(self, event: yaml.Event, path: KeyPath) -> Any:
        if len(path) > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels"
            raise _UnreadableError(problem_at(self._place(event.start_mark), path[:1], message))
        self.values[path] = self._place(event.start_mark)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            self._report(event, path, _NO_ANCHORS, _QUOTE)
        elif getattr(event, "tag", None) is not None:
            self._report(event, path, "tags (!name) are not supported", _QUOTE)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        return self._scalar(event, path) if isinstance(event, yaml.ScalarEvent) else None

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None or event.tag is not None:
                self._report(event, path, "a key should be plain text")
                self._node(event, (*path, ""))
                self._node(self._next(), (*path, ""))
                continue
            key, place = str(event.value), self._place(event.start_mark)
            inner = (*path, key)
            first = self.keys.get(inner)
            if first is None:
                self.keys[inner] = place
                result[key] = self._node(self._next(), inner)
                continue
            kept = (self.keys, self.values, self.texts)
            self.keys, self.values, self.texts = {}, {}, {}
            value = self._node(self._next(), inner)
            blank = value is None and self.texts.get(inner) == ""
            self.keys, self.values, self.texts = kept
            # A key without a value may be the second half of an unquoted `{password: abc,def}`: it is not named.
            name = "duplicate key" if blank else f"duplicate key '{shown_key(key)}'"
            self._report(event, path if blank else inner, f"{name}, first at line {first.line}")
        return result

    def _list(self, path: KeyPath) -> list[Any]:
        result: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            inner = (*path, len(result))
            self.keys[inner] = self._place(event.start_mark)
            result.append(self._node(event, inner))
        return result

    def _scalar(self, event: yaml.ScalarEvent, path: KeyPath) -> Any:
        text = str(event.value)
        if _HIDDEN_IN_SCALAR.search(text):
            self._report(event, path, "the text holds a control character")
            return ""
        if event.style is not None:
            return text
        value = _plain(text)
        if not isinstance(value, str):
            self.texts[path] = text
        return value


_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {w: v for v, ws in ((True, "true True TRUE"), (False, "false False FALSE")) for w in ws.split()}
_INT = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,32}|[0-9]{1,32}(\.[0-9]{0,32})?)([eE][-+]?[0-9]{1,4})?", re.ASCII)
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")


def _plain(text: str) -> str | int | float | bool | None:
    """A plain scalar by the core schema of YAML 1.2 (10.3.2), without its octal and hexadecimal numbers."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinity := _INFINITY.fullmatch(text):
        return -math.inf if infinity[1] == "-" else math.inf
    return math.nan if text in {".nan", ".NaN", ".NAN"} else text


_SYNTAX = (
    (r"found character '\\t'", "a tab; YAML is indented with spaces", ""),
    (r"found character .* that cannot start any token", "a value cannot begin with this character", "quote it"),
    (r"mapping values are not allowed here", "a ':' too many, or wrong indentation", "quote a value that holds ': '"),
    (r"could not find expected ':'", "a key without ':'", "write 'key: value', with the space"),
    (r"expected <block end>", "wrong indentation, or a list item or text where a key should be", ""),
    (r"found unexpected end of stream", "the text ends inside a quotation", "close the quotes"),
    (r"expected ',' or '[\]}]'", "a list or mapping is not closed, or a ',' is missing", ""),
    (r"found unknown escape", "an unknown escape after '\\' in double quotes", "use single quotes"),
    (r"expected escape", "an unfinished escape after '\\' in double quotes", "use single quotes"),
    (r"found undefined tag handle", "tags (!name) are not supported", _QUOTE),
    (r"while scanning an? (anchor|alias)", _NO_ANCHORS, _QUOTE),
    (r"while scanning a block scalar", "a malformed block text after '|' or '>'", _QUOTE),
)


def _syntax_message(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    """Message and remedy in our words: PyYAML's own quote names and characters of the text."""
    for text in (error.problem or "", error.context or ""):
        for pattern, message, remedy in _SYNTAX:
            if re.match(pattern, text):
                return message, remedy
    return "not valid YAML", ""
