"""What goes wrong inside a process of the daemon: a thread that waits for orders and carries them out.

Comes into the processes of a test setup through a sitecustomize on its PYTHONPATH (:mod:`daemon.chaos.stage`), never
otherwise; neither supervisor nor children know of it. Orders come over a datagram socket in a private folder, one JSON
object each, and name a function below. Whatever fails here stays here: it must be seen on the victim alone.
"""

import json
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

HAUNTED = {
    "daemon.cli": "supervisor",
    "capture.process": "capture",
    "inference.worker": "worker",
    "events.process": "events",
}
"""Modules whose processes take orders. Others (those that build a model, say) live for a moment."""
CLOCK_FILE = "clock"
"""How many seconds the wall clock is off, for who starts later."""
ORDER_BYTES = 4096
LOADED_S = 20.0
"""An order that needs a loaded worker waits for so long."""
MOST_BALLAST_BYTES = 4 << 30
"""If no quota stops it before: nobody wants the machine's own memory exhausted."""

_real_time = time.time
_real_time_ns = time.time_ns
_offset_s = 0.0
_kept: list[Any] = []
"""What is allocated or opened for good."""


def haunt(folder: str) -> None:
    """Set this process's clock as the others', and take orders, if it is one of the daemon's. Called once."""
    role = _role(sys.orig_argv)
    if role is None:
        return
    _set_clock_up(Path(folder))
    taker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = Path(folder) / str(os.getpid())
    address.unlink(missing_ok=True)  # of a dead process that had this id
    taker.bind(str(address))
    # A daemon thread: its process must end as it would without it.
    threading.Thread(target=_obey, args=(taker, role), name="gremlin", daemon=True).start()


def _role(argv: list[str]) -> str | None:
    if "-m" not in argv[:-1]:
        return None
    module = argv[argv.index("-m") + 1]
    if module == "daemon.cli" and "run" not in argv:
        return None
    return HAUNTED.get(module)


def _set_clock_up(folder: Path) -> None:
    """Replace the clock before anybody has taken it, so that it can be set later."""
    with suppress(OSError, ValueError):
        clock(float((folder / CLOCK_FILE).read_text()))
    time.time = lambda: _real_time() + _offset_s
    time.time_ns = lambda: _real_time_ns() + int(_offset_s * 1e9)


def _obey(taker: socket.socket, role: str) -> None:
    while True:
        order = json.loads(taker.recv(ORDER_BYTES))
        does: Callable[..., None] = DOES[order.pop("do")]
        # One that goes on must not keep others waiting.
        threading.Thread(target=_try, args=(does, order, role), name="gremlin at work", daemon=True).start()


def _try(does: Callable[..., None], order: dict[str, Any], role: str) -> None:
    try:
        does(**order) if does in (clock, leak) else does(role=role, **order)
    except Exception as error:  # noqa: BLE001 - the top of a thread; whether it worked is seen on the victim
        print(f"gremlin: {type(error).__name__}: {error}", file=sys.stderr)


# --- what it does ---


def clock(offset_s: float) -> None:
    """Let this process's wall clock be so many seconds off. The monotonic clock goes on, as in the kernel."""
    global _offset_s  # noqa: PLW0603 - a clock is the process's own
    _offset_s = offset_s


def leak(kib_a_s: float, descriptors_a_s: float) -> None:
    """Keep memory and descriptors, more and more: what the invariants must catch."""
    owed = 0.0
    while True:
        _kept.append(os.urandom(int(kib_a_s * 1024)))
        owed += descriptors_a_s
        while owed >= 1.0:
            owed -= 1.0
            _kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        time.sleep(1.0)


