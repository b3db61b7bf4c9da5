"""Cameras as people name them: by name or by number, counted from 1. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.faults import known_word


def camera_named(word: object, names: Sequence[str]) -> str:
    """The camera's name.

    Args:
        word: a name, or a number as int or text; a name goes before a number.
        names: all there are.

    Raises:
        FaultError: no such camera; names the nearest there is.
    """
    text = str(word) if isinstance(word, int) and not isinstance(word, bool) else word
    if isinstance(text, str) and text not in names and text.isascii() and text.isdigit():
        number = int(text)
        if 1 <= number <= len(names):
            return names[number - 1]
    return known_word("camera", text, tuple(names))
