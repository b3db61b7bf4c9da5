"""The worker as its supervisor sees it: a real child with a real engine, fed through real slots."""

import os
import re
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from capture.exits import ExitCode
from capture.layout import Canvas, to_canvas
from capture.messages import Answer, Assign, Load, Loading, Picture, Ready, Stop, Taking, Unassign, Watch, WorkerReport
from capture.slot import SlotWriter, TileHeader
from daemon.child import Child, ChildSpec, Death
from daemon.verdict import Cause, Evidence, judge
from inference.headroom import STEP_MIB
from inference.worker import PICTURES_MIB, UNSERVED_S, Assignment
from tests.system.colours import COLOURS, GROUND, LABELS, Model, write_model

pytestmark = pytest.mark.slow

CANVAS = Canvas(832, 512)
SOURCE_WH = (640, 384)
STALE_S = 2.0
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("colours"))


class Worker:
    """A worker, driven as the supervisor drives it."""

    def __init__(self, model: Model, **changes) -> None:
        environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "1"}
        self.child = Child(ChildSpec("w1", "worker", "inference.worker", environ))
        self.child.spawn()
        self.said: list[object] = []
        self.fds: list[bytes] = []
        """What lay in the descriptors that it sent."""
        fields = {
            "engine": "openvino",
            "precision": "float32",
            "input": "mosaic",
            "cfg": str(model.cfg),
            "weights": str(model.weights),
            "names": str(model.names),
            "cache_dir": str(model.cfg.parent / "cache"),
            "canvas_wh": (CANVAS.w, CANVAS.h),
            "batch": 1,
            "threads": 1,
            "on_gpu": False,
            "memory_mode": "fraction",
            "memory_limit_mib": 4000,
            "score": 0.25,
            "iou": 0.45,
            "stale_s": STALE_S,
        }
        assert self.child.send(Load(**(fields | changes)))

    def answers(self) -> list[Answer]:
        return [message for message in self.said if isinstance(message, Answer)]

    def hear(self) -> None:
        self.child.read_stderr()
        for received in self.child.receive():
            self.said.append(received.message)
            for fd in received.fds:
                self.fds.append(os.pread(fd, 1 << 20, 0))
                os.close(fd)

    def wait_until(self, holds) -> None:
        end = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < end, (self.said[-3:], self.child.read_stderr())
            self.hear()
            time.sleep(0.01)

    def wait_for(self, kind: type) -> None:
        self.wait_until(lambda: any(isinstance(message, kind) for message in self.said))

    def death(self) -> Death:
        """Wait for its end and bury it."""
        self.wait_until(lambda: os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG))
        return self.child.bury()


@pytest.fixture
def start(model: Model) -> Iterator[Callable[..., Worker]]:
    """Starts workers, and ends what is left of them."""
    started: list[Worker] = []

    def start(**changes) -> Worker:
        started.append(Worker(model, **changes))
        started[-1].wait_for(Ready)
        return started[-1]

    yield start
    for worker in started:
        if worker.child.pid is not None:
            os.kill(worker.child.pid, signal.SIGKILL)
            worker.death()


@pytest.fixture
def worker(start) -> Worker:
    return start()


def header(tile: int, camera: str, number: int, at_s: float) -> TileHeader:
    return TileHeader(camera, 0, number, 0.1 * number, time.time(), at_s, SOURCE_WH, CANVAS.content(tile, SOURCE_WH))


def publish(
    slot: SlotWriter,
    number: int,
    colours: tuple[str, ...],
    age_s: float = 0.0,
    repeated: dict[int, TileHeader] | None = None,
) -> tuple[TileHeader, ...]:
    """Publish a canvas whose tiles each show a square of one colour; those repeated are headed as they were before."""
    _, pixels = slot.begin()
    pixels[:] = GROUND
    now_s = time.monotonic() - age_s
    for tile, colour in enumerate(colours):
        square = np.array([[256, 128, 384, 224]], np.float32)
        x1, y1, x2, y2 = to_canvas(square, CANVAS.content(tile, SOURCE_WH), SOURCE_WH)[0].astype(int)
        pixels[y1:y2, x1:x2] = COLOURS[colour]
    headers = tuple((repeated or {}).get(i) or header(i, colour, number, now_s) for i, colour in enumerate(colours))
    slot.publish(headers, now_s)
    return headers


def assign(worker: Worker, slot: SlotWriter, slot_id: int, mosaic: str = "m1", **wishes) -> None:
    message = Assign(mosaic, slot_id, wishes.get("labels", {}), wishes.get("min_score", {}), wishes.get("priority", 0))
    assert worker.child.send(message, (slot.fd, slot.wake_fd))


