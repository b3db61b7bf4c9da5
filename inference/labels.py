"""The words for what a detector sees: COCO's, the older ones that mean the same, and the reading of `.names` files.

A thing has one word wherever a label is written: modern COCO's. Darknet's and PASCAL VOC's older words are aliases. A
names file is always translated, not only one that lists all of COCO: a roster is read without knowing the model, so
both sides must come to the same words by themselves, and sightings of two models can be compared.

Pure, but for opening the file that `read_labels` is given.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

MAX_BYTES: Final = 1 << 20

COCO: Final[tuple[str, ...]] = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
"""The 80 classes of COCO's detection task in the order of their ids (cocodataset.org, instances_val2017.json), which is
the order of Darknet's coco.names too."""

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aeroplane": "airplane",
        "diningtable": "dining table",
        "motorbike": "motorcycle",
        "pottedplant": "potted plant",
        "sofa": "couch",
        "tvmonitor": "tv",
    }
)
"""Modern words by the older ones: all in which Darknet's data/coco.names and voc.names differ from COCO's."""


class LabelsError(Exception):
    """A names file that cannot be used; the message names the file."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


def modern_label(label: str) -> str:
    """The modern word for an older one; any other word is its own."""
    return ALIASES.get(label, label)


def read_labels(path: Path, classes: int | None = None) -> tuple[str, ...]:
    """The names in the file in modern words, all different, exactly `classes` of them if that is known. Blank lines at
    its end do not count.

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
    written = tuple(line.strip() for line in text.rstrip().split("\n"))
    first: dict[str, int] = {}
    for line, label in enumerate(written, start=1):
        if not label:
            raise LabelsError(path, f"line {line} is empty")
        earlier = first.setdefault(modern_label(label), line)
        if earlier != line:
            before = written[earlier - 1]
            verb = "repeats" if before == label else "means the same as"
            raise LabelsError(path, f"line {line}, {label[:60]!r}, {verb} line {earlier}, {before[:60]!r}")
    if classes is not None and len(written) != classes:
        raise LabelsError(path, f"{len(written)} names, but the network has {classes} classes")
    return tuple(modern_label(label) for label in written)
