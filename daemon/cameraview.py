"""The test of a camera as a person reads it: lines of a table, and the roster's lines in YAML. Pure."""

import re

import yaml

from capture.probemessages import ProbeReport
from capture.words import DecodeMode, Transport
from daemon.cameraadvice import Advice, RosterLine, picture_fault, sleep_limit_s, would_sleep
from daemon.cameratarget import Target
from daemon.problems import printable

_LABEL_WIDTH = 14


def heading(target: Target, transport: Transport) -> str:
    """Return who answered, and over what."""
    scheme = target.address.partition(":")[0]
    over = {"rtsp": f" over {transport.value.upper()}", "rtsps": " over TLS", "https": " over TLS"}.get(scheme, "")
    return f"{target.name}: {target.address}{over}" + (" (its detect_url)" if target.is_small else "")


def table(report: ProbeReport, target: Target) -> str:
    """Return what was measured, one line for each of it."""
    rows = (
        ("stream", _stream(report)),
        ("frame rate", _rhythm(report)),
        ("key frames", _key_frames(report)),
        (
            "bit rate",
            f"{_mbit(report.bit_rate.mean_bps)} Mbit/s, {_mbit(report.bit_rate.most_bps)} in its largest second",
        ),
        ("first packet", _first(report)),
        ("damaged", _damaged(report)),
        ("clock", _clock(report)),
        ("picture", _picture(report)),
        ("adaptive", _sleep(report, target)),
        ("decoding", _cost(report)),
    )
    return "\n".join(f"  {label:<{_LABEL_WIDTH}}{printable(text)}" for label, text in rows)


def snippet(target: Target, advice: Advice) -> str:
    """Return the roster's lines in YAML: all of a new camera, else what is to be changed; empty if that is nothing."""
    if not target.is_new and not advice.lines:
        return ""
    entries: list[str] = []
    if target.is_new:
        entries.append(f"url: {_scalar(target.shown_url)}")
        if target.username:
            entries.append(f"username: {_scalar(target.username.replace('$', '$$'))}")
        if target.password_name:
            entries.append(f"password: ${{{target.password_name}}}")
    entries += map(_line, advice.lines)
    return "\n".join(("cameras:", f"  {_scalar(target.name)}:", *(f"    {entry}" for entry in entries)))


def secrets_needed(lines: str) -> tuple[str, ...]:
    """Return the names that the roster's lines refer to."""
    return tuple(dict.fromkeys(re.findall(r"(?<!\$)\$\{([^}]*)\}", lines)))


def _line(line: RosterLine) -> str:
    comment = f"  # {line.why}" if line.why else ""
    return f"{'# ' if line.is_to_try else ''}{line.key}: {_scalar(line.value)}{comment}"


def _scalar(text: str) -> str:
    return yaml.safe_dump(text, width=1 << 16, allow_unicode=True).removesuffix("\n").removesuffix("\n...")


def _mbit(bps: float) -> str:
    return f"{bps / 1e6:.1f}" if bps >= 1e5 else f"{bps / 1e6:.2f}"


def _stream(report: ProbeReport) -> str:
    coding = report.coding
    name = {"h264": "H.264", "hevc": "H.265", "mjpeg": "MJPEG"}.get(coding.codec, coding.codec)
    words = " ".join(filter(None, (name, coding.profile, coding.level and f"level {coding.level}")))
    w, h = coding.size_wh
    more = f", {coding.sizes} sizes" if coding.sizes > 1 else ""
    return f"{words}, {w}x{h}{more}, {coding.pixel_format}" + (", decoded by hardware" if coding.is_hardware else "")


def _rhythm(report: ProbeReport) -> str:
    rhythm = report.rhythm
    if not rhythm.fps:
        return "not known"
    regular = "regular" if rhythm.irregular_ratio < 0.02 else f"{100 * rhythm.irregular_ratio:.0f} % of steps irregular"
    missing = f", {rhythm.missing} missing" if rhythm.missing else ""
    return f"{rhythm.fps:.1f} a second, {regular}{missing}; longest wait {rhythm.longest_wait_s:.2f} s"


def _key_frames(report: ProbeReport) -> str:
    keys = report.key_frames
    if report.coding.is_intra_only:
        return "every frame stands alone"
    b_frames = "B-frames" if report.coding.has_b_frames else "no B-frames"
    if keys.frames is None or keys.longest_s is None:
        seen = {0: "none", 1: "one"}.get(keys.count, str(keys.count))
        return f"{seen} in {report.span_s:.0f} s; {b_frames}"
    most = f", at most {keys.most_frames}" if keys.most_frames != keys.frames else ""
    return f"every {keys.frames} frames{most}, {keys.longest_s:.1f} s; {b_frames}"


def _first(report: ProbeReport) -> str:
    frame = (
        f"first usable frame {report.first_frame_s:.2f} s" if report.first_frame_s is not None else "no usable frame"
    )
    waited = f" ({report.joined} before it)" if report.joined else ""
    return f"after {report.first_packet_s:.2f} s, {frame}{waited}"


def _damaged(report: ProbeReport) -> str:
    behind = f", {report.behind} left out to keep up" if report.behind else ""
    return f"{report.damaged} of {report.frames + report.damaged} frames{behind}"


def _clock(report: ProbeReport) -> str:
    clock = report.clock
    ratio = f"{clock.ratio:.3f} of ours, " if clock.ratio is not None else ""
    jumps = {0: "no jumps", 1: "1 jump"}.get(clock.jumps, f"{clock.jumps} jumps")
    return f"{ratio}{jumps}; lag {clock.lag_s:.2f} s, at most {clock.most_lag_s:.2f} s"


def _picture(report: ProbeReport) -> str:
    look = report.look
    if look is None:
        return "none seen"
    verdict = {"": "", "black": ": black", "blind": ": blind", "unchanged": ": unchanged"}[picture_fault(report)]
    moving = (
        "nothing moves" if not look.moving_ratio else f"something moves {100 * look.moving_ratio:.0f} % of the time"
    )
    return f"mean luma {look.mean_luma:.0f}, contrast {look.contrast:.0f}{verdict}; {moving}"


def _sleep(report: ProbeReport, target: Target) -> str:
    mode = target.reading.decode
    note = "" if mode is DecodeMode.ADAPTIVE else f" (it has decode: {mode.value})"
    wants = f"idle_fps {target.reading.idle_fps:g} wants key frames {sleep_limit_s(target):.1f} s apart at most"
    match would_sleep(report, target):
        case True:
            return f"sleeps while nothing moves{note}"
        case False:
            return f"never sleeps: {wants}{note}"
    return f"not known yet: {wants}{note}"


def _cost(report: ProbeReport) -> str:
    cost = report.cost
    keys = "" if report.coding.is_intra_only else f", {cost.keys_ms:.1f} ms for key frames alone"
    return f"{cost.all_ms:.0f} ms of CPU a second for all frames{keys}; receiving {cost.receive_ms:.0f} ms"
