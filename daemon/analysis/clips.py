"""Files of recorded footage: whose they are, when they begin, and the parts in which they are looked at. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import chain, pairwise, zip_longest
from pathlib import Path

from capture.lookmessages import Cut, Facts
from daemon.rosterfile import NAME_PATTERN

OVERLAP_S = 2.0
"""Files of one camera may overlap by so much: dates of files are no better than that."""
_NAME = re.compile(NAME_PATTERN.strip("^$"), re.ASCII)


class NamingError(Exception):
    """The command line names something that is not clear; the message says what."""


class Origin(StrEnum):
    """Where the wall clock of a file's first picture is from."""

    GIVEN = "given"
    METADATA = "in the file"
    DATE = "file's date"
    """When it was last written, less its length."""
    FOLLOWS = "follows"
    """It goes on where the camera's file before ends."""


@dataclass(frozen=True, slots=True)
class Given:
    """A file as it was named."""

    camera: str
    path: Path
    starts_at: float | None = None
    """Wall clock."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A file that can be looked at."""

    number: int
    """In the order of the command line."""
    camera: str
    path: Path
    facts: Facts
    starts_at: float
    """Wall clock of its first picture."""
    origin: Origin
    first_part: int = 0
    """The number of its first part; the others count on."""

    @property
    def ends_at(self) -> float:
        """When it ends, as far as its length is known."""
        return self.starts_at + self.facts.duration_s

    @property
    def parts(self) -> range:
        """The numbers of its parts."""
        return range(self.first_part, self.first_part + len(self.facts.cuts) + 1)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file."""

    number: int
    clip: Clip = field(repr=False)
    cut: Cut | None
    until: int | None

    @property
    def begins_s(self) -> float:
        """Where in the file, about."""
        return self.cut.seek_s if self.cut else 0.0


def given(files: Sequence[str], starts: Sequence[str]) -> list[Given]:
    """Return what ``[CAMERA=]FILE`` and ``[CAMERA=]TIME`` name. Raises NamingError."""
    times = dict(_start(text) for text in starts)
    found: list[Given] = []
    unnamed: dict[str, Path] = {}
    for text in files:
        name, equals, rest = text.partition("=")
        if equals and _NAME.fullmatch(name) and rest:
            camera, path = name, Path(rest)
        else:
            path = Path(text)
            camera = name_of(path)
            if camera in unnamed or any(each.camera == camera for each in found):
                other = unnamed.get(camera) or next(each.path for each in found if each.camera == camera)
                raise NamingError(f"{other} and {path} would both be camera '{camera}': say whose it is, NAME={path}")
            unnamed[camera] = path
        found.append(Given(camera, path, times.get(camera, times.get(""))))
    if strange := sorted(times.keys() - {each.camera for each in found} - {""}):
        raise NamingError(f"--start names '{strange[0]}', of which there is no file")
    return found


def name_of(path: Path) -> str:
    """Return a camera's name made of a file's. Raises NamingError where there is nothing in it to make one of."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_")[:63]
    if not name:
        raise NamingError(f"{path}: say whose it is, NAME={path}")
    return name


def time_of(text: str) -> float:
    """Return the wall clock that is written; without a zone it is this machine's. Raises NamingError."""
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError) as error:
        raise NamingError(f"'{text}' is no time such as 2026-11-30T02:00:00 or 2026-11-30T02:00:00Z") from error


def clips_of(files: Sequence[Given], facts: Sequence[Facts], written_at: Sequence[float]) -> tuple[Clip, ...]:
    """Return the files with their times, those of one camera in the order of time; ``written_at`` is each file's date.

    Of several files of one camera the first begins at the time that was given, and the others follow.
    """
    clips: list[Clip] = []
    ends: dict[str, float] = {}
    for number, (file, fact, at) in enumerate(zip(files, facts, written_at, strict=True)):
        if file.starts_at is not None and file.camera in ends:
            starts_at, origin = ends[file.camera], Origin.FOLLOWS
        elif file.starts_at is not None:
            starts_at, origin = file.starts_at, Origin.GIVEN
        elif fact.created_at is not None:
            starts_at, origin = fact.created_at, Origin.METADATA
        else:
            starts_at, origin = at - fact.duration_s, Origin.DATE
        ends[file.camera] = starts_at + fact.duration_s
        clips.append(Clip(number, file.camera, file.path, fact, starts_at, origin))
    numbered: list[Clip] = []
    for clip in sorted(clips, key=lambda each: (each.camera, each.starts_at, each.number)):
        first = numbered[-1].parts.stop if numbered else 0
        numbered.append(
            Clip(clip.number, clip.camera, clip.path, clip.facts, clip.starts_at, clip.origin, first_part=first)
        )
    return tuple(numbered)


def by_camera(clips: Sequence[Clip]) -> Mapping[str, tuple[Clip, ...]]:
    """Return each camera's files, in the order of time."""
    return {name: tuple(c for c in clips if c.camera == name) for name in dict.fromkeys(c.camera for c in clips)}


def overlaps(clips: Sequence[Clip]) -> list[str]:
    """Return a sentence for each file that begins while its camera's file before still goes on."""
    said = []
    for mine in by_camera(clips).values():
        for before, clip in pairwise(mine):
            if (over_s := before.ends_at - clip.starts_at) > OVERLAP_S:
                said.append(
                    f"{clip.camera}: {clip.path} begins {over_s:.0f} s before {before.path} ends, so as much of it is "
                    "left out; --start says when it was"
                )
    return said


def parts_of(clips: Sequence[Clip]) -> list[Part]:
    """Return all parts in the order in which they are looked at: of all files by turns."""
    of_each = [
        [
            Part(number, clip, cut, following.window if following else None)
            for number, cut, following in zip(
                clip.parts, (None, *clip.facts.cuts), (*clip.facts.cuts, None), strict=True
            )
        ]
        for clip in clips
    ]
    return [part for part in chain.from_iterable(zip_longest(*of_each)) if part is not None]


def _start(text: str) -> tuple[str, float]:
    name, equals, rest = text.partition("=")
    return (name, time_of(rest)) if equals else ("", time_of(text))
