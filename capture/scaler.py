"""From a decoded frame to what is looked at: its tile in RGB, and its luma plane as it is. Owned by one thread."""

import av
import av.error
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from capture.failures import SourceError
from capture.layout import letterbox
from capture.masks import Luma
from capture.slot import Pixels
from capture.words import Reason


class Scaler:
    """Scales the frames of one camera to its tile."""

    def __init__(self, tile_wh: tuple[int, int]) -> None:
        self._tile_wh = tile_wh
        self._reformatter = VideoReformatter()

    def tile(self, picture: av.VideoFrame) -> Pixels:
        """Return uint8 RGB (h, w, 3): the letterbox's content only. Raises SourceError."""
        place = letterbox((picture.width, picture.height), self._tile_wh)
        # AREA: every source pixel counts, so small objects survive the reduction.
        scaled = self._reformat(picture, place.w, place.h, "rgb24", Interpolation.AREA)
        return _rows(scaled, 3 * place.w).reshape(place.h, place.w, 3)

    def luma(self, picture: av.VideoFrame) -> Luma:
        """Return uint8 (h, w): a view of the picture's luma plane, or a copy where it has none. Raises SourceError."""
        pixels = picture.format
        first = pixels.components[0]
        if not (first.is_luma and first.bits == 8 and (pixels.is_planar or len(pixels.components) == 1)):
            picture = self._reformat(picture, picture.width, picture.height, "gray", Interpolation.POINT)
        return _rows(picture, picture.width)

    def _reformat(
        self, picture: av.VideoFrame, w: int, h: int, pixel_format: str, interpolation: Interpolation
    ) -> av.VideoFrame:
        try:
            # One thread: there are as many readers as cameras.
            return self._reformatter.reformat(
                picture, w, h, format=pixel_format, interpolation=interpolation, threads=1
            )
        except (av.error.FFmpegError, ValueError):
            failure = SourceError(Reason.NOT_VIDEO, f"cannot convert from {picture.format.name}")
        try:
            raise failure
        finally:
            del failure


def _rows(picture: av.VideoFrame, width: int) -> Luma:
    """Return the first plane without its padding, uint8 (h, width)."""
    plane = picture.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, :width]
