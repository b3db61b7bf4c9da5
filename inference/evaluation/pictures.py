"""Opens photos and videos and scales them to their places in a tile, as the capture process scales camera frames.

Shell, for the measuring process: what is opened here may be anybody's file.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from capture.decoder import Tally, read_frames
from capture.failures import SourceError
from capture.layout import Rect
from capture.source import SourceOptions
from capture.words import Reason
from inference.evaluation.arrangement import Image, Placed

PlaceOf = Callable[[tuple[int, int]], Rect]
"""A picture's width and height to where it lies in its tile."""


class PictureError(Exception):
    """A photo or a video that cannot be used; the message names the file."""


def read_photo(path: Path, place_of: PlaceOf) -> Placed:
    """A photo, scaled. Raises PictureError."""
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror}") from error
    try:
        # As it was labelled: COCO's boxes are of the stored pixels, whatever a camera's orientation tag says.
        photo = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if len(content) else None
    except cv2.error as error:
        raise PictureError(f"{path}: {error.err}") from error
    if photo is None:
        raise PictureError(f"{path}: not a photo that can be read")
    source_wh = (photo.shape[1], photo.shape[0])
    place = place_of(source_wh)
    # AREA, as the readers do it: every source pixel counts, so small objects survive the reduction.
    scaled = cv2.resize(photo, (place.w, place.h), interpolation=cv2.INTER_AREA)
    pixels: Image = cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    return Placed(pixels, source_wh)


def read_video(path: Path, frames: Sequence[int], place_of: PlaceOf) -> Iterator[Placed]:
    """These frames of a video (numbers from 1, rising), scaled, in order. Raises PictureError."""
    wanted = iter(frames)
    next_wanted = next(wanted, None)
    tally = Tally()
    number = 0
    try:
        for frame in read_frames(SourceOptions(path.absolute().as_uri()), tally, _Unhurried()):
            number += 1
            if tally.damaged:
                raise PictureError(f"{path}: damaged before frame {number}, so frames cannot be counted")
            if number == next_wanted:
                picture = frame.picture
                place = place_of((picture.width, picture.height))
                scaled = picture.reformat(place.w, place.h, format="rgb24", interpolation="AREA")
                yield Placed(scaled.to_ndarray().astype(np.uint8, copy=False), (picture.width, picture.height))
                next_wanted = next(wanted, None)
            if next_wanted is None:
                return
    except SourceError as error:
        detail = f"{number} frames, but frame {next_wanted} is asked for"
        raise PictureError(f"{path}: {detail if error.reason is Reason.ENDED else error.detail}") from error


class _Unhurried(threading.Event):
    """The stop of a source whose file is not played at its own pace: it never waits."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()
