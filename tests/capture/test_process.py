"""The capture process as its supervisor sees it: a real child, a real channel, simulated cameras."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from capture.channel import Channel, ChannelClosedError
from capture.child import wait_readable
from capture.exits import ExitCode
from capture.layout import GREY
from capture.messages import (
    CameraSpec,
    CaptureReport,
    CaptureSetup,
    CloseMosaic,
    FromChild,
    LastWords,
    OpenMosaic,
    SlotOpened,
    Stop,
)
from capture.slot import CanvasHeader
from capture.words import CameraState, Reason
from simulator.camera import CameraSpec as Simulated
from simulator.demux import load_footage
from simulator.faults import Close, Hang
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.capture.stage import CANVAS, DEADLINE_S, SETUP, STALE_S, Child
from tests.simulator.clips import FPS, SIZE_WH, encode_clip, read_number

pytestmark = pytest.mark.slow

PASSWORD = "s3cret-pass"


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return load_footage(encode_clip(tmp_path_factory.mktemp("process") / "numbers.mp4"))


@pytest.fixture(scope="module")
def server(footage: Footage) -> Iterator[ServerThread]:
    cameras = [Simulated(f"cam-{i}", footage, start_offset_s=0.4 * i) for i in range(5)]
    with ServerThread([*cameras, Simulated("locked", footage, username="admin", password=PASSWORD)]) as running:
        yield running
        for i in range(5):
            running.set_fault(f"cam-{i}", None)


def spec(server: ServerThread, name: str, **fields: object) -> CameraSpec:
    return CameraSpec(name=name, url=server.url(name), fps=10.0, **fields)  # type: ignore[arg-type]


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.close()


def cameras_of(header: CanvasHeader) -> list[str | None]:
    return [tile and tile.camera for tile in header.tiles]


def is_whole(header: CanvasHeader) -> bool:
    return all(header.tiles)


def four(server: ServerThread) -> OpenMosaic:
    return OpenMosaic("m1", tuple(spec(server, f"cam-{i}", epoch=i) for i in range(4)))


def test_canvases_show_each_cameras_own_frame_in_its_cell(server: ServerThread, child: Child) -> None:
    assert child.channel.send(four(server))
    header, pixels = child.canvas("m1", is_whole)
    assert cameras_of(header) == ["cam-0", "cam-1", "cam-2", "cam-3"]
    for i, tile in enumerate(header.tiles):
        assert tile is not None
        assert (tile.epoch, tile.source_wh, tile.content) == (i, SIZE_WH, CANVAS.cell(i))
        assert 0 <= header.composed_mono_s - tile.captured_mono_s < STALE_S
        assert abs(time.time() - tile.captured_at) < DEADLINE_S
        # The simulator's npt is 0 at the key frame at the camera's offset; the picture tells its number.
        shown = read_number(pixels[tile.content.slices][..., 0])
        later, later_pixels = child.canvas(
            "m1", lambda each, i=i, n=tile.composed_number: each.tiles[i] and each.tiles[i].composed_number > n
        )
        successor = later.tiles[i]
        assert successor is not None
        steps = (read_number(later_pixels[successor.content.slices][..., 0]) - shown) % 100
        assert steps == round((successor.pts_s - tile.pts_s) * FPS) % 100


def test_numbers_and_reports_are_conserved(server: ServerThread, child: Child) -> None:
    assert child.channel.send(OpenMosaic("m1", (spec(server, "cam-0"), None, None, None)))
    numbers = []
    for _ in range(5):
        header, pixels = child.canvas("m1", lambda _: True)
        assert cameras_of(header) == ["cam-0", None, None, None]
        assert (pixels[CANVAS.cell(3).slices] == GREY).all()
        assert header.tiles[0] is not None
        numbers.append((header.number, header.tiles[0].composed_number))
    assert numbers == sorted(set(numbers))
    child.wait_until(lambda: (report := child.report_of("cam-0")) and report.counts.rate > 20)
    report = child.report_of("cam-0")
    assert report is not None
    assert (report.state, report.reason, report.counts.connects, report.failures) == (
        CameraState.STREAMING,
        None,
        1,
        {},
    )
    newest = child.reports()[-1]
    [mosaic] = newest.mosaics
    tiles = report.counts.frames - report.counts.rate
    assert 0 <= tiles - report.counts.superseded - mosaic.composed <= 2
    assert newest.steps > 0
    assert newest.cpu_s > 0
    assert newest.memory_mib > 10
    steps = [each.steps for each in child.reports()]
    assert steps == sorted(steps)


def test_a_change_is_told_once_and_not_each_try(server: ServerThread, child: Child) -> None:
    assert child.channel.send(OpenMosaic("m1", (spec(server, "cam-0"), spec(server, "cam-1"), None, None)))
    child.canvas("m1", lambda header: all(header.tiles[:2]))
    server.set_fault("cam-0", Close(after_s=0.2))
    child.wait_until(lambda: (report := child.report_of("cam-0")) and report.failures.get(Reason.ENDED, 0) >= 1)
    child.canvas("m1", lambda header: cameras_of(header) == [None, "cam-1", None, None])
    server.set_fault("cam-0", None)
    child.canvas("m1", lambda header: all(header.tiles[:2]))
    up, down = (CameraState.STREAMING, None), (CameraState.BACKOFF, Reason.ENDED)
    child.wait_until(lambda: child.transitions("cam-0")[-1:] == [up])
    told = child.transitions("cam-0")
    assert told[:2] == [up, down]
    assert all(before != after for before, after in pairwise(told))
    assert child.transitions("cam-1") == [up]


def test_a_refused_camera_is_told_once_and_costs_nobody_a_frame(server: ServerThread, child: Child) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refused = f"rtsp://127.0.0.1:{listener.getsockname()[1]}/x"
    locked = spec(server, "locked", username="admin", password=PASSWORD + "!")
    gone = CameraSpec("gone", refused, 10.0, "admin", PASSWORD)
    assert child.channel.send(OpenMosaic("m1", (spec(server, "cam-0"), gone, locked, None)))
    child.canvas("m1", lambda header: header.tiles[0])
    child.wait_until(lambda: (report := child.report_of("gone")) and report.failures.get(Reason.REFUSED, 0) >= 3)
    assert child.transitions("gone") == [(CameraState.BACKOFF, Reason.REFUSED)]
    assert child.transitions("locked") == [(CameraState.BACKOFF, Reason.UNAUTHORIZED)]
    child.channel.send(Stop())
    code, errors = child.end()
    assert code == ExitCode.OK
    assert PASSWORD not in errors + repr(child.said)


def test_a_changed_mosaic_keeps_its_slot_and_the_readers_that_did_not_change(
    server: ServerThread, child: Child
) -> None:
    assert child.channel.send(four(server))
    before, _ = child.canvas("m1", is_whole)
    changed = (spec(server, "cam-0", epoch=0), spec(server, "cam-4", epoch=9), None, spec(server, "cam-3", epoch=8))
    assert child.channel.send(OpenMosaic("m1", changed))
    header, _ = child.canvas("m1", lambda header: cameras_of(header) == ["cam-0", "cam-4", None, "cam-3"])
    header, _ = child.canvas("m1", lambda header: header.tiles[3] and header.tiles[3].epoch == 8)
    kept, renewed = header.tiles[0], header.tiles[3]
    assert kept and renewed and before.tiles[0]
    assert kept.composed_number > before.tiles[0].composed_number
    assert renewed.composed_number < kept.composed_number
    report_of = child.report_of
    seen = len(child.said)
    child.wait_until(lambda: sum(isinstance(each, CaptureReport) for each in child.said[seen:]) >= 2)
    assert {each.camera for each in child.reports()[-1].cameras} == {"cam-0", "cam-4", "cam-3"}
    connects = {name: report.counts.connects for name in ("cam-0", "cam-3", "cam-4") if (report := report_of(name))}
    assert connects == {"cam-0": 1, "cam-3": 1, "cam-4": 1}
    assert len([each for each in child.said if isinstance(each, SlotOpened)]) == 1
    child.wait_until(lambda: server.statistics().playing == 3)


def test_a_closed_mosaic_ends_its_readers_and_frees_its_slot(server: ServerThread, child: Child) -> None:
    assert child.channel.send(four(server))
    child.canvas("m1", is_whole)
    assert child.channel.send(CloseMosaic("m1"))
    assert child.channel.send(CloseMosaic("m1"))  # twice does no harm
    child.wait_until(lambda: child.reports() and child.reports()[-1].mosaics == ())
    child.wait_until(lambda: server.statistics().playing == 0)
    child.wait_until(lambda: slots_of(child) == set())
    child.slots.pop("m1").close()
    for _ in range(10):  # opened and closed within one turn
        child.channel.send(OpenMosaic("m2", (None,) * 4))
        child.channel.send(CloseMosaic("m2"))
        child.wait_until(lambda: "m2" in child.slots)
        child.slots.pop("m2").close()
    child.wait_until(lambda: slots_of(child) == set())


def slots_of(child: Child) -> set[str]:
    """Names of the memfds that the process has open."""
    folder = Path(f"/proc/{child.process.pid}/fd")
    return {name for fd in os.listdir(folder) if "mosaicd:" in (name := link(folder / fd))}


def link(path: Path) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""


def test_a_mosaic_whose_slot_could_not_be_told_is_told_later() -> None:
    """The supervisor did not read for a while; without its slot the mosaic would be lost for good."""
    child = Child(send_buffer_bytes=4096)  # room for a few messages
    try:
        for i in range(40):
            assert child.channel.send(OpenMosaic(f"m{i}", (None,) * 4))
        deadline_s = time.monotonic() + DEADLINE_S
        while len(slots_of(child)) < 40:  # not a word of it is read meanwhile
            assert time.monotonic() < deadline_s
        child.wait_until(lambda: len(child.slots) == 40)
    finally:
        child.close()


def test_stop_ends_it_in_time_whatever_its_cameras_do(server: ServerThread, child: Child) -> None:
    assert child.channel.send(four(server))
    child.canvas("m1", is_whole)
    server.set_fault("cam-1", Hang())
    try:
        child.canvas("m1", lambda header: cameras_of(header) == ["cam-0", None, "cam-2", "cam-3"])
        began = time.monotonic()
        assert child.channel.send(Stop())
        assert child.end() == (ExitCode.OK, "")
        assert time.monotonic() - began < 2.0
        with pytest.raises(ChannelClosedError):
            child.poll()
        assert child.said[-1] == LastWords(0, "")
    finally:
        server.set_fault("cam-1", None)


@pytest.mark.parametrize("setup", [SETUP, None])
def test_stop_before_anything_else(setup: CaptureSetup | None) -> None:
    child = Child(setup)
    try:
        assert child.channel.send(Stop())
        assert child.end() == (ExitCode.OK, "")
    finally:
        child.close()


def test_a_closed_channel_ends_it(server: ServerThread, child: Child) -> None:
    assert child.channel.send(four(server))
    child.canvas("m1", is_whole)
    child.channel.close()
    assert child.end() == (ExitCode.ORPHANED, "")


def test_a_bug_is_told_and_ends_it(server: ServerThread, child: Child) -> None:
    # Three tiles: the compositor's thread dies of it.
    assert child.channel.send(OpenMosaic("m1", (spec(server, "cam-0"), None, None)))
    assert child.end()[0] == ExitCode.BROKEN
    with pytest.raises(ChannelClosedError):
        child.poll()
    words = child.said[-1]
    assert isinstance(words, LastWords)
    assert words.exit_code == ExitCode.BROKEN
    assert words.message.startswith("compositor: ")


def test_a_wrong_parent_is_an_orphan() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = [sys.executable, "-P", "-m", "capture.process", "c", "--fd", str(theirs.fileno()), "--parent", "1"]
        done = subprocess.run(command, pass_fds=(theirs.fileno(),), timeout=DEADLINE_S, check=False)
    assert done.returncode == ExitCode.ORPHANED


PARENT = """
import os, socket, subprocess, sys
fd = int(sys.argv[1])
command = [sys.executable, "-P", "-m", "capture.process", "c", "--fd", str(fd), "--parent", str(os.getpid())]
print(subprocess.Popen(command, pass_fds=(fd,)).pid, flush=True)
sys.stdin.read()
"""


def test_it_dies_with_its_parent() -> None:
    """Though the channel stays open: somebody else may have inherited the other end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel: Channel = Channel(ours, FromChild)
    with theirs:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert parent.stdout and parent.stdin
        pid = int(parent.stdout.readline())
        child = os.pidfd_open(pid)
        try:
            assert channel.send(SETUP)
            assert wait_readable([channel.fileno()], DEADLINE_S)  # it is up
            parent.kill()
            assert wait_readable([child], DEADLINE_S)
        finally:
            os.close(child)
            channel.close()
            parent.stdin.close()
            parent.stdout.close()
            parent.wait(DEADLINE_S)
