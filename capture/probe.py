"""The test of one camera, in a process of its own: ``python -P -m capture.probe``.

Connects once as a reader would (the same source, preflight, timeouts, decoder) and measures. The order comes as JSON on
stdin, for it holds the password; the answers go to stdout, one JSON document a line (:mod:`capture.probemessages`).
A process of its own, because what comes is decoded, and may crash the decoder.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from statistics import median
from traceback import extract_tb
from typing import BinaryIO
from urllib.parse import urlsplit

import av
import av.error
import msgspec
from av.video.frame import PictureType

from capture import streamfigures
from capture.child import PR_SET_PDEATHSIG
from capture.decodepolicy import DecodePolicy, PolicyOptions
from capture.decoder import Decoder, Frame, Tally
from capture.failures import SourceError
from capture.motion import Motion, MotionGate
from capture.probemessages import (
    Broken,
    Coding,
    Cost,
    Look,
    ProbeAnswer,
    ProbeOrder,
    ProbeReport,
    Refusal,
    Snapshot,
    Step,
)
from capture.scaler import Scaler
from capture.source import Arrival, Source, SourceOptions
from capture.streamfigures import Heard
from capture.transport import TransportChoice
from capture.words import Reason

LOOK_S = 0.2
"""So often the picture is looked at, and the one who waits is told."""
KEYS_KEPT = 64
LEAST_LOOKS = 5
"""Fewer pictures do not tell that nothing changes."""
LEVEL_STEPS = {"h264": 10, "hevc": 30}
"""Units of a level in a stream: H.264 A.3, ``level_idc``; H.265 A.4, ``general_level_idc``."""
_JPEG_LAMBDA = 118
"""FFmpeg's unit of quality, FF_QP2LAMBDA."""
_JPEG_QUALITY = 4
_QSCALE = 2
"""AV_CODEC_FLAG_QSCALE."""

Tell = Callable[[ProbeAnswer], None]


@dataclass(slots=True)
class _Findings:
    """What one connection has shown so far."""

    began_s: float
    connect_s: float = 0.0
    heard: list[Heard] = field(default_factory=list)
    keys: list["av.Packet[av.VideoStream]"] = field(default_factory=list)
    looks: list[Motion] = field(default_factory=list)
    sizes: dict[tuple[int, int], None] = field(default_factory=dict)
    newest: Frame | None = None
    first_frame_s: float | None = None
    joined: int = 0
    has_b_frames: bool = False
    loop_s: float = 0.0
    """CPU time of all that was done while packets came."""
    decode_s: float = 0.0
    look_s: float = 0.0
    is_lossy: bool = False
    end: SourceError | None = None