@pytest.mark.parametrize(
    ("engine", "precision", "way"),
    [
        ("openvino", "float32", "mosaic"),
        ("openvino", "bfloat16", "tiles"),
        ("tensorflow", "float32", "tiles"),
        ("tensorflow", "bfloat16", "mosaic"),
    ],
)
def test_each_tiles_colour_is_seen_in_its_own_camera(start, engine, precision, way):
    worker = start(engine=engine, precision=precision, input=way)
    slot = SlotWriter("m1", CANVAS)
    publish(slot, 1, LABELS[:4])
    assign(worker, slot, 1)
    worker.wait_until(worker.answers)
    [answer] = worker.answers()
    assert (answer.mosaic, answer.slot_id, answer.canvas_number) == ("m1", 1, 1)
    assert [tile.camera for tile in answer.tiles] == list(LABELS[:4])
    for tile in answer.tiles:
        assert {sighting.label for sighting in tile.sightings} == {tile.camera}
        assert tile.source_wh == SOURCE_WH
    slot.close()


@pytest.mark.parametrize("way", ["mosaic", "tiles"])
def test_a_frame_that_was_answered_is_not_answered_again(start, way):
    """Each number of new tiles from none to four; what is found is each tile's own all the same."""
    worker = start(input=way)
    slot = SlotWriter("m1", CANVAS)
    assign(worker, slot, 1)
    headers = dict(enumerate(publish(slot, 1, LABELS[:4])))
    worker.wait_until(worker.answers)
    for number, new in enumerate([(), (2,), (0, 3), (0, 1, 2), (0, 1, 2, 3)], start=2):
        repeated = {tile: header for tile, header in headers.items() if tile not in new}
        headers = dict(enumerate(publish(slot, number, LABELS[:4], repeated=repeated)))
        worker.wait_until(lambda number=number: len(worker.answers()) == number)
        tiles = worker.answers()[-1].tiles
        assert [tile.camera for tile in tiles] == [LABELS[tile] for tile in new]
        assert all({sighting.label for sighting in tile.sightings} == {tile.camera} for tile in tiles)
    slot.close()


@pytest.mark.parametrize("way", ["mosaic", "tiles"])
def test_a_batch_of_mosaics_is_answered_each_with_its_own(start, way):
    worker = start(batch=3, input=way)
    slots = {f"m{number}": SlotWriter(f"m{number}", CANVAS) for number in range(1, 4)}
    shown = {name: LABELS[turn:4] + LABELS[:turn] for turn, name in enumerate(slots)}
    # Before any is assigned, so that all three wait at once.
    for name, slot in slots.items():
        publish(slot, 1, shown[name])
    for slot_id, (name, slot) in enumerate(slots.items()):
        assign(worker, slot, slot_id, name)
    worker.wait_until(lambda: len(worker.answers()) == 3)
    assert sorted(answer.mosaic for answer in worker.answers()) == sorted(slots)
    for answer in worker.answers():
        assert tuple(tile.camera for tile in answer.tiles) == shown[answer.mosaic]
        assert all({sighting.label for sighting in tile.sightings} == {tile.camera} for tile in answer.tiles)
    # Two of three: no batch, answered one by one.
    for name in ("m1", "m2"):
        publish(slots[name], 2, shown[name])
    worker.wait_until(lambda: len(worker.answers()) == 5)
    for slot in slots.values():
        slot.close()


def test_wishes_are_kept(worker):
    slot = SlotWriter("m1", CANVAS)
    publish(slot, 1, LABELS[:4])
    first, second, third, fourth = LABELS[:4]
    assign(worker, slot, 1, labels={first: (second,), second: (second,)}, min_score={third: 0.9999})
    worker.wait_until(worker.answers)
    seen = {tile.camera: {sighting.label for sighting in tile.sightings} for tile in worker.answers()[0].tiles}
    assert seen == {first: set(), second: {second}, third: set(), fourth: {fourth}}
    slot.close()


def test_an_old_canvas_is_dropped_and_counted(worker):
    slot = SlotWriter("m1", CANVAS)
    publish(slot, 1, LABELS[:4], age_s=STALE_S + 1)
    assign(worker, slot, 1)
    worker.wait_until(lambda: any(isinstance(m, WorkerReport) and m.stale == 1 for m in worker.said))
    assert not worker.answers()
    slot.close()