def exhaust(role: str, seed: int) -> None:
    """Allocate arrays until the quota stands in the way, and go on taking what becomes free.

    Little by little, so that the worker may see it coming; or all at once, untouched, so that its next call fails.
    """
    import resource

    import numpy as np

    deadline_s = time.monotonic() + LOADED_S
    while resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"this {role} has no quota")
        time.sleep(0.05)
    is_sudden = seed % 2 == 1
    size_bytes, taken_bytes = (512 << 20) if is_sudden else (16 << 20), 0
    while taken_bytes < MOST_BALLAST_BYTES:
        try:
            _kept.append(np.empty(size_bytes, np.uint8) if is_sudden else np.ones(size_bytes, np.uint8))
            taken_bytes += size_bytes
        except MemoryError:
            # Down to what Python itself asks for; then whatever the worker gives back.
            size_bytes = max(4096, size_bytes // 4)
            if size_bytes == 4096:
                time.sleep(0.005)


def mute(role: str, seed: int) -> None:
    """Let no answer out of a worker that lives: it lets its mosaics wait; or claims to answer them; or says nothing."""
    worker = _loaded("Worker")
    match seed % 3:
        case 0:
            worker._answer = lambda _self, _chosen: time.sleep(0.05)
        case 1:
            worker._tell = _pretend
        case 2:
            sys.modules["capture.channel"].Channel.send = lambda _self, _message, _fds=(): True


def _pretend(worker: Any, _read: object, _inference_s: float, _tiles: object) -> None:
    worker._answered += 1


def garbage(role: str, seed: int) -> None:
    """Send bytes by chance: a few or many; beside descriptors; or nothing but descriptors, which looks like an end."""
    chance = random.Random(seed)
    size, with_descriptors = chance.choice(((16, False), (60_000, False), (200, True), (0, True)))
    own = os.open(os.devnull, os.O_RDONLY)
    try:
        _send(chance.randbytes(size), [own] * 4 if with_descriptors else [])
    finally:
        os.close(own)


def nan(role: str, seed: int) -> None:
    """Send a valid message in which a number is none."""
    _send(_message(role, seed, float(random.Random(seed).choice(("nan", "inf", "-inf")))))


def half(role: str, seed: int) -> None:
    """Send the first half of a valid message, as if its writer had been stopped in between."""
    whole = _message(role, seed, 1.0)
    _send(whole[: len(whole) // 2])


def hangup(role: str, seed: int) -> None:
    """Close one direction of the channel."""
    with socket.socket(fileno=os.dup(_channel_fd())) as channel:
        channel.shutdown(random.Random(seed).choice((socket.SHUT_RD, socket.SHUT_WR)))


DOES: dict[str, Callable[..., None]] = {
    each.__name__: each for each in (clock, leak, exhaust, mute, garbage, nan, half, hangup)
}
"""Orders by their names."""


def _message(role: str, seed: int, number: float) -> bytes:
    """A message that this kind of child may send, with a number in it."""
    import msgspec

    from capture.messages import Answer, CaptureReport, Sighting, TileAnswer, WorkerReport

    encode = msgspec.msgpack.encode
    if role == "capture":
        return encode(CaptureReport((), (), 1, 0.0, number))
    if seed % 2:
        return encode(WorkerReport(1, 0, 0, number, 1.0))
    tile = TileAnswer("cam-01", 0, 1, 0.0, 0.0, 0.0, (320, 192), (Sighting("red", 0.9, (0.0, 0.0, number, 9.0)),))
    return encode(Answer("m1", 0, 1, 1.0, 0.01, (tile,)))


def _loaded(name: str) -> Any:
    """A class of the module that this process runs, once that is loaded."""
    deadline_s = time.monotonic() + LOADED_S
    while (found := getattr(sys.modules["__main__"], name, None)) is None:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"there is no {name}")
        time.sleep(0.02)
    return found


def _channel_fd() -> int:
    return int(sys.orig_argv[sys.orig_argv.index("--fd") + 1])


def _send(message: bytes, descriptors: list[int] | None = None) -> None:
    """One datagram; again while the supervisor does not keep up."""
    with socket.socket(fileno=os.dup(_channel_fd())) as channel:
        for _ in range(100):
            try:
                socket.send_fds(channel, [message], descriptors or [])
                return
            except BlockingIOError:
                time.sleep(0.05)
