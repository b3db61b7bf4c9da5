"""Every fault that a camera can have, in one run among cameras that have none: seen in time, told once, over in time.

Thirty cameras misbehave beside ten that do not. What each must do is a table; one run of the daemon gives the story
of all of them, which the tests then read. Log lines are exact to the millisecond; metrics are up to two seconds old.
"""

import socket
import socketserver
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from capture.backoff import Backoff
from simulator import faults
from simulator.camera import CameraSpec
from simulator.colours import SMALL_WH
from simulator.faults import Fault, Redirect
from simulator.thread import ServerThread
from tests.system.colours import Model
from tests.system.stage import Watch, moving_clip, running, small_settings, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.slow]

RATE = 5.0
GOOD = tuple(f"good-{i}" for i in range(10))
OPEN_S, READ_S, STALE_S = 2.0, 5.0, 2.0
SLACK_S = 2.0
"""What a busy machine may add to anything."""
METRICS_S = 2.0
"""Age of a metric at most: a process reports once a second, and so does the daemon."""
SETTLE_S = 5.0
"""Before the faults begin: what is usual of a camera has to be known first."""
NETWORK, PATIENT = Backoff(1.0, 10.0), Backoff(5.0, 60.0)
CLOCK_S = 35.0
"""A clock is judged over two windows of ten seconds, after a first one."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault: how it is provoked, and what must come of it."""

    name: str
    fault: Fault | None
    """None: the camera has had it from the start, or is no camera of the simulator."""
    down: tuple[str, ...] = ()
    """Reasons told by the log, once each and in this order; none: the camera stays up all the time."""
    maybe: tuple[str, ...] = ()
    """Reasons that may be told after these, by where in a try the fault ends."""
    flaw: str = ""
    notice: str = ""
    count: str = ""
    """A metric that counts it."""
    within_s: float = 3.0
    """From the fault's begin to the last of what it must be seen by."""
    lasts_s: float = 6.0
    retry: Backoff | None = None
    """Recovers with its next try; else within two seconds."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    roster: Mapping[str, Any] = field(default_factory=dict)
    is_stall: bool = False
    """It stands still without any failure: only ``up`` and ``state`` tell."""


LOCKED = {"username": "admin", "password": "geheim-hunter2"}
WITH_PASSWORD: Mapping[str, Any] = {"spec": LOCKED, "roster": LOCKED}
QUICK = {"clip": "quick"}
AUTO = {"transport": "auto"}
CASES = (
    # Nobody gets at the stream: it ends, and the next try, a second later, says why.
    Case("refuse", faults.Refuse(), ("ended", "refused"), retry=NETWORK, spec={"own_port": True}),
    Case("silent", None, ("timeout",), within_s=OPEN_S + SLACK_S, retry=NETWORK, spec={"fault": faults.Silent()}),
    Case("not-found", faults.NotFound(), ("ended", "not_found"), retry=PATIENT),
    Case("not-video", faults.NotVideo(), ("ended", "not_video"), retry=PATIENT),
    Case("redirect", Redirect(location="rtsp://OTHER/"), ("ended", "redirected"), retry=PATIENT, **WITH_PASSWORD),
    Case("redirect-http", Redirect(location="http://OTHER/"), ("ended", "redirected"), retry=PATIENT, **WITH_PASSWORD),
    Case("close", faults.Close(), ("ended",), within_s=SLACK_S, retry=NETWORK),
    # It stands still.
    Case("hang", faults.Hang(), ("hang",), ("timeout",), within_s=STALE_S + SLACK_S, retry=NETWORK),
    Case("hang-briefly", faults.Hang(), ("hang",), within_s=STALE_S + SLACK_S, lasts_s=3.0, is_stall=True),
    Case("drip", faults.Drip(), ("hang",), ("timeout",), within_s=STALE_S + SLACK_S, retry=NETWORK),
    Case("drip-bytes", faults.Drip(bytewise=True), ("hang",), ("timeout",), within_s=STALE_S + SLACK_S, retry=NETWORK),
    # It comes damaged.
    # By chance: in three seconds it may be that nothing was lost that shows.
    Case("loss", faults.Loss(ratio=0.08), count="damaged", within_s=6.0 + METRICS_S, spec=QUICK),
    Case("corrupt", faults.Corrupt(ratio=0.1), count="damaged", within_s=6.0 + METRICS_S, spec=QUICK),
    Case(
        "udp-loss",
        faults.Loss(ratio=0.1),
        notice="too much is lost",
        within_s=8.0,
        lasts_s=8.0,
        spec=QUICK,
        roster=AUTO,
    ),
    # It comes, and shows nothing of use.
    Case("freeze", faults.Freeze(), ("frozen",), within_s=3.0 + 1.0 + SLACK_S, roster={"frozen_s": 3}, is_stall=True),
    Case("black", faults.Black(), flaw="black", within_s=5.0 + 1.0 + SLACK_S, lasts_s=9.0),
    Case("blind", faults.Blind(), flaw="blind", within_s=5.0 + 1.0 + SLACK_S, lasts_s=9.0),
    Case("codec", faults.Switch(to="hevc"), ("hang", "broken"), within_s=3.0 + 0.5 + SLACK_S),
    # It comes otherwise than before, and is used.
    Case("size", faults.Switch(to="large"), notice="its picture is 640x384 now", within_s=1.0 + SLACK_S),
    Case("jump", faults.Jump(), count="jumps", within_s=1.0 + METRICS_S + SLACK_S),
    Case("jump-back", faults.Jump(by_s=-3600), count="jumps", within_s=1.0 + METRICS_S + SLACK_S),
    Case("wrap", None, spec={"fault": faults.Wrap(in_s=12)}),
    Case("pause", faults.Pause(ms=500)),
    Case("flood", faults.Flood(times=150), flaw="flood", within_s=1.0 + 3.0 + 1.0 + SLACK_S),
    Case("fast", None, flaw="clock", within_s=CLOCK_S, lasts_s=CLOCK_S, spec={"fault": faults.Fast()}),
    Case("udp-jitter", faults.Jitter(up_to_ms=200), spec=QUICK, roster={"transport": "udp"}),
    Case("udp-reorder", faults.Reorder(ratio=0.1), spec=QUICK, roster={"transport": "udp"}),
    # What only a person can mend is asked for rarely.
    Case("unauthorized", faults.Unauthorized(), ("ended", "unauthorized")),
    Case("lock", None, ("unauthorized",), within_s=SLACK_S, roster=LOCKED),
    Case("website", None, ("not_video",), within_s=SLACK_S),
)
CAMERA = "mosaicd_camera"
COUNTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "damaged": (f"{CAMERA}_frames_dropped_total", {"reason": "damaged"}),
    "jumps": (f"{CAMERA}_clock_jumps_total", {}),
}
NAMES = [case.name for case in CASES]
BY_NAME = {case.name: case for case in CASES}
UNMENDED = {"unauthorized", "lock", "website", "codec"}
"""The next try is beyond the end of the run; or nobody mends it; or, to change back would be the same fault again."""


class Lock(socketserver.BaseRequestHandler):
    """A camera whose password is another: it refuses every one, and counts them."""

    tried = 0

    def handle(self) -> None:
        while request := self.request.recv(4096).decode():
            type(self).tried += "Authorization:" in request
            number = request.partition("CSeq: ")[2].partition("\r\n")[0]
            status = "200 OK\r\nPublic: DESCRIBE" if request.startswith("OPTIONS") else "401 Unauthorized"
            told = 'WWW-Authenticate: Digest realm="lock", nonce="0123456789"'
            self.request.sendall(f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{told}\r\n\r\n".encode())


class Website(BaseHTTPRequestHandler):
    """A web server where a camera is expected."""

    def log_message(self, *_: object) -> None:
        """Nothing: what it is asked is no news."""


class LockServer(socketserver.ThreadingTCPServer):
    """Joins its threads when it is closed."""

    daemon_threads = False


@dataclass(slots=True)
class Story:
    """What happened, in wall clock."""

    watch: Watch
    began: dict[str, float]
    """When each fault began."""
    ended: dict[str, float]
    shown: str = ""
    """Log and metrics."""
    exit_code: int = -1
    other_was_contacted: bool = False


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, colour_model: Model) -> Story:
    """One run: all cameras come up, all faults begin at once, each ends at its time."""
    folder = tmp_path_factory.mktemp("faults")
    clips = {
        "plain": moving_clip(folder / "plain.mp4", "red"),
        "quick": moving_clip(folder / "quick.mp4", "red", fps=25, gop=12),
        "large": moving_clip(folder / "large.mp4", "red", (448, 224, 576, 320), wh=(640, 384)),
        "hevc": moving_clip(folder / "hevc.mp4", "red", codec="libx265"),
        "jpeg": moving_clip(folder / "jpeg.mkv", "red", codec="mjpeg"),
    }
    specs = [CameraSpec(name, clips["plain"]) for name in (*GOOD, "large", "hevc")]
    specs[-2:] = [CameraSpec(name, clips[name]) for name in ("large", "hevc")]
    for case in CASES:
        options = dict(case.spec)
        clip = "jpeg" if case.name == "redirect-http" else options.pop("clip", "plain")
        specs.append(CameraSpec(case.name, clips[clip], **options))
    other = socket.create_server(("127.0.0.1", 0))
    other.setblocking(False)
    lock = LockServer(("127.0.0.1", 0), Lock)
    website = ThreadingHTTPServer(("127.0.0.1", 0), Website)
    threads = [Thread(target=each.serve_forever, args=(0.05,)) for each in (lock, website)]
    for thread in threads:
        thread.start()
    with ServerThread(specs) as server, other, lock, website:
        urls = {name: server.url(name) for name in (*GOOD, *BY_NAME)}
        urls |= {
            "redirect-http": server.mjpeg_url("redirect-http"),
            "lock": f"rtsp://127.0.0.1:{lock.server_address[1]}/",
            "website": f"rtsp://127.0.0.1:{website.server_address[1]}/",
        }
        try:
            story = tell(server, urls, f"127.0.0.1:{other.getsockname()[1]}", (folder, colour_model))
        finally:
            lock.shutdown()
            website.shutdown()
        with suppress(BlockingIOError):
            other.accept()[0].close()
            story.other_was_contacted = True
    for thread in threads:
        thread.join(5)
    return story


def pointed(fault: Fault, other: str) -> Fault:
    """Return the fault; one that redirects does so to this host."""
    return Redirect(location=fault.location.replace("OTHER", other)) if isinstance(fault, Redirect) else fault


def tell(server: ServerThread, urls: Mapping[str, str], other: str, stage: tuple[Path, Model]) -> Story:
    """Run the daemon; ``other`` is the host that redirects point to."""
    # A good one in every mosaic, so that each feels its neighbours' of.
    share = -(-len(CASES) // len(GOOD))
    order = [name for i, good in enumerate(GOOD) for name in (good, *list(BY_NAME)[share * i : share * (i + 1)])]
    cameras = {name: {"url": urls[name]} | dict(BY_NAME[name].roster if name in BY_NAME else {}) for name in order}
    folder, model = stage
    with running(
        folder, model, cameras, settings=small_settings(model, open_timeout_s=OPEN_S, read_timeout_s=READ_S)
    ) as daemon:
        daemon.wait_ready()
        never_up = sum(case.fault is None and bool(case.down) for case in CASES)
        wait_until(lambda: daemon.total("mosaicd_camera_up") == len(order) - never_up, lambda: daemon.log[-3000:])
        wait_until(lambda: daemon.total("mosaicd_worker_up") == 2, "two workers")
        first_up = min(told.at for told in daemon.told() if told.words == "up")
        watch = Watch(daemon)
        watch.until(time.time() + SETTLE_S)
        story = Story(watch, dict.fromkeys(BY_NAME, first_up), {})
        for case in CASES:
            if case.fault is not None:
                server.set_fault(case.name, pointed(case.fault, other))
                story.began[case.name] = time.time()
        begun = time.time()
        for lasts_s in sorted({case.lasts_s for case in CASES}):
            watch.until(begun + lasts_s if lasts_s < CLOCK_S else first_up + CLOCK_S)
            for case in CASES:
                if case.lasts_s == lasts_s and case.name not in {*UNMENDED, "wrap"}:
                    server.set_fault(case.name, None)
                    story.ended[case.name] = time.time()
        watch.until(time.time() + METRICS_S)
        watch.end()
        metrics = daemon.get("/metrics")[1]
        story.exit_code = daemon.stop()
        story.shown = daemon.log + metrics
    return story


def test_good_cameras_are_undisturbed(story: Story) -> None:
    watch = story.watch
    for name in GOOD:
        assert [told.words for told in watch.told(name)] == ["up"]
        assert watch.last(f"{CAMERA}_failures_total", name) == 0
        assert watch.last(f"{CAMERA}_frames_dropped_total", name, reason="damaged") == 0
    due = RATE * watch.seconds
    ratios = {name: round(watch.grown(f"{CAMERA}_frames_analyzed_total", name) / due, 3) for name in GOOD}
    busy_ratio = watch.grown("mosaicd_worker_inference_seconds_sum") / watch.seconds / 2
    assert busy_ratio <= 0.5, "the load is at most half of what these workers can do, by their own measure"
    if min(ratios.values()) < 0.95 and watch.foreign_cores > 0.3:
        pytest.skip(f"not judged: {watch.foreign_cores:.1f} cores were busy with something else; {ratios}")
    assert min(ratios.values()) >= 0.95, ratios


def test_the_daemon_itself_is_undisturbed(story: Story) -> None:
    assert story.exit_code == 0
    assert "child died" not in story.shown
    assert "Traceback" not in story.shown


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_it_is_seen_in_time_and_told_once(story: Story, case: Case) -> None:
    watch, name = story.watch, case.name
    deadline = story.began[name] + case.within_s
    down = [told.fields["reason"] for told in watch.told(name, "down")]
    assert down[: len(case.down)] == list(case.down)
    assert set(down[len(case.down) :]) <= set(case.maybe)
    assert len(down) == len(set(down)), "each reason is told once"
    if case.down:
        assert watch.told(name, "down")[len(case.down) - 1].at <= deadline
        assert any(not up for at, up in watch.values(f"{CAMERA}_up", name) if at > story.began[name])
        assert case.is_stall or watch.last(f"{CAMERA}_failures_total", name, reason=case.down[-1]) >= 1
    if case.is_stall:
        assert any(value for _, value in watch.values(f"{CAMERA}_state", name, state="stalled"))
    assert [told.fields["flaw"] for told in watch.told(name, "flaw")] == ([case.flaw] if case.flaw else [])
    if case.flaw:
        assert watch.told(name, "flaw")[0].at <= deadline
        assert any(value for _, value in watch.values(f"{CAMERA}_flaw", name, flaw=case.flaw))
    if case.notice:
        notices = [told for told in watch.told(name, "notice") if case.notice in told.fields["detail"]]
        assert len(notices) == 1
        assert notices[0].at <= deadline
    if case.count:
        metric, labels = COUNTS[case.count]
        assert any(value for at, value in watch.values(metric, name, **labels) if at <= deadline)


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in UNMENDED], ids=lambda case: case.name)
def test_it_is_over_in_time(story: Story, case: Case) -> None:
    watch, name = story.watch, case.name
    ended = story.ended.get(name, story.began[name])
    within_s = 2.0
    if case.retry:
        # The try that is under way may fail yet; then there is the longest wait of all, and the next.
        failures = int(watch.last(f"{CAMERA}_failures_total", name))
        within_s = OPEN_S + case.retry.delay_s(failures, 0.0) + 1.0 + SLACK_S
    if case.down:
        ups = [told.at for told in watch.told(name, "up") if told.at > ended - SLACK_S]
        assert ups
        assert ups[-1] - ended <= within_s
        assert watch.last(f"{CAMERA}_up", name) == 1
    else:
        assert watch.last(f"{CAMERA}_failures_total", name) == 0
    seen = [at for at, line in watch.lines(name, since=ended) if line["sightings"]]
    assert seen
    assert seen[0] - ended <= within_s
    if case.flaw and case.flaw != "clock":  # that takes as long to be seen to run right again
        assert [told.fields["flaw"] for told in watch.told(name, "flaw over")] == [case.flaw]


@pytest.mark.parametrize("name", ["loss", "corrupt", "size", "jump", "jump-back", "wrap", "pause", "flood", "fast"])
def test_a_stream_that_comes_is_not_asked_for_again(story: Story, name: str) -> None:
    assert story.watch.last(f"{CAMERA}_connects_total", name) == 1


@pytest.mark.parametrize(
    ("name", "ratio"), [("pause", 0.6), ("fast", 0.9), ("wrap", 0.9), ("udp-jitter", 0.8), ("udp-reorder", 0.8)]
)
def test_a_stream_that_comes_is_analyzed(story: Story, name: str, ratio: float) -> None:
    watch = story.watch
    good = max(watch.grown(f"{CAMERA}_frames_analyzed_total", name) for name in GOOD)
    assert watch.grown(f"{CAMERA}_frames_analyzed_total", name) >= ratio * good


def test_passwords_are_tried_once_and_go_nowhere_else(story: Story) -> None:
    assert story.watch.last(f"{CAMERA}_failures_total", "unauthorized", reason="unauthorized") == 1
    assert Lock.tried == 1
    assert not story.other_was_contacted
    assert LOCKED["password"] not in story.shown


def test_of_a_frozen_picture_nothing_is_sighted(story: Story) -> None:
    told = story.watch.told("freeze", "down")[0].at
    assert not story.watch.lines("freeze", told + 0.25, story.ended["freeze"])


def test_another_size_is_sighted_in_its_own_pixels(story: Story) -> None:
    began, ended = story.began["size"], story.ended["size"]
    lines = [line for _, line in story.watch.lines("size", began + 2.0, ended)]
    assert lines
    assert {tuple(line["frame_wh"]) for line in lines} == {(640, 384)}
    assert all(sighting["box"][0] >= 320 for line in lines for sighting in line["sightings"])
    after = story.watch.lines("size", ended + 2.0)
    assert {tuple(line["frame_wh"]) for _, line in after} == {SMALL_WH}


def test_another_codec_is_seen_again(story: Story) -> None:
    broken = story.watch.told("codec", "down")[-1].at
    assert story.watch.told("codec", "up")[-1].at - broken <= NETWORK.delay_s(1, 0.0) + 1.0 + SLACK_S
    assert any(line["sightings"] for _, line in story.watch.lines("codec", since=broken))


def test_udp_is_given_up_once_and_the_camera_stays_up(story: Story) -> None:
    assert story.watch.last(f"{CAMERA}_connects_total", "udp-loss") == 2


def test_a_clock_is_set_once_for_a_jump_and_not_for_what_only_looks_like_one(story: Story) -> None:
    jumps = {
        name: story.watch.last(f"{CAMERA}_clock_jumps_total", name)
        for name in ("jump", "jump-back", "wrap", "hang-briefly", "pause", "fast")
    }
    assert jumps == {"jump": 1, "jump-back": 1, "wrap": 0, "hang-briefly": 0, "pause": 0, "fast": 0}
