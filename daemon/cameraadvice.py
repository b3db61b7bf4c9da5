"""What the owner of a camera may do about what its test found: sentences, and lines for the roster. Pure.

No clock, no network, no secret: a target's url is taken as it may be shown.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from capture.decodepolicy import SLACK
from capture.pace import RATIO_TOLERANCE
from capture.probemessages import ProbeReport
from capture.transport import LOSS_RATIO
from capture.watch import BLACK_LUMA, BLIND_CONTRAST
from capture.words import DecodeMode, Transport
from daemon.cameratarget import Target

LARGE_H = 1080
"""Pictures of so many rows have a second stream that is meant for looking at them small."""
SLOW_S = 1.0
"""Packets that wait longer on their way are late."""
SLACK_FPS_RATIO = 0.95
IRREGULAR_RATIO = 0.5
"""Of a camera whose steps are so often unusual, long ones say nothing."""
COSTLY_MS = 250.0
"""A quarter of a core."""

SECOND_STREAMS = (
    (r"(?i)(/Streaming/Channels/[0-9]+)01$", r"\g<1>02"),  # Hikvision
    (r"(?i)(/cam/realmonitor\?.*subtype=)0", r"\g<1>1"),  # Dahua, Amcrest
    (r"(?i)(/(?:h26[45])?Preview_[0-9]+_)main$", r"\g<1>sub"),  # Reolink
    (r"(?i)^(/stream)1$", r"\g<1>2"),  # TP-Link
    (r"(?i)^(/video)Main$", r"\g<1>Sub"),  # Foscam
    (r"(?i)^(/media/video)1$", r"\g<1>2"),  # Uniview
    (r"(?i)^(/ch[0-9]*_)0(\.h264)?$", r"\g<1>1\g<2>"),  # many without a name
)
"""Makers' paths of the first stream, and how the second one is called."""


@dataclass(frozen=True, slots=True)
class RosterLine:
    """A key that is suggested."""

    key: str
    value: str
    why: str
    is_to_try: bool = False
    """Likely, but nobody has looked: written as a comment."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do."""

    sentences: tuple[str, ...] = ()
    lines: tuple[RosterLine, ...] = ()


def sleep_limit_s(target: Target) -> float:
    """Return how far apart the key frames of a camera that sleeps may be."""
    return SLACK / target.reading.idle_fps


def would_sleep(report: ProbeReport, target: Target) -> bool | None:
    """Return whether only key frames would be decoded while nothing moves; None if too little was seen."""
    if report.coding.is_intra_only:
        return True
    limit_s, keys = sleep_limit_s(target), report.key_frames
    if keys.at_least_s > limit_s:
        return False
    return None if keys.longest_s is None else keys.longest_s <= limit_s


def picture_fault(report: ProbeReport) -> str:
    """Return what is wrong with the picture; empty if nothing is."""
    look = report.look
    if look is None:
        return ""
    if look.contrast < BLIND_CONTRAST:
        return "black" if look.mean_luma < BLACK_LUMA else "blind"
    return "unchanged" if look.is_unchanged else ""


def second_stream(url: str) -> str | None:
    """Return what the maker of a camera with this url would call its second stream; None if that is not known."""
    parts = urlsplit(url)
    base, rest = f"{parts.scheme}://{parts.netloc}", parts.path + (f"?{parts.query}" if parts.query else "")
    for pattern, replacement in SECOND_STREAMS:
        found, count = re.subn(pattern, replacement, rest)
        if count:
            return base + found
    return None


def advise(report: ProbeReport, target: Target) -> Advice:
    """Return what the owner may do about a camera that answered."""
    lines: list[RosterLine] = []
    sentences = [
        *_on_end(report),
        *_on_transport(report, target, lines),
        *_on_key_frames(report, target, lines),
        *_on_size(report, target, lines),
        *_on_rhythm(report, target),
        *_on_clock(report),
        *_on_picture(report),
        *_on_secrets(target),
    ]
    return Advice(tuple(sentences), tuple(lines))


def _on_end(report: ProbeReport) -> Iterator[str]:
    if report.first_frame_s is None:
        keys = "no key frame was among them" if not report.key_frames.count else "none of them could be decoded"
        yield (
            f"{report.packets} packets came in {report.span_s:.0f} s, but no usable frame: {keys}. "
            "Wait longer with --seconds 60, or set the camera's I-frame interval to two seconds."
        )


def _on_transport(report: ProbeReport, target: Target, lines: list[RosterLine]) -> Iterator[str]:
    wanted = target.reading.transport
    # What is lost whole leaves a gap, and what follows it need not be flagged as damaged.
    missing = report.rhythm.missing if report.rhythm.irregular_ratio < IRREGULAR_RATIO else 0
    lost = (report.damaged + missing) / max(1, report.frames + report.damaged + missing)
    if report.udp_failure:
        lines.append(RosterLine("transport", "tcp", "UDP failed here"))
        yield f"UDP failed ({report.udp_failure}), TCP did not: ask for TCP at once with transport: tcp."
    elif report.transport is Transport.UDP and lost > LOSS_RATIO:
        lines.append(RosterLine("transport", "tcp", f"{100 * lost:.0f} % of the frames were lost or damaged over UDP"))
        yield f"{100 * lost:.0f} % of the frames were lost or damaged on their way over UDP: use transport: tcp."
    elif lost > LOSS_RATIO:
        yield (
            f"{100 * lost:.0f} % of the frames were missing or damaged though they came over TCP: the camera does that "
            "itself. Is it overloaded, or its network (Wi-Fi) too slow for its bit rate?"
        )
    elif wanted is not Transport.TCP and target.is_new:
        lines.append(RosterLine("transport", wanted.value, "as tested"))


