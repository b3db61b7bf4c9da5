"""Which devices are gone: asked at every turn of the loop, so it must not wait for anything.

A part of the CPU is gone when none of its cores is ours any more (cpuset, hot-unplug: sched_getaffinity(2)). GPUs are
listed again and again by an inventory child, because NVML can hang when one is lost; a child that says nothing says
nothing of the GPUs either.
"""

import logging
import os
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

import msgspec

from daemon.devices import INVENTORY_COMMAND, Device, DeviceKind
from daemon.inventory import NVML_FAILED, Inventory
from daemon.logs import fields

log = logging.getLogger(__name__)

EVERY_S = 0.5
SILENT_S = 15.0
"""An inventory child that has said nothing for so long is replaced, and so is one that has ended."""
_READ_BYTES = 1 << 16


class DeviceWatch:
    """Watches the devices that have workers. One thread uses it, the one that starts children."""

    def __init__(
        self,
        devices: Collection[Device],
        *,
        environ: Mapping[str, str],
        command: Sequence[str] = INVENTORY_COMMAND,
        affinity: Callable[[], Collection[int]] = lambda: os.sched_getaffinity(0),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``environ``: the whole environment of the inventory child."""
        self._cores = {device.name: frozenset(device.core_ids) for device in devices if device.core_ids}
        self._uuids = {device.name: device.uuid for device in devices if device.kind is DeviceKind.GPU}
        self._environ = environ
        self._command = [*command, "--every", str(EVERY_S)]
        self._affinity = affinity
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None
        self._text = b""
        self._heard_s = clock()
        self._gone_gpus: frozenset[str] = frozenset()

    def lost(self) -> frozenset[str]:
        """Return the names of those that are gone now."""
        allowed = self._affinity()
        gone = frozenset(name for name, cores in self._cores.items() if cores.isdisjoint(allowed))
        if self._uuids:
            self._listen()
        return gone | self._gone_gpus

    def close(self) -> None:
        """End the inventory child."""
        if self._child is not None:
            self._child.kill()
            with suppress(subprocess.TimeoutExpired):  # one stuck in the driver is out of any signal's reach
                self._child.wait(1.0)
            if self._child.stdout is not None:
                self._child.stdout.close()
            self._child = None

    def _listen(self) -> None:
        now_s = self._clock()
        if self._child is None:
            if now_s >= self._heard_s:
                self._start(now_s)
            return
        assert self._child.stdout is not None
        try:
            while data := os.read(self._child.stdout.fileno(), _READ_BYTES):
                self._heard_s = now_s
                *lines, self._text = (self._text + data).split(b"\n")
                if lines:
                    self._understand(lines[-1])
        except BlockingIOError:
            if now_s - self._heard_s < SILENT_S:
                return
        log.warning("inventory of GPUs ended or silent", extra=fields(returncode=self._child.poll()))
        self.close()
        self._heard_s = now_s + SILENT_S  # when the next one may start

    def _start(self, now_s: float) -> None:
        self._heard_s, self._text = now_s, b""
        try:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(self._environ),
                process_group=0,
            )
        except OSError as error:
            log.warning("inventory of GPUs not started", extra=fields(error=error.strerror))
            self._heard_s = now_s + SILENT_S
            return
        assert self._child.stdout is not None
        os.set_blocking(self._child.stdout.fileno(), False)

    def _understand(self, line: bytes) -> None:
        try:
            found = msgspec.json.decode(line, type=Inventory)
        except msgspec.DecodeError as error:
            log.warning("inventory of GPUs not understood", extra=fields(error=str(error)))
            return
        if any(problem.startswith(NVML_FAILED) for problem in found.problems):
            return
        there = {gpu.uuid for gpu in found.gpus}
        self._gone_gpus = frozenset(name for name, uuid in self._uuids.items() if uuid not in there)
