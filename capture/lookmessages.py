"""What is said to a process that looks at recorded footage, and what it says; :mod:`capture.messages` has the others.

Pure.
"""

from typing import Literal

import msgspec

from capture.messages import LastWords, Load, Loading, Message, Ready, Stop, TileAnswer

SkipFrame = Literal["DEFAULT", "NONREF", "NONKEY"]
"""What a decoder leaves out, in FFmpeg's words: nothing; what no other picture refers to; all but key frames."""


class Cut(msgspec.Struct, frozen=True):
    """Where a part of a file begins."""

    seek_s: float
    """Seek there: the key frame before is what to decode first."""
    window: int
    """Of the raster: the first that is whole from there on."""


class Facts(msgspec.Struct, frozen=True):
    """What a file is."""

    fps: float
    """How often it is looked at, a second."""
    codec: str
    size_wh: tuple[int, int]
    rate_hz: float
    """Pictures a second."""
    duration_s: float
    """As it says."""
    created_at: float | None
    """Wall clock of its beginning, as it says itself."""
    skip: SkipFrame
    """What need not be decoded for that."""
    cuts: tuple[Cut, ...]


# --- to the process --------------------------------------------------------------------------------------------------


class Inspect(Message, frozen=True):
    """What is this file, looked at ``fps`` times a second?"""

    file: int
    path: str
    fps: float


class Begin(Message, frozen=True):
    """Load the model; read so many parts at a time."""

    load: Load
    readers: int


class Look(Message, frozen=True):
    """Look at a part of a file."""

    part: int
    """Its number: the epoch of the answers."""
    path: str
    camera: str
    fps: float
    rate_hz: float
    skip: SkipFrame
    cut: Cut | None
    """None: from the beginning."""
    until: int | None
    """Up to this window; None: to the end."""
    min_score: float
    labels: tuple[str, ...] | None = None
    """None: all."""


class Depict(Message, frozen=True):
    """Write a picture of a moment of this file, as JPEG and as large as it is, to a place whose folder is there."""

    picture: int
    path: str
    at_s: float
    target: str


ToLooker = Inspect | Begin | Look | Depict | Stop

# --- from the process ------------------------------------------------------------------------------------------------


class Inspected(Message, frozen=True):
    """The file can be looked at."""

    file: int
    facts: Facts


class Refused(Message, frozen=True):
    """The file cannot be looked at."""

    file: int
    detail: str


class Looked(Message, frozen=True):
    """What was seen on up to four frames. Those of one part come in order, with their times in the file."""

    tiles: tuple[TileAnswer, ...]


class PartEnd(Message, frozen=True):
    """A part is done."""

    part: int
    lost_frames: int
    """Damaged, and left out."""
    lost_at_s: float | None
    """Where the first of them was."""
    error: str = ""
    """Why it could not be read to its end."""


class Depicted(Message, frozen=True):
    """The picture is there, or it is not."""

    picture: int
    size_bytes: int = 0
    error: str = ""


FromLooker = Ready | Loading | Inspected | Refused | Looked | PartEnd | Depicted | LastWords
