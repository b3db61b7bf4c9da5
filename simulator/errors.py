"""What can go wrong in the simulator, as types. Pure."""

from __future__ import annotations

from pathlib import Path

from simulator.status import Status


class SimulatorError(Exception):
    """Root of the simulator's errors; its text tells an operator what to do."""


class FootageError(SimulatorError):
    """A video file cannot be served.

    Attributes:
        path: the file.
        reason: why, and what would help.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class FootageNotFoundError(FootageError):
    """There is no such file."""


class NoVideoError(FootageError):
    """The file is no video, or holds no video stream."""


class UnsupportedCodecError(FootageError):
    """The video is neither H.264 nor H.265 nor MJPEG, and the simulator does not re-encode.

    Attributes:
        codec: FFmpeg's name of the codec.
    """

    def __init__(self, path: Path, codec: str) -> None:
        super().__init__(
            path,
            f"codec {codec} is not H.264 or H.265; re-encode it once: "
            f"ffmpeg -i {path.name} -c:v libx264 -an {path.stem}-h264.mp4",
        )
        self.codec = codec


class UnusableFootageError(FootageError):
    """The stream lacks what serving needs: timestamps, a key frame, parameter sets, a bearable size."""


class ShareError(SimulatorError):
    """Videos and cameras cannot be dealt out as asked."""


class ListenError(SimulatorError):
    """The server cannot listen on its address.

    Attributes:
        host: address asked for.
        port: port asked for.
    """

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host} port {port}: {reason}")
        self.host = host
        self.port = port


class RefusedError(SimulatorError):
    """A request is answered with this status instead of being served; caught once, where requests are dispatched.

    Attributes:
        status: the answer's status.
        headers: headers to add to the answer.
    """

    def __init__(self, status: Status, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(f"{status.value} {status.phrase}")
        self.status = status
        self.headers = headers
