"""A source: one connection to one camera, or one file, read to its end. Knows nothing of retries.

Owned by the thread that reads it: only that thread opens, reads and closes (closing from another leaves the reader
blocked). Ends with a :class:`SourceError`, whose text never holds the URL: FFmpeg's own errors carry it, password and
all, in ``str(e)``, ``e.args`` and ``e.filename``, so they are neither shown nor chained: what is raised here is raised
outside of ``except``, or it would keep them as its ``__context__``.
"""

import errno
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

import av
import av.error

from capture.messages import Reason

PROTOCOLS = {"rtsp": "rtsp,rtp,tcp", "file": "file"}
"""What FFmpeg may open for a source, and nothing else: a stream must not lead it to other files or hosts."""

FILE_FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg"
"""Containers that hold their own video: a playlist (HLS, ffconcat), under whatever name, would open other files."""

MAX_USERINFO = 127
"""FFmpeg (rtsp.c, ``auth[128]``) cuts a longer one off, and each try with half a password counts towards a lockout."""

_PROBE = {"analyzeduration": "500000", "probesize": "32768"}
"""Microseconds and bytes: a camera is up in one second instead of four."""

_SENTENCES = {
    Reason.REFUSED: "connection refused: nobody listens there",
    Reason.UNREACHABLE: "host not found, or no route to it",
    Reason.TIMEOUT: "no answer within {timeout:g} s",
    Reason.UNAUTHORIZED: "user name or password refused",
    Reason.NOT_FOUND: "no such stream",
    Reason.NOT_VIDEO: "what answers is no video stream that can be decoded",
    Reason.HANG: "no packet for {timeout:g} s",
    Reason.ENDED: "the stream ended",
    Reason.BROKEN: "the stream could not be read on",
}


class SourceError(Exception):
    """Why a source ended."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Where to read, and how long to wait. ``url`` holds no credentials."""

    url: str
    username: str = ""
    password: str = ""
    open_timeout_s: float = 5.0
    read_timeout_s: float = 5.0

    def __repr__(self) -> str:
        return "SourceOptions(...)"


@dataclass(slots=True)
class Tally:
    """Counters of a source, kept over all connections of a reader; only the reading thread writes."""

    connects: int = 0
    packets: int = 0
    bytes: int = 0
    frames: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame, still in the decoder's own format."""

    picture: av.VideoFrame
    pts_s: float
    captured_at: float
    """Wall clock at the arrival of the packet that completed it."""
    captured_mono_s: float


def read_frames(options: SourceOptions, tally: Tally, stop: threading.Event) -> Iterator[Frame]:
    """Connect and yield frames as they come. Returns when ``stop`` is set, else ends with SourceError."""
    scheme = urlsplit(options.url).scheme
    if scheme == "file":
        return _read_file(options, tally, stop)
    return _read_rtsp(options, tally, stop)


def _read_rtsp(options: SourceOptions, tally: Tally, stop: threading.Event) -> Iterator[Frame]:
    settings = {
        "rtsp_transport": "tcp",
        "timeout": str(int(options.read_timeout_s * 1e6)),
        "protocol_whitelist": PROTOCOLS["rtsp"],
        # Video only: an audio track costs a SETUP, its packets, and RTCP clocks that move pts.
        "allowed_media_types": "video",
        **_PROBE,
    }
    with _opened(_with_credentials(options), "rtsp", settings, options) as container:
        stream = _video(container)
        failure = _because(Reason.ENDED)
        try:
            asked_s = time.monotonic()
            for packet in container.demux(stream):
                arrived_s = time.monotonic()
                if stop.is_set():
                    return
                yield from _decode(packet, tally)
                # After a timeout FFmpeg hands out the packet that its parser held back, and would wait once more.
                if arrived_s - asked_s >= options.read_timeout_s:
                    failure = _because(Reason.HANG, options.read_timeout_s)
                    break
                asked_s = time.monotonic()
        except (av.error.FFmpegError, OSError) as error:
            # A read that PyAV's limit ended comes as an I/O error; only the time it took tells.
            is_late = time.monotonic() - asked_s >= 0.9 * options.read_timeout_s
            is_silence = is_late or isinstance(error, TimeoutError | av.error.ExitError)
            failure = _because(Reason.HANG if is_silence else Reason.BROKEN, options.read_timeout_s)
    raise failure


