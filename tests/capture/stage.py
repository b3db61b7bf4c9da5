"""A real capture process, driven as the supervisor drives it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from capture.channel import Channel
from capture.child import wait_readable
from capture.layout import Canvas
from capture.messages import (
    CameraReport,
    CameraTransition,
    CaptureReport,
    CaptureSetup,
    FromChild,
    Ready,
    SlotOpened,
)
from capture.slot import CanvasHeader, SlotReader
from capture.words import CameraState, Reason
from tests.simulator.clips import SIZE_WH

ROOT = Path(__file__).parents[2]
CANVAS = Canvas(2 * SIZE_WH[0], 2 * SIZE_WH[1])
STALE_S = 1.0
SETUP = CaptureSetup((CANVAS.w, CANVAS.h), fps=10.0, stale_s=STALE_S, open_timeout_s=2.0, read_timeout_s=1.5)
DEADLINE_S = 20.0


class Child:
    """A capture process, driven as the supervisor drives it."""

    def __init__(self, setup: CaptureSetup | None = SETUP, send_buffer_bytes: int | None = None) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if send_buffer_bytes:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        command = [sys.executable, "-P", "-m", "capture.process", "capture-1"]
        with theirs:
            command += ["--fd", str(theirs.fileno()), "--parent", str(os.getpid())]
            self.process = subprocess.Popen(
                command, pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE, cwd=ROOT, text=True
            )
        self.channel: Channel = Channel(ours, FromChild)
        self.said: list[object] = []
        self.slots: dict[str, SlotReader] = {}
        if setup:
            assert self.channel.send(setup)
            self.wait_for(Ready)

    def poll(self) -> None:
        """Hear what it says now."""
        while (received := self.channel.receive()) is not None:
            if isinstance(received.message, SlotOpened):
                assert received.message.mosaic not in self.slots, "a mosaic keeps its slot"
                self.slots[received.message.mosaic] = SlotReader(*received.fds)
            self.said.append(received.message)

    def wait_until(self, holds: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        self.poll()
        while not holds():
            assert time.monotonic() < deadline_s, self.said[-3:]
            wait_readable([self.channel.fileno(), *(slot.wake_fd for slot in self.slots.values())], 0.05)
            self.poll()

    def wait_for(self, kind: type) -> None:
        before = len(self.said)
        self.wait_until(lambda: any(isinstance(message, kind) for message in self.said[before:]))

    def transitions(self, camera: str) -> list[tuple[CameraState, Reason | None]]:
        return [
            (each.state, each.reason)
            for each in self.said
            if isinstance(each, CameraTransition) and each.camera == camera
        ]

    def reports(self) -> list[CaptureReport]:
        return [each for each in self.said if isinstance(each, CaptureReport)]

    def report_of(self, camera: str) -> CameraReport | None:
        """The camera's newest report."""
        found = [each for report in self.reports() for each in report.cameras if each.camera == camera]
        return found[-1] if found else None

    def canvas(self, mosaic: str, holds: Callable[[CanvasHeader], object]) -> tuple[CanvasHeader, np.ndarray]:
        """Wait for a canvas of which this holds."""
        pixels = np.zeros((CANVAS.h, CANVAS.w, 3), np.uint8)
        found: list[CanvasHeader] = []

        def look() -> bool:
            header = self.slots[mosaic].read(pixels) if mosaic in self.slots else None
            found.extend([header] if header and holds(header) else [])
            return bool(found)

        self.wait_until(look)
        return found[0], pixels

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and stderr."""
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, errors

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=DEADLINE_S)
        self.channel.close()
        for slot in self.slots.values():
            slot.close()
