"""A schedule of faults: text in YAML to entries, entries to an endless line of what happens when. Pure.

    - {at_s: 10, camera: cam-03, kind: hang, for_s: 20}
    - {at_s: 30, every_s: 60, cameras: [cam-01, 2], kind: loss, ratio: 0.1, for_s: 5}
    - {at_s: 5, camera: all, kind: close}
    - random: {seed: 1, rate_hz: 1, for_s: 10, kinds: [hang, freeze, {kind: loss, ratio: 0.2}]}

Times count from the server's start. A camera has one fault at a time: the next takes the place of the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import count
from random import Random
from typing import Annotated, Any, Final

import yaml
from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import replace

from simulator.errors import SimulatorError
from simulator.faults import Delay, Fault, FaultError, Seconds, Seed, Switch, known_word, read_fault
from simulator.names import camera_named

RANDOM_KINDS: Final = (
    *("silent", "hang", "close", "drip", "unauthorized", "not_found", "not_video", "loss", "reorder", "jitter"),
    *("corrupt", "freeze", "black", "blind", "switch", "jump", "wrap", "fast", "pause", "flood"),
)
"""What chance draws unless told otherwise: all but `refuse`, which needs a port for each camera, and `redirect`, which
needs a place to go. A `switch` without `to` goes to a camera drawn by chance."""

_WHEN: Final = ("at_s", "every_s", "camera", "cameras")
_ALL: Final = "all"


class ScheduleError(SimulatorError):
    """A schedule cannot be read; says where, and the nearest that can be."""


@dataclass(frozen=True, slots=True)
class Happening:
    """A camera gets a fault.

    Attributes:
        at_s: seconds after the server's start.
        camera: its name.
        fault: what is wrong from then on.
    """

    at_s: float
    camera: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault at a time, once or again and again.

    Attributes:
        at_s: the first time.
        every_s: from one time to the next; None for once.
        cameras: names.
        fault: what is wrong.
    """

    at_s: float
    every_s: float | None
    cameras: tuple[str, ...]
    fault: Fault

    def happenings(self) -> Iterator[Happening]:
        """In the order of time."""
        for turn in count() if self.every_s else (0,):
            for camera in self.cameras:
                yield Happening(self.at_s + turn * (self.every_s or 0.0), camera, self.fault)


@dataclass(frozen=True, slots=True)
class Chance:
    """Faults by chance, one at a time.

    Attributes:
        at_s: when the first comes.
        rate_hz: faults a second, over all the cameras, evenly.
        seed: of the draws.
        cameras: names of those that are hit.
        faults: those that are drawn; each as likely.
        others: names of all cameras, among which a `Switch` to nowhere finds its own.
    """

    at_s: float
    rate_hz: float
    seed: int
    cameras: tuple[str, ...]
    faults: tuple[Fault, ...]
    others: tuple[str, ...]

    def happenings(self) -> Iterator[Happening]:
        """In the order of time; the same for the same seed."""
        random = Random(self.seed)
        for turn in count():
            camera, fault = random.choice(self.cameras), random.choice(self.faults)
            if isinstance(fault, Switch) and not fault.to:
                fault = replace(fault, to=random.choice(self.others))
            yield Happening(self.at_s + turn / self.rate_hz, camera, fault)


Entry = Planned | Chance


class _When(Struct, frozen=True, forbid_unknown_fields=True):
    at_s: Delay = 0.0
    every_s: Seconds | None = None


class _Random(Struct, frozen=True, forbid_unknown_fields=True):
    rate_hz: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    seed: Seed = 0
    for_s: Seconds | None = 10.0
    kinds: tuple[Any, ...] = RANDOM_KINDS


