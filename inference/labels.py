"""Reads the class names of a detector, one a line (Darknet's `.names`).

Pure, but for opening the file it is given.
"""

from pathlib import Path
from typing import Final

MAX_BYTES: Final = 1 << 20


class LabelsError(Exception):
    """A names file that cannot be used; the message names the file."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


def read_labels(path: Path, classes: int | None = None) -> tuple[str, ...]:
    """The names in the file, all different, exactly `classes` of them if that is known. Blank lines at its end do not
    count.

    Raises LabelsError, and OSError where the file cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise LabelsError(path, f"over {MAX_BYTES} bytes: this is not a list of class names")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelsError(path, f"byte {error.start} is not UTF-8: this is not a list of class names") from error
    labels = tuple(line.strip() for line in text.rstrip().split("\n"))
    first: dict[str, int] = {}
    for line, label in enumerate(labels, start=1):
        if not label:
            raise LabelsError(path, f"line {line} is empty")
        if label in first:
            raise LabelsError(path, f"line {line} repeats line {first[label]}, {label[:60]!r}")
        first[label] = line
    if classes is not None and len(labels) != classes:
        raise LabelsError(path, f"{len(labels)} names, but the network has {classes} classes")
    return labels
