"""The supervisor with real children of our own making: what it makes of what they say, and what it owes to whom.

The children are scripted: each reads its lines from a file beside it, so that a test can let them say anything. Slots
are real.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from capture.grouping import MosaicPlan
from capture.messages import Assign, CameraSpec, CaptureSetup, Load, OpenMosaic
from daemon.child import ChildSpec
from daemon.control import Control, ask
from daemon.devices import Device, DeviceKind, DeviceWish, WorkerPlan
from daemon.job import Job, Worker
from daemon.lifecycle import Policy
from daemon.notify import Silence
from daemon.orders import ListWorkers, NoSuchWorker, Refused, Reply, Request, Restarting, RestartWorker, WorkerState
from daemon.overhead import Subject, Watched
from daemon.overheads import Overheads
from daemon.placement import Wanted
from daemon.quota import MemoryMode
from daemon.sinks.jsonl import SightedTile
from daemon.statistics import SinkStatistics
from daemon.supervisor import Supervisor

pytestmark = pytest.mark.slow

HANG_S = 1.0
DEADLINE_S = 20.0

ACTORS = """
import math, os, sys, time
from capture.child import adopt, leave, memory_mib, wait_readable
from capture.exits import ExitCode
from capture.layout import Canvas
from capture.messages import *
from capture.slot import SlotWriter

born = adopt("an actor")
channel, scene = born.channel, os.environ["SCENE"]
held, slot, said = {}, None, set()

def report(composed):
    camera = CameraReport("a", CameraState.STREAMING, None, CameraCounts(frames=composed), {})
    return CaptureReport((camera,), (MosaicReport("m1", composed, 0, 1),), int(time.monotonic() * 100), 0.0, 40.0)

def answer(slot_id, number, **changes):
    fields = dict(mosaic="m1", slot_id=slot_id, canvas_number=number, composed_mono_s=1.0, inference_s=0.01, tiles=())
    return Answer(**(fields | changes))

def once(key):
    return not os.path.exists(scene + key) and not open(scene + key, "w").close()

while True:
    wait_readable([channel.fileno()], 0.05)
    while (received := channel.receive()) is not None:
        message = received.message
        if isinstance(message, Stop):
            leave(channel, ExitCode.OK, "")
        if isinstance(message, (CaptureSetup, Load)):
            channel.send(Ready(40.0))
        if isinstance(message, OpenMosaic):
            slot = SlotWriter("m1", Canvas(64, 64))
            channel.send(SlotOpened("m1"), (slot.fd, slot.wake_fd))
        if isinstance(message, Assign):
            held[message.slot_id] = received.fds
        if isinstance(message, Unassign):
            held.pop(message.slot_id, None)
    exec(open(scene + "." + born.name[0]).read())
"""


ANSWERING = "for slot_id in held: channel.send(answer(slot_id, int((time.monotonic() - began_s) * 5) + 1))"
"""Lines of a worker that answers whatever is composed."""
COMPOSING = "channel.send(report(int((time.monotonic() - began_s) * 5) + 1))"
"""Lines of a capture process that composes five canvases a second."""


class Basket:
    """A sink that keeps what it is offered."""

    def __init__(self) -> None:
        self.tiles: list[SightedTile] = []

    def offer(self, tiles: list[SightedTile]) -> None:
        self.tiles += tiles

    def statistics(self) -> SinkStatistics:
        return SinkStatistics("basket", len(self.tiles), {})


Play = Callable[..., Supervisor]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Return a function that starts a supervisor of one capture process and some workers, each with its lines."""
    (tmp_path / "actors.py").write_text(f"began_s = {time.monotonic()}\n{ACTORS}")
    started: list[Supervisor] = []

    def start(
        capture: str,
        worker: str,
        workers: int = 1,
        control: Control | None = None,
        overheads: Overheads | None = None,
    ) -> Supervisor:
        scene = tmp_path / "scene"
        (tmp_path / "scene.c").write_text(capture)
        (tmp_path / "scene.w").write_text(worker)
        environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}", "SCENE": str(scene)}
        device = Device("cpu", DeviceKind.CPU, "", 1000, cores=2)
        load = Load(
            engine="openvino",
            precision="float32",
            input="mosaic",
            cfg="",
            weights="",
            names="",
            cache_dir="",
            canvas_wh=(64, 64),
            batch=1,
            threads=1,
            on_gpu=False,
            memory_mode="fraction",
            memory_limit_mib=100,
            score=0.25,
            iou=0.45,
            stale_s=2.0,
        )
        job = Job(
            plans=(MosaicPlan("m1", ("a", None, None, None)),),
            captures={"c1": (ChildSpec("c1", "capture", "actors", environ), ("m1",))},
            setup=CaptureSetup((64, 64), 5.0, 2.0, 5.0, 5.0),
            openings={"m1": OpenMosaic("m1", (CameraSpec("a", "rtsp://h/", 5.0), None, None, None))},
            assignments={"m1": Assign("m1", 0, {}, {})},
            wanted=(Wanted("m1", 5.0),),
            workers=tuple(
                Worker(
                    ChildSpec(f"w{i + 1}", "worker", "actors", environ),
                    WorkerPlan(f"w{i + 1}", device, 1, MemoryMode.FRACTION, 100),
                    load,
                )
                for i in range(workers)
            ),
            labels=frozenset({"dog"}),
            policies=dict.fromkeys(
                ("capture", "worker"), Policy(start_timeout_s=DEADLINE_S, hang_s=HANG_S, stop_timeout_s=2.0)
            ),
            answered_within_s={"m1": 5.0},
            start_concurrency=1,
        )
        started.append(Supervisor(job, (Basket(),), Silence(), control=control, overheads=overheads))
        return started[-1]

    yield start
    for supervisor in started:
        supervisor.stop()
        supervisor.run()


