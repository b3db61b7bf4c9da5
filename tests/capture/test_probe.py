"""The test of one camera: a real process against a real server, its figures against what the clip is known to be."""

import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from capture.probe import to_jpeg
from capture.probemessages import Broken, ProbeAnswer, ProbeOrder, ProbeReport, Refusal, Snapshot, Step
from capture.words import Reason, Transport
from simulator.camera import CameraSpec
from simulator.demux import load_footage
from simulator.faults import Black, Close, Fast, Hang, Jump, Loss
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.clips import FPS, GOP, SIZE_WH, encode_clip, encode_jpegs, read_number

USER, PASSWORD = "admin", "s3:cr@t/pass %41"
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode_clip(tmp_path_factory.mktemp("probe") / "numbers.mp4", preset="veryfast")


@pytest.fixture(scope="module")
def footage(clip: Path) -> Footage:
    return load_footage(clip)


@pytest.fixture(scope="module")
def server(footage: Footage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    jpegs = load_footage(encode_jpegs(tmp_path_factory.mktemp("probe") / "numbers.mkv"))
    locked = CameraSpec("locked", footage, username=USER, password=PASSWORD)
    with ServerThread([CameraSpec("open", footage), locked, CameraSpec("jpegs", jpegs)]) as running:
        yield running


@pytest.fixture
def faulty(footage: Footage) -> Iterator[ServerThread]:
    with ServerThread([CameraSpec("bad", footage)]) as running:
        yield running


def probe(order: ProbeOrder | bytes) -> list[ProbeAnswer]:
    """All that the process says; it says nothing else, and never the password."""
    given = order if isinstance(order, bytes) else msgspec.json.encode(order)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "capture.probe"], input=given, capture_output=True, timeout=DEADLINE_S, check=False
    )
    assert done.stderr == b""
    assert PASSWORD.encode() not in done.stdout
    return [msgspec.json.decode(line, type=ProbeAnswer) for line in done.stdout.splitlines()]


def report_of(order: ProbeOrder) -> ProbeReport:
    report = probe(order)[-1]
    assert isinstance(report, ProbeReport), report
    return report


@pytest.mark.slow
def test_a_stream_is_measured_as_it_is(server: ServerThread) -> None:
    *steps, snapshot, report = probe(ProbeOrder(server.url("locked"), USER, PASSWORD, seconds=2.0))
    assert isinstance(report, ProbeReport)
    assert isinstance(snapshot, Snapshot)
    assert steps[0] == Step("connecting", Transport.TCP)
    assert all(isinstance(step, Step) and step.doing == "measuring" for step in steps[1:])
    coding = report.coding
    assert (coding.codec, coding.profile, coding.size_wh, coding.pixel_format) == ("h264", "High", SIZE_WH, "yuv420p")
    assert (coding.has_b_frames, coding.is_intra_only, coding.sizes) == (True, False, 1)
    assert report.rhythm.fps == pytest.approx(FPS, rel=0.05)
    assert report.key_frames.frames == GOP
    assert report.key_frames.longest_s == pytest.approx(GOP / FPS, rel=0.1)
    assert report.packets == pytest.approx(2.0 * FPS, rel=0.35)  # what came while it was opened, too
    assert report.frames == report.packets - report.joined
    assert (report.damaged, report.behind, report.clock.jumps, report.end) == (0, 0, 0, None)
    assert report.first_frame_s is not None
    assert 0 < report.connect_s <= report.first_packet_s <= report.first_frame_s
    assert report.bit_rate.most_bps >= report.bit_rate.mean_bps > 0
    assert report.cost.all_ms > report.cost.keys_ms > 0
    assert report.look is not None
    assert report.look.contrast > 50
    assert not report.look.is_unchanged
    with av.open(BytesIO(snapshot.jpeg)) as image:
        picture = next(image.decode(video=0))
    assert (picture.width, picture.height) == SIZE_WH
    assert 0 <= read_number(picture.to_ndarray(format="gray")) < 100


@pytest.mark.slow
@pytest.mark.parametrize("over", ["rtsp", "http"])
def test_mjpeg_has_key_frames_only(server: ServerThread, over: str) -> None:
    url = server.url("jpegs") if over == "rtsp" else server.mjpeg_url("jpegs")
    report = report_of(ProbeOrder(url, seconds=1.5))
    assert (report.coding.codec, report.coding.is_intra_only, report.key_frames.frames) == ("mjpeg", True, 1)
    assert report.rhythm.fps == pytest.approx(FPS, rel=0.15)
    assert report.cost.keys_ms == report.cost.all_ms
    assert report.clock.ratio is None


@pytest.mark.slow
def test_a_file_ends_by_itself(clip: Path) -> None:
    report = report_of(ProbeOrder(f"file:{clip}", seconds=30))
    assert report.end is not None
    assert report.end.reason is Reason.ENDED
    assert report.frames == 100


