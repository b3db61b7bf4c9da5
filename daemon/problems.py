"""What is wrong with a settings or roster file, said so that its owner can mend it.

Owns the sentence ("file:line:column: path: message"), the order of many, the nearest-key suggestion, and the
translation of pydantic's errors. It must not know which keys exist, and never repeats a value: the value at fault may
be a password. Keys are repeated only as far as they look like keys, because `{password:hunter2}` is one long key.
Pure.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")

KeyPath = tuple[str | int, ...]
"""Where a value lies in a document: keys, and indices of lists."""

MAX_PROBLEMS = 100
"""More than this in one file is noise; also bounds the time spent on hostile files."""


class Severity(StrEnum):
    """Whether the daemon can run with it."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file. Line and column count from 1, in characters; line 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in one place. Every text in it is printable and holds no value from the file.

    Ordered by file, then position. `remedy` says what the operator can do, where the message alone does not.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    remedy: str = ""
    severity: Severity = Severity.ERROR

    def __post_init__(self) -> None:
        for name in ("file", "path", "message", "remedy"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        parts = [where, "warning"] if self.severity is Severity.WARNING else [where]
        parts += [self.path, self.message] if self.path else [self.message]
        return ": ".join(parts) + (f" ({self.remedy})" if self.remedy else "")


def problem_at(
    place: Place, path: KeyPath, message: str, remedy: str = "", severity: Severity = Severity.ERROR
) -> Problem:
    """The problem at `place`, its path written with dots."""
    return Problem(place.file, place.line, place.column, dotted(path), message, remedy, severity)


class ConfigError(Exception):
    """Settings or roster cannot be used. `problems` are all that were found, sorted, at least one an error."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Checked(Generic[T_co]):
    """What came of reading something: the value, or None where an error stands in the way; problems, sorted."""

    value: T_co | None = field(repr=False)
    problems: tuple[Problem, ...] = ()

    def then(self, step: Callable[[T_co], "Checked[U]"]) -> "Checked[U]":
        """The outcome of `step` on the value, with the problems of both; nothing is tried without a value."""
        if self.value is None:
            return Checked(None, self.problems)
        outcome = step(self.value)
        return Checked(outcome.value, in_order([*self.problems, *outcome.problems]))

    def if_valid(self) -> "Checked[T_co]":
        """The same, without the value if one of the problems is an error."""
        return Checked(None, self.problems) if has_errors(self.problems) else self

    def require(self) -> T_co:
        """The value; raises ConfigError with all problems where there is none."""
        if self.value is None or has_errors(self.problems):
            raise ConfigError(self.problems)
        return self.value


def has_errors(problems: Iterable[Problem]) -> bool:
    """Whether one of them keeps the daemon from using the files (warnings do not)."""
    return any(problem.severity is Severity.ERROR for problem in problems)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sorted by place, each said once."""
    return tuple(sorted(set(problems)))


def printable(text: str, limit: int = 600) -> str:
    """`text` on one line, without terminal escapes, bidirectional overrides or lone surrogates, and not endless."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def dotted(path: KeyPath) -> str:
    """`("cameras", "gate", "labels", 0)` as `cameras.gate.labels[0]`; keys shown as `shown_key` allows."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{shown_key(part)}" if text else shown_key(part)
    return text


def shown_key(key: str) -> str:
    """As much of a key as looks like one; the rest might be a value whose separator was forgotten."""
    head = re.match(r"[A-Za-z0-9_-]{0,63}", key, re.ASCII)
    assert head is not None
    return head[0] if head[0] == key else head[0] + "…"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, or None if none is much like it."""
    matches = difflib.get_close_matches(word[:64].lower(), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'username'?`, or nothing."""
    near = nearest(word, known)
    return f", did you mean '{near}'?" if near else ""


class Places(Protocol):
    """What `from_pydantic` must know of a document: where its keys and values stand, which have no value."""

    def key_place(self, path: KeyPath) -> Place:
        """Where the key stands, or the nearest thing around it that stands somewhere."""

    def value_place(self, path: KeyPath) -> Place:
        """Where the value begins, or the nearest thing around it that stands somewhere."""

    def is_blank(self, path: KeyPath) -> bool:
        """Whether a key stands there without a value."""


_MESSAGES = {
    "string_type": "should be text",
    "float_type": "should be a number",
    "int_type": "should be a whole number",
    "bool_type": "should be true or false",
    "model_type": "should be a mapping (key: value)",
    "dict_type": "should be a mapping (key: value)",
    "mapping_type": "should be a mapping (key: value)",
    "tuple_type": "should be a list",
}
_KINDS: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a decimal number",
    list: "a list",
    dict: "a mapping",
    type(None): "empty",
}