def turn_until(supervisor: Supervisor, condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, supervisor.statistics
        supervisor.turn()


def child(supervisor: Supervisor, name: str):
    return next(child for child in supervisor.statistics.children if child.name == name)


def restarts(supervisor: Supervisor, name: str) -> int:
    return sum(child(supervisor, name).restarts.values())


def test_a_worker_that_answered_everything_is_not_hung_when_its_cameras_go_dark(play):
    """The answer comes before the report of its canvas, as it usually does, and then there is silence."""
    supervisor = play(
        capture="if os.path.exists(scene + 'answered'): channel.send(report(1))",
        worker="if held and once('answered'): channel.send(answer(list(held)[0], 1))",
    )
    turn_until(supervisor, lambda: supervisor.statistics.mosaics[0].composed == 1)
    assert supervisor.statistics.mosaics[0].answered == 1
    quiet_s = time.monotonic() + 3 * HANG_S
    turn_until(supervisor, lambda: time.monotonic() > quiet_s)
    assert restarts(supervisor, "w1") == 0


def test_a_worker_without_room_is_retired_and_the_other_answers(play, tmp_path):
    """The device has room for two of 100 MiB and 100 more; each is found to take 60 beyond its limit."""
    wish = DeviceWish(2, fraction=0.1, reserve_mib=700)
    device = Device("cpu", DeviceKind.CPU, "", 1000, cores=2)
    plans = tuple(WorkerPlan(name, device, 1, MemoryMode.FRACTION, 100) for name in ("w1", "w2"))
    watched = Watched(device, wish, Subject("cpu", "d1", "openvino", "float32"), plans, mosaics=1)
    seen = []

    def measure(_watched: Watched, pids: Mapping[str, int]) -> dict[str, int]:
        seen.append(dict(pids))
        return dict.fromkeys(pids, 60)

    with closing(Overheads(tmp_path, (watched,), measure)) as overheads:
        supervisor = play(
            capture=COMPOSING,
            worker=ANSWERING,
            workers=2,
            overheads=overheads,
        )
        turn_until(supervisor, lambda: child(supervisor, "w2").phase == "given_up")
        assert [set(pids) for pids in seen] == [{"w1", "w2"}]
        assert child(supervisor, "w1").overhead_mib == 60
        assert restarts(supervisor, "w2") == 0
        [notice] = supervisor.statistics.notices
        assert "no room for w2" in notice
        turn_until(supervisor, lambda: supervisor.statistics.mosaics[0].worker == "w1")
        supervisor.stop()
        supervisor.run()


@pytest.mark.parametrize(
    "line",
    [
        "pass",
        "channel.send(WorkerReport(int(time.monotonic() * 100), 0, 0, 0.0, 40.0))",
        "for slot_id in held: channel.send(answer(slot_id, 1))",
    ],
)
def test_a_worker_that_leaves_a_canvas_unanswered_is_hung_whatever_it_claims(play, line):
    supervisor = play(capture=COMPOSING, worker=line)
    turn_until(supervisor, lambda: child(supervisor, "w1").restarts.get("hang"))


def test_a_capture_process_whose_compositor_stands_still_is_hung(play):
    supervisor = play(
        capture="channel.send(CaptureReport((), (), 7, 0.0, 40.0))",
        worker="pass",
    )
    turn_until(supervisor, lambda: child(supervisor, "c1").restarts.get("hang"))


@pytest.mark.parametrize(
    "line",
    [
        "channel.send(Ready(math.nan))",
        "channel.send(report(1))",
        "channel.send(answer(1, 1, inference_s=math.nan))",
        "channel.send(answer(1, 1, inference_s=-1.0), (0, 1))",
        "channel.send(answer(list(held)[0], 10**9)) if held else None",
        "channel._sock.send(b'garbage')",
    ],
)
def test_a_worker_that_talks_nonsense_is_replaced_and_the_daemon_goes_on(play, line):
    supervisor = play(capture="channel.send(report(1))", worker=f"if once('said') or held: {line}")
    before = len(os.listdir("/proc/self/fd"))
    turn_until(supervisor, lambda: restarts(supervisor, "w1") >= 2)
    supervisor.stop()
    supervisor.run()
    assert len(os.listdir("/proc/self/fd")) <= before, "a descriptor was left open"
    assert all(math.isfinite(child.inference_s) for child in supervisor.statistics.children)


def test_a_given_up_worker_leaves_its_mosaics_to_another(play):
    supervisor = play(
        capture=COMPOSING,
        worker="if born.name == 'w1': leave(channel, ExitCode.MODEL, 'no such model')\n" + ANSWERING,
        workers=2,
    )
    turn_until(supervisor, lambda: child(supervisor, "w1").phase == "given_up")
    turn_until(supervisor, lambda: supervisor.statistics.mosaics[0].is_answered)
    assert supervisor.statistics.mosaics[0].worker == "w2"
    assert child(supervisor, "w1").restarts == {"model": 1}


def test_the_time_from_a_death_to_the_next_answer_is_measured(play: Play, tmp_path: Path) -> None:
    supervisor = play(
        capture=COMPOSING,
        worker="if born.name == 'w1' and held and os.path.exists(scene + 'go') and once('died'): os._exit(1)\n"
        + ANSWERING,
        workers=2,
    )
    turn_until(supervisor, lambda: child(supervisor, "w1").answered)
    assert supervisor.statistics.mosaic_recovery.total == 0
    (tmp_path / "scenego").touch()
    turn_until(supervisor, lambda: child(supervisor, "w1").recovery.total)
    assert child(supervisor, "w1").restarts == {"exit": 1}
    mosaic, first, second = (
        supervisor.statistics.mosaic_recovery,
        child(supervisor, "w1").recovery,
        child(supervisor, "w2").recovery,
    )
    assert (mosaic.total, first.total, second.total) == (1, 1, 0)
    assert 0 < mosaic.sum <= first.sum < DEADLINE_S


Order = Callable[[Supervisor, Request], Reply]


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    control = Control(tmp_path)
    yield control
    control.close()


@pytest.fixture
def order(tmp_path: Path) -> Iterator[Order]:
    """Return a function that gives an order from another thread while the supervisor turns."""
    with ThreadPoolExecutor(1) as pool:

        def give(supervisor: Supervisor, request: Request) -> Reply:
            reply = pool.submit(ask, tmp_path, request)
            turn_until(supervisor, reply.done)
            return reply.result()

        yield give


def test_workers_are_listed_and_the_given_up_revived(
    play: Play, control: Control, order: Order, tmp_path: Path
) -> None:
    supervisor = play(
        capture=COMPOSING,
        worker="if born.name == 'w1' and not os.path.exists(scene + 'mended'): leave(channel, ExitCode.MODEL, 'bad')\n"
        + ANSWERING,
        workers=2,
        control=control,
    )
    turn_until(supervisor, lambda: child(supervisor, "w1").phase == "given_up" and child(supervisor, "w2").answered)
    assert order(supervisor, ListWorkers()).workers == (
        WorkerState("w1", "cpu", False, "given_up", 1, "model", 1),
        WorkerState("w2", "cpu", False, "up", 1, "", 0),
    )
    (tmp_path / "scenemended").touch()
    assert order(supervisor, RestartWorker("w1")) == Restarting("w1", "given_up")
    turn_until(supervisor, lambda: child(supervisor, "w1").is_up)
    assert child(supervisor, "w1").generation == 2
    assert child(supervisor, "w1").restarts == {"model": 1}


def test_a_worker_that_is_up_is_restarted_without_a_failure(play: Play, control: Control, order: Order) -> None:
    supervisor = play(
        capture=COMPOSING,
        worker=ANSWERING,
        control=control,
    )
    turn_until(supervisor, lambda: child(supervisor, "w1").answered)
    answered = child(supervisor, "w1").answered
    assert order(supervisor, RestartWorker("w1")) == Restarting("w1", "up")
    turn_until(supervisor, lambda: child(supervisor, "w1").generation == 2)
    turn_until(supervisor, lambda: child(supervisor, "w1").answered > answered and child(supervisor, "w1").is_up)
    assert child(supervisor, "w1").restarts == {}
    assert child(supervisor, "w1").recovery.total == 0, "nobody died"


def test_orders_that_cannot_be_carried_out_say_why(play: Play, control: Control, order: Order) -> None:
    supervisor = play(capture=COMPOSING, worker="pass", workers=2, control=control)
    assert order(supervisor, RestartWorker("c1")) == NoSuchWorker("c1", ("w1", "w2"))
    supervisor.stop()
    assert order(supervisor, RestartWorker("w1")) == Refused("the daemon is stopping")


CRASHING = """
import ctypes, threading
from capture.reader import mark
if slot and once(f"hold {message.cameras[0].hold_s} of {os.getpid()}"):
    open(scene + "holds", "a").write(f"{message.cameras[0].hold_s}\\n")
    if len(open(scene + "holds").readlines()) <= CRASHES:
        threading.Thread(target=mark("a", lambda: ctypes.string_at(0))).start()
        time.sleep(60)
"""


def test_a_camera_that_crashes_its_process_again_is_kept_away(play: Play, tmp_path: Path) -> None:
    supervisor = play(capture=CRASHING.replace("CRASHES", "2") + COMPOSING, worker="pass")
    holds = tmp_path / "sceneholds"
    turn_until(supervisor, lambda: holds.exists() and len(holds.read_text().splitlines()) == 3)
    first_s, second_s, third_s = map(float, holds.read_text().splitlines())
    assert (first_s, second_s) == (0.0, 0.0), "the first may have been bad luck"
    assert 60 * 0.75 - DEADLINE_S < third_s <= 60
    turn_until(supervisor, lambda: supervisor.statistics.cameras[0].crashes == 2)
    assert child(supervisor, "c1").restarts == {"crash": 2}


def test_a_camera_of_another_process_is_not_blamed(play: Play, tmp_path: Path) -> None:
    crashing = CRASHING.replace("CRASHES", "1").replace('mark("a"', 'mark("b"')
    supervisor = play(capture=crashing + COMPOSING, worker="pass")
    turn_until(supervisor, lambda: child(supervisor, "c1").restarts.get("crash"))
    assert supervisor.statistics.cameras[0].crashes == 0


def told(caplog: pytest.LogCaptureFixture, words: str) -> list[tuple[str, dict]]:
    """Level and fields of the log's lines of these words."""
    return [(each.levelname, each.fields) for each in caplog.records if each.message == words]


def test_notices_of_cameras_are_logged_each_once(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    notices = (
        'CameraNotice("a", 0, "too much", Flaw.FLOOD)',
        'CameraNotice("a", 0, "too much", Flaw.FLOOD, is_over=True)',
        'CameraNotice("a", 0, "smaller now")',
        'CameraNotice("a", 7, "of other settings")',
    )
    lines = "\n".join(f"    channel.send({notice})" for notice in notices)
    supervisor = play(capture=f"if slot and once('said'):\n{lines}\n{COMPOSING}", worker="pass")
    turn_until(supervisor, lambda: told(caplog, "camera notice"))
    assert told(caplog, "camera flaw") == [("WARNING", {"camera": "a", "flaw": "flood", "detail": "too much"})]
    assert told(caplog, "camera flaw over") == [("INFO", {"camera": "a", "flaw": "flood", "detail": "too much"})]
    assert told(caplog, "camera notice") == [("INFO", {"camera": "a", "flaw": None, "detail": "smaller now"})]


def test_a_notice_of_a_camera_of_others_condemns_who_gives_it(play: Play) -> None:
    supervisor = play(capture="if slot: channel.send(CameraNotice('b', 0, 'x'))", worker="pass")
    turn_until(supervisor, lambda: restarts(supervisor, "c1"))
