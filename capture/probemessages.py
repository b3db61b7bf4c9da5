"""What the test of one camera is asked, and what it answers: one JSON document a line, each way. Pure.

:mod:`capture.probe` measures; whoever starts it need not load a decoder to understand it, and does not trust it.
"""

from typing import Literal

import msgspec

from capture.masks import Polygon
from capture.messages import Message
from capture.words import HwAccel, Reason, Transport


class ProbeOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to connect to, and for how long. Holds the password: only the pipe and the source ever see it."""

    url: str
    """Without credentials."""
    username: str = ""
    password: str = ""
    transport: Transport = Transport.TCP
    hwaccel: HwAccel = HwAccel.NONE
    open_timeout_s: float = 5.0
    read_timeout_s: float = 5.0
    seconds: float = 10.0
    """Measured from the first packet on."""
    masks: tuple[Polygon, ...] = ()
    """Where motion does not count."""

    def __repr__(self) -> str:
        return "ProbeOrder(...)"


class Step(Message, frozen=True):
    """Where the test is."""

    doing: Literal["connecting", "measuring"]
    transport: Transport
    done_s: float = 0.0


class Snapshot(Message, frozen=True):
    """The newest picture that could be used, before the report."""

    jpeg: bytes


class Refusal(Message, frozen=True):
    """No packet came: why, in the reader's own words."""

    reason: Reason
    detail: str


class Broken(Message, frozen=True):
    """A bug. Without the error's text, which might hold the URL."""

    error: str
    where: str


class Coding(msgspec.Struct, frozen=True):
    """How the picture is coded."""

    codec: str
    profile: str
    level: str
    pixel_format: str
    size_wh: tuple[int, int]
    """Of the newest frame; before the first, what the stream announces."""
    sizes: int = 1
    """Different sizes seen."""
    has_b_frames: bool = False
    is_intra_only: bool = False
    """Each frame stands alone (MJPEG)."""
    is_hardware: bool = False
    """Decoded by hardware."""


class Rhythm(msgspec.Struct, frozen=True):
    """When frames come."""

    fps: float
    """0 while not known."""
    irregular_ratio: float
    """Part of the steps that are off the usual one by more than a fifth."""
    missing: int
    """Steps as long as two usual ones or more."""
    longest_wait_s: float
    """From one packet's arrival to the next."""


class KeyFrames(msgspec.Struct, frozen=True):
    """How far apart the key frames are."""

    count: int
    frames: int | None = None
    """Usual interval, in frames; None before the second key frame."""
    most_frames: int | None = None
    longest_s: float | None = None
    at_least_s: float = 0.0
    """Longest time without one, to the ends of the measurement too."""


class BitRate(msgspec.Struct, frozen=True):
    """Bits a second."""

    mean_bps: float
    most_bps: float
    """In the largest second."""


class Clock(msgspec.Struct, frozen=True):
    """The camera's clock, and how packets arrive by it."""

    ratio: float | None
    """Seconds of its clock in one of ours; None while not known, or where the stream carries no clock."""
    jumps: int
    lag_s: float
    """Median of how long packets waited on their way, as far as can be told."""
    most_lag_s: float


class Look(msgspec.Struct, frozen=True):
    """What can be seen; medians over all pictures looked at."""

    mean_luma: float
    contrast: float
    """Standard deviation of luma, of 255."""
    moving_ratio: float
    """Part of the pictures in which something moved."""
    is_unchanged: bool
    """All pictures were the same, to the last pixel looked at."""


class Cost(msgspec.Struct, frozen=True):
    """Milliseconds of CPU for one second of the camera, one thread, on this machine."""

    receive_ms: float
    all_ms: float
    """Decoding every frame."""
    keys_ms: float
    """Decoding key frames only."""


class ProbeReport(Message, frozen=True):
    """What was measured. All times from the first try of this transport on."""

    transport: Transport
    connect_s: float
    first_packet_s: float
    first_frame_s: float | None
    """To the first frame that could be used; None if none came."""
    span_s: float
    """How long was measured."""
    packets: int
    frames: int
    """Decoded, and of use."""
    damaged: int
    """Of no use, after the first that was."""
    joined: int
    """Of no use, before the first that was: the connection began between two key frames."""
    behind: int
    """Left out, because decoding could not keep up."""
    coding: Coding
    rhythm: Rhythm
    key_frames: KeyFrames
    bit_rate: BitRate
    clock: Clock
    cost: Cost
    look: Look | None = None
    udp_failure: str = ""
    """Why ``auto`` went over to TCP, if it did."""
    end: Refusal | None = None
    """Why the stream ended before its time, if it did."""


ProbeAnswer = Step | Snapshot | ProbeReport | Refusal | Broken