class Probe:
    """One test. Belongs to the thread that made it."""

    def __init__(self, order: ProbeOrder, tell: Tell) -> None:
        self._order = order
        self._tell = tell
        self._choice = TransportChoice(order.transport)
        # Parts over HTTP carry no times, and FFmpeg rounds those of their arrival to 1/25 s; a file is paced by us.
        self._has_clock = urlsplit(order.url).scheme in ("rtsp", "rtsps")
        self._udp_failure = ""

    def run(self) -> ProbeReport | Refusal:
        """Connect and measure; where the transport is to be found out, over TCP too."""
        while True:
            transport = self._choice.now
            self._tell(Step("connecting", transport))
            tally = Tally()
            findings = _Findings(time.monotonic())
            report: ProbeReport | None = None
            try:
                with Source(self._options()) as source:
                    self._read(source, tally, findings)
                    # While the source is open: its decoder's settings are read.
                    report = None if findings.is_lossy else self._report(source, tally, findings)
            except SourceError as error:
                findings.end = error
            failure = findings.end
            if findings.is_lossy:
                self._udp_failure = f"{tally.damaged} of {tally.packets} frames were damaged by loss"
            elif failure and self._choice.fail(failure.reason, tally.frames):
                self._udp_failure = failure.detail
            else:
                if report is not None:
                    return report
                assert failure is not None
                return Refusal(failure.reason, failure.detail)

    def _options(self) -> SourceOptions:
        order = self._order
        return SourceOptions(
            order.url,
            order.username,
            order.password,
            order.open_timeout_s,
            order.read_timeout_s,
            self._choice.now,
            order.hwaccel,
        )

    def _read(self, source: Source, tally: Tally, findings: _Findings) -> None:
        """Read for as long as was asked, or until the stream ends."""
        findings.connect_s = time.monotonic() - findings.began_s
        context = source.stream.codec_context
        policy = DecodePolicy(PolicyOptions(is_intra_only=bool(context.codec.intra_only)))
        decoder = Decoder(source.stream, policy, tally, lambda _: True)
        gate, scaler = MotionGate(self._order.masks), Scaler((16, 16))
        cpu_s, look_at_s = time.thread_time(), 0.0
        try:
            for arrival in source.arrivals(threading.Event()):
                frame = self._take(arrival, decoder, tally, findings)
                now_s, began_s = arrival.stamp.arrived_s, findings.heard[0].arrived_s
                if now_s >= look_at_s:
                    look_at_s = now_s + LOOK_S
                    self._look(frame, gate, scaler, findings)
                    self._tell(Step("measuring", self._choice.now, now_s - began_s))
                    if self._choice.is_lossy(tally.damaged, tally.packets):
                        findings.is_lossy = True
                        break
                if now_s - began_s >= self._order.seconds:
                    break
        except SourceError as error:
            if not findings.heard:
                raise
            findings.end = error
        findings.loop_s = time.thread_time() - cpu_s
        for frame in decoder.close():
            _note(frame, findings, tally)

    def _take(self, arrival: Arrival, decoder: Decoder, tally: Tally, findings: _Findings) -> Frame | None:
        """Take a packet; return the last frame that came of it."""
        packet, stamp = arrival.packet, arrival.stamp
        sent_s = stamp.pts_s if self._has_clock else stamp.arrived_s
        findings.heard.append(Heard(sent_s, stamp.arrived_s, stamp.lag_s, packet.size, packet.is_keyframe))
        if packet.is_keyframe and len(findings.keys) < KEYS_KEPT:
            findings.keys.append(packet)
        before_s = time.thread_time()
        frames = list(decoder.feed(arrival))
        findings.decode_s += time.thread_time() - before_s
        for frame in frames:
            _note(frame, findings, tally)
        return frames[-1] if frames else None

    def _look(self, frame: Frame | None, gate: MotionGate, scaler: Scaler, findings: _Findings) -> None:
        if frame is not None:
            before_s = time.thread_time()
            findings.looks.append(gate.observe(scaler.luma(frame.picture), frame.stamp.arrived_s))
            findings.look_s += time.thread_time() - before_s

    def _report(self, source: Source, tally: Tally, findings: _Findings) -> ProbeReport | None:
        heard, jumps = findings.heard, source.pace.jumps
        if not heard:
            return None
        if findings.newest is not None:
            self._tell(Snapshot(to_jpeg(findings.newest.picture)))
        span_s = _span_s(heard, jumps)
        context = source.stream.codec_context
        keys_s, intra = keys_cost_s(context, findings.keys), bool(context.codec.intra_only)
        per_s = 1000.0 / span_s if span_s > 0 else 0.0
        kept = sum(packet.is_key for packet in heard) / max(1, len(findings.keys))
        end = findings.end
        return ProbeReport(
            transport=self._choice.now,
            connect_s=findings.connect_s,
            first_packet_s=heard[0].arrived_s - findings.began_s,
            first_frame_s=findings.first_frame_s,
            span_s=span_s,
            packets=tally.packets,
            frames=tally.frames,
            damaged=tally.damaged - findings.joined,
            joined=findings.joined,
            behind=tally.behind,
            coding=_coding(source, findings),
            rhythm=streamfigures.rhythm(heard, jumps),
            key_frames=streamfigures.key_frames(heard, jumps),
            bit_rate=streamfigures.bit_rate(heard, jumps),
            clock=streamfigures.clock(heard, jumps, source.pace.clock_ratio, has_clock=self._has_clock),
            cost=Cost(
                receive_ms=max(0.0, findings.loop_s - findings.decode_s - findings.look_s) * per_s,
                all_ms=findings.decode_s * per_s,
                keys_ms=(findings.decode_s if intra else keys_s * kept) * per_s,
            ),
            look=_looked(findings.looks),
            udp_failure=self._udp_failure,
            end=Refusal(end.reason, end.detail) if end else None,
        )