def test_two_mosaics_are_served_in_turn_and_an_unassigned_one_not_at_all(worker):
    slots = {"m1": SlotWriter("m1", CANVAS), "m2": SlotWriter("m2", CANVAS)}
    for slot_id, (mosaic, slot) in enumerate(slots.items()):
        assign(worker, slot, slot_id, mosaic)
    for number in range(1, 6):
        for slot in slots.values():
            publish(slot, number, LABELS[:4])
        worker.wait_until(lambda number=number: len(worker.answers()) == 2 * number)
    assert [a.mosaic for a in worker.answers()].count("m1") == 5
    assert worker.child.send(Unassign(0))
    before = len(worker.answers())
    for number in range(6, 9):
        publish(slots["m1"], number, LABELS[:4])
        publish(slots["m2"], number, LABELS[:4])
        worker.wait_until(lambda number=number: len(worker.answers()) >= before + number - 5)
    assert {a.mosaic for a in worker.answers()[before:]} == {"m2"}
    for slot in slots.values():
        slot.close()


def test_of_those_that_wait_the_highest_goes_first_and_equals_take_turns(worker):
    slots = {name: SlotWriter(name, CANVAS) for name in ("low", "normal", "high", "as-high")}
    priorities = {"low": -1, "normal": 0, "high": 1, "as-high": 1}
    for slot_id, (name, slot) in enumerate(slots.items()):
        assign(worker, slot, slot_id, name, priority=priorities[name])
    for number in range(1, 6):
        # All four wait when it goes on.
        os.kill(worker.child.pid, signal.SIGSTOP)
        for slot in slots.values():
            publish(slot, number, LABELS[:4])
        os.kill(worker.child.pid, signal.SIGCONT)
        worker.wait_until(lambda number=number: len(worker.answers()) == 4 * number)
    rounds = [[answer.mosaic for answer in worker.answers()[turn : turn + 4]] for turn in range(4, 20, 4)]
    assert {tuple(sorted(names[:2])) for names in rounds} == {("as-high", "high")}
    assert {tuple(names[2:]) for names in rounds} == {("normal", "low")}
    for slot in slots.values():
        slot.close()


def test_whoever_has_waited_long_goes_before_any_priority():
    high, low = (Assignment("", None, None, priority, served_s=0.0) for priority in (1, -1))
    assert high.rank(UNSERVED_S - 0.1) < low.rank(UNSERVED_S - 0.1)
    high.served_s = 1.0
    assert low.rank(UNSERVED_S) < high.rank(UNSERVED_S)
    assert high.rank(1.0 + UNSERVED_S) < low.rank(1.0 + UNSERVED_S), "of two that have, it is the priority again"


def test_it_says_what_it_takes_in_hand_before_it_answers(worker):
    slot = SlotWriter("m1", CANVAS)
    assign(worker, slot, 7)
    for number in (1, 2):
        publish(slot, number, LABELS[:4])
        worker.wait_until(lambda number=number: len(worker.answers()) == number)
    told = [message for message in worker.said if isinstance(message, Taking | Answer)]
    assert [type(message) for message in told] == [Taking, Answer, Taking, Answer]
    assert worker.said[:2] == [Loading("engine"), Loading("warm_up")]
    assert told[0] == Taking((7,))
    slot.close()


def test_pictures_are_sent_while_somebody_looks_and_no_longer(worker):
    slot = SlotWriter("m1", CANVAS)
    assign(worker, slot, 1)
    assert worker.child.send(Watch(("m1",)))
    for number in (1, 2):
        publish(slot, number, LABELS[:4])
        worker.wait_until(lambda number=number: len(worker.answers()) == number)
        if number == 1:
            worker.wait_for(Picture)
            assert worker.child.send(Watch(()))
    worker.wait_until(lambda: any(isinstance(m, WorkerReport) and m.answered == 2 for m in worker.said))
    assert [message for message in worker.said if isinstance(message, Picture)] == [Picture("m1", 1)]
    assert worker.fds[0][:3] == b"\xff\xd8\xff"
    slot.close()


def test_without_room_for_it_no_picture_is_drawn_and_the_worker_goes_on(start):
    worker = start()
    slot = SlotWriter("m1", CANVAS)
    assign(worker, slot, 1)
    publish(slot, 1, LABELS[:4])
    worker.wait_until(worker.answers)
    # As if it had taken the rest: there is room for calls, and not for pictures on top.
    limit_mib = int(worker.child.data_mib() + STEP_MIB + 0.8 * PICTURES_MIB)
    resource.prlimit(worker.child.pid, resource.RLIMIT_DATA, (limit_mib << 20, limit_mib << 20))
    assert worker.child.send(Watch(("m1",)))
    for number in (2, 3):
        publish(slot, number, LABELS[:4])
        worker.wait_until(lambda number=number: len(worker.answers()) == number)
    worker.wait_until(lambda: any(isinstance(m, WorkerReport) and m.answered == 3 for m in worker.said))
    assert not any(isinstance(message, Picture) for message in worker.said)
    slot.close()


