"""Drawing over a picture, as SVG in its pixels: areas, ways, boxes, and words on plates. For the pictures of rules."""

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

RULE, GOOD, QUIET = "#ffd400", "#36e27b", "#d5dae0"
"""What is drawn by hand in the roster; what became an event; what did not."""

Point = tuple[float, float]
Box = tuple[float, float, float, float]
_BACK = 'stroke-opacity="0.55" stroke-width="6"'


class Drawing:
    """SVG over a picture, in its pixels."""

    def __init__(self, rgb: np.ndarray) -> None:
        self.size_wh = (rgb.shape[1], rgb.shape[0])
        self._parts: list[str] = []
        self.picture(rgb, (0.0, 0.0), rgb.shape[1])

    def picture(self, rgb: np.ndarray, at: Point, width: float) -> None:
        """A picture; ``at`` is its left upper corner."""
        _, jpeg = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        data = base64.b64encode(jpeg.tobytes()).decode()
        self.add(f'<image href="data:image/jpeg;base64,{data}" x="{at[0]}" y="{at[1]}" width="{width}"/>')

    def add(self, text: str) -> None:
        """Add an element."""
        self._parts.append(text)

    def polygon(self, corners: Sequence[Point], colour: str, opacity: float = 0.18) -> None:
        """An area."""
        points = _points(corners)
        self.add(f'<polygon points="{points}" fill="{colour}" fill-opacity="{opacity}" stroke="#000" {_BACK}/>')
        self.add(f'<polygon points="{points}" fill="none" stroke="{colour}" stroke-width="3"/>')

    def line(self, points: Sequence[Point], colour: str, width: float = 4.0, extra: str = "") -> None:
        """A way."""
        shape = f'<polyline points="{_points(points)}" fill="none" stroke-linejoin="round"'
        self.add(f'{shape} stroke="#000" stroke-opacity="0.55" stroke-width="{width + 2.5}" {extra}/>')
        self.add(f'{shape} stroke="{colour}" stroke-width="{width}" {extra}/>')

    def dots(self, points: Sequence[Point], colour: str, radius: float = 3.5) -> None:
        """Where somebody stood."""
        for x, y in points:
            self.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}" stroke="#000" stroke-width="1"/>')

    def ring(self, point: Point, colour: str) -> None:
        """A moment."""
        for width, stroke in ((7, "#000"), (4, colour)):
            self.add(
                f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="11" fill="none" stroke="{stroke}" '
                f'stroke-width="{width}"/>'
            )

    def box(self, box: Box, colour: str, extra: str = "") -> None:
        """What was seen."""
        x1, y1, x2, y2 = box
        at = f'x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" fill="none"'
        self.add(f'<rect {at} stroke="#000" stroke-opacity="0.6" stroke-width="4.5" {extra}/>')
        self.add(f'<rect {at} stroke="{colour}" stroke-width="2.5" {extra}/>')

    def words(self, at: Point, *lines: str, colour: str = "#fff", anchor: str = "start", size: int = 17) -> None:
        """Text on a dark plate; ``at`` is its left, middle or right, at the height of its first line's middle."""
        width = max(len(line) for line in lines) * size * 0.6 + 16
        left = at[0] - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        left = min(max(left, 4.0), self.size_wh[0] - width - 4.0)
        height = len(lines) * size * 1.3 + 8
        top = min(max(at[1] - size * 0.65 - 4, 4.0), self.size_wh[1] - height - 4.0)
        self.add(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5" fill="#10151c" '
            f'fill-opacity="0.86" stroke="{colour}" stroke-width="1.5"/>'
        )
        for number, line in enumerate(lines):
            y = top + 4 + size * (1.3 * number + 0.98)
            fill = "#fff" if number else colour
            self.add(
                f'<text x="{left + width / 2:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="middle">'
                f"{escape(line)}</text>"
            )

    def pointer(self, start: Point, end: Point, colour: str, width: float = 3.0) -> None:
        """An arrow."""
        self.line((start, end), colour, width, f'marker-end="url(#{colour.strip("#")})"')

    def svg(self) -> str:
        """All of it."""
        heads = "".join(
            f'<marker id="{colour.strip("#")}" viewBox="0 0 10 10" refX="7" refY="5" markerWidth="4" markerHeight="4" '
            f'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{colour}"/></marker>'
            for colour in (RULE, GOOD, QUIET)
        )
        hatch = (
            '<pattern id="hatch" width="14" height="14" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<rect width="14" height="14" fill="#10151c" fill-opacity="0.35"/><rect width="4" height="14" '
            f'fill="{RULE}" fill-opacity="0.75"/></pattern>'
        )
        width, height = self.size_wh
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="DejaVu Sans" '
            f'font-weight="bold"><defs>{heads}{hatch}</defs>{"".join(self._parts)}</svg>'
        )


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
