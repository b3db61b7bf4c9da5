"""What people look at: boxes where they belong, no more often than asked for, in memory that nobody can change."""

import os

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from capture.layout import Canvas
from capture.messages import Sighting, TileAnswer
from capture.slot import CanvasHeader, TileHeader
from inference.pictures import EVERY_S, Painter, sealed

CANVAS = Canvas(832, 512)
SOURCE_WH = (640, 384)
BOX = (160.0, 96.0, 480.0, 288.0)
"""The middle of the camera's picture."""


def header(number: int = 1) -> CanvasHeader:
    tiles = tuple(
        TileHeader(f"cam-{i}", 0, number, 0.0, 1e9, 1.0, SOURCE_WH, CANVAS.content(i, SOURCE_WH)) for i in range(3)
    )
    return CanvasHeader(number=number, composed_mono_s=1.0, tiles=(*tiles, None))


def answer(camera: str, number: int = 1) -> TileAnswer:
    return TileAnswer(camera, 0, number, 0.0, 1e9, 1.0, SOURCE_WH, (Sighting("dog", 0.9, BOX),))


def drawn(jpeg: bytes | None) -> list[bool]:
    """Return for each tile whether something is drawn on its grey."""
    assert jpeg is not None
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert picture.shape == (512, 832, 3)
    return [bool((abs(picture[CANVAS.cell(tile).slices] - 128) > 40).any()) for tile in range(4)]


GREY = np.full((512, 832, 3), 128, np.uint8)


def test_boxes_are_drawn_on_their_own_tiles() -> None:
    painter = Painter()
    painter.watch(["m1"])
    jpeg = painter.paint("m1", GREY, header(), (answer("cam-0"), answer("cam-2")), 10.0)
    assert drawn(jpeg) == [True, False, True, False]
    assert (GREY == 128).all(), "the canvas is the engine's"


def test_nothing_is_drawn_that_nobody_looks_at() -> None:
    painter = Painter()
    painter.watch(["m1"])
    assert painter.paint("m2", GREY, header(), (answer("cam-0"),), 10.0) is None
    painter.watch([])
    assert painter.paint("m1", GREY, header(), (answer("cam-0"),), 10.0) is None


def test_no_more_often_than_wanted() -> None:
    painter = Painter()
    painter.watch(["m1", "m2"])
    times = (10.0, 10.0 + EVERY_S / 2, 10.0 + 1.01 * EVERY_S)
    assert [painter.paint("m1", GREY, header(), (), at) is not None for at in times] == [True, False, True]
    assert painter.paint("m2", GREY, header(), (), times[1]) is not None


def test_a_tile_that_still_shows_the_same_frame_keeps_its_boxes() -> None:
    painter = Painter()
    painter.watch(["m1"])
    painter.paint("m1", GREY, header(1), (answer("cam-0", 1), answer("cam-1", 1)), 10.0)
    moved = header(2)
    same = CanvasHeader(number=2, composed_mono_s=1.0, tiles=(moved.tiles[0], header(1).tiles[1], *moved.tiles[2:]))
    assert drawn(painter.paint("m1", GREY, same, (answer("cam-0", 2),), 11.0)) == [True, True, False, False]
    assert drawn(painter.paint("m1", GREY, moved, (), 12.0)) == [True, False, False, False]


def test_a_label_that_would_cover_a_surer_one_is_left_out() -> None:
    crowd = tuple(Sighting(label, score, BOX) for label, score in (("dog", 0.3), ("cat", 0.9), ("cow", 0.4)))
    alone = TileAnswer("cam-0", 0, 1, 0.0, 1e9, 1.0, SOURCE_WH, (Sighting("cat", 0.9, BOX),))
    x, y = 110, 60  # inside the label of the tile's box, left of its words
    shown = []
    for answered in (alone, replace(alone, sightings=crowd)):
        painter = Painter()
        painter.watch(["m1"])
        jpeg = painter.paint("m1", GREY, header(), (answered,), 10.0)
        assert jpeg is not None
        shown.append(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[:y, x : x + 90].astype(int))
    assert abs(shown[0] - shown[1]).max() < 40


def test_nobody_can_change_what_was_sent() -> None:
    fd = sealed(b"picture")
    try:
        assert os.pread(fd, 100, 0) == b"picture"
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"other", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)