def _read_file(options: SourceOptions, tally: Tally, stop: threading.Event) -> Iterator[Frame]:
    """Read a file at its own pace; with ``?loop=1`` over and over, its pts counting on."""
    parts = urlsplit(options.url)
    loops = parse_qs(parts.query).get("loop", ["0"])[0] not in ("0", "false", "no")
    settings = {"protocol_whitelist": PROTOCOLS["file"], "format_whitelist": FILE_FORMATS}
    began: float | None = None
    end_s = -math.inf
    while True:
        failure: SourceError | None = None
        shift_s: float | None = None
        with _opened(unquote(parts.path), None, settings, options) as container:
            stream = _video(container)
            interval_s = float(1 / stream.average_rate) if stream.average_rate else 0.04
            try:
                for packet in container.demux(stream):
                    for frame in _decode(packet, tally):
                        if began is None:
                            began = time.monotonic() - frame.pts_s  # a recording may begin hours after its clock did
                            shift_s = 0.0
                        elif shift_s is None:
                            shift_s = end_s - frame.pts_s  # each pass goes on where the last one ended
                        pts_s = frame.pts_s + (shift_s or 0.0)
                        if stop.wait(max(0.0, began + pts_s - time.monotonic())):
                            return
                        end_s = max(end_s, pts_s + interval_s)
                        yield Frame(frame.picture, pts_s, time.time(), time.monotonic())
            except (av.error.FFmpegError, OSError):
                failure = _because(Reason.BROKEN)
        if failure or not loops:
            raise failure or _because(Reason.ENDED)
        if shift_s is None:
            raise _because(Reason.NOT_VIDEO)  # a pass without a frame would be followed by many


def _opened(
    url: str, format_name: str | None, settings: dict[str, str], options: SourceOptions
) -> av.container.InputContainer:
    """Open a stream or file.

    FFmpeg's own ``timeout`` ends silence, but a peer that drips a byte now and then, or sends RTCP without video, holds
    it for ever. PyAV's limits are for a whole opening and for a whole packet. Their callback takes the GIL at each
    poll: measured with 8 streams of 24 Mbit/s, 3 % of a core.
    """
    began = time.monotonic()
    limits_s = (options.open_timeout_s, options.read_timeout_s)
    try:
        # "replace": a camera's title in another encoding than UTF-8 is no reason to fail.
        return av.open(url, format=format_name, options=settings, timeout=limits_s, metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        failure = _opening(error, time.monotonic() - began, min(limits_s))
    raise failure


def _video(container: av.container.InputContainer) -> av.VideoStream:
    """Return the stream to decode, its decoder set to one thread: there are as many readers as cameras."""
    if not container.streams.video:
        raise _because(Reason.NOT_VIDEO)
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise _because(Reason.NOT_VIDEO)
    stream.codec_context.thread_count = 1
    return stream


def _decode(packet: "av.Packet[av.VideoStream]", tally: Tally) -> Iterator[Frame]:
    at, mono_s = time.time(), time.monotonic()
    if packet.size:
        tally.packets += 1
        tally.bytes += packet.size
    try:
        pictures = packet.decode()
    except av.error.EOFError:
        return
    except av.error.FFmpegError:
        # Usual after joining in mid-GOP, until the first key frame.
        tally.damaged += 1
        return
    for picture in pictures:
        if not isinstance(picture, av.VideoFrame):
            continue
        if picture.is_corrupt or picture.pts is None or picture.time_base is None:
            tally.damaged += 1
            continue
        tally.frames += 1
        yield Frame(picture, float(picture.pts * picture.time_base), at, mono_s)


def _with_credentials(options: SourceOptions) -> str:
    if not options.username:
        return options.url
    parts = urlsplit(options.url)
    # What RFC 3986 (3.2.1) lets stand in a userinfo stays as it is, for room is short.
    user = ":".join(quote(text, safe="!$&'()*+,;=") for text in (options.username, options.password))
    if len(user) > MAX_USERINFO:
        raise SourceError(
            Reason.UNAUTHORIZED, f"user name and password take {len(user)} characters in a URL, over {MAX_USERINFO}"
        )
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))


def _opening(error: Exception, took_s: float, timeout_s: float) -> SourceError:
    """Return why an attempt to open failed."""
    reason = Reason.NOT_VIDEO
    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            reason = Reason.UNAUTHORIZED
        case av.error.HTTPNotFoundError() | FileNotFoundError() | IsADirectoryError() | NotADirectoryError():
            reason = Reason.NOT_FOUND
        case av.error.HTTPError() | av.error.HTTPClientError() | av.error.HTTPServerError():
            reason = Reason.BROKEN
        case ConnectionRefusedError():
            reason = Reason.REFUSED
        case TimeoutError() | av.error.ExitError():
            reason = Reason.TIMEOUT
        # FFmpeg reports silence while opening as invalid data; only the time it took tells.
        case av.error.InvalidDataError() if took_s >= 0.9 * timeout_s:
            reason = Reason.TIMEOUT
        case PermissionError():
            return SourceError(Reason.NOT_FOUND, "no permission to read it")
        case ConnectionError() | BrokenPipeError():
            reason = Reason.ENDED
        case OSError() if error.errno in (errno.EIO, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN):
            reason = Reason.UNREACHABLE
        case OSError() if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
            return SourceError(Reason.BROKEN, f"this machine: {os.strerror(error.errno)}")
    return _because(reason, timeout_s)


def _because(reason: Reason, timeout_s: float = 0.0) -> SourceError:
    return SourceError(reason, _SENTENCES[reason].format(timeout=timeout_s))