@pytest.mark.slow
def test_udp_is_what_is_asked_for(server: ServerThread) -> None:
    report = report_of(ProbeOrder(server.url("open"), transport=Transport.UDP, seconds=1.0))
    assert report.transport is Transport.UDP
    assert report.frames > 0


@pytest.mark.slow
def test_auto_goes_over_to_tcp_when_udp_loses(tmp_path: Path) -> None:
    # Without B-frames, and seldom: the gap that a lost frame leaves is seen between steps that are all alike.
    params = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0:threads=1"
    plain = load_footage(encode_clip(tmp_path / "plain.mp4", **{"x264-params": params}))
    with ServerThread([CameraSpec("bad", plain, fault=Loss(ratio=0.03))]) as lossy:
        report = report_of(ProbeOrder(lossy.url("bad"), transport=Transport.AUTO, seconds=4.6))
    assert report.transport is Transport.TCP
    assert "damaged" in report.udp_failure


@pytest.mark.slow
def test_frames_that_are_lost_whole_are_missing(faulty: ServerThread) -> None:
    faulty.set_fault("bad", Loss(ratio=0.2))
    report = report_of(ProbeOrder(faulty.url("bad"), transport=Transport.UDP, seconds=2.0))
    assert report.rhythm.missing > 5


@pytest.mark.parametrize(
    ("name", "username", "password", "reason"),
    [
        ("nowhere", "", "", Reason.NOT_FOUND),
        ("locked", "", "", Reason.UNAUTHORIZED),
        ("locked", USER, PASSWORD + "x", Reason.UNAUTHORIZED),
    ],
)
@pytest.mark.slow
def test_who_gives_no_video_says_why(
    server: ServerThread, name: str, username: str, password: str, reason: Reason
) -> None:
    *_, refusal = probe(ProbeOrder(server.url("locked").replace("locked", name), username, password))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason


@pytest.mark.slow
def test_a_wrong_password_is_tried_once_over_auto(server: ServerThread) -> None:
    answers = probe(ProbeOrder(server.url("locked"), USER, "wrong", transport=Transport.AUTO))
    assert [type(answer) for answer in answers] == [Step, Refusal]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason"), [(Hang(after_s=0.5), Reason.HANG), (Close(after_s=0.5), Reason.ENDED)], ids=str
)
def test_a_stream_that_breaks_off_is_reported_with_what_was_seen(
    faulty: ServerThread, fault: Hang | Close, reason: Reason
) -> None:
    faulty.set_fault("bad", fault)
    report = report_of(ProbeOrder(faulty.url("bad"), open_timeout_s=3.0, read_timeout_s=1.0, seconds=20.0))
    assert report.end is not None
    assert report.end.reason is reason
    assert report.frames > 0


@pytest.mark.slow
def test_a_clock_that_jumps_is_counted(faulty: ServerThread) -> None:
    faulty.set_fault("bad", Jump(after_s=0.8, by_s=3600.0))
    report = report_of(ProbeOrder(faulty.url("bad"), seconds=2.0))
    assert report.clock.jumps == 1
    assert report.rhythm.fps == pytest.approx(FPS, rel=0.1)


@pytest.mark.slow
def test_a_clock_that_runs_fast_is_measured(faulty: ServerThread) -> None:
    faulty.set_fault("bad", Fast(ratio=1.5))
    report = report_of(ProbeOrder(faulty.url("bad"), seconds=6.0))
    assert report.clock.ratio == pytest.approx(1.5, rel=0.1)


@pytest.mark.slow
def test_a_black_picture_is_seen(faulty: ServerThread) -> None:
    faulty.set_fault("bad", Black())
    report = report_of(ProbeOrder(faulty.url("bad"), seconds=1.5))
    assert report.look is not None
    assert report.look.mean_luma < 24
    assert report.look.contrast < 6


@pytest.mark.slow
def test_an_order_that_makes_no_sense_is_a_bug_told_without_its_text() -> None:
    [answer] = probe(b'{"url": 7, "password": "' + PASSWORD.encode() + b'"}')
    assert isinstance(answer, Broken)
    assert answer.error == "ValidationError"


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj422p", "nv12", "yuv420p10le", "gray"])
def test_a_snapshot_of_any_pixels(pixel_format: str) -> None:
    grey = np.full((64, 96, 3), 128, np.uint8)
    picture = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format=pixel_format)
    with av.open(BytesIO(to_jpeg(picture))) as image:
        read = next(image.decode(video=0)).to_ndarray(format="gray")
    assert read.shape == (64, 96)
    assert abs(float(read.mean()) - 128) < 4


def test_an_order_does_not_show_its_password() -> None:
    assert PASSWORD not in repr(ProbeOrder("rtsp://192.0.2.1/", USER, PASSWORD))
