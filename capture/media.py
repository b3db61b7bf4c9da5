"""The orders for clips and pictures of one capture process: who carries them out, and why not.

Owned by the main thread. Two threads of their own do the work (:mod:`capture.recorder`, :mod:`capture.photographer`);
their replies wait here until the main thread sends them.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from capture.clip import Clip
from capture.mediamessages import Prolong, Record, Recorded, Snapped, Snapshot, refused
from capture.photographer import Photographer, Sitting
from capture.reader import CameraReader
from capture.recorder import Recorder
from capture.snapshot import wanted
from capture.words import Shortfall

Order = Record | Prolong | Snapshot
Reply = Recorded | Snapped


class Media:
    """Takes orders, and gives replies."""

    def __init__(self) -> None:
        self._replies: deque[Reply] = deque()
        self._recorder = Recorder(self._replies.append)
        self._photographer = Photographer(self._replies.append)

    def obey(self, order: Order, fds: tuple[int, ...], readers: Iterable[CameraReader]) -> None:
        """Carry out an order; the descriptors are closed whatever comes of it."""
        if isinstance(order, Prolong):
            _close(fds)
            self._recorder.give(order)
            return
        reader = next((each for each in readers if each.spec.name == order.camera), None)
        if reason := _objection(order, fds, reader):
            _close(fds)
            self._replies.append(refused(order, reason))
            return
        assert reader is not None
        if isinstance(order, Snapshot):
            is_taken = self._photographer.give(_sitting(order, fds[0], reader))
        else:
            assert reader.ring is not None
            is_taken = not self._recorder.is_full
            if is_taken:
                self._recorder.give(Clip(order, reader.ring, fds[0], reader.source_wh))
        if not is_taken:
            _close(fds)
            self._replies.append(refused(order, Shortfall.BUSY))

    def tell(self, send: Callable[[Reply], bool]) -> None:
        """Send what there is to reply; what finds no room waits for the next time."""
        while self._replies and send(self._replies[0]):
            self._replies.popleft()

    def stop(self, until_s: float) -> None:
        """Let the threads end what they are at, until then; what is not done by then ends with the process."""
        self._recorder.stop()
        self._photographer.stop()
        for thread in (self._recorder, self._photographer):
            thread.join(max(0.0, until_s - time.monotonic()))


def _objection(order: Record | Snapshot, fds: tuple[int, ...], reader: CameraReader | None) -> Shortfall | None:
    """Return why an order is not carried out at all."""
    if len(fds) != 1 or not _is_file(fds[0]):
        return Shortfall.NO_FILE
    if reader is None:
        return Shortfall.UNKNOWN
    if reader.spec.epoch != order.epoch:
        return Shortfall.EPOCH
    return Shortfall.OFF if reader.ring is None and isinstance(order, Record) else None


def _sitting(order: Snapshot, fd: int, reader: CameraReader) -> Sitting:
    packets = wanted(reader.ring, order.at_mono_s) if reader.ring else []
    missing = Shortfall.GONE if reader.ring else Shortfall.OFF
    return Sitting(order, fd, packets, reader.newest, time.monotonic(), missing)


def _is_file(fd: int) -> bool:
    """Whether it can be written and sought in."""
    with suppress(OSError):
        os.lseek(fd, 0, os.SEEK_CUR)
        return os.write(fd, b"") == 0
    return False


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
