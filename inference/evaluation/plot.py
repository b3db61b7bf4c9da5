"""Draws lines over whole numbers, with OpenCV: it is a dependency already, and one plot is no reason for another.

Pure, but for `cv2`'s drawing into arrays made here.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Lines = Mapping[str, Mapping[int, float]]

_SIZE_WH: Final = (960, 600)
_FINE: Final = 3
"""Drawn so many times as large, then averaged: OpenCV's letters are thin strokes."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 60, 730, 530
_INK, _GRID = (51, 51, 51), (225, 225, 225)
_COLOURS: Final = ((180, 119, 31), (14, 127, 255), (44, 160, 44), (189, 103, 148), (75, 86, 140))
"""BGR; distinct in grey too, and each line has its own marker."""
_MARKERS: Final = (cv2.MARKER_DIAMOND, cv2.MARKER_SQUARE, cv2.MARKER_TRIANGLE_UP, cv2.MARKER_CROSS, cv2.MARKER_STAR)


def draw(lines: Lines, title: str, x_title: str, y_title: str) -> Picture:
    """uint8 (600, 960, 3) BGR: each line by name, whole numbers to right, values of at least 0 upwards.

    Raises ValueError where there is no point at all.
    """
    numbers = sorted({number for line in lines.values() for number in line})
    if not numbers:
        raise ValueError("nothing to draw")
    top = _round_up(max(value for line in lines.values() for value in line.values()))
    picture: Picture = np.full((_SIZE_WH[1] * _FINE, _SIZE_WH[0] * _FINE, 3), 255, np.uint8)

    def at(number: int, value: float) -> tuple[int, int]:
        step = (number - numbers[0] + 0.5) / (numbers[-1] - numbers[0] + 1)
        return round(_LEFT + step * (_RIGHT - _LEFT)), round(_BOTTOM - value / top * (_BOTTOM - _TOP))

    for part in range(5):
        value = top * part / 4
        _line(picture, (_LEFT, at(numbers[0], value)[1]), (_RIGHT, at(numbers[0], value)[1]), _GRID, 1)
        _text(picture, f"{value:.4g}", (_LEFT - 8, at(numbers[0], value)[1] + 5), right=True)
    for number in range(numbers[0], numbers[-1] + 1):
        _text(picture, str(number), (at(number, 0)[0] - 5, _BOTTOM + 22))
    for place, (name, line) in enumerate(lines.items()):
        colour, marker = _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]
        points = [at(number, line[number]) for number in sorted(line)]
        for start, end in pairwise(points):
            _line(picture, start, end, colour, 2)
        for point in points:
            _mark(picture, point, colour, marker)
        legend = (_RIGHT + 25, _TOP + 20 + 24 * place)
        _mark(picture, legend, colour, marker)
        _text(picture, name, (legend[0] + 16, legend[1] + 5))
    _text(picture, title, (_LEFT, 32), size=0.65)
    _text(picture, y_title, (_LEFT, _TOP - 12))
    _text(picture, x_title, (_RIGHT, _BOTTOM + 48), right=True)
    smooth: Picture = cv2.resize(picture, _SIZE_WH, interpolation=cv2.INTER_AREA)
    return smooth


def png(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    done, content = cv2.imencode(".png", picture)
    assert done, "an array of this kind can always be encoded"
    return bytes(content)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 10 and so on: their quarters are short to write."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 4, 5, 10) if step * power >= value))


def _fine(point: tuple[int, int]) -> tuple[int, int]:
    return point[0] * _FINE, point[1] * _FINE


def _line(
    picture: Picture, start: tuple[int, int], end: tuple[int, int], colour: tuple[int, int, int], width: int
) -> None:
    cv2.line(picture, _fine(start), _fine(end), colour, width * _FINE, cv2.LINE_AA)


def _mark(picture: Picture, at: tuple[int, int], colour: tuple[int, int, int], marker: int) -> None:
    cv2.drawMarker(picture, _fine(at), colour, marker, 10 * _FINE, 2 * _FINE, cv2.LINE_AA)


def _text(picture: Picture, text: str, at: tuple[int, int], *, size: float = 0.5, right: bool = False) -> None:
    font, scale, width = cv2.FONT_HERSHEY_SIMPLEX, size * _FINE, _FINE
    x, y = _fine(at)
    if right:
        x -= cv2.getTextSize(text, font, scale, width)[0][0]
    cv2.putText(picture, text, (x, y), font, scale, _INK, width, cv2.LINE_AA)
