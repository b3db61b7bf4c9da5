"""Reads `[yolo]` and `[region]` sections into heads.

Pure.
"""

from typing import Final

from inference.darknet.cfg import Section
from inference.darknet.layers import Head, HeadForm, Shape
from inference.darknet.limits import MAX_CHANNELS, MAX_INPUT

MAX_ANCHORS: Final = 100


def read_yolo(section: Section, index: int, shape: Shape) -> Head:
    """The `[yolo]` that reads the map before it, of this shape. Raises CfgError."""
    number = section.integer("num", 1, 1, MAX_ANCHORS)
    anchors = _anchors(section, number)
    mask = section.integers("mask", 0, number - 1) or tuple(range(number))
    form: HeadForm = "new_coords" if section.integer("new_coords", 0, 0, 1) else "yolo"
    return Head(
        index=index,
        line=section.line,
        source=index - 1,
        shape=shape,
        anchors_wh=tuple(anchors[item] for item in mask),
        classes=_classes(section, len(mask), index, shape),
        scale_x_y=section.number("scale_x_y", 1.0, 0.1, 10.0),
        form=form,
    )


def read_region(section: Section, index: int, shape: Shape, input_shape: Shape) -> Head:
    """The `[region]` that reads the map before it. Its anchors are in cells: they become pixels. Raises CfgError.

    `classfix` and `softmax=0`, with which Darknet has classes that are no probabilities, are refused, as is `tree`
    (YOLO9000).
    """
    if not section.integer("softmax", 0, 0, 1):
        raise section.error("softmax=0 is not supported: its classes would be no probabilities", "softmax")
    width, height = input_shape.width / shape.width, input_shape.height / shape.height
    number = section.integer("num", 1, 1, MAX_ANCHORS)
    return Head(
        index=index,
        line=section.line,
        source=index - 1,
        shape=shape,
        anchors_wh=tuple((cells_w * width, cells_h * height) for cells_w, cells_h in _anchors(section, number)),
        classes=_classes(section, number, index, shape),
        scale_x_y=1.0,
        form="region",
    )


def _anchors(section: Section, number: int) -> list[tuple[float, float]]:
    numbers = section.numbers("anchors", 1e-3, MAX_INPUT)
    if len(numbers) != 2 * number:
        message = f"num={number} anchors want {2 * number} numbers, {len(numbers)} are given"
        raise section.error(message, "anchors")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _classes(section: Section, anchors: int, index: int, shape: Shape) -> int:
    classes = section.integer("classes", 20, 1, MAX_CHANNELS)
    if shape.channels != anchors * (classes + 5):
        message = f"{anchors} anchors of {classes} classes want {anchors * (classes + 5)} channels"
        raise section.error(f"{message}, layer {index - 1} has {shape.channels}", "classes")
    return classes
