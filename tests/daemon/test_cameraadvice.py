"""What is advised, by tables: a report that is good but for one thing, and the sentence and roster line it gets."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from capture.messages import Reading
from capture.probemessages import (
    BitRate,
    Clock,
    Coding,
    Cost,
    KeyFrames,
    Look,
    ProbeOrder,
    ProbeReport,
    Refusal,
    Rhythm,
)
from capture.words import DecodeMode, Reason, Transport
from daemon.cameraadvice import advise, picture_fault, second_stream, would_sleep
from daemon.cameraremedies import remedies
from daemon.cameratarget import Target
from daemon.cameraview import heading, secrets_needed, snippet, table
from daemon.roster import parse_roster
from daemon.secrets import SecretSources

GOOD = ProbeReport(
    transport=Transport.TCP,
    connect_s=0.2,
    first_packet_s=0.3,
    first_frame_s=0.4,
    span_s=10.0,
    packets=250,
    frames=250,
    damaged=0,
    joined=0,
    behind=0,
    coding=Coding("h264", "Main", "3.0", "yuv420p", (640, 360)),
    rhythm=Rhythm(25.0, 0.0, 0, 0.06),
    key_frames=KeyFrames(6, 50, 50, 2.0, 2.0),
    bit_rate=BitRate(1e6, 2e6),
    clock=Clock(1.0, 0, 0.01, 0.05),
    cost=Cost(2.0, 20.0, 1.0),
    look=Look(110.0, 45.0, 0.0, False),
)
ORDER = ProbeOrder("rtsp://192.0.2.11/stream1")
TARGET = Target("gate", "rtsp://192.0.2.11", ORDER, shown_url="rtsp://192.0.2.11/stream1")


def but(**changes: Any) -> ProbeReport:
    """The good report with these fields of it, or of its parts (`clock={"jumps": 1}`), changed."""
    made = {
        key: msgspec.structs.replace(getattr(GOOD, key), **value) if isinstance(value, Mapping) else value
        for key, value in changes.items()
    }
    return msgspec.structs.replace(GOOD, **made)


def target(**changes: Any) -> Target:
    """The camera of these tests, a little changed."""
    wanted = {key: changes.pop(key) for key in list(changes) if key in Reading.__struct_fields__}
    reading = msgspec.structs.replace(TARGET.reading, **wanted)
    fields = {name: getattr(TARGET, name) for name in Target.__dataclass_fields__}
    return Target(**{**fields, "reading": reading, **changes})


def test_a_good_camera_gets_no_advice() -> None:
    advice = advise(GOOD, TARGET)
    assert (advice.sentences, advice.lines) == ((), ())
    assert snippet(TARGET, advice) == ""


LONG = {"frames": 250, "most_frames": 250, "longest_s": 10.0, "at_least_s": 10.0, "count": 2}
ONE = {"frames": None, "most_frames": None, "longest_s": None, "at_least_s": 9.5, "count": 1}
LARGE = {"size_wh": (1920, 1080)}


@pytest.mark.parametrize(
    ("report", "on", "words", "lines"),
    [
        (but(key_frames=LONG), TARGET, "key frames are 10.0 s apart", ["decode: all"]),
        (but(key_frames=LONG), TARGET, "(GOP) to 50 frames or less", ["decode: all"]),
        (but(key_frames=ONE), TARGET, "more than 9.5 s apart", ["decode: all"]),
        (but(key_frames=ONE | {"at_least_s": 1.0}), TARGET, "--seconds 30 tells", []),
        (but(coding=LARGE), TARGET, "1920x1080 is looked at as a tile of 416x256", ["detect_url: rtsp://192.0.2.11/stream2"]),
        (but(coding=LARGE), target(shown_url="rtsp://h/x"), "page on video streams names it", ["detect_url: rtsp://..."]),
        (but(coding={"sizes": 2}), TARGET, "changed while it was measured", []),
        (but(cost={"all_ms": 400.0}), TARGET, "40 % of a core", []),
        (but(transport=Transport.UDP, damaged=30), TARGET, "lost or damaged on their way over UDP", ["transport: tcp"]),
        (but(transport=Transport.UDP, rhythm={"missing": 20}), TARGET, "7 % of the frames", ["transport: tcp"]),
        (but(damaged=30), TARGET, "missing or damaged though they came over TCP", []),
        (but(udp_failure="no packet for 5 s"), TARGET, "UDP failed (no packet for 5 s)", ["transport: tcp"]),
        (but(rhythm={"fps": 2.0}), TARGET, "2.0 frames a second, and 5 are to be analyzed", []),
        (but(behind=7), TARGET, "7 frames came faster", []),
        (but(clock={"most_lag_s": 2.5}), TARGET, "up to 2.5 s late", []),
        (but(clock={"jumps": 1}), TARGET, "Its clock jumped once", []),
        (but(clock={"ratio": 1.25}), TARGET, "1.25 times as fast as ours", []),
        (but(look={"mean_luma": 16.0, "contrast": 0.5}), TARGET, "picture is black", []),
        (but(look={"contrast": 3.0}), TARGET, "covered, fogged or out of focus", []),
        (but(look={"is_unchanged": True}), TARGET, "did not change at all", []),
        (but(first_frame_s=None, frames=0, key_frames={"count": 0}), TARGET, "no key frame was among them", []),
        (but(first_frame_s=None, frames=0), TARGET, "none of them could be decoded", []),
        (GOOD, target(is_password_typed=True), "--password-env", []),
        (GOOD, target(is_password_written=True, password_name="GATE_P"), "password: ${GATE_P} beside it", []),
        (GOOD, target(is_new=True, transport=Transport.AUTO), "", ["transport: auto"]),
    ],
)  # fmt: skip
def test_advice(report: ProbeReport, on: Target, words: str, lines: list[str]) -> None:
    advice = advise(report, on)
    assert words in " ".join(advice.sentences)
    assert [f"{line.key}: {line.value}" for line in advice.lines] == lines


@pytest.mark.parametrize(
    ("report", "on"),
    [
        (but(coding={"size_wh": (1920, 1080)}), target(is_small=True)),
        (but(coding={"size_wh": (1920, 1080)}), target(address="file:/srv/a.mp4")),
        (but(coding={"size_wh": (1920, 1080)}), target(tile_wh=(1024, 768))),
        (but(key_frames=LONG), target(decode=DecodeMode.ALL)),
        (but(key_frames=LONG), target(idle_fps=0.1)),
        (but(key_frames=ONE, coding={"is_intra_only": True}), TARGET),
    ],
)
def test_no_advice_where_it_would_be_wrong(report: ProbeReport, on: Target) -> None:
    assert advise(report, on).lines == ()


@pytest.mark.parametrize(
    ("keys", "idle_fps", "sleeps"),
    [
        ({}, 0.5, True),
        ({"longest_s": 2.4, "at_least_s": 2.4}, 0.5, True),
        ({"longest_s": 2.6, "at_least_s": 2.6}, 0.5, False),
        ({}, 1.0, False),
        (ONE, 0.5, False),
        (ONE, 0.1, None),
    ],
)
def test_would_sleep(keys: Mapping[str, Any], idle_fps: float, sleeps: bool | None) -> None:
    assert would_sleep(but(key_frames=keys), target(idle_fps=idle_fps)) is sleeps


def test_a_picture_that_was_not_seen_has_no_fault() -> None:
    assert picture_fault(but(look=None)) == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("rtsp://h:554/Streaming/Channels/101", "rtsp://h:554/Streaming/Channels/102"),
        ("rtsp://h/Streaming/Channels/1601", "rtsp://h/Streaming/Channels/1602"),
        ("rtsp://h/cam/realmonitor?channel=2&subtype=0", "rtsp://h/cam/realmonitor?channel=2&subtype=1"),
        ("rtsp://h/h264Preview_01_main", "rtsp://h/h264Preview_01_sub"),
        ("rtsp://h/Preview_01_main", "rtsp://h/Preview_01_sub"),
        ("rtsp://h/stream1", "rtsp://h/stream2"),
        ("rtsp://h/videoMain", "rtsp://h/videoSub"),
        ("rtsp://h/media/video1", "rtsp://h/media/video2"),
        ("rtsp://h/ch0_0.h264", "rtsp://h/ch0_1.h264"),
        ("rtsp://h/Streaming/Channels/102", None),
        ("rtsp://h/stream10", None),
        ("rtsp://h/live", None),
    ],
)
def test_second_stream(first: str, second: str | None) -> None:
    assert second_stream(first) == second


@pytest.mark.parametrize("address", ["rtsp://192.0.2.11:8554", "rtsps://h", "http://h:8080", "file:/srv/a.mp4"])
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_remedy(reason: Reason, address: str) -> None:
    for on in (
        target(address=address),
        target(address=address, is_new=True, order=ProbeOrder("", "viewer", "hunter2")),
    ):
        found = remedies(Refusal(reason, ""), on)
        assert found
        assert not any("hunter2" in line or "None" in line for line in found)


@pytest.mark.parametrize(
    ("reason", "on", "words"),
    [
        (Reason.REFUSED, target(address="rtsp://h:8554"), "It is 8554 here; usually 554"),
        (Reason.REFUSED, target(address="rtsps://h"), "It is 322 here"),
        (Reason.UNREACHABLE, target(address="rtsp://gate.example:554"), "`ping gate.example`"),
        (Reason.UNAUTHORIZED, target(is_new=True), "--password-env"),
        (Reason.UNAUTHORIZED, target(name="front-door"), "password: ${FRONT_DOOR_PASSWORD}"),
        (Reason.UNAUTHORIZED, target(order=ProbeOrder("", "u", "p")), "lock an account"),
        (Reason.NOT_FOUND, TARGET, "Hikvision: /Streaming/Channels/101"),
        (Reason.NOT_FOUND, target(address="file:/a.mp4"), "right and absolute"),
        (Reason.HANG, target(order=ProbeOrder("", transport=Transport.UDP)), "--transport tcp"),
        (Reason.NOT_VIDEO, target(address="http://h"), "only MJPEG"),
        (Reason.ENDED, target(address="file:/a.mp4"), "?loop=1"),
    ],
)
def test_remedy(reason: Reason, on: Target, words: str) -> None:
    assert words in "\n".join(remedies(Refusal(reason, ""), on))


def test_lines_of_a_new_camera_are_a_roster() -> None:
    on = target(
        is_new=True,
        name="on",  # a word that YAML may read as another
        shown_url="rtsp://192.0.2.11/s?channel=1&key=${ON_KEY}",
        username="o'br: #ien$",
        password_name="ON_PASSWORD",
        transport=Transport.UDP,
    )
    advice = advise(but(coding={"size_wh": (3840, 2160)}, key_frames=LONG, transport=Transport.UDP), on)
    lines = snippet(on, advice)
    sources = SecretSources(environ={"ON_PASSWORD": "hunter2", "ON_KEY": "k"})
    roster = parse_roster(lines, file="r", mosaic_fps=5, sources=sources).require()
    [camera] = roster.cameras
    assert camera.name == "on"
    assert camera.url.reveal() == "rtsp://192.0.2.11/s?channel=1&key=k"
    assert camera.username is not None
    assert camera.username.reveal() == "o'br: #ien$"
    assert camera.password is not None
    assert camera.password.reveal() == "hunter2"
    assert (camera.reading.transport, camera.reading.decode, camera.detect_url) == (Transport.UDP, DecodeMode.ALL, None)
    assert "# detect_url: rtsp://..." in lines
    assert secrets_needed(lines) == ("ON_KEY", "ON_PASSWORD")


def test_lines_of_a_known_camera_are_what_changes() -> None:
    advice = advise(but(udp_failure="x"), TARGET)
    assert snippet(TARGET, advice) == "cameras:\n  gate:\n    transport: tcp  # UDP failed here"


@pytest.mark.parametrize(
    ("address", "small", "text"),
    [
        ("rtsp://h:554", False, "gate: rtsp://h:554 over UDP"),
        ("rtsps://h", True, "gate: rtsps://h over TLS (its detect_url)"),
        ("http://h", False, "gate: http://h"),
        ("file:/a.mp4", False, "gate: file:/a.mp4"),
    ],
)
def test_heading(address: str, small: bool, text: str) -> None:
    assert heading(target(address=address, is_small=small), Transport.UDP) == text


@pytest.mark.parametrize(
    ("report", "on", "line"),
    [
        (GOOD, TARGET, "stream        H.264 Main level 3.0, 640x360, yuv420p"),
        (GOOD, TARGET, "frame rate    25.0 a second, regular; longest wait 0.06 s"),
        (but(rhythm={"irregular_ratio": 0.3, "missing": 4}), TARGET, "30 % of steps irregular, 4 missing"),
        (but(rhythm={"fps": 0.0}), TARGET, "frame rate    not known"),
        (GOOD, TARGET, "every 50 frames, 2.0 s; no B-frames"),
        (but(coding={"has_b_frames": True}), TARGET, "2.0 s; B-frames"),
        (but(key_frames={"most_frames": 80}), TARGET, "50 frames, at most 80, 2.0 s"),
        (but(key_frames=ONE), TARGET, "key frames    one in 10 s"),
        (but(coding={"is_intra_only": True}), TARGET, "every frame stands alone"),
        (GOOD, TARGET, "1.0 Mbit/s, 2.0 in its largest second"),
        (but(bit_rate={"mean_bps": 4e4}), TARGET, "0.04 Mbit/s"),
        (but(first_frame_s=None), TARGET, "after 0.30 s, no usable frame"),
        (but(joined=12), TARGET, "first usable frame 0.40 s (12 before it)"),
        (but(damaged=5, behind=2), TARGET, "5 of 255 frames, 2 left out to keep up"),
        (GOOD, TARGET, "1.000 of ours, no jumps; lag 0.01 s, at most 0.05 s"),
        (but(clock={"ratio": None, "jumps": 2}), TARGET, "clock         2 jumps"),
        (GOOD, TARGET, "mean luma 110, contrast 45; nothing moves"),
        (but(look={"contrast": 1.0}), TARGET, "contrast 1: blind"),
        (but(look=None), TARGET, "none seen"),
        (GOOD, TARGET, "adaptive      sleeps while nothing moves"),
        (GOOD, target(decode=DecodeMode.ALL), "sleeps while nothing moves (it has decode: all)"),
        (but(key_frames=LONG), TARGET, "never sleeps: idle_fps 0.5 wants key frames 2.5 s apart at most"),
        (GOOD, TARGET, "20 ms of CPU a second for all frames, 1.0 ms for key frames alone; receiving 2 ms"),
    ],
)  # fmt: skip
def test_table(report: ProbeReport, on: Target, line: str) -> None:
    assert line in table(report, on)


def test_what_a_stream_calls_itself_cannot_paint_the_terminal() -> None:
    assert "\x1b" not in table(but(coding={"profile": "Main\x1b[2J"}), TARGET)
