"""How a worker dies at the wall of its quota, as its supervisor sees it: `python bench/quota_deaths.py > deaths.json`.

Real workers of the real engines, under RLIMIT_DATA: with limits that loading does not fit into, and at work, where
memory is taken through the framework itself, in each way of bench/exhaustion.py.
What is printed, one JSON object a death, is kept in tests/daemon/data and judged there.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.exhaustion import Way, environ_of, order
from bench.worker_start import CANVAS, SOURCE_WH
from capture.child import wait_readable
from capture.layout import GREY
from capture.messages import Answer, Assign, Load, Ready
from capture.slot import SlotWriter, TileHeader
from daemon.child import Child, ChildSpec, Death
from inference.headroom import data_mib

MODEL = Path(__file__).parents[1] / "inference" / "models" / "demo"
WITHIN_S = 60.0
WAYS: tuple[Way, ...] = get_args(Way)


@dataclass(slots=True)
class Seen:
    """One death."""

    engine: str
    doing: str
    """``loading``, or the way in which memory was taken from it at work."""
    limit_mib: int
    returncode: int = 0
    stderr: Sequence[str] = ()
    words: str = ""
    words_code: int | None = None
    answered: int = 0
    looks_mib: list[float] = field(default_factory=list)
    """Its data, looked at from outside each tenth of a second; the last ones."""


def load_of(engine: str, limit_mib: int, cache_dir: Path) -> Load:
    """What the worker is told."""
    return Load(
        engine=engine,
        precision="float32",
        input="tiles",
        cfg=f"{MODEL}.cfg",
        weights=f"{MODEL}.weights",
        names=f"{MODEL}.names",
        cache_dir=str(cache_dir),
        canvas_wh=(CANVAS.w, CANVAS.h),
        batch=1,
        threads=1,
        on_gpu=False,
        memory_mode="fraction",
        memory_limit_mib=limit_mib,
        score=0.25,
        iou=0.45,
        stale_s=WITHIN_S,
    )


def die(seen: Seen, cache_dir: Path) -> Seen:
    """Run one worker until it dies, and note how; one that does not is killed, and its return code is -9."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "1", "OMP_NUM_THREADS": "1"}
        environ |= environ_of(Path(folder))
        child = Child(ChildSpec("w1", "worker", "inference.worker", environ))
        child.spawn()
        child.send(load_of(seen.engine, seen.limit_mib, cache_dir))
        slot = SlotWriter("m1", CANVAS)
        ends_s, looked_s = time.monotonic() + WITHIN_S, 0.0
        *_, pidfd = child.descriptors
        death: Death | None = None
        while death is None:
            now_s = time.monotonic()
            if now_s > ends_s:
                os.kill(child.pid or 0, 9)
                wait_readable([pidfd], 5.0)
            if wait_readable([pidfd], 0.005):
                death = child.bury()
                seen.answered += sum(isinstance(each.message, Answer) for each in death.received)
                break
            if now_s - looked_s >= 0.1:
                looked_s = now_s
                seen.looks_mib = [*seen.looks_mib[-4:], round(data_mib(child.pid or 0), 1)]
                publish(slot, now_s)
            for received in child.receive():
                if isinstance(received.message, Ready):
                    child.send(Assign("m1", 1, {}, {}), (slot.fd, slot.wake_fd))
                if isinstance(received.message, Answer):
                    seen.answered += 1
                    if seen.answered == 3 and seen.doing in WAYS:
                        order(Path(folder), "w1", seen.doing)
            child.read_stderr()
        slot.close()
    seen.returncode, seen.stderr = death.returncode, death.stderr
    if death.last_words:
        seen.words, seen.words_code = death.last_words.message, death.last_words.exit_code
    return seen


def publish(slot: SlotWriter, now_s: float) -> None:
    """Put a fresh canvas into the slot."""
    _, pixels = slot.begin()
    pixels[:] = GREY
    number = int(now_s * 1000)
    tiles = [
        TileHeader(f"cam-{i}", 0, number, 0.0, time.time(), now_s, SOURCE_WH, CANVAS.content(i, SOURCE_WH))
        for i in range(4)
    ]
    slot.publish(tuple(tiles), now_s)


def deaths(engine: str, limits_mib: Sequence[int], room_mib: int) -> Iterator[Seen]:
    """Yield what is to be tried: loading under each limit, then each way at work under the given one."""
    for limit_mib in limits_mib:
        yield Seen(engine, "loading", limit_mib)
    for way in WAYS:
        yield Seen(engine, way, room_mib)


def main() -> None:
    """Let them die and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("tensorflow", "openvino"), default="tensorflow")
    parser.add_argument("--limits", default="", metavar="MIB,...", help="under which it is to load")
    parser.add_argument("--room", type=int, default=900, metavar="MIB", help="under which it is to work")
    options = parser.parse_args()
    limits = [int(each) for each in options.limits.split(",") if each]
    with tempfile.TemporaryDirectory() as cache:
        for seen in deaths(options.engine, limits, options.room):
            print(json.dumps(asdict(die(seen, Path(cache)))), flush=True)


if __name__ == "__main__":
    main()