def from_pydantic(error: ValidationError, model: type[BaseModel], places: Places) -> tuple[Problem, ...]:
    """What pydantic found in a document that should have been `model`. A validator of ours may put into its error's
    context `at` (a key path below the value) and `remedy`."""
    details = error.errors(include_url=False)
    return tuple(_translated(item, model, places) for item in details[:MAX_PROBLEMS])


def error_path(item: ErrorDetails) -> KeyPath:
    """The path of the value at fault; pydantic's mark for "the key itself" is no part of it."""
    return tuple(part for part in item["loc"] if part != "[key]")


def _translated(item: ErrorDetails, model: type[BaseModel], places: Places) -> Problem:
    path, kind, context = error_path(item), item["type"], item.get("ctx", {})
    if kind == "missing":
        return problem_at(places.key_place(path[:-1]), path, f"missing key '{path[-1]}'")
    if kind == "extra_forbidden":
        return _unknown(path, model, places)
    if item["loc"][-1:] == ("[key]",):
        return problem_at(places.key_place(path), path, item["msg"], context.get("remedy", ""))
    message = _MESSAGES.get(kind, item["msg"].removeprefix("Input "))
    if kind in _MESSAGES:
        message += f", not {_KINDS.get(type(item['input']), 'this')}"
    at = path + tuple(context.get("at", ()))
    return problem_at(places.value_place(at), at, message, context.get("remedy", ""))


def _unknown(path: KeyPath, model: type[BaseModel], places: Places) -> Problem:
    key, parent = str(path[-1]), path[:-1]
    known = _known_keys(model, parent)
    place = places.key_place(path)
    if places.is_blank(path):  # `{password: abc,def}`: here "def" is a key without a value, and half a password
        return problem_at(place, parent, "unknown key without a value", "quote a value that holds ',' or '}'")
    message = f"unknown key '{shown_key(key)}'" + did_you_mean(key, known)
    remedy = ""
    if shown_key(key) != key:
        remedy = "is a space missing after ':'?"
    elif not nearest(key, known):
        elsewhere = next((p for p in _all_paths(model) if p[-1] == key), None)
        remedy = f"it belongs under '{'.'.join(elsewhere[:-1])}'" if elsewhere and len(elsewhere) > 1 else ""
        remedy = remedy or ("known here: " + ", ".join(known) if known else "")
    return problem_at(place, path, message, remedy)


def _known_keys(model: type[BaseModel], path: KeyPath) -> Sequence[str]:
    """The keys allowed at `path` of `model`."""
    here: type[BaseModel] | None = model
    parts = iter(path)
    for part in parts:
        if here is None or part not in here.model_fields:
            return ()
        annotation = here.model_fields[str(part)].annotation
        if _is_mapping(annotation):
            next(parts, None)
        here = next(_models_in(annotation), None)
    return tuple(here.model_fields) if here else ()


def _all_paths(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, info in model.model_fields.items():
        yield (*prefix, name)
        if not _is_mapping(info.annotation):
            for inner in _models_in(info.annotation):
                yield from _all_paths(inner, (*prefix, name))


def _is_mapping(annotation: object) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
