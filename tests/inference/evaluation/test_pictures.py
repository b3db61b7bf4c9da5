"""Photos and videos, as the detector gets them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.evaluation.arrangement import Arrangement, Input
from inference.evaluation.pictures import PictureError, read_photo, read_video
from tests.simulator.clips import FRAMES, SIZE_WH, encode_clip, read_number

PLACE = Arrangement(Input.SINGLE, (96, 96)).place


def write_photo(path: Path, wh: tuple[int, int] = (192, 96)) -> Path:
    """The left half red, the right half blue."""
    photo = np.zeros((wh[1], wh[0], 3), np.uint8)
    photo[:, : wh[0] // 2] = (0, 0, 255)  # OpenCV's order
    photo[:, wh[0] // 2 :] = (255, 0, 0)
    assert cv2.imwrite(str(path), photo)
    return path


def test_a_photo_is_scaled_to_its_place_in_rgb(tmp_path: Path) -> None:
    placed = read_photo(write_photo(tmp_path / "a.png"), PLACE)
    assert placed.source_wh == (192, 96)
    assert placed.pixels.shape == (48, 96, 3)
    assert placed.pixels.dtype == np.uint8
    assert (placed.pixels[:, :48] == (255, 0, 0)).all()
    assert (placed.pixels[:, 48:] == (0, 0, 255)).all()


@pytest.mark.parametrize("content", [b"", b"no photo", b"\xff\xd8\xff\xe0 cut off"])
def test_what_is_no_photo_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(PictureError, match="not a photo that can be read") as caught:
        read_photo(path, PLACE)
    assert str(path) in str(caught.value)
    with pytest.raises(PictureError, match="No such file"):
        read_photo(tmp_path / "b.jpg", PLACE)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode_clip(tmp_path_factory.mktemp("clip") / "numbers ?#%41.mp4")


def test_frames_are_counted_from_one(clip: Path) -> None:
    frames = (1, 2, 37, 99, FRAMES)
    seen = list(read_video(clip, frames, Arrangement(Input.SINGLE, SIZE_WH).place))
    assert [read_number(item.pixels[..., 0]) + 1 for item in seen] == list(frames)
    assert {item.source_wh for item in seen} == {SIZE_WH}


def test_frames_are_letterboxed(clip: Path) -> None:
    [seen] = read_video(clip, (5,), Arrangement(Input.SINGLE, (96, 96)).place)
    assert seen.pixels.shape == (32, 96, 3)


def test_a_video_that_is_too_short_is_named(clip: Path) -> None:
    with pytest.raises(PictureError, match=f"{FRAMES} frames, but frame 101 is asked for"):
        list(read_video(clip, (1, 101), PLACE))


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_text("no video")
    with pytest.raises(PictureError, match=r"v.mp4: what answers is no video stream|v.mp4: .*"):
        list(read_video(path, (1,), PLACE))