def _on_key_frames(report: ProbeReport, target: Target, lines: list[RosterLine]) -> Iterator[str]:
    sleeps, keys, limit_s = would_sleep(report, target), report.key_frames, sleep_limit_s(target)
    if target.reading.decode is not DecodeMode.ADAPTIVE or report.first_frame_s is None:
        return
    if sleeps is None:
        yield "Too few key frames were seen to tell whether it would sleep: --seconds 30 tells."
    elif not sleeps:
        apart = f"{keys.longest_s or keys.at_least_s:.1f} s"
        apart = apart if keys.longest_s else f"more than {apart}"
        idle_hz = target.reading.idle_fps
        frames = f"{max(1, round(report.rhythm.fps / idle_hz))} frames or less" if report.rhythm.fps else "less"
        lines.append(RosterLine("decode", "all", f"its key frames are {apart} apart"))
        yield (
            f"Its key frames are {apart} apart, and to sleep they may be {limit_s:.1f} s: it is decoded all the time. "
            f"Set its I-frame interval (GOP) to {frames}, or say decode: all, which says the same without a warning."
        )


def _on_size(report: ProbeReport, target: Target, lines: list[RosterLine]) -> Iterator[str]:
    (w, h), (tile_w, tile_h) = report.coding.size_wh, target.tile_wh
    if report.coding.sizes > 1:
        yield f"The size of its picture changed while it was measured; it is {w}x{h} now."
    if h >= LARGE_H and h >= 2 * tile_h and not target.is_small and target.address.partition(":")[0] != "file":
        known = second_stream(target.shown_url)
        lines.append(
            RosterLine("detect_url", known or "rtsp://...", "its second stream, if it has one", is_to_try=True)
        )
        yield (
            f"Its picture of {w}x{h} is looked at as a tile of {tile_w}x{tile_h}: most of what decoding costs is for "
            "nothing. Give its second, smaller stream as detect_url"
            + (f", probably {known}." if known else "; the camera's page on video streams names it.")
        )
    elif report.cost.all_ms > COSTLY_MS:
        yield (
            f"Decoding all of it takes {report.cost.all_ms / 10:.0f} % of a core: a smaller size or fewer frames a "
            "second, set in the camera, would be cheaper."
        )


def _on_rhythm(report: ProbeReport, target: Target) -> Iterator[str]:
    rhythm = report.rhythm
    if 0 < rhythm.fps < SLACK_FPS_RATIO * target.fps:
        yield f"It sends {rhythm.fps:.1f} frames a second, and {target.fps:g} are to be analyzed: set its rate higher."
    if report.behind:
        yield (
            f"{report.behind} frames came faster than they could be decoded here and were left out: this machine is "
            "busy, or the stream too large for one core."
        )
    elif report.clock.most_lag_s > SLOW_S:
        yield (
            f"Packets were up to {report.clock.most_lag_s:.1f} s late: the network is slow or shared, "
            "or the camera is overloaded."
        )


def _on_clock(report: ProbeReport) -> Iterator[str]:
    clock = report.clock
    if clock.jumps:
        times = "once" if clock.jumps == 1 else f"{clock.jumps} times"
        yield f"Its clock jumped {times}: give it a time server (NTP) that it can reach."
    if clock.ratio is not None and abs(clock.ratio - 1.0) > RATIO_TOLERANCE:
        yield f"Its clock runs {clock.ratio:.2f} times as fast as ours: times of frames are taken from their arrival."


def _on_picture(report: ProbeReport) -> Iterator[str]:
    match picture_fault(report):
        case "black":
            yield "Its picture is black: is the lens covered, or the night without infrared?"
        case "blind":
            yield "Nothing can be told apart in its picture: is it covered, fogged or out of focus?"
        case "unchanged":
            yield (
                "Its picture did not change at all: after frozen_s of that it counts as frozen. Has its sensor "
                "stopped, or is it a drawing?"
            )


def _on_secrets(target: Target) -> Iterator[str]:
    if target.is_password_typed:
        yield (
            "The password in the url was to be seen in the process list, and stays in your shell's history: next time "
            "use --username and --password-env."
        )
    if target.is_password_written:
        yield (
            "The roster holds its password in the url: write it as username: and "
            f"password: ${{{target.password_name}}} beside it."
        )
    if target.is_new and "${" in target.shown_url:
        yield "Parts of the url that may be secret are ${NAME} below: put them where the password goes."