def read_schedule(name: str, text: str, cameras: Sequence[str]) -> tuple[Entry, ...]:
    """Reads a schedule.

    Args:
        name: the file's, for messages.
        text: YAML.
        cameras: names of all cameras, in the order of their numbers.

    Raises:
        ScheduleError: no YAML, no list, or the first entry that makes no sense.
    """
    try:
        entries = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).split()) if isinstance(error, yaml.YAMLError) else "nested too deeply"
        raise ScheduleError(f"{name}: no YAML: {said}") from None
    if not isinstance(entries, list):
        raise ScheduleError(f"{name}: should be a list, such as: - {{at_s: 10, camera: all, kind: hang, for_s: 20}}")
    read: list[Entry] = []
    for number, fields in enumerate(entries, start=1):
        try:
            read.append(_read_entry(fields, tuple(cameras)))
        except FaultError as error:
            raise ScheduleError(f"{name}: entry {number}: {error}") from None
    return tuple(read)


def happenings(entries: Sequence[Entry]) -> Iterator[Happening]:
    """What happens, in the order of time; perhaps without end."""
    return merge(*(entry.happenings() for entry in entries), key=lambda happening: happening.at_s)


def possibilities(entry: Entry) -> Iterator[tuple[str, Fault]]:
    """Every camera and fault that an entry may bring together, so that they can be tried beforehand."""
    for fault in (entry.fault,) if isinstance(entry, Planned) else entry.faults:
        for camera in entry.cameras:
            to = entry.others[0] if isinstance(entry, Chance) else ""
            yield camera, replace(fault, to=to) if isinstance(fault, Switch) and not fault.to else fault


def _read_entry(fields: object, names: tuple[str, ...]) -> Entry:
    if not isinstance(fields, dict):
        raise FaultError(f"should be a mapping with a kind, is {type(fields).__name__}")
    when = _converted({name: fields[name] for name in ("at_s", "every_s") if name in fields}, _When, "")
    if "random" in fields:
        for name in fields:
            known_word("field beside random", name, ("at_s", "camera", "cameras", "random"))
        return _read_chance(when.at_s, fields, names)
    rest = {name: value for name, value in fields.items() if name not in _WHEN}
    return Planned(when.at_s, when.every_s, _cameras(fields, names), read_fault(rest, beside=_WHEN))


def _read_chance(at_s: float, fields: Mapping[str, Any], names: tuple[str, ...]) -> Chance:
    given = fields["random"] or {}
    if not isinstance(given, dict):
        raise FaultError("random: should be a mapping, such as {seed: 1, rate_hz: 1, for_s: 10}")
    for name in given:
        known_word("field of random", name, _Random.__struct_fields__)
    random = _converted(given, _Random, "random: ")
    faults = tuple(_drawn(kind, random.for_s) for kind in random.kinds)
    if not faults:
        raise FaultError("random: kinds: names none; leave it out for all")
    cameras = _cameras({"camera": _ALL, **fields} if "cameras" not in fields else fields, names)
    return Chance(at_s, random.rate_hz, random.seed, cameras, faults, names)


def _drawn(kind: object, for_s: float | None) -> Fault:
    fields = dict(kind) if isinstance(kind, dict) else {"kind": kind}
    if fields.get("kind") == "switch":
        fields.setdefault("to", "")
    return read_fault({"for_s": for_s, **fields})


def _cameras(fields: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    if ("camera" in fields) == ("cameras" in fields):
        raise FaultError("needs either camera (a name, a number or all) or cameras (a list)")
    if fields.get("camera") == _ALL or fields.get("cameras") == _ALL:
        return names
    asked = fields["cameras"] if "cameras" in fields else [fields["camera"]]
    if not isinstance(asked, list) or not asked:
        raise FaultError("cameras: should be a list of names or numbers, or all")
    return tuple(dict.fromkeys(camera_named(word, names) for word in asked))


def _converted(fields: Mapping[str, Any], kind: type[Any], where: str) -> Any:
    try:
        return convert(fields, kind)
    except ValidationError as error:
        raise FaultError(f"{where}{error}") from None
