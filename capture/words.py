"""The closed sets of words for how a camera is, and for how it is read. Pure."""

from enum import StrEnum


class CameraState(StrEnum):
    """Where a camera's reader is."""

    CONNECTING = "connecting"
    STREAMING = "streaming"
    STALLED = "stalled"
    """Connected, but no frame has come for the stale time."""
    BACKOFF = "backoff"
    STOPPED = "stopped"


class Reason(StrEnum):
    """Why a camera is not streaming: the closed set of the ``reason`` label."""

    REFUSED = "refused"
    """Nobody listens at that address."""
    UNREACHABLE = "unreachable"
    """No route, or no such host."""
    TIMEOUT = "timeout"
    """Connected, but no answer within the timeout."""
    UNAUTHORIZED = "unauthorized"
    """User name or password is wrong."""
    NOT_FOUND = "not_found"
    """The server or the file system has no such stream."""
    NOT_VIDEO = "not_video"
    """Something answered, but it is no video stream that can be decoded."""
    HANG = "hang"
    """Frames stopped coming in mid-stream, with the connection open."""
    ENDED = "ended"
    """The stream was closed by the other side."""
    BROKEN = "broken"
    """The stream could not be read any further."""
    REDIRECTED = "redirected"
    """The camera sends us to another address, where its password must not go."""
    CRASHED = "crashed"
    """Its stream has crashed the decoder, more than once: it is kept away for a while."""
    FROZEN = "frozen"
    """Frames come, but all show the very same picture."""


class Flaw(StrEnum):
    """What is wrong with a stream that comes: the closed set of the ``flaw`` label."""

    BLACK = "black"
    BLIND = "blind"
    """Nothing can be told apart: covered, fogged, or out of focus."""
    CLOCK = "clock"
    """The camera's clock runs fast or slow."""
    FLOOD = "flood"
    """Far more bits than usual."""
    LONG_GOP = "long_gop"
    """Its key frames are too far apart for it to be decoded only when something moves."""
    BEHIND = "behind"
    """It cannot be decoded as fast as it comes; what is out of date is left out."""


MAX_CLIP_S = 600.0
"""No clip is longer, whatever was ordered."""


class Shortfall(StrEnum):
    """Why a clip or a picture is not there, or less than was asked for."""

    UNKNOWN = "unknown"
    """This process has no such camera."""
    EPOCH = "epoch"
    """The camera has been changed since."""
    OFF = "off"
    """Nothing is kept of this camera."""
    NO_FILE = "no_file"
    """The order came without one descriptor that can be written and sought in."""
    DOWN = "down"
    """The camera sent nothing then."""
    GONE = "gone"
    """It is not kept any more."""
    REPLACED = "replaced"
    """The camera was changed or removed meanwhile."""
    CODEC = "codec"
    """No browser plays what it sends as MP4 (Motion JPEG)."""
    CHANGED = "changed"
    """Codec or size of its picture changed meanwhile."""
    SPOILED = "spoiled"
    """It could not be decoded."""
    SLOW = "slow"
    """It could not be written as fast as it came."""
    UNWRITABLE = "unwritable"
    """Writing failed: the disk is full."""
    BUSY = "busy"
    """There were too many orders before it."""
    STOPPING = "stopping"
    DIED = "died"
    """The process that was to make it has ended, or was not there."""
    NO_ROOM = "no_room"
    """The disk is nearly full."""


class DecodeMode(StrEnum):
    """Which frames of a camera are decoded."""

    ALL = "all"
    NO_NONREF = "no_nonref"
    """All but those that no other frame refers to."""
    KEYFRAMES = "keyframes"
    ADAPTIVE = "adaptive"
    """Key frames while nothing moves, all while something does."""


class Transport(StrEnum):
    """How RTSP carries the video."""

    TCP = "tcp"
    UDP = "udp"
    AUTO = "auto"
    """UDP first, TCP once that has lost too much."""


PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""Of a camera's url without one: FFmpeg's (rtsp.c, http.c)."""


class HwAccel(StrEnum):
    """What decodes."""

    NONE = "none"
    CUDA = "cuda"
    VAAPI = "vaapi"
    AUTO = "auto"
    """Whatever of these is there."""
