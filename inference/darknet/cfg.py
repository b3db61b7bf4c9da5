"""Reads the text of a Darknet `.cfg` file into sections that remember their lines.

Knows the form of the file only: `[section]` headers, `key=value` options, whole-line comments. What the sections mean
is `network`'s business. The text may be hostile: everything is bounded, and whatever is wrong becomes a `CfgError`.
Pure.

The form is that of Darknet's own reader (`read_cfg` and `option_find` in parser.c and option_list.c): blanks may stand
anywhere in a line, `#` and `;` begin a comment line. Where Darknet guesses (a line without `=`, `12abc` read as 12, the
first of two options of one name), this reader refuses, except that it ignores a repeated `[net]` option, which
published files have (yolov3-openimages.cfg gives `batch` twice): there, as in Darknet, the first one counts.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 1 << 20
"""The longest published file (yolov4-p6) has 45 kB."""
MAX_SECTIONS: Final = 2000
MAX_LIST: Final = 256
"""The most values one option may list."""

_HEADER = re.compile(r"\[([A-Za-z0-9_]{1,40})\]")
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?")
_SHOWN = 60


class CfgError(Exception):
    """A cfg that cannot be used. `line` is counted from 1; 0 where no line is to blame."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        where = f"{path}:{line}" if line else f"{path}"
        super().__init__(f"{where}: {message}")
        self.path = path
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Option:
    """One `key=value` line, blanks removed."""

    key: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Section:
    """One `[name]` and its options, in the file's order. The readers raise CfgError naming file, line and section."""

    name: str
    line: int
    options: tuple[Option, ...]
    path: Path

    def option(self, key: str) -> Option | None:
        """The first option of that name, as in Darknet."""
        return next((option for option in self.options if option.key == key), None)

    def error(self, message: str, key: str | None = None) -> CfgError:
        """A CfgError at the option `key`, or at the section's header where it has none."""
        option = self.option(key) if key else None
        return CfgError(self.path, option.line if option else self.line, f"[{self.name}] {message}")

    def text(self, key: str, default: str) -> str:
        """The option as it stands in the file."""
        option = self.option(key)
        return option.value if option else default

    def integer(self, key: str, default: int, least: int, most: int) -> int:
        """The option as an integer in `least..most`, or `default` where it is absent."""
        option = self.option(key)
        if option is None:
            return default
        return self._integer(option, option.value, least, most)

    def integers(self, key: str, least: int, most: int) -> tuple[int, ...]:
        """The option as a list of integers in `least..most`; empty where it is absent."""
        option = self.option(key)
        if option is None:
            return ()
        return tuple(self._integer(option, item, least, most) for item in self._items(option))

    def number(self, key: str, default: float, least: float, most: float) -> float:
        """The option as a finite number in `least..most`, or `default` where it is absent."""
        option = self.option(key)
        if option is None:
            return default
        return self._number(option, option.value, least, most)

    def numbers(self, key: str, least: float, most: float) -> tuple[float, ...]:
        """The option as a list of finite numbers in `least..most`; empty where it is absent."""
        option = self.option(key)
        if option is None:
            return ()
        return tuple(self._number(option, item, least, most) for item in self._items(option))

    def _items(self, option: Option) -> list[str]:
        items = option.value.removesuffix(",").split(",")
        if len(items) > MAX_LIST:
            raise self.error(f"{option.key} lists {len(items)} values, {MAX_LIST} at most are read", option.key)
        return items

    def _integer(self, option: Option, text: str, least: int, most: int) -> int:
        if not _INTEGER.fullmatch(text):
            raise self.error(f"{option.key}={_shown(option.value)}: {_shown(text)} is not an integer", option.key)
        value = int(text)
        if not least <= value <= most:
            raise self.error(f"{option.key}={value} is outside {least} to {most}", option.key)
        return value

    def _number(self, option: Option, text: str, least: float, most: float) -> float:
        if not _NUMBER.fullmatch(text):
            raise self.error(f"{option.key}={_shown(option.value)}: {_shown(text)} is not a number", option.key)
        value = float(text)
        if not (math.isfinite(value) and least <= value <= most):
            raise self.error(f"{option.key}={_shown(text)} is outside {least:g} to {most:g}", option.key)
        return value


def parse_cfg(text: str, path: Path) -> tuple[Section, ...]:
    """The sections of a cfg text; the first is `[net]` (or its old name `[network]`). `path` only names it in errors.

    Raises CfgError.
    """
    if len(text) > MAX_BYTES:
        raise CfgError(path, 0, f"{len(text)} characters: no Darknet cfg is longer than {MAX_BYTES}")
    sections: list[Section] = []
    header: tuple[str, int] | None = None
    options: list[Option] = []
    # Not splitlines(): that also breaks at form feeds and Unicode separators, which would shift the line numbers.
    for line, raw in enumerate(text.split("\n"), start=1):
        content = "".join(raw.split())
        if not content or content[0] in "#;":
            continue
        if content[0] == "[":
            if header:
                sections.append(_section(header, options, path))
            header, options = (_header(content, line, path), line), []
            if len(sections) >= MAX_SECTIONS:
                raise CfgError(path, line, f"more than {MAX_SECTIONS} sections")
            continue
        if header is None:
            raise CfgError(path, line, f"{_shown(content)} stands before the first [section]")
        options.append(_option(content, line, path))
    if header is None:
        raise CfgError(path, 0, "no [section] at all: this is not a Darknet cfg")
    sections.append(_section(header, options, path))
    if sections[0].name not in ("net", "network"):
        raise CfgError(path, sections[0].line, f"the first section is [{sections[0].name}], it must be [net]")
    return tuple(sections)


def read_cfg(path: Path) -> tuple[Section, ...]:
    """`parse_cfg` of a file. Raises CfgError, and OSError where the file cannot be read."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise CfgError(path, 0, f"over {MAX_BYTES} bytes: no Darknet cfg is that long (is this another file?)")
    # Comments come in any encoding; an option that is not ASCII is refused by whoever reads it.
    return parse_cfg(content.decode("utf-8", errors="replace"), path)


def _header(content: str, line: int, path: Path) -> str:
    match = _HEADER.fullmatch(content)
    if not match:
        raise CfgError(path, line, f"{_shown(content)} is not a [section]")
    return match[1]


def _option(content: str, line: int, path: Path) -> Option:
    key, equals, value = content.partition("=")
    if not equals or not key or not value:
        raise CfgError(path, line, f"{_shown(content)} is not key=value")
    return Option(key, value, line)


def _section(header: tuple[str, int], options: list[Option], path: Path) -> Section:
    name, line = header
    section = Section(name, line, tuple(options), path)
    if name not in ("net", "network"):
        first: dict[str, int] = {}
        for option in options:
            if option.key in first:
                message = f"[{name}] {_shown(option.key)} stands twice, first on line {first[option.key]}"
                raise CfgError(path, option.line, message)
            first[option.key] = option.line
    return section


def _shown(text: str) -> str:
    """Foreign text for an error message: printable and short."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