def _span_s(heard: list[Heard], jumps: int) -> float:
    times_s = streamfigures.times_s(heard, jumps)
    return (max(times_s) - min(times_s)) * len(heard) / max(1, len(heard) - 1)


def _note(frame: Frame, findings: _Findings, tally: Tally) -> None:
    """Take note of a frame that may be used."""
    picture = frame.picture
    if findings.first_frame_s is None:
        findings.first_frame_s = time.monotonic() - findings.began_s
        findings.joined = tally.damaged
    findings.newest = frame
    findings.sizes.pop((picture.width, picture.height), None)
    findings.sizes[picture.width, picture.height] = None  # the newest last
    findings.has_b_frames = findings.has_b_frames or picture.pict_type == PictureType.B


def _coding(source: Source, findings: _Findings) -> Coding:
    context = source.stream.codec_context
    name, newest = context.codec.name, findings.newest
    level = context.level if context.level and context.level > 0 else 0
    step = LEVEL_STEPS.get(name)
    return Coding(
        codec=name,
        profile=context.profile or "",
        level=f"{level / step:.1f}" if step and level else "",
        pixel_format=newest.picture.format.name if newest else (context.pix_fmt or ""),
        size_wh=next(reversed(findings.sizes), (context.width, context.height)),
        sizes=max(1, len(findings.sizes)),
        has_b_frames=findings.has_b_frames,
        is_intra_only=bool(context.codec.intra_only),
        is_hardware=source.is_hardware,
    )


def _looked(looks: list[Motion]) -> Look | None:
    if not looks:
        return None
    known = [look for look in looks if not look.is_fresh]
    return Look(
        mean_luma=median(look.mean_luma for look in looks),
        contrast=median(look.contrast for look in looks),
        moving_ratio=sum(look.is_moving for look in known) / max(1, len(known)),
        is_unchanged=len(known) >= LEAST_LOOKS and all(look.is_identical for look in known),
    )


def keys_cost_s(stream: av.VideoCodecContext, keys: list["av.Packet[av.VideoStream]"]) -> float:
    """Return the CPU time that it takes to decode key frames alone, as a camera's that sleeps are."""
    context = av.CodecContext.create(stream.codec.name, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.extradata, context.thread_count = stream.extradata, 1
    before_s = time.thread_time()
    for packet in keys:
        with suppress(av.error.FFmpegError):
            if not context.decode(packet):
                context.decode(None)
                context.flush_buffers()
    return time.thread_time() - before_s


def to_jpeg(picture: av.VideoFrame) -> bytes:
    """Return the picture as it came, as a JPEG file. Raises SourceError where its pixels cannot be converted."""
    try:
        image = picture.reformat(format="yuvj420p", threads=1)
        context = av.CodecContext.create("mjpeg", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = image.width, image.height, "yuvj420p"
        context.time_base, context.thread_count = Fraction(1, 25), 1
        context.flags |= _QSCALE
        context.global_quality = _JPEG_QUALITY * _JPEG_LAMBDA
        image.pts = 0
        return b"".join(bytes(packet) for packet in [*context.encode(image), *context.encode(None)])
    except (av.error.FFmpegError, ValueError):
        pass
    raise SourceError(Reason.NOT_VIDEO, f"cannot convert from {picture.format.name}")


def serve(order: BinaryIO, answers: BinaryIO) -> int:
    """Carry out the one order; return the process's exit code."""

    def tell(answer: ProbeAnswer) -> None:
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()

    try:
        tell(Probe(msgspec.json.decode(order.read(), type=ProbeOrder), tell).run())
    except Exception as error:  # noqa: BLE001 - the top of the process: report and end
        frames = extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        tell(Broken(type(error).__name__, where))
        return 1
    return 0


def main() -> None:
    """Entry point."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # libraries print where they like
        code = serve(sys.stdin.buffer, answers)
    sys.exit(code)


if __name__ == "__main__":
    main()
