"""Performs events: signals, orders to gremlins, a full disk, cameras' faults. Shell.

Owns the ballast on the small disk. What an event is was decided in :mod:`daemon.chaos.plan`.
"""

import errno
import http.client
import json
import os
import signal
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from daemon.chaos.kinds import TRAITS, Kind, Target
from daemon.chaos.observations import Hit
from daemon.chaos.plan import Event
from daemon.chaos.stage import Stage

SIGNALS = {Kind.KILL: signal.SIGKILL, Kind.SEGV: signal.SIGSEGV, Kind.STOP: signal.SIGSTOP}
CONTROL_S = 5.0
_BALLAST = "ballast"
_CHUNK_BYTES = 1 << 20


class Striker:
    """Performs events on one stage. One thread uses it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._full_until_s: float | None = None

    def strike(self, event: Event, children: Mapping[str, int], up: Mapping[str, int]) -> Hit:
        """Perform an event; ``children`` are the process ids of those that live, ``up`` of those that work."""
        trait = TRAITS[event.kind]
        match trait.target:
            case Target.CAMERA:
                return self._camera(event, trait.lasts_s)
            case Target.MACHINE if event.kind is Kind.CLOCK:
                self._stage.set_clocks(event.step_s)
                return Hit(event, time.monotonic())
            case Target.MACHINE:
                return self._fill(event, trait.lasts_s)
        pid = (up if trait.needs_up else children).get(event.victim)
        if pid is None:
            return Hit(event, time.monotonic(), missed=f"{event.victim} was down already")
        done = self._order(event, pid) if trait.is_inside else self._signal(event, pid)
        return Hit(event, time.monotonic(), pid, "" if done else f"{event.victim} was ending already")

    def tend(self, now_s: float) -> None:
        """End what has lasted long enough, and keep up what has not."""
        if self._full_until_s is None:
            return
        if now_s < self._full_until_s:
            fill(self._stage.state / _BALLAST)  # the daemon may have cut, or removed, a file of its own
        else:
            self.mend()

    def mend(self) -> None:
        """Give the disk its space back."""
        self._full_until_s = None
        with suppress(FileNotFoundError):
            (self._stage.state / _BALLAST).unlink()

    def _signal(self, event: Event, pid: int) -> bool:
        # By a descriptor, and after another look: a process id may belong to somebody else by now.
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if not is_child(pid, self._stage.daemon.pid):
                return False
            signal.pidfd_send_signal(pidfd, SIGNALS[event.kind])
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(pidfd)

    def _order(self, event: Event, pid: int) -> bool:
        """A newborn's gremlin needs a moment until it listens."""
        end_s = time.monotonic() + 2.0
        while time.monotonic() < end_s and is_child(pid, self._stage.daemon.pid):
            if self._stage.order(pid, do=event.kind.value, seed=event.seed):
                return True
            time.sleep(0.02)
        return False

    def _fill(self, event: Event, lasts_s: float) -> Hit:
        fill(self._stage.state / _BALLAST)
        now_s = time.monotonic()
        self._full_until_s = now_s + lasts_s
        return Hit(event, now_s)

    def _camera(self, event: Event, lasts_s: float) -> Hit:
        request = urllib.request.Request(
            f"{self._stage.control}/{event.victim}/fault",
            json.dumps({"kind": event.fault, "for_s": lasts_s}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=CONTROL_S):
                return Hit(event, time.monotonic())
        except (OSError, http.client.HTTPException) as error:
            return Hit(event, time.monotonic(), missed=f"the simulator refused: {error}")


def is_child(pid: int, daemon: int) -> bool:
    """Whether a process is a living child of the daemon."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return False
    return int(parent) == daemon and state not in "ZX"


def fill(path: Path) -> None:
    """Write to a file until its disk has no space left."""
    size = _CHUNK_BYTES
    with path.open("ab", buffering=0) as file:
        while size:
            try:
                if not file.write(bytes(size)):
                    return
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 16
