"""The processes that look at footage: who gets what, and what becomes of what they die of.

Their side is a small module of our own, whose parts do as their path says.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from capture.lookmessages import Begin, Depict, Depicted, Inspect, Look, Looked, PartEnd, Refused
from capture.messages import Load
from daemon.analysis.lookers import CRASHED, Lookers, LookersError, Place

ROOT = Path(__file__).parents[3]
FAKE = """
import os, signal, sys, time
from pathlib import Path
from capture.child import adopt, leave, wait_readable
from capture.exits import ExitCode
from capture.lookmessages import *
from capture.messages import Ready, TileAnswer

born = adopt("fake", ToLooker)
seen = Path(os.environ["SEEN"])

def do(path):
    with seen.open("a") as file:
        file.write(f"{born.name} {path}\\n")
    until_s = time.monotonic() + 30.0
    while path == "wait" and len({line.split()[0] for line in seen.read_text().splitlines()}) < 2:
        assert time.monotonic() < until_s  # until the other process has something, too
        time.sleep(0.01)
    if path == "evil":
        os.kill(os.getpid(), signal.SIGSEGV)

held = []
while True:
    wait_readable([born.channel.fileno()], 0.05)
    while (received := born.channel.receive()) is not None:
        match received.message:
            case Inspect(number, path):
                do(path)
                born.channel.send(Refused(number, "as you like it"))
            case Depict(number, path):
                do(path)
                born.channel.send(Depicted(number, 7))
            case Begin():
                if os.environ["MODEL"] == "bad":
                    leave(born.channel, ExitCode.MODEL, "the weights are another network's")
                born.channel.send(Ready())
            case Look(number, path):
                held.append((number, path))
    for number, path in held:
        do(path)
        born.channel.send(Looked((TileAnswer("a", number, 1, 0.0, 0.0, 0.0, (1, 1), ()),)))
        born.channel.send(PartEnd(number, 0, None))
    held = []
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Lookers]]:
    """Return a function that starts so many processes."""
    (tmp_path / "fake_looker.py").write_text(FAKE)
    begun: list[Lookers] = []

    def make(count: int, model: str = "good") -> Lookers:
        path = os.pathsep.join((str(tmp_path), str(ROOT)))
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "SEEN": str(tmp_path / "seen"), "MODEL": model}
        lookers = Lookers([Place(environ, begin())] * count, "fake_looker")
        begun.append(lookers)
        lookers.start()
        return lookers

    yield make
    for lookers in begun:
        lookers.close()


def begin() -> Begin:
    """What the processes are told; they do not care."""
    load = Load(
        engine="", precision="float32", input="tiles", cfg="", weights="", names="", cache_dir="", canvas_wh=(2, 2),
        batch=1, threads=1, on_gpu=False, memory_mode="growth", memory_limit_mib=None, score=0.25, iou=0.45, stale_s=2,
    )  # fmt: skip
    return Begin(load, readers=4)


def parts(*paths: str) -> list[Look]:
    """Parts of these files."""
    return [Look(number, path, "a", 5.0, 25.0, "DEFAULT", None, None, 0.25) for number, path in enumerate(paths)]


def seen(tmp_path: Path) -> list[list[str]]:
    """Who looked at what, in order."""
    return [line.split() for line in (tmp_path / "seen").read_text().splitlines()]


def test_a_part_that_crashes_is_tried_again_alone_and_then_left_out(
    tmp_path: Path, start: Callable[..., Lookers]
) -> None:
    lookers = start(1)
    lookers.begin()
    heard = list(lookers.look(parts("one", "evil", "two", "three")))
    ends = {each.part: each.error for each in heard if isinstance(each, PartEnd)}
    assert ends == {0: "", 1: CRASHED, 2: "", 3: ""}
    looked = [path for _, path in seen(tmp_path)]
    assert looked.count("evil") == 2
    assert {looked.count(path) for path in ("two", "three")} == {1}


def test_files_and_pictures_that_crash_are_told_of_too(start: Callable[..., Lookers]) -> None:
    lookers = start(2)
    refused = {
        each.file: each.detail
        for each in lookers.inspect([Inspect(0, "evil", 5.0), Inspect(1, "b", 5.0)])
        if isinstance(each, Refused)
    }
    assert refused == {0: CRASHED, 1: "as you like it"}
    orders = [Depict(0, "a", 1.0, ""), Depict(1, "evil", 1.0, "")]
    made = {
        each.picture: (each.size_bytes, each.error) for each in lookers.depict(orders) if isinstance(each, Depicted)
    }
    assert made == {0: (7, ""), 1: (0, CRASHED)}


def test_few_parts_are_shared_evenly(tmp_path: Path, start: Callable[..., Lookers]) -> None:
    lookers = start(2)
    lookers.begin()
    assert sum(isinstance(each, Looked) for each in lookers.look(parts(*["wait"] * 4))) == 4
    who = [name for name, _ in seen(tmp_path)]
    assert {name: who.count(name) for name in who} == {"l1": 2, "l2": 2}


def test_a_model_that_does_not_load_ends_all_in_its_words(start: Callable[..., Lookers]) -> None:
    lookers = start(2, "bad")
    lookers.begin()
    with pytest.raises(LookersError, match="the weights are another network's"):
        list(lookers.look(parts("one")))


def test_who_closes_leaves_no_process(start: Callable[..., Lookers]) -> None:
    with closing(start(3)):
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        assert len(children) >= 3
    assert not {*Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()} & {*children}
