"""Who looks at which mosaic, and the newest picture of each. Workers draw them, while somebody looks.

The HTTP thread asks and takes, the supervisor's thread puts: what they share is replaced whole.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from capture.messages import Picture, Watch
from daemon.trust import UntrustworthyError

LOOKED_AT_S = 5.0
"""Who looks asks more often than that."""
MAX_BYTES = 4 << 20
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture."""

    number: int
    """Running, over all mosaics."""
    at: float
    """Wall clock."""
    jpeg: bytes


class Pictures:
    """The pictures of all mosaics."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked_s: dict[str, float] = {}
        self._shots: dict[str, Shot] = {}
        self._number = 0
        self._told: dict[str, Watch] = {}
        """By worker, what its present generation was told last."""

    def ask(self, mosaic: str) -> Shot | None:
        """Take note that somebody looks at this mosaic; return its newest picture if there is a fresh one."""
        now_s = self._clock()
        was_s = self._asked_s.get(mosaic, 0.0)
        self._asked_s[mosaic] = now_s
        return self._shots.get(mosaic) if now_s - was_s < LOOKED_AT_S else None

    def put(self, picture: Picture, fd: int) -> None:
        """Keep a picture that lies in this descriptor. Raises UntrustworthyError if it is none."""
        try:
            size = os.fstat(fd).st_size
            content = os.pread(fd, min(size, MAX_BYTES + 1), 0)
        except OSError as error:
            raise UntrustworthyError(f"a picture of {picture.mosaic} cannot be read: {error.strerror}") from error
        if not content.startswith(_JPEG) or len(content) > MAX_BYTES:
            raise UntrustworthyError(f"a picture of {picture.mosaic} is none")
        self._number += 1
        self._shots[picture.mosaic] = Shot(self._number, time.time(), content)

    def forget(self, worker: str) -> None:
        """Take note that a worker has ended: its next generation has been told nothing."""
        self._told.pop(worker, None)

    def orders(self, seats: Mapping[str, str]) -> dict[str, Watch]:
        """Return what each worker is to be told anew; ``seats`` says who answers what."""
        if not self._asked_s and not self._told:
            return {}
        now_s = self._clock()
        for mosaic in [mosaic for mosaic, at_s in list(self._asked_s.items()) if now_s - at_s > LOOKED_AT_S]:
            self._asked_s.pop(mosaic, None)
            self._shots.pop(mosaic, None)
        looked_at = sorted(self._asked_s.copy())
        wanted = {
            worker: Watch(tuple(mosaic for mosaic in looked_at if seats.get(mosaic) == worker))
            for worker in set(seats.values()) | self._told.keys()
        }
        new = {worker: watch for worker, watch in wanted.items() if self._told.get(worker, Watch(())) != watch}
        self._told |= new
        return new
