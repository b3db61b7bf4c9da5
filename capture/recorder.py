"""The recorder: one thread that writes all clips of a capture process. No reader ever waits for it.

It takes from the cameras' rings what it has not written yet; if a disk is so slow that the ring has given up what is
next, the clip ends there, and its reply says so. Started with the first order.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from capture.clip import Clip
from capture.mediamessages import Prolong, Recorded
from capture.words import Shortfall

STEP_S = 0.25
CLIPS = 64
"""So many at once, at most."""


class Recorder:
    """Owns its thread. Clips and orders are given by another; replies go to ``reply``, in the recorder's thread."""

    def __init__(self, reply: Callable[[Recorded], object]) -> None:
        self._reply = reply
        self._given: deque[Clip | Prolong] = deque()
        self._clips: list[Clip] = []
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_full(self) -> bool:
        """Whether there are as many clips as there may be."""
        return len(self._clips) + len(self._given) >= CLIPS

    def give(self, order: Clip | Prolong) -> None:
        """Let a clip be written, or one that is being written go on."""
        self._given.append(order)
        self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recorder")
            self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end all clips, and itself."""
        self._stop.set()
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; return whether it has ended."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def step(self, now_s: float) -> None:
        """Take what was given, and write what has come."""
        while self._given:
            given = self._given.popleft()
            if isinstance(given, Clip):
                self._clips.append(given)
                continue
            for clip in self._clips:
                if (clip.order.event_id, clip.order.camera) == (given.event_id, given.camera):
                    clip.prolong(given.until_mono_s)
        for clip in tuple(self._clips):
            if reply := clip.step(now_s):
                self._clips.remove(clip)
                self._reply(reply)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.step(time.monotonic())
            self._wake.wait(STEP_S if self._clips else None)
            self._wake.clear()
        self.step(time.monotonic())
        for clip in self._clips:
            self._reply(clip.end(Shortfall.STOPPING))
        self._clips = []
