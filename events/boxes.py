"""What the life of an event asks of boxes, xyxy pixels of the camera's picture. Pure."""

from math import sqrt

from events.words import Box

CUT_OFF = 0.7
"""What a moment is worth, in which the picture's edge cuts the object off."""
LARGE_AREA = 0.1
"""An object that covers this part of the picture is large enough to be known by; more is no better."""


def iou(first: Box, second: Box) -> float:
    """Return intersection over union of two boxes, 0 to 1."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    both = width * height
    return both / (_area(first) + _area(second) - both)


def worth(score: float, box: Box, frame_wh: tuple[int, int]) -> float:
    """Return what a moment is worth as the picture of its object, 0 to 1: best sure, large, and not cut off."""
    width, height = frame_wh
    size = sqrt(min(1.0, _area(box) / (width * height * LARGE_AREA)))
    is_cut = box[0] <= 1.0 or box[1] <= 1.0 or box[2] >= width - 1.0 or box[3] >= height - 1.0
    return score * size * (CUT_OFF if is_cut else 1.0)


def foot(box: Box, frame_wh: tuple[int, int]) -> tuple[float, float]:
    """Return where an object stands, 0..1: the middle of the lower edge of its box."""
    x, y = (box[0] + box[2]) / 2 / frame_wh[0], box[3] / frame_wh[1]
    return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
