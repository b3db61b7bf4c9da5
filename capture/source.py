"""A source: one connection to one camera, or one file, read to its end. Knows nothing of retries, nor of decoding.

Owned by the thread that reads it: only that thread opens, reads and closes (closing from another leaves the reader
blocked). Ends with a :class:`~capture.failures.SourceError`.
"""

import errno
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

import av
import av.error

from capture.failures import SourceError, because, while_opening
from capture.hardware import accelerator
from capture.pace import Pace
from capture.preflight import look_ahead
from capture.words import HwAccel, Reason, Transport

PROTOCOLS = {
    "rtsp": "rtsp,rtp,tcp,udp",
    "rtsps": "rtsp,rtp,tcp,tls",
    "http": "http,tcp",
    "https": "https,tls,tcp",
    "file": "file",
}
"""What FFmpeg may open for a source, and nothing else: a stream must not lead it to other files or hosts."""

FILE_FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg"
"""Containers that hold their own video: a playlist (HLS, ffconcat), under whatever name, would open other files."""

MAX_USERINFO = 127
"""FFmpeg (rtsp.c, ``auth[128]``) cuts a longer one off, and each try with half a password counts towards a lockout."""

MAX_PIXELS = 40_000_000
"""No camera's picture is larger; 8K has 33 million. FFmpeg would take 268 million, and of H.264 up to 17 such pictures
at once: 7 GiB, out of a stream of some hundred kilobytes."""

_PROBE = {"analyzeduration": "500000", "probesize": "32768"}
"""Microseconds and bytes: a camera is up in one second instead of four."""
_UDP = {
    "buffer_size": "1048576",  # bytes: a key frame comes as one burst
    "max_delay": "300000",  # microseconds that a packet out of order is waited for
}


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Where to read, and how long to wait. ``url`` holds no credentials; TCP or UDP is settled here, never ``auto``."""

    url: str
    username: str = ""
    password: str = ""
    open_timeout_s: float = 5.0
    read_timeout_s: float = 5.0
    transport: Transport = Transport.TCP
    hwaccel: HwAccel = HwAccel.NONE

    def __repr__(self) -> str:
        return "SourceOptions(...)"


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """When a packet came. Holds no packet: the decoder keeps it, and would keep that alive for ever."""

    pts_s: float
    """The camera's clock; it counts on over the passes of a file."""
    arrived_s: float
    """Monotonic."""
    lag_s: float = 0.0
    """How long it has waited on its way, as far as can be told (:mod:`capture.pace`)."""

    @property
    def captured_s(self) -> float:
        """When the camera sent it, monotonic, but for the way itself."""
        return self.arrived_s - self.lag_s


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A packet that has arrived."""

    packet: "av.Packet[av.VideoStream]" = field(repr=False)
    stamp: Stamp


class Source:
    """One open connection. Use as a context manager."""

    def __init__(self, options: SourceOptions) -> None:
        """Connect. Raises SourceError."""
        self.pace = Pace()
        self._options = options
        self._scheme = urlsplit(options.url).scheme
        self._url = _with_credentials(options)
        if self._scheme != "file":
            look_ahead(options.url, options.open_timeout_s, has_credentials=bool(options.username))
        self._container = _open(self._url, options, self._scheme)
        try:
            self.stream = _video(self._container)
        except SourceError:
            self._container.close()
            raise

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def is_hardware(self) -> bool:
        """Whether a hardware decoder is in use."""
        return bool(self.stream.codec_context.is_hwaccel)

    def arrivals(self, stop: threading.Event) -> Iterator[Arrival]:
        """Yield packets as they come. Returns when ``stop`` is set, else ends with SourceError."""
        return self._file(stop) if self._scheme == "file" else self._live(stop)

    def _live(self, stop: threading.Event) -> Iterator[Arrival]:
        timeout_s = self._options.read_timeout_s
        reason = Reason.ENDED
        tick_s = _tick_s(self.stream)
        pts_s = 0.0  # a stream's first packet may have none
        try:
            asked_s = time.monotonic()
            for packet in self._container.demux(self.stream):
                arrived_s = time.monotonic()
                if stop.is_set():
                    return
                # After a timeout FFmpeg hands out the packet that its parser held back, and would wait once more.
                is_late = arrived_s - asked_s >= timeout_s
                if packet.size:
                    known_s = None if packet.pts is None else packet.pts * tick_s
                    lag_s = self.pace.arrive(known_s, arrived_s)
                    pts_s = pts_s if known_s is None else known_s
                    yield Arrival(packet, Stamp(pts_s, arrived_s, lag_s))
                if is_late:
                    reason = Reason.HANG
                    break
                asked_s = time.monotonic()
        except (av.error.FFmpegError, OSError) as error:
            # A read that PyAV's limit ended comes as an I/O error; only the time it took tells.
            is_late = time.monotonic() - asked_s >= 0.9 * timeout_s
            is_silence = is_late or isinstance(error, TimeoutError | av.error.ExitError)
            # An answer over HTTP that is closed, whose end it did not tell (http.c: "Stream ends prematurely").
            is_end = self._scheme in ("http", "https") and error.errno == errno.EIO
            reason = Reason.HANG if is_silence else Reason.ENDED if is_end else Reason.BROKEN
        raise because(reason, timeout_s)

    def _file(self, stop: threading.Event) -> Iterator[Arrival]:
        """Read a file at its own pace; with ``?loop=1`` over and over, its pts counting on."""
        query = parse_qs(urlsplit(self._options.url).query)
        loops = query.get("loop", ["0"])[0] not in ("0", "false", "no")
        interval_s = float(1 / self.stream.average_rate) if self.stream.average_rate else 0.04
        began: float | None = None
        end_s = -math.inf
        while True:
            reason: Reason | None = None
            shift_s: float | None = None
            tick_s = _tick_s(self.stream)
            try:
                for packet in self._container.demux(self.stream):
                    sent = packet.pts if packet.dts is None else packet.dts
                    if not packet.size or sent is None:
                        continue
                    sent_s = sent * tick_s
                    if began is None:
                        began, shift_s = time.monotonic() - sent_s, 0.0  # its clock may have begun hours before
                    elif shift_s is None:
                        shift_s = end_s - sent_s  # each pass goes on where the last one ended
                    due_s = began + sent_s + (shift_s or 0.0)
                    if stop.wait(max(0.0, due_s - time.monotonic())):
                        return
                    end_s = sent_s + (shift_s or 0.0) + interval_s
                    pts_s = sent_s if packet.pts is None else packet.pts * tick_s
                    yield Arrival(packet, Stamp(pts_s + (shift_s or 0.0), due_s))
            except (av.error.FFmpegError, OSError):
                reason = Reason.BROKEN
            if reason is None and loops and shift_s is None:
                reason = Reason.NOT_VIDEO  # a pass without a packet would be followed by many
            if reason or not loops:
                raise because(reason or Reason.ENDED)
            self._container.close()
            self._container = _open(self._url, self._options, self._scheme)
            self.stream = _video(self._container)


def open_file(options: SourceOptions) -> tuple[av.container.InputContainer, av.VideoStream]:
    """Open a file that is read at another pace than its own; the caller closes it. Raises SourceError."""
    container = _open(options.url, options, "file")
    try:
        return container, _video(container)
    except SourceError:
        container.close()
        raise


def _tick_s(stream: av.VideoStream) -> float:
    """Return the unit of a stream's times, seconds. Asked of each packet, the fraction would cost 2.4 µs a time."""
    return float(stream.time_base or 0)


