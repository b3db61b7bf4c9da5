"""Mosaics for people to look at: boxes and labels drawn on a canvas, as JPEG, while somebody looks and no more often.

Here, because whoever answers a mosaic has canvas and boxes at hand. OpenCV is loaded for the first picture.
"""

import fcntl
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.layout import to_canvas
from capture.messages import TileAnswer
from capture.slot import CanvasHeader

EVERY_S = 0.45
"""A little less than the live page waits between two: of two canvases a second each is drawn."""
QUALITY = 80
_COLOURS = ((80, 175, 76), (54, 67, 244), (243, 150, 33), (0, 152, 255), (176, 39, 156), (212, 188, 0), (99, 30, 233))
"""Of labels, blue, green, red."""
_INK = (255, 255, 255)
_SCALE = 0.35
"""Of the font."""

Pixels = npt.NDArray[np.uint8]


@dataclass(slots=True)
class Painter:
    """What is wanted of one worker. Its thread alone uses it."""

    wanted: frozenset[str] = frozenset()
    """Mosaics that somebody looks at now."""
    _painted_s: dict[str, float] = field(default_factory=dict)
    _last: dict[str, dict[str, TileAnswer]] = field(default_factory=dict)
    """By mosaic and camera, the answer that was painted last: a tile that shows the same frame keeps its boxes."""

    def watch(self, mosaics: Iterable[str]) -> None:
        """Paint these from now on, and no others."""
        self.wanted = frozenset(mosaics)
        self._painted_s = {mosaic: at for mosaic, at in self._painted_s.items() if mosaic in self.wanted}
        self._last = {mosaic: answers for mosaic, answers in self._last.items() if mosaic in self.wanted}

    def paint(
        self, mosaic: str, pixels: Pixels, header: CanvasHeader, answers: tuple[TileAnswer, ...], now_s: float
    ) -> bytes | None:
        """Return a picture of this canvas, uint8 RGB (h, w, 3), if one is wanted and due."""
        if mosaic not in self.wanted:
            return None
        last = self._last.setdefault(mosaic, {})
        last.update({answer.camera: answer for answer in answers})
        if now_s - self._painted_s.get(mosaic, 0.0) < EVERY_S:
            return None
        self._painted_s[mosaic] = now_s
        return draw(pixels, header, [last[tile.camera] for tile in header.tiles if tile and tile.camera in last])


def draw(pixels: Pixels, header: CanvasHeader, answers: Iterable[TileAnswer]) -> bytes:
    """Return a JPEG of the canvas with a box for each sighting on a frame that it shows, labelled where there is room.

    The surest is written first; one that would cover another is left out.
    """
    import cv2

    picture = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    tiles = {(tile.camera, tile.composed_number): tile for tile in header.tiles if tile}
    for answer in answers:
        tile = tiles.get((answer.camera, answer.composed_number))
        if tile is None or not answer.sightings:
            continue
        seen = sorted(answer.sightings, key=lambda sighting: sighting.score, reverse=True)
        boxes = np.array([sighting.box for sighting in seen], np.float32)
        placed = to_canvas(boxes, tile.content, answer.source_wh).round().astype(int).tolist()
        for sighting, (x1, y1, x2, y2) in zip(reversed(seen), reversed(placed), strict=True):
            cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), _colour(sighting.label), 1)
        written: list[Label] = []
        for sighting, (x1, y1, _, _) in zip(seen, placed, strict=True):
            label = _label(cv2, f"{sighting.label} {sighting.score:.0%}", (x1, max(y1, tile.content.y + 11)))
            if not any(map(label.covers, written)):
                written.append(label)
                _write(cv2, picture, label, _colour(sighting.label))
    done, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise RuntimeError("OpenCV does not encode this picture")
    return bytes(content)


@dataclass(frozen=True, slots=True)
class Label:
    """Words on a picture; their ground reaches from the upper left corner to the lower right one, exclusive."""

    text: str
    x1: int
    y1: int
    x2: int
    y2: int

    def covers(self, other: "Label") -> bool:
        """Return whether both have a pixel in common."""
        return self.x1 < other.x2 and other.x1 < self.x2 and self.y1 < other.y2 and other.y1 < self.y2


def _colour(label: str) -> tuple[int, int, int]:
    return _COLOURS[sum(label.encode()) % len(_COLOURS)]


def _label(cv2: Any, text: str, at: tuple[int, int]) -> Label:
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _SCALE, 1)
    return Label(text, at[0], at[1] - height - 3, at[0] + width + 3, at[1] + 1)


def _write(cv2: Any, picture: Pixels, label: Label, colour: tuple[int, int, int]) -> None:
    cv2.rectangle(picture, (label.x1, label.y1), (label.x2 - 1, label.y2 - 1), colour, cv2.FILLED)
    at = (label.x1 + 1, label.y2 - 3)
    cv2.putText(picture, label.text, at, cv2.FONT_HERSHEY_SIMPLEX, _SCALE, _INK, 1, cv2.LINE_AA)


def sealed(content: bytes) -> int:
    """Return a descriptor of memory that holds this and that nobody can change any more; the caller closes it."""
    fd = os.memfd_create("mosaicd picture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, content)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
    return fd
