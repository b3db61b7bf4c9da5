"""What is typed for ``mosaicd bench``, as what it means. Raises typer.BadParameter, which names the option.

Light: what knows the engines is imported by the function that needs it.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar, get_args

import typer

if TYPE_CHECKING:
    from daemon.sharing import Way
    from inference.engine import DeviceKind, Precision

T = TypeVar("T", bound=str)

_FRACTION = re.compile(r"[01]?\.?[0-9]{1,6}", re.ASCII)


def device_of(text: str) -> "DeviceKind":
    from inference.engine import DeviceKind

    kinds: tuple[DeviceKind, ...] = get_args(DeviceKind)
    return words_of(text, kinds, "--device")[0]


def engines_of(text: str, device: "DeviceKind") -> list[str]:
    from inference.engines import ENGINES, Impossible, choose_engine, installed_engines

    installed = installed_engines()
    if text == "all":
        return [name for name in installed if device in ENGINES[name].precisions]
    chosen = [choose_engine(name, device, installed) for name in words_of(text, ("auto", *ENGINES), "--engine")]
    for choice in chosen:
        if isinstance(choice, Impossible):
            raise typer.BadParameter(choice.why, param_hint="--engine")
    return list(dict.fromkeys(choice.value for choice in chosen if not isinstance(choice, Impossible)))


def precisions_of(text: str, engines: Sequence[str], device: "DeviceKind") -> "list[Precision]":
    """Those asked for; "auto" is float32 and what the engines would take here."""
    from inference.engine import Precision
    from inference.engines import ENGINES, Impossible, choose_precision, cpu_flags

    if text == "auto":
        choices = [choose_precision("auto", engine, device, cpu_flags(), ()) for engine in engines]
        text = ",".join(("float32", *(item.value for item in choices if not isinstance(item, Impossible))))
    wanted: list[Precision] = words_of(text, get_args(Precision), "--precision")
    for precision in wanted:
        if not any(precision in ENGINES[engine].precisions[device] for engine in engines):
            why = f"{' and '.join(engines)} cannot do {precision} on a {device.upper()}"
            raise typer.BadParameter(why, param_hint="--precision")
    return wanted


def words_of(text: str, allowed: Sequence[T], option: str) -> list[T]:
    """The words between commas, each one of the allowed, each once."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in allowed:
            raise typer.BadParameter(f"{word!r} is none of {', '.join(allowed)}", param_hint=option)
    return [one for one in allowed if one in words]


def size_of(text: str, option: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return whole_of(width, option), whole_of(height, option)


def canvas_of(text: str, option: str) -> tuple[int, int]:
    """The size of a mosaic."""
    size_wh = size_of(text, option)
    if size_wh[0] % 2 or size_wh[1] % 2:
        raise typer.BadParameter(f"{text} has no four equal tiles", param_hint=option)
    return size_wh


def ways_of(text: str, option: str) -> "list[Way]":
    """Ways of sharing memory: all, growth, fraction, or numbers, which are fractions."""
    from daemon.quota import MemoryMode
    from daemon.sharing import Way

    ways = []
    for word in (word.strip() for word in text.split(",")):
        if word in tuple(MemoryMode):
            ways.append(Way(MemoryMode(word)))
        elif _FRACTION.fullmatch(word) and 0 < float(word) <= 1:
            ways.append(Way(MemoryMode.FRACTION, float(word)))
        else:
            why = f"{word!r} is none of {', '.join(MemoryMode)}, nor a fraction over 0 and at most 1"
            raise typer.BadParameter(why, param_hint=option)
    return list(dict.fromkeys(ways))


def whole_of(text: str, option: str) -> int:
    if not text.strip().isdecimal() or not 1 <= int(text) <= 16384:
        raise typer.BadParameter(f"{text!r} is no number from 1 to 16384", param_hint=option)
    return int(text)