def _open(url: str, options: SourceOptions, scheme: str) -> av.container.InputContainer:
    """Open a stream or file.

    FFmpeg's own ``timeout`` ends silence, but a peer that drips a byte now and then, or sends RTCP without video, holds
    it for ever. PyAV's limits are for a whole opening and for a whole packet. Their callback takes the GIL at each
    poll: measured, 0.5 ms of CPU a second for a stream of 3 Mbit/s.
    """
    settings = {"protocol_whitelist": PROTOCOLS[scheme]}
    format_name = None
    match scheme:
        case "file":
            settings["format_whitelist"] = FILE_FORMATS
            url = unquote(urlsplit(url).path)
        case "http" | "https":
            format_name = "mpjpeg"
            # The parts carry no times: theirs is when they came.
            settings |= {"use_wallclock_as_timestamps": "1", "max_redirects": "0"}
        case _:
            format_name = "rtsp"
            # Video only: an audio track costs a SETUP, its packets, and RTCP clocks that move pts.
            settings |= {"rtsp_transport": options.transport.value, "allowed_media_types": "video"} | _PROBE
            settings |= _UDP if options.transport is Transport.UDP else {}
    if scheme != "file":
        settings["timeout"] = str(int(options.read_timeout_s * 1e6))
    began = time.monotonic()
    limits_s = (options.open_timeout_s, options.read_timeout_s)
    try:
        return av.open(
            url,
            format=format_name,
            options=settings,
            timeout=limits_s,
            metadata_errors="replace",  # a camera's title in another encoding than UTF-8 is no reason to fail
            hwaccel=accelerator(options.hwaccel),
        )
    except (av.error.FFmpegError, OSError) as error:
        failure = while_opening(error, time.monotonic() - began, min(limits_s))
    try:
        raise failure
    finally:
        del failure


def _video(container: av.container.InputContainer) -> av.VideoStream:
    """Return the stream to decode, its decoder set to one thread: there are as many readers as cameras."""
    stream = container.streams.video[0] if container.streams.video else None
    context = stream.codec_context if stream else None
    if stream is None or context is None:
        raise because(Reason.NOT_VIDEO)
    if context.width * context.height > MAX_PIXELS:
        raise SourceError(Reason.NOT_VIDEO, f"its picture of {context.width}x{context.height} is too large")
    context.thread_count = 1
    context.options = context.options | {"max_pixels": str(MAX_PIXELS)}  # it may grow in mid-stream
    return stream


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