def test_what_is_no_slot_is_left_alone_and_others_are_answered(worker):
    """A hostile slot, one of another size, and one whose canvases never become whole."""
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as other:
        file.write(bytes(4096))
        file.flush()
        assert worker.child.send(Assign("m7", 7, {}, {}), (file.fileno(), other.fileno()))
    small = SlotWriter("m8", Canvas(64, 64))
    assign(worker, small, 8, "m8")
    torn = SlotWriter("m9", CANVAS)
    publish(torn, 1, LABELS[:4])
    torn._buffers[1].sequence[0] = 1
    assign(worker, torn, 9, "m9")
    good = SlotWriter("m1", CANVAS)
    assign(worker, good, 1)
    for number in range(1, 4):
        publish(good, number, LABELS[:4])
        worker.wait_until(lambda number=number: len(worker.answers()) == number)
    assert {a.mosaic for a in worker.answers()} == {"m1"}
    for slot in (small, torn, good):
        slot.close()


def test_stop_ends_it_well(worker):
    assert worker.child.send(Stop())
    assert worker.death().returncode == ExitCode.OK


@pytest.mark.parametrize(("field", "words"), [("cfg", "no such"), ("weights", "bytes")])
def test_a_model_that_can_never_work_is_its_own_exit_code(model, tmp_path: Path, field, words):
    wrong = tmp_path / f"wrong.{field}"
    if field == "weights":
        wrong.write_bytes(model.weights.read_bytes() + b"more")
    death = Worker(model, **{field: str(wrong)}).death()
    assert death.returncode == ExitCode.MODEL
    assert death.last_words is not None
    assert words in death.last_words.message.lower()
    assert str(wrong) in death.last_words.message


@pytest.mark.parametrize(("engine", "limit_mib"), [("openvino", 30), ("openvino", 100), ("tensorflow", 300)])
def test_a_quota_too_small_to_load_is_the_kernels_wall(model, engine, limit_mib):
    """However it dies, it does not become ready; and if it can still speak, it names the figures."""
    worker = Worker(model, engine=engine, memory_limit_mib=limit_mib)
    death = worker.death()
    assert death.returncode < 0 or death.returncode == ExitCode.OUT_OF_MEMORY
    assert death.last_words is None or f"of the quota of {limit_mib} MiB are taken" in death.last_words.message
    assert not any(isinstance(message, Ready) for message in worker.said)


def test_a_quota_without_room_to_work_in_is_refused_with_the_one_that_it_needs(model, start):
    loaded_mib = start().child.data_mib()
    death = Worker(model, memory_limit_mib=int(loaded_mib) + int(STEP_MIB)).death()
    assert death.returncode == ExitCode.CONFIG
    [needed] = re.findall(r"a worker needs (\d+) to work in. Give a larger memory.fraction", death.last_words.message)
    assert start(memory_limit_mib=int(needed) + int(STEP_MIB)).child.data_mib() < int(needed)


def test_a_worker_that_nears_its_wall_answers_and_leaves(start):
    worker = start()
    slot = SlotWriter("m1", CANVAS)
    assign(worker, slot, 1)
    publish(slot, 1, LABELS[:4])
    worker.wait_until(worker.answers)
    # As if it had taken the rest: the wall comes nearer to within half a margin.
    limit_mib = int(worker.child.data_mib() + STEP_MIB / 2)
    resource.prlimit(worker.child.pid, resource.RLIMIT_DATA, (limit_mib << 20, limit_mib << 20))
    publish(slot, 2, LABELS[:4])
    death = worker.death()
    assert death.returncode == ExitCode.QUOTA
    assert re.match(rf"left .*: \d+ of {limit_mib} MiB are taken, and the next call", death.last_words.message)
    assert judge(replace(Evidence.of_returncode(death.returncode), last_words=death.last_words)) is Cause.HOST_OOM
    slot.close()


def test_a_restarted_worker_takes_the_graph_from_the_cache(start, tmp_path: Path):
    start(cache_dir=str(tmp_path))
    [graph] = tmp_path.glob("openvino-*/model.xml")
    made = graph.stat().st_ino
    start(cache_dir=str(tmp_path))
    assert graph.stat().st_ino == made


def test_a_damaged_graph_is_built_anew_by_the_next_worker(start, model, tmp_path: Path):
    start(cache_dir=str(tmp_path))
    [graph] = tmp_path.glob("openvino-*/model.xml")
    graph.write_bytes(graph.read_bytes()[:100])
    death = Worker(model, cache_dir=str(tmp_path)).death()
    assert death.returncode == ExitCode.BROKEN
    assert "OpenVINO" in death.last_words.message
    assert not graph.exists()
    start(cache_dir=str(tmp_path))


def test_the_quota_is_the_processs_rlimit(worker):
    soft, hard = resource.prlimit(worker.child.pid, resource.RLIMIT_DATA)
    assert soft == hard == 4000 * 2**20
