"""The photographer: one thread of low priority that makes all pictures of a capture process, one at a time.

What a picture is made of is taken out of the ring when it is ordered, so it is there still when its turn comes. Where
it cannot be made, or not soon, the small picture that was newest at the order stands in. Started with the first order.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import av
import av.error

from capture.mediamessages import Snapped, Snapshot, refused
from capture.reader import Tile, mark
from capture.snapshot import NEAR_S, decode, jpeg, picture_of
from capture.track import KeptPacket
from capture.words import Shortfall

ORDERS = 16
"""So many wait, at most."""
WAIT_S = 10.0
"""Whoever has waited longer gets the small picture, which is quick."""
NICENESS = 10


@dataclass(frozen=True, slots=True)
class Sitting:
    """One picture to be made. The descriptor is the photographer's, once it is taken."""

    order: Snapshot
    fd: int
    packets: Sequence[KeptPacket] = field(repr=False)
    """From a key frame on; none if there are none of the moment."""
    tile: Tile | None = field(repr=False)
    ordered_s: float
    missing: Shortfall = Shortfall.GONE
    """Why there are no packets, where there are none."""


class Photographer:
    """Owns its thread. Orders are given by another; replies go to ``reply``, in the photographer's thread."""

    def __init__(self, reply: Callable[[Snapped], object]) -> None:
        self._reply = reply
        self._sittings: queue.Queue[Sitting | None] = queue.Queue(ORDERS)
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def give(self, sitting: Sitting) -> bool:
        """Let a picture be made; return False if too many wait, and the descriptor is the caller's still."""
        try:
            self._sittings.put_nowait(sitting)
        except queue.Full:
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="photographer")
            self._thread.start()
        return True

    def stop(self) -> None:
        """Ask the thread to end after the picture that it is at."""
        self._is_stopping = True
        with suppress(queue.Full):
            self._sittings.put_nowait(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; return whether it has ended."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        # Of this thread alone (sched(7)): whoever reads cameras goes first.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not (self._is_stopping and self._sittings.empty()):
            sitting = self._sittings.get()
            if sitting is None:
                continue
            if self._is_stopping:
                os.close(sitting.fd)
                self._reply(refused(sitting.order, Shortfall.STOPPING))
            else:
                # A decoder that crashes here was fed by that camera (daemon/blame.py).
                mark(sitting.order.camera, partial(self._make, sitting))()

    def _make(self, sitting: Sitting) -> None:
        self._reply(take(sitting))


def take(sitting: Sitting) -> Snapped:
    """Make a picture, write it, close the descriptor."""
    order = sitting.order
    try:
        taken, reason = _full(sitting)
        is_tile = taken is None
        if taken is None and sitting.tile:
            taken = picture_of(sitting.tile.pixels), sitting.tile.captured_mono_s
        if taken is None:
            return refused(order, reason)
        picture, captured_s = taken
        content = jpeg(picture)
        with open(sitting.fd, "wb", buffering=0, closefd=False) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
        return Snapped(
            order.camera,
            order.epoch,
            order.event_id,
            size_bytes=len(content),
            picture_wh=(picture.width, picture.height),
            captured_mono_s=captured_s,
            is_tile=is_tile,
            reason=reason,
        )
    except av.error.FFmpegError:
        return refused(order, Shortfall.SPOILED)
    except OSError:
        return refused(order, Shortfall.UNWRITABLE)
    finally:
        with suppress(OSError):
            os.close(sitting.fd)


def _full(sitting: Sitting) -> tuple[tuple[av.VideoFrame, float] | None, Shortfall | None]:
    """Return the picture in full with its time of capture, or why there is none."""
    if not sitting.packets:
        return None, sitting.missing
    if time.monotonic() - sitting.ordered_s > WAIT_S:
        return None, Shortfall.BUSY
    try:
        taken = decode(sitting.packets, sitting.order.at_mono_s)
    except av.error.FFmpegError:
        taken = None
    if taken and abs(taken[1] - sitting.order.at_mono_s) > NEAR_S:
        taken = None
    return taken, None if taken else Shortfall.SPOILED
