"""Ground truth: what is really in a folder of photos or in a video, read from the files in which people keep it.

Photos have YOLO label files, a video has MOTChallenge rows. What is read here knows no pixels: photos are opened by
`pictures`, in another process.
Pure, but for listing and reading the files it is given.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from inference.evaluation.matching import Objects

Number = TypeVar("Number", int, float)

PHOTO_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
FRAMES_A_UNIT: Final = 25
"""Frames of a video that tell about the same: a second of most cameras."""
MAX_BYTES: Final = 64 << 20
"""Of one file of ground truth."""

MOT_LABELS: Final = {
    -1: "person",
    1: "person",
    2: "person",
    3: "car",
    4: "bicycle",
    5: "motorcycle",
    7: "person",
}
"""MOTChallenge's classes that a COCO detector knows (MOT16: Milan et al. 2016, table 3): 1 pedestrian, 2 person on a
vehicle, 7 static person. -1 stands where the benchmark has one class, which is pedestrians (MOT15)."""


class TruthError(Exception):
    """Ground truth that cannot be used; the message names the file, and the line if it is one line's fault."""

    def __init__(self, path: Path, message: str, line: int | None = None) -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")
        self.path = path
        self.line = line


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is in one picture."""

    labels: tuple[str, ...]
    """One for each object."""
    xyxy: npt.NDArray[np.float64]
    """(n, 4): in pixels of the picture, or as parts of its sides."""
    is_relative: bool
    """Whether the boxes are parts of the sides, 0 to 1."""
    ignored: npt.NDArray[np.bool_]
    """(n,), objects that need not be found."""


@dataclass(frozen=True, slots=True)
class TruthSet:
    """Pictures and what is in each. A photo is named by its file, a video's picture by its frame, from 1."""

    photos: tuple[Path, ...]
    """Empty for a video."""
    video: Path | None
    frames: tuple[int, ...]
    """Empty for photos."""
    truths: tuple[Truth, ...]
    """One for each photo or frame."""

    def __len__(self) -> int:
        return len(self.truths)

    @property
    def units(self) -> npt.NDArray[np.intp]:
        """(pictures,), for each the unit that a bootstrap draws, numbered from 0: a photo, or a second of video."""
        if self.video is None:
            return np.arange(len(self))
        return np.unique(np.array(self.frames) // FRAMES_A_UNIT, return_inverse=True)[1].astype(np.intp)


def read_photos(folder: Path, labels: Sequence[str]) -> TruthSet:
    """The photos of a folder with their YOLO labels; `labels` are the names of the labels' class ids.

    A photo's label file is beside it, or in the folder `labels` beside the folder `images` that holds the photos;
    `folder` may be the one that holds both. A photo without a label file shows nothing. Raises TruthError.
    """
    images = folder / "images" if (folder / "images").is_dir() else folder
    try:
        photos = tuple(sorted(path for path in images.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES))
    except OSError as error:
        raise TruthError(images, f"{error.strerror}: give a folder of photos, or a video") from error
    if not photos:
        raise TruthError(images, f"no photo there ({', '.join(PHOTO_SUFFIXES)})")
    beside = images.parent / "labels" if images.name == "images" else images
    files = [beside / f"{photo.stem}.txt" for photo in photos]
    if not any(file.is_file() for file in files):
        raise TruthError(beside, f"no label file for any of the photos in {images}, {files[0].name} for one")
    truths = tuple(read_yolo(file, labels) if file.is_file() else _nothing(is_relative=True) for file in files)
    return TruthSet(photos, None, (), truths)


def read_yolo(path: Path, labels: Sequence[str]) -> Truth:
    """One photo's labels: lines of class id, centre x, centre y, width, height, as parts of the photo's sides."""
    names, rows = [], []
    for number, line in _lines(path):
        words = line.split()
        if len(words) != 5:
            raise TruthError(path, f"5 numbers are wanted (class x y width height), {len(words)} are there", number)
        class_id = _number(words[0], int, path, number)
        x, y, w, h = (_number(word, float, path, number) for word in words[1:])
        if not 0 <= class_id < len(labels):
            raise TruthError(path, f"class {class_id}, but there are names for 0 to {len(labels) - 1}", number)
        if not (0 <= x <= 1 and 0 <= y <= 1 and 0 < w <= 1 and 0 < h <= 1):
            raise TruthError(path, f"{' '.join(words[1:])} are not parts of a picture's sides, 0 to 1", number)
        names.append(labels[class_id])
        # Rounding puts some a hair outside.
        rows.append([max(x - w / 2, 0.0), max(y - h / 2, 0.0), min(x + w / 2, 1.0), min(y + h / 2, 1.0)])
    return _truth(names, rows, [False] * len(rows), is_relative=True)


def read_video(video: Path, path: Path) -> TruthSet:
    """The frames of a video with MOTChallenge ground truth: all from the first to the last that has a row.

    Rows are frame (from 1), id, left, top, width, height in pixels, then optionally whether the row counts (0: such an
    object is ignored) and its class. Classes that no COCO detector knows are ignored too. Raises TruthError.
    """
    if not video.is_file():
        raise TruthError(video, "no such file: give a folder of photos, or a video")
    frames: dict[int, tuple[list[str], list[list[float]], list[bool]]] = {}
    for number, line in _lines(path):
        words = line.split(",")
        if len(words) < 6:
            raise TruthError(path, f"at least 6 columns are wanted (MOTChallenge), {len(words)} are there", number)
        frame = _number(words[0], int, path, number)
        x, y, w, h = (_number(word, float, path, number) for word in words[2:6])
        if frame < 1 or not (w > 0 and h > 0):
            raise TruthError(path, "a frame is numbered from 1, and a box has width and height", number)
        counts = len(words) < 7 or _number(words[6], float, path, number) != 0
        label = MOT_LABELS.get(int(_number(words[7], float, path, number)) if len(words) > 7 else -1)
        names, rows, ignored = frames.setdefault(frame, ([], [], []))
        names.append(label or "person")
        rows.append([x, y, x + w, y + h])
        ignored.append(label is None or not counts)
    if not frames:
        raise TruthError(path, "no rows")
    numbers = tuple(range(min(frames), max(frames) + 1))
    truths = (_truth(*frames[n], is_relative=False) if n in frames else _nothing(is_relative=False) for n in numbers)
    return TruthSet((), video, numbers, tuple(truths))


def thin_out(truths: TruthSet, limit: int) -> TruthSet:
    """At most so many of the pictures, spread evenly over them."""
    number = len(truths)
    if number <= limit:
        return truths
    kept = [item * number // limit for item in range(limit)]
    return TruthSet(
        tuple(truths.photos[item] for item in kept) if truths.photos else (),
        truths.video,
        tuple(truths.frames[item] for item in kept) if truths.frames else (),
        tuple(truths.truths[item] for item in kept),
    )


def objects_of(
    truth: Truth, source_wh: tuple[int, int], labels: Sequence[str], canonical: Callable[[str], str]
) -> Objects:
    """The objects that a detector with these labels can find, in pixels of a picture of this size.

    `canonical` gives a label's one spelling: a motorbike is a motorcycle.
    """
    index = {canonical(label): class_id for class_id, label in enumerate(labels)}
    class_ids = np.array([index.get(canonical(label), -1) for label in truth.labels], np.int32)
    xyxy = truth.xyxy * np.array(source_wh * 2, np.float64) if truth.is_relative else truth.xyxy
    known = class_ids >= 0
    return Objects(xyxy[known].astype(np.float32), class_ids[known], truth.ignored[known])


def _truth(names: list[str], rows: list[list[float]], ignored: list[bool], *, is_relative: bool) -> Truth:
    return Truth(tuple(names), np.array(rows, np.float64).reshape(-1, 4), is_relative, np.array(ignored, np.bool_))


def _nothing(*, is_relative: bool) -> Truth:
    return _truth([], [], [], is_relative=is_relative)


def _lines(path: Path) -> list[tuple[int, str]]:
    """Its lines that are not blank, with their numbers."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TruthError(path, f"{error.strerror}: the ground truth is wanted there") from error
    if len(content) > MAX_BYTES:
        raise TruthError(path, f"over {MAX_BYTES} bytes: this is no ground truth")
    lines = content.decode(errors="replace").splitlines()
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _number(word: str, kind: type[Number], path: Path, line: int) -> Number:
    try:
        value = kind(word)
    except ValueError:
        wanted = "an integer" if kind is int else "a number"
        raise TruthError(path, f"{word.strip()[:40]!r} is not {wanted}", line) from None
    if not math.isfinite(value):
        raise TruthError(path, f"{word.strip()[:40]} is not a finite number", line)
    return value
