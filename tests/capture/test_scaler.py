"""The scaler: the luma plane of each pixel format as it is, and tiles in RGB."""

import av
import numpy as np
import pytest

from capture.failures import SourceError
from capture.scaler import Scaler
from capture.words import Reason

W, H = 150, 70
"""No multiple of FFmpeg's alignment: rows have padding."""
RAMP = np.broadcast_to(np.linspace(20, 230, W).astype(np.uint8), (H, W))


def picture(pixel_format: str, grey: np.ndarray = RAMP) -> av.VideoFrame:
    """A grey picture in a camera's format; ``yuvj420p`` and what has no luma plane are full range."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(grey), format="gray")
    return frame if pixel_format == "gray" else frame.reformat(format=pixel_format, threads=1)


def as_seen(pixel_format: str, grey: np.ndarray = RAMP) -> np.ndarray:
    """What its luma plane holds: limited range where the format is (ITU-R BT.601: 16 to 235)."""
    is_full = pixel_format in ("gray", "yuvj420p", "rgb24", "bgr24", "gbrp")
    return grey.astype(float) if is_full else 16 + grey.astype(float) * 219 / 255


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "gray"])
def test_a_luma_plane_of_eight_bits_is_looked_at_in_place(pixel_format: str) -> None:
    frame = picture(pixel_format)
    luma = Scaler((64, 64)).luma(frame)
    assert (luma.shape, luma.dtype) == ((H, W), np.uint8)
    assert np.abs(luma - as_seen(pixel_format)).max() <= 1.0
    assert luma.ctypes.data == frame.planes[0].buffer_ptr, "it was copied"


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p10le", "p010le", "rgb24", "bgr24", "gbrp", "gray16le"])
def test_what_has_no_such_plane_is_made_grey(pixel_format: str) -> None:
    luma = Scaler((64, 64)).luma(picture(pixel_format))
    assert (luma.shape, luma.dtype) == ((H, W), np.uint8)
    # Its range may be either; what is compared is how it rises.
    rises = np.polyfit(RAMP[0], luma.mean(axis=0), 1)
    assert 0.8 < rises[0] < 1.2
    assert np.abs(np.polyval(rises, RAMP[0]) - luma.mean(axis=0)).max() < 3.0


def test_packed_luma_and_chroma_is_no_plane() -> None:
    luma = Scaler((64, 64)).luma(picture("yuyv422"))
    assert luma.shape == (H, W)
    assert np.all(np.diff(luma[0].astype(int)) >= -1), "chroma would alternate with luma"


def test_luma_follows_a_change_of_size_and_format() -> None:
    scaler = Scaler((64, 64))
    for pixel_format, grey in (
        ("yuv420p", RAMP),
        ("rgb24", RAMP[:40, :90]),
        ("yuv420p10le", RAMP),
        ("nv12", RAMP[:20]),
    ):
        assert scaler.luma(picture(pixel_format, grey)).shape == grey.shape


@pytest.mark.parametrize(
    ("tile_wh", "shape"),
    [((64, 64), (30, 64, 3)), ((W, H), (H, W, 3)), ((300, 300), (140, 300, 3)), ((200, 33), (33, 71, 3))],
)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "nv12", "gray", "yuv420p10le", "rgb24"])
def test_a_tile_is_the_letterboxes_content_in_rgb(
    pixel_format: str, tile_wh: tuple[int, int], shape: tuple[int, ...]
) -> None:
    tile = Scaler(tile_wh).tile(picture(pixel_format))
    assert (tile.shape, tile.dtype) == (shape, np.uint8)
    assert np.abs(tile.astype(int) - tile[..., :1]).max() <= 2, "grey stays grey"
    columns = tile[..., 0].mean(axis=0)
    assert np.abs(columns - np.linspace(20, 230, shape[1])).max() < 6.0
    assert np.abs(tile.astype(float) - tile.mean(axis=0)).max() <= 2.0, "rows are shifted against each other"


def test_colours_come_in_their_order() -> None:
    red = np.zeros((H, W, 3), np.uint8)
    red[..., 0] = 200
    tile = Scaler((W, H)).tile(av.VideoFrame.from_ndarray(red, format="rgb24").reformat(format="yuv444p"))
    assert np.abs(tile.reshape(-1, 3).mean(axis=0) - (200, 0, 0)).max() < 3


def test_a_format_that_cannot_be_converted_is_no_video() -> None:
    frame = av.VideoFrame(W, H, "xv30be")  # swscale writes it, but does not read it
    for convert in (Scaler((64, 64)).tile, Scaler((64, 64)).luma):
        with pytest.raises(SourceError) as caught:
            convert(frame)
        assert (caught.value.reason, caught.value.detail) == (Reason.NOT_VIDEO, "cannot convert from xv30be")
